// Package alipay is the client side of Alipay's open platform, gateway protocol (V2): page pay and wap pay, query,
// close, refunds, asynchronous notices and the payer's signed return. RSA2 (SHA256withRSA), in public-key mode and in certificate
// mode; neither algorithm nor key is chosen by a message. "opendocs" are the platform's documents, opendocs.alipay.com.
package alipay

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
)

const name = "alipay" // of the driver and of the method

// Config is what one app of the open platform needs. PublicKey means public-key mode, the three certificates together
// certificate mode; an app has one of the two. Key texts are PEM or bare base64 (package keys).
type Config struct {
	AppID      string      `env:"ALIPAY_APP_ID" en:"APPID of the app on the open platform" zh:"支付宝开放平台的应用 APPID"`
	SellerID   string      `env:"ALIPAY_SELLER_ID" weak:"true" en:"Merchant's PID, begins with 2088; unset, the first paid notice fixes it" zh:"商户 PID，以 2088 开头；不填则由第一笔已支付通知固定"`
	PrivateKey secret.Text `env:"ALIPAY_PRIVATE_KEY" key:"private" en:"The app's private key" zh:"应用私钥"`
	PublicKey  string      `env:"ALIPAY_PUBLIC_KEY" key:"public" en:"Alipay's public key, not the app's own" zh:"支付宝公钥（不是应用公钥）"`
	AppCert    string      `env:"ALIPAY_APP_CERT" key:"certificate" en:"Certificate mode: the app's certificate, appCertPublicKey_APPID.crt" zh:"证书模式：应用公钥证书 appCertPublicKey_APPID.crt"`
	Cert       string      `env:"ALIPAY_CERT" key:"certificate" en:"Certificate mode: Alipay's certificate, alipayCertPublicKey_RSA2.crt" zh:"证书模式：支付宝公钥证书 alipayCertPublicKey_RSA2.crt"`
	RootCert   string      `env:"ALIPAY_ROOT_CERT" key:"certificate" en:"Certificate mode: Alipay's root certificates, alipayRootCert.crt" zh:"证书模式：支付宝根证书 alipayRootCert.crt"`
}

// Identity is the app id and, when it is set, the seller.
func (c *Config) Identity() (appID, merchantID string) { return c.AppID, c.SellerID }

// The platform's own gateways (opendocs, gateway and sandbox).
const (
	liveGateway    = "https://openapi.alipay.com/gateway.do"
	sandboxGateway = "https://openapi-sandbox.dl.alipaydev.com/gateway.do"
)

// maxOrderLife is the longest time the platform keeps an order unpaid (timeout_express 15d, opendocs, alipay.trade.page.pay); the
// order's own time_expire always comes first.
const maxOrderLife = 15 * 24 * time.Hour

// Driver is this package's one value. The "_form" products are never chosen for a device, only by name. FormHosts
// cover both hosts of the gateway and the cashier it redirects to: Chromium applies form-action to redirects too.
var Driver = channel.Driver{
	Info: channel.Info{
		Channel:     name,
		Method:      name,
		Prefix:      "ALIPAY",
		NotifyPath:  "/payment/alipay/notify",
		BrowserMark: "AlipayClient",
		FormHosts:   []string{"https://*.alipay.com", "https://*.alipaydev.com"},
		Sandbox:     true, MerchantOptional: true,
		Refunds: refundLimits,
		Products: []channel.Product{
			{Name: "page", Shape: pay.ShapeURL, Lazy: true, Desktop: true, Lifetime: maxOrderLife},
			{Name: "wap", Shape: pay.ShapeURL, Lazy: true, Phone: true, Lifetime: maxOrderLife},
			{Name: "page_form", Shape: pay.ShapeForm, Lazy: true, Lifetime: maxOrderLife},
			{Name: "wap_form", Shape: pay.ShapeForm, Lazy: true, Lifetime: maxOrderLife},
		},
	},
	Settings: func() channel.Settings { return &Config{} },
	New:      open,
}

// client is the Channel of one account. It holds parsed keys and is never written after open.
type client struct {
	env     channel.Env
	appID   string
	gateway string
	private *rsa.PrivateKey
	public  *rsa.PublicKey // Alipay's
	certs   *certificates  // nil in key mode
}

func open(settings channel.Settings, env channel.Env) (channel.Channel, error) {
	cfg, ok := settings.(*Config)
	if !ok {
		return nil, fmt.Errorf("alipay: settings are %T", settings)
	}
	gateway, err := gatewayFor(env)
	if err != nil {
		return nil, err
	}
	now := env.Now()
	h, findings := cfg.inspect(now)
	if env.Account.Livemode {
		findings = append(findings, cfg.forLive(h, now)...)
	}
	if err := channel.Faulty(findings); err != nil {
		return nil, err
	}
	if env.Account.AppID != cfg.AppID || env.Account.MerchantID != cfg.SellerID {
		return nil, errors.New("alipay: the account's app id or merchant number differs from ALIPAY_APP_ID or ALIPAY_SELLER_ID")
	}
	return &client{env: env, appID: cfg.AppID, gateway: gateway, private: h.private, public: h.public, certs: h.certs}, nil
}

// gatewayFor keeps live accounts on the platform's own host.
func gatewayFor(env channel.Env) (string, error) {
	switch {
	case env.Account.Livemode && env.Sim != "":
		return "", errors.New("alipay: a live account speaks to the platform only")
	case env.Account.Livemode:
		return liveGateway, nil
	case env.Sim != "":
		return strings.TrimSuffix(env.Sim, "/") + "/gateway.do", nil
	}
	return sandboxGateway, nil
}

// Ack is exactly "success" or "fail" (opendocs, asynchronous notices: anything but "success" is sent again, 8 times in 25 hours).
func (*client) Ack(accepted bool) channel.Reply {
	word := "fail"
	if accepted {
		word = "success"
	}
	return channel.Reply{Status: 200, ContentType: "text/plain; charset=utf-8", Body: word}
}

func fail(op string, kind channel.Kind, code, text string) *channel.Error {
	return &channel.Error{Kind: kind, Op: op, Code: code, Text: text}
}

// only reports whether every byte of s passes.
func only(s string, pass func(byte) bool) bool {
	for i := range len(s) {
		if !pass(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isNumberByte holds for what order and trade numbers are made of; a real notice carries a hyphen.
func isNumberByte(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '-'
}
