package alipaysim

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
)

// The origins of a test: the cashier is another one than the gateway, as in life.
const (
	gatewayOrigin = "http://gateway.test"
	cashierOrigin = "http://cashier.test"
	notifyURL     = "http://shop.test/payment/alipay/notify"
	returnURL     = "http://shop.test/payment/success/tok?mine=1"
)

var start = time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC) // noon in Beijing

// testKeys are made once for all tests of the package.
var testKeys = sync.OnceValue(func() map[string]*rsa.PrivateKey {
	keys := map[string]*rsa.PrivateKey{}
	for _, name := range []string{"alipay_app", "alipay_platform", RootKey, IntermediateKey} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[name] = key
	}
	return keys
})

// received is one notice that the shop received.
type received struct {
	header http.Header
	body   string
	form   params
	at     time.Duration // business time since the start
}

// world is a simulator with a shop that listens to its notices.
type world struct {
	t   *testing.T
	kit *simkit.Kit
	sim *Sim
	mux *http.ServeMux

	mu      sync.Mutex
	notices []received
	answer  string // the shop's reply to a notice
}

func newWorld(t *testing.T) *world { return openWorld(t, "", Options{}) }

func openWorld(t *testing.T, dir string, o Options) *world {
	t.Helper()
	w := &world{t: t, mux: http.NewServeMux(), answer: "success"}
	kit, err := simkit.New(simkit.Options{
		PublicURL: gatewayOrigin, CashierURL: cashierOrigin, Dir: dir, Wall: func() time.Time { return start },
		HTTP: &http.Client{Transport: w}, Keys: testKeys(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kit.Close() })
	w.kit = kit
	if w.sim, err = New(kit, o); err != nil {
		t.Fatal(err)
	}
	w.sim.Mount(w.mux)
	return w
}

// RoundTrip is the shop's end of a notice.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form := params{}
	form.addForm(string(body))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notices = append(w.notices, received{header: r.Header, body: string(body), form: form, at: w.kit.Clock.Now().Sub(start)})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(w.answer)), Request: r}, nil
}

