package pay_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"piaohao/internal/pay"
)

// limits are one platform's: few, so that a test reaches them.
var limits = pay.RefundLimits{Most: 3, Gap: time.Minute, Window: 365 * 24 * time.Hour}

func paidPayment() pay.Payment { return payment(pay.PaymentPaid, attempt("a", pay.AttemptPaid)) }

func refund(no string, amount pay.Fen, s pay.RefundStatus) pay.Refund {
	r := pay.Refund{
		ID: "rfd_" + no, PaymentID: "pay_1", Shop: "shop", AttemptID: "att_a", Account: "acc", RefundNo: "r" + no, OutRefundNo: "out" + no,
		Amount: amount, Status: s, CreatedAt: t0, Due: pay.Due{Tries: 4},
	}
	if s != pay.RefundPending {
		r.SentAt = t0
	}
	return r
}

func withRefunds(refunds ...pay.Refund) pay.Payment {
	p := paidPayment()
	p.Refunds = refunds
	return p
}

func want(no string, amount pay.Fen) pay.WantRefund {
	return pay.WantRefund{Refund: pay.Refund{ID: "rfd_" + no, RefundNo: "r" + no, OutRefundNo: "out" + no, Amount: amount}, Limits: limits}
}

func toldRefund(no string, amount pay.Fen, s pay.RefundStatus) pay.Observation {
	o := told("a", pay.Unknown)
	o.Refund = &pay.RefundFact{OutRefundNo: "out" + no, Amount: amount, Status: s}
	return o
}

func TestA69WhatMayBeRefunded(t *testing.T) {
	t.Parallel()
	elsewhere := paidPayment()
	elsewhere.Attempts[0].Refunded = 2800
	explained := withRefunds(refund("1", 2800, pay.RefundSucceeded))
	explained.Attempts[0].Refunded = 2800
	flying := withRefunds(refund("1", 2800, pay.RefundProcessing))
	flying.Attempts[0].Refunded = 2800
	for _, row := range []struct {
		name string
		p    pay.Payment
		most pay.Fen
	}{
		{"all of it", paidPayment(), 12800},
		{"nothing of an open payment", payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen)), 0},
		{"nothing of a closed one", payment(pay.PaymentClosed, attempt("a", pay.AttemptClosed)), 0},
		{"a pending refund counts", withRefunds(refund("1", 800, pay.RefundPending)), 12000},
		{"one on its way counts", withRefunds(refund("1", 800, pay.RefundProcessing)), 12000},
		{"one that a person must see to counts", withRefunds(refund("1", 800, pay.RefundAbnormal)), 12000},
		{"one that succeeded counts", withRefunds(refund("1", 800, pay.RefundSucceeded)), 12000},
		{"one that failed does not", withRefunds(refund("1", 800, pay.RefundFailed)), 12800},
		{"money returned at the console counts", elsewhere, 10000},
		{"the platform's sum counts once", explained, 10000},
		{"also while ours is on its way", flying, 10000},
		{"everything went back", withRefunds(refund("1", 12800, pay.RefundSucceeded)), 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := row.p.Refundable(); got != row.most {
				t.Fatalf("refundable %d, want %d", got, row.most)
			}
			for amount, ok := range map[pay.Fen]bool{row.most: row.most > 0, row.most + 1: false, 0: false, -1: false} {
				c, v := pay.Decide(row.p, want("new", amount), t0, counter())
				if (v == pay.Applied) != ok || (row.p.CanRefund(amount, limits, t0) == nil) != ok {
					t.Errorf("%d fen: %s", amount, v)
				}
				if ok && (len(c.Refunds) != 1 || !c.Refunds[0].New || !c.Refunds[0].Refund.Due.At.Equal(t0.Add(gapAfter(row.p)))) {
					t.Errorf("%+v", c.Refunds)
				}
			}
		})
	}
}

// gapAfter is how long a new refund waits in payments of these tests: a gap after one that was sent at t0.
func gapAfter(p pay.Payment) time.Duration {
	if slices.ContainsFunc(p.Refunds, func(r pay.Refund) bool { return !r.SentAt.IsZero() }) {
		return limits.Gap
	}
	return 0
}

