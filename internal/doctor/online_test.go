package doctor_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"piaohao/internal/secret"
)

func TestOnlineAtThePlatforms(t *testing.T) {
	t.Parallel()
	run(t, true, []broken{
		{"the private key is another's (WeChat Pay)", func(w *world) {
			w.wechat.PrivateKey = secret.New(privatePEM("stranger"))
		}, bad, "key_refused", "WECHAT_MCH_PRIVATE_KEY", "private key"},
		{"the private key is another's (Alipay)", func(w *world) {
			w.alipay.PrivateKey = secret.New(privatePEM("stranger"))
		}, bad, "key_refused", "ALIPAY_PRIVATE_KEY", "应用公钥"},
		{"the serial is another certificate's", func(w *world) {
			w.wechat.SerialNo = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
		}, bad, "serial_refused", "WECHAT_MCH_SERIAL_NO", "openssl x509"},
		{"the platform's public key is another's (WeChat Pay)", func(w *world) {
			w.wechat.PublicKey = publicPEM("stranger")
		}, bad, "answer_unverified", "WECHAT_PUBLIC_KEY", "微信支付公钥"},
		{"the platform's public key is another's (Alipay)", func(w *world) {
			w.alipay.PublicKey = publicPEM("stranger")
		}, bad, "answer_unverified", "ALIPAY_PUBLIC_KEY", "支付宝公钥"},
		{"the merchant number is another's", func(w *world) {
			w.wechat.MerchantID, w.account(wechatAccount).MerchantID = "1619520738", "1619520738"
		}, bad, "merchant_unknown", "WECHAT_MCH_ID", "merchant console"},
		{"the app id is another's", func(w *world) {
			w.alipay.AppID, w.account(alipayAccount).AppID = "2021000000009999", "2021000000009999"
		}, bad, "app_unknown", "ALIPAY_APP_ID", "APPID"},
		{"A39 a clock some seconds off", func(w *world) { w.now = now.Add(7 * time.Second) }, doubt, "clock", "", "NTP"},
		{"A39 a clock minutes ahead", func(w *world) { w.now = now.Add(2 * time.Minute) }, bad, "clock", "", "NTP"},
		{"A39 a clock minutes behind", func(w *world) { w.now = now.Add(-2 * time.Minute) }, bad, "clock", "", "NTP"},
		{"A39 a clock so far off that signatures are refused", func(w *world) { w.now = now.Add(-11 * time.Minute) }, bad, "clock", "", "NTP"},
	})
}

// answers replaces the answers of one platform, by a part of its path; the other platform is the simulator's.
func (w *world) answers(path string, status int, body string) {
	sim := w.in.Platforms
	w.in.Platforms = tripper(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.Path, path) {
			return sim.RoundTrip(r)
		}
		return &http.Response{
			StatusCode: status, Header: http.Header{"Date": {now.Format(http.TimeFormat)}}, Request: r,
			Body: io.NopCloser(bytes.NewReader([]byte(body))),
		}, nil
	})
}

// fails makes one platform unreachable.
func (w *world) fails(path string, err error) {
	sim := w.in.Platforms
	w.in.Platforms = tripper(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.Path, path) {
			return sim.RoundTrip(r)
		}
		return nil, err
	})
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What a platform that cannot be simulated answers: statuses and codes of 错误码和错误提示, and of opendocs, errors.
func TestOnlineOtherAnswers(t *testing.T) {
	t.Parallel()
	const wechat, alipay = "/v3/", "/gateway.do"
	refused := func(code, sub string) string {
		return `{"alipay_trade_query_response":{"code":"` + code + `","msg":"x","sub_code":"` + sub + `"}}`
	}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	untrusted := &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	run(t, true, []broken{
		{"the app is not bound to the merchant", func(w *world) {
			w.answers(wechat, 400, `{"code":"APPID_MCHID_NOT_MATCH","message":"x"}`)
		}, bad, "app_not_bound", "WECHAT_APP_ID", "AppID账号管理"},
		{"the product is not signed for", func(w *world) {
			w.answers(wechat, 403, `{"code":"NO_AUTH","message":"x"}`)
		}, bad, "no_permission", "", "contract"},
		{"the app is not online", func(w *world) {
			w.answers(alipay, 200, refused("40006", "isv.insufficient-isv-permissions"))
		}, bad, "no_permission", "", "online"},
		{"the app is in certificate mode", func(w *world) {
			w.answers(alipay, 200, refused("40001", "isv.missing-app-cert-sn"))
		}, bad, "needs_certificates", "", "three certificates"},
		{"no public key was uploaded", func(w *world) {
			w.answers(alipay, 200, refused("40003", "isv.missing-signature-config"))
		}, bad, "no_key_uploaded", "ALIPAY_PRIVATE_KEY", "接口加签方式"},
		{"asked too often", func(w *world) {
			w.answers(wechat, 429, `{"code":"FREQUENCY_LIMITED","message":"x"}`)
		}, doubt, "limited", "", "minutes"},
		{"the platform has trouble", func(w *world) {
			w.answers(wechat, 500, `{"code":"SYSTEM_ERROR","message":"x"}`)
		}, doubt, "platform_trouble", "", "minutes"},
		{"an answer that nobody has described", func(w *world) {
			w.answers(alipay, 200, `{"nonsense":{}}`)
		}, bad, "query_failed", "", "documents"},
		{"no name server", func(w *world) { w.fails(wechat, dial(&net.DNSError{Err: "no such host"})) }, bad, "platform_dns", "", "resolv.conf"},
		{"no way out", func(w *world) { w.fails(alipay, dial(syscall.ECONNREFUSED)) }, bad, "platform_unreachable", "", "firewalls"},
		{"no answer in time", func(w *world) { w.fails(wechat, context.DeadlineExceeded) }, bad, "platform_timeout", "", "firewall"},
		{"A88 somebody in between", func(w *world) { w.fails(alipay, untrusted) }, bad, "platform_tls_untrusted", "", "public authority"},
	})
}
