package demo_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/client"
	"piaohao/internal/demo"
)

const (
	key    = "sk_test_demo"
	secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
)

var now = time.Date(2026, 11, 23, 6, 27, 8, 0, time.UTC)

// gateway answers like /v1/payments, from one payment that a test arranges.
type gateway struct {
	mu      sync.Mutex
	payment client.Payment
	exists  bool
	refuse  string // code of a refusal to create or close
	closing bool   // a close is not finished in the request
	asked   []string
	created []client.PaymentParams
	refunds []client.RefundParams
	lost    bool // a refund is made and its answer is lost
	other   bool // the answer to a refund is about another amount
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r.Method+" "+r.URL.RequestURI())
	if r.Header.Get("Authorization") != "Bearer "+key {
		g.no(w, http.StatusUnauthorized, client.CodeUnauthorized)
		return
	}
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/payments":
		g.create(w, r)
	case !g.exists:
		g.no(w, http.StatusNotFound, client.CodeNotFound)
	case strings.HasSuffix(r.URL.Path, "/refunds"):
		g.refund(w, r)
	case strings.HasSuffix(r.URL.Path, "/close"):
		g.close(w)
	default:
		_ = json.NewEncoder(w).Encode(g.payment)
	}
}

func (g *gateway) create(w http.ResponseWriter, r *http.Request) {
	var in client.PaymentParams
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || g.refuse != "" {
		g.no(w, http.StatusServiceUnavailable, g.refuse)
		return
	}
	g.created = append(g.created, in)
	g.exists = true
	g.payment = client.Payment{
		ID: "pay_1", Object: "payment", OrderNo: in.OrderNo, Amount: in.Amount, Currency: "CNY", Status: client.StatusOpen,
		CashierURL: "http://gateway.example/payment/process/tok",
		Action:     &client.Action{Type: "qr", Code: "weixin://x"},
	}
	if in.Method == "alipay" {
		g.payment.Action = &client.Action{Type: "redirect", URL: "http://gateway.example/payment/go/tok/alipay"}
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(g.payment)
}

func (g *gateway) close(w http.ResponseWriter) {
	switch {
	case g.refuse != "":
		g.no(w, http.StatusServiceUnavailable, g.refuse)
		return
	case g.payment.Status == client.StatusPaid:
		g.no(w, http.StatusConflict, client.CodePaymentNotOpen)
		return
	case g.closing:
		g.payment.Closing = true
	default:
		g.payment.Status = client.StatusClosed
	}
	_ = json.NewEncoder(w).Encode(g.payment)
}

func (g *gateway) no(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"code":%q,"detail":"canary detail","request_id":"req_7"}`, code)
}

func (g *gateway) pay() client.Payment {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.payment.Status, g.payment.PaidAt = client.StatusPaid, now
	return g.payment
}

func (g *gateway) has(status string) client.Payment {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.payment
	p.Status = status
	return p
}

func (g *gateway) questions() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	asked := g.asked
	g.asked = nil
	return asked
}

// world is a shop and the gateway that it is a customer of.
type world struct {
	t       *testing.T
	gateway *gateway
	shop    http.Handler
}

func setup(t *testing.T) *world {
	t.Helper()
	g := &gateway{}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	n := 0
	shop, err := demo.New(demo.Config{
		GatewayURL: server.URL, Key: key, WebhookSecret: secret, PublicURL: "http://shop.example", DBPath: filepath.Join(t.TempDir(), "demo.db"),
		Now: func() time.Time { return now }, NewID: func(p string) string { n++; return fmt.Sprintf("%s_%d", p, n) },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shop.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{t: t, gateway: g, shop: shop.Handler()}
}

func (w *world) serve(r *http.Request) (status int, location, body string) {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.shop.ServeHTTP(rec, r)
	if policy := rec.Header().Get("Content-Security-Policy"); strings.Contains(policy, "form-action") || !strings.Contains(policy, "default-src 'none'") {
		w.t.Errorf("policy %q", policy)
	}
	return rec.Code, rec.Header().Get("Location"), rec.Body.String()
}

func (w *world) get(path string) (int, string, string) {
	w.t.Helper()
	return w.serve(httptest.NewRequest(http.MethodGet, path, nil))
}

func (w *world) post(path string, form url.Values) (int, string, string) {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.serve(r)
}

func (w *world) buy(method string) (int, string, string) {
	w.t.Helper()
	return w.post("/orders", url.Values{"item": {"songci"}, "quantity": {"2"}, "method": {method}})
}

func (w *world) webhook(id, kind string, p client.Payment, change func(http.Header, *[]byte)) int {
	w.t.Helper()
	body, err := json.Marshal(client.Event{ID: id, Type: kind, Timestamp: now, Sequence: 2, Data: p})
	if err != nil {
		w.t.Fatal(err)
	}
	header, err := client.SignTestPayload(secret, id, now, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if change != nil {
		change(header, &body)
	}
	r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(string(body)))
	for name, values := range header {
		r.Header[name] = values
	}
	status, _, _ := w.serve(r)
	return status
}

func (w *world) wantState(text string) {
	w.t.Helper()
	_, _, body := w.get("/orders/ord_1")
	if !strings.Contains(body, `">`+text+`</b>`) {
		w.t.Errorf("the order is not %s: %s", text, body)
	}
}

