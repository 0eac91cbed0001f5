package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/client"
)

// buyer is one customer of the shop and what became of the order. Its goroutines write it, the checks read it after
// they have ended.
type buyer struct {
	order, method string
	amount        int64
	watches       bool

	payment       string // id of the payment
	transactionID string // the platform's number, as the wallet told the payer
	outTradeNo    string
	endedAt       time.Time // when the page said that it is over
}

// buy orders, follows the page, and pays after a while.
func (r *killRun) buy(ctx context.Context, b *buyer) {
	p, ok := r.create(ctx, b)
	if !ok {
		return
	}
	token := p.CashierURL[strings.LastIndex(p.CashierURL, "/")+1:]
	if b.watches {
		r.pagesOpen.Add(1)
		r.wg.Go(func() { r.watch(ctx, b, token) })
	}
	code := p.Action.Code
	if b.method == "alipay" {
		code = r.follow(ctx, p.Action.URL)
	}
	r.pause(ctx, r.plan.pays)
	if ctx.Err() != nil {
		return
	}
	var paid struct {
		OutTradeNo    string `json:"out_trade_no"`
		TransactionID string `json:"transaction_id"`
		TradeNo       string `json:"trade_no"`
	}
	// A code once shown stays good: whatever was killed meanwhile, the wallet takes it.
	r.post(ctx, r.simURL+"/sim/wallet/pay", map[string]any{"code": code, "payer": b.order}, &paid)
	b.outTradeNo, b.transactionID = paid.OutTradeNo, paid.TransactionID+paid.TradeNo
}

// create repeats the same order until there is something to show the payer, as a shop does whose calls fail.
func (r *killRun) create(ctx context.Context, b *buyer) (client.Payment, bool) {
	in := client.PaymentParams{OrderNo: b.order, Amount: b.amount, Subject: "龙井 " + b.order, Method: b.method}
	for ctx.Err() == nil {
		p, err := r.shop.CreatePayment(ctx, in)
		var refusal *client.Error
		if errors.As(err, &refusal) && refusal.Status/100 != 5 {
			r.t.Errorf("%s: %v", b.order, err)
			return p, false
		}
		if err == nil {
			if b.payment != "" && b.payment != p.ID {
				r.t.Errorf("%s has two payments, %s and %s", b.order, b.payment, p.ID)
			}
			b.payment = p.ID
			if p.Action != nil {
				return p, true
			}
		}
		r.retries.Add(1)
		r.pause(ctx, 300*time.Millisecond)
	}
	return client.Payment{}, false
}

// follow opens our link until it leads to the platform, and returns where.
func (r *killRun) follow(ctx context.Context, link string) string {
	for ctx.Err() == nil {
		resp, err := r.get(ctx, link)
		if err == nil && resp.StatusCode == http.StatusSeeOther {
			if to := resp.Header.Get("Location"); strings.HasPrefix(to, r.platform.url) {
				return to
			}
		}
		r.visits.Add(1)
		r.pause(ctx, 300*time.Millisecond)
	}
	return ""
}

// watch polls as a payer's page does until the page is told that the payment is over.
func (r *killRun) watch(ctx context.Context, b *buyer, token string) {
	defer r.pagesOpen.Add(-1)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/payment/status/"+token, nil)
		if err != nil {
			r.t.Error(err)
			return
		}
		var pulse struct{ Ended bool }
		if resp, err := r.do(req, &pulse); err == nil && resp.StatusCode == http.StatusOK && pulse.Ended {
			b.endedAt = time.Now()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sink is the shop's webhook endpoint. It fails a tenth of the deliveries, half of them with an answer and half
// without, but none twice: the second pause of the sender is five minutes.
type sink struct {
	url, secret string

	mu       sync.Mutex
	bodies   map[string][]byte // by event id
	accepted map[string]bool   // by event id
	paid     map[string]string // event id by order, accepted ones of payment.paid
	returned map[string]string // event id by refund_no, accepted ones of refund.succeeded
	failed   map[string]bool   // by event id
	came     int
}

func newSink(t *testing.T, secret string) *sink {
	t.Helper()
	s := &sink{secret: secret, bodies: map[string][]byte{}, accepted: map[string]bool{}, paid: map[string]string{}, returned: map[string]string{}, failed: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender was killed
		}
		e, err := client.VerifyWebhook(secret, r.Header, body, time.Now())
		if err != nil {
			t.Errorf("webhook: %v\n%s", err, body)
			return
		}
		w.WriteHeader(s.receive(t, e, body))
	}))
	t.Cleanup(server.Close)
	s.url = server.URL + "/webhook"
	return s
}

func (s *sink) receive(t *testing.T, e client.Event, body []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came++
	if old, known := s.bodies[e.ID]; known && !bytes.Equal(old, body) {
		t.Errorf("event %s came with two bodies:\n%s\n%s", e.ID, old, body)
	}
	s.bodies[e.ID] = body
	if !s.failed[e.ID] && mathrand.IntN(100) < 10 {
		s.failed[e.ID] = true
		if mathrand.IntN(2) == 0 {
			panic(http.ErrAbortHandler) // no answer
		}
		return http.StatusInternalServerError
	}
	s.accepted[e.ID] = true
	if e.Type == client.EventPaymentPaid {
		if other := s.paid[e.Data.OrderNo]; other != "" && other != e.ID {
			t.Errorf("order %s has two events payment.paid, %s and %s", e.Data.OrderNo, other, e.ID)
		}
		s.paid[e.Data.OrderNo] = e.ID
	}
	if e.Type == client.EventRefundSucceeded {
		if other := s.returned[e.Refund.RefundNo]; other != "" && other != e.ID {
			t.Errorf("refund %s has two events refund.succeeded, %s and %s", e.Refund.RefundNo, other, e.ID)
		}
		s.returned[e.Refund.RefundNo] = e.ID
	}
	return http.StatusNoContent
}

// toldOf says whether the shop has accepted that the refund succeeded.
func (s *sink) toldOf(refundNo string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.returned[refundNo] != ""
}

// missing are the orders without an accepted payment.paid.
func (s *sink) missing(all []*buyer) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, b := range all {
		if s.paid[b.order] == "" {
			out = append(out, b.order)
		}
	}
	return out
}
