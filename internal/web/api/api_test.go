package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/view"
	"piaohao/internal/web/api"
	"piaohao/internal/web/httpx"
)

// fake is a gateway of two shops with one payment each, in memory.
type fake struct {
	refunds []gateway.RefundInput
	after   int64
	limit   int
	mu      sync.Mutex
	created []gateway.CreateInput
	looked  int // lookups that reached the gateway
	keys    int // keys that it was asked about
	err     error
	closing bool
}

const (
	keyA = "sk_test_shopA"
	keyB = "sk_test_shopB"
	idA  = "pay_0000000000000000000000000a"
)

func (f *fake) Authenticate(_ context.Context, key string) (string, error) {
	f.mu.Lock()
	f.keys++
	f.mu.Unlock()
	switch key {
	case keyA:
		return "shopA", nil
	case keyB:
		return "shopB", nil
	}
	if strings.HasPrefix(key, "sk_live_") {
		return "", &gateway.Error{Code: gateway.CodeWrongMode, Public: "This is a test gateway."}
	}
	return "", &gateway.Error{Code: gateway.CodeUnauthorized, Public: "Unknown key."}
}

func (f *fake) Create(_ context.Context, in gateway.CreateInput) (gateway.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return gateway.Result{}, f.err
	}
	f.created = append(f.created, in)
	v := payment()
	v.OrderNo, v.Amount, v.Subject = in.OrderNo, int64(in.Amount), in.Subject
	v.Metadata, _ = json.Marshal(in.Metadata)
	if in.Metadata == nil {
		v.Metadata = json.RawMessage("{}")
	}
	if in.Method != "" {
		v.Action = &view.Action{Type: "qr", Code: "weixin://wxpay/bizpayurl?pr=abc"}
	}
	return gateway.Result{View: v, Created: in.OrderNo != "again"}, nil
}

func (f *fake) get(shop string, found bool) (view.Payment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked++
	if f.err != nil {
		return view.Payment{}, f.err
	}
	if shop != "shopA" || !found {
		return view.Payment{}, &gateway.Error{Code: gateway.CodeNotFound, Public: "no such payment of " + shop}
	}
	v := payment()
	v.Closing = f.closing
	return v, nil
}

func (f *fake) Payment(_ context.Context, shop, id string) (view.Payment, error) {
	return f.get(shop, id == idA)
}

func (f *fake) PaymentByOrder(_ context.Context, shop, no string) (view.Payment, error) {
	return f.get(shop, no == "o-1")
}

func (f *fake) PaymentByOutTradeNo(_ context.Context, shop, no string) (view.Payment, error) {
	return f.get(shop, no == "0abc")
}

func (f *fake) PaymentByTransaction(_ context.Context, shop, no string) (view.Payment, error) {
	return f.get(shop, no == "4200001")
}

func (f *fake) ClosePayment(_ context.Context, shop, id string) (view.Payment, error) {
	return f.get(shop, id == idA)
}

