package cashier_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
	"piaohao/internal/web/cashier"
	"piaohao/internal/web/httpx"
)

const (
	token  = "0123456789abcdefghjkmnpqrstvwxyz"
	absent = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
	other  = "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
)

var now = time.Date(2026, 11, 23, 6, 27, 8, 0, time.UTC) // 14:27:08 in Beijing

// fake answers from canned values and counts what it is asked. Tokens but `token` are unknown.
type fake struct {
	mu      sync.Mutex
	page    gateway.Page
	leave   gateway.Leave
	err     error // of Page, Go, Back, Watching
	version int64
	ended   bool
	changed chan struct{}

	calls   map[string]int
	device  gateway.Device
	ip      string
	stopped int
}

func newFake(p gateway.Phase) *fake {
	return &fake{page: canned(p), version: 7, changed: make(chan struct{}, 1), calls: map[string]int{}}
}

var errUnknown = &gateway.Error{Code: gateway.CodeNotFound, Public: "no such page"}

func (f *fake) called(name, t string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[name]++
	if t != token {
		return errUnknown
	}
	return f.err
}

func (f *fake) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[name]
}

func (f *fake) set(version int64, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version, f.ended = version, ended
}

func (f *fake) Page(_ context.Context, in gateway.PageInput) (gateway.Page, error) {
	f.device = in.Device
	return f.page, f.called("Page", in.Token)
}

func (f *fake) Go(_ context.Context, in gateway.PageInput, ip string) (gateway.Leave, error) {
	f.device, f.ip = in.Device, ip
	return f.leave, f.called("Go", in.Token)
}

func (f *fake) Back(_ context.Context, t string) error    { return f.called("Back", t) }
func (f *fake) Arrived(_ context.Context, t string) error { return f.called("Arrived", t) }

func (f *fake) Watching(_ context.Context, t string) (int64, bool, error) {
	err := f.called("Watching", t)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version, f.ended, err
}

func (f *fake) Watched(_ context.Context, p pay.Payment) error { return f.called("Watched", p.Token) }

func (f *fake) Subscribe(_ context.Context, t string) (<-chan struct{}, func(), error) {
	if err := f.called("Subscribe", t); err != nil {
		return nil, nil, err
	}
	return f.changed, func() { f.mu.Lock(); defer f.mu.Unlock(); f.stopped++ }, nil
}

func (f *fake) Returned(_ context.Context, rawQuery string) (string, error) {
	if err := f.called("Returned", token); err != nil {
		return "", err
	}
	if rawQuery == "out_trade_no=1&sign=good" {
		return token, nil
	}
	return "", errUnknown
}

// canned is a payment's page in the given phase.
func canned(p gateway.Phase) gateway.Page {
	payment := pay.Payment{
		ID: "pay_01k9", OrderNo: "20261123-0007", Amount: 12800, Currency: pay.CNY, Token: token,
		Subject: "《大宋提刑官》精装本 × 1", CreatedAt: now.Add(-time.Minute), ExpiresAt: now.Add(29*time.Minute + 41*time.Second),
	}
	page := gateway.Page{
		ShopName: "示例书店", Payment: payment, Phase: p, Version: 7,
		ReturnURL: "https://shop.example/orders/7?payment_id=pay_01k9&order_no=20261123-0007",
		Choices: []gateway.Choice{
			{Method: "wechat", Hint: gateway.HintScan}, {Method: "alipay", Redirect: true, Hint: gateway.HintGo},
		},
	}
	attempt := pay.Attempt{ID: "att_1", Method: "wechat", Product: "native"}
	switch p {
	case gateway.PhaseChoose:
		return page
	case gateway.PhaseScan:
		page.QR = "weixin://wxpay/bizpayurl?pr=7MzqkP0zz"
		page.WalletURL = "http://127.0.0.1:5001/sim/wallet?code=weixin%3A%2F%2Fwxpay"
	case gateway.PhaseLeave:
		attempt.Method = "alipay"
		page.WalletURL = "http://127.0.0.1:5001/sim/wallet?code=1"
	case gateway.PhasePaid, gateway.PhaseRefunded, gateway.PhaseTwice, gateway.PhaseLate:
		attempt.TransactionID, attempt.PaidAt = "4200002611202611233141826014", now
		page.Choices = nil
	case gateway.PhaseClosed, gateway.PhaseExpired, gateway.PhaseConfirming:
		page.Choices = nil
	}
	switch p {
	case gateway.PhaseRefunded:
		page.Refund = pay.Return{Total: 12800, Done: 12800}
	case gateway.PhaseTwice, gateway.PhaseLate:
		page.Surplus = pay.Return{Total: 12800, Going: 12800}
	}
	page.Attempt = &attempt
	return page
}

var phases = []gateway.Phase{
	gateway.PhaseChoose, gateway.PhaseOpening, gateway.PhaseScan, gateway.PhaseLeave, gateway.PhaseConfirming, gateway.PhasePaid,
	gateway.PhaseClosed, gateway.PhaseExpired, gateway.PhaseRefused, gateway.PhaseTwice, gateway.PhaseLate, gateway.PhaseRefunded,
}

func config(f *fake) cashier.Config {
	return cashier.Config{
		Gateway: f,
		Platforms: []gateway.Platform{
			{Method: "wechat", BrowserMark: "MicroMessenger"},
			{Method: "alipay", BrowserMark: "AlipayClient", FormHosts: []string{"https://pay.example", "https://pay2.example"}},
		},
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now:      func() time.Time { return now },
		ClientIP: func(*http.Request) string { return "203.0.113.9" },
	}
}

type request struct {
	method, path string
	header       map[string]string
}

// do sends one request to a cashier over f.
func do(t *testing.T, f *fake, q request) *http.Response {
	t.Helper()
	return serve(cashier.New(config(f)), q)
}

func serve(h http.Handler, q request) *http.Response {
	if q.method == "" {
		q.method = http.MethodGet
	}
	r := httptest.NewRequest(q.method, "http://gateway.example"+q.path, nil)
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	httpx.RequestID(h).ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t *testing.T, res *http.Response) string {
	t.Helper()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func wantStatus(t *testing.T, res *http.Response, status int) {
	t.Helper()
	if res.StatusCode != status {
		t.Fatalf("status %d, want %d; body %.300s", res.StatusCode, status, bodyOf(t, res))
	}
}

func wantSee(t *testing.T, res *http.Response, location string) {
	t.Helper()
	wantStatus(t, res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != location {
		t.Fatalf("leads to %q, want %q", got, location)
	}
}

func wantText(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(body, part) {
			t.Errorf("page lacks %q", part)
		}
	}
}

func wantNoText(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(body, part) {
			t.Errorf("page has %q", part)
		}
	}
}
