package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"

	"piaohao/internal/pay"
	"piaohao/internal/store"
	"piaohao/internal/view"
)

// The prefixes of API keys say their mode.
const (
	TestKeyPrefix = "sk_test_"
	LiveKeyPrefix = "sk_live_"
)

// Authenticate finds the shop of an API key. Only the key's SHA-256 is stored and compared.
func (g *Gateway) Authenticate(ctx context.Context, key string) (shop string, err error) {
	want, other := TestKeyPrefix, LiveKeyPrefix
	if g.Livemode {
		want, other = other, want
	}
	if strings.HasPrefix(key, other) {
		return "", &Error{Code: CodeWrongMode, Public: "this key belongs to the other mode; this server takes " + want + "… keys"}
	}
	unauthorized := &Error{Code: CodeUnauthorized, Public: "send a valid API key as Authorization: Bearer " + want + "…"}
	if !strings.HasPrefix(key, want) {
		return "", unauthorized
	}
	s, livemode, err := g.DB.ShopByKey(ctx, sha256.Sum256([]byte(key)))
	if errors.Is(err, store.ErrNotFound) || (err == nil && livemode != g.Livemode) {
		return "", unauthorized
	}
	return s.ID, err
}

// ofShop loads a payment of this shop; another shop's is not there.
func (g *Gateway) ofShop(ctx context.Context, shop, id string) (pay.Payment, error) {
	return mine(shop)(g.DB.Payment(ctx, id))
}

func mine(shop string) func(pay.Payment, error) (pay.Payment, error) {
	return func(p pay.Payment, err error) (pay.Payment, error) {
		if err == nil && p.Shop != shop {
			err = store.ErrNotFound
		}
		return p, notFound(err)
	}
}

// Payment is the shop's payment of that id.
func (g *Gateway) Payment(ctx context.Context, shop, id string) (view.Payment, error) {
	p, err := g.ofShop(ctx, shop, id)
	return g.shown(ctx, p, err)
}

// PaymentByOrder is the payment of the shop's order: the open or paid one, else the newest.
func (g *Gateway) PaymentByOrder(ctx context.Context, shop, orderNo string) (view.Payment, error) {
	p, err := mine(shop)(g.DB.PaymentByOrder(ctx, shop, orderNo))
	return g.shown(ctx, p, err)
}

// PaymentByOutTradeNo is the payment that has the attempt of this number.
func (g *Gateway) PaymentByOutTradeNo(ctx context.Context, shop, outTradeNo string) (view.Payment, error) {
	p, err := mine(shop)(g.DB.PaymentByOutTradeNo(ctx, "", outTradeNo))
	return g.shown(ctx, p, err)
}

// PaymentByTransaction is the payment that has the attempt paid under the platform's number.
func (g *Gateway) PaymentByTransaction(ctx context.Context, shop, transactionID string) (view.Payment, error) {
	p, err := mine(shop)(g.DB.PaymentByTransaction(ctx, shop, transactionID))
	return g.shown(ctx, p, err)
}

// MaxEvents is how many events one answer holds.
const MaxEvents = 100

// Events are the shop's events behind a place in the global order, at most limit or MaxEvents of them.
func (g *Gateway) Events(ctx context.Context, shop string, after int64, limit int) (view.Events, error) {
	if limit <= 0 || limit > MaxEvents {
		limit = MaxEvents
	}
	found, err := g.DB.ShopEvents(ctx, shop, after, limit+1)
	if err != nil {
		return view.Events{}, err
	}
	out := view.Events{Object: "list", Data: []view.Placed{}, HasMore: len(found) > limit}
	for _, e := range found[:min(limit, len(found))] {
		out.Data = append(out.Data, view.Placed{Pos: e.Pos, Event: e.Body})
	}
	return out, nil
}

// shown renders p with the newest attempt that can be paid, whose shape is handed out before the answer leaves.
func (g *Gateway) shown(ctx context.Context, p pay.Payment, err error) (view.Payment, error) {
	if err != nil {
		return view.Payment{}, err
	}
	a := g.current(p)
	if a != nil && p.CanHandOut(*a, g.Now()) {
		id := a.ID
		if p, err = g.handOut(ctx, p, *a); err != nil {
			return view.Payment{}, err
		}
		a = p.AttemptByID(id)
	}
	return view.Of(p, g.cashierURL(p), g.action(p, a)), nil
}

// current is the newest attempt that a payer may be on: live, and not gone back from. nil = none.
func (g *Gateway) current(p pay.Payment) *pay.Attempt {
	for i := len(p.Attempts) - 1; i >= 0; i-- {
		if a := &p.Attempts[i]; a.Live() && a.CloseWantedAt.IsZero() {
			return a
		}
	}
	return nil
}
