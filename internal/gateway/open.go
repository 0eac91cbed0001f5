package gateway

import (
	"cmp"
	"context"
	"errors"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/store"
)

// newAttempt is an attempt with the exact parameters of its request, born claimed by us.
func (g *Gateway) newAttempt(p pay.Payment, w way, clientIP string) pay.Attempt {
	now := g.Now()
	variant := ""
	if v, ok := w.account.Channel.(channel.Varied); ok {
		variant = v.Variant()
	}
	return pay.Attempt{
		ID: g.NewID("att"), OutTradeNo: g.NewID(""), Method: w.account.Info.Method, Product: w.product.Name,
		Amount: p.Amount, Currency: p.Currency, Account: w.account.ID, Channel: w.account.Info.Channel,
		AppID: w.account.AppID, MerchantID: w.account.MerchantID, Variant: variant, Subject: p.Subject,
		NotifyURL: cmp.Or(w.account.NotifyURL, g.PublicURL+w.account.Info.NotifyPath),
		ReturnURL: g.PublicURL + "/payment/success/" + p.Token, ClientIP: clientIP,
		ExpiresAt: p.ExpiresAt, Lazy: w.product.Lazy,
		Due: pay.Due{At: now, LeaseUntil: now.Add(lease), Tries: 1},
	}
}

// choose opens or reuses the attempt of a way and waits for its shape, at most inCall. mine is the attempt that the
// caller created and holds the claim of, or nil. The attempt may still be opening in the end.
func (g *Gateway) choose(ctx context.Context, p pay.Payment, w way, mine *pay.Attempt, clientIP string) (pay.Payment, string, error) {
	if mine == nil {
		if err := g.offers(p, w); err != nil {
			return p, "", err
		}
		fresh := g.newAttempt(p, w, clientIP)
		out, err := g.decide(ctx, p, pay.Choose{Attempt: fresh})
		if err != nil {
			return p, "", err
		}
		p = out.payment
		if p.AttemptByID(fresh.ID) != nil {
			mine = &fresh
		}
	}
	a := p.LiveAttempt(w.account.ID, w.product.Name)
	if a == nil {
		return p, "", g.offers(p, w) // it changed meanwhile: say what stands in the way, if anything
	}
	id := a.ID
	if p.CanHandOut(*a, g.Now()) {
		p, err := g.handOut(ctx, p, *a)
		return p, id, err
	}
	c, ok := store.Claim{PaymentID: p.ID, AttemptID: id, Account: a.Account}, mine != nil
	if mine != nil {
		c.Tries = mine.Due.Tries
	} else {
		var err error
		if p, c, ok, err = g.take(ctx, p, id); err != nil {
			return p, id, err
		}
	}
	if ok {
		after, err := g.under(ctx, p, c, g.openAndHandOut)
		if !errors.Is(err, errLostClaim) {
			return after, id, err
		}
	}
	p, err := g.waitShape(ctx, p, id) // somebody else holds the claim
	return p, id, err
}

// take claims one attempt for this request and loads the payment again: its last holder may just have finished.
func (g *Gateway) take(ctx context.Context, p pay.Payment, attemptID string) (pay.Payment, store.Claim, bool, error) {
	c, ok, err := g.DB.ClaimThis(ctx, attemptID, g.Now(), lease)
	if err != nil || !ok {
		return p, c, false, err
	}
	p, err = g.DB.Payment(ctx, p.ID)
	return p, c, err == nil, err
}

// offers says why no attempt of w can be had on p, nil when one can.
func (g *Gateway) offers(p pay.Payment, w way) error {
	switch err := p.CanOffer(g.Now()); {
	case errors.Is(err, pay.ErrNotOpen):
		return &Error{Code: CodePaymentNotOpen, Public: "the payment is paid or closed already", Cause: err}
	case err != nil:
		return &Error{Code: CodePaymentClosing, Public: "the payment is closing; try again when it is closed", RetryAfter: time.Minute, Cause: err}
	case p.LiveAttempt(w.account.ID, w.product.Name) != nil:
		return nil
	}
	if err := p.CanAdd(); err != nil {
		return &Error{Code: CodeTooManyAttempts, Public: "too many attempts; close this payment and create a new one", Cause: err}
	}
	return nil
}

// openQuietly opens for nobody: its shape waits until somebody comes for it.
func (g *Gateway) openQuietly(ctx context.Context, p pay.Payment, c store.Claim) (pay.Payment, bool, error) {
	return g.open(ctx, p, c, false)
}

