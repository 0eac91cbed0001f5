package storm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// CanRefund implements channel.Refunder.
func (p *platform) CanRefund() bool { return true }

// Refund implements channel.Refunder: one refund for one number, in time for the order's other refunds, and never more than
// there is.
func (p *platform) Refund(ctx context.Context, a pay.Attempt, r pay.Refund) (o pay.Observation, err error) {
	err = p.call(ctx, "refund", r.OutRefundNo, func() error {
		e, now := p.byNo[a.OutTradeNo], p.s.now()
		if e == nil || e.State != pay.Paid || e.Tx != a.TransactionID {
			p.s.breaks("I-02", "a refund was sent for %s, which is not paid", a.OutTradeNo)
			return oops("refund", channel.Declined, "NOT_PAID")
		}
		e.settle(now)
		known := e.refund(r.OutRefundNo)
		switch {
		case known != nil && known.Amount != r.Amount:
			p.s.breaks("A70", "refund %s was sent with another amount", r.OutRefundNo)
			return oops("refund", channel.Declined, "REENTRY")
		case known != nil:
			o = p.saysRefund(e, known)
			return nil
		case e.sum()+r.Amount > e.Amount:
			if !e.consoled() {
				p.s.breaks("I-04", "refunds of %d fen were sent for %s of %d fen", e.sum()+r.Amount, e.No, e.Amount)
			}
			return oops("refund", channel.Declined, "EXCEEDS")
		case len(e.refunds) > 0 && now.Before(e.refundedAt.Add(p.info.Refunds.Gap)):
			return oops("refund", channel.TooEarly, "TOO_EARLY")
		case p.s.chance(p.s.faults.short):
			return oops("refund", channel.Short, "NOT_ENOUGH")
		}
		o = p.saysRefund(e, p.returns(e, r.OutRefundNo, r.Amount, false))
		return nil
	})
	o.Source = pay.FromRefund
	return o, err
}

// QueryRefund implements channel.Refunder.
func (p *platform) QueryRefund(ctx context.Context, a pay.Attempt, r pay.Refund) (o pay.Observation, err error) {
	err = p.call(ctx, "query_refund", r.OutRefundNo, func() error {
		e := p.byNo[a.OutTradeNo]
		e.settle(p.s.now())
		known := e.refund(r.OutRefundNo)
		if known == nil {
			known = &returned{No: r.OutRefundNo, Amount: r.Amount, Status: pay.RefundPending}
		}
		o = p.saysRefund(e, known)
		return nil
	})
	o.Source = pay.FromRefund
	return o, err
}

func (p *platform) saysRefund(e *entry, r *returned) pay.Observation {
	o := p.says(e.No, pay.FromRefund)
	o.State, o.Refund = pay.Unknown, &pay.RefundFact{OutRefundNo: r.No, Amount: r.Amount, Status: r.Status, At: r.At}
	return o
}

func (e *entry) refund(no string) *returned {
	for _, r := range e.refunds {
		if r.No == no {
			return r
		}
	}
	return nil
}

func (e *entry) consoled() bool {
	for _, r := range e.refunds {
		if r.console {
			return true
		}
	}
	return false
}

// returns begins a refund, and tells of its end.
func (p *platform) returns(e *entry, no string, amount pay.Fen, console bool) *returned {
	s := p.s
	r := &returned{No: no, Amount: amount, Status: pay.RefundProcessing, At: s.now(), end: pay.RefundSucceeded, console: console}
	e.refunds, e.refundedAt = append(e.refunds, r), s.now()
	if s.rand.IntN(2) == 0 {
		r.At = r.At.Add(s.between(0, 2*time.Hour))
	}
	if !console && s.chance(s.faults.spoilt) {
		r.end = []pay.RefundStatus{pay.RefundFailed, pay.RefundAbnormal}[s.rand.IntN(2)]
	}
	e.settle(s.now())
	switch {
	case p.lazy && r.Status == pay.RefundSucceeded:
		p.land.post(p, e, pay.Paid)
	case !p.lazy:
		n := &notice{p: p, e: e, state: pay.Unknown, refund: r}
		p.land.enqueue(n)
		n.due = later(n.due, r.At)
	}
	return r
}

