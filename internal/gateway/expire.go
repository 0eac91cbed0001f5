package gateway

import (
	"context"
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
	for _, id := range ids {
		p, err := g.DB.Payment(ctx, id)
		if err != nil {
			return now, err
		}
		if _, err := g.decide(ctx, p, pay.WantClose{Reason: pay.Expired}); err != nil {
			return now, err
		}
	}
	if len(ids) > 0 {
		return now, nil
	}
	return g.DB.NextExpiry(ctx)
}
