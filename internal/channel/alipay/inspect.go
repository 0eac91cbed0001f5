package alipay

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/keys"
)

// soon is how long before a certificate's end it is time to renew it.
const soon = 30 * 24 * time.Hour

// held is what the settings hold, parsed.
type held struct {
	private *rsa.PrivateKey
	public  *rsa.PublicKey // Alipay's
	certs   *certificates  // nil in key mode
}

// Inspect finds everything at once; where one fault implies another, only the first is told. What depends on test or
// live is refused by New.
func (c *Config) Inspect(now time.Time) []channel.Finding {
	_, findings := c.inspect(now)
	return findings
}

func (c *Config) inspect(now time.Time) (held, []channel.Finding) {
	i := inspector{now: now}
	i.ids(c.AppID, c.SellerID)
	certs := c.AppCert != "" || c.Cert != "" || c.RootCert != ""
	private, public := parse(c.PrivateKey.Reveal()), parse(c.PublicKey)
	swapped := private.found.Kind == keys.Public && public.found.Kind == keys.Private
	if swapped {
		i.fault("swapped", privateField.setting, "holds a public key, and ALIPAY_PUBLIC_KEY a private one: they are swapped",
			"exchange the two, and make sure that the public one is Alipay's (支付宝公钥), not the app's")
	} else if found, ok := i.read(privateField, private); ok {
		i.private(found)
	}
	switch {
	case certs && c.PublicKey != "":
		i.fault("both", publicField.setting, "is set beside certificates: an app has either the one or the others",
			"unset it to use certificates, or unset ALIPAY_APP_CERT, ALIPAY_CERT and ALIPAY_ROOT_CERT to use the public key")
	case certs:
		i.certificates(c)
	case !swapped:
		if found, ok := i.read(publicField, public); ok {
			i.public(found)
		}
	}
	return i.held, i.findings
}

// inspector gathers findings, and what could be parsed.
type inspector struct {
	now      time.Time
	held     held
	findings []channel.Finding
}

func (i *inspector) add(level channel.Level, code, setting, text, cure string) {
	i.findings = append(i.findings, channel.Finding{Level: level, Code: code, Setting: setting, Text: text, Cure: cure})
}

func (i *inspector) fault(code, setting, text, cure string) {
	i.add(channel.LevelError, code, setting, text, cure)
}

func (i *inspector) good(code, setting, text string) {
	i.add(channel.LevelOK, code, setting, text, "")
}

const (
	appIDCure  = "put the app's APPID there: 16 digits that begin with 20, or 9021 in the sandbox (console, 应用信息)"
	sellerCure = "put the merchant's PID there: 16 digits that begin with 2088 (console, 账户中心), or unset it"
)

func (i *inspector) ids(appID, sellerID string) {
	const app, seller = "ALIPAY_APP_ID", "ALIPAY_SELLER_ID"
	switch {
	case appID == "":
		i.fault("missing", app, "is missing", appIDCure)
	case isPID(appID) && isAppID(sellerID):
		i.fault("swapped", app, "holds a merchant's PID, and ALIPAY_SELLER_ID an APPID: they are swapped", "exchange the two")
		return
	case placeholder(appID):
		i.fault("placeholder", app, "is a placeholder", appIDCure)
	case isPID(appID):
		i.fault("swapped", app, "is a merchant's PID, not an APPID", appIDCure)
	case !isAppID(appID):
		i.fault("form", app, "is no APPID", appIDCure)
	case strings.HasPrefix(appID, sandboxApp):
		i.good("app_id", app, "names an app of the sandbox")
	default:
		i.good("app_id", app, "names an app of the open platform")
	}
	switch {
	case sellerID == "":
		i.good("merchant_number", seller, "is not set: the first paid notice fixes it")
	case placeholder(sellerID):
		i.fault("placeholder", seller, "is a placeholder", sellerCure)
	case isAppID(sellerID):
		i.fault("swapped", seller, "is an APPID, not a merchant's PID", sellerCure)
	case !isPID(sellerID):
		i.fault("form", seller, "is no PID", sellerCure)
	default:
		i.good("merchant_number", seller, "names the merchant that every notice must name")
	}
}

const (
	idDigits   = 16     // of an APPID and of a PID
	sandboxApp = "9021" // what the sandbox's APPIDs begin with
)

func isPID(id string) bool {
	return len(id) == idDigits && only(id, isDigit) && strings.HasPrefix(id, "2088")
}

func isAppID(id string) bool {
	return len(id) == idDigits && only(id, isDigit) && !isPID(id) && (strings.HasPrefix(id, "20") || strings.HasPrefix(id, sandboxApp))
}

// placeholder knows what stands in guides and examples instead of a value.
func placeholder(text string) bool {
	if len(text) == idDigits && only(text, isDigit) {
		return len(strings.TrimRight(text, "0")) <= len("2021")
	}
	for _, mark := range []string{"...", "…", "your_", "YOUR_", "<", "你的", "替换", "示例"} {
		if strings.Contains(text, mark) {
			return true
		}
	}
	const words = 100 // no key is as short
	return len(text) < words && strings.Contains(strings.ToLower(text), "your")
}

