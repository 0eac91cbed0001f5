package wechatv3

import (
	"crypto/cipher"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"piaohao/internal/channel"
	"piaohao/internal/keys"
)

// material is what the settings hold.
type material struct {
	serial string          // of the merchant certificate: names the key we sign with
	key    *rsa.PrivateKey // of the merchant
	aead   cipher.AEAD     // under the APIv3 key
	peerID string          // of the public key, "" = certificates alone
	start  peers           // the platform's keys known from the start
}

// Names of the settings.
const (
	envAppID        = "WECHAT_APP_ID"
	envMerchantID   = "WECHAT_MCH_ID"
	envSerialNo     = "WECHAT_MCH_SERIAL_NO"
	envPrivateKey   = "WECHAT_MCH_PRIVATE_KEY"
	envMchCert      = "WECHAT_MCH_CERT"
	envMchP12       = "WECHAT_MCH_P12"
	envAPIv3Key     = "WECHAT_API_V3_KEY"
	envPublicKeyID  = "WECHAT_PUBLIC_KEY_ID"
	envPublicKey    = "WECHAT_PUBLIC_KEY"
	envPlatformCert = "WECHAT_PLATFORM_CERT"
)

// Forms of the settings; lengths are from the documentation's parameter tables (mchid, appid: string(32)).
var (
	appIDForm   = regexp.MustCompile(`^[0-9A-Za-z_]{1,32}$`)
	appIDUsual  = regexp.MustCompile(`^w[xw][0-9a-z]{16}$`)
	numberForm  = regexp.MustCompile(`^[0-9]+$`)
	mchIDForm   = regexp.MustCompile(`^[0-9]{8,10}$`)
	serialForm  = regexp.MustCompile(`^[0-9A-Fa-f]{16,64}$`)
	peerIDForm  = regexp.MustCompile(`^PUB_KEY_ID_[0-9]{1,64}$`)
	placeholder = regexp.MustCompile(`(?i)your|x{4}|\.\.\.|…|<|>|example|placeholder|change.?me|replace|1234567890|你的|您的|示例|填写|替换`)
)

const (
	apiV3KeySize  = 32 // bytes: AES-256 (APIv3密钥设置)
	apiV3KeyVaria = 8  // distinct characters at the least; a random key has fewer once in 10²⁰
	expiresSoon   = 30 * 24 * time.Hour
)

// Where things are in the merchant console (pay.weixin.qq.com).
const (
	consoleCert   = "merchant console, 账户中心 → API安全 → 商户API证书"
	consoleV3Key  = "merchant console, 账户中心 → API安全 → APIv3密钥"
	consolePublic = "merchant console, 账户中心 → API安全 → 微信支付公钥"
)

// inspector collects what is found. What depends on something at fault is left out, so that one mistake is one finding.
type inspector struct {
	*Config
	now      time.Time
	findings []channel.Finding
	material
}

// inspect reads the settings. The material counts when no finding is an error.
func inspect(c *Config, now time.Time) (material, []channel.Finding) {
	i := &inspector{Config: c, now: now, material: material{start: peers{}}}
	merchant := i.identity()
	i.merchantKey(merchant)
	i.apiV3Key()
	i.platformKeys()
	return i.material, i.findings
}

func (i *inspector) fault(setting, code, text, cure string) {
	i.findings = append(i.findings, channel.Finding{Level: channel.LevelError, Code: code, Setting: setting, Text: text, Cure: cure})
}

func (i *inspector) warn(setting, code, text, cure string) {
	i.findings = append(i.findings, channel.Finding{Level: channel.LevelWarn, Code: code, Setting: setting, Text: text, Cure: cure})
}

func (i *inspector) ok(setting, code, text string) {
	i.findings = append(i.findings, channel.Finding{Level: channel.LevelOK, Code: code, Setting: setting, Text: text})
}

// filled reports whether a setting has a value of its owner's, and finds fault when it has none.
func (i *inspector) filled(setting, value, cure string) bool {
	switch {
	case value == "":
		i.fault(setting, "missing", "is not set", cure)
	case placeholder.MatchString(value):
		i.fault(setting, "placeholder", "still holds an example's text", cure)
	default:
		return true
	}
	return false
}

// identity reports whether the merchant number can be used.
func (i *inspector) identity() bool {
	const appCure, mchCure = "set the AppID, which begins with wx, from the merchant console, 产品中心 → AppID账号管理",
		"set the merchant number, 8 to 10 digits, from the merchant console, 账户中心 → 商户信息"
	if mchIDForm.MatchString(i.AppID) && strings.HasPrefix(i.MerchantID, "wx") {
		i.fault(envAppID, "swapped", "holds the merchant number, and "+envMerchantID+" the app id", "exchange the two")
		return false
	}
	if i.filled(envAppID, i.AppID, appCure) {
		switch {
		case numberForm.MatchString(i.AppID):
			i.fault(envAppID, "app_id", "is a number, which no AppID is", appCure)
		case !appIDForm.MatchString(i.AppID):
			i.fault(envAppID, "app_id", "must be 1 to 32 letters, digits or _", appCure)
		case !appIDUsual.MatchString(i.AppID):
			i.warn(envAppID, "app_id", "has not the usual form of an AppID, wx and 16 letters or digits", "compare it with the "+"merchant console")
		}
	}
	if !i.filled(envMerchantID, i.MerchantID, mchCure) {
		return false
	}
	if !mchIDForm.MatchString(i.MerchantID) {
		i.fault(envMerchantID, "merchant_number", "must be 8 to 10 digits", mchCure)
		return false
	}
	return true
}