func TestA72PlatformLimits(t *testing.T) {
	t.Parallel()
	full := withRefunds(refund("1", 1, pay.RefundSucceeded), refund("2", 1, pay.RefundPending), refund("3", 1, pay.RefundSucceeded))
	oneFailed := withRefunds(refund("1", 1, pay.RefundSucceeded), refund("2", 1, pay.RefundFailed), refund("3", 1, pay.RefundSucceeded))
	for _, row := range []struct {
		name string
		p    pay.Payment
		at   time.Time
		err  error
	}{
		{"the last day", paidPayment(), t0.Add(limits.Window), nil},
		{"a millisecond later", paidPayment(), t0.Add(limits.Window + time.Millisecond), pay.ErrRefundTooLate},
		{"one too many", full, t0, pay.ErrTooManyRefunds},
		{"a failed one leaves room", oneFailed, t0, nil},
		{"not paid", payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen)), t0, pay.ErrNotPaid},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := row.p.CanRefund(1, limits, row.at); !errors.Is(err, row.err) {
				t.Fatalf("%v", err)
			}
			if _, v := pay.Decide(row.p, want("new", 1), row.at, counter()); (v == pay.Applied) != (row.err == nil) {
				t.Fatalf("verdict %s", v)
			}
		})
	}
	t.Run("A72 less than a gap after another one it waits", func(t *testing.T) {
		t.Parallel()
		p := withRefunds(refund("1", 1, pay.RefundSucceeded), refund("2", 1, pay.RefundPending))
		sending := pay.Sending{RefundID: "rfd_2", Tries: 4, Limits: limits}
		if c, v := pay.Decide(p, sending, t0.Add(limits.Gap-1), counter()); v != pay.Consistent || !c.Empty() {
			t.Fatalf("sent within the gap: %s", v)
		}
		if next := pay.NextRefundDue(p, p.Refunds[1], limits, t0.Add(time.Second)); !next.Equal(t0.Add(limits.Gap)) {
			t.Fatalf("due %v", next)
		}
		c, v := pay.Decide(p, sending, t0.Add(limits.Gap), counter())
		if v != pay.Applied || c.Fence == nil || *c.Fence != (pay.Fence{RefundID: "rfd_2", Tries: 4}) {
			t.Fatalf("%s, fence %+v", v, c.Fence)
		}
	})
}

// TestRefundsMove is the table of what each input makes of a refund in each state.
func TestRefundsMove(t *testing.T) {
	t.Parallel()
	const stay = pay.RefundStatus("")
	waits := func(r *pay.Refund) { r.Code = pay.RefundShort }
	states := []struct {
		name string
		make func(*pay.Refund)
		from pay.RefundStatus
	}{
		{"pending", nil, pay.RefundPending},
		{"processing", nil, pay.RefundProcessing},
		{"waiting for balance", waits, pay.RefundProcessing},
		{"abnormal", nil, pay.RefundAbnormal},
		{"failed", nil, pay.RefundFailed},
		{"succeeded", nil, pay.RefundSucceeded},
	}
	late := t0.Add(pay.RefundPatience)
	for _, row := range []struct {
		name string
		in   pay.Input
		at   time.Time
		ends [6]pay.RefundStatus // by states
	}{
		{
			"sending",
			pay.Sending{RefundID: "rfd_1", Limits: limits},
			t0,
			[6]pay.RefundStatus{pay.RefundProcessing, pay.RefundProcessing, pay.RefundProcessing, stay, stay, stay},
		},
		{
			"told processing", toldRefund("1", 800, pay.RefundProcessing), t0,
			[6]pay.RefundStatus{pay.RefundProcessing, stay, stay, stay, stay, stay},
		},
		{
			"told succeeded", toldRefund("1", 800, pay.RefundSucceeded), t0,
			[6]pay.RefundStatus{pay.RefundSucceeded, pay.RefundSucceeded, pay.RefundSucceeded, pay.RefundSucceeded, pay.RefundSucceeded, stay},
		},
		{
			"told failed", toldRefund("1", 800, pay.RefundFailed), t0,
			[6]pay.RefundStatus{pay.RefundFailed, pay.RefundFailed, pay.RefundFailed, pay.RefundFailed, stay, stay},
		},
		{
			"told abnormal", toldRefund("1", 800, pay.RefundAbnormal), t0,
			[6]pay.RefundStatus{pay.RefundAbnormal, pay.RefundAbnormal, pay.RefundAbnormal, stay, stay, stay},
		},
		{"A70 told that it is not there", toldRefund("1", 800, pay.RefundPending), t0, [6]pay.RefundStatus{}},
		{
			"refused for good",
			pay.Answered{RefundID: "rfd_1", Code: "TRADE_OVERDUE"},
			t0,
			[6]pay.RefundStatus{pay.RefundFailed, pay.RefundFailed, pay.RefundFailed, stay, stay, stay},
		},
		{
			"no end in time",
			pay.GiveUp{RefundID: "rfd_1"},
			late,
			[6]pay.RefundStatus{pay.RefundAbnormal, pay.RefundAbnormal, pay.RefundAbnormal, stay, stay, stay},
		},
		{"given up too early", pay.GiveUp{RefundID: "rfd_1"}, late.Add(-1), [6]pay.RefundStatus{}},
		{
			"cancelled: only what was never done",
			pay.CancelRefund{RefundID: "rfd_1"},
			t0,
			[6]pay.RefundStatus{pay.RefundFailed, stay, pay.RefundFailed, stay, stay, stay},
		},
	} {
		for i, from := range states {
			t.Run(row.name+": "+from.name, func(t *testing.T) {
				t.Parallel()
				r := refund("1", 800, from.from)
				if from.make != nil {
					from.make(&r)
				}
				p := withRefunds(r)
				c, v := pay.Decide(p, row.in, row.at, counter())
				if (v == pay.Applied) != (row.ends[i] != stay) {
					t.Fatalf("verdict %s", v)
				}
				if v != pay.Applied {
					if !c.Empty() || len(c.Refunds) > 0 {
						t.Fatalf("changes something: %+v", c)
					}
					return
				}
				if got := c.Payment.Refunds[0].Status; got != row.ends[i] || c.Refunds[0].Refund.Status != got || c.Refunds[0].New {
					t.Fatalf("is %s, rows %+v", got, c.Refunds)
				}
				checkRefundEvent(t, c)
			})
		}
	}
}

