package store

import (
	"errors"
	"testing"
	"time"

	"piaohao/internal/pay"
)

// refunded stores a paid payment with one refund that is due now.
func (w *world) refunded(order, refundNo string) pay.Payment {
	w.t.Helper()
	p := w.stored(w.paid(w.stored(w.newPayment(order)), 0, "tx-"+order))
	return w.stored(w.wantRefund(p, refundNo))
}

func (w *world) wantRefund(p pay.Payment, refundNo string) pay.Change {
	c := pay.Change{Payment: p, Refunds: []pay.RefundRow{{Refund: w.newRefund(p, 0, refundNo), New: true}}}
	w.addEvent(&c, pay.EventRefundCreated)
	return c
}

func (w *world) claimRefund(db *DB) (Claim, bool) {
	w.t.Helper()
	c, ok, err := db.ClaimRefund(w.t.Context(), []string{"acc"}, w.clock.Now(), lease)
	must(w.t, err)
	return c, ok
}

func TestRefundClaims(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		p := w.refunded("order", "r1")
		if at, err := w.NextRefundDue(ctx, []string{"acc"}); err != nil || !at.Equal(w.clock.Now()) {
			t.Fatalf("due %v %v", at, err)
		}
		c, ok := w.claimRefund(w.DB)
		if !ok || c != (Claim{PaymentID: p.ID, RefundID: p.Refunds[0].ID, Account: "acc", Tries: 1}) {
			t.Fatalf("%+v %v", c, ok)
		}
		if _, again := w.claimRefund(w.node()); again {
			t.Error("two holders")
		}
		must(t, w.Release(ctx, c, w.clock.Now().Add(time.Hour), true))
		if _, early := w.claimRefund(w.DB); early {
			t.Error("claimed before it was due")
		}
		must(t, w.AskRefund(ctx, c.RefundID, w.clock.Now()))
		if c, ok = w.claimRefund(w.DB); !ok || c.Tries != 2 || c.Failures != 1 {
			t.Fatalf("%+v %v", c, ok)
		}
		must(t, w.Release(ctx, c, time.Time{}, false))
		if at, err := w.NextRefundDue(ctx, []string{"acc"}); err != nil || !at.IsZero() {
			t.Errorf("released for good, and due %v %v", at, err)
		}
	})
}

// I-12: a refund's claim that was lost writes nothing.
func TestI12LostRefundClaimIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		p := w.refunded("order", "r1")
		first, _ := w.claimRefund(w.DB)
		w.clock.advance(lease + time.Second)
		second, ok := w.claimRefund(w.node())
		if !ok || second.Tries != first.Tries+1 {
			t.Fatalf("%+v %v", second, ok)
		}
		sent := func(tries int64) error {
			r := p.Refunds[0]
			r.Status, r.SentAt = "processing", w.clock.Now()
			c := pay.Change{Payment: p, Refunds: []pay.RefundRow{{Refund: r}}, Fence: &pay.Fence{RefundID: r.ID, Tries: tries}}
			w.addEvent(&c, pay.EventRefundChanged)
			return w.Apply(t.Context(), c)
		}
		if err := sent(first.Tries); !errors.Is(err, ErrStale) {
			t.Errorf("the first holder wrote: %v", err)
		}
		if got := w.loaded(p.ID).Refunds[0].Status; got != "pending" {
			t.Errorf("the refund is %s", got)
		}
		must(t, sent(second.Tries))
		if err := w.Release(t.Context(), first, time.Time{}, false); !errors.Is(err, ErrStale) {
			t.Errorf("the first holder let go: %v", err)
		}
	})
}

// A69: a shop's refund number is one refund's, on whichever payment; a console's may be anything.
func TestA69RefundNumbers(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		w.refunded("order", "r1")
		other := w.stored(w.paid(w.stored(w.newPayment("other")), 0, "tx-other"))
		if err := w.Apply(t.Context(), w.wantRefund(other, "r1")); !errors.Is(err, ErrRefundNoUsed) {
			t.Errorf("the shop's number on two payments: %v", err)
		}
		c := w.wantRefund(other, "r1")
		c.Refunds[0].Refund.External = true
		must(t, w.Apply(t.Context(), c))
		if p, err := w.PaymentByRefundNo(t.Context(), "shop", "r1"); err != nil || p.OrderNo != "order" {
			t.Errorf("found the console's: %v %v", p.OrderNo, err)
		}
	})
}
