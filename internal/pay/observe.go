package pay

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// AbsentGrace is how long after an order's own deadline a signed "does not exist" closes it.
const AbsentGrace = 60 * time.Second

// The kinds of incidents. Stable codes.
const (
	IncidentOrder       = "order_mismatch"
	IncidentChannel     = "channel_mismatch"
	IncidentAccount     = "account_mismatch"
	IncidentApp         = "app_id_mismatch"
	IncidentMerchant    = "merchant_id_mismatch"
	IncidentVariant     = "signature_mismatch"
	IncidentAmount      = "amount_mismatch"
	IncidentCurrency    = "currency_mismatch"
	IncidentNoNumber    = "transaction_id_missing"
	IncidentNumberTaken = "transaction_id_on_two_attempts"
	IncidentNumberNew   = "transaction_id_changed"
	IncidentSurplus     = "surplus_received"
	IncidentLate        = "late_paid"
	IncidentRefund      = "refund_not_ours"

	IncidentRefundAmount   = "refund_amount_mismatch"
	IncidentRefundWaits    = "refund_waits"
	IncidentRefundFailed   = "refund_failed"
	IncidentRefundAbnormal = "refund_abnormal"
	IncidentRefundRevived  = "refund_succeeded_after_failing"
)

func (o Observation) decide(d *draft) Verdict {
	if o.Hint {
		return Consistent
	}
	a := d.p.AttemptByNumber(o.OutTradeNo)
	if a == nil {
		return d.quarantine(o, IncidentOrder, "this payment has no attempt "+o.OutTradeNo)
	}
	if kind, want, got := o.misfit(*a); kind != "" {
		return d.quarantine(o, kind, "asked for "+want+", was told "+got)
	}
	if o.Refund != nil {
		return d.refundSeen(a, o)
	}
	switch o.State {
	case Paid:
		return d.paid(a, o)
	case Closed:
		if a.Live() || a.Status == AttemptRefused {
			d.end(a, AttemptClosed, EventAttemptClosed)
			return Applied
		}
	case Refused:
		if a.Live() {
			d.end(a, AttemptRefused, EventAttemptRefused)
			return Applied
		}
	case Absent:
		return d.absent(a, o)
	case Unpaid, Unknown:
	}
	return Consistent
}

// misfit names the first thing in which o differs from what a asked for (money rule 3).
func (o Observation) misfit(a Attempt) (kind, want, got string) {
	switch {
	case o.Channel != a.Channel:
		return IncidentChannel, a.Channel, o.Channel
	case o.Account != a.Account:
		return IncidentAccount, a.Account, o.Account
	case o.AppID != a.AppID:
		return IncidentApp, a.AppID, o.AppID
	case o.MerchantID != a.MerchantID:
		return IncidentMerchant, cmp.Or(a.MerchantID, "the merchant of earlier payments"), o.MerchantID
	case o.Variant != a.Variant:
		return IncidentVariant, "signatures by " + a.Variant, "one by " + o.Variant
	case o.State != Paid:
		return "", "", ""
	case o.Amount != a.Amount:
		return IncidentAmount, fen(a.Amount), fen(o.Amount)
	case o.Currency != a.Currency:
		return IncidentCurrency, a.Currency, o.Currency
	case o.TransactionID == "":
		return IncidentNoNumber, "a transaction number", "none"
	}
	return "", "", ""
}

func fen(f Fen) string { return strconv.FormatInt(int64(f), 10) + " fen" }

func (d *draft) paid(a *Attempt, o Observation) Verdict {
	for i := range d.p.Attempts {
		if b := &d.p.Attempts[i]; b != a && b.TransactionID == o.TransactionID {
			return d.quarantine(o, IncidentNumberTaken, "transaction "+o.TransactionID+" paid attempt "+b.ID+" already")
		}
	}
	if a.IsPaid() {
		if a.TransactionID != o.TransactionID {
			return d.quarantine(o, IncidentNumberNew, "paid by transaction "+a.TransactionID+", now told "+o.TransactionID)
		}
		if o.Refunded <= a.Refunded {
			return Duplicate
		}
		d.refunded(a, o.Refunded)
		return Applied
	}
	a.Status, a.TransactionID, a.PaidAt = AttemptPaid, o.TransactionID, o.PaidAt
	if a.PaidAt.IsZero() {
		a.PaidAt = d.now
	}
	d.wake(a, time.Time{})
	d.event(EventAttemptPaid, a.ID, "")
	switch {
	case !d.p.Done():
		d.settle(a)
	case d.p.IsClosed() && o.AcceptLate:
		d.settleLate(a)
	default:
		d.surplus(a)
	}
	if o.Refunded > 0 {
		d.refunded(a, o.Refunded)
	}
	return Applied
}

