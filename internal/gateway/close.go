package gateway

import (
	"context"
	"errors"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/store"
	"piaohao/internal/view"
)

// ClosePayment is the shop's cancel: closed there first, then here. The answer may still be closing.
func (g *Gateway) ClosePayment(ctx context.Context, shop, id string) (view.Payment, error) {
	ctx = g.begin(ctx)
	v, err := g.cancel(ctx, shop, id)
	g.logShop(ctx, "cancel", v.Status, v.ID, v.OrderNo, err)
	return v, err
}

func (g *Gateway) cancel(ctx context.Context, shop, id string) (view.Payment, error) {
	p, err := g.ofShop(ctx, shop, id)
	if err != nil {
		return view.Payment{}, err
	}
	out, err := g.decide(ctx, p, pay.WantClose{Reason: pay.Cancelled})
	if err != nil {
		return view.Payment{}, err
	}
	p = out.payment
	if p.Closing() {
		if p, err = g.closeNow(ctx, p); err != nil {
			return view.Payment{}, err
		}
	}
	if p.IsPaid() {
		return view.Payment{}, &Error{Code: CodePaymentNotOpen, Public: "the payment is paid; refund it instead"}
	}
	return view.Of(p, g.cashierURL(p), nil), nil
}

// closeNow closes the live attempts in this request; what somebody else holds is waited for, at most inCall.
func (g *Gateway) closeNow(ctx context.Context, p pay.Payment) (pay.Payment, error) {
	held, start := false, g.Now()
	for _, a := range p.Attempts {
		if !a.Live() {
			continue
		}
		if g.Now().Sub(start) > inCall {
			return p, nil // their due times are now: the steppers go on
		}
		now, c, ok, err := g.take(ctx, p, a.ID)
		if err != nil {
			return p, err
		}
		if !ok {
			held = true
			continue
		}
		after, err := g.under(ctx, now, c, g.work)
		if errors.Is(err, errLostClaim) {
			held = true
			continue
		}
		if err != nil {
			return p, err
		}
		p = after
	}
	if !held {
		return p, nil
	}
	return g.await(ctx, p.ID, pay.Payment.Done)
}

// closeAttempt closes the claimed attempt at its platform. One that is paid there is asked for instead.
func (g *Gateway) closeAttempt(ctx context.Context, p pay.Payment, c store.Claim) (pay.Payment, bool, error) {
	a := *p.AttemptByID(c.AttemptID)
	ctx = g.begin(ctx)
	o, err := call(ctx, g, a, c, func(ctx context.Context) (pay.Observation, error) {
		o, err := g.account(a.Account).Channel.Close(ctx, a)
		g.recordCall(ctx, "close", a, string(o.State), err)
		return o, err
	})
	g.logCall(ctx, "close", a, err)
	if err == nil {
		o.Tries = c.Tries
		out, err := g.observe(ctx, p, o, nil)
		return out.payment, true, err
	}
	switch kind(err) {
	case channel.AlreadyPaid:
		p, _, ok, err := g.query(ctx, p, c)
		return p, ok, err
	case channel.AlreadyClosed:
		p, err = g.told(ctx, p, a, pay.Closed, pay.FromClose)
		return p, true, err
	case channel.TooEarly:
		return p, true, nil
	}
	g.backOff(ctx, a, err)
	return p, false, nil
}
