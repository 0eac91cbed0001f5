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
)

func (o Observation) decide(d *draft) Verdict {
	a := d.p.AttemptByNumber(o.OutTradeNo)
	if a == nil {
		return d.quarantine(o, IncidentOrder, "this payment has no attempt "+o.OutTradeNo)
	}
	if kind, want, got := o.misfit(*a); kind != "" {
		return d.quarantine(o, kind, "asked for "+want+", was told "+got)
	}
	if o.Refund != nil {
		return d.refundSeen(a, *o.Refund)
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
	if d.p.Done() {
		d.surplus(a)
	} else {
		d.settle(a)
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

// surplus records money that came second or late: it is on its way back from the moment it is seen.
func (d *draft) surplus(a *Attempt) {
	event, kind, reason := EventSurplus, IncidentSurplus, "paid a second time"
	if d.p.IsClosed() {
		event, kind, reason = EventLatePaid, IncidentLate, "paid after it was closed"
	}
	a.Surplus = true
	d.event(event, a.ID, "")
	r := Refund{
		ID: d.newID("rfd"), PaymentID: d.p.ID, AttemptID: a.ID, RefundNo: d.newID(""), Amount: a.Amount,
		Status: RefundPending, Reason: reason, Automatic: true, CreatedAt: d.now,
	}
	d.addRefund(r, EventRefundCreated)
	d.incident = &Incident{
		ID: d.newID("inc"), Account: a.Account, Digest: kind + ":" + a.ID, Kind: kind, PaymentID: d.p.ID,
		AttemptID: a.ID, Detail: reason + ": " + fen(a.Amount) + " under transaction " + a.TransactionID, At: d.now,
	}
}

func (d *draft) addRefund(r Refund, t EventType) {
	d.p.Refunds = append(d.p.Refunds, r)
	d.refunds = append(d.refunds, RefundRow{Refund: r, New: true})
	d.event(t, r.AttemptID, r.ID)
}

func (d *draft) refunded(a *Attempt, sum Fen) {
	a.Refunded = min(sum, a.Amount)
	d.touch(a)
	d.event(EventAttemptRefunded, a.ID, "")
}

// refundSeen takes what a platform says of one refund. One that we did not order was made at the platform's console:
// it is recorded once, as external, and a person is told.
func (d *draft) refundSeen(a *Attempt, f RefundFact) Verdict {
	i := slices.IndexFunc(d.p.Refunds, func(r Refund) bool { return r.AttemptID == a.ID && r.RefundNo == f.RefundNo })
	if i < 0 {
		r := Refund{
			ID: d.newID("rfd"), PaymentID: d.p.ID, AttemptID: a.ID, RefundNo: f.RefundNo, Amount: f.Amount,
			Status: f.Status, Reason: "made at the platform", External: true, CreatedAt: d.now,
		}
		d.addRefund(r, EventRefundExternal)
		d.incident = &Incident{
			ID: d.newID("inc"), Account: a.Account, Digest: IncidentRefund + ":" + a.ID + ":" + f.RefundNo,
			Kind: IncidentRefund, PaymentID: d.p.ID, AttemptID: a.ID, At: d.now,
			Detail: "the platform tells of a refund " + f.RefundNo + " of " + fen(f.Amount) + " that we did not order",
		}
		return Applied
	}
	r := &d.p.Refunds[i]
	if !r.follows(f.Status) {
		return Duplicate
	}
	r.Status = f.Status
	d.refunds = append(d.refunds, RefundRow{Refund: *r})
	d.event(EventRefundChanged, a.ID, r.ID)
	return Applied
}

// follows reports whether a refund may move to s: along pending → processing → an end, or abnormal → an end; never
// out of succeeded or failed.
func (r Refund) follows(s RefundStatus) bool {
	switch r.Status {
	case RefundPending:
		return s != RefundPending
	case RefundProcessing:
		return s != RefundPending && s != RefundProcessing
	case RefundAbnormal:
		return s == RefundSucceeded || s == RefundFailed
	case RefundSucceeded, RefundFailed:
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
