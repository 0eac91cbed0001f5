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
	"net/url"
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
	AppID       string      `env:"WECHAT_APP_ID" doc:"AppID of the official account, mini program or app that is bound to the merchant number"`
	MerchantID  string      `env:"WECHAT_MCH_ID" doc:"Merchant number (商户号), 8 to 10 digits"`
	SerialNo    string      `env:"WECHAT_SERIAL_NO" doc:"Serial number of the merchant API certificate (商户API证书序列号), hexadecimal"`
	PrivateKey  secret.Text `env:"WECHAT_PRIVATE_KEY" doc:"Private key of the merchant API certificate (apiclient_key.pem), PEM or bare base64"`
	APIv3Key    secret.Text `env:"WECHAT_API_V3_KEY" doc:"APIv3 key (APIv3密钥), 32 characters; it decrypts notices"`
	PublicKeyID string      `env:"WECHAT_PUBLIC_KEY_ID" doc:"Id of the WeChat Pay public key (微信支付公钥ID), begins with PUB_KEY_ID_"`
	PublicKey   string      `env:"WECHAT_PUBLIC_KEY" doc:"WeChat Pay public key (pub_key.pem), PEM or bare base64"`

	BaseURL string // origin of the platform; "" = the live host, which a test account refuses
}

// Driver is what this package offers.
var Driver = channel.Driver{
	Info: channel.Info{
		Channel:     name,
		Method:      "wechat",
		NotifyPath:  "/payment/wechat/notify",
		BrowserMark: "MicroMessenger",
		Products: []channel.Product{{
			// A phone shows the code too: it is scanned from another device.
			Name: "native", Shape: pay.ShapeQR, Phone: true, Desktop: true, Lifetime: codeLifetime,
		}},
	},
	New: New,
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
func New(config any, env channel.Env) (channel.Channel, error) {
	cfg, ok := config.(*Config)
	if !ok {
		return nil, fmt.Errorf("wechatv3: config is %T", config)
	}
	base, err := baseURL(cfg.BaseURL, env.Account.Livemode)
	if err != nil {
		return nil, err
	}
	switch {
	case !appIDForm.MatchString(cfg.AppID):
		return nil, errors.New("WECHAT_APP_ID: must be 1 to 32 letters, digits or _")
	case !mchIDForm.MatchString(cfg.MerchantID):
		return nil, errors.New("WECHAT_MCH_ID: must be 8 to 10 digits")
	case cfg.AppID != env.Account.AppID:
		return nil, errors.New("WECHAT_APP_ID: is not the account's app id")
	case cfg.MerchantID != env.Account.MerchantID:
		return nil, errors.New("WECHAT_MCH_ID: is not the account's merchant number")
	case !serialForm.MatchString(cfg.SerialNo):
		return nil, errors.New("WECHAT_SERIAL_NO: must be the certificate's serial number in hexadecimal")
	case !peerIDForm.MatchString(cfg.PublicKeyID):
		return nil, errors.New("WECHAT_PUBLIC_KEY_ID: must be the id from the merchant console, PUB_KEY_ID_ included")
	case len(cfg.APIv3Key.Reveal()) != apiV3KeySize:
		return nil, errors.New("WECHAT_API_V3_KEY: must be 32 characters")
	}
	key, err := parsePrivateKey(cfg.PrivateKey.Reveal())
	if err != nil {
		return nil, fmt.Errorf("WECHAT_PRIVATE_KEY: %w", err)
	}
	peer, err := parsePublicKey(cfg.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("WECHAT_PUBLIC_KEY: %w", err)
	}
	if peer.N.Cmp(key.N) == 0 { // the commonest mistake: every answer would look forged
		return nil, errors.New("WECHAT_PUBLIC_KEY: is your own key; download the WeChat Pay public key from the merchant console")
	}
	aead, err := newAEAD(cfg.APIv3Key.Reveal())
	if err != nil {
		return nil, errors.New("WECHAT_API_V3_KEY: cannot be used")
	}
	return &client{
		env: env, base: base, mchID: cfg.MerchantID, serial: cfg.SerialNo, key: key,
		peerID: cfg.PublicKeyID, peer: peer, aead: aead,
	}, nil
}

// baseURL keeps test accounts off the live host and live accounts off everything that is not https.
func baseURL(given string, live bool) (string, error) {
	if given == "" && live {
		return liveURL, nil
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "" || strings.TrimSuffix(given, "/") != u.Scheme+"://"+u.Host {
		return "", errors.New("wechatv3: base URL must be an origin such as http://127.0.0.1:5001")
	}
	if u.Scheme != "https" && (live || u.Scheme != "http") {
		return "", errors.New("wechatv3: base URL must be https")
	}
	return u.Scheme + "://" + u.Host, nil
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
