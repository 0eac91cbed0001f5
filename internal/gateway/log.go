package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
)

// Every operation on a payment is one line with the same names; docs/production.md lists them.

// operation is one operation under way. It travels in the context, so that the line is written where its end is known.
type operation struct {
	began time.Time
	trace channel.Trace
	told  bool // its line is written
}

type operationKey struct{}

// begin starts an operation. Its calls to a platform are traced.
func (g *Gateway) begin(ctx context.Context) context.Context {
	op := &operation{began: g.Now()}
	return channel.WithTrace(context.WithValue(ctx, operationKey{}, op), &op.trace)
}

// logOp writes the line of the operation of ctx, unless it has one already: only the first word counts.
func (g *Gateway) logOp(ctx context.Context, level slog.Level, text, op, outcome string, more ...slog.Attr) {
	o := g.operationOf(ctx)
	if o.told {
		return
	}
	o.told = true
	attrs := append(make([]slog.Attr, 0, 12), slog.String("op", op), slog.String("outcome", outcome))
	attrs = append(attrs, more...)
	if o.trace.RequestID != "" {
		attrs = append(attrs, slog.String("platform_request_id", o.trace.RequestID))
	}
	attrs = append(attrs, slog.Int64("duration_ms", g.Now().Sub(o.began).Milliseconds()))
	g.Log.LogAttrs(ctx, level, text, attrs...)
}

// logCall writes the line of a call that failed, and of an order that was opened. What a query or a closing said is
// told with what was made of it (logObserved).
func (g *Gateway) logCall(ctx context.Context, op string, a pay.Attempt, err error) {
	attrs := append(make([]slog.Attr, 0, 8), slog.String("payment", a.PaymentID), slog.String("attempt", a.ID),
		slog.String("account", a.Account), slog.String("out_trade_no", a.OutTradeNo))
	if err == nil {
		if op == "open" {
			g.logOp(ctx, slog.LevelInfo, "opened", op, "opened", attrs...)
		}
		return
	}
	outcome := string(channel.Unknown)
	var e *channel.Error
	if errors.As(err, &e) {
		outcome = string(e.Kind)
		attrs = append(attrs, slog.String("code", e.Code), slog.String("reason", e.Text))
		if e.RequestID != "" {
			g.operationOf(ctx).trace.RequestID = e.RequestID
		}
	}
	if cause := errors.Unwrap(err); cause != nil {
		attrs = append(attrs, slog.String("cause", cause.Error()))
	}
	g.logOp(ctx, slog.LevelWarn, "platform call failed", op, outcome, attrs...)
}

func (g *Gateway) operationOf(ctx context.Context) *operation {
	if o, ok := ctx.Value(operationKey{}).(*operation); ok {
		return o
	}
	return &operation{began: g.Now()}
}

// logObserved writes what was made of something that a platform said.
func (g *Gateway) logObserved(ctx context.Context, o pay.Observation, out outcome) {
	g.logOp(ctx, slog.LevelInfo, "observed", string(o.Source), string(out.verdict), slog.String("payment", out.payment.ID),
		slog.String("attempt", attemptID(out.payment, o.OutTradeNo)), slog.String("account", o.Account), slog.String("out_trade_no", o.OutTradeNo),
		slog.String("state", string(o.State)), slog.String("status", string(out.payment.Status)))
}

// logQuarantined writes what people must look at, whatever was said of the operation before. A repeated message is one
// incident, and a quieter line.
func (g *Gateway) logQuarantined(ctx context.Context, o pay.Observation, out outcome, isNew bool) {
	level := slog.LevelInfo
	if isNew {
		level = slog.LevelError
		g.operationOf(ctx).told = false
	}
	g.logOp(ctx, level, "quarantined", string(o.Source), string(out.verdict), slog.String("payment", out.payment.ID),
		slog.String("attempt", attemptID(out.payment, o.OutTradeNo)), slog.String("account", o.Account), slog.String("out_trade_no", o.OutTradeNo),
		slog.String("incident", out.incident.ID), slog.String("code", out.incident.Kind), slog.String("reason", out.incident.Detail))
}

// attemptID is "" when p has no attempt of that number: what a platform said may be about anything.
func attemptID(p pay.Payment, outTradeNo string) string {
	for i := range p.Attempts {
		if p.Attempts[i].OutTradeNo == outTradeNo {
			return p.Attempts[i].ID
		}
	}
	return ""
}

// logShop writes what a shop asked for; done says what came of it, unless there was an error.
func (g *Gateway) logShop(ctx context.Context, op, done, paymentID, orderNo string, err error) {
	e := Refusal(err)
	switch {
	case e != nil:
		done = string(e.Code)
	case err != nil:
		done = string(CodeInternal)
	}
	g.logOp(ctx, slog.LevelInfo, op, op, done, slog.String("payment", paymentID), slog.String("order_no", orderNo))
}

// logReturn writes that a payer came back with the platform's signature.
func (g *Gateway) logReturn(ctx context.Context, p pay.Payment, account, outTradeNo string) {
	g.logOp(ctx, slog.LevelInfo, "payer came back", "return", "accepted", slog.String("payment", p.ID),
		slog.String("attempt", attemptID(p, outTradeNo)),
		slog.String("account", account), slog.String("out_trade_no", outTradeNo))
}
