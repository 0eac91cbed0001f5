package gateway

import (
	"context"
	"errors"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/store"
)

// defaultBackOff is how long an account is left alone after a rate answer that names no time.
const defaultBackOff = 5 * time.Second

// claimPause is how long a step rests when what is due is not to be had.
const claimPause = 100 * time.Millisecond

// NextAttempt says when StepAttempt has something to do: the zero time when nothing is known.
func (g *Gateway) NextAttempt(ctx context.Context) (time.Time, error) {
	return g.DB.NextAttemptDue(ctx, g.ids)
}

// StepAttempt claims one due attempt and does what it wants: open, query or close. It returns when to come again.
func (g *Gateway) StepAttempt(ctx context.Context) (time.Time, error) {
	now := g.Now()
	c, ok, err := g.DB.ClaimAttempt(ctx, g.ids, now, lease)
	if err != nil {
		return time.Time{}, err
	}
	if !ok {
		next, err := g.DB.NextAttemptDue(ctx, g.ids)
		if !next.IsZero() && !next.After(now) {
			next = now.Add(claimPause) // somebody else was faster: what is due is in their hands
		}
		return next, err
	}
	p, err := g.DB.Payment(ctx, c.PaymentID)
	if err != nil {
		return now, err
	}
	_, err = g.under(ctx, p, c, g.work)
	if errors.Is(err, errLostClaim) {
		err = nil // its new holder goes on
	}
	return now, err
}

// job is what the holder of a claim does; ok is false when the platform gave no usable answer.
type job func(ctx context.Context, p pay.Payment, c store.Claim) (after pay.Payment, ok bool, err error)

// under does a job and lets go of its claim, unless the database fails: then the lease runs out.
func (g *Gateway) under(ctx context.Context, p pay.Payment, c store.Claim, do job) (pay.Payment, error) {
	p, ok, err := do(ctx, p, c)
	if err != nil {
		return p, err
	}
	return p, g.release(ctx, p, c, !ok)
}

// work does what the claimed attempt wants now.
func (g *Gateway) work(ctx context.Context, p pay.Payment, c store.Claim) (pay.Payment, bool, error) {
	a := *p.AttemptByID(c.AttemptID)
	switch pay.NextAct(p, a) {
	case pay.ActOpen:
		return g.openQuietly(ctx, p, c)
	case pay.ActClose:
		return g.closeAttempt(ctx, p, c)
	case pay.ActQuery:
		p, state, ok, err := g.query(ctx, p, c)
		if err == nil && state == pay.Unpaid && a.Opening() && pay.NextAct(p, a) == pay.ActQuery {
			return g.closeAttempt(ctx, p, c) // it is there after all, and nobody wants it
		}
		return p, ok, err
	case pay.ActNone:
	}
	return p, true, nil
}

// query asks what became of the claimed attempt.
func (g *Gateway) query(ctx context.Context, p pay.Payment, c store.Claim) (pay.Payment, pay.State, bool, error) {
	a := *p.AttemptByID(c.AttemptID)
	ctx = g.begin(ctx)
	o, err := call(ctx, g, a, c, func(ctx context.Context) (pay.Observation, error) {
		o, err := g.account(a.Account).Channel.Query(ctx, a)
		g.recordCall(ctx, "query", a, string(o.State), err)
		return o, err
	})
	g.logCall(ctx, "query", a, err)
	if err != nil {
		g.backOff(ctx, a, err)
		return p, pay.Unknown, false, nil
	}
	o.Tries = c.Tries
	out, err := g.observe(ctx, p, o, nil)
	return out.payment, o.State, true, err
}

// watched brings p's WatchedUntil up to date: a page may have begun to look while the platform was called, and its own call
// to be asked about sooner passes by a claimed attempt.
func (g *Gateway) watched(ctx context.Context, p pay.Payment) (pay.Payment, error) {
	until, err := g.DB.WatchedUntil(ctx, p.ID)
	p.WatchedUntil = until
	return p, err
}

// release lets go of a claim and says when the attempt wants work again.
func (g *Gateway) release(ctx context.Context, p pay.Payment, c store.Claim, failed bool) error {
	a := *p.AttemptByID(c.AttemptID)
	a.Due.Failures = 0
	if failed {
		a.Due.Failures = c.Failures + 1
	}
	p, err := g.watched(ctx, p)
	if err != nil {
		return err
	}
	err = g.DB.Release(ctx, c, pay.NextDue(p, a, g.Now()), failed)
	if errors.Is(err, store.ErrStale) {
		return nil // the lease ran out: its new holder says when
	}
	return err
}

// backOff leaves the account alone for a while after a rate answer, on all nodes.
func (g *Gateway) backOff(ctx context.Context, a pay.Attempt, err error) {
	var e *channel.Error
	if !errors.As(err, &e) || e.Kind != channel.Limited {
		return
	}
	wait := e.RetryAfter
	if wait <= 0 {
		wait = defaultBackOff
	}
	if err := g.DB.BackOff(ctx, a.Account, g.Now().Add(wait)); err != nil {
		g.Log.Error("back-off not stored", "account", a.Account, "cause", err)
	}
}