func (d *draft) settle(a *Attempt) {
	d.p.Status, d.p.PaidAt, d.p.PaidAttempt = PaymentPaid, a.PaidAt, a.ID
	d.event(EventPaymentPaid, a.ID, "")
	d.wakeOthers(a)
}

// settleLate lets money for a closed payment pay it. The shop, which may have given the order up, is told by an event of
// its own, and a person by an incident.
func (d *draft) settleLate(a *Attempt) {
	d.p.Status, d.p.PaidAt, d.p.PaidAttempt, d.p.Late = PaymentPaid, a.PaidAt, a.ID, true
	d.event(EventLatePaid, a.ID, "")
	d.incidents = append(d.incidents, Incident{
		ID: d.newID("inc"), Account: a.Account, Digest: IncidentLate + ":" + a.ID, Kind: IncidentLate, PaymentID: d.p.ID,
		AttemptID: a.ID, Detail: "paid after it was closed, and accepted: " + fen(a.Amount) + " under transaction " + a.TransactionID, At: d.now,
	})
}

// surplus records money that came second or late: it is on its way back from the moment it is seen.
func (d *draft) surplus(a *Attempt) {
	event, kind, reason := EventSurplus, IncidentSurplus, "paid a second time"
	if d.p.IsClosed() {
		event, kind, reason = EventLatePaid, IncidentLate, "paid after it was closed"
	}
	a.Surplus = true
	d.event(event, a.ID, "")
	d.addRefund(Refund{
		OutRefundNo: d.newID(""), AttemptID: a.ID, Account: a.Account, Amount: a.Amount, Status: RefundPending, Reason: reason,
		Automatic: true, Due: Due{At: d.now},
	}, EventRefundCreated)
	d.incidents = append(d.incidents, Incident{
		ID: d.newID("inc"), Account: a.Account, Digest: kind + ":" + a.ID, Kind: kind, PaymentID: d.p.ID,
		AttemptID: a.ID, Detail: reason + ": " + fen(a.Amount) + " under transaction " + a.TransactionID, At: d.now,
	})
}

// addRefund adds a refund that no shop asked for with the numbers that all of these share, or a shop's as it is.
func (d *draft) addRefund(r Refund, t EventType) {
	if r.RefundNo == "" {
		r.ID, r.PaymentID, r.Shop, r.RefundNo, r.CreatedAt = d.newID("rfd"), d.p.ID, d.p.Shop, r.OutRefundNo, d.now
	}
	d.p.Refunds = append(d.p.Refunds, r)
	d.refunds = append(d.refunds, RefundRow{Refund: r, New: true})
	d.event(t, r.AttemptID, r.ID)
}

// refunded takes the sum that the platform says went back of a's money. What our own refunds cannot explain was returned at
// the platform's console.
func (d *draft) refunded(a *Attempt, sum Fen) {
	a.Refunded = min(sum, a.Amount)
	d.touch(a)
	d.event(EventAttemptRefunded, a.ID, "")
	d.unexplained(a)
}

// unexplained records what went back of a's money whatever became of our own refunds: a stuck one may keep its secret for
// ever. It is looked at again when one of these fails: then the sum had told of something else.
func (d *draft) unexplained(a *Attempt) {
	var ours []Fen
	var elsewhere Fen
	for _, r := range d.p.Refunds {
		switch {
		case r.AttemptID != a.ID || r.Status == RefundPending || r.Status == RefundFailed:
		case r.External:
			elsewhere += r.Amount
		default:
			ours = append(ours, r.Amount)
		}
	}
	if more := a.Refunded - mostWithin(ours, a.Refunded) - elsewhere; more > 0 {
		done, _, _ := d.p.sums(a.ID)
		d.external(a, RefundFact{
			OutRefundNo: "console-" + a.OutTradeNo + "-" + strconv.FormatInt(int64(done+more), 10), Amount: more, Status: RefundSucceeded,
		})
	}
}

