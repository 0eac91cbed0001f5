package gateway_test

import (
	"context"
	"testing"

	"piaohao/internal/channel"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// leaving is a channel whose caller goes away while it asks the platform.
type leaving struct {
	channel.Channel
	leave func()
	err   error // of the call's context afterwards
}

func (l *leaving) Open(ctx context.Context, a pay.Attempt) (pay.Shape, error) {
	l.leave()
	if l.err = ctx.Err(); l.err != nil {
		return pay.Shape{}, l.err
	}
	return l.Channel.Open(ctx, a)
}

// A shop that hangs up does not end the call that it began: what the platform says is recorded (A74).
func TestA74CallOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	l := &leaving{leave: leave}
	w := newWorld(t, func(accounts []gateway.Account) []gateway.Account {
		l.Channel = accounts[0].Channel
		accounts[0].Channel = l
		return accounts
	})
	_, _ = w.g.Create(ctx, gateway.CreateInput{Shop: "shop", OrderNo: "o1", Amount: 12800, Subject: "书", Method: "scan"}) // nobody hears the answer
	v, err := w.g.PaymentByOrder(t.Context(), "shop", "o1")
	w.must(err)
	if p := w.load(v.ID); l.err != nil || len(p.Attempts) != 1 || p.Attempts[0].Opening() && len(w.qr.called()) == 0 {
		t.Fatalf("the call ended with %v: %+v", l.err, p.Attempts)
	}
}

// A platform that says "paid already" to an order is asked at once: the payer must not wait for the plan.
func TestA66PaidAlreadyIsAskedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.qr.script(nil, func(op, no string) error {
		if op == "open" {
			w.qr.orders[no].state, w.qr.orders[no].tx = pay.Paid, "tx1" // by a code of an earlier try whose answer was lost
			return fail(channel.AlreadyPaid)
		}
		return nil
	})
	p := w.create("o1", "scan")
	if !p.IsPaid() || p.Attempts[0].TransactionID != "tx1" {
		t.Fatalf("%+v", p)
	}
}