// checkRefundEvent: one event, of the kind that the end has.
func checkRefundEvent(t *testing.T, c pay.Change) {
	t.Helper()
	kinds := map[pay.RefundStatus]pay.EventType{
		pay.RefundProcessing: pay.EventRefundChanged, pay.RefundSucceeded: pay.EventRefundSucceeded,
		pay.RefundFailed: pay.EventRefundFailed, pay.RefundAbnormal: pay.EventRefundAbnormal,
	}
	if len(c.Events) != 1 || c.Events[0].Type != kinds[c.Payment.Refunds[0].Status] || c.Events[0].RefundID != "rfd_1" {
		t.Errorf("I-08 events %+v", c.Events)
	}
}

func TestRefundWaitsForBalance(t *testing.T) {
	t.Parallel()
	p := withRefunds(refund("1", 800, pay.RefundProcessing))
	c, v := pay.Decide(p, pay.Answered{RefundID: "rfd_1", Tries: 4, Code: pay.RefundShort}, t0, counter())
	if v != pay.Applied || c.Payment.Refunds[0].Status != pay.RefundProcessing || len(c.Incidents) == 0 || c.Incidents[0].Kind != pay.IncidentRefundWaits {
		t.Fatalf("%s %+v %+v", v, c.Payment.Refunds, c.Incidents)
	}
	if c.Fence == nil || c.Fence.RefundID != "rfd_1" || c.Fence.Tries != 4 {
		t.Fatalf("fence %+v", c.Fence)
	}
	p = c.Payment
	if pay.NextRefundAct(p.Refunds[0]) != pay.RefundSend || p.Refunds[0].OutRefundNo != "out1" {
		t.Fatal("A70 it is not sent again under its number")
	}
	at := t0
	for _, want := range []time.Duration{10 * time.Minute, 70 * time.Minute, 430 * time.Minute, 430*time.Minute + 24*time.Hour} {
		if at = pay.NextRefundDue(p, p.Refunds[0], limits, at); !at.Equal(t0.Add(want)) {
			t.Fatalf("due after %s, want %s", at.Sub(t0), want)
		}
	}
	if _, again := pay.Decide(p, pay.Answered{RefundID: "rfd_1", Tries: 5, Code: pay.RefundShort}, at, counter()); again != pay.Consistent {
		t.Fatalf("the same answer again: %s", again)
	}
}

