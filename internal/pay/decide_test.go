package pay_test

import (
	"fmt"
	"testing"
	"time"

	"piaohao/internal/pay"
)

var t0 = time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC)

// counter makes readable ids: evt_1, rfd_2, …
func counter() func(string) string {
	n := 0
	return func(prefix string) string {
		n++
		return fmt.Sprintf("%s_%d", prefix, n)
	}
}

func attempt(no string, status pay.AttemptStatus) pay.Attempt {
	a := pay.Attempt{
		ID: "att_" + no, PaymentID: "pay_1", OutTradeNo: no, Method: "m", Product: "p" + no, Status: status,
		Amount: 12800, Currency: pay.CNY, Account: "acc", Channel: "chan", AppID: "app", MerchantID: "mch",
		CreatedAt: t0, ExpiresAt: t0.Add(30 * time.Minute),
	}
	if status != pay.AttemptOpening {
		a.HandedOutAt = t0
		a.Shape = pay.Shape{Kind: pay.ShapeQR, Text: "code", Until: a.ExpiresAt}
	}
	if status == pay.AttemptPaid {
		a.TransactionID, a.PaidAt = "tx"+no, t0
	}
	return a
}

func payment(status pay.PaymentStatus, attempts ...pay.Attempt) pay.Payment {
	p := pay.Payment{
		ID: "pay_1", Shop: "shop", OrderNo: "o1", Amount: 12800, Currency: pay.CNY, Status: status, Seq: 7,
		CreatedAt: t0, ExpiresAt: t0.Add(30 * time.Minute), Attempts: attempts,
	}
	for _, a := range attempts {
		if a.IsPaid() && status == pay.PaymentPaid {
			p.PaidAttempt, p.PaidAt = a.ID, a.PaidAt
		}
	}
	return p
}

func told(no string, s pay.State) pay.Observation {
	o := pay.Observation{
		Source: pay.FromNotice, Channel: "chan", Account: "acc", AppID: "app", MerchantID: "mch", OutTradeNo: no, State: s,
	}
	if s == pay.Paid {
		o.Amount, o.Currency, o.TransactionID, o.PaidAt = 12800, pay.CNY, "tx"+no, t0.Add(time.Minute)
	}
	return o
}

// The truth table of Decide's doc comment, row by row.
func TestTruthTable(t *testing.T) {
	t.Parallel()
	const stay = ""
	states := []pay.AttemptStatus{pay.AttemptOpening, pay.AttemptOpen, pay.AttemptClosed, pay.AttemptRefused, pay.AttemptPaid}
	for _, row := range []struct {
		told pay.State
		ends [5]pay.AttemptStatus // by states
	}{
		{pay.Unpaid, [5]pay.AttemptStatus{stay, stay, stay, stay, stay}},
		{pay.Paid, [5]pay.AttemptStatus{pay.AttemptPaid, pay.AttemptPaid, pay.AttemptPaid, pay.AttemptPaid, stay}},
		{pay.Closed, [5]pay.AttemptStatus{pay.AttemptClosed, pay.AttemptClosed, stay, pay.AttemptClosed, stay}},
		{pay.Refused, [5]pay.AttemptStatus{pay.AttemptRefused, pay.AttemptRefused, stay, stay, stay}},
		{pay.Absent, [5]pay.AttemptStatus{stay, stay, stay, stay, stay}},
		{pay.Unknown, [5]pay.AttemptStatus{stay, stay, stay, stay, stay}},
		{"something new", [5]pay.AttemptStatus{stay, stay, stay, stay, stay}},
	} {
		for i, from := range states {
			t.Run(fmt.Sprintf("A27 A38 %s told %s", from, row.told), func(t *testing.T) {
				t.Parallel()
				status := pay.PaymentOpen
				if from == pay.AttemptPaid {
					status = pay.PaymentPaid
				}
				c, verdict := pay.Decide(payment(status, attempt("a", from)), told("a", row.told), t0, counter())
				got := c.Payment.Attempts[0].Status
				if row.ends[i] == stay {
					if verdict == pay.Applied || !c.Empty() || got != from {
						t.Fatalf("verdict %s, state %s, %d events; nothing should change", verdict, got, len(c.Events))
					}
					return
				}
				if verdict != pay.Applied || got != row.ends[i] {
					t.Fatalf("verdict %s, state %s; want %s", verdict, got, row.ends[i])
				}
			})
		}
	}
}

