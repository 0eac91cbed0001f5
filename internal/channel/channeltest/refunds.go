package channeltest

import (
	"bytes"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
)

// What a platform can say of a refund, beside SayAbsent, SayLimited and SayDeclined, which is a final no to sending.
const (
	SayProcessing Say = "processing" // accepted, on its way
	SayRefunded   Say = "refunded"   // the money went back, at RefundedAt
	SayFailed     Say = "failed"     // accepted once, and ended without money
	SayAbnormal   Say = "abnormal"   // stuck: a person must act
	SayShort      Say = "short"      // the merchant's balance does not cover it
	SayTrouble    Say = "trouble"    // a signed "something is wrong here, try again"
	SayTaken      Say = "taken"      // the request was taken, and it says of no money that it moved
)

// RefundedAt is the platform's time of a refund.
var RefundedAt = time.Date(2026, 3, 1, 4, 5, 1, 0, time.UTC)

// Refunding is the harness of a driver that sends money back.
type Refunding interface {
	Harness
	// AnswerRefund is what the platform answers to op ("refund", "query_refund") about r of the paid a, signed as it
	// signs. ok is false for what the platform never says there.
	AnswerRefund(t *testing.T, op string, a pay.Attempt, r pay.Refund, say Say) (answer channel.Answer, ok bool)
	// RefundNotice is the platform's notice that r of a went back.
	RefundNotice(t *testing.T, a pay.Attempt, r pay.Refund) channel.Inbound
	// Sums reports whether the amount in an answer to op is all that went back of a so far, and not r's own.
	Sums(op string) bool
	// Stamps are the parameters of a request's query that say when and how it was signed: a repeat has its own.
	Stamps() []string
}

// refunded is one row: what the platform says of a refund, and what must come of it.
type refunded struct {
	say    Say
	status pay.RefundStatus // "" = an error
	kind   channel.Kind     // of the error
}

var refundCases = map[string][]refunded{
	"refund": {
		{say: SayProcessing, status: pay.RefundProcessing},
		{say: SayRefunded, status: pay.RefundSucceeded},
		{say: SayShort, kind: channel.Short},
		{say: SayDeclined, kind: channel.Declined},
		{say: SayLimited, kind: channel.Limited},
		{say: SayTrouble, kind: channel.Unknown},
		{say: SayTaken, kind: channel.Unknown},  // no yes and no no: the query tells
		{say: SayAbsent, kind: channel.Unknown}, // the order: the platform said otherwise when it told of the payment
	},
	"query_refund": {
		{say: SayProcessing, status: pay.RefundProcessing},
		{say: SayRefunded, status: pay.RefundSucceeded},
		{say: SayFailed, status: pay.RefundFailed},
		{say: SayAbnormal, status: pay.RefundAbnormal},
		{say: SayAbsent, status: pay.RefundPending},
		{say: SayLimited, kind: channel.Limited},
		{say: SayTrouble, kind: channel.Unknown},
	},
}

// Refund is a part of a's money, sent so long ago that its platform knows of it, and the paid a.
func Refund(a pay.Attempt) (pay.Attempt, pay.Refund) {
	a.Status, a.TransactionID, a.PaidAt = pay.AttemptPaid, TransactionID, PaidAt
	return a, pay.Refund{
		ID: "rfd_1", PaymentID: a.PaymentID, AttemptID: a.ID, Account: a.Account, RefundNo: "r-1",
		OutRefundNo: "01jnz8v0t0q6m7x2c4d5e6f7ga", Amount: 2800, Status: pay.RefundProcessing, Reason: "不要了&<b>",
		CreatedAt: Now.Add(-time.Minute), SentAt: Now.Add(-30 * time.Second),
	}
}

func testRefund(t *testing.T, h Refunding) {
	a, r := Refund(Attempt(h, h.Info().Products[0]))
	limits := h.Info().Refunds
	if limits.Window <= 0 || limits.Most < 0 || limits.Gap < 0 {
		t.Errorf("A72 no limits of the platform's: %+v", limits)
	}
	if by, ok := build(t, h, silent(t), Now).(channel.Refunder); !ok || !by.CanRefund() {
		t.Fatal("the harness's account cannot refund")
	}
	for op, rows := range refundCases {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			q := asked{op, func(c channel.Channel) (pay.Observation, error) { return askRefund(t, c, op, a, r) }, map[Say]channel.Answer{}, 37}
			for _, row := range rows {
				answer, ok := h.AnswerRefund(t, op, a, r, row.say)
				if !ok {
					continue
				}
				if row.say != SayLimited && row.say != SayTrouble {
					q.answers[row.say] = answer
				}
				t.Run("platform says "+string(row.say), func(t *testing.T) { testRefundRow(t, h, q, row, answer, a, r) })
			}
			if len(q.answers) == 0 {
				t.Fatal("the platform says nothing")
			}
			testOtherRefunds(t, h, q, a, r)
			testStrangers(t, h, q)
			testFaults(t, h, q)
		})
	}
	t.Run("A15 notice", func(t *testing.T) { t.Parallel(); testRefundNotice(t, h, a, r) })
}