// mostTotals bounds the totals that mostWithin tries.
const mostTotals = 4096

// mostWithin is the largest total of some of amounts that is not above sum, or sum itself when there are too many to try.
// Only some, because a sum can be older than any of the successes, and a refund that is on its way may never arrive.
func mostWithin(amounts []Fen, sum Fen) Fen {
	totals := []Fen{0}
	for _, f := range amounts {
		for _, t := range totals {
			if t+f <= sum {
				totals = append(totals, t+f)
			}
		}
		slices.Sort(totals)
		if totals = slices.Compact(totals); len(totals) > mostTotals {
			return sum
		}
	}
	return totals[len(totals)-1]
}

// refundSeen takes what a platform says of one refund.
func (d *draft) refundSeen(a *Attempt, o Observation) Verdict {
	f := *o.Refund
	i := slices.IndexFunc(d.p.Refunds, func(r Refund) bool { return r.AttemptID == a.ID && r.OutRefundNo == f.OutRefundNo })
	switch {
	case f.Status == RefundPending: // not there
		return Consistent
	case i < 0:
		d.external(a, f)
		return Applied
	}
	r := &d.p.Refunds[i]
	if r.Amount != f.Amount {
		return d.quarantine(o, IncidentRefundAmount, "asked to refund "+fen(r.Amount)+" under "+r.OutRefundNo+", was told "+fen(f.Amount))
	}
	if !r.follows(f.Status) {
		return Duplicate
	}
	if r.Status == RefundFailed {
		d.aboutRefund(*r, IncidentRefundRevived, "the refund "+r.OutRefundNo+" of "+fen(r.Amount)+" had ended as "+r.Code+" and succeeded at the platform")
	}
	r.Code = ""
	if f.Status == RefundSucceeded {
		r.SucceededAt = f.At
		if f.At.IsZero() {
			r.SucceededAt = d.now
		}
	}
	d.endRefund(r, f.Status)
	if o.Refunded > a.Refunded { // the answer to a refund may tell the sum
		d.refunded(a, o.Refunded)
	}
	return Applied
}

// external records a refund that we did not order: it was made at the platform's console. It lessens the rest, the shop is
// told, and so is a person.
func (d *draft) external(a *Attempt, f RefundFact) {
	r := Refund{
		OutRefundNo: f.OutRefundNo, AttemptID: a.ID, Account: a.Account, Amount: f.Amount, Status: f.Status,
		Reason: "made at the platform", External: true, SucceededAt: f.At,
	}
	if !r.Ended() {
		r.Due.At = d.now.Add(refundAskFirst)
	}
	d.addRefund(r, EventRefundExternal)
	d.incidents = append(d.incidents, Incident{
		ID: d.newID("inc"), Account: a.Account, Digest: IncidentRefund + ":" + a.ID + ":" + f.OutRefundNo, Kind: IncidentRefund,
		PaymentID: d.p.ID, AttemptID: a.ID, At: d.now,
		Detail: "the platform tells of a refund " + f.OutRefundNo + " of " + fen(f.Amount) + " that we did not order",
	})
}

// follows reports whether a refund may move to s: along pending → processing → an end, or abnormal → an end; never
// out of succeeded. One that was given up here and succeeded there has succeeded.
func (r Refund) follows(s RefundStatus) bool {
	switch r.Status {
	case RefundPending:
		return s != RefundPending
	case RefundProcessing:
		return s != RefundPending && s != RefundProcessing
	case RefundAbnormal:
		return s == RefundSucceeded || s == RefundFailed
	case RefundFailed:
		return s == RefundSucceeded
	case RefundSucceeded:
	}
	return false
}

func (d *draft) absent(a *Attempt, o Observation) Verdict {
	if !a.Live() || o.Tries == 0 {
		return Consistent
	}
	unseen := a.HandedOutAt.IsZero() && wanted(d.p, *a)
	if !unseen && d.now.Before(a.ExpiresAt.Add(AbsentGrace)) {
		return Consistent
	}
	d.fence = &Fence{AttemptID: a.ID, Tries: o.Tries}
	d.end(a, AttemptClosed, EventAttemptClosed)
	return Applied
}