func TestAbsentClosesOnlyWhatNobodyCanPay(t *testing.T) {
	t.Parallel()
	seen, unseen := attempt("a", pay.AttemptOpen), attempt("a", pay.AttemptOpening)
	late := seen.ExpiresAt.Add(pay.AbsentGrace)
	closing := func(p pay.Payment) pay.Payment {
		p.CloseWantedAt, p.CloseReason = t0, pay.Cancelled
		return p
	}
	for _, row := range []struct {
		name  string
		p     pay.Payment
		now   time.Time
		tries int64
		want  pay.Verdict
	}{
		{"handed out, before its deadline and grace", closing(payment(pay.PaymentOpen, seen)), late.Add(-time.Millisecond), 3, pay.Consistent},
		{"handed out, deadline and grace over", closing(payment(pay.PaymentOpen, seen)), late, 3, pay.Applied},
		{"handed out, over, but nobody asked", closing(payment(pay.PaymentOpen, seen)), late, 0, pay.Consistent},
		{"never handed out and closing", closing(payment(pay.PaymentOpen, unseen)), t0, 3, pay.Applied},
		{"never handed out, payment still open: asked again instead", payment(pay.PaymentOpen, unseen), t0, 3, pay.Consistent},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := told("a", pay.Absent)
			o.Tries = row.tries
			c, got := pay.Decide(row.p, o, row.now, counter())
			if got != row.want {
				t.Fatalf("verdict %s, want %s", got, row.want)
			}
			if got == pay.Applied && (c.Fence == nil || c.Fence.Tries != row.tries || !c.Payment.IsClosed()) {
				t.Fatalf("fence %+v, payment %s: it should close under the claim", c.Fence, c.Payment.Status)
			}
		})
	}
}

// Money rule 3: each thing that does not match keeps the money out.
func TestMisfitIsQuarantined(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		edit func(*pay.Observation)
		kind string
	}{
		{"A20 order: a genuine notice that names another order", func(o *pay.Observation) { o.OutTradeNo = "b" }, pay.IncidentOrder},
		{"A24 channel: verified by another protocol", func(o *pay.Observation) { o.Channel = "weaker" }, pay.IncidentChannel},
		{"A24 account: verified with another account's keys", func(o *pay.Observation) { o.Account = "acc2" }, pay.IncidentAccount},
		{"A23 app id", func(o *pay.Observation) { o.AppID = "app2" }, pay.IncidentApp},
		{"A23 merchant id", func(o *pay.Observation) { o.MerchantID = "" }, pay.IncidentMerchant},
		{"A21 amount one fen short", func(o *pay.Observation) { o.Amount-- }, pay.IncidentAmount},
		{"A21 amount one fen more", func(o *pay.Observation) { o.Amount++ }, pay.IncidentAmount},
		{"A21 amount yuan for fen", func(o *pay.Observation) { o.Amount = 128 }, pay.IncidentAmount},
		{"A22 currency foreign", func(o *pay.Observation) { o.Currency = "USD" }, pay.IncidentCurrency},
		{"A22 currency absent", func(o *pay.Observation) { o.Currency = "" }, pay.IncidentCurrency},
		{"A22 currency lower case", func(o *pay.Observation) { o.Currency = "cny" }, pay.IncidentCurrency},
		{"no transaction number", func(o *pay.Observation) { o.TransactionID = "" }, pay.IncidentNoNumber},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := told("a", pay.Paid)
			row.edit(&o)
			c, verdict := pay.Decide(payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen)), o, t0, counter())
			if verdict != pay.Quarantine || !c.Empty() || len(c.Incidents) == 0 || c.Incidents[0].Kind != row.kind {
				t.Fatalf("verdict %s, %d events, incident %+v; want quarantine as %s", verdict, len(c.Events), c.Incidents, row.kind)
			}
		})
	}
	t.Run("A23 a closed that names another merchant", func(t *testing.T) {
		t.Parallel()
		o := told("a", pay.Closed)
		o.MerchantID = "mch2"
		if _, verdict := pay.Decide(payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen)), o, t0, counter()); verdict != pay.Quarantine {
			t.Fatalf("verdict %s", verdict)
		}
	})
}