// deliver steps the outbox until nothing is due, at most limit times.
func (w *world) deliver(limit int) []received {
	w.t.Helper()
	for range limit {
		next, err := w.kit.Notices.Step(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		if next.IsZero() || next.After(start) {
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]received{}, w.notices...)
}

func (w *world) advance(d time.Duration) {
	w.t.Helper()
	if err := w.kit.Clock.Advance(d); err != nil {
		w.t.Fatal(err)
	}
}

// do sends one request to the simulator; origins do not matter to it.
func (w *world) do(r *http.Request) *http.Response {
	recorder := httptest.NewRecorder()
	w.mux.ServeHTTP(recorder, r)
	return recorder.Result()
}

func (w *world) get(target string) *http.Response {
	return w.do(httptest.NewRequest(http.MethodGet, target, nil))
}

func (w *world) post(target string) *http.Response {
	return w.do(httptest.NewRequest(http.MethodPost, target, nil))
}

// edit changes a request before it is signed; forge after.
type edit func(p params)

func set(name, value string) edit { return func(p params) { p[name] = value } }
func drop(name string) edit       { return func(p params) { delete(p, name) } }

// request is a good signed request of the method.
func (w *world) request(method string, biz map[string]any, edits ...edit) params {
	w.t.Helper()
	content, err := json.Marshal(biz)
	if err != nil {
		w.t.Fatal(err)
	}
	p := params{
		"app_id": AppID, "method": method, "format": "JSON", "charset": "utf-8", "sign_type": "RSA2",
		"timestamp": "2026-03-01 12:00:00", "version": "1.0", "biz_content": string(content),
	}
	for _, change := range edits {
		change(p)
	}
	return w.signed(p)
}

func (w *world) signed(p params) params {
	w.t.Helper()
	signature, err := sign(testKeys()["alipay_app"], signType(p["sign_type"]), p.canonical("sign"))
	if err != nil {
		w.t.Fatal(err)
	}
	p["sign"] = signature
	return p
}

func link(p params) string { return gatewayOrigin + "/gateway.do?" + p.form() }

// page is the link of a good page.pay.
func (w *world) page(outTradeNo string, edits ...edit) string {
	return link(w.request(methodPagePay, pageBiz(outTradeNo), append([]edit{set("notify_url", notifyURL), set("return_url", returnURL)}, edits...)...))
}

func (w *world) wap(outTradeNo string) string {
	biz := pageBiz(outTradeNo)
	biz["product_code"], biz["quit_url"] = "QUICK_WAP_WAY", "http://shop.test/quit"
	return link(w.request(methodWapPay, biz, set("notify_url", notifyURL), set("return_url", returnURL)))
}

func pageBiz(outTradeNo string) map[string]any {
	return map[string]any{
		"out_trade_no": outTradeNo, "total_amount": "128.00", "subject": "《大宋提刑官》精装本", "product_code": "FAST_INSTANT_TRADE_PAY",
		"time_expire": "2026-03-01 12:30:00",
	}
}

// visit follows a link and returns the cashier's path.
func (w *world) visit(link string) string {
	w.t.Helper()
	resp := w.get(link)
	at := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusFound || !strings.HasPrefix(at, cashierOrigin+cashierPath) {
		w.t.Fatalf("visit: %d to %q: %s", resp.StatusCode, at, text(w.t, resp))
	}
	return strings.TrimPrefix(at, cashierOrigin)
}

// act posts what the payer does and returns the page that follows.
func (w *world) act(cashier, what string) string {
	w.t.Helper()
	resp := w.post(cashier + "/" + what)
	if resp.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("%s: %d", what, resp.StatusCode)
	}
	return text(w.t, w.get(resp.Header.Get("Location")))
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// reply is a gateway's answer, cut as a client that keeps raw JSON does.
type reply struct {
	resp  *http.Response
	body  string
	name  string // of the node
	raw   string // the node's text
	sign  string
	cert  string // alipay_cert_sn
	value map[string]any
}

func (w *world) call(method string, biz map[string]any, edits ...edit) reply {
	w.t.Helper()
	return w.send(w.request(method, biz, edits...))
}

func (w *world) send(p params) reply {
	w.t.Helper()
	return read(w.t, w.get(link(p)))
}

func read(t *testing.T, resp *http.Response) reply {
	t.Helper()
	r := reply{resp: resp, body: text(t, resp)}
	top := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(r.body), &top); err != nil {
		t.Fatalf("reply %q: %v", r.body, err)
	}
	for name, raw := range top {
		if name == "sign" {
			r.sign = strings.Trim(string(raw), `"`)
			continue
		}
		if name == "alipay_cert_sn" {
			r.cert = strings.Trim(string(raw), `"`)
			continue
		}
		r.name, r.raw = name, string(raw)
		decoder := json.NewDecoder(bytes.NewReader(raw))
		if err := decoder.Decode(&r.value); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r reply) get(name string) string {
	value, _ := r.value[name].(string)
	return value
}

// is checks code and sub_code, and that the platform signed the raw node.
func (r reply) is(t *testing.T, code, subCode string) {
	t.Helper()
	if r.get("code") != code || r.get("sub_code") != subCode {
		t.Fatalf("reply %s, want %s %s", r.body, code, subCode)
	}
	if !verify(&testKeys()["alipay_platform"].PublicKey, rsa2, r.raw, r.sign) {
		t.Fatalf("reply %s is not signed over its node", r.body)
	}
}

func (w *world) query(outTradeNo string) reply {
	w.t.Helper()
	return w.call(methodQuery, map[string]any{"out_trade_no": outTradeNo})
}

// status queries and wants success.
func (w *world) status(outTradeNo string) string {
	w.t.Helper()
	r := w.query(outTradeNo)
	r.is(w.t, "10000", "")
	return r.get("trade_status")
}

// signedLink finds the way back to the shop on a page and checks its signature.
func signedLink(t *testing.T, page string) params {
	t.Helper()
	_, rest, found := strings.Cut(page, `href="http://shop.test/payment/success/tok?mine=1&amp;`)
	if !found {
		t.Fatalf("no way back on %s", page)
	}
	raw, _, _ := strings.Cut(rest, `"`)
	p := params{}
	p.addForm(strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(raw))
	if !verify(&testKeys()["alipay_platform"].PublicKey, rsa2, p.canonical("sign", "sign_type"), p["sign"]) {
		t.Fatalf("the way back is not signed: %v", p)
	}
	return p
}