// testRefundRow asks twice, a minute apart: the requests are the identical one, under one number (A70, A74).
func testRefundRow(t *testing.T, h Refunding, q asked, row refunded, answer channel.Answer, a pay.Attempt, r pay.Refund) {
	p := answers(answer)
	for _, now := range []time.Time{Now, Now.Add(time.Minute)} {
		o, err := q.do(build(t, h, p, now))
		if row.status == "" {
			mustBe(t, h, err, q.op, row.kind)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		expect(t, told(h, q.op, row, a, r), o)
	}
	if len(p.calls) != 2 {
		t.Fatalf("%d calls for two questions", len(p.calls))
	}
	if diff := cmp.Diff(unstamped(t, h, p.calls[0]), unstamped(t, h, p.calls[1])); diff != "" {
		t.Errorf("A70 a repeat a minute later differs from the first request: %s", diff)
	}
}

// unstamped is what a call asks for.
func unstamped(t *testing.T, h Refunding, c call) call {
	t.Helper()
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	for _, name := range h.Stamps() {
		if !query.Has(name) {
			t.Errorf("a request without %s", name)
		}
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	c.URL = u.String()
	return c
}

// told is the observation of what row says of r.
func told(h Refunding, op string, row refunded, a pay.Attempt, r pay.Refund) pay.Observation {
	o := seen(a, pay.FromRefund, pay.Unknown)
	o.Refund = &pay.RefundFact{OutRefundNo: r.OutRefundNo, Amount: r.Amount, Status: row.status}
	if row.say == SayRefunded {
		o.Refund.At = RefundedAt
	}
	if h.Sums(op) {
		o.Refunded = r.Amount
	}
	return o
}

// testOtherRefunds: an answer about another refund, of another amount or of another attempt is no fact about ours. One that
// tells our refund's own amount may be a fact of just that, for the domain to quarantine. Where it tells the sum, more is
// what went back before, and less cannot be. An answer that is the same to the byte does not say which refund it is about.
func testOtherRefunds(t *testing.T, h Refunding, q asked, a pay.Attempt, r pay.Refund) {
	more, less, beyond, number, order, total := r, r, r, r, a, a
	more.Amount++
	less.Amount--
	beyond.Amount = a.Amount + 1
	number.OutRefundNo += "9"
	order.OutTradeNo += "9"
	total.Amount++
	for name, other := range map[string]struct {
		a pay.Attempt
		r pay.Refund
	}{
		"a larger amount": {a, more}, "a smaller amount": {a, less}, "more than was paid": {a, beyond}, "other number": {a, number},
		"other order": {order, r}, "other total": {total, r},
	} {
		for _, row := range refundCases[q.op] {
			answer, ok := h.AnswerRefund(t, q.op, other.a, other.r, row.say)
			ours, _ := h.AnswerRefund(t, q.op, a, r, row.say)
			if !ok || row.status == "" || row.status == pay.RefundPending || bytes.Equal(answer.Body, ours.Body) {
				continue
			}
			t.Run(name+", "+string(row.say), func(t *testing.T) {
				o, err := q.do(build(t, h, answers(answer), Now))
				want := told(h, q.op, row, a, r)
				switch {
				case h.Sums(q.op) && other.r == more:
					if want.Refunded = more.Amount; err != nil {
						t.Fatal(err)
					}
				case err == nil && other.r.Amount != r.Amount && !h.Sums(q.op):
					want.Refund.Amount = other.r.Amount
				default:
					mustBe(t, h, err, q.op, channel.Unknown)
					return
				}
				expect(t, want, o)
			})
		}
	}
}

// testRefundNotice: a refund's notice tells of a refund, or is a hint at one; it is never a payment.
func testRefundNotice(t *testing.T, h Refunding, a pay.Attempt, r pay.Refund) {
	o, err := build(t, h, silent(t), Now).Read(h.RefundNotice(t, a, r))
	if err != nil {
		t.Fatal(err)
	}
	fact := o.Refund != nil && o.Refund.OutRefundNo == r.OutRefundNo && o.Refund.Amount == r.Amount && o.Refund.Status == pay.RefundSucceeded
	switch {
	case o.OutTradeNo != a.OutTradeNo || o.Source != pay.FromNotice || o.Account != a.Account:
		t.Errorf("A15 it is about %+v", o)
	case o.Hint && o.Refund == nil && o.State == pay.Unknown && o.Amount == 0:
	case !o.Hint && fact && o.State == pay.Unknown:
	case !o.Hint && o.State == pay.Paid && o.Refunded >= r.Amount && o.TransactionID == a.TransactionID: // the same payment, less a part
	default:
		t.Errorf("A15 %+v %+v", o, o.Refund)
	}
}

// askRefund calls one of the operations that a refund's claim's holder calls.
func askRefund(t *testing.T, c channel.Channel, op string, a pay.Attempt, r pay.Refund) (pay.Observation, error) {
	t.Helper()
	by, ok := c.(channel.Refunder)
	if !ok {
		t.Fatalf("%T sends no refunds", c)
	}
	if op == "refund" {
		return by.Refund(t.Context(), a, r)
	}
	return by.QueryRefund(t.Context(), a, r)
}