// openAndHandOut opens for a caller whose answer will carry the shape, unless there is one: ordering again would void
// a code that is on somebody's screen.
func (g *Gateway) openAndHandOut(ctx context.Context, p pay.Payment, c store.Claim) (pay.Payment, bool, error) {
	a := *p.AttemptByID(c.AttemptID)
	if p.CanHandOut(a, g.Now()) {
		p, err := g.handOut(ctx, p, a)
		return p, true, err
	}
	if !a.Live() || !a.CloseWantedAt.IsZero() || p.CanOffer(g.Now()) != nil {
		// It ended, or the payer went back meanwhile: opening again would void its code.
		return p, true, nil //nolint:nilerr // the page says why
	}
	return g.open(ctx, p, c, true)
}

// open asks the platform for a shape under a claim and records what came.
func (g *Gateway) open(ctx context.Context, p pay.Payment, c store.Claim, handOut bool) (pay.Payment, bool, error) {
	a := p.AttemptByID(c.AttemptID)
	ctx = g.begin(ctx)
	shape, err := call(ctx, g, *a, c, func(ctx context.Context) (pay.Shape, error) {
		o, err := g.account(a.Account).Channel.Open(ctx, *a)
		g.recordCall(ctx, "open", *a, string(o.Kind), err)
		return o, err
	})
	g.logCall(ctx, "open", *a, err)
	if err == nil {
		if p, err = g.watched(ctx, p); err != nil {
			return p, true, err
		}
		out, err := g.decide(ctx, p, pay.Opened{AttemptID: a.ID, Tries: c.Tries, Shape: shape, HandOut: handOut})
		return out.payment, true, err
	}
	switch kind(err) {
	case channel.Declined:
		p, err = g.told(ctx, p, *a, pay.Refused, pay.FromOpen)
		return p, true, err
	case channel.AlreadyClosed:
		p, err = g.told(ctx, p, *a, pay.Closed, pay.FromOpen)
		return p, true, err
	case channel.AlreadyPaid:
		p, _, ok, err := g.query(ctx, p, c)
		return p, ok, err
	}
	g.backOff(ctx, *a, err)
	return p, false, nil
}

// told records what an error of a call says for certain: nothing but the state, as the account's own word.
func (g *Gateway) told(ctx context.Context, p pay.Payment, a pay.Attempt, s pay.State, from pay.Source) (pay.Payment, error) {
	account := g.account(a.Account)
	out, err := g.observe(ctx, p, pay.Observation{
		Source: from, Channel: account.Info.Channel, Account: account.ID, AppID: account.AppID,
		MerchantID: account.MerchantID, Variant: a.Variant, OutTradeNo: a.OutTradeNo, State: s,
	}, nil)
	return out.payment, err
}

// handOut records that a's shape is about to leave us.
func (g *Gateway) handOut(ctx context.Context, p pay.Payment, a pay.Attempt) (pay.Payment, error) {
	if !a.HandedOutAt.IsZero() {
		return p, nil
	}
	out, err := g.decide(ctx, p, pay.HandOut{AttemptID: a.ID})
	return out.payment, err
}

// waitShape waits for the holder of the claim to open the attempt, and hands its shape out.
func (g *Gateway) waitShape(ctx context.Context, p pay.Payment, attemptID string) (pay.Payment, error) {
	p, err := g.await(ctx, p.ID, func(p pay.Payment) bool {
		a := p.AttemptByID(attemptID)
		return !a.Opening() || p.CanOffer(g.Now()) != nil
	})
	if err != nil {
		return p, err
	}
	if a := p.AttemptByID(attemptID); p.CanHandOut(*a, g.Now()) {
		return g.handOut(ctx, p, *a)
	}
	return p, nil
}

// await loads the payment after each of its changes until done says so, at most inCall.
func (g *Gateway) await(ctx context.Context, paymentID string, done func(pay.Payment) bool) (pay.Payment, error) {
	changed, stop := g.watchers.add(paymentID)
	defer stop()
	wait, cancel := context.WithTimeout(ctx, inCall)
	defer cancel()
	for {
		p, err := g.DB.Payment(ctx, paymentID)
		if err != nil || done(p) || wait.Err() != nil {
			return p, err
		}
		select {
		case <-changed:
		case <-wait.Done():
		}
	}
}

// call runs one call to a platform for the holder c of a's claim, detached from the caller's cancellation: what was
// asked must be recorded. One that might outlive its lease is not made: a process that stood still between claim and call
// would act beside the next holder, who relies on it that all earlier calls have ended.
func call[T any](ctx context.Context, g *Gateway, a pay.Attempt, c store.Claim, f func(context.Context) (T, error)) (out T, err error) {
	if a.Due.Tries != c.Tries || g.Now().Add(channel.CallTimeout).After(a.Due.LeaseUntil) {
		return out, &channel.Error{Kind: channel.Unknown, Op: "call", Code: "lease_ends", Text: "not made: its lease ends too soon"}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), channel.CallTimeout)
	defer cancel()
	return f(ctx)
}

func kind(err error) channel.Kind {
	var e *channel.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return channel.Unknown
}