func (f *fake) Refund(_ context.Context, shop, id string, in gateway.RefundInput) (view.Refund, bool, error) {
	if _, err := f.get(shop, id == idA); err != nil {
		return view.Refund{}, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refunds = append(f.refunds, in)
	return refund(), in.RefundNo != "again", nil
}

func (f *fake) RefundByID(_ context.Context, shop, id string) (view.Refund, error) {
	_, err := f.get(shop, id == "rfd_1")
	return refund(), err
}

func (f *fake) RefundByNo(_ context.Context, shop, no string) (view.Refund, error) {
	_, err := f.get(shop, no == "r-1")
	return refund(), err
}

func (f *fake) Events(_ context.Context, shop string, after int64, limit int) (view.Events, error) {
	if _, err := f.get(shop, true); err != nil {
		return view.Events{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after, f.limit = after, limit
	r := refund()
	body, err := json.Marshal(view.Event{ID: "evt_1", Type: "refund.succeeded", Timestamp: "2026-01-02T03:04:05.000Z", Sequence: 4, Data: payment(), Refund: &r})
	return view.Events{Object: "list", Data: []view.Placed{{Pos: after + 1, Event: body}}, HasMore: true}, err
}

func refund() view.Refund {
	return view.Refund{
		ID: "rfd_1", Object: "refund", PaymentID: idA, AttemptID: "att_1", RefundNo: "r-1", OutRefundNo: "0r", Amount: 40, Status: "pending",
		CreatedAt: "2026-01-02T03:04:05.000Z",
	}
}

func payment() view.Payment {
	return view.Payment{
		ID: idA, Object: "payment", OrderNo: "o-1", Status: "open", Amount: 100, Currency: "CNY", Subject: "tea",
		CashierURL: "https://pay.example.com/payment/process/t", Metadata: json.RawMessage(`{"a":"b"}`),
		CreatedAt: "2026-01-02T03:04:05.000Z", ExpiresAt: "2026-01-02T03:34:05.000Z",
		Attempts: []view.Attempt{{
			ID: "att_1", Method: "wechat", Product: "native", Status: "open", OutTradeNo: "0abc", CreatedAt: "2026-01-02T03:04:05.000Z",
		}},
		Refunds: []view.Refund{},
	}
}

func handler(t *testing.T, f *fake, log io.Writer) http.Handler {
	t.Helper()
	h, err := api.New(api.Config{Gateway: f, PublicURL: "https://pay.example.com", Methods: []string{"wechat", "alipay"}})
	if err != nil {
		t.Fatal(err)
	}
	return httpx.Wrap(slog.New(slog.NewJSONHandler(log, nil)), time.Now, h)
}

// call is one request; key "" sends none.
type call struct {
	method, path, key, body string
	header                  http.Header
}

func (c call) request() *http.Request {
	r := httptest.NewRequest(c.method, "http://pay.example.com"+c.path, strings.NewReader(c.body))
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	return r
}

func do(h http.Handler, c call) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, c.request())
	return w
}

// wantProblem checks everything that every refusal has.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code, param string) httpx.Problem {
	t.Helper()
	var p httpx.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if w.Code != status || p.Status != status || string(p.Code) != code || p.Param != param {
		t.Fatalf("got %d %s param %q, want %d %s param %q: %s", w.Code, p.Code, p.Param, status, code, param, w.Body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type %q", ct)
	}
	if p.Type != "urn:piaohao:error:"+code || p.Title == "" || p.Detail == "" {
		t.Errorf("incomplete problem: %s", w.Body)
	}
	if p.RequestID == "" || p.RequestID != w.Header().Get("Request-Id") {
		t.Errorf("request_id %q, header %q", p.RequestID, w.Header().Get("Request-Id"))
	}
	return p
}

const good = `{"order_no":"o-1","amount":100,"subject":"tea"}`

func TestCreate(t *testing.T) {
	t.Parallel()
	f := &fake{}
	h := handler(t, f, io.Discard)
	body := `{"order_no":"a.b|c*d@e-f_1","amount":10000000000,"currency":"CNY","subject":"绿茶 𠮷","method":"wechat","product":"native",
		"return_url":"https://shop.example/back?x=1","expires_in":120,"metadata":{"k":"v"}}`
	w := do(h, call{"POST", "/v1/payments", keyA, body, http.Header{"Idempotency-Key": {"x"}}})
	if w.Code != 201 || w.Header().Get("Location") != "/v1/payments/"+idA {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if strings.Contains(w.Body.String(), "$schema") || w.Header().Get("Link") != "" {
		t.Errorf("schema links: %s", w.Body)
	}
	in := f.created[0]
	if in.Shop != "shopA" || in.OrderNo != "a.b|c*d@e-f_1" || in.Amount != 10_000_000_000 || in.Subject != "绿茶 𠮷" ||
		in.Method != "wechat" || in.Product != "native" || in.ReturnURL != "https://shop.example/back?x=1" ||
		in.ExpiresIn != 2*time.Minute || in.Metadata["k"] != "v" || in.Currency != "CNY" {
		t.Errorf("handed on: %+v", in)
	}
	if w := do(h, call{"POST", "/v1/payments", keyA, `{"order_no":"again","amount":1,"subject":"x"}`, nil}); w.Code != 200 {
		t.Errorf("existing: %d", w.Code)
	}
	if got := f.created[1].ExpiresIn; got != 0 {
		t.Errorf("expires_in left out became %v", got)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Content-Type": "application/json",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	with := func(field, value string) string {
		m := map[string]string{"order_no": `"o-1"`, "amount": "100", "subject": `"tea"`}
		m[field] = value
		var parts []string
		for k, v := range m {
			if v != "" {
				parts = append(parts, `"`+k+`":`+v)
			}
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	keys := map[string]string{}
	for i := range 21 {
		keys[string(rune('a'+i))] = ""
	}
	many, _ := json.Marshal(keys)
	f := &fake{}
	h := handler(t, f, io.Discard)
	for _, row := range []struct{ name, body, param string }{
		{"A29 amount exponent", with("amount", "1e2"), ""},
		{"A29 amount with fraction", with("amount", "100.0"), ""},
		{"A29 amount 1.005", with("amount", "1.005"), ""},
		{"A29 amount negative", with("amount", "-1"), "amount"},
		{"A29 amount plus", with("amount", "+1"), ""},
		{"A29 amount zero", with("amount", "0"), "amount"},
		{"A29 amount minus zero", with("amount", "-0"), ""},
		{"A29 amount leading zero", with("amount", "0100"), ""},
		{"A29 amount text", with("amount", `"100"`), ""},
		{"A29 amount text with space", with("amount", `" 1"`), ""},
		{"A29 amount full-width", with("amount", "１００"), ""},
		{"A29 amount hex", with("amount", "0x64"), ""},
		{"A29 amount 2^63", with("amount", "9223372036854775808"), ""},
		{"A29 amount NaN", with("amount", "NaN"), ""},
		{"A29 amount 17 digits", with("amount", "10000000000000001"), "amount"},
		{"A29 amount one too many", with("amount", "10000000001"), "amount"},
		{"A29 amount missing", with("amount", ""), "amount"},
		{"A29 amount null", with("amount", "null"), ""},
		{"A29 amount true", with("amount", "true"), ""},
		{"A51 amount twice", `{"order_no":"o-1","amount":1,"subject":"tea","amount":100}`, ""},
		{"A51 amount in capitals", `{"order_no":"o-1","AMOUNT":1,"subject":"tea"}`, ""},
		{"A51 folded name", `{"order_no":"o-1","amount":1,"ſubject":"tea"}`, ""},
		{"A51 unknown name", with("price", "1"), ""},
		{"A51 trailing document", good + `{"amount":1}`, ""},
		{"A51 metadata name twice", with("metadata", `{"a":"1","a":"2"}`), ""},
		{"not JSON", "order_no=o-1", ""},
		{"an array", "[]", ""},
		{"broken UTF-8", with("subject", "\"\xff\""), ""},
		{"order_no missing", with("order_no", ""), "order_no"},
		{"order_no empty", with("order_no", `""`), "order_no"},
		{"order_no 65", with("order_no", quoted(strings.Repeat("a", 65))), "order_no"},
		{"order_no with space", with("order_no", `"a b"`), "order_no"},
		{"order_no with newline at the end", with("order_no", `"a\n"`), "order_no"},
		{"order_no with slash", with("order_no", `"a/b"`), "order_no"},
		{"currency USD", with("currency", `"USD"`), "currency"},
		{"currency lower case", with("currency", `"cny"`), "currency"},
		{"subject missing", with("subject", ""), "subject"},
		{"subject blank", with("subject", `"  "`), "subject"},
		{"subject 257", with("subject", quoted(strings.Repeat("茶", 257))), "subject"},
		{"subject with NUL", with("subject", `"a\u0000"`), "subject"},
		{"subject with newline", with("subject", `"a\nb"`), "subject"},
		{"method odd", with("method", `"We Chat"`), "method"},
		{"product without method", with("product", `"native"`), "product"},
		{"return_url without scheme", with("return_url", `"//evil.example"`), "return_url"},
		{"return_url script", with("return_url", `"javascript:alert(1)"`), "return_url"},
		{"return_url opaque", with("return_url", `"https:evil"`), "return_url"},
		{"return_url with user", with("return_url", `"https://a@b.example"`), "return_url"},
		{"return_url long", with("return_url", quoted("https://a.example/"+strings.Repeat("a", 2048))), "return_url"},
		{"expires_in 119", with("expires_in", "119"), "expires_in"},
		{"expires_in 86401", with("expires_in", "86401"), "expires_in"},
		{"expires_in zero", with("expires_in", "0"), "expires_in"},
		{"expires_in overflowing a duration", with("expires_in", "9223372036854775807"), "expires_in"},
		{"expires_in fraction", with("expires_in", "120.5"), ""},
		{"metadata 21 names", with("metadata", string(many)), "metadata"},
		{"metadata long", with("metadata", `{"a":"`+strings.Repeat("a", 2048)+`"}`), "metadata"},
		{"metadata number", with("metadata", `{"a":1}`), ""},
		{"metadata null value", with("metadata", `{"a":null}`), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantProblem(t, do(h, call{"POST", "/v1/payments", keyA, row.body, nil}), 400, "invalid_request", row.param)
			if len(f.created) != 0 {
				t.Error("reached the gateway")
			}
		})
	}
}

func TestRequestForm(t *testing.T) {
	t.Parallel()
	long := `{"order_no":"o-1","subject":"` + strings.Repeat("a", 64<<10) + `"}`
	many := http.Header{}
	for i := range 101 {
		many["X-"+strings.Repeat("a", i+1)] = []string{""}
	}
	f := &fake{}
	h := handler(t, f, io.Discard)
	for _, row := range []struct {
		name   string
		call   call
		status int
		code   string
	}{
		{"A55 body over 64 KiB", call{"POST", "/v1/payments", keyA, long, nil}, 413, "too_large"},
		{"A55 body over 64 KiB to close", call{"POST", "/v1/payments/" + idA + "/close", keyA, long, nil}, 413, "too_large"},
		{"A55 101 header fields", call{"GET", "/v1/payments/" + idA, keyA, "", many}, 431, "too_many_headers"},
		{"A56 gzip", call{"POST", "/v1/payments", keyA, good, http.Header{"Content-Encoding": {"gzip"}}}, 415, "unsupported_media_type"},
		{"form body", call{"POST", "/v1/payments", keyA, good, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, 415, "unsupported_media_type"},
		{"no content type", call{"POST", "/v1/payments", keyA, good, http.Header{"Content-Type": nil}}, 415, "unsupported_media_type"},
		{"charset gbk", call{"POST", "/v1/payments", keyA, good, http.Header{"Content-Type": {"application/json; charset=gbk"}}}, 415, "unsupported_media_type"},
		{"no body", call{"POST", "/v1/payments", keyA, "", http.Header{"Content-Type": {"application/json"}}}, 400, "invalid_request"},
		{"create with a query", call{"POST", "/v1/payments?amount=1", keyA, good, nil}, 400, "invalid_request"},
		{"405 DELETE", call{"DELETE", "/v1/payments/" + idA, keyA, "", nil}, 405, "method_not_allowed"},
		{"405 GET close", call{"GET", "/v1/payments/" + idA + "/close", keyA, "", nil}, 405, "method_not_allowed"},
		{"404 unknown", call{"GET", "/v1/nothing", keyA, "", nil}, 404, "not_found"},
		{"404 bare", call{"GET", "/", keyA, "", nil}, 404, "not_found"},
		{"404 no docs page", call{"GET", "/docs", keyA, "", nil}, 404, "not_found"},
		{"404 no schemas", call{"GET", "/schemas/Payment.json", keyA, "", nil}, 404, "not_found"},
		{"A101 .env", call{"GET", "/.env", "", "", nil}, 404, "not_found"},
		{"A101 .git", call{"GET", "/.git/config", "", "", nil}, 404, "not_found"},
		{"A101 pprof", call{"GET", "/debug/pprof/", "", "", nil}, 404, "not_found"},
		{"A101 database", call{"GET", "/data/live.db", "", "", nil}, 404, "not_found"},
		{"A101 backup", call{"GET", "/v1/openapi.json.bak", "", "", nil}, 404, "not_found"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := do(h, row.call)
			wantProblem(t, w, row.status, row.code, map[string]string{"create with a query": "amount"}[row.name])
			if f.looked+len(f.created) != 0 {
				t.Error("reached the gateway")
			}
		})
	}
	w := do(h, call{"PUT", "/v1/payments", keyA, "", nil})
	if got := w.Header().Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow: %q", got)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		auth  []string
		path  string
		code  string // "" = let through
		asked int
	}{
		{"known", []string{"Bearer " + keyA}, "", "", 1},
		{"scheme in lower case", []string{"bearer " + keyA}, "", "", 1},
		{"none", nil, "", "unauthorized", 0},
		{"empty", []string{""}, "", "unauthorized", 0},
		{"unknown", []string{"Bearer sk_test_x"}, "", "unauthorized", 1},
		{"live key here", []string{"Bearer sk_live_x"}, "", "wrong_mode", 1},
		{"no prefix", []string{"Bearer shopA"}, "", "unauthorized", 0},
		{"basic", []string{"Basic " + keyA}, "", "unauthorized", 0},
		{"twice", []string{"Bearer " + keyA, "Bearer " + keyB}, "", "unauthorized", 0},
		{"in the query", nil, "?key=" + keyA, "unauthorized", 0},
		{"10 KiB", []string{"Bearer sk_test_" + strings.Repeat("a", 10<<10)}, "", "unauthorized", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			w := do(handler(t, f, io.Discard), call{"GET", "/v1/payments/" + idA + row.path, "", "", http.Header{"Authorization": row.auth}})
			if f.keys != row.asked {
				t.Errorf("the gateway was asked about %d keys", f.keys)
			}
			if row.code == "" {
				if w.Code != 200 {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				return
			}
			wantProblem(t, w, 401, row.code, "")
			if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
				t.Error("no WWW-Authenticate")
			}
			if strings.Contains(w.Body.String(), "sk_test_shop") {
				t.Error("the key came back")
			}
		})
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	h := handler(t, &fake{}, io.Discard)
	for _, row := range []struct {
		query, param string
		status       int
	}{
		{"?order_no=o-1", "", 200},
		{"?out_trade_no=0abc", "", 200},
		{"?transaction_id=4200001", "", 200},
		{"?order_no=other", "", 404},
		{"?order_no=a%7Cb", "", 404},
		{"", "", 400},
		{"?order_no=o-1&out_trade_no=0abc", "", 400},
		{"?order_no=o-1&order_no=o-1", "order_no", 400},
		{"?order_no=", "order_no", 400},
		{"?order_no=a%00", "order_no", 400},
		{"?order_no=a%0a", "order_no", 400},
		{"?order_no=%zz", "", 400},
		{"?order_no=a;b", "", 400},
		{"?out_trade_no=a-b", "out_trade_no", 400},
		{"?transaction_id=a%20b", "transaction_id", 400},
		{"?state=open", "state", 400},
		{"?ORDER_NO=o-1", "ORDER_NO", 400},
	} {
		t.Run(row.query, func(t *testing.T) {
			w := do(h, call{"GET", "/v1/payments" + row.query, keyA, "", nil})
			switch row.status {
			case 200:
				if w.Code != 200 || !strings.Contains(w.Body.String(), idA) {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			case 404:
				wantProblem(t, w, 404, "not_found", "")
			default:
				wantProblem(t, w, 400, "invalid_request", row.param)
			}
		})
	}
}

// Another shop's id, an unknown id and a malformed one are the same 404, but for the request id.
func TestA95NotFoundIsOne(t *testing.T) {
	t.Parallel()
	h := handler(t, &fake{}, io.Discard)
	var bodies []string
	for _, row := range []struct{ name, method, path, key string }{
		{"A95 other shop's", "GET", "/v1/payments/" + idA, keyB},
		{"A95 other shop's to close", "POST", "/v1/payments/" + idA + "/close", keyB},
		{"A95 other shop's order", "GET", "/v1/payments?order_no=o-1", keyB},
		{"A95 other shop's transaction", "GET", "/v1/payments?transaction_id=4200001", keyB},
		{"unknown", "GET", "/v1/payments/pay_0000000000000000000000000b", keyA},
		{"malformed", "GET", "/v1/payments/x%00y", keyA},
		{"long", "GET", "/v1/payments/pay_" + strings.Repeat("a", 5000), keyA},
	} {
		w := do(h, call{row.method, row.path, row.key, "", nil})
		p := wantProblem(t, w, 404, "not_found", "")
		bodies = append(bodies, strings.ReplaceAll(w.Body.String(), p.RequestID, ""))
		if bodies[len(bodies)-1] != bodies[0] {
			t.Errorf("%s: %s differs from %s", row.name, bodies[len(bodies)-1], bodies[0])
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	f := &fake{}
	h := handler(t, f, io.Discard)
	if w := do(h, call{"POST", "/v1/payments/" + idA + "/close", keyA, "", nil}); w.Code != 200 {
		t.Errorf("closed: %d %s", w.Code, w.Body)
	}
	f.closing = true
	if w := do(h, call{"POST", "/v1/payments/" + idA + "/close", keyA, "", nil}); w.Code != 202 {
		t.Errorf("closing: %d %s", w.Code, w.Body)
	}
}

func TestGatewayErrors(t *testing.T) {
	t.Parallel()
	secret := errors.New("dsn postgres://user:canary@db")
	for _, code := range httpx.Codes() {
		f := &fake{err: &gateway.Error{Code: code, Public: "Do this.", RetryAfter: 1500 * time.Millisecond, Cause: secret}}
		w := do(handler(t, f, io.Discard), call{"POST", "/v1/payments", keyA, good, nil})
		p := wantProblem(t, w, httpx.Status(code), string(code), "")
		if code != gateway.CodeInternal && code != gateway.CodeNotFound && (p.RetryAfter != 2 || w.Header().Get("Retry-After") != "2") {
			t.Errorf("%s: retry after %d, %q", code, p.RetryAfter, w.Header().Get("Retry-After"))
		}
		if strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s: the cause came out", code)
		}
	}
	f := &fake{err: secret}
	w := do(handler(t, f, io.Discard), call{"GET", "/v1/payments/" + idA, keyA, "", http.Header{"Accept-Language": {"zh-CN,zh;q=0.9,en;q=0.8"}}})
	if p := wantProblem(t, w, 500, "internal", ""); p.Title != "内部错误" {
		t.Errorf("title %q", p.Title)
	}
	if strings.Contains(w.Body.String(), "canary") {
		t.Error("the cause came out")
	}
}

// Nothing in an answer follows the Host or X-Forwarded-* headers of the request, and no host is trusted without a key.
func TestHostHasNoEffect(t *testing.T) {
	t.Parallel()
	h := handler(t, &fake{}, io.Discard)
	ask := func(path, key, host string) *httptest.ResponseRecorder {
		r := call{"GET", path, key, "", http.Header{
			"X-Forwarded-Host": {host}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Original-Url": {"/v1/x"}, "X-Debug": {"1"},
		}}.request()
		r.Host, r.RemoteAddr = host, "127.0.0.1:1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, host := range []string{"localhost", "127.0.0.1", "evil.example"} {
		t.Run("A97 links do not follow "+host, func(t *testing.T) {
			for _, path := range []string{"/v1/payments/" + idA, "/v1/openapi.json"} {
				usual, got := ask(path, keyA, "pay.example.com"), ask(path, keyA, host)
				if got.Code != 200 || got.Body.String() != usual.Body.String() {
					t.Errorf("%s: %d %s", path, got.Code, got.Body)
				}
			}
		})
		t.Run("A06 no trust in "+host, func(t *testing.T) {
			wantProblem(t, ask("/v1/payments/"+idA+"?debug=1", "", host), 401, "unauthorized", "")
		})
	}
}

// A55 over a real connection: a body that never ends, and one that stalls.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = httpx.NewServer(handler(t, &fake{}, io.Discard), slog.New(slog.DiscardHandler))
	srv.Config.ReadTimeout = 50 * time.Millisecond // the real one is 10 s
	srv.Start()
	defer srv.Close()
	for _, row := range []struct {
		name, length, body string
		status             int
	}{
		{"A55 stalled", "50", `{"order_no"`, 408},
		{"A55 endless", "", strings.Repeat(" ", 65<<10), 413},
	} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		framing := "Transfer-Encoding: chunked"
		if row.length != "" {
			framing = "Content-Length: " + row.length
		} else {
			row.body = fmt.Sprintf("%x\r\n%s\r\n", len(row.body), row.body)
		}
		fmt.Fprintf(conn, "POST /v1/payments HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s\r\n\r\n%s", keyA, framing, row.body)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		resp.Body.Close()
		if resp.StatusCode != row.status || !resp.Close {
			t.Errorf("%s: %d, close %v", row.name, resp.StatusCode, resp.Close)
		}
	}
}

// What a caller sends cannot forge a log line, and secrets are in none.
func TestA103Log(t *testing.T) {
	t.Parallel()
	var buf strings.Builder
	h := handler(t, &fake{}, &buf)
	do(h, call{"GET", "/v1/payments/pay_%0a%7B%22level%22:%22ERROR%22%7D?canary=%1b[31m", keyA, "", http.Header{"Request-Id": {"canary"}, "X-Request-Id": {"canary"}}})
	do(h, call{"POST", "/v1/payments", keyA, `{"order_no":"canary\n{}","amount":1,"subject":"canary"}`, nil})
	do(h, call{"POST", "/v1/canary", keyA, "", nil})
	lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines:\n%s", len(lines), buf.String())
	}
	for _, line := range lines {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"method", "route", "status", "ms", "request_id", "code"} {
			if m[name] == nil {
				t.Errorf("no %s in %s", name, line)
			}
		}
		if strings.Contains(line, "canary") || strings.Contains(line, keyA) {
			t.Errorf("the caller's text in the log: %s", line)
		}
	}
	if !strings.Contains(lines[0], `"route":"GET /v1/payments/{id}"`) {
		t.Errorf("route: %s", lines[0])
	}
}
