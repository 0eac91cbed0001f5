package gateway

import (
	"context"

	"piaohao/internal/pay"
)

// The acts of operators on a payment.
const (
	ActSync   = "sync"   // ask the platforms now
	ActClose  = "close"  // as the shop's cancel
	ActRefund = "refund" // as the shop's refund, under a number of the operator's
	ActRetry  = "retry"  // a refund that waits, now
	ActCancel = "cancel" // a refund that was never done
)

// Act is what an operator wants. It changes rows only: the running server's steps do what follows.
type Act struct {
	Do       string  `json:"do"`
	Number   string  `json:"number"` // any number of the payment; with ActRetry and ActCancel the refund's id
	RefundNo string  `json:"refund_no,omitempty"`
	Amount   pay.Fen `json:"amount,omitempty"` // 0 = all that may be refunded
	Reason   string  `json:"reason,omitempty"`
}

type operatorKey struct{}

// operatorOf is the operator whose act a use case runs for, "" = nobody's.
func operatorOf(ctx context.Context) string {
	by, _ := ctx.Value(operatorKey{}).(string)
	return by
}

// Operate does an act and returns the payment's timeline after it. What it changes is recorded in events that name the
// operator, and every act is a line of the log. CodeNotFound: no payment has the number.
func (g *Gateway) Operate(ctx context.Context, by string, a Act) (Timeline, error) {
	ids, err := g.DB.PaymentIDs(ctx, a.Number, maxFound)
	switch {
	case err != nil:
		return Timeline{}, err
	case len(ids) == 0 || a.Number == "":
		return Timeline{}, &Error{Code: CodeNotFound, Public: "no payment has this number"}
	case len(ids) > 1:
		return Timeline{}, invalid("number", "several payments have this number; name one by its id, pay_…, which payment show tells")
	}
	p, err := g.DB.Payment(ctx, ids[0])
	if err == nil {
		err = g.act(context.WithValue(ctx, operatorKey{}, by), p, a)
	}
	if err != nil {
		return Timeline{}, err
	}
	g.Log.Info("operator acted", "act", a.Do, "payment", p.ID, "number", a.Number, "by", by)
	return g.timeline(ctx, p.ID)
}

func (g *Gateway) act(ctx context.Context, p pay.Payment, a Act) error {
	switch a.Do {
	case ActSync:
		return g.askNow(ctx, p)
	case ActClose:
		out, err := g.decide(ctx, p, pay.WantClose{Reason: pay.Cancelled})
		if err == nil && out.payment.IsPaid() {
			err = &Error{Code: CodePaymentNotOpen, Public: "the payment is paid; refund it instead"}
		}
		return err
	case ActRefund:
		if a.Amount == 0 {
			a.Amount = p.Refundable()
		}
		_, _, err := g.Refund(ctx, p.Shop, p.ID, RefundInput{RefundNo: a.RefundNo, Amount: a.Amount, Reason: a.Reason})
		return err
	case ActRetry, ActCancel:
		r := p.RefundByID(a.Number)
		if r == nil {
			return invalid("number", "name the refund by its id, rfd_…, which payment show tells")
		}
		return g.actOnRefund(ctx, p, *r, a.Do)
	}
	return invalid("do", "no such act")
}

func (g *Gateway) actOnRefund(ctx context.Context, p pay.Payment, r pay.Refund, do string) error {
	if do == ActRetry {
		if r.Ended() {
			return invalid("number", "the refund has ended; make a new one, or settle it at the platform")
		}
		return g.DB.AskRefund(ctx, r.ID, g.Now())
	}
	out, err := g.decide(ctx, p, pay.CancelRefund{RefundID: r.ID})
	if err == nil && out.verdict != pay.Applied {
		err = invalid("number", "the refund was sent and may have been done, or has ended: only one that the platform never did can be cancelled")
	}
	return err
}

// askNow makes everything due that the platforms can still tell something about.
func (g *Gateway) askNow(ctx context.Context, p pay.Payment) error {
	for _, a := range p.Attempts {
		if a.Live() {
			if err := g.DB.AskAttempt(ctx, a.ID, g.Now()); err != nil {
				return err
			}
		}
	}
	for _, r := range p.Refunds {
		if !r.Ended() {
			if err := g.DB.AskRefund(ctx, r.ID, g.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}
