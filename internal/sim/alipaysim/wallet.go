package alipaysim

import (
	"fmt"
	"net/url"
	"time"

	"piaohao/internal/sim/simkit"
)

// found is what a code stands for: an order, and its trade once it is opened.
type found struct {
	order  order
	trade  trade
	exists bool
}

// locate finds the order behind a gateway URL, which must pass the gateway's
// own checks, or behind the number of an opened trade.
func (s *Sim) locate(code string) (found, error) {
	if u, err := url.Parse(code); err == nil && u.Path == "/gateway.do" {
		return s.locateLink(u)
	}
	now := s.kit.Clock.Now()
	var f found
	var seen bool
	err := s.kit.Books.Do(func(tx *simkit.Tx) (err error) {
		if f.trade, f.exists, err = s.find(tx, code, now); err != nil || f.exists {
			return err
		}
		_, err = tx.Get(kindSeen, code, &seen)
		return err
	})
	switch {
	case err != nil:
		return found{}, err
	case f.exists:
		f.order = f.trade.Order
		return f, nil
	case seen:
		return found{}, &simkit.Refusal{Reason: simkit.ReasonUnopened}
	}
	return found{}, simkit.ErrUnknown
}

func (s *Sim) locateLink(u *url.URL) (found, error) {
	raw := params{}
	raw.addForm(u.RawQuery)
	c, refused := s.check(raw)
	if refused == nil && productCodes[c.method()] == nil {
		refused = invalid("method", "")
	}
	var f found
	if refused == nil {
		f.order, refused = s.readOrder(c)
	}
	if refused != nil {
		return found{}, fmt.Errorf("%w: the gateway refuses the link: %w", simkit.ErrUnknown, refused)
	}
	now := s.kit.Clock.Now()
	err := s.kit.Books.Do(func(tx *simkit.Tx) (err error) {
		if _, err = tx.Get(kindVisit, visitID(c), &f.order); err != nil {
			return err
		}
		f.trade, f.exists, err = s.find(tx, f.order.OutTradeNo, now)
		return err
	})
	return f, err
}

// blocked says why the order cannot be paid now; "" when it can.
func (s *Sim) blocked(f found) simkit.Reason {
	refused := mayPay(f.order, f.trade, f.exists, s.kit.Clock.Now())
	if refused == nil {
		return ""
	}
	return f.reason(refused)
}

func (f found) reason(refused *failure) simkit.Reason {
	switch refused.subCode {
	case "ACQ.TRADE_HAS_SUCCESS":
		return simkit.ReasonPaid
	case "ACQ.CONTEXT_INCONSISTENT":
		return simkit.ReasonAmbiguous
	case "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR":
		return simkit.ReasonExpired
	}
	if f.trade.Closed.Equal(f.trade.Order.Deadline) {
		return simkit.ReasonExpired
	}
	return simkit.ReasonClosed
}

// Find returns the order behind a page.pay or wap.pay URL, or behind the
// out_trade_no of an opened trade. It changes nothing.
func (s *Sim) Find(code string) (simkit.Order, error) {
	f, err := s.locate(code)
	if err != nil {
		return simkit.Order{}, err
	}
	return s.shown(f, code)
}

// Scan is a payer who opens the code and logs in: the trade comes to exist.
func (s *Sim) Scan(code, _ string) (simkit.Order, error) {
	return s.act(code, s.open)
}

// Pay is a payer who opens the code and pays in full.
func (s *Sim) Pay(code, _ string) (simkit.Order, error) {
	return s.act(code, s.openAndPay)
}

// Refuse is a payer who opens the code and turns away; the trade waits on.
func (s *Sim) Refuse(code, payer string) (simkit.Order, error) {
	return s.Scan(code, payer)
}

func (s *Sim) openAndPay(o order) (trade, *failure) {
	opened, refused := s.open(o)
	if refused != nil {
		return trade{}, refused
	}
	return s.pay(opened)
}

func (s *Sim) act(code string, do func(order) (trade, *failure)) (simkit.Order, error) {
	f, err := s.locate(code)
	if err != nil {
		return simkit.Order{}, err
	}
	if reason := s.blocked(f); reason != "" {
		return simkit.Order{}, &simkit.Refusal{Reason: reason}
	}
	t, refused := do(f.order)
	if refused != nil {
		if refused.code == unknownResult().code {
			return simkit.Order{}, refused
		}
		return simkit.Order{}, &simkit.Refusal{Reason: f.reason(refused)}
	}
	return s.shown(found{order: t.Order, trade: t, exists: true}, code)
}

// Orders are all trades, oldest first. Links that nobody opened are none.
func (s *Sim) Orders() ([]simkit.Order, error) {
	trades, err := simkit.List[trade](s.kit.Books, kindTrade)
	if err != nil {
		return nil, err
	}
	now := s.kit.Clock.Now()
	orders := make([]simkit.Order, len(trades))
	for i, t := range trades {
		orders[i] = t.at(now).listed(now)
	}
	return orders, nil
}

func (t trade) listed(now time.Time) simkit.Order {
	o := simkit.Order{
		Platform: "alipay", OutTradeNo: t.Order.OutTradeNo, TransactionID: t.TradeNo, State: t.Status,
		Amount: t.Order.Fen, Code: t.Order.OutTradeNo, Subject: t.Order.Subject, Payee: sellerName,
	}
	o.Refunded, o.Refunding = t.refunded(now)
	for _, r := range t.Refunds {
		o.Refunds = append(o.Refunds, r.shown(now))
	}
	if !t.Paid.IsZero() {
		o.Blocked = simkit.ReasonPaid
	}
	return o
}

// shown is the order as the wallet shows it; it has no state before it is opened.
func (s *Sim) shown(f found, code string) (simkit.Order, error) {
	t := f.trade
	t.Order = f.order
	o := t.listed(s.kit.Clock.Now())
	o.Code, o.Blocked = code, s.blocked(f)
	if t.Status != tradeSuccess {
		return o, nil
	}
	var err error
	o.ReturnURL, err = s.returnLink(f.trade)
	return o, err
}