func (i *inspector) apiV3Key() {
	key := i.APIv3Key.Reveal()
	const cure = "set the 32 characters that you chose at: " + consoleV3Key + " (WECHAT_MCH_KEY is another key)"
	switch {
	case key == "":
		i.fault(envAPIv3Key, "missing", "is not set", cure)
		return
	case strings.HasPrefix(strings.ToLower(key), "your") || !utf8.ValidString(key) || strings.ContainsAny(key, "<>…"):
		i.fault(envAPIv3Key, "placeholder", "still holds an example's text", cure)
		return
	case len(key) != apiV3KeySize:
		i.fault(envAPIv3Key, "api_v3_key", "must be 32 characters", cure)
		return
	case publishedText(key):
		i.fault(envAPIv3Key, "published_key", "is a key that anybody can read in published examples", "choose a random one at: "+consoleV3Key)
		return
	case variety(key) < apiV3KeyVaria:
		i.fault(envAPIv3Key, "weak", "has fewer than 8 different characters", "choose a random one at: "+consoleV3Key)
		return
	}
	aead, err := newAEAD(key)
	if err != nil {
		i.fault(envAPIv3Key, "api_v3_key", "cannot be used", cure)
		return
	}
	i.aead = aead
	i.ok(envAPIv3Key, "api_v3_key", "32 characters: decrypts notices and platform certificates; only the platform can tell whether they are the right ones")
}

func variety(text string) int {
	seen := map[rune]bool{}
	for _, r := range text {
		seen[r] = true
	}
	return len(seen)
}

// parse reads the text of a key that must be of kind. A setting that is not what it should be says what it is.
func (i *inspector) parse(setting, text string, kind keys.Kind, cure string) (keys.Found, bool) {
	if strings.Contains(text, "...") || strings.Contains(text, "…") {
		i.fault(setting, "placeholder", "still holds an example's text", cure)
		return keys.Found{}, false
	}
	found, err := keys.Parse(armoured(text))
	switch {
	case errors.Is(err, keys.ErrShort):
		i.fault(setting, "key_short", "is shorter than 2048 bits, and the platform takes no such key", cure)
	case errors.Is(err, keys.ErrNotRSA):
		i.fault(setting, "key_kind", "is not an RSA key; SM2 (国密) is not supported", cure)
	case err != nil:
		i.fault(setting, "key_unreadable", err.Error(), "paste the whole file, from -----BEGIN to -----END, or name the file with "+setting+"_FILE; "+cure)
	case found.Kind != kind:
		i.fault(setting, "key_kind", "holds a "+string(found.Kind)+" where the "+string(kind)+" belongs", i.kindCure(found, cure))
	case publishedKey(found.Public):
		i.fault(setting, "published_key", "is a key of a published example, which anybody can sign with", cure)
	default:
		return found, true
	}
	return keys.Found{}, false
}

// kindCure says where a key in the wrong place belongs.
func (i *inspector) kindCure(found keys.Found, cure string) string {
	switch {
	case found.Kind == keys.Private:
		return "a private key goes nowhere but " + envPrivateKey + "; " + cure
	case found.Kind == keys.Certificate && merchants(found.Certificates[0], found.Public, i.key):
		return "a merchant API certificate belongs in " + envMchCert + "; " + cure
	case found.Kind == keys.Certificate:
		return "your own certificate belongs in " + envMchCert + ", a platform certificate in " + envPlatformCert + "; " + cure
	}
	return cure
}

// armoured makes base64 of the raw bytes of a file, which begin with an ASN.1 sequence of more than 127 bytes.
func armoured(text string) string {
	if len(text) > 1 && text[0] == 0x30 && text[1] >= 0x80 {
		return base64.StdEncoding.EncodeToString([]byte(text))
	}
	return text
}

// merchants reports whether a certificate is a merchant's, not the platform's: it is of our key, or its subject is a
// merchant number, as in an older one of ours or in another merchant's.
func merchants(cert *x509.Certificate, public *rsa.PublicKey, own *rsa.PrivateKey) bool {
	return own != nil && own.PublicKey.Equal(public) || mchIDForm.MatchString(cert.Subject.CommonName)
}

func bits(key *rsa.PublicKey) string { return fmt.Sprintf("RSA %d", key.N.BitLen()) }
