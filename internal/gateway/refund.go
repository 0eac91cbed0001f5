package gateway

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/store"
	"piaohao/internal/view"
)

// RefundInput is a shop's wish to send money of a payment back. Its own number is the key: the same again is the same
// refund, whatever happened to the first answer.
type RefundInput struct {
	RefundNo string
	Amount   pay.Fen
	Reason   string
	Quiet    bool // no webhooks about it
}

// Refund stores a refund and returns it: pending, and due now. created is false when the shop's number is known already.
func (g *Gateway) Refund(ctx context.Context, shop, paymentID string, in RefundInput) (v view.Refund, created bool, err error) {
	if err := in.Check(); err != nil {
		return view.Refund{}, false, err
	}
	p, err := g.ofShop(ctx, shop, paymentID)
	if err != nil {
		return view.Refund{}, false, err
	}
	ctx = g.begin(ctx)
	defer func() { g.logShop(ctx, "refund", refundDone(created), p.ID, p.OrderNo, err) }()
	limits := g.refundLimits(p)
	out, err := g.decide(ctx, p, pay.WantRefund{Limits: limits, Refund: pay.Refund{
		ID: g.NewID("rfd"), RefundNo: in.RefundNo, OutRefundNo: g.NewID(""), Amount: in.Amount, Reason: in.Reason, Quiet: in.Quiet,
	}})
	switch {
	case errors.Is(err, store.ErrRefundNoUsed):
		return view.Refund{}, false, &Error{Code: CodeRefundConflict, Param: "refund_no", Public: "another payment has a refund of this refund_no; use a new one"}
	case err != nil:
		return view.Refund{}, false, err
	}
	r := out.payment.RefundByNo(in.RefundNo)
	if r == nil {
		return view.Refund{}, false, refusedRefund(out.payment, in.Amount, limits, g.Now())
	}
	if r.Amount != in.Amount {
		return view.Refund{}, false, &Error{Code: CodeRefundConflict, Param: "refund_no", Public: "this refund_no is a refund of another amount; use a new one"}
	}
	return view.OfRefund(*r), out.verdict == pay.Applied, nil
}

var refundNoForm = regexp.MustCompile(`^[0-9A-Za-z._|*@-]{1,64}$`)

// MaxReason is in bytes: the platforms take 80 (Native退款, reason).
const MaxReason = 80

// Check returns the first field that is wrong, as *Error with Param; Refund asks it, whoever calls: a shop or an operator.
func (in RefundInput) Check() error {
	switch {
	case !refundNoForm.MatchString(in.RefundNo):
		return invalid("refund_no", "refund_no is required: 1 to 64 of [0-9A-Za-z._|*@-]; the same again is the same refund.")
	case len(in.Reason) > MaxReason || !utf8.ValidString(in.Reason) || strings.ContainsFunc(in.Reason, unicode.IsControl):
		return invalid("reason", "reason is at most 80 bytes, none of them control characters.")
	}
	return nil
}

func refundDone(created bool) string {
	if created {
		return "created"
	}
	return "known"
}

// refusedRefund says why pay took no refund of p.
func refusedRefund(p pay.Payment, amount pay.Fen, l pay.RefundLimits, now time.Time) error {
	switch err := p.CanRefund(amount, l, now); {
	case errors.Is(err, pay.ErrNotPaid):
		return &Error{Code: CodePaymentNotPaid, Public: "the payment is not paid, so there is nothing to refund; close it instead"}
	case errors.Is(err, pay.ErrRefundTooMuch):
		return &Error{Code: CodeRefundTooMuch, Param: "amount", Public: "the amount is more than the payment's refundable; read the payment and ask for less"}
	case errors.Is(err, pay.ErrTooManyRefunds):
		return &Error{Code: CodeRefundLimit, Public: "the platform allows no further refund of this payment; return the rest in another way"}
	case errors.Is(err, pay.ErrRefundTooLate):
		return &Error{Code: CodeRefundLimit, Public: "the platform refunds no payment as old as this; return the money in another way"}
	}
	return &Error{Code: CodeBusy, Public: "other refunds of this payment are being made; try again"}
}

