// Package ops is what an operator may ask of a running server, and how it is shown: the timeline of a payment, what was
// refused, and the API keys. The server answers at a socket in its data folder, which only its own user can open.
package ops

import (
	"context"
	"errors"

	"piaohao/internal/gateway"
)

// Desk is what can be asked. A Local desk asks the database, a Client the running server. Errors that say what to do are
// *gateway.Error.
type Desk interface {
	// Timelines finds payments by any number, the newest first.
	Timelines(ctx context.Context, number string) ([]gateway.Timeline, error)
	// Incidents are the newest refused messages and incidents, the newest first.
	Incidents(ctx context.Context, limit int) ([]gateway.Trouble, error)
	// Operate acts on a payment or a refund and returns the payment's timeline after it.
	Operate(ctx context.Context, a gateway.Act) (gateway.Timeline, error)
	Keys(ctx context.Context) ([]gateway.Key, error)
	// CreateKey makes an API key of a shop; its answer alone holds the key.
	CreateKey(ctx context.Context, shop, name string) (gateway.NewKey, error)
	// RevokeKey makes a key refused from now on.
	RevokeKey(ctx context.Context, id string) (gateway.Key, error)
}

// Local is a desk over the database. By is written down with what is done.
type Local struct {
	Gateway *gateway.Gateway
	By      string
}

// Timelines implements Desk.
func (l Local) Timelines(ctx context.Context, number string) ([]gateway.Timeline, error) {
	return l.Gateway.Timelines(ctx, number)
}

// Incidents implements Desk.
func (l Local) Incidents(ctx context.Context, limit int) ([]gateway.Trouble, error) {
	return l.Gateway.Incidents(ctx, limit)
}

// Operate implements Desk.
func (l Local) Operate(ctx context.Context, a gateway.Act) (gateway.Timeline, error) {
	return l.Gateway.Operate(ctx, l.By, a)
}

// Keys implements Desk.
func (l Local) Keys(ctx context.Context) ([]gateway.Key, error) { return l.Gateway.Keys(ctx) }

// CreateKey implements Desk.
func (l Local) CreateKey(ctx context.Context, shop, name string) (gateway.NewKey, error) {
	return l.Gateway.CreateKey(ctx, l.By, shop, name)
}

// RevokeKey implements Desk.
func (l Local) RevokeKey(ctx context.Context, id string) (gateway.Key, error) {
	return l.Gateway.RevokeKey(ctx, l.By, id)
}

// Errors of Listen and Dial.
var (
	// ErrAnswered: another server answers at the socket of this data folder.
	ErrAnswered = errors.New("another server answers at the socket of this data folder")
	// ErrNobody: no server answers at the socket of this data folder.
	ErrNobody = errors.New("no server answers at the socket of this data folder")
	// ErrTooLong: the path of the socket is longer than the system takes.
	ErrTooLong = errors.New("the path of the data folder is too long for a socket: set DATA_DIR to a shorter one")
)
