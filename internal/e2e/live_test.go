package e2e

import (
	_ "embed"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/doctor"
	sims "piaohao/internal/sim/all"
	"piaohao/internal/sim/wechatsim"
)

// guide is the settings of the integration guide that shops followed before, block by block as it prints them.
//
//go:embed testdata/guide.env
var guide string

// guideEnv is the guide's file with a real merchant's values in its placeholders, and in the form that it prints: keys
// unquoted over several lines, comments behind values.
func guideEnv(c sims.Credentials) string {
	return strings.NewReplacer(
		"wx1234567890abcdef", c.WeChat.AppID, "=1234567890", "="+c.WeChat.MerchantID, "your32digitmerchantkey", c.WeChat.MchKey,
		"yourdomain.com", payHost, "2021000000000000", c.Alipay.AppID,
		"-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC...\n-----END PRIVATE KEY-----\n", c.Alipay.AppPrivateKey,
		"-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA...\n-----END PUBLIC KEY-----\n", c.Alipay.AlipayPublicKey,
	).Replace(guide)
}

// alipayLines and the functions below are .env files of merchants who have gone beyond the guide.
func alipayKeys(c sims.Credentials) string {
	return "ALIPAY_APP_ID=" + c.Alipay.AppID + "\nALIPAY_SELLER_ID=" + c.Alipay.SellerID +
		"\nALIPAY_PRIVATE_KEY=" + c.Alipay.AppPrivateKey + "ALIPAY_PUBLIC_KEY=" + c.Alipay.AlipayPublicKey
}

func alipayCertificates(c sims.Credentials) string {
	return "ALIPAY_APP_ID=" + c.Alipay.AppID + "\nALIPAY_PRIVATE_KEY=" + c.Alipay.AppPrivateKey +
		`ALIPAY_APP_CERT="` + c.Alipay.AppCert + "\"\n" + `ALIPAY_CERT="` + c.Alipay.AlipayCert + "\"\n" +
		`ALIPAY_ROOT_CERT="` + c.Alipay.AlipayRootCert + "\"\n"
}

func wechatV3(c sims.Credentials) string {
	return "PUBLIC_URL=https://" + payHost + "\nWECHAT_APP_ID=" + c.WeChat.AppID + "\nWECHAT_MCH_ID=" + c.WeChat.MerchantID +
		"\nWECHAT_API_V3_KEY=" + c.WeChat.APIv3Key + "\n"
}

func wechatPublicKey(c sims.Credentials) string {
	return wechatV3(c) + "WECHAT_MCH_SERIAL_NO=" + c.WeChat.SerialNo + "\nWECHAT_MCH_PRIVATE_KEY=" + c.WeChat.PrivateKey +
		"WECHAT_PUBLIC_KEY_ID=" + c.WeChat.PublicKeyID + "\nWECHAT_PUBLIC_KEY=" + c.WeChat.PublicKey
}

// TestLive is payers in front of gateways in live mode, one for each set of credentials that merchants have.
func TestLive(t *testing.T) {
	t.Parallel()
	const v2, v3 = "POST https://" + wechatHost + "/pay/unifiedorder", "POST https://" + wechatHost + "/v3/pay/transactions/native"
	for _, tt := range []struct {
		name    string
		options sims.Options
		env     func(sims.Credentials) string
		refusal int    // status of the answer to a wrong notice of WeChat Pay
		order   string // the call that orders a code
		not     string // a call that must not be made
	}{
		{"the guide: APIv2, Alipay's key", served(wechatsim.PublicKeyMode, false), guideEnv, 200, v2, v3},
		{"APIv3 by public key, Alipay's certificates", served(wechatsim.PublicKeyMode, true), func(c sims.Credentials) string {
			return wechatPublicKey(c) + alipayCertificates(c)
		}, 400, v3, v2},
		{"APIv3 by platform certificates and a .p12", served(wechatsim.CertificateMode, false), func(c sims.Credentials) string {
			return wechatV3(c) + "WECHAT_MCH_P12=" + c.WeChat.MchP12 + "\n" + alipayKeys(c)
		}, 400, v3, v2},
		{"mixed: APIv3 by both keys, APIv2 beside it", served(wechatsim.BothMode, false), func(c sims.Credentials) string {
			return wechatPublicKey(c) + "WECHAT_MCH_KEY=" + c.WeChat.MchKey + "\n" + alipayKeys(c)
		}, 400, v3, v2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newLiveTown(t, tt.options, tt.env)
			w.payByWeChat()
			w.payByAlipay()
			calls := w.wire.called()
			if !slices.Contains(calls, tt.order) || slices.Contains(calls, tt.not) {
				t.Errorf("called %q", calls)
			}
			w.routes(tt.refusal)
			w.proven(tt.env(w.sim.Credentials()))
		})
	}
}