func TestBuying(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]string{
		"wechat": "http://gateway.example/payment/process/tok",
		"alipay": "http://gateway.example/payment/go/tok/alipay",
		"":       "http://gateway.example/payment/process/tok",
	} {
		t.Run("by "+method, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			status, location, _ := w.buy(method)
			if status != http.StatusSeeOther || location != want {
				t.Fatalf("%d to %q, want %q", status, location, want)
			}
			in := w.gateway.created[0]
			if in.OrderNo != "ord_1" || in.Amount != 25600 || in.Method != method || in.ReturnURL != "http://shop.example/orders/ord_1" || in.Subject != "宋词选 × 2" {
				t.Errorf("asked for %+v", in)
			}
			w.wantState("待付款")
		})
	}
	t.Run("paying again is the same order", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.buy("wechat")
		if status, location, _ := w.post("/orders/ord_1/pay", url.Values{"method": {"alipay"}, "amount": {"1"}}); status != http.StatusSeeOther || !strings.HasSuffix(location, "/go/tok/alipay") {
			t.Fatalf("%d to %q", status, location)
		}
		if again := w.gateway.created[1]; again.OrderNo != "ord_1" || again.Amount != 25600 {
			t.Errorf("asked for %+v", again)
		}
	})
	t.Run("a paid order is not paid again", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.buy("wechat")
		w.webhook("evt_1", client.EventPaymentPaid, w.gateway.pay(), nil)
		if _, location, _ := w.post("/orders/ord_1/pay", url.Values{"method": {"alipay"}}); location != "/orders/ord_1" || len(w.gateway.created) != 1 {
			t.Errorf("leads to %q after %d creates", location, len(w.gateway.created))
		}
	})
}

