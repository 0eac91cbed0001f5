package pay_test

import (
	"fmt"
	"testing"
	"time"

	"piaohao/internal/pay"
)

func closing(p pay.Payment, r pay.CloseReason) pay.Payment {
	p.CloseWantedAt, p.CloseReason = t0, r
	return p
}

func TestCommands(t *testing.T) {
	t.Parallel()
	open, opening := attempt("a", pay.AttemptOpen), attempt("a", pay.AttemptOpening)
	fresh := open
	fresh.HandedOutAt = time.Time{}
	back := open
	back.CloseWantedAt = t0
	full := make([]pay.Attempt, pay.MaxAttempts)
	for i := range full {
		full[i] = attempt(fmt.Sprint("x", i), pay.AttemptClosed)
	}
	shape := pay.Shape{Kind: pay.ShapeQR, Text: "code", Until: t0.Add(2 * time.Hour)}
	over := t0.Add(30 * time.Minute)
	for _, row := range []struct {
		name   string
		p      pay.Payment
		in     pay.Input
		now    time.Time
		want   pay.Verdict
		events string
	}{
		{"choose the first way", payment(pay.PaymentOpen), pay.Choose{Attempt: open}, t0, pay.Applied, "[attempt.created]"},
		{"choose the same again", payment(pay.PaymentOpen, open), pay.Choose{Attempt: open}, t0, pay.Duplicate, "[]"},
		{"choose again after going back", payment(pay.PaymentOpen, back), pay.Choose{Attempt: open}, t0, pay.Applied, "[attempt.resumed]"},
		{"choose a ninth", payment(pay.PaymentOpen, full...), pay.Choose{Attempt: open}, t0, pay.Consistent, "[]"},
		{"choose while closing", closing(payment(pay.PaymentOpen), pay.Cancelled), pay.Choose{Attempt: open}, t0, pay.Consistent, "[]"},
		{"choose when time is up", payment(pay.PaymentOpen), pay.Choose{Attempt: open}, over, pay.Consistent, "[]"},
		{"choose when paid", payment(pay.PaymentPaid, attempt("b", pay.AttemptPaid)), pay.Choose{Attempt: open}, t0, pay.Consistent, "[]"},

		{"opened", payment(pay.PaymentOpen, opening), pay.Opened{AttemptID: "att_a", Tries: 1, Shape: shape}, t0, pay.Applied, "[attempt.opened]"},
		{"opened and handed out", payment(pay.PaymentOpen, opening), pay.Opened{AttemptID: "att_a", Tries: 1, Shape: shape, HandOut: true}, t0, pay.Applied, "[attempt.opened attempt.handed_out]"},
		{"opened after a cancel: not handed out", closing(payment(pay.PaymentOpen, opening), pay.Cancelled), pay.Opened{AttemptID: "att_a", Shape: shape, HandOut: true}, t0, pay.Applied, "[attempt.opened]"},
		{"opened after it was paid", payment(pay.PaymentPaid, attempt("a", pay.AttemptPaid)), pay.Opened{AttemptID: "att_a", Shape: shape}, t0, pay.Consistent, "[]"},
		{"hand out", payment(pay.PaymentOpen, fresh), pay.HandOut{AttemptID: "att_a"}, t0, pay.Applied, "[attempt.handed_out]"},
		{"hand out again", payment(pay.PaymentOpen, open), pay.HandOut{AttemptID: "att_a"}, t0, pay.Consistent, "[]"},
		{"hand out while closing", closing(payment(pay.PaymentOpen, fresh), pay.Cancelled), pay.HandOut{AttemptID: "att_a"}, t0, pay.Consistent, "[]"},

		{"A68 cancel with a live attempt waits for the platform", payment(pay.PaymentOpen, open), pay.WantClose{Reason: pay.Cancelled}, t0, pay.Applied, "[payment.closing]"},
		{"cancel without attempts closes at once", payment(pay.PaymentOpen), pay.WantClose{Reason: pay.Cancelled}, t0, pay.Applied, "[payment.closing payment.closed]"},
		{"cancel twice", closing(payment(pay.PaymentOpen, open), pay.Cancelled), pay.WantClose{Reason: pay.Cancelled}, t0, pay.Duplicate, "[]"},
		{"cancel when paid", payment(pay.PaymentPaid, attempt("a", pay.AttemptPaid)), pay.WantClose{Reason: pay.Cancelled}, t0, pay.Consistent, "[]"},
		{"expire too early", payment(pay.PaymentOpen, open), pay.WantClose{Reason: pay.Expired}, over.Add(-1), pay.Duplicate, "[]"},
		{"A68 expire with a live attempt waits for the platform", payment(pay.PaymentOpen, open), pay.WantClose{Reason: pay.Expired}, over, pay.Applied, "[payment.closing]"},

		{"withdraw a cancel", closing(payment(pay.PaymentOpen, open), pay.Cancelled), pay.Withdraw{}, t0, pay.Applied, "[payment.reopened]"},
		{"withdraw an expiry", closing(payment(pay.PaymentOpen, open), pay.Expired), pay.Withdraw{}, t0, pay.Consistent, "[]"},
		{"withdraw without time left", closing(payment(pay.PaymentOpen, open), pay.Cancelled), pay.Withdraw{}, over, pay.Consistent, "[]"},

		{"back closes the attempts, not the payment", payment(pay.PaymentOpen, open), pay.Back{}, t0, pay.Applied, "[attempt.closing]"},
		{"back twice", payment(pay.PaymentOpen, back), pay.Back{}, t0, pay.Duplicate, "[]"},
		{"last attempt closes, payment closing", closing(payment(pay.PaymentOpen, open), pay.Expired), told("a", pay.Closed), t0, pay.Applied, "[attempt.closed payment.closed]"},
		{"last attempt refused, payment closing", closing(payment(pay.PaymentOpen, open), pay.Expired), told("a", pay.Refused), t0, pay.Applied, "[attempt.refused payment.closed]"},
		{"one attempt closes, payment open", payment(pay.PaymentOpen, open), told("a", pay.Closed), t0, pay.Applied, "[attempt.closed]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, got := pay.Decide(row.p, row.in, row.now, counter())
			events := "[]"
			if !c.Empty() {
				events = fmt.Sprint(types(c))
			}
			if got != row.want || events != row.events {
				t.Fatalf("%s %s, want %s %s", got, events, row.want, row.events)
			}
		})
	}
}

