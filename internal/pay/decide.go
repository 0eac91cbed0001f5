package pay

import (
	"slices"
	"time"
)

// Input is what Decide decides on: an Observation or a command.
type Input interface{ decide(d *draft) Verdict }

// Decide says what in means for p: the Change to write and the Verdict. It is pure; p is not modified. For every
// Verdict but Applied the Change is empty; with Quarantine it carries the incident to record.
//
// Attempts: what an observation makes of each state (— = Consistent or Duplicate, nothing changes). Paid wins over
// closed, closed over refused, so an attempt's end does not depend on order, number or delay of observations.
//
//	             opening   open      closed      refused     paid
//	unpaid       —         —         —           —           —
//	paid         paid      paid      paid        paid        — (same number; another number: quarantine)
//	closed       closed    closed    —           closed      —
//	refused      refused   refused   —           —           —
//	absent       [1]       [1]       —           —           —
//	unknown      —         —         —           —           —
//
//	[1] closed, when we asked under a claim and nobody can have the shape (never handed out, and a close is
//	    wanted), or its deadline passed AbsentGrace ago; else —.
//
// Payments, when an attempt becomes paid: an open payment (closing or not) is paid, and every other live attempt gets
// a due close; a paid or closed payment records surplus: an event, an incident and an automatic refund row, pending.
// When an attempt ends otherwise, a closing payment without live attempts is closed.
func Decide(p Payment, in Input, now time.Time, newID func(prefix string) string) (Change, Verdict) {
	d := newDraft(p, now, newID)
	verdict := in.decide(d)
	if verdict != Applied {
		return Change{Payment: p, Incidents: d.incidents}, verdict
	}
	return d.change(), verdict
}

// New is the Change that creates p, with its first attempt when the shop chose a method.
func New(p Payment, first *Attempt, now time.Time, newID func(prefix string) string) Change {
	p.Status, p.Seq, p.CreatedAt = PaymentOpen, 0, now
	d := newDraft(p, now, newID)
	d.event(EventPaymentCreated, "", "")
	if first != nil {
		d.add(*first)
	}
	c := d.change()
	c.New = true
	return c
}

// draft is a decision under way.
type draft struct {
	p         Payment
	now       time.Time
	newID     func(prefix string) string
	rows      []AttemptRow // Attempt is filled in by change
	refunds   []RefundRow
	events    []Event
	incidents []Incident
	fence     *Fence
}

func newDraft(p Payment, now time.Time, newID func(prefix string) string) *draft {
	p.Attempts = slices.Clone(p.Attempts)
	p.Refunds = slices.Clone(p.Refunds)
	return &draft{p: p, now: now, newID: newID}
}

func (d *draft) change() Change {
	d.p.Seq += int64(len(d.events))
	for i := range d.rows {
		d.rows[i].Attempt = *d.p.AttemptByID(d.rows[i].Attempt.ID)
	}
	return Change{
		Payment: d.p, Attempts: d.rows, Refunds: d.refunds, Events: d.events, Incidents: d.incidents, Fence: d.fence,
	}
}

func (d *draft) event(t EventType, attemptID, refundID string) {
	d.events = append(d.events, Event{
		ID: d.newID("evt"), PaymentID: d.p.ID, Seq: d.p.Seq + int64(len(d.events)) + 1, Type: t,
		AttemptID: attemptID, RefundID: refundID, At: d.now, Livemode: d.p.Livemode, Shop: d.p.Shop,
		Quiet: refundID != "" && d.p.RefundByID(refundID).Quiet,
	})
}

// touch marks a's row as changed and returns it.
func (d *draft) touch(a *Attempt) *AttemptRow {
	for i := range d.rows {
		if d.rows[i].Attempt.ID == a.ID {
			return &d.rows[i]
		}
	}
	d.rows = append(d.rows, AttemptRow{Attempt: Attempt{ID: a.ID}})
	return &d.rows[len(d.rows)-1]
}

// wake moves a's due time; the zero time means that it wants nothing more.
func (d *draft) wake(a *Attempt, at time.Time) {
	a.Due.At = at
	d.touch(a).Wake = &at
}

func (d *draft) add(a Attempt) {
	a.PaymentID, a.Status, a.CreatedAt = d.p.ID, AttemptOpening, d.now
	d.p.Attempts = append(d.p.Attempts, a)
	d.rows = append(d.rows, AttemptRow{Attempt: Attempt{ID: a.ID}, New: true})
	d.event(EventAttemptCreated, a.ID, "")
}

// wakeOthers gives every live attempt but one a due time of now.
func (d *draft) wakeOthers(but *Attempt) {
	for i := range d.p.Attempts {
		if a := &d.p.Attempts[i]; a != but && a.Live() {
			d.wake(a, d.now)
		}
	}
}

// end moves a to a state without money and closes the payment when that was all it waited for.
func (d *draft) end(a *Attempt, s AttemptStatus, t EventType) {
	a.Status = s
	if a.ClosedAt.IsZero() {
		a.ClosedAt = d.now
	}
	d.wake(a, time.Time{})
	d.event(t, a.ID, "")
	d.closeIfDone()
}

// closeIfDone closes a closing payment that has no live attempt left: nothing is closed here before it is closed there.
func (d *draft) closeIfDone() {
	if !d.p.Closing() || slices.ContainsFunc(d.p.Attempts, Attempt.Live) {
		return
	}
	d.p.Status, d.p.ClosedAt = PaymentClosed, d.now
	d.event(EventPaymentClosed, "", "")
}

func (d *draft) quarantine(o Observation, kind, detail string) Verdict {
	i := Incident{ID: d.newID("inc"), Account: o.Account, Kind: kind, PaymentID: d.p.ID, Detail: detail, At: d.now}
	if a := d.p.AttemptByNumber(o.OutTradeNo); a != nil {
		i.AttemptID = a.ID
	}
	d.incidents = []Incident{i} // of what a decision did before it came here nothing is kept
	return Quarantine
}
