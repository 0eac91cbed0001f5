package pay

import (
	"errors"
	"slices"
	"time"
)

// RefundLimits are a platform's rules about the refunds of one order; zero = no such rule. channel.Info holds them.
type RefundLimits struct {
	Most   int           // refunds of one attempt
	Gap    time.Duration // between two of one attempt, at least
	Window time.Duration // after the payment, at most
}

// Why a refund is not taken.
var (
	ErrNotPaid        = errors.New("payment is not paid")
	ErrRefundTooMuch  = errors.New("refund is more than what is left")
	ErrTooManyRefunds = errors.New("attempt has its most refunds")
	ErrRefundTooLate  = errors.New("payment is too old to be refunded")
)

// Codes of refunds, beside the platforms' own: why one waits or has ended. Public, stable.
const (
	RefundShort     = "balance_short"  // the merchant's balance at the platform does not cover it; sent again later
	RefundUnable    = "cannot_refund"  // the account has no means to send refunds, such as a client certificate
	RefundCancelled = "cancelled"      // by an operator
	RefundNoEnd     = "no_end_in_time" // the platform gave no final answer within RefundPatience
)

// RefundPatience is how long a refund is sent and followed without a person.
const RefundPatience = 30 * 24 * time.Hour

// sums are the refunds of an attempt by what they mean for its rest: done is gone, flying may be gone, waiting will go.
func (p Payment) sums(attemptID string) (done, flying, waiting Fen) {
	for _, r := range p.Refunds {
		if r.AttemptID != attemptID {
			continue
		}
		switch r.Status {
		case RefundSucceeded:
			done += r.Amount
		case RefundProcessing, RefundAbnormal:
			flying += r.Amount
		case RefundPending:
			waiting += r.Amount
		case RefundFailed:
		}
	}
	return done, flying, waiting
}

// Refunded is what has gone back of the money that settled the payment.
func (p Payment) Refunded() Fen {
	a := p.AttemptByID(p.PaidAttempt)
	if a == nil {
		return 0
	}
	done, _, _ := p.sums(a.ID)
	return min(max(done, a.Refunded), a.Amount)
}

// Refundable is what may still be refunded of the money that settled the payment.
func (p Payment) Refundable() Fen {
	a := p.AttemptByID(p.PaidAttempt)
	if a == nil {
		return 0
	}
	return p.rest(*a)
}

// rest is a's money without what went back, may have gone back, or will (money rule 7). Money that the platform says went
// back beyond our own refunds was returned at its console.
func (p Payment) rest(a Attempt) Fen {
	done, flying, waiting := p.sums(a.ID)
	elsewhere := max(0, a.Refunded-done-flying)
	return max(0, a.Amount-done-flying-waiting-elsewhere)
}

// CanRefund reports whether the money that settled the payment may be refunded by this much: nil, ErrNotPaid,
// ErrRefundTooMuch, ErrTooManyRefunds or ErrRefundTooLate.
func (p Payment) CanRefund(amount Fen, l RefundLimits, now time.Time) error {
	a := p.AttemptByID(p.PaidAttempt)
	switch {
	case a == nil:
		return ErrNotPaid
	case amount <= 0 || amount > p.rest(*a):
		return ErrRefundTooMuch
	case l.Window > 0 && now.After(a.PaidAt.Add(l.Window)):
		return ErrRefundTooLate
	case l.Most > 0 && p.refundsOf(a.ID) >= l.Most:
		return ErrTooManyRefunds
	}
	return nil
}

// refundsOf counts the refunds of an attempt that did not fail.
func (p Payment) refundsOf(attemptID string) int {
	n := 0
	for _, r := range p.Refunds {
		if r.AttemptID == attemptID && r.Status != RefundFailed {
			n++
		}
	}
	return n
}