func TestTransactionNumberIsOneAttempts(t *testing.T) {
	t.Parallel()
	p := payment(pay.PaymentPaid, attempt("a", pay.AttemptPaid), attempt("b", pay.AttemptOpen))
	t.Run("A26 one transaction on two attempts", func(t *testing.T) {
		t.Parallel()
		o := told("b", pay.Paid)
		o.TransactionID = "txa"
		if c, v := pay.Decide(p, o, t0, counter()); v != pay.Quarantine || c.Incidents[0].Kind != pay.IncidentNumberTaken {
			t.Fatalf("verdict %s", v)
		}
	})
	t.Run("A26 two transactions on one attempt", func(t *testing.T) {
		t.Parallel()
		o := told("a", pay.Paid)
		o.TransactionID = "other"
		if c, v := pay.Decide(p, o, t0, counter()); v != pay.Quarantine || c.Incidents[0].Kind != pay.IncidentNumberNew {
			t.Fatalf("verdict %s", v)
		}
	})
	t.Run("A35 the same notice again", func(t *testing.T) {
		t.Parallel()
		if c, v := pay.Decide(p, told("a", pay.Paid), t0, counter()); v != pay.Duplicate || !c.Empty() {
			t.Fatalf("verdict %s", v)
		}
	})
}

func types(c pay.Change) (out []pay.EventType) {
	for i, e := range c.Events {
		if e.Seq != int64(8+i) {
			panic("events are not contiguous")
		}
		out = append(out, e.Type)
	}
	return out
}

func TestWhatMoneyDoesToThePayment(t *testing.T) {
	t.Parallel()
	closingOne := payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen))
	closingOne.CloseWantedAt, closingOne.CloseReason = t0, pay.Expired
	for _, row := range []struct {
		name    string
		p       pay.Payment
		events  []pay.EventType
		status  pay.PaymentStatus
		surplus bool
	}{
		{
			"open: paid, the other attempt gets a due close", payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen), attempt("b", pay.AttemptOpen)),
			[]pay.EventType{pay.EventAttemptPaid, pay.EventPaymentPaid},
			pay.PaymentPaid, false,
		},
		{"A66 closing: still paid", closingOne, []pay.EventType{pay.EventAttemptPaid, pay.EventPaymentPaid}, pay.PaymentPaid, false},
		{
			"A28 paid already: surplus", payment(pay.PaymentPaid, attempt("a", pay.AttemptOpen), attempt("b", pay.AttemptPaid)),
			[]pay.EventType{pay.EventAttemptPaid, pay.EventSurplus, pay.EventRefundCreated},
			pay.PaymentPaid, true,
		},
		{
			"A67 closed: late", payment(pay.PaymentClosed, attempt("a", pay.AttemptClosed)),
			[]pay.EventType{pay.EventAttemptPaid, pay.EventLatePaid, pay.EventRefundCreated},
			pay.PaymentClosed, true,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, verdict := pay.Decide(row.p, told("a", pay.Paid), t0, counter())
			if verdict != pay.Applied || fmt.Sprint(types(c)) != fmt.Sprint(row.events) || c.Payment.Status != row.status {
				t.Fatalf("verdict %s, events %v, payment %s", verdict, types(c), c.Payment.Status)
			}
			if c.Payment.Attempts[0].Surplus != row.surplus {
				t.Fatalf("surplus %t", c.Payment.Attempts[0].Surplus)
			}
			if row.surplus {
				r := c.Payment.Refunds[0]
				if len(c.Incidents) == 0 || r.Amount != 12800 || r.Status != pay.RefundPending || !r.Automatic || !r.Due.At.Equal(t0) || r.OutRefundNo == "" || r.Account != "acc" {
					t.Fatalf("incident %v, refund %+v", c.Incidents, r)
				}
			} else if c.Payment.PaidAttempt != "att_a" || c.Payment.PaidAt != t0.Add(time.Minute) {
				t.Fatalf("settled by %q at %v", c.Payment.PaidAttempt, c.Payment.PaidAt)
			}
			if len(row.p.Attempts) == 2 && !row.surplus {
				if last := c.Attempts[len(c.Attempts)-1]; last.Attempt.ID != "att_b" || last.Wake == nil || !last.Wake.Equal(t0) {
					t.Fatalf("the other attempt is not woken: %+v", last)
				}
			}
		})
	}
}
