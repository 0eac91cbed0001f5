package all

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"piaohao/internal/sim/alipaysim"
	"piaohao/internal/sim/wechatsim"
)

var testKeys = sync.OnceValue(func() map[string]*rsa.PrivateKey {
	out := map[string]*rsa.PrivateKey{}
	for _, name := range []string{"wechat.merchant", "wechat.platform", "wechat.ca", "alipay_app", "alipay_platform", "wechat.certificate.1", "wechat.certificate.2", "alipay_root", "alipay_intermediate"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		out[name] = key
	}
	return out
})

var start = time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)

// town is the simulator behind a real server, and a merchant's notify URL.
type town struct {
	t       *testing.T
	sim     *Sim
	url     string
	inbox   string
	notices chan string
	way     *http.Transport // its own: the end of another test's server empties the default one
	wall    atomic.Int64    // milliseconds after start
}

func newTown(t *testing.T) *town {
	t.Helper()
	c := &town{t: t, notices: make(chan string, 64), way: &http.Transport{}}
	t.Cleanup(c.way.CloseIdleConnections)
	inbox := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.notices <- string(body)
	}))
	t.Cleanup(inbox.Close)
	c.inbox = inbox.URL + "/notify"
	server := httptest.NewUnstartedServer(nil)
	c.url = "http://" + server.Listener.Addr().String()
	sim, err := New(Options{
		PublicURL: c.url, Wall: func() time.Time { return start.Add(time.Duration(c.wall.Load()) * time.Millisecond) },
		Seed: 1, Keys: testKeys(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	server.Config.Handler = sim.Handler()
	server.Start()
	t.Cleanup(server.Close)
	c.sim = sim
	return c
}

func (c *town) sign(privatePEM, message string) string {
	c.t.Helper()
	block, _ := pem.Decode([]byte(privatePEM))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		c.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(message))
	signature, err := rsa.SignPKCS1v15(nil, key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		c.t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

func (c *town) do(req *http.Request) (int, string, http.Header) {
	c.t.Helper()
	client := &http.Client{Transport: c.way, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

// wechatRequest is one signed call.
func (c *town) wechatRequest(method, target, body string) *http.Request {
	c.t.Helper()
	k := c.sim.Credentials().WeChat
	req, err := http.NewRequest(method, c.url+target, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	stamp := fmt.Sprint(start.Unix())
	req.Header.Set("Authorization", fmt.Sprintf(`WECHATPAY2-SHA256-RSA2048 mchid="%s",serial_no="%s",nonce_str="n",timestamp="%s",signature="%s"`,
		k.MerchantID, k.SerialNo, stamp, c.sign(k.PrivateKey, method+"\n"+target+"\n"+stamp+"\nn\n"+body+"\n")))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	return req
}

func (c *town) wechat(method, target, body string) (int, string) {
	c.t.Helper()
	status, answer, _ := c.do(c.wechatRequest(method, target, body))
	return status, answer
}

func (c *town) wechatOrder(number string) string {
	c.t.Helper()
	k := c.sim.Credentials().WeChat
	body := fmt.Sprintf(`{"appid":%q,"mchid":%q,"description":"龙井","out_trade_no":%q,"notify_url":%q,"amount":{"total":9900}}`,
		k.AppID, k.MerchantID, number, c.inbox)
	status, answer := c.wechat("POST", "/v3/pay/transactions/native", body)
	var got struct {
		CodeURL string `json:"code_url"`
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK {
		c.t.Fatalf("order: %d %s", status, answer)
	}
	return got.CodeURL
}

// alipayLink is a signed page.pay link.
func (c *town) alipayLink(number string) string {
	c.t.Helper()
	k := c.sim.Credentials().Alipay
	params := map[string]string{
		"app_id": k.AppID, "method": "alipay.trade.page.pay", "charset": "utf-8", "sign_type": "RSA2", "version": "1.0",
		"timestamp": "2026-03-01 12:00:00", "notify_url": c.inbox, "return_url": "http://127.0.0.1:5000/payment/success",
		"biz_content": fmt.Sprintf(`{"out_trade_no":%q,"product_code":"FAST_INSTANT_TRADE_PAY","total_amount":"99.00","subject":"龙井","time_expire":"2026-03-01 12:30:00"}`, number),
	}
	var pairs []string
	query := url.Values{}
	for name, value := range params {
		pairs = append(pairs, name+"="+value)
		query.Set(name, value)
	}
	slices.Sort(pairs)
	query.Set("sign", c.sign(k.AppPrivateKey, strings.Join(pairs, "&")))
	return k.GatewayURL + "?" + query.Encode()
}

func (c *town) get(path string) (int, string, http.Header) {
	c.t.Helper()
	req, err := http.NewRequest("GET", c.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do(req)
}

func (c *town) post(path, kind, body string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequest("POST", c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	status, answer, _ := c.do(req)
	return status, answer
}

func (c *town) postJSON(path string, doc map[string]any) (int, map[string]any) {
	c.t.Helper()
	raw, _ := json.Marshal(doc)
	status, answer := c.post(path, "application/json", string(raw))
	var got map[string]any
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		c.t.Fatalf("%s: %d %s", path, status, answer)
	}
	return status, got
}

func (c *town) wantPay(ask map[string]any, status int, reason string) map[string]any {
	c.t.Helper()
	got, answer := c.postJSON("/sim/wallet/pay", ask)
	if got != status || reason != "" && answer["reason"] != reason {
		c.t.Errorf("pay %v: %d %v, want %d %s", ask, got, answer, status, reason)
	}
	return answer
}

func TestCredentialsHaveTheContractsNames(t *testing.T) {
	t.Parallel()
	c := newTown(t)
	_, body, _ := c.get("/sim/credentials")
	var got map[string]map[string]string
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	for platform, names := range map[string]string{
		"wechat": "api_v3_key appid base_url mch_cert mch_key mch_p12 mchid private_key public_key public_key_id serial_no",
		"alipay": "alipay_public_key app_id app_private_key gateway_url seller_id",
	} {
		var have []string
		for name, value := range got[platform] {
			have = append(have, name)
			if value == "" {
				t.Errorf("%s %s is empty", platform, name)
			}
		}
		slices.Sort(have)
		if strings.Join(have, " ") != names {
			t.Errorf("%s has %v, want %s", platform, have, names)
		}
	}
	if got["wechat"]["base_url"] != c.url || got["alipay"]["gateway_url"] != c.url+"/gateway.do" || len(got["wechat"]["api_v3_key"]) != 32 {
		t.Errorf("addresses %v", got)
	}
}

func TestWalletPaysWeChat(t *testing.T) {
	t.Parallel()
	c := newTown(t)
	code := c.wechatOrder("wechat-1")
	if answer := c.wantPay(map[string]any{"code": code, "result": "refuse"}, 200, ""); answer["transaction_id"] != nil {
		t.Errorf("refused and got %v", answer)
	}
	c.wantPay(map[string]any{"code": code, "result": "balance_short"}, 200, "")
	c.wantPay(map[string]any{"code": code, "payer": "payer-2"}, 409, "other_payer")
	answer := c.wantPay(map[string]any{"code": code}, 200, "")
	if answer["out_trade_no"] != "wechat-1" || answer["transaction_id"] == nil {
		t.Errorf("answer %v", answer)
	}
	c.wantPay(map[string]any{"code": "wechat-1"}, 409, "already_paid")
	select {
	case <-c.sim.Woken():
	default:
		t.Error("a notice became due and woke nobody")
	}
	if next, err := c.sim.Step(context.Background()); err != nil || !next.IsZero() {
		t.Errorf("step: next %s, %v", next, err)
	}
	if notice := <-c.notices; !strings.Contains(notice, "TRANSACTION.SUCCESS") {
		t.Errorf("notice %s", notice)
	}
}

func TestWalletPaysAlipay(t *testing.T) {
	t.Parallel()
	c := newTown(t)
	link := c.alipayLink("alipay1")
	answer := c.wantPay(map[string]any{"code": link}, 200, "")
	if answer["out_trade_no"] != "alipay1" || answer["trade_no"] == nil {
		t.Errorf("answer %v", answer)
	}
	if _, err := c.sim.Step(context.Background()); err != nil {
		t.Error(err)
	}
	if notice := <-c.notices; !strings.Contains(notice, "trade_status=TRADE_SUCCESS") {
		t.Errorf("notice %s", notice)
	}
	c.wantPay(map[string]any{"code": strings.Replace(link, "99.00", "98.00", 1)}, 404, "unknown")
}

func TestWalletRefusals(t *testing.T) {
	t.Parallel()
	c := newTown(t)
	first := c.wechatOrder("refusals-1")
	c.wechatOrder("refusals-1")
	c.wechatOrder("refusals-2")
	c.wechat("POST", "/v3/pay/transactions/out-trade-no/refusals-2/close", `{"mchid":"1900005001"}`)
	c.wechatOrder("both0001")
	c.wantPay(map[string]any{"code": c.alipayLink("both0001"), "result": "refuse"}, 200, "")
	c.wechatOrder("refusals-3")

	c.wantPay(map[string]any{"code": "nobody-1"}, 404, "unknown")
	c.wantPay(map[string]any{"code": "weixin://wxpay/bizpayurl?pr=AAAAAAAAA"}, 404, "unknown")
	c.wantPay(map[string]any{"code": first}, 409, "code_voided")
	c.wantPay(map[string]any{"code": "refusals-2"}, 409, "closed")
	c.wantPay(map[string]any{"code": "both0001"}, 409, "ambiguous")
	c.wantPay(map[string]any{"code": "refusals-3", "result": "borrow"}, 400, "invalid")
	c.wantPay(map[string]any{"code": "refusals-3", "amount": 1}, 400, "invalid")
	c.postJSON("/sim/clock", map[string]any{"advance": "2h"})
	c.wantPay(map[string]any{"code": "refusals-3"}, 409, "expired")
}

func TestWalletPage(t *testing.T) {
	t.Parallel()
	c := newTown(t)
	code := c.wechatOrder("page-1")
	page := "/sim/wallet?code=" + url.QueryEscape(code)
	status, body, header := c.get(page)
	if status != 200 || !strings.Contains(body, "确认付款") || !strings.Contains(body, "99.00") || !strings.Contains(body, "龙井") || strings.Contains(body, "<script") {
		t.Errorf("to confirm: %d %s", status, body)
	}
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy %q", policy)
	}
	form := func(result string) string {
		return url.Values{"code": {code}, "payer": {"payer-1"}, "result": {result}}.Encode()
	}
	for _, row := range []struct {
		result string
		status int
		text   string
	}{
		{"refuse", 200, "已取消付款"},
		{"balance_short", 200, "余额不足"},
		{"", 400, "请求不完整"},
		{"pay", 200, "支付成功"},
		{"pay", 409, "订单已支付"},
	} {
		if status, body := c.post("/sim/wallet", "application/x-www-form-urlencoded", form(row.result)); status != row.status || !strings.Contains(body, row.text) {
			t.Errorf("%q: %d, want %d with %s", row.result, status, row.status, row.text)
		}
	}
	if _, body, _ := c.get(page); !strings.Contains(body, "订单已支付") || strings.Contains(body, "<form") {
		t.Error("a paid order's page still offers to pay")
	}
	if status, body, _ := c.get(page + "x"); status != 404 || !strings.Contains(body, "没有这笔订单") {
		t.Errorf("unknown: %d", status)
	}

	// Alipay's result leads back to the merchant.
	form2 := url.Values{"code": {c.alipayLink("page0002")}, "result": {"pay"}}.Encode()
	if status, body := c.post("/sim/wallet", "application/x-www-form-urlencoded", form2); status != 200 || !strings.Contains(body, "返回商家") ||
		!strings.Contains(body, `href="http://127.0.0.1:5000/payment/success?`) {
		t.Errorf("alipay's result: %d %s", status, body)
	}
}

func TestBooksIndexAndControls(t *testing.T) {
	t.Parallel()
	c := newTown(t)
	if _, body, _ := c.get("/sim/books"); strings.TrimSpace(body) != `{"ledgers":{"alipay":{"paid":0,"refunded":0,"withdrawn":0,"balance":0},"wechat":{"paid":0,"refunded":0,"withdrawn":0,"balance":0}},"notices_pending":0,"orders":[]}` {
		t.Errorf("empty books %s", body)
	}
	c.wechatOrder("books-1")
	c.wantPay(map[string]any{"code": c.alipayLink("books002")}, 200, "")
	_, body, _ := c.get("/sim/books")
	for _, want := range []string{
		`{"platform":"wechat","out_trade_no":"books-1","transaction_id":"","state":"NOTPAY","amount":9900,"refunded":0}`,
		`"out_trade_no":"books002"`, `"state":"TRADE_SUCCESS","amount":9900,"refunded":0`, `"notices_pending":1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("books %s lack %s", body, want)
		}
	}
	if status, body, _ := c.get("/sim"); status != 200 || !strings.Contains(body, "books-1") || !strings.Contains(body, "/sim/wallet?code=weixin%3a%2f%2fwxpay") {
		t.Errorf("index: %d %s", status, body)
	}
	if status, got := c.postJSON("/sim/clock", map[string]any{"advance": "15m", "scale": 60}); status != 200 || got["business"] != "2026-03-01T04:15:00Z" || got["scale"] != 60.0 {
		t.Errorf("clock: %d %v", status, got)
	}
	for _, bad := range []map[string]any{{"advance": "soon"}, {"advance": "-1m"}, {"scale": 3601}, {"speed": 2}} {
		if status, got := c.postJSON("/sim/clock", bad); status != 400 {
			t.Errorf("clock %v: %d %v", bad, status, got)
		}
	}
	if status, got := c.postJSON("/sim/faults", map[string]any{"fail_before_percent": 100}); status != 200 || got["fail_before_percent"] != 100.0 {
		t.Errorf("faults: %d %v", status, got)
	}
	if status, answer := c.wechat("GET", "/v3/pay/transactions/out-trade-no/books-1?mchid=1900005001", ""); status != 500 {
		t.Errorf("a call under faults: %d %s", status, answer)
	}
	for _, bad := range []map[string]any{{"drop_percent": 101}, {"drop_procent": 1}} {
		if status, got := c.postJSON("/sim/faults", bad); status != 400 {
			t.Errorf("faults %v: %d %v", bad, status, got)
		}
	}
}

func TestALostAnswerBreaksTheConnection(t *testing.T) {
	t.Parallel()
	c := newTown(t)
	c.wechatOrder("lost-1")
	c.postJSON("/sim/faults", map[string]any{"lost_answer_percent": 100})
	req := c.wechatRequest("POST", "/v3/pay/transactions/out-trade-no/lost-1/close", `{"mchid":"1900005001"}`)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatalf("answered %d", resp.StatusCode)
	}
	c.wantPay(map[string]any{"code": "lost-1"}, 409, "closed")
}

func TestOptionsReachThePlatforms(t *testing.T) {
	t.Parallel()
	o := Options{
		PublicURL: "http://sim.test", Wall: func() time.Time { return start }, Keys: testKeys(), Log: slog.New(slog.DiscardHandler),
		WeChat: wechatsim.Options{Keys: wechatsim.CertificateMode}, Alipay: alipaysim.Options{Certificates: true},
	}
	o.WeChat.AppID, o.WeChat.MerchantID, o.Alipay.AppID, o.Alipay.SellerID = "wx0123456789abcdef", "1600000001", "2021000000009999", "2088000000009999"
	sim, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	first := sim.Credentials()
	w := httptest.NewRecorder()
	sim.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/sim/wechat/rotate", nil))
	if w.Code != http.StatusOK || sim.Credentials().WeChat.PlatformCerts == first.WeChat.PlatformCerts {
		t.Errorf("rotate: %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	sim.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/sim/credentials", nil))
	var got map[string]map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for platform, want := range map[string]map[string]string{
		"wechat": {"appid": "wx0123456789abcdef", "mchid": "1600000001", "public_key": "", "public_key_id": ""},
		"alipay": {"app_id": "2021000000009999", "seller_id": "2088000000009999"},
	} {
		for name, value := range want {
			if got[platform][name] != value {
				t.Errorf("%s %s is %q, want %q", platform, name, got[platform][name], value)
			}
		}
	}
	for platform, names := range map[string]string{"wechat": "mch_cert platform_certs", "alipay": "app_cert alipay_cert alipay_root_cert"} {
		for name := range strings.FieldsSeq(names) {
			if text := got[platform][name]; !strings.HasPrefix(text, "-----BEGIN CERTIFICATE-----\n") || !strings.HasSuffix(text, "-----END CERTIFICATE-----\n") {
				t.Errorf("%s %s: %q", platform, name, text)
			}
		}
	}
}