func TestA30AmountIsTheShops(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		form   url.Values
		amount int64 // 0 = refused
	}{
		{"A30 an amount in the form", url.Values{"item": {"songci"}, "quantity": {"1"}, "amount": {"1"}, "price": {"1"}, "total": {"1"}}, 12800},
		{"A30 no quantity", url.Values{"item": {"songci"}}, 0},
		{"A30 quantity zero", url.Values{"item": {"songci"}, "quantity": {"0"}}, 0},
		{"A30 quantity below zero", url.Values{"item": {"songci"}, "quantity": {"-1"}}, 0},
		{"A30 a part of one", url.Values{"item": {"songci"}, "quantity": {"0.01"}}, 0},
		{"A30 too many", url.Values{"item": {"songci"}, "quantity": {"10"}}, 0},
		{"A30 an overflow", url.Values{"item": {"songci"}, "quantity": {"9223372036854775807"}}, 0},
		{"A30 nothing we sell", url.Values{"item": {"gold"}, "quantity": {"1"}}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			status, _, _ := w.post("/orders?amount=1&price=1", row.form)
			if row.amount == 0 {
				if status != http.StatusBadRequest || len(w.gateway.created) != 0 {
					t.Fatalf("status %d, %d creates", status, len(w.gateway.created))
				}
				return
			}
			if got := w.gateway.created[0].Amount; got != row.amount {
				t.Fatalf("asked for %d fen, want %d", got, row.amount)
			}
		})
	}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	type step struct {
		id, kind string
		status   string // of the payment
		change   func(*client.Payment)
		spoil    func(http.Header, *[]byte)
		want     int
	}
	good := step{id: "evt_1", kind: client.EventPaymentPaid, status: client.StatusPaid, want: 204}
	shut := step{id: "evt_2", kind: client.EventPaymentClosed, status: client.StatusClosed, want: 204}
	with := func(s step, f func(*step)) step { f(&s); return s }
	for _, row := range []struct {
		name  string
		steps []step
		state string
	}{
		{"paid", []step{good}, "已付款"},
		{"the same event twice", []step{good, good}, "已付款"},
		{"an id that was seen changes nothing", []step{{id: "evt_1", kind: "payment.new", status: client.StatusOpen, want: 204}, good}, "待付款"},
		{"closed", []step{shut}, "已关闭"},
		{"closed after paid changes nothing", []step{good, shut}, "已付款"},
		{"paid after closed counts", []step{shut, good}, "已付款"},
		{"an unknown type changes nothing", []step{{id: "evt_9", kind: "payment.new", status: client.StatusOpen, want: 204}}, "待付款"},
		{"another payment's closing changes nothing", []step{with(shut, func(s *step) { s.change = func(p *client.Payment) { p.ID = "pay_0" } })}, "待付款"},
		{"forged", []step{with(good, func(s *step) {
			s.want, s.spoil = 400, func(_ http.Header, b *[]byte) { *b = append(*b, ' ') }
		})}, "待付款"},
		{"unsigned", []step{with(good, func(s *step) {
			s.want, s.spoil = 400, func(h http.Header, _ *[]byte) { h.Del("Webhook-Signature") }
		})}, "待付款"},
		{"one fen short", []step{with(good, func(s *step) {
			s.want, s.change = 422, func(p *client.Payment) { p.Amount-- }
		})}, "待付款"},
		{"another currency", []step{with(good, func(s *step) {
			s.want, s.change = 422, func(p *client.Payment) { p.Currency = "JPY" }
		})}, "待付款"},
		{"an order that is not ours", []step{with(good, func(s *step) {
			s.want, s.change = 422, func(p *client.Payment) { p.OrderNo = "ord_x" }
		})}, "待付款"},
		{"a refused event may come again, mended", []step{with(good, func(s *step) {
			s.want, s.change = 422, func(p *client.Payment) { p.Amount-- }
		}), good}, "已付款"},
		{"A55 too long", []step{with(good, func(s *step) {
			s.want, s.spoil = 413, func(_ http.Header, b *[]byte) { *b = make([]byte, 64<<10+1) }
		})}, "待付款"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.buy("wechat")
			for i, s := range row.steps {
				p := w.gateway.has(s.status)
				p.PaidAt = now
				if s.change != nil {
					s.change(&p)
				}
				if got := w.webhook(s.id, s.kind, p, s.spoil); got != s.want {
					t.Errorf("event %d: status %d, want %d", i+1, got, s.want)
				}
			}
			w.wantState(row.state)
		})
	}
	t.Run("too old", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.buy("wechat")
		body, _ := json.Marshal(client.Event{ID: "evt_1", Type: client.EventPaymentPaid, Data: w.gateway.pay()})
		header, _ := client.SignTestPayload(secret, "evt_1", now.Add(-time.Hour), body)
		r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(string(body)))
		r.Header = header
		if status, _, _ := w.serve(r); status != http.StatusBadRequest {
			t.Errorf("status %d", status)
		}
		w.wantState("待付款")
	})
}