// payByWeChat: the shop orders, the payer scans what the page shows, and the page turns by itself.
func (w *liveTown) payByWeChat() {
	w.t.Helper()
	p := w.create("wechat-1", "wechat")
	if !p.Livemode || !strings.HasPrefix(p.Action.Code, "weixin://") || !strings.HasPrefix(p.CashierURL, "https://"+payHost+"/payment/process/") {
		w.t.Fatalf("%+v", p)
	}
	x := w.open(desktop)
	x.visit(p.CashierURL)
	x.sees("明前龙井", "128.00", "等待付款")
	if text := x.html(); strings.Contains(text, "模拟") || strings.Contains(text, "测试模式") {
		w.t.Errorf("a live page speaks of the simulator:\n%s", text)
	}
	w.scan(p.Action.Code)
	x.arrives("https://" + payHost + "/payment/success/")
	x.sees("支付成功", "微信交易单号")
	w.paid(p)
}

// payByAlipay: the payer chooses on our page, pays at the platform's cashier and comes back.
func (w *liveTown) payByAlipay() {
	w.t.Helper()
	p := w.create("alipay-1", "")
	x := w.open(desktop)
	x.visit(p.CashierURL)
	x.click("支付宝")
	x.arrives("https://" + cashierHost)
	x.sees("登录支付宝付款", "明前龙井", "128.00")
	x.click("登录支付宝账户")
	x.sees("确认付款")
	x.click("确认付款")
	x.sees("支付成功")
	x.click("返回商家")
	x.arrives("https://" + payHost + "/payment/success/")
	x.sees("支付成功", "支付宝交易号")
	w.paid(p)
}

func (w *liveTown) paid(p livePayment) {
	w.t.Helper()
	if got := w.api("GET", "/v1/payments/"+p.ID, ""); got.Status != "paid" {
		w.t.Errorf("the shop is told %q", got.Status)
	}
}

// routes are those that the guide names.
func (w *liveTown) routes(refusal int) {
	w.t.Helper()
	for _, row := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/payment", 200},
		{"GET", "/payment/success", 200},
		{"POST", "/payment/wechat/notify", refusal}, // of APIv2 in XML
		{"POST", "/payment/alipay/notify", 200},     // the word "fail"
		{"GET", "/sim", 404},
		{"GET", "/sim/wallet", 404},
		{"GET", "/.env", 404},
	} {
		if got, _ := w.status(row.method, row.path); got != row.status {
			w.t.Errorf("A18 A101 %s %s: %d, want %d", row.method, row.path, got, row.status)
		}
	}
}

// proven asks doctor about the same settings: one signed question for each account, in its own protocol and with its own
// keys, is answered as it must be.
func (w *liveTown) proven(env string) {
	w.t.Helper()
	r := doctor.Examine(w.t.Context(), doctor.In{
		Config: w.settings(env), Now: time.Now, Online: true, Platforms: w.wire.carry(), Web: w.shop.Transport,
	})
	if len(r.Accounts) < 2 {
		w.t.Errorf("doctor sees %d accounts", len(r.Accounts))
	}
	for _, a := range r.Accounts {
		asked := false
		for _, f := range a.Findings {
			if f.Level == channel.LevelError {
				w.t.Errorf("doctor on %s: %s %s; %s", a.ID, f.Code, f.Text, f.Cure)
			}
			asked = asked || f.Code == "proven"
		}
		if !asked {
			w.t.Errorf("doctor did not prove %s: %+v", a.ID, a.Findings)
		}
	}
}