func TestNewPayment(t *testing.T) {
	t.Parallel()
	a := attempt("a", "")
	a.Due = pay.Due{At: t0, LeaseUntil: t0.Add(10 * time.Second), Tries: 1}
	c := pay.New(pay.Payment{ID: "pay_1", Amount: 1}, &a, t0, counter())
	if !c.New || len(c.Events) != 2 || c.Events[0].Seq != 1 || c.Payment.Seq != 2 || !c.Attempts[0].New || !c.Attempts[0].Attempt.Opening() {
		t.Fatalf("%+v", c)
	}
	if c.Attempts[0].Attempt.Due.Tries != 1 {
		t.Fatal("the first attempt is not born claimed")
	}
}

func TestNextAct(t *testing.T) {
	t.Parallel()
	back := attempt("a", pay.AttemptOpen)
	back.CloseWantedAt = t0
	for _, row := range []struct {
		name string
		p    pay.Payment
		want pay.Act
	}{
		{"opening: the identical request again", payment(pay.PaymentOpen, attempt("a", pay.AttemptOpening)), pay.ActOpen},
		{"opening but closing: ask first", closing(payment(pay.PaymentOpen, attempt("a", pay.AttemptOpening)), pay.Cancelled), pay.ActQuery},
		{"open: ask", payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen)), pay.ActQuery},
		{"closing: close there", closing(payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen)), pay.Expired), pay.ActClose},
		{"payer went back: close there", payment(pay.PaymentOpen, back), pay.ActClose},
		{"paid otherwise: close there", payment(pay.PaymentPaid, attempt("a", pay.AttemptOpen), attempt("b", pay.AttemptPaid)), pay.ActClose},
		{"paid: nothing", payment(pay.PaymentPaid, attempt("a", pay.AttemptPaid)), pay.ActNone},
		{"closed: nothing", payment(pay.PaymentOpen, attempt("a", pay.AttemptClosed)), pay.ActNone},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := pay.NextAct(row.p, row.p.Attempts[0]); got != row.want {
				t.Fatalf("%q, want %q", got, row.want)
			}
		})
	}
}

