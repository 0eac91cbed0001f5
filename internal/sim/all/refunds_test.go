package all

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestConsoleRefunds(t *testing.T) {
	t.Parallel()
	c := newTown(t)
	c.wechatOrder("console-1")
	for _, row := range []struct {
		name, path string
		ask        map[string]any
		status     int
		reason     any
	}{
		{"unpaid", "/sim/wechat/refund", map[string]any{"code": "console-1"}, 409, "not_paid"},
		{"unknown", "/sim/wechat/refund", map[string]any{"code": "nothing"}, 404, "unknown"},
		{"of the other platform", "/sim/alipay/refund", map[string]any{"code": "console-1"}, 404, "unknown"},
		{"a negative amount", "/sim/wechat/refund", map[string]any{"code": "console-1", "amount": -1}, 400, "invalid"},
		{"a misspelt name", "/sim/wechat/refund", map[string]any{"code": "console-1", "amuont": 1}, 400, "invalid"},
	} {
		if status, got := c.postJSON(row.path, row.ask); status != row.status || got["reason"] != row.reason {
			t.Errorf("%s: %d %v", row.name, status, got)
		}
	}
	c.wantPay(map[string]any{"code": "console-1"}, 200, "")
	c.wantPay(map[string]any{"code": c.alipayLink("console002")}, 200, "")
	if status, got := c.postJSON("/sim/wechat/refund", map[string]any{"code": "console-1", "amount": 900}); status != 200 || got["amount"] != 900.0 || got["by"] != "console" || got["state"] != "PROCESSING" {
		t.Errorf("wechat: %d %v", status, got)
	}
	if status, got := c.postJSON("/sim/alipay/refund", map[string]any{"code": "console002"}); status != 200 || got["amount"] != 9900.0 || got["state"] != "REFUND_SUCCESS" {
		t.Errorf("alipay: %d %v", status, got)
	}
	_, body, _ := c.get("/sim/books")
	for _, want := range []string{
		`"state":"REFUND","amount":9900,"refunded":0,"refunding":900,"refunds":[{"number":"console`, `"state":"TRADE_CLOSED","amount":9900,"refunded":9900,"refunds":[{`,
		`"wechat":{"paid":9900,"refunded":900,"withdrawn":0,"balance":9000}`, `"alipay":{"paid":9900,"refunded":9900,"withdrawn":0,"balance":0}`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("books %s lack %s", body, want)
		}
	}
	c.wall.Store(1000)
	for range 4 {
		if _, err := c.sim.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	var all strings.Builder
	for len(c.notices) > 0 {
		all.WriteString(<-c.notices)
	}
	for _, want := range []string{"REFUND.SUCCESS", "refund_fee=99.00"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("notices lack %s", want)
		}
	}
}

func TestRefundButton(t *testing.T) {
	t.Parallel()
	c := newTown(t)
	c.wechatOrder("button-1")
	press := func(platform, code string) (int, string) {
		return c.post("/sim/refund", "application/x-www-form-urlencoded", url.Values{"platform": {platform}, "code": {code}}.Encode())
	}
	if status, body := press("wechat", "button-1"); status != 409 || !strings.Contains(body, "还没有支付") {
		t.Errorf("unpaid: %d %s", status, body)
	}
	if status, body := press("wechat", "nothing"); status != 404 || !strings.Contains(body, "没有这笔订单") {
		t.Errorf("unknown: %d %s", status, body)
	}
	if status, body := press("paypal", "button-1"); status != 400 || !strings.Contains(body, "请求不完整") {
		t.Errorf("no platform: %d %s", status, body)
	}
	if _, body, _ := c.get("/sim"); strings.Contains(body, "退款 ¥") {
		t.Error("an unpaid order has the button")
	}
	c.wantPay(map[string]any{"code": "button-1"}, 200, "")
	if _, body, _ := c.get("/sim"); !strings.Contains(body, "退款 ¥99.00") || strings.Contains(body, "已退款") {
		t.Errorf("a paid order has no button: %s", body)
	}
	if status, _ := press("wechat", "button-1"); status != http.StatusSeeOther {
		t.Errorf("press: %d", status)
	}
	if _, body, _ := c.get("/sim"); strings.Contains(body, "退款 ¥99.00</button>") || !strings.Contains(body, "已退款") || !strings.Contains(body, "退款中 ¥99.00") {
		t.Errorf("after it: %s", body)
	}
	if _, body, _ := c.get("/sim/wallet?code=button-1"); !strings.Contains(body, "¥99.00 PROCESSING") {
		t.Errorf("the wallet does not show it: %s", body)
	}
}

