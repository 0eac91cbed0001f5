package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"piaohao/internal/pay"
)

const expireBatch = 64 // payments that one step expires

// StepExpiry starts the closing of payments whose time ran out, and returns when to come again.
func (g *Gateway) StepExpiry(ctx context.Context) (time.Time, error) {
	now := g.Now()
	ids, err := g.DB.ExpiredPayments(ctx, now, expireBatch)
	if err != nil {
		return time.Time{}, err
	}
	var errs []error
	for _, id := range ids {
		errs = append(errs, g.expire(ctx, id)) // one that fails keeps no other from expiring
	}
	if err := errors.Join(errs...); err != nil || len(ids) > 0 {
		return now, err
	}
	return g.DB.NextExpiry(ctx)
}

func (g *Gateway) expire(ctx context.Context, id string) error {
	p, err := g.DB.Payment(ctx, id)
	if err != nil {
		return err
	}
	ctx = g.begin(ctx)
	out, err := g.decide(ctx, p, pay.WantClose{Reason: pay.Expired})
	if err != nil {
		return err
	}
	g.logOp(ctx, slog.LevelInfo, "time ran out", "expire", string(out.verdict),
		slog.String("payment", p.ID), slog.String("status", string(out.payment.Status)))
	return nil
}