func TestA70OneNumberForEver(t *testing.T) {
	t.Parallel()
	p := withRefunds(refund("1", 800, pay.RefundProcessing))
	if act := pay.NextRefundAct(p.Refunds[0]); act != pay.RefundAsk {
		t.Fatalf("an unknown outcome wants %q", act)
	}
	if _, v := pay.Decide(p, toldRefund("1", 801, pay.RefundSucceeded), t0, counter()); v != pay.Quarantine {
		t.Fatalf("another amount under our number: %s", v)
	}
	if _, v := pay.Decide(p, want("1", 800), t0, counter()); v != pay.Duplicate {
		t.Fatalf("the shop's number again: %s", v)
	}
	external := refund("1", 800, pay.RefundProcessing)
	external.External = true
	if _, v := pay.Decide(withRefunds(external), pay.Sending{RefundID: "rfd_1", Limits: limits}, t0, counter()); v != pay.Consistent {
		t.Fatalf("a refund of the console is sent by us: %s", v)
	}
}

// A13: nothing in a hint is proven, so that nothing in it is taken, whatever it says.
func TestA13HintsDecideNothing(t *testing.T) {
	t.Parallel()
	open := payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen))
	for name, row := range map[string]struct {
		p pay.Payment
		o pay.Observation
	}{
		"A13 paid":          {open, told("a", pay.Paid)},
		"A13 closed":        {open, told("a", pay.Closed)},
		"A13 refused":       {open, told("a", pay.Refused)},
		"A13 refunded":      {withRefunds(refund("1", 100, pay.RefundProcessing)), toldRefund("1", 100, pay.RefundSucceeded)},
		"A13 console":       {paidPayment(), toldRefund("other", 100, pay.RefundSucceeded)},
		"A13 other amount":  {withRefunds(refund("1", 100, pay.RefundProcessing)), toldRefund("1", 90, pay.RefundSucceeded)},
		"A13 another order": {open, told("b", pay.Paid)},
	} {
		if _, v := pay.Decide(row.p, row.o, t0, counter()); v == pay.Consistent {
			t.Errorf("%s: proven, it should count", name)
		}
		row.o.Hint = true
		if c, v := pay.Decide(row.p, row.o, t0, counter()); v != pay.Consistent || !c.Empty() || len(c.Incidents) > 0 {
			t.Errorf("%s: %s, %+v", name, v, c)
		}
	}
}

