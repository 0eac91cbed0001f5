package pay

import (
	"errors"
	"time"
)

// Closing reports whether a close is wanted and not done.
func (p Payment) Closing() bool { return p.Status == PaymentOpen && !p.CloseWantedAt.IsZero() }

// Done reports whether the payment has ended: paid or closed.
func (p Payment) Done() bool { return p.Status != PaymentOpen }

// IsPaid reports whether the payment has its money.
func (p Payment) IsPaid() bool { return p.Status == PaymentPaid }

// IsClosed reports whether the payment ended without money.
func (p Payment) IsClosed() bool { return p.Status == PaymentClosed }

// Why a payment takes no new way of paying.
var (
	ErrNotOpen         = errors.New("payment is paid or closed")
	ErrClosing         = errors.New("payment is closing")
	ErrTooManyAttempts = errors.New("payment has its most attempts")
)

// CanOffer reports whether a payer may still be given a code or a link: nil, ErrNotOpen or ErrClosing. A payment
// whose time ran out offers nothing even before the expiry is recorded.
func (p Payment) CanOffer(now time.Time) error {
	switch {
	case p.Done():
		return ErrNotOpen
	case p.Closing() || !now.Before(p.ExpiresAt):
		return ErrClosing
	}
	return nil
}

// CanWithdraw reports whether a cancel may be taken back: closing because the shop cancelled, with time left.
func (p Payment) CanWithdraw(now time.Time) bool {
	return p.Closing() && p.CloseReason == Cancelled && now.Before(p.ExpiresAt)
}

// HasSurplus reports whether more money came than the payment asked for.
func (p Payment) HasSurplus() bool {
	for _, a := range p.Attempts {
		if a.Surplus {
			return true
		}
	}
	return false
}

// LastSurplus is the newest attempt whose money is more than the payment asked for, or nil.
func (p *Payment) LastSurplus() *Attempt {
	for i := len(p.Attempts) - 1; i >= 0; i-- {
		if p.Attempts[i].Surplus {
			return &p.Attempts[i]
		}
	}
	return nil
}

// AttemptByID returns the attempt of that id, or nil.
func (p *Payment) AttemptByID(id string) *Attempt {
	for i := range p.Attempts {
		if p.Attempts[i].ID == id {
			return &p.Attempts[i]
		}
	}
	return nil
}

// AttemptByNumber returns the attempt of that out_trade_no, or nil.
func (p *Payment) AttemptByNumber(outTradeNo string) *Attempt {
	for i := range p.Attempts {
		if p.Attempts[i].OutTradeNo == outTradeNo {
			return &p.Attempts[i]
		}
	}
	return nil
}

// LiveAttempt returns the one attempt of (account, product) that is opening or open, or nil.
func (p *Payment) LiveAttempt(account, product string) *Attempt {
	for i := range p.Attempts {
		a := &p.Attempts[i]
		if a.Live() && a.Account == account && a.Product == product {
			return a
		}
	}
	return nil
}

// Live reports whether money may still come by the attempt in the ordinary way: opening or open.
func (a Attempt) Live() bool { return a.Status == AttemptOpening || a.Status == AttemptOpen }

// Opening reports whether the attempt has no shape yet.
func (a Attempt) Opening() bool { return a.Status == AttemptOpening }

// Usable reports whether a payer can be shown the attempt's shape now.
func (a Attempt) Usable(now time.Time) bool {
	return a.Status == AttemptOpen && a.CloseWantedAt.IsZero() && now.Before(a.Shape.Until)
}

// IsPaid reports whether the attempt's money came.
func (a Attempt) IsPaid() bool { return a.Status == AttemptPaid }

// IsRefused reports whether the platform said a final no.
func (a Attempt) IsRefused() bool { return a.Status == AttemptRefused }
