package alipaysim

import (
	"errors"
	"strings"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		make    func(w *world) (code string)
		err     error         // wanted from Find, or
		reason  simkit.Reason // why Pay refuses; "" = it pays
		blocked simkit.Reason // what Find says of it
	}{
		{name: "page link", make: func(w *world) string { return w.page("A") }},
		{name: "wap link", make: func(w *world) string { return w.wap("A") }},
		{name: "link already opened", make: func(w *world) string { w.act(w.visit(w.page("A")), "login"); return w.page("A") }},
		{name: "number of an opened trade", make: func(w *world) string { w.act(w.visit(w.page("A")), "login"); return "A" }},
		{name: "unknown number", make: func(*world) string { return "A" }, err: simkit.ErrUnknown},
		{name: "forged link", make: func(w *world) string { return strings.Replace(w.page("A"), "128.00", "0.01", 1) }, err: simkit.ErrUnknown},
		{name: "link of another app", make: func(w *world) string { return w.page("A", set("app_id", "1")) }, err: simkit.ErrUnknown},
		{name: "link of a query", make: func(w *world) string { return link(w.request(methodQuery, pageBiz("A"))) }, err: simkit.ErrUnknown},
		{name: "unopened number", make: func(w *world) string { w.visit(w.page("A")); return "A" }, reason: simkit.ReasonUnopened},
		{name: "paid", make: func(w *world) string {
			_, err := w.sim.Pay(w.page("A"), "")
			if err != nil {
				w.t.Fatal(err)
			}
			return "A"
		}, reason: simkit.ReasonPaid, blocked: simkit.ReasonPaid},
		{name: "paid, its link, after the deadline", make: func(w *world) string {
			_, err := w.sim.Pay(w.page("A"), "")
			if err != nil {
				w.t.Fatal(err)
			}
			w.advance(time.Hour)
			return w.page("A")
		}, reason: simkit.ReasonPaid, blocked: simkit.ReasonPaid},
		{
			name: "closed", make: func(w *world) string { w.act(w.visit(w.page("A")), "login"); w.close("A"); return "A" },
			reason: simkit.ReasonClosed, blocked: simkit.ReasonClosed,
		},
		{
			name: "expired", make: func(w *world) string { w.act(w.visit(w.page("A")), "login"); w.advance(time.Hour); return "A" },
			reason: simkit.ReasonExpired, blocked: simkit.ReasonExpired,
		},
		{
			name: "expired link", make: func(w *world) string { w.advance(time.Hour); return w.page("A") },
			reason: simkit.ReasonExpired, blocked: simkit.ReasonExpired,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			code := row.make(w)
			order, err := w.sim.Find(code)
			var refusal *simkit.Refusal
			switch {
			case row.err != nil:
				if !errors.Is(err, row.err) {
					t.Fatalf("Find: %v, want %v", err, row.err)
				}
				return
			case errors.As(err, &refusal) && row.reason == refusal.Reason && row.blocked == "":
			case err != nil || order.Blocked != row.blocked || order.OutTradeNo != "A" || order.Amount != 12800 || order.Code != code:
				t.Fatalf("Find: %+v %v", order, err)
			}
			order, err = w.sim.Pay(code, "")
			if row.reason == "" {
				if err != nil || order.State != tradeSuccess || order.TransactionID == "" || w.status("A") != tradeSuccess {
					t.Errorf("Pay: %+v %v", order, err)
				}
				return
			}
			if refusal = nil; !errors.As(err, &refusal) || refusal.Reason != row.reason {
				t.Errorf("Pay: %v, want %s", err, row.reason)
			}
		})
	}
}

func TestFindChangesNothingAndScanOpens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.page("A")
	if order, err := w.sim.Find(page); err != nil || order.State != "" || order.TransactionID != "" {
		t.Errorf("Find: %+v %v", order, err)
	}
	w.query("A").is(t, "40004", "ACQ.TRADE_NOT_EXIST")
	for _, look := range []func(string, string) (simkit.Order, error){w.sim.Scan, w.sim.Refuse} {
		if order, err := look(page, ""); err != nil || order.State != waitBuyerPay || order.Blocked != "" {
			t.Errorf("%+v %v", order, err)
		}
		if got := w.status("A"); got != waitBuyerPay {
			t.Errorf("status %s", got)
		}
	}
	orders, err := w.sim.Orders()
	if err != nil || len(orders) != 1 || orders[0].State != waitBuyerPay {
		t.Errorf("orders %+v %v", orders, err)
	}
	w.advance(time.Hour)
	if orders, err = w.sim.Orders(); err != nil || orders[0].State != tradeClosed {
		t.Errorf("orders after the deadline %+v %v", orders, err)
	}
}
