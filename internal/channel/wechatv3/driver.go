// Package wechatv3 speaks WeChat Pay's APIv3 as a direct merchant: the product native, whose code a payer scans. What the
// platform says is verified with its public key (微信支付公钥), with its certificates (平台证书), which it lists and
// rotates, or with either while a merchant number moves from these to that. Facts are from the platform's
// documentation centre (pay.weixin.qq.com/doc); published vectors and documented exchanges lie in spec/wechat.
package wechatv3

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
)

// name is the Channel of attempts and observations.
const name = "wechatv3"

// The platform's hosts (APIv3 接口规则); it has no sandbox. The host is no part of a signature.
const (
	liveURL    = "https://api.mch.weixin.qq.com"
	liveBackup = "api2.mch.weixin.qq.com" // where a request goes when no connection to the first could be made
)

// codeLifetime is how long a code_url can be scanned (Native下单, code_url: 2 小时).
const codeLifetime = 2 * time.Hour

// Config is the one declaration of the driver's settings.
//
// The merchant's own half is a private key and the serial number of its certificate: PrivateKey with SerialNo or
// MchCert, or MchP12, which holds both. The platform's half is PublicKeyID and PublicKey, or nothing: then its
// certificates are downloaded under APIv3Key, and PlatformCert is only what is known before the first download.
type Config struct {
	AppID        string      `env:"WECHAT_APP_ID" en:"AppID of the official account, mini program or app that is bound to the merchant number" zh:"与商户号绑定的公众号、小程序或 App 的 AppID"`
	MerchantID   string      `env:"WECHAT_MCH_ID" en:"Merchant number, 8 to 10 digits" zh:"商户号，8 到 10 位数字"`
	SerialNo     string      `env:"WECHAT_MCH_SERIAL_NO" en:"APIv3: serial number of the merchant API certificate, hexadecimal; not needed with WECHAT_MCH_CERT or WECHAT_MCH_P12" zh:"APIv3：商户 API 证书序列号，十六进制；已设置 WECHAT_MCH_CERT 或 WECHAT_MCH_P12 时可不填"`
	PrivateKey   secret.Text `env:"WECHAT_MCH_PRIVATE_KEY" key:"private" en:"APIv3: private key of the merchant API certificate (apiclient_key.pem)" zh:"APIv3：商户 API 证书的私钥（apiclient_key.pem）"`
	MchCert      string      `env:"WECHAT_MCH_CERT" key:"certificate" en:"APIv3: merchant API certificate (apiclient_cert.pem); it holds the serial number, and APIv2 beside APIv3 refunds with it" zh:"APIv3：商户 API 证书（apiclient_cert.pem），从中读取序列号；与 APIv3 并存的 APIv2 也用它退款"`
	MchP12       secret.Text `env:"WECHAT_MCH_P12" key:"p12" en:"APIv3: merchant API certificate with its private key (apiclient_cert.p12) in base64, in place of both" zh:"APIv3：商户 API 证书及私钥（apiclient_cert.p12）的 base64，可代替以上两种文件"`
	APIv3Key     secret.Text `env:"WECHAT_API_V3_KEY" en:"APIv3 key, 32 characters; it decrypts notices" zh:"APIv3 密钥，32 个字符，用于解密回调"`
	PublicKeyID  string      `env:"WECHAT_PUBLIC_KEY_ID" en:"APIv3: id of the WeChat Pay public key, begins with PUB_KEY_ID_; neither id nor key = platform certificates are used" zh:"APIv3：微信支付公钥 ID，以 PUB_KEY_ID_ 开头；公钥和公钥 ID 都不填时使用平台证书"`
	PublicKey    string      `env:"WECHAT_PUBLIC_KEY" key:"public" en:"APIv3: WeChat Pay public key (pub_key.pem)" zh:"APIv3：微信支付公钥（pub_key.pem）"`
	PlatformCert string      `env:"WECHAT_PLATFORM_CERT" key:"certificate" weak:"true" en:"APIv3: platform certificates known before the first download; optional" zh:"APIv3：首次下载前已知的微信支付平台证书，可不填"`
}

// Identity is the app id and the merchant number.
func (c *Config) Identity() (appID, merchantID string) { return c.AppID, c.MerchantID }

// Inspect says what the settings hold: every fault, and what each key is good for. It calls nobody.
func (c *Config) Inspect(now time.Time) []channel.Finding {
	_, findings := inspect(c, now)
	return findings
}

// Driver is what this package offers.
var Driver = channel.Driver{
	Info: channel.Info{
		Channel:     name,
		Method:      "wechat",
		Prefix:      "WECHAT",
		NotifyPath:  "/payment/wechat/notify",
		BrowserMark: "MicroMessenger",
		Products: []channel.Product{{
			// A phone shows the code too: it is scanned from another device.
			Name: "native", Shape: pay.ShapeQR, Phone: true, Desktop: true, Lifetime: codeLifetime,
		}},
		Refunds: refundLimits,
	},
	Settings: func() channel.Settings { return &Config{} },
	New:      New,
}

type client struct {
	env    channel.Env
	base   string   // origin, no trailing slash
	backup []string // hosts for when base cannot be connected to
	material

	known atomic.Pointer[peers] // never changed in place

	refreshing sync.Mutex // over the next two
	due        time.Time  // of the next download
	failed     int        // downloads in a row

	warned atomic.Int64 // when clock_skew was logged last, Unix seconds
}

// New builds the channel of one account from a *Config. An error names the setting at fault and repeats nothing of
// its content.
func New(settings channel.Settings, env channel.Env) (channel.Channel, error) {
	cfg, ok := settings.(*Config)
	if !ok {
		return nil, fmt.Errorf("wechatv3: settings are %T", settings)
	}
	m, findings := inspect(cfg, env.Now())
	if err := channel.Faulty(findings); err != nil {
		return nil, err
	}
	switch {
	case cfg.AppID != env.Account.AppID:
		return nil, errors.New("WECHAT_APP_ID: is not the account's app id")
	case cfg.MerchantID != env.Account.MerchantID:
		return nil, errors.New("WECHAT_MCH_ID: is not the account's merchant number")
	}
	c := &client{env: env, material: m}
	c.known.Store(&m.start)
	// Test accounts are kept off the live hosts, and live accounts on them.
	switch {
	case env.Account.Livemode && env.Sim != "":
		return nil, errors.New("wechatv3: a live account speaks to the platform only")
	case env.Account.Livemode:
		c.base, c.backup = liveURL, []string{liveBackup}
	case env.Sim == "":
		return nil, errors.New("wechatv3: the platform has no sandbox; a test account needs the simulator")
	default:
		c.base = strings.TrimSuffix(env.Sim, "/")
	}
	return c, nil
}

func newAEAD(key string) (cipher.AEAD, error) {
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func fail(op string, kind channel.Kind, code, text string) *channel.Error {
	return &channel.Error{Kind: kind, Op: op, Code: code, Text: text}
}