func TestQueryPlan(t *testing.T) {
	t.Parallel()
	a := attempt("a", pay.AttemptOpen)
	watched, never := t0.Add(24*time.Hour), time.Time{}
	for _, row := range []struct {
		at    time.Duration // since hand-out
		watch time.Time
		want  time.Duration // next, since hand-out
	}{
		{0, watched, 3 * time.Second},
		{3 * time.Second, watched, 6 * time.Second},
		{6 * time.Second, watched, 10 * time.Second},
		{10 * time.Second, watched, 15 * time.Second},
		{15 * time.Second, watched, 30 * time.Second},
		{4 * time.Minute, watched, 4*time.Minute + 15*time.Second},
		{5 * time.Minute, watched, 6 * time.Minute},
		{0, never, time.Minute},
		{14 * time.Minute, never, 15 * time.Minute},
		{15 * time.Minute, never, 20 * time.Minute},
		{27 * time.Minute, never, 30 * time.Minute}, // its expiry
		{29*time.Minute + 55*time.Second, watched, 30 * time.Minute},
	} {
		t.Run(fmt.Sprint(row.at, " watched ", !row.watch.IsZero()), func(t *testing.T) {
			t.Parallel()
			if got := pay.NextQuery(a, row.watch, t0.Add(row.at)).Sub(t0); got != row.want {
				t.Fatalf("next after %v, want %v", got, row.want)
			}
		})
	}
	t.Run("closing each minute, and exactly when absence settles it", func(t *testing.T) {
		t.Parallel()
		p := closing(payment(pay.PaymentOpen, a), pay.Expired)
		settled := a.ExpiresAt.Add(pay.AbsentGrace)
		if got := pay.NextDue(p, a, t0); got != t0.Add(time.Minute) {
			t.Fatal(got)
		}
		if got := pay.NextDue(p, a, settled.Add(-time.Second)); got != settled {
			t.Fatal(got)
		}
	})
	t.Run("opening retries back off to a minute", func(t *testing.T) {
		t.Parallel()
		b := attempt("a", pay.AttemptOpening)
		for failures, want := range map[int64]time.Duration{0: time.Second, 3: 8 * time.Second, 6: time.Minute, 1 << 40: time.Minute} {
			b.Due.Failures = failures
			if got := pay.NextDue(payment(pay.PaymentOpen, b), b, t0).Sub(t0); got != want {
				t.Fatalf("after %d failures %v, want %v", failures, got, want)
			}
		}
	})
}

func TestFenAdd(t *testing.T) {
	t.Parallel()
	if sum, err := pay.Fen(1).Add(2); err != nil || sum != 3 {
		t.Fatal(sum, err)
	}
	for _, row := range [][2]pay.Fen{{pay.MaxAmount, 1}, {-1, 1}, {1, -1}, {1 << 62, 1 << 62}} {
		if _, err := row[0].Add(row[1]); err == nil {
			t.Fatalf("%d + %d fits?", row[0], row[1])
		}
	}
}

func TestLazyAttemptWaitsForItsVisitor(t *testing.T) {
	t.Parallel()
	a := attempt("a", pay.AttemptOpening)
	a.Lazy = true
	if got := pay.NextAct(payment(pay.PaymentOpen, a), a); got != pay.ActNone {
		t.Fatalf("unvisited: %q", got)
	}
	if got := pay.NextAct(closing(payment(pay.PaymentOpen, a), pay.Cancelled), a); got != pay.ActQuery {
		t.Fatalf("closing: %q", got)
	}
}
