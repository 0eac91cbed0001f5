package main

import (
	"context"
	"errors"
	"os"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/node"
	"piaohao/internal/ops"
)

type payment struct {
	Show  paymentShow  `cmd:"" help:"Everything sent, received, decided and due about a payment."`
	Sync  paymentSync  `cmd:"" help:"Ask the platforms now what became of it."`
	Close paymentClose `cmd:"" help:"Cancel it: there first, then here."`
}

type paymentSync struct {
	Number string `arg:"" help:"Any number of the payment."`
}

// Run makes everything of the payment due.
func (v paymentSync) Run(ctx context.Context) error {
	return operate(ctx, gateway.Act{Do: gateway.ActSync, Number: v.Number})
}

type paymentClose struct {
	Number string `arg:"" help:"Any number of the payment."`
}

// Run wants it closed.
func (v paymentClose) Run(ctx context.Context) error {
	return operate(ctx, gateway.Act{Do: gateway.ActClose, Number: v.Number})
}

// operate does an act and shows the payment after it.
func operate(ctx context.Context, a gateway.Act) error {
	return atDesk(ctx, func(desk ops.Desk) error {
		t, err := desk.Operate(ctx, a)
		if err != nil {
			return err
		}
		return ops.Timelines(os.Stdout, []gateway.Timeline{t}, time.Local)
	})
}

type paymentShow struct {
	Number string `arg:"" help:"Id of a payment, attempt or event, out_trade_no, order_no or transaction number."`
	JSON   bool   `help:"Print JSON."`
}

// Run prints the timelines of the payments that have the number.
func (v paymentShow) Run(ctx context.Context) error {
	return atDesk(ctx, func(desk ops.Desk) error {
		all, err := desk.Timelines(ctx, v.Number)
		if err != nil {
			return err
		}
		if v.JSON {
			return ops.JSON(os.Stdout, all)
		}
		return ops.Timelines(os.Stdout, all, time.Local)
	})
}

// atDesk asks the running server, or without one the database. Only DATA_DIR, the database and the mode matter.
func atDesk(ctx context.Context, do func(ops.Desk) error) error {
	desk, done, err := node.Operate(ctx, os.Getenv("DATA_DIR"), settings)
	if err != nil {
		return err
	}
	return errors.Join(do(desk), done())
}
