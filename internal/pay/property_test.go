package pay_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"piaohao/internal/pay"
)

// apply is the store's part, without a store: a Change becomes the payment.
func apply(p pay.Payment, in pay.Input, now time.Time, newID func(string) string) (pay.Payment, pay.Change, pay.Verdict) {
	c, v := pay.Decide(p, in, now, newID)
	if v == pay.Applied {
		return c.Payment, c, v
	}
	return p, c, v
}

// I-14: order, number and delay of observations do not change an attempt's end.
func TestI14OrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		states := []pay.State{pay.Unpaid, pay.Paid, pay.Closed, pay.Refused, pay.Unknown}
		facts := rapid.SliceOfN(rapid.SampledFrom(states), 1, 8).Draw(t, "facts")
		from := rapid.SampledFrom([]pay.AttemptStatus{pay.AttemptOpening, pay.AttemptOpen}).Draw(t, "from")
		ends := func(order []pay.State) pay.AttemptStatus {
			p, id, now := payment(pay.PaymentOpen, attempt("a", from)), counter(), t0
			for _, s := range order {
				now = now.Add(time.Duration(rapid.IntRange(0, 25*3600).Draw(t, "delay")) * time.Second)
				p, _, _ = apply(p, told("a", s), now, id)
				p, _, _ = apply(p, told("a", s), now, id)
			}
			return p.Attempts[0].Status
		}
		if a, b := ends(facts), ends(rapid.Permutation(facts).Draw(t, "shuffled")); a != b {
			t.Fatalf("in order %s, shuffled %s", a, b)
		}
	})
}

// I-08, I-13: random commands and observations on three attempts keep every rule of the state machine.
func TestI13StateMachineHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id, now := counter(), t0
		p := pay.New(payment(pay.PaymentOpen), nil, now, id).Payment
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			in := drawInput(t)
			next, c, v := apply(p, in, now, id)
			checkStep(t, p, next, c, v, now)
			p = next
		}
	})
}

func drawInput(t *rapid.T) pay.Input {
	no := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "attempt")
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0:
		a := attempt(no, pay.AttemptOpening)
		return pay.Choose{Attempt: a}
	case 1:
		return pay.Opened{AttemptID: "att_" + no, Tries: 1, Shape: pay.Shape{Kind: pay.ShapeQR, Text: "c"}, HandOut: rapid.Bool().Draw(t, "hand out")}
	case 2:
		return pay.HandOut{AttemptID: "att_" + no}
	case 3:
		return pay.WantClose{Reason: rapid.SampledFrom([]pay.CloseReason{pay.Cancelled, pay.Expired}).Draw(t, "reason")}
	case 4:
		return pay.Withdraw{}
	case 5:
		return pay.Back{}
	}
	o := told(no, rapid.SampledFrom([]pay.State{pay.Paid, pay.Closed, pay.Absent, pay.Refused, pay.Unpaid, pay.Unknown}).Draw(t, "state"))
	o.Tries = int64(rapid.IntRange(0, 1).Draw(t, "claim"))
	o.AcceptLate = rapid.Bool().Draw(t, "accept late")
	return o
}

func checkStep(t *rapid.T, before, after pay.Payment, c pay.Change, v pay.Verdict, now time.Time) {
	if (v == pay.Applied) != !c.Empty() {
		t.Fatalf("verdict %s with %d events", v, len(c.Events))
	}
	if after.Seq != before.Seq+int64(len(c.Events)) {
		t.Fatalf("seq %d → %d with %d events", before.Seq, after.Seq, len(c.Events))
	}
	if before.Done() && after.Status != before.Status && !after.Late {
		t.Fatalf("payment left %s", before.Status)
	}
	settled, surplus := 0, 0
	for i, a := range after.Attempts {
		if i < len(before.Attempts) {
			b := before.Attempts[i]
			if b.IsPaid() && (!a.IsPaid() || a.TransactionID != b.TransactionID || a.PaidAt != b.PaidAt) {
				t.Fatalf("something left paid: %+v → %+v", b, a)
			}
			if b.HandedOutAt.IsZero() && !a.HandedOutAt.IsZero() && before.CanOffer(now) != nil {
				t.Fatal("a closing payment handed a shape out")
			}
		}
		if a.IsPaid() {
			settled++
		}
		if a.Surplus {
			surplus++
		}
		if after.IsClosed() && a.Live() {
			t.Fatal("A68 closed here while live there")
		}
		if !a.Live() && !a.Due.At.IsZero() {
			t.Fatalf("a %s attempt still wants work", a.Status)
		}
	}
	want := surplus
	if after.IsPaid() {
		want++
	}
	if settled != want {
		t.Fatalf("%d attempts paid, %d surplus, payment %s", settled, surplus, after.Status)
	}
	if len(after.Refunds) != surplus {
		t.Fatalf("%d refunds for %d surplus attempts", len(after.Refunds), surplus)
	}
	paidEvents := slices.IndexFunc(c.Events, func(e pay.Event) bool { return e.Type == pay.EventPaymentPaid }) >= 0
	if paidEvents != (after.IsPaid() && !before.IsPaid() && !after.Late) {
		t.Fatal("I-08 payment.paid without the change, or the change without it")
	}
}