// refundLimits are those of the platform whose money settled p.
func (g *Gateway) refundLimits(p pay.Payment) pay.RefundLimits {
	if a := p.AttemptByID(p.PaidAttempt); a != nil {
		return g.limitsOf(a.Account)
	}
	return pay.RefundLimits{}
}

func (g *Gateway) limitsOf(account string) pay.RefundLimits {
	if a := g.account(account); a != nil {
		return a.Info.Refunds
	}
	return pay.RefundLimits{}
}

// RefundByID is the shop's refund of that id.
func (g *Gateway) RefundByID(ctx context.Context, shop, id string) (view.Refund, error) {
	p, err := mine(shop)(g.DB.PaymentByRefund(ctx, shop, id))
	if err != nil {
		return view.Refund{}, err
	}
	return view.OfRefund(*p.RefundByID(id)), nil
}

// RefundByNo is the shop's refund of its own number, or of ours for an automatic one.
func (g *Gateway) RefundByNo(ctx context.Context, shop, refundNo string) (view.Refund, error) {
	p, err := mine(shop)(g.DB.PaymentByRefundNo(ctx, shop, refundNo))
	if err != nil {
		return view.Refund{}, err
	}
	for _, r := range p.Refunds {
		if r.RefundNo == refundNo && !r.External {
			return view.OfRefund(r), nil
		}
	}
	return view.Refund{}, notFound(store.ErrNotFound)
}

// NextRefund says when StepRefund has something to do: the zero time when nothing is known.
func (g *Gateway) NextRefund(ctx context.Context) (time.Time, error) {
	return g.DB.NextRefundDue(ctx, g.ids)
}

// StepRefund claims one due refund and does what it wants: send or ask. It returns when to come again.
func (g *Gateway) StepRefund(ctx context.Context) (time.Time, error) {
	now := g.Now()
	c, ok, err := g.DB.ClaimRefund(ctx, g.ids, now, lease)
	if err != nil {
		return time.Time{}, err
	}
	if !ok {
		next, err := g.DB.NextRefundDue(ctx, g.ids)
		if !next.IsZero() && !next.After(now) {
			next = now.Add(claimPause) // somebody else was faster: what is due is in their hands
		}
		return next, err
	}
	p, err := g.DB.Payment(ctx, c.PaymentID)
	if err != nil {
		return now, err
	}
	p, ok, err = g.workRefund(ctx, p, c)
	if errors.Is(err, errLostClaim) {
		return now, nil // its new holder goes on
	}
	if err != nil {
		return now, err // the lease runs out
	}
	return now, g.releaseRefund(ctx, p, c, !ok)
}

func (g *Gateway) releaseRefund(ctx context.Context, p pay.Payment, c store.Claim, failed bool) error {
	r := *p.RefundByID(c.RefundID)
	r.Due.Failures = 0
	if failed {
		r.Due.Failures = c.Failures + 1
	}
	err := g.DB.Release(ctx, c, pay.NextRefundDue(p, r, g.limitsOf(r.Account), g.Now()), failed)
	if errors.Is(err, store.ErrStale) {
		return nil // the lease ran out: its new holder says when
	}
	return err
}

// workRefund does what the claimed refund wants now; ok is false when the platform gave no usable answer.
func (g *Gateway) workRefund(ctx context.Context, p pay.Payment, c store.Claim) (after pay.Payment, ok bool, err error) {
	r := *p.RefundByID(c.RefundID)
	if r.Patient(g.Now()) {
		switch pay.NextRefundAct(r) {
		case pay.RefundSend:
			return g.sendRefund(ctx, p, c)
		case pay.RefundAsk:
			return g.askRefund(ctx, p, c)
		case pay.RefundNothing:
		}
		return p, true, nil
	}
	out, err := g.decide(ctx, p, pay.GiveUp{RefundID: r.ID})
	return out.payment, true, err
}

