package pay_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/pay"
)

// What a payer's page says of money that goes back.
func TestReturns(t *testing.T) {
	t.Parallel()
	told := func(sum pay.Fen, refunds ...pay.Refund) pay.Payment {
		p := withRefunds(refunds...)
		p.Attempts[0].Refunded = sum
		return p
	}
	coded := func(r pay.Refund, code string) pay.Refund { r.Code = code; return r }
	none := pay.Return{Total: 12800}
	for _, row := range []struct {
		name     string
		p        pay.Payment
		want     pay.Return
		settling bool
	}{
		{"open", payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen)), pay.Return{}, true},
		{"closed", payment(pay.PaymentClosed, attempt("a", pay.AttemptClosed)), pay.Return{}, false},
		{"paid", paidPayment(), none, false},
		{"a pending refund is on its way", withRefunds(refund("1", 800, pay.RefundPending)), pay.Return{Total: 12800, Going: 800}, true},
		{"a sent one is", withRefunds(refund("1", 800, pay.RefundProcessing)), pay.Return{Total: 12800, Going: 800}, true},
		{"so is one that waits for balance", withRefunds(coded(refund("1", 800, pay.RefundProcessing), pay.RefundShort)), pay.Return{Total: 12800, Going: 800}, true},
		{"one that succeeded went back", withRefunds(refund("1", 800, pay.RefundSucceeded)), pay.Return{Total: 12800, Done: 800}, false},
		{"all of it", withRefunds(refund("1", 800, pay.RefundSucceeded), refund("2", 12000, pay.RefundSucceeded)), pay.Return{Total: 12800, Done: 12800}, false},
		{"one that is abnormal waits for a person", withRefunds(refund("1", 800, pay.RefundAbnormal)), pay.Return{Total: 12800, Stuck: 800}, false},
		{"one that failed does", withRefunds(refund("1", 800, pay.RefundFailed)), pay.Return{Total: 12800, Stuck: 800}, false},
		{"not after another one", withRefunds(refund("1", 800, pay.RefundFailed), refund("2", 500, pay.RefundSucceeded)), pay.Return{Total: 12800, Done: 500}, false},
		{"not when it was taken back", withRefunds(coded(refund("1", 800, pay.RefundFailed), pay.RefundCancelled)), none, false},
		{"failed beside all the rest", withRefunds(refund("1", 12800, pay.RefundSucceeded), refund("2", 800, pay.RefundFailed)), pay.Return{Total: 12800, Done: 12800}, false},
		{"each", withRefunds(refund("1", 1000, pay.RefundSucceeded), refund("2", 200, pay.RefundProcessing), refund("3", 30, pay.RefundPending), refund("4", 4, pay.RefundAbnormal)), pay.Return{Total: 12800, Done: 1000, Going: 230, Stuck: 4}, true},
		{"the platform's sum", told(500), pay.Return{Total: 12800, Done: 500}, false},
		{"the sum of a refund whose answer is not here yet", told(500, refund("1", 500, pay.RefundProcessing)), pay.Return{Total: 12800, Going: 500}, true},
		{"the sum of one that succeeded", told(500, refund("1", 500, pay.RefundSucceeded)), pay.Return{Total: 12800, Done: 500}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(row.want, row.p.Returning()); diff != "" {
				t.Error(diff)
			}
			if row.p.Settling() != row.settling {
				t.Errorf("settling %t", row.p.Settling())
			}
			if got := row.p.Surplus(); got != (pay.Return{}) {
				t.Errorf("surplus %+v", got)
			}
			if whole := row.want.Done == 12800; row.p.Returning().Whole() != whole {
				t.Errorf("whole: not %t", whole)
			}
		})
	}
}

// The answer to a refund may tell the sum of what went back: what our own refunds do not explain of it was returned at the
// platform's console, and is not there to be refunded again.
func TestA69TheSumInTheAnswerToARefund(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		sum       pay.Fen
		others    pay.RefundStatus // of another refund of 500 fen
		elsewhere pay.Fen
		left      pay.Fen
	}{
		{"not told", 0, pay.RefundFailed, 0, 12000},
		{"this one alone", 800, pay.RefundFailed, 0, 12000},
		{"with one before", 1300, pay.RefundSucceeded, 0, 11500},
		{"with one whose answer is not here yet", 1300, pay.RefundProcessing, 0, 11500},
		{"with one of the console", 1200, pay.RefundFailed, 400, 11600},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := withRefunds(refund("2", 500, row.others), refund("1", 800, pay.RefundProcessing))
			o := toldRefund("1", 800, pay.RefundSucceeded)
			o.Refunded = row.sum
			c, v := pay.Decide(p, o, t0, counter())
			var elsewhere pay.Fen
			for _, r := range c.Payment.Refunds {
				if r.External {
					elsewhere += r.Amount
				}
			}
			if v != pay.Applied || elsewhere != row.elsewhere || (len(c.Incidents) > 0) != (row.elsewhere > 0) || c.Payment.Refundable() != row.left {
				t.Errorf("%s: %d fen elsewhere, %d left, incident %+v", v, elsewhere, c.Payment.Refundable(), c.Incidents)
			}
			if _, v := pay.Decide(c.Payment, o, t0, counter()); v != pay.Duplicate {
				t.Errorf("again: %s", v)
			}
		})
	}
}

// A28: second money is the payer's, whatever became of its refund.
func TestA28SurplusReturns(t *testing.T) {
	t.Parallel()
	twice := func(s pay.RefundStatus, code string) pay.Payment {
		extra := attempt("b", pay.AttemptPaid)
		extra.Surplus = true
		p := payment(pay.PaymentPaid, attempt("a", pay.AttemptPaid), extra)
		p.PaidAttempt = "att_a"
		r := refund("1", 12800, s)
		r.AttemptID, r.Automatic, r.Code = "att_b", true, code
		p.Refunds = []pay.Refund{r}
		return p
	}
	unsent := twice(pay.RefundPending, "")
	unsent.Refunds = nil
	for _, row := range []struct {
		name     string
		p        pay.Payment
		want     pay.Return
		settling bool
	}{
		{"on its way", twice(pay.RefundPending, ""), pay.Return{Total: 12800, Going: 12800}, true},
		{"sent", twice(pay.RefundProcessing, ""), pay.Return{Total: 12800, Going: 12800}, true},
		{"went back", twice(pay.RefundSucceeded, ""), pay.Return{Total: 12800, Done: 12800}, false},
		{"refused", twice(pay.RefundFailed, "X"), pay.Return{Total: 12800, Stuck: 12800}, false},
		{"taken back", twice(pay.RefundFailed, pay.RefundCancelled), pay.Return{Total: 12800, Stuck: 12800}, false},
		{"needs a person", twice(pay.RefundAbnormal, "X"), pay.Return{Total: 12800, Stuck: 12800}, false},
		{"nobody sends it", unsent, pay.Return{Total: 12800, Stuck: 12800}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(row.want, row.p.Surplus()); diff != "" {
				t.Error(diff)
			}
			if got := row.p.Returning(); got != (pay.Return{Total: 12800}) {
				t.Errorf("the payment's own money: %+v", got)
			}
			if row.p.Settling() != row.settling {
				t.Errorf("settling %t", row.p.Settling())
			}
		})
	}
}