func TestRefundsOfTheConsole(t *testing.T) {
	t.Parallel()
	t.Run("one that the platform tells by its number", func(t *testing.T) {
		t.Parallel()
		c, v := pay.Decide(paidPayment(), toldRefund("console", 500, pay.RefundProcessing), t0, counter())
		r := c.Payment.Refunds[0]
		if v != pay.Applied || !r.External || r.RefundNo != "outconsole" || len(c.Incidents) == 0 || c.Payment.Refundable() != 12300 || types(c)[0] != pay.EventRefundExternal {
			t.Fatalf("%s %+v %v", v, r, types(c))
		}
		c, v = pay.Decide(c.Payment, toldRefund("console", 500, pay.RefundSucceeded), t0, counter())
		if v != pay.Applied || len(c.Payment.Refunds) != 1 || c.Payment.Refunds[0].Status != pay.RefundSucceeded || !c.Payment.Refunds[0].SucceededAt.Equal(t0) {
			t.Fatalf("its success: %s %+v", v, c.Payment.Refunds)
		}
		if _, v = pay.Decide(c.Payment, toldRefund("console", 500, pay.RefundProcessing), t0, counter()); v != pay.Duplicate {
			t.Fatalf("A38 processing after succeeded: %s", v)
		}
	})
	t.Run("one of which only the sum is told", func(t *testing.T) {
		t.Parallel()
		p := withRefunds(refund("1", 800, pay.RefundSucceeded))
		o := told("a", pay.Paid)
		o.Refunded = 1300
		c, v := pay.Decide(p, o, t0, counter())
		if v != pay.Applied || len(c.Payment.Refunds) != 2 || c.Payment.Refunds[1].Amount != 500 || !c.Payment.Refunds[1].External || len(c.Incidents) == 0 {
			t.Fatalf("%s %+v", v, c.Payment.Refunds)
		}
		if c.Payment.Refundable() != 11500 || c.Payment.Refunded() != 1300 {
			t.Fatalf("refunded %d, refundable %d", c.Payment.Refunded(), c.Payment.Refundable())
		}
		if _, v = pay.Decide(c.Payment, o, t0, counter()); v != pay.Duplicate {
			t.Fatalf("again: %s", v)
		}
	})
	t.Run("the sum was not that of our own, which fails later", func(t *testing.T) {
		t.Parallel()
		p := withRefunds(refund("1", 800, pay.RefundProcessing))
		o := told("a", pay.Paid)
		o.Refunded = 1000
		c, _ := pay.Decide(p, o, t0, counter())
		c, v := pay.Decide(c.Payment, toldRefund("1", 800, pay.RefundFailed), t0, counter())
		if v != pay.Applied || c.Payment.Refunded() != 1000 || len(c.Payment.Refunds) != 3 || len(c.Incidents) != 1 {
			t.Fatalf("%s, %d fen refunded: %+v", v, c.Payment.Refunded(), c.Payment.Refunds)
		}
		if first, then := c.Payment.Refunds[1].OutRefundNo, c.Payment.Refunds[2].OutRefundNo; first == then {
			t.Errorf("two refunds of the console are both %s", first)
		}
	})
	t.Run("the sum is less than our own, which is stuck", func(t *testing.T) {
		t.Parallel()
		p := withRefunds(refund("1", 800, pay.RefundAbnormal))
		o := told("a", pay.Paid)
		o.Refunded = 500
		c, v := pay.Decide(p, o, t0, counter())
		if v != pay.Applied || len(c.Payment.Refunds) != 2 || c.Payment.Refunds[1].Amount != 500 || len(c.Incidents) != 1 || c.Payment.Refundable() != 11500 {
			t.Fatalf("%s, %d fen refundable: %+v", v, c.Payment.Refundable(), c.Payment.Refunds)
		}
	})
	t.Run("ours was never sent", func(t *testing.T) {
		t.Parallel()
		o := told("a", pay.Paid)
		o.Refunded = 800
		c, _ := pay.Decide(withRefunds(refund("1", 800, pay.RefundPending)), o, t0, counter())
		if len(c.Payment.Refunds) != 2 || c.Payment.Refunds[1].Amount != 800 {
			t.Fatalf("%+v", c.Payment.Refunds)
		}
	})
	t.Run("the sum is older than a success", func(t *testing.T) {
		t.Parallel()
		p := withRefunds(refund("1", 500, pay.RefundSucceeded), refund("2", 800, pay.RefundProcessing))
		o := told("a", pay.Paid)
		o.Refunded = 800
		if c, v := pay.Decide(p, o, t0, counter()); v != pay.Applied || len(c.Payment.Refunds) != 2 || len(c.Incidents) > 0 {
			t.Fatalf("%s: %+v", v, c.Payment.Refunds)
		}
	})
	t.Run("one odd fen beside too many even refunds to try", func(t *testing.T) {
		t.Parallel()
		p := paidPayment()
		for i := range 13 {
			p.Refunds = append(p.Refunds, refund(fmt.Sprint(i), 2<<i, pay.RefundProcessing))
		}
		o := told("a", pay.Paid)
		o.Refunded = 12799
		if c, _ := pay.Decide(p, o, t0, counter()); len(c.Payment.Refunds) != 13 {
			t.Fatalf("not left open: %+v", c.Payment.Refunds[13])
		}
		o.Refunded = 1023
		if c, _ := pay.Decide(p, o, t0, counter()); len(c.Payment.Refunds) != 14 || c.Payment.Refunds[13].Amount != 1 {
			t.Fatalf("few enough to try: %+v", c.Payment.Refunds)
		}
	})
	t.Run("surplus of which a part went back before it was told", func(t *testing.T) {
		t.Parallel()
		p := payment(pay.PaymentPaid, attempt("a", pay.AttemptPaid), attempt("b", pay.AttemptOpen))
		o := told("b", pay.Paid)
		o.Refunded = 500
		c, v := pay.Decide(p, o, t0, counter())
		kinds := map[string]bool{}
		for _, i := range c.Incidents {
			kinds[i.Kind] = true
		}
		if v != pay.Applied || !kinds[pay.IncidentSurplus] || !kinds[pay.IncidentRefund] {
			t.Fatalf("%s, incidents %+v", v, c.Incidents)
		}
	})
	t.Run("the sum is that of our own", func(t *testing.T) {
		t.Parallel()
		p := withRefunds(refund("1", 800, pay.RefundProcessing))
		o := told("a", pay.Paid)
		o.Refunded = 800
		c, _ := pay.Decide(p, o, t0, counter())
		if len(c.Payment.Refunds) != 1 || len(c.Incidents) > 0 {
			t.Fatalf("%+v", c.Payment.Refunds)
		}
	})
	t.Run("I-04 more than came", func(t *testing.T) {
		t.Parallel()
		o := told("a", pay.Paid)
		o.Refunded = 12801
		if c, _ := pay.Decide(paidPayment(), o, t0, counter()); c.Payment.Attempts[0].Refunded != 12800 || c.Payment.Refundable() != 0 {
			t.Fatalf("%+v", c.Payment.Attempts)
		}
	})
}

