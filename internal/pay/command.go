package pay

import "time"

// Choose is a payer's or a shop's choice of a way to pay. Attempt is the attempt to add, claimed by the caller, when
// its (account, product) has no live one; else the live one stays, and a payer's going back is withdrawn.
// Ask CanOffer and CanAdd first: what they refuse is Consistent here.
type Choose struct{ Attempt Attempt }

// CanAdd reports whether one more attempt fits: nil or ErrTooManyAttempts.
func (p Payment) CanAdd() error {
	if len(p.Attempts) >= MaxAttempts {
		return ErrTooManyAttempts
	}
	return nil
}

func (c Choose) decide(d *draft) Verdict {
	if d.p.CanOffer(d.now) != nil {
		return Consistent
	}
	a := d.p.LiveAttempt(c.Attempt.Account, c.Attempt.Product)
	if a == nil {
		if d.p.CanAdd() != nil {
			return Consistent
		}
		d.add(c.Attempt)
		return Applied
	}
	if a.CloseWantedAt.IsZero() {
		return Duplicate
	}
	a.CloseWantedAt = time.Time{}
	d.wake(a, d.now)
	d.event(EventAttemptResumed, a.ID, "")
	return Applied
}

// Opened records the shape that a platform gave, under the claim that asked for it. HandOut says that the answer
// carrying it leaves at once.
type Opened struct {
	AttemptID string
	Tries     int64
	Shape     Shape
	HandOut   bool
}

func (c Opened) decide(d *draft) Verdict {
	a := d.p.AttemptByID(c.AttemptID)
	if a == nil || !a.Live() {
		return Consistent
	}
	a.Status, a.Shape = AttemptOpen, c.Shape
	if a.Shape.Until.IsZero() || a.Shape.Until.After(a.ExpiresAt) {
		a.Shape.Until = a.ExpiresAt
	}
	d.fence = &Fence{AttemptID: a.ID, Tries: c.Tries}
	d.event(EventAttemptOpened, a.ID, "")
	if c.HandOut {
		d.handOut(a)
	}
	d.wake(a, NextDue(d.p, *a, d.now))
	return Applied
}

// HandOut records, before the first answer that carries an attempt's shape, that somebody may have seen it.
type HandOut struct{ AttemptID string }

func (c HandOut) decide(d *draft) Verdict {
	a := d.p.AttemptByID(c.AttemptID)
	if a == nil || !d.handOut(a) {
		return Consistent
	}
	d.wake(a, NextDue(d.p, *a, d.now))
	return Applied
}

// CanHandOut reports whether a's shape may leave us.
func (p Payment) CanHandOut(a Attempt, now time.Time) bool {
	return p.CanOffer(now) == nil && a.Usable(now)
}

func (d *draft) handOut(a *Attempt) bool {
	if !d.p.CanHandOut(*a, d.now) || !a.HandedOutAt.IsZero() {
		return false
	}
	a.HandedOutAt = d.now
	d.touch(a)
	d.event(EventAttemptHandedOut, a.ID, "")
	return true
}

// WantClose is a cancel by the shop or the expiry. The payment closes when every attempt is closed or refused.
type WantClose struct{ Reason CloseReason }

func (c WantClose) decide(d *draft) Verdict {
	if d.p.Done() {
		return Consistent
	}
	if d.p.Closing() || (c.Reason == Expired && d.now.Before(d.p.ExpiresAt)) {
		return Duplicate
	}
	d.p.CloseWantedAt, d.p.CloseReason = d.now, c.Reason
	d.event(EventPaymentClosing, "", "")
	d.wakeOthers(nil)
	d.closeIfDone()
	return Applied
}

// Withdraw takes a cancel back, when CanWithdraw allows.
type Withdraw struct{}

func (Withdraw) decide(d *draft) Verdict {
	if !d.p.CanWithdraw(d.now) {
		return Consistent
	}
	d.p.CloseWantedAt, d.p.CloseReason = time.Time{}, ""
	d.event(EventPaymentReopened, "", "")
	d.wakeOthers(nil)
	return Applied
}

// Back is the payer's way back to the choices: it closes the attempts, never the shop's payment.
type Back struct{}

func (Back) decide(d *draft) Verdict {
	if d.p.CanOffer(d.now) != nil {
		return Consistent
	}
	verdict := Duplicate
	for i := range d.p.Attempts {
		a := &d.p.Attempts[i]
		if !a.Live() || !a.CloseWantedAt.IsZero() {
			continue
		}
		a.CloseWantedAt = d.now
		d.wake(a, d.now)
		d.event(EventAttemptClosing, a.ID, "")
		verdict = Applied
	}
	return verdict
}
