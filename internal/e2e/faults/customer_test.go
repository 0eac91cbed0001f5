package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"piaohao/client"
)

// purchase is one order of a customer, and what its people saw of it.
type purchase struct {
	orderNo, method  string
	amount, refunded int64
	order            order // as the payer's wallet told it
}

// run orders, pays, and sends a part back, each asked again until it is answered; the payer's page is open until the end.
func (h *house) run(ctx context.Context, p *purchase) error {
	ordered, err := h.place(ctx, p)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); h.watch(watching, ordered.CashierURL) }()
	defer func() { stop(); <-ended }()
	code := ordered.Action.Code
	if ordered.Action.URL != "" {
		if code, err = h.follow(ctx, ordered.Action.URL); err != nil {
			return err
		}
	}
	if p.order, err = h.town.pay(ctx, code); err != nil {
		return err
	}
	if err := h.hears(ctx, client.EventPaymentPaid, p); err != nil {
		return err
	}
	if err := h.refund(ctx, p, ordered.ID); err != nil {
		return err
	}
	return h.hears(ctx, client.EventRefundSucceeded, p)
}

// place repeats the create until there is something to show the payer.
func (h *house) place(ctx context.Context, p *purchase) (out client.Payment, err error) {
	in := client.PaymentParams{OrderNo: p.orderNo, Amount: p.amount, Subject: "龙井 " + p.orderNo, Method: p.method}
	err = retry(ctx, "create", func() (done bool, err error) {
		h.during(func() {
			var shop *client.Client
			if shop, err = h.shop(); err != nil {
				return
			}
			if out, err = shop.CreatePayment(ctx, in); err != nil {
				done = refused(err)
				return
			}
			done = out.Action != nil
			h.ordered(p.orderNo, out.ID)
		})
		return done, err
	})
	return out, err
}

// watch polls as the payer's page does.
func (h *house) watch(ctx context.Context, cashier string) {
	url := "http://" + h.addr + "/payment/status/" + cashier[strings.LastIndex(cashier, "/")+1:]
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		h.during(func() { _, _, _ = h.town.call(ctx, http.MethodGet, url, nil, nil) }) // it polls again
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// follow opens our link until it leads to the platform.
func (h *house) follow(ctx context.Context, link string) (to string, err error) {
	link = strings.Replace(link, h.front, "http://"+h.addr, 1)
	err = retry(ctx, "link", func() (done bool, err error) {
		h.during(func() {
			var status int
			var header http.Header
			status, header, err = h.town.call(ctx, http.MethodGet, link, nil, nil)
			to = header.Get("Location")
			done = err == nil && status == http.StatusSeeOther && strings.HasPrefix(to, h.town.url)
		})
		return done, err
	})
	return to, err
}

func (h *house) refund(ctx context.Context, p *purchase, payment string) error {
	return retry(ctx, "refund", func() (done bool, err error) {
		h.during(func() {
			var shop *client.Client
			if shop, err = h.shop(); err != nil {
				return
			}
			var f client.Refund
			f, err = shop.CreateRefund(ctx, payment, client.RefundParams{RefundNo: "r-" + p.orderNo, Amount: p.refunded, Reason: "no tea"})
			done = err == nil || refused(err)
			if err == nil {
				h.fact("refund "+f.ID, `SELECT COUNT(*) FROM refunds WHERE id = '`+f.ID+`'`)
			}
		})
		return done, err
	})
}

func (h *house) hears(ctx context.Context, eventType string, p *purchase) error {
	return retry(ctx, "webhook "+eventType, func() (bool, error) { return h.sink.has(eventType, p.orderNo), nil })
}

// checkHeard holds what the shop was told against what happened: of each order two events, once.
func (h *house) checkHeard() {
	h.mu.Lock()
	orders := len(h.acked.payments)
	h.mu.Unlock()
	h.sink.mu.Lock()
	defer h.sink.mu.Unlock()
	for what, ids := range h.sink.ids {
		if len(ids) != 1 {
			h.wrong(fmt.Errorf("the shop heard of %s %d times", what, len(ids)))
		}
	}
	if n := len(h.sink.ids); n != 2*orders {
		h.wrong(fmt.Errorf("the shop heard of %d events of %d orders", n, orders))
	}
}

// checkBooks compares with the platform's books.
func (p *purchase) checkBooks(books map[string]order) error {
	got := books[p.order.OutTradeNo]
	if got.TransactionID != p.order.TransactionID || got.Amount != p.amount || got.Refunded != p.refunded {
		return fmt.Errorf("%s of %d fen, %d refunded: the platform has %+v", p.orderNo, p.amount, p.refunded, got)
	}
	return nil
}