// sendRefund stores that the refund is sent, and then sends it. A platform that wants a pause between two refunds of one
// order gets it from all nodes together, because the payment's next event is the guard.
func (g *Gateway) sendRefund(ctx context.Context, p pay.Payment, c store.Claim) (after pay.Payment, ok bool, err error) {
	r := *p.RefundByID(c.RefundID)
	by, able := g.refunder(r.Account)
	if !able {
		return g.refundAnswered(ctx, p, c, pay.RefundUnable)
	}
	out, err := g.decide(ctx, p, pay.Sending{RefundID: r.ID, Tries: c.Tries, Limits: g.limitsOf(r.Account)})
	if err != nil || out.verdict != pay.Applied {
		return out.payment, true, err
	}
	p, ctx = out.payment, g.begin(ctx)
	o, err := callRefund(ctx, g, p, c, "refund", by.Refund)
	if err == nil {
		out, err := g.observe(ctx, p, o, nil)
		return out.payment, true, err
	}
	switch kind(err) {
	case channel.Short:
		return g.refundAnswered(ctx, p, c, pay.RefundShort)
	case channel.Unable:
		return g.refundAnswered(ctx, p, c, pay.RefundUnable)
	case channel.Declined:
		return g.refundAnswered(ctx, p, c, codeOf(err))
	}
	g.backOff(ctx, *p.AttemptByID(r.AttemptID), err)
	return p, false, nil
}

func codeOf(err error) string {
	var e *channel.Error
	if errors.As(err, &e) && e.Code != "" {
		return e.Code
	}
	return string(channel.Declined)
}

func (g *Gateway) refundAnswered(ctx context.Context, p pay.Payment, c store.Claim, code string) (pay.Payment, bool, error) {
	out, err := g.decide(ctx, p, pay.Answered{RefundID: c.RefundID, Tries: c.Tries, Code: code})
	return out.payment, true, err
}

// askRefund asks what became of a refund whose outcome is not known. "Not there" means to send it again.
func (g *Gateway) askRefund(ctx context.Context, p pay.Payment, c store.Claim) (after pay.Payment, ok bool, err error) {
	r := *p.RefundByID(c.RefundID)
	by, knows := g.refunds(r.Account)
	if !knows {
		return p, false, nil
	}
	ctx = g.begin(ctx)
	o, err := callRefund(ctx, g, p, c, "query_refund", by.QueryRefund)
	if err != nil {
		g.backOff(ctx, *p.AttemptByID(r.AttemptID), err)
		return p, false, nil
	}
	if o.Refund.NotThere() && !r.External {
		return g.sendRefund(ctx, p, c)
	}
	out, err := g.observe(ctx, p, o, nil)
	return out.payment, true, err
}

// refunds is the account's channel for asking about refunds, which takes less than sending them: what was sent is followed
// when a certificate has expired meanwhile.
func (g *Gateway) refunds(account string) (channel.Refunder, bool) {
	a := g.account(account)
	if a == nil {
		return nil, false
	}
	by, ok := a.Channel.(channel.Refunder)
	return by, ok
}

// refunder is the same for sending.
func (g *Gateway) refunder(account string) (channel.Refunder, bool) {
	by, ok := g.refunds(account)
	return by, ok && by.CanRefund()
}

// callRefund makes one call for the claimed refund while its lease outlives it.
func callRefund(ctx context.Context, g *Gateway, p pay.Payment, c store.Claim, op string,
	f func(context.Context, pay.Attempt, pay.Refund) (pay.Observation, error),
) (pay.Observation, error) {
	r := *p.RefundByID(c.RefundID)
	a := *p.AttemptByID(r.AttemptID)
	held := a
	held.Due = r.Due // it is the refund's claim that must last
	o, err := call(ctx, g, held, c, func(ctx context.Context) (pay.Observation, error) {
		o, err := f(ctx, a, r)
		if err == nil && o.Refund == nil {
			err = &channel.Error{Kind: channel.Unknown, Op: op, Code: "no_refund", Text: "the answer is about no refund"}
		}
		told := ""
		if err == nil {
			told = string(o.Refund.Status)
		}
		g.recordCall(ctx, op, a, told, err)
		return o, err
	})
	g.logCall(ctx, op, a, err)
	return o, err
}
