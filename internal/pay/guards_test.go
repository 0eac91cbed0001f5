package pay_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/pay"
)

// The tests of this file were missing: each was written because a mutant of package mutants survived.

func TestA04AnotherWayOfSigningIsQuarantined(t *testing.T) {
	t.Parallel()
	a := attempt("a", pay.AttemptOpen)
	a.Variant = "HMAC-SHA256"
	o := told("a", pay.Paid)
	o.Variant = "MD5"
	c, verdict := pay.Decide(payment(pay.PaymentOpen, a), o, t0, counter())
	if verdict != pay.Quarantine || len(c.Incidents) == 0 || c.Incidents[0].Kind != pay.IncidentVariant {
		t.Fatalf("%s %+v", verdict, c.Incidents)
	}
}

func TestRefundToldWithAnotherAmountIsQuarantined(t *testing.T) {
	t.Parallel()
	for _, amount := range []pay.Fen{799, 801, 80_000} {
		p := withRefunds(refund("1", 800, pay.RefundProcessing))
		c, verdict := pay.Decide(p, toldRefund("1", amount, pay.RefundSucceeded), t0, counter())
		if verdict != pay.Quarantine || !c.Empty() || len(c.Incidents) == 0 || c.Incidents[0].Kind != pay.IncidentRefundAmount {
			t.Errorf("%d fen: %s %+v", amount, verdict, c.Incidents)
		}
	}
}

func TestSumOfRefundsNeverFalls(t *testing.T) {
	t.Parallel()
	p := paidPayment()
	p.Attempts[0].Refunded = 2800
	o := told("a", pay.Paid)
	o.Refunded = 800 // an old notice
	if c, verdict := pay.Decide(p, o, t0, counter()); verdict != pay.Duplicate || !c.Empty() {
		t.Fatalf("%s %+v", verdict, c.Events)
	}
}

// What a call found is written under the claim of the call alone (I-12).
func TestI12WhatACallFoundCarriesItsFence(t *testing.T) {
	t.Parallel()
	opening := payment(pay.PaymentOpen, attempt("a", pay.AttemptOpening))
	waiting := withRefunds(refund("1", 800, pay.RefundPending))
	for _, row := range []struct {
		name string
		p    pay.Payment
		in   pay.Input
		want pay.Fence
	}{
		{"a shape", opening, pay.Opened{AttemptID: "att_a", Tries: 4, Shape: pay.Shape{Kind: pay.ShapeQR, Text: "code"}}, pay.Fence{AttemptID: "att_a", Tries: 4}},
		{"a refund before it is sent", waiting, pay.Sending{RefundID: "rfd_1", Tries: 4, Limits: limits}, pay.Fence{RefundID: "rfd_1", Tries: 4}},
		{"a refund's refusal", waiting, pay.Answered{RefundID: "rfd_1", Tries: 4, Code: pay.RefundShort}, pay.Fence{RefundID: "rfd_1", Tries: 4}},
	} {
		c, verdict := pay.Decide(row.p, row.in, t0, counter())
		if verdict != pay.Applied || c.Fence == nil || *c.Fence != row.want {
			t.Errorf("%s: %s, fence %+v, want %+v", row.name, verdict, c.Fence, row.want)
		}
	}
}

func TestConsolesRefundIsNeverSent(t *testing.T) {
	t.Parallel()
	r := refund("1", 800, pay.RefundProcessing)
	r.External = true
	c, verdict := pay.Decide(withRefunds(r), pay.Sending{RefundID: r.ID, Tries: 4, Limits: limits}, t0.Add(time.Hour), counter())
	if verdict != pay.Consistent || !c.Empty() {
		t.Fatalf("%s %+v", verdict, c.Events)
	}
}

func TestShapeEndsWithItsOrder(t *testing.T) {
	t.Parallel()
	p := payment(pay.PaymentOpen, attempt("a", pay.AttemptOpening))
	shape := pay.Shape{Kind: pay.ShapeQR, Text: "code", Until: p.ExpiresAt.Add(time.Hour)}
	c, _ := pay.Decide(p, pay.Opened{AttemptID: "att_a", Tries: 4, Shape: shape}, t0, counter())
	if got := c.Payment.Attempts[0].Shape.Until; !got.Equal(p.ExpiresAt) {
		t.Fatalf("shown until %s, its order ends %s", got, p.ExpiresAt)
	}
}

func TestWhatIsShown(t *testing.T) {
	t.Parallel()
	a := attempt("a", pay.AttemptOpen)
	left := a
	left.CloseWantedAt = t0
	for _, row := range []struct {
		name string
		a    pay.Attempt
		now  time.Time
		want bool
	}{
		{"an open code", a, t0, true},
		{"one whose payer went back", left, t0, false},
		{"one that has ended", a, a.Shape.Until, false},
		{"one that never came", attempt("a", pay.AttemptOpening), t0, false},
	} {
		if got := row.a.Usable(row.now); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}

// Each sum that came too often is an incident of its own: a second one must not hide behind the first.
func TestEverySurplusIsAnIncident(t *testing.T) {
	t.Parallel()
	digests := map[string]bool{}
	for _, no := range []string{"b", "c"} {
		p := payment(pay.PaymentPaid, attempt("a", pay.AttemptPaid), attempt(no, pay.AttemptOpen))
		c, verdict := pay.Decide(p, told(no, pay.Paid), t0, counter())
		if verdict != pay.Applied || len(c.Incidents) == 0 {
			t.Fatalf("%s %+v", verdict, c.Incidents)
		}
		digests[c.Incidents[0].Digest] = true
	}
	if len(digests) != 2 {
		t.Fatalf("two surpluses, incidents %v", digests)
	}
}

// Decide is pure: whoever must decide again does so on what was loaded.
func TestDecideChangesNothingOfItsInput(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]pay.Input{
		"a payment":        told("a", pay.Paid),
		"a close":          told("a", pay.Closed),
		"the way back":     pay.Back{},
		"a handing-out":    pay.HandOut{AttemptID: "att_a"},
		"a refund's end":   toldRefund("1", 800, pay.RefundSucceeded),
		"a refund's start": pay.Sending{RefundID: "rfd_1", Tries: 4},
	} {
		load := func() pay.Payment {
			p := payment(pay.PaymentOpen, attempt("a", pay.AttemptOpen))
			p.Attempts[0].HandedOutAt = time.Time{}
			p.Refunds = []pay.Refund{refund("1", 800, pay.RefundPending)}
			return p
		}
		p := load()
		if _, verdict := pay.Decide(p, in, t0, counter()); verdict != pay.Applied {
			t.Errorf("%s: %s", name, verdict)
		}
		if diff := cmp.Diff(load(), p); diff != "" {
			t.Errorf("%s changed what it decided on:\n%s", name, diff)
		}
	}
}