// tells marks the refunds that an acknowledged notice told of: one by its number, or all by their sum.
func (n *notice) tells() {
	for _, r := range n.e.refunds {
		if r.Status == pay.RefundSucceeded && (r == n.refund || n.refund == nil && n.p.lazy && n.state == pay.Paid) {
			r.told = true
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// console returns a part of what is left of an order's money, at the platform's own console.
func (l *plain) console(no string) {
	for _, p := range []*platform{l.qr, l.link} {
		e := p.byNo[no]
		if e == nil || e.State != pay.Paid || e.sum() >= e.Amount {
			continue
		}
		l.numbers++
		p.returns(e, fmt.Sprintf("console%06d", l.numbers), 1+pay.Fen(l.s.rand.Int64N(int64(e.Amount-e.sum()))), true)
	}
}

// refund is the shop's: a part or all of one of its payments, under a new number or one that it used before.
func (s *storm) refund(n *node, o *order) {
	if len(o.ids) == 0 {
		return
	}
	id := o.ids[s.rand.IntN(len(o.ids))]
	r, created, err := n.gateway.Refund(context.Background(), shopID, id, gateway.RefundInput{
		RefundNo: fmt.Sprintf("%s-r%d", o.no, s.rand.IntN(4)), Amount: pay.Fen(1 + s.rand.Int64N(int64(o.amount))), Reason: "cold",
	})
	s.fine(err)
	if err == nil {
		s.note(s.cur.name, r.RefundNo, fmt.Sprint(r.Amount, created))
	}
}

// refundsAgree holds the refunds of one paid order against ours (I-04, I-22).
func (s *storm) refundsAgree(p pay.Payment, a pay.Attempt, e *entry) {
	e.settle(s.now())
	var ours, all pay.Fen
	for _, r := range p.Refunds {
		if r.AttemptID != a.ID {
			continue
		}
		if !r.Ended() || !r.Due.At.IsZero() {
			s.breaks("I-08", "refund %s is %s, due %v, when everything is over", r.OutRefundNo, r.Status, r.Due.At)
		}
		if r.Status != pay.RefundFailed {
			all += r.Amount
		}
		if r.Status == pay.RefundSucceeded {
			ours += r.Amount
		}
		there := e.refund(r.OutRefundNo)
		switch {
		case r.External:
		case there == nil && r.Status != pay.RefundFailed && !(r.Status == pay.RefundAbnormal && r.Code == pay.RefundShort):
			s.breaks("I-01", "refund %s is %s here and unknown there", r.OutRefundNo, r.Status)
		case there != nil && (there.Status != r.Status || there.Amount != r.Amount):
			s.breaks("I-22", "refund %s is %s of %d there, %s of %d here", r.OutRefundNo, there.Status, there.Amount, r.Status, r.Amount)
		}
	}
	if all > a.Amount {
		s.breaks("I-04", "%s: refunds of %d fen of %d", a.OutTradeNo, all, a.Amount)
	}
	var known, most pay.Fen // a refund of the console whose every notice was lost is known to nobody here
	for _, r := range e.refunds {
		if r.Status == pay.RefundSucceeded {
			most += r.Amount
			if !r.console || r.told {
				known += r.Amount
			}
		}
	}
	if ours < known || ours > most {
		s.breaks("I-22", "%s: %d fen went back there, %d of them told, %d here", a.OutTradeNo, most, known, ours)
	}
	for _, r := range e.refunds {
		if !r.console && !slices.ContainsFunc(p.Refunds, func(ours pay.Refund) bool { return ours.OutRefundNo == r.No }) {
			s.breaks("I-11", "the platform has a refund %s that we do not know", r.No)
		}
	}
}