func TestA31Return(t *testing.T) {
	t.Parallel()
	const forged = "/orders/ord_1?payment_id=pay_other&order_no=ord_1&status=paid&trade_status=TRADE_SUCCESS"
	t.Run("A31 what the query says is not believed", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.buy("wechat")
		w.gateway.questions()
		if status, location, _ := w.get(forged); status != http.StatusSeeOther || location != "/orders/ord_1" {
			t.Fatalf("%d to %q", status, location)
		}
		if asked := w.gateway.questions(); len(asked) != 1 || asked[0] != "GET /v1/payments/pay_1" {
			t.Errorf("asked %q, want our own payment", asked)
		}
		w.wantState("待付款")
	})
	t.Run("the gateway's answer is", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.buy("wechat")
		w.gateway.pay()
		w.get(forged)
		w.wantState("已付款")
	})
	t.Run("an answer of another amount is not", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.buy("wechat")
		w.gateway.pay()
		w.gateway.payment.Amount = 1
		w.get(forged)
		w.wantState("待付款")
	})
	t.Run("looking asks nobody", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.buy("wechat")
		w.gateway.questions()
		w.get("/orders/ord_1")
		w.get("/orders")
		w.get("/")
		if asked := w.gateway.questions(); len(asked) != 0 {
			t.Errorf("asked %q", asked)
		}
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		arrange func(*world)
		state   string
	}{
		{"closed at once", func(*world) {}, "已关闭"},
		{"still closing", func(w *world) { w.gateway.closing = true }, "正在取消"},
		{"paid meanwhile", func(w *world) { w.gateway.pay() }, "已付款"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.buy("wechat")
			row.arrange(w)
			if status, location, body := w.post("/orders/ord_1/cancel", nil); status != http.StatusSeeOther || location != "/orders/ord_1" {
				t.Fatalf("%d to %q: %s", status, location, body)
			}
			w.wantState(row.state)
		})
	}
	t.Run("a payment that never was", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.gateway.refuse = client.CodePlatformBusy
		w.buy("wechat")
		w.post("/orders/ord_1/cancel", nil)
		w.wantState("已关闭")
	})
	t.Run("the gateway is away", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.buy("wechat")
		w.gateway.refuse = client.CodeBusy
		status, _, body := w.post("/orders/ord_1/cancel", nil)
		if status != http.StatusBadGateway || !strings.Contains(body, "编号 req_7") || strings.Contains(body, "canary") {
			t.Errorf("%d %s", status, body)
		}
		w.wantState("待付款")
	})
}

func TestRefusedCreate(t *testing.T) {
	t.Parallel()
	for code, says := range map[string]string{
		client.CodeMethodUnavailable: "这种支付方式暂不可用", client.CodePlatformBusy: "暂时连不上收银台", client.CodePaymentClosing: "正在关闭",
		client.CodeUnauthorized: "商店的设置有误",
	} {
		w := setup(t)
		w.gateway.refuse = code
		status, location, body := w.buy("wechat")
		if status != http.StatusBadGateway || location != "" || !strings.Contains(body, says) || !strings.Contains(body, "微信支付") {
			t.Errorf("%s: %d to %q: %s", code, status, location, body)
		}
	}
}

func TestA91OtherSites(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/orders", "/orders/ord_1/pay", "/orders/ord_1/cancel", "/orders/ord_1/refund", "/orders/ord_1/refund/ord_1-r1"} {
		w := setup(t)
		w.buy("wechat")
		w.gateway.questions()
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("item=songci&quantity=1"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if status, _, _ := w.serve(r); status != http.StatusForbidden || len(w.gateway.questions()) != 0 {
			t.Errorf("A91 %s: status %d", path, status)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.buy("wechat")
	for path, says := range map[string]string{"/": "支付宝支付", "/orders": "宋词选 × 2", "/orders/ord_1": "¥256.00", "/shop.css": "--wall"} {
		if status, _, body := w.get(path); status != http.StatusOK || !strings.Contains(body, says) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for _, path := range []string{"/orders/none", "/.env", "/templates/home.html", "/assets/shop.css", "/..%2fdemo.db", "/webhook"} {
		if status, _, _ := w.get(path); status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			t.Errorf("A101 %s: status %d", path, status)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]demo.Config{
		"no public address": {GatewayURL: "http://127.0.0.1:5000", Key: key, WebhookSecret: secret, DBPath: ":memory:"},
		"no secret":         {GatewayURL: "http://127.0.0.1:5000", Key: key, PublicURL: "http://shop.example", DBPath: ":memory:"},
		"no key":            {GatewayURL: "http://127.0.0.1:5000", WebhookSecret: secret, PublicURL: "http://shop.example", DBPath: ":memory:"},
		"no folder":         {GatewayURL: "http://127.0.0.1:5000", Key: key, WebhookSecret: secret, PublicURL: "http://shop.example", DBPath: filepath.Join(t.TempDir(), "none", "demo.db")},
	} {
		if _, err := demo.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