func TestBalance(t *testing.T) {
	t.Parallel()
	c := newTown(t)
	c.wechatOrder("balance-1")
	c.wantPay(map[string]any{"code": "balance-1"}, 200, "")
	for _, bad := range []map[string]any{{}, {"balance_fen": -1}, {"balance_fen": 1, "platform": "paypal"}, {"balance": 1}, {"balance_fen": 1 << 60}} {
		if status, got := c.postJSON("/sim/balance", bad); status != 400 || got["reason"] != "invalid" {
			t.Errorf("%v: %d %v", bad, status, got)
		}
	}
	balance := func(ask map[string]any, platform string) any {
		status, got := c.postJSON("/sim/balance", ask)
		ledger, _ := got[platform].(map[string]any)
		if status != 200 {
			t.Errorf("%v: %d %v", ask, status, got)
		}
		return ledger["balance"]
	}
	if got := balance(map[string]any{"balance_fen": 0}, "wechat"); got != 0.0 {
		t.Errorf("balance %v", got)
	}
	if status, got := c.postJSON("/sim/wechat/refund", map[string]any{"code": "balance-1", "amount": 1}); status != 409 || got["reason"] != "balance_short" {
		t.Errorf("refund: %d %v", status, got)
	}
	if got := balance(map[string]any{"balance_fen": 1, "platform": "wechat"}, "alipay"); got != 0.0 {
		t.Errorf("alipay's balance %v", got)
	}
	if status, got := c.postJSON("/sim/wechat/refund", map[string]any{"code": "balance-1", "amount": 1}); status != 200 {
		t.Errorf("refund: %d %v", status, got)
	}
	if got := balance(map[string]any{"balance_fen": 7, "platform": "alipay"}, "wechat"); got != 0.0 {
		t.Errorf("wechat's balance %v", got)
	}
}

func TestSecureListener(t *testing.T) {
	t.Parallel()
	o := Options{PublicURL: "http://127.0.0.1:1", Wall: time.Now, Keys: testKeys(), Log: slog.New(slog.DiscardHandler), SecureAddr: "127.0.0.1:0"}
	sim, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: sim.Secure(), Config: &http.Server{Handler: sim.Handler(), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}}
	server.Start()
	k := sim.Credentials().WeChat
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(k.SecureCA))
	own, err := tls.X509KeyPair([]byte(k.MchCert), []byte(k.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}}
	resp, err := (&http.Client{Transport: transport}).Post(k.SecureURL+"/secapi/pay/refund", "text/xml", strings.NewReader("<xml/>"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("refund over TLS: %d", resp.StatusCode)
	}
	transport.CloseIdleConnections()
	server.Close()
	if err := sim.Close(); err != nil {
		t.Errorf("close after the server closed the listener: %v", err)
	}
	o.SecureAddr = "127.0.0.1:port"
	if sim, err := New(o); err == nil {
		t.Errorf("listens on %s", sim.Secure().Addr())
	}
	o.SecureAddr = ""
	plain, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if k := plain.Credentials().WeChat; plain.Secure() != nil || k.SecureURL != "" || k.SecureCA != "" {
		t.Error("there is TLS that nobody asked for")
	}
	if err := plain.Close(); err != nil {
		t.Error(err)
	}
}