// field is a setting that holds the text of a key.
type field struct {
	setting string
	want    keys.Kind
	cure    string
}

var (
	privateField = field{"ALIPAY_PRIVATE_KEY", keys.Private, "put the app's private key (应用私钥) there, as the key tool wrote it: " +
		"RSA, 2048 bits, PEM or bare base64, PKCS#8 or PKCS#1, without a passphrase"}
	publicField = field{"ALIPAY_PUBLIC_KEY", keys.Public, "put Alipay's public key (支付宝公钥) there, which the console shows once the app's " +
		"own (应用公钥) is uploaded: PEM or bare base64; or use certificates: ALIPAY_APP_CERT, ALIPAY_CERT and ALIPAY_ROOT_CERT"}
	appCertField  = field{"ALIPAY_APP_CERT", keys.Certificate, "put appCertPublicKey_APPID.crt there, downloaded from the console (应用公钥证书)"}
	certField     = field{"ALIPAY_CERT", keys.Certificate, "put alipayCertPublicKey_RSA2.crt there, downloaded from the console (支付宝公钥证书)"}
	rootCertField = field{"ALIPAY_ROOT_CERT", keys.Certificate, "put alipayRootCert.crt there, downloaded from the console (支付宝根证书)"}
)

// parsed is a text of a key and what was found in it.
type parsed struct {
	text  string
	found keys.Found
	err   error
}

func parse(text string) parsed {
	found, err := keys.Parse(text)
	return parsed{text, found, err}
}

// parseCodes are the codes of what cannot be read.
var parseCodes = map[error]string{
	keys.ErrEmpty: "missing", keys.ErrUnreadable: "key_unreadable", keys.ErrUnknown: "key_unreadable", keys.ErrNotRSA: "key_kind",
	keys.ErrShort: "key_short", keys.ErrEncrypted: "key_unreadable", keys.ErrMany: "key_unreadable",
}

// read takes what f wants from its text. Not ok = a fault was told.
func (i *inspector) read(f field, p parsed) (found keys.Found, ok bool) {
	found, err := p.found, p.err
	if p.text == "" {
		i.fault("missing", f.setting, "is missing", f.cure)
		return found, false
	}
	code, unreadable := "", false
	for cause, c := range parseCodes {
		if errors.Is(err, cause) {
			code, unreadable = c, true
		}
	}
	switch {
	case (code == "key_unreadable" || code == "missing") && placeholder(p.text):
		i.fault("placeholder", f.setting, "is a placeholder", f.cure)
	case unreadable:
		i.fault(code, f.setting, err.Error(), f.cure)
	case found.Kind == f.want:
		return found, true
	case f.want == keys.Public && found.Kind == keys.Certificate:
		i.fault("key_kind", f.setting, "holds a certificate, and a public key belongs there",
			"move it to ALIPAY_CERT and set ALIPAY_APP_CERT and ALIPAY_ROOT_CERT too, or "+f.cure)
	case found.Kind == keys.Private:
		i.fault("key_kind", f.setting, "holds a private key, and a "+string(f.want)+" belongs there",
			f.cure+"; treat that private key as leaked if this setting was ever shown")
	default:
		i.fault("key_kind", f.setting, "holds a "+string(found.Kind)+", and a "+string(f.want)+" belongs there", f.cure)
	}
	return found, false
}

func (i *inspector) private(found keys.Found) {
	i.held.private = found.Private
	if published(found.Public) {
		i.fault("published", privateField.setting, "is a key of a published example, which anyone can sign with",
			"make a new key pair with the key tool, upload its public key to the console, and put the private key there")
		return
	}
	i.good("key", privateField.setting, fmt.Sprintf("holds an RSA private key of %d bits (%s): signs requests", found.Public.N.BitLen(), found.Form))
}

// isOwn reports whether public is the pair of the app's private key.
func (i *inspector) isOwn(public *rsa.PublicKey) bool {
	return i.held.private != nil && public.Equal(&i.held.private.PublicKey)
}

func (i *inspector) public(found keys.Found) {
	i.held.public = found.Public
	switch {
	case i.isOwn(found.Public):
		i.fault("own_public_key", publicField.setting, "is the app's own public key (应用公钥), the pair of ALIPAY_PRIVATE_KEY", publicField.cure)
	case published(found.Public):
		i.publishedPublic(publicField)
	default:
		i.good("key", publicField.setting, fmt.Sprintf("holds an RSA public key of %d bits (%s): verifies answers and notices",
			found.Public.N.BitLen(), found.Form))
		i.good("mode", "", "public-key mode")
	}
}

func (i *inspector) publishedPublic(f field) {
	i.fault("published", f.setting, "is a key of a published example, whose private half anyone can sign with", f.cure)
}

// published knows the key pairs of the SDKs' own examples and tests whose private half is public, by the SHA-256 of the
// SubjectPublicKeyInfo (spec/alipay, PublishedKeys).
func published(key *rsa.PublicKey) bool {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return true // no key that can be written down
	}
	sum := sha256.Sum256(der)
	return publishedKeys[hex.EncodeToString(sum[:])]
}
