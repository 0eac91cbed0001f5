// Package wechatv3 speaks WeChat Pay's APIv3 as a direct merchant in public key mode (微信支付公钥): the product
// native, whose code a payer scans. Facts are from the platform's documentation centre (pay.weixin.qq.com/doc);
// published vectors and documented exchanges lie in spec/wechat.
package wechatv3

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
)

// name is the Channel of attempts and observations.
const name = "wechatv3"

// liveURL is the platform's primary host (APIv3 接口规则); the platform has no sandbox.
const liveURL = "https://api.mch.weixin.qq.com"

// codeLifetime is how long a code_url can be scanned (Native下单, code_url: 2 小时).
const codeLifetime = 2 * time.Hour

// Config is the one declaration of the driver's settings.
type Config struct {
	AppID       string      `env:"WECHAT_APP_ID" en:"AppID of the official account, mini program or app that is bound to the merchant number" zh:"与商户号绑定的公众号、小程序或 App 的 AppID"`
	MerchantID  string      `env:"WECHAT_MCH_ID" en:"Merchant number, 8 to 10 digits" zh:"商户号，8 到 10 位数字"`
	SerialNo    string      `env:"WECHAT_MCH_SERIAL_NO" en:"APIv3: serial number of the merchant API certificate, hexadecimal" zh:"APIv3：商户 API 证书序列号，十六进制"`
	PrivateKey  secret.Text `env:"WECHAT_MCH_PRIVATE_KEY" key:"private" en:"APIv3: private key of the merchant API certificate (apiclient_key.pem)" zh:"APIv3：商户 API 证书的私钥（apiclient_key.pem）"`
	APIv3Key    secret.Text `env:"WECHAT_API_V3_KEY" en:"APIv3 key, 32 characters; it decrypts notices" zh:"APIv3 密钥，32 个字符，用于解密回调"`
	PublicKeyID string      `env:"WECHAT_PUBLIC_KEY_ID" en:"APIv3: id of the WeChat Pay public key, begins with PUB_KEY_ID_" zh:"APIv3：微信支付公钥 ID，以 PUB_KEY_ID_ 开头"`
	PublicKey   string      `env:"WECHAT_PUBLIC_KEY" key:"public" en:"APIv3: WeChat Pay public key (pub_key.pem)" zh:"APIv3：微信支付公钥（pub_key.pem）"`
}

// Identity is the app id and the merchant number.
func (c *Config) Identity() (appID, merchantID string) { return c.AppID, c.MerchantID }

// Inspect finds the first fault.
func (c *Config) Inspect(time.Time) []channel.Finding {
	if _, err := c.parse(); err != nil {
		return []channel.Finding{{Level: channel.LevelError, Code: "invalid", Text: err.Error()}}
	}
	return nil
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
	},
	Settings: func() channel.Settings { return &Config{} },
	New:      New,
}

type client struct {
	env    channel.Env
	base   string // origin, no trailing slash
	mchID  string
	serial string // of the merchant certificate: names the key we sign with
	key    *rsa.PrivateKey
	peerID string // public key id: names the key the platform signs with
	peer   *rsa.PublicKey
	aead   cipher.AEAD // under the APIv3 key

	warned atomic.Int64 // when clock_skew was logged last, Unix seconds
}

// Forms of the settings; lengths are from the documentation's parameter tables (mchid, appid: string(32)).
var (
	appIDForm  = regexp.MustCompile(`^[0-9A-Za-z_]{1,32}$`)
	mchIDForm  = regexp.MustCompile(`^[0-9]{8,10}$`)
	serialForm = regexp.MustCompile(`^[0-9A-Fa-f]{16,64}$`)
	peerIDForm = regexp.MustCompile(`^PUB_KEY_ID_[0-9A-Za-z]{1,64}$`)
)

const apiV3KeySize = 32 // bytes: AES-256 (APIv3密钥设置)

// New builds the channel of one account from a *Config. An error names the setting at fault and repeats nothing of
// its content.
func New(settings channel.Settings, env channel.Env) (channel.Channel, error) {
	cfg, ok := settings.(*Config)
	if !ok {
		return nil, fmt.Errorf("wechatv3: settings are %T", settings)
	}
	base, err := origin(env)
	if err != nil {
		return nil, err
	}
	c, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.AppID != env.Account.AppID:
		return nil, errors.New("WECHAT_APP_ID: is not the account's app id")
	case cfg.MerchantID != env.Account.MerchantID:
		return nil, errors.New("WECHAT_MCH_ID: is not the account's merchant number")
	}
	c.env, c.base = env, base
	return c, nil
}

// parse turns the settings into a client without surroundings.
func (c *Config) parse() (*client, error) {
	switch {
	case !appIDForm.MatchString(c.AppID):
		return nil, errors.New("WECHAT_APP_ID: must be 1 to 32 letters, digits or _")
	case !mchIDForm.MatchString(c.MerchantID):
		return nil, errors.New("WECHAT_MCH_ID: must be 8 to 10 digits")
	case !serialForm.MatchString(c.SerialNo):
		return nil, errors.New("WECHAT_MCH_SERIAL_NO: must be the certificate's serial number in hexadecimal")
	case !peerIDForm.MatchString(c.PublicKeyID):
		return nil, errors.New("WECHAT_PUBLIC_KEY_ID: must be the id from the merchant console, PUB_KEY_ID_ included")
	case len(c.APIv3Key.Reveal()) != apiV3KeySize:
		return nil, errors.New("WECHAT_API_V3_KEY: must be 32 characters")
	}
	key, err := parsePrivateKey(c.PrivateKey.Reveal())
	if err != nil {
		return nil, fmt.Errorf("WECHAT_MCH_PRIVATE_KEY: %w", err)
	}
	peer, err := parsePublicKey(c.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("WECHAT_PUBLIC_KEY: %w", err)
	}
	if peer.N.Cmp(key.N) == 0 { // the commonest mistake: every answer would look forged
		return nil, errors.New("WECHAT_PUBLIC_KEY: is your own key; download the WeChat Pay public key from the merchant console")
	}
	aead, err := newAEAD(c.APIv3Key.Reveal())
	if err != nil {
		return nil, errors.New("WECHAT_API_V3_KEY: cannot be used")
	}
	return &client{mchID: c.MerchantID, serial: c.SerialNo, key: key, peerID: c.PublicKeyID, peer: peer, aead: aead}, nil
}

// origin keeps test accounts off the live host and live accounts on it.
func origin(env channel.Env) (string, error) {
	switch {
	case env.Account.Livemode && env.Sim != "":
		return "", errors.New("wechatv3: a live account speaks to the platform only")
	case env.Account.Livemode:
		return liveURL, nil
	case env.Sim == "":
		return "", errors.New("wechatv3: the platform has no sandbox; a test account needs the simulator")
	}
	return strings.TrimSuffix(env.Sim, "/"), nil
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