func TestA67LateMoneyByPolicy(t *testing.T) {
	t.Parallel()
	o := told("a", pay.Paid)
	o.AcceptLate = true
	c, v := pay.Decide(payment(pay.PaymentClosed, attempt("a", pay.AttemptClosed)), o, t0, counter())
	p := c.Payment
	if v != pay.Applied || !p.IsPaid() || !p.Late || p.PaidAttempt != "att_a" || len(p.Refunds) != 0 || p.Attempts[0].Surplus || len(c.Incidents) == 0 {
		t.Fatalf("%s %+v", v, p)
	}
	if got := fmt.Sprint(types(c)); got != "[attempt.paid payment.late_paid]" {
		t.Fatalf("events %s", got)
	}
	second := told("b", pay.Paid)
	second.AcceptLate = true
	p.Attempts = append(p.Attempts, attempt("b", pay.AttemptClosed))
	c, _ = pay.Decide(p, second, t0, counter())
	if !c.Payment.Attempts[1].Surplus || len(c.Payment.Refunds) != 1 {
		t.Fatalf("A28 a second payment is accepted too: %+v", c.Payment)
	}
}

// console is a platform's books of one order in TestI04Ceilings.
type console struct {
	refunds map[string]pay.Fen // by out_refund_no
	amount  pay.Fen
}

func (c console) sum() (sum pay.Fen) {
	for _, f := range c.refunds {
		sum += f
	}
	return sum
}

// send is the platform's part: one refund for one number, never more than there is.
func (c console) send(no string, amount pay.Fen) bool {
	if _, known := c.refunds[no]; known {
		return true
	}
	if c.sum()+amount > c.amount {
		return false
	}
	c.refunds[no] = amount
	return true
}

// I-04: whatever is asked, sent, answered, lost, told and returned at the console, what we hold as refunded or on its way is
// never more than the money, and in the end it is what the platform's books say.
func TestI04Ceilings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id, now, books := counter(), t0, console{refunds: map[string]pay.Fen{}, amount: 12800}
		free := pay.RefundLimits{Most: 50}
		p := paidPayment()
		do := func(in pay.Input) pay.Verdict {
			next, _, v := apply(p, in, now, id)
			p = next
			if total := ours(p); total > 12800 {
				t.Fatalf("I-04 %d of 12800 fen: %+v", total, p.Refunds)
			}
			return v
		}
		tell := func(r pay.Refund) {
			if f, there := books.refunds[r.OutRefundNo]; there {
				o := toldRefund("", f, pay.RefundSucceeded)
				o.Refund.OutRefundNo = r.OutRefundNo
				do(o)
			}
		}
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)
			if len(p.Refunds) == 0 || rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				do(pay.WantRefund{Limits: free, Refund: pay.Refund{
					ID: id("rfd"), RefundNo: fmt.Sprint(i), OutRefundNo: id(""), Amount: pay.Fen(rapid.IntRange(1, 13000).Draw(t, "amount")),
				}})
				continue
			}
			r := p.Refunds[rapid.IntRange(0, len(p.Refunds)-1).Draw(t, "refund")]
			switch rapid.IntRange(0, 3).Draw(t, "how") {
			case 0:
				if do(pay.Sending{RefundID: r.ID, Limits: free}) != pay.Applied {
					continue
				}
				done := books.send(r.OutRefundNo, r.Amount)
				switch {
				case rapid.Bool().Draw(t, "answer lost"):
				case done:
					tell(r)
				default:
					do(pay.Answered{RefundID: r.ID, Code: "NOT_ENOUGH_LEFT"})
				}
			case 1:
				tell(r)
			case 2:
				do(pay.CancelRefund{RefundID: r.ID})
			case 3:
				if _, there := books.refunds[r.OutRefundNo]; !there { // the platform says no only to what it did not do
					do(pay.Answered{RefundID: r.ID, Code: pay.RefundShort})
				}
			}
		}
		for _, r := range p.Refunds {
			tell(r)
		}
		var done pay.Fen
		for _, r := range p.Refunds {
			if r.Status == pay.RefundSucceeded {
				done += r.Amount
			}
		}
		if done != books.sum() {
			t.Fatalf("I-22 we hold %d fen as refunded, the platform %d", done, books.sum())
		}
	})
}

