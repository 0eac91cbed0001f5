package main

import (
	"context"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

type refund struct {
	Create refundCreate `cmd:"" help:"Send money of a payment back."`
	Show   refundShow   `cmd:"" help:"Show the payment of a refund, with all of its refunds."`
	Retry  refundRetry  `cmd:"" help:"Try a refund that waits again now."`
	Cancel refundCancel `cmd:"" help:"Take a refund back that the platform never did."`
}

type refundCreate struct {
	Number string `arg:"" help:"Any number of the payment."`
	No     string `required:"" help:"A number of your own for the refund: the same again is the same refund."`
	Amount int64  `help:"In fen; without it, all that may be refunded."`
	Reason string `help:"For the payer, at most 80 bytes."`
}

// Run stores the refund; the running server sends it.
func (v refundCreate) Run(ctx context.Context) error {
	return operate(ctx, gateway.Act{Do: gateway.ActRefund, Number: v.Number, RefundNo: v.No, Amount: pay.Fen(v.Amount), Reason: v.Reason})
}

type refundShow struct {
	ID string `arg:"" help:"The refund's id, rfd_…"`
}

// Run prints the timeline of its payment.
func (v refundShow) Run(ctx context.Context) error { return paymentShow{Number: v.ID}.Run(ctx) }

type refundRetry struct {
	ID string `arg:"" help:"The refund's id, rfd_…"`
}

// Run makes it due now.
func (v refundRetry) Run(ctx context.Context) error {
	return operate(ctx, gateway.Act{Do: gateway.ActRetry, Number: v.ID})
}

type refundCancel struct {
	ID string `arg:"" help:"The refund's id, rfd_…"`
}

// Run ends it as failed, with the code cancelled.
func (v refundCancel) Run(ctx context.Context) error {
	return operate(ctx, gateway.Act{Do: gateway.ActCancel, Number: v.ID})
}
