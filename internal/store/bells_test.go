package store

import (
	"testing"
	"time"

	"piaohao/internal/bell"
	"piaohao/internal/pay"
)

// heard says which of db's bells rang since the last call.
func heard(db *DB) string {
	out := ""
	for _, b := range []struct {
		name string
		bell bell.Bell
	}{{"attempts ", db.bells.Attempts}, {"refunds ", db.bells.Refunds}, {"deliveries ", db.bells.Deliveries}} {
		select {
		case <-b.bell:
			out += b.name
		default:
		}
	}
	return out
}

// What rings no bell is found a second later, and what rings without need costs a look.
func TestBells(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		p := w.stored(w.newPayment("order"))
		woken := func(at time.Time) pay.Change {
			c := pay.Change{Payment: w.loaded(p.ID)}
			c.Attempts = []pay.AttemptRow{{Attempt: c.Payment.Attempts[0], Wake: &at}}
			w.addEvent(&c, pay.EventAttemptClosing)
			return c
		}
		apply := func(c pay.Change) error { return w.Apply(ctx, c) }
		var c Claim
		var r pay.Payment
		for _, step := range []struct {
			name string
			do   func() error
			want string
		}{
			{"an attempt that is due later", func() error { return nil }, ""},
			{"an attempt woken for later", func() error { return apply(woken(w.clock.Now().Add(time.Second))) }, ""},
			{"an attempt that is to rest", func() error { return apply(woken(time.Time{})) }, ""},
			{"an attempt woken", func() error { return apply(woken(w.clock.Now())) }, "attempts "},
			{"what is not written", func() error { _ = apply(w.newPayment("order")); return nil }, ""},
			{"a claim", func() error { c, _ = w.claim(w.DB, "acc"); return nil }, "attempts "},
			{"no claim", func() error { w.claim(w.DB, "acc"); return nil }, ""},
			{"a release", func() error { return w.Release(ctx, c, w.clock.Now().Add(time.Second), false) }, ""},
			{"a claim by a request", func() error { _, _, err := w.ClaimThis(ctx, c.AttemptID, w.clock.Now(), lease); return err }, ""},
			{"an attempt asked about", func() error { return w.AskAttempt(ctx, c.AttemptID, w.clock.Now()) }, "attempts "},
			{"events without an endpoint", func() error { w.fanOut(); return nil }, ""},
			{"a payment", func() error { r = w.stored(w.paid(w.loaded(p.ID), 0, "tx")); return nil }, ""},
			{"a refund", func() error { r = w.stored(w.wantRefund(r, "r1")); return nil }, "refunds "},
			{"a refund that has to wait", func() error {
				c := w.wantRefund(r, "r2")
				c.Refunds[0].Refund.Due.At = w.clock.Now().Add(time.Second)
				return apply(c)
			}, ""},
			{"a refund of the console", func() error {
				c := w.wantRefund(w.loaded(r.ID), "r3")
				c.Refunds[0].Refund.Due.At = time.Time{}
				return apply(c)
			}, ""},
			{"a claimed refund", func() error { w.claimRefund(w.DB); return nil }, "refunds "},
			{"no refund to claim", func() error { w.claimRefund(w.DB); return nil }, ""},
			{"a refund asked about", func() error { return w.AskRefund(ctx, r.Refunds[0].ID, w.clock.Now()) }, "refunds "},
			{"an endpoint", func() error { w.endpoint("ep", "https://a.example", "k"); w.fanOut(); return nil }, "deliveries "},
			{"events passed on again", func() error { w.fanOut(); return nil }, ""},
			{"a claimed delivery", func() error { w.claimDelivery(w.DB); return nil }, "deliveries "},
			{"the last delivery claimed", func() error { w.claimDelivery(w.DB); return nil }, ""},
		} {
			must(t, step.do())
			if got := heard(w.DB); got != step.want {
				t.Errorf("%s rings %q, want %q", step.name, got, step.want)
			}
		}
	})
}

func TestBellsAreSharedByHandlesOfOneProcess(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	p := w.stored(w.newPayment("order"))
	must(t, w.ToWrite().AskAttempt(t.Context(), p.Attempts[0].ID, w.clock.Now()))
	if got := heard(w.DB); got != "attempts " {
		t.Errorf("heard %q", got)
	}
}