// I-22: a platform that tells nothing but sums, late and in any order, has told enough in the end; and on the way there we
// never hold more as returned at its console than was.
func TestI22SumsOfTheConsole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id, books := counter(), console{refunds: map[string]pay.Fen{}, amount: 12800}
		p := paidPayment()
		for i := range rapid.IntRange(0, 5).Draw(t, "ours") {
			p.Refunds = append(p.Refunds, refund(fmt.Sprint(i), pay.Fen(rapid.IntRange(1, 25).Draw(t, "hundreds")*100), pay.RefundProcessing))
		}
		sums, elsewhere := []pay.Fen{0}, pay.Fen(0)
		do := func(in pay.Input) {
			p, _, _ = apply(p, in, t0, id)
			if total := external(p); total > elsewhere {
				t.Fatalf("%d fen held as returned at the console, %d were: %+v", total, elsewhere, p.Refunds)
			}
			numbers := map[string]bool{}
			for _, r := range p.Refunds {
				if numbers[r.OutRefundNo] {
					t.Fatalf("two refunds are %s", r.OutRefundNo)
				}
				numbers[r.OutRefundNo] = true
			}
		}
		end := func(r pay.Refund) {
			status := pay.RefundFailed
			if _, there := books.refunds[r.OutRefundNo]; there {
				status = pay.RefundSucceeded
			}
			o := toldRefund("", r.Amount, status)
			o.Refund.OutRefundNo = r.OutRefundNo
			do(o)
		}
		stuck := map[string]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				if f := pay.Fen(rapid.IntRange(1, 25).Draw(t, "hundreds") * 100); books.send(fmt.Sprint("console", len(books.refunds)), f) {
					elsewhere += f
				}
			case 1, 2:
				mine := slices.DeleteFunc(slices.Clone(p.Refunds), func(r pay.Refund) bool { return r.External })
				if len(mine) == 0 {
					continue
				}
				r := rapid.SampledFrom(mine).Draw(t, "refund")
				switch rapid.IntRange(0, 2).Draw(t, "how") {
				case 0:
					if r.Status == pay.RefundProcessing && !stuck[r.OutRefundNo] {
						books.send(r.OutRefundNo, r.Amount)
					}
				case 1:
					if _, there := books.refunds[r.OutRefundNo]; !there && r.Status == pay.RefundProcessing {
						stuck[r.OutRefundNo] = true
						o := toldRefund("", r.Amount, pay.RefundAbnormal)
						o.Refund.OutRefundNo = r.OutRefundNo
						do(o)
					}
				case 2:
					if _, there := books.refunds[r.OutRefundNo]; there {
						end(r)
					}
				}
			case 3:
				o := told("a", pay.Paid)
				o.Refunded = rapid.SampledFrom(sums).Draw(t, "an older sum")
				do(o)
			}
			sums = append(sums, books.sum())
		}
		for _, r := range p.Refunds {
			if !r.External {
				end(r)
			}
		}
		o := told("a", pay.Paid)
		o.Refunded = books.sum()
		do(o)
		if got := external(p); got != elsewhere {
			t.Fatalf("%d fen held as returned at the console, %d were: %+v", got, elsewhere, p.Refunds)
		}
		if p.Refunded() != books.sum() {
			t.Fatalf("we hold %d fen as refunded, the platform %d", p.Refunded(), books.sum())
		}
	})
}

// external is what is held as returned at the console.
func external(p pay.Payment) (sum pay.Fen) {
	for _, r := range p.Refunds {
		if r.External {
			sum += r.Amount
		}
	}
	return sum
}

// ours is what is refunded or on its way.
func ours(p pay.Payment) (sum pay.Fen) {
	for _, r := range p.Refunds {
		if r.Status != pay.RefundFailed {
			sum += r.Amount
		}
	}
	return sum
}