// RefundByID returns the refund of that id, or nil.
func (p *Payment) RefundByID(id string) *Refund {
	i := slices.IndexFunc(p.Refunds, func(r Refund) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return &p.Refunds[i]
}

// RefundByNo returns the shop's refund of that number, or nil.
func (p *Payment) RefundByNo(refundNo string) *Refund {
	i := slices.IndexFunc(p.Refunds, func(r Refund) bool { return r.RefundNo == refundNo && !r.External && !r.Automatic })
	if i < 0 {
		return nil
	}
	return &p.Refunds[i]
}

// Ended reports whether nothing will change any more by itself: succeeded, failed, or waiting for a person.
func (r Refund) Ended() bool {
	return r.Status == RefundSucceeded || r.Status == RefundFailed || r.Status == RefundAbnormal
}

// Patient reports whether r is still sent and followed without a person.
func (r Refund) Patient(now time.Time) bool {
	return r.Ended() || now.Before(r.CreatedAt.Add(RefundPatience))
}

// CanCancel reports whether an operator may still take a refund back: it was never sent, or every sending of it was
// refused for want of balance or means.
func (r Refund) CanCancel() bool {
	return !r.External && (r.Status == RefundPending || r.refusedSoFar())
}

func (r Refund) refusedSoFar() bool {
	return !r.Ended() && (r.Code == RefundShort || r.Code == RefundUnable)
}

// RefundAct is what a due refund wants from its platform.
type RefundAct string

// The acts.
const (
	RefundNothing RefundAct = ""
	RefundSend    RefundAct = "send" // (again) under its one number
	RefundAsk     RefundAct = "ask"  // what became of it
)

// NextRefundAct says what the holder of r's claim should do now. One that was sent with an unknown outcome is asked
// about; "not there" then means to send it again.
func NextRefundAct(r Refund) RefundAct {
	switch {
	case r.Ended():
		return RefundNothing
	case r.Status == RefundPending || r.refusedSoFar():
		return RefundSend
	}
	return RefundAsk
}

// The times of the plan of refunds.
var refusedAgain = [...]time.Duration{10 * time.Minute, 70 * time.Minute, 430 * time.Minute} // after its creation: 10 min, 1 h and 6 h apart

const (
	refundDay      = 24 * time.Hour
	refundAskFirst = 10 * time.Second // Alipay answers a refund's query after 10 s at the soonest (alipay.trade.fastpay.refund.query)
	refundAskMost  = 6 * time.Hour
)

// NextRefundDue is when r wants work again after what just happened: the zero time when never.
func NextRefundDue(p Payment, r Refund, l RefundLimits, now time.Time) time.Time {
	switch NextRefundAct(r) {
	case RefundNothing:
		return time.Time{}
	case RefundAsk:
		return now.Add(min(max(now.Sub(r.SentAt), refundAskFirst), refundAskMost))
	case RefundSend:
	}
	if !r.refusedSoFar() {
		next := p.mayRefundAt(r, l)
		if again := now.Add(backOff(r.Due.Failures)); r.Due.Failures > 0 && again.After(next) {
			next = again
		}
		return later(next, now)
	}
	for _, after := range refusedAgain {
		if at := r.CreatedAt.Add(after); at.After(now) {
			return at
		}
	}
	return now.Add(refundDay)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// mayRefundAt is the soonest moment for sending r: the platform wants a gap between two refunds of one order.
func (p Payment) mayRefundAt(r Refund, l RefundLimits) time.Time {
	var last time.Time
	for _, other := range p.Refunds {
		if other.AttemptID == r.AttemptID && other.ID != r.ID && other.SentAt.After(last) {
			last = other.SentAt
		}
	}
	if last.IsZero() {
		return last
	}
	return last.Add(l.Gap)
}

// WantRefund is a shop's wish to send money back. Refund has ID, RefundNo, OutRefundNo, Amount and Reason. Ask
// CanRefund first: what it refuses is Consistent here. A known RefundNo is Duplicate: compare the amounts.
type WantRefund struct {
	Refund Refund
	Limits RefundLimits
}

func (c WantRefund) decide(d *draft) Verdict {
	if d.p.RefundByNo(c.Refund.RefundNo) != nil {
		return Duplicate
	}
	if d.p.CanRefund(c.Refund.Amount, c.Limits, d.now) != nil {
		return Consistent
	}
	r := c.Refund
	a := d.p.AttemptByID(d.p.PaidAttempt)
	r.PaymentID, r.Shop, r.AttemptID, r.Account = d.p.ID, d.p.Shop, a.ID, a.Account
	r.Status, r.CreatedAt = RefundPending, d.now
	r.Due.At = later(d.p.mayRefundAt(r, c.Limits), d.now)
	d.addRefund(r, EventRefundCreated)
	return Applied
}

// Sending records, before the platform is called, that a refund is sent: from here on its outcome is unknown until the
// platform tells. Consistent: not now, or not any more.
type Sending struct {
	RefundID string
	Tries    int64
	Limits   RefundLimits
}

func (c Sending) decide(d *draft) Verdict {
	r := d.p.RefundByID(c.RefundID)
	if r == nil || r.Ended() || r.External || d.now.Before(d.p.mayRefundAt(*r, c.Limits)) {
		return Consistent
	}
	r.Status, r.Code, r.SentAt = RefundProcessing, "", d.now
	d.fenceRefund(*r, c.Tries)
	d.changed(*r, EventRefundChanged)
	return Applied
}

// Answered records an answer that is no fact about a refund: the platform refused it. Code is RefundShort or RefundUnable,
// which are sent again later, or a platform's own code, which is final.
type Answered struct {
	RefundID string
	Tries    int64
	Code     string
}

func (c Answered) decide(d *draft) Verdict {
	r := d.p.RefundByID(c.RefundID)
	if r == nil || r.Ended() || r.Code == c.Code {
		return Consistent
	}
	d.fenceRefund(*r, c.Tries)
	r.Code = c.Code
	if c.Code == RefundShort || c.Code == RefundUnable {
		d.changed(*r, EventRefundChanged)
		d.aboutRefund(*r, IncidentRefundWaits, "the refund "+r.OutRefundNo+" of "+fen(r.Amount)+" waits: "+c.Code)
		return Applied
	}
	d.endRefund(r, RefundFailed)
	return Applied
}

// GiveUp ends the patience with a refund that had no final answer: a person must look.
type GiveUp struct{ RefundID string }

func (c GiveUp) decide(d *draft) Verdict {
	r := d.p.RefundByID(c.RefundID)
	if r == nil || r.Patient(d.now) {
		return Consistent
	}
	if r.Code == "" {
		r.Code = RefundNoEnd
	}
	d.endRefund(r, RefundAbnormal)
	return Applied
}

// CancelRefund is an operator's. Ask CanCancel first: what it refuses is Consistent here.
type CancelRefund struct{ RefundID string }

func (c CancelRefund) decide(d *draft) Verdict {
	r := d.p.RefundByID(c.RefundID)
	if r == nil || !r.CanCancel() {
		return Consistent
	}
	r.Code = RefundCancelled
	d.endRefund(r, RefundFailed)
	return Applied
}

// endRefund moves r to an end and tells of it. What a shop did not ask for, and what needs a person, is an incident too.
func (d *draft) endRefund(r *Refund, s RefundStatus) {
	r.Status = s
	switch s {
	case RefundSucceeded:
		d.changed(*r, EventRefundSucceeded)
	case RefundFailed:
		d.changed(*r, EventRefundFailed)
		if r.Automatic {
			d.aboutRefund(*r, IncidentRefundFailed, "the automatic refund "+r.OutRefundNo+" of "+fen(r.Amount)+" failed: "+r.Code)
		}
		d.unexplained(d.p.AttemptByID(r.AttemptID)) // last: it may move r
	case RefundAbnormal:
		d.changed(*r, EventRefundAbnormal)
		d.aboutRefund(*r, IncidentRefundAbnormal, "the refund "+r.OutRefundNo+" of "+fen(r.Amount)+" needs a person: "+r.Code)
	case RefundPending, RefundProcessing:
		d.changed(*r, EventRefundChanged)
	}
}

// changed marks r's row as changed and writes its event.
func (d *draft) changed(r Refund, t EventType) {
	i := slices.IndexFunc(d.refunds, func(row RefundRow) bool { return row.Refund.ID == r.ID })
	if i < 0 {
		d.refunds = append(d.refunds, RefundRow{Refund: r})
	} else {
		d.refunds[i].Refund = r
	}
	d.event(t, r.AttemptID, r.ID)
}

func (d *draft) fenceRefund(r Refund, tries int64) { d.fence = &Fence{RefundID: r.ID, Tries: tries} }

// aboutRefund is one incident for each refund and kind.
func (d *draft) aboutRefund(r Refund, kind, detail string) {
	d.incidents = append(d.incidents, Incident{
		ID: d.newID("inc"), Account: r.Account, Digest: kind + ":" + r.ID, Kind: kind, PaymentID: d.p.ID,
		AttemptID: r.AttemptID, Detail: detail, At: d.now,
	})
}
