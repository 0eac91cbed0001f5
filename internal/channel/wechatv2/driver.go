// Package wechatv2 speaks WeChat Pay's APIv2 as a direct merchant: XML messages that both sides sign with one key, and
// the product native, whose code a payer scans. Facts are from the platform's APIv2 documentation
// (pay.weixin.qq.com/wiki/doc/api); published vectors and documented exchanges lie in spec/wechat.
package wechatv2

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5" //nolint:gosec // the platform's own derivation of the key for req_info
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
)

// name is the Channel of attempts and observations.
const name = "wechatv2"

// The platform's hosts: both take the same paths, and the signature covers neither (接口规则, 接入点). There is no
// sandbox that takes this product.
const (
	liveURL    = "https://api.mch.weixin.qq.com"
	backupHost = "api2.mch.weixin.qq.com"
)

// codeLifetime is how long a code_url can be scanned (统一下单, code_url: 2 小时).
const codeLifetime = 2 * time.Hour

// Config is the one declaration of the driver's settings.
type Config struct {
	AppID      string      `env:"WECHAT_APP_ID" en:"AppID of the official account, mini program or app that is bound to the merchant number" zh:"与商户号绑定的公众号、小程序或 App 的 AppID"`
	MerchantID string      `env:"WECHAT_MCH_ID" en:"Merchant number, 8 to 10 digits" zh:"商户号，8 到 10 位数字"`
	MchKey     secret.Text `env:"WECHAT_MCH_KEY" en:"APIv2: API key, 32 characters; it signs the messages of both sides" zh:"APIv2：API 密钥（商户密钥），32 个字符，双方的报文都用它签名"`
	SignType   string      `env:"WECHAT_SIGN_TYPE" weak:"true" en:"APIv2: how messages are signed, MD5 (default) or HMAC-SHA256" zh:"APIv2：签名方式，MD5（默认）或 HMAC-SHA256"`

	// Refunds show the merchant API certificate, everything else does without: Cert with Key, or P12. Where none of the three
	// is set it is APIv3's, whose settings mean APIv3 (adr 012).
	Cert       string      `env:"WECHAT_V2_CERT" key:"certificate" weak:"true" en:"APIv2 without APIv3: merchant API certificate (apiclient_cert.pem); refunds show it, payments do without" zh:"只有 APIv2 时：商户 API 证书（apiclient_cert.pem），仅退款需要，收款不需要"`
	Key        secret.Text `env:"WECHAT_V2_PRIVATE_KEY" key:"private" weak:"true" en:"APIv2 without APIv3: private key of that certificate (apiclient_key.pem)" zh:"只有 APIv2 时：该证书的私钥（apiclient_key.pem）"`
	P12        secret.Text `env:"WECHAT_V2_P12" key:"p12" weak:"true" en:"APIv2 without APIv3: that certificate with its private key (apiclient_cert.p12) in base64, in place of both" zh:"只有 APIv2 时：该证书及私钥（apiclient_cert.p12）的 base64，可代替以上两种文件"`
	PrivateKey secret.Text `env:"WECHAT_MCH_PRIVATE_KEY" key:"private" weak:"true" en:"APIv3: private key of the merchant API certificate (apiclient_key.pem)" zh:"APIv3：商户 API 证书的私钥（apiclient_key.pem）"`
	MchCert    string      `env:"WECHAT_MCH_CERT" key:"certificate" weak:"true" en:"APIv3: merchant API certificate (apiclient_cert.pem); it holds the serial number, and APIv2 beside APIv3 refunds with it" zh:"APIv3：商户 API 证书（apiclient_cert.pem），从中读取序列号；与 APIv3 并存的 APIv2 也用它退款"`
	MchP12     secret.Text `env:"WECHAT_MCH_P12" key:"p12" weak:"true" en:"APIv3: merchant API certificate with its private key (apiclient_cert.p12) in base64, in place of both" zh:"APIv3：商户 API 证书及私钥（apiclient_cert.p12）的 base64，可代替以上两种文件"`
}

// Identity is the app id and the merchant number.
func (c *Config) Identity() (appID, merchantID string) { return c.AppID, c.MerchantID }

// CanRefund reports whether c holds a merchant API certificate that counts now.
func (c *Config) CanRefund(now time.Time) bool {
	cert, _ := c.certificate(now)
	return cert != nil
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
	env     channel.Env
	base    string   // origin, no trailing slash
	backup  []string // hosts to try when base cannot be reached
	key     secret.Text
	variant string       // of new attempts
	reqInfo cipher.Block // opens req_info of refund notices

	secure string            // base of the calls that show a certificate, "" = there are none
	cert   *x509.Certificate // that they show, nil = none
	proof  *http.Client      // shows it, nil = there is none
}

// New builds the channel of one account from a *Config. An error names the setting at fault and repeats nothing of
// its content.
func New(settings channel.Settings, env channel.Env) (channel.Channel, error) {
	cfg, ok := settings.(*Config)
	if !ok {
		return nil, fmt.Errorf("wechatv2: settings are %T", settings)
	}
	if err := channel.Faulty(cfg.Inspect(env.Now())); err != nil {
		return nil, err
	}
	c := &client{env: env, key: cfg.MchKey, variant: cfg.signType()}
	if cert, _ := cfg.certificate(env.Now()); cert != nil && env.Certified != nil {
		c.cert, c.proof = cert.Leaf, env.Certified(*cert)
	}
	switch {
	case cfg.AppID != env.Account.AppID:
		return nil, errors.New("WECHAT_APP_ID: is not the account's app id")
	case cfg.MerchantID != env.Account.MerchantID:
		return nil, errors.New("WECHAT_MCH_ID: is not the account's merchant number")
	case env.Account.Livemode && (env.Sim != "" || env.SimSecure != ""):
		return nil, errors.New("wechatv2: a live account speaks to the platform only")
	case env.Account.Livemode:
		c.base, c.secure, c.backup = liveURL, liveURL, []string{backupHost}
	case env.Sim == "":
		return nil, errors.New("wechatv2: the platform has no sandbox; a test account needs the simulator")
	default:
		c.base, c.secure = strings.TrimSuffix(env.Sim, "/"), strings.TrimSuffix(env.SimSecure, "/")
	}
	var err error
	if c.reqInfo, err = reqInfoCipher(cfg.MchKey.Reveal()); err != nil {
		return nil, errors.New("WECHAT_MCH_KEY: cannot be used")
	}
	return c, nil
}

// Variant is how new attempts are signed.
func (c *client) Variant() string { return c.variant }

// reqInfoCipher is AES-256 under the lower-case hex MD5 of the API key (退款结果通知, 解密步骤).
func reqInfoCipher(key string) (cipher.Block, error) {
	sum := md5.Sum([]byte(key)) //nolint:gosec // as above
	return aes.NewCipher([]byte(hex.EncodeToString(sum[:])))
}

func fail(op string, kind channel.Kind, code, text string) *channel.Error {
	return &channel.Error{Kind: kind, Op: op, Code: code, Text: text}
}
