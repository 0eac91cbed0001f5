package alipaysim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"piaohao/internal/sim/simkit"
)

// The kinds of the books' documents.
const (
	kindTrade   = "alipay_trade"    // by out_trade_no
	kindTradeNo = "alipay_trade_no" // trade_no → out_trade_no
	kindVisit   = "alipay_visit"    // a link somebody followed, by the digest of its signature
	kindSeen    = "alipay_seen"     // out_trade_no of followed links, opened or not
)

// The platform's trade states. TRADE_FINISHED is for products without refund.
const (
	waitBuyerPay = "WAIT_BUYER_PAY"
	tradeSuccess = "TRADE_SUCCESS"
	tradeClosed  = "TRADE_CLOSED"
)

// trade exists from the moment the payer opens it. Times are business time.
type trade struct {
	Order   order     `json:"order"`
	TradeNo string    `json:"trade_no"`
	Status  string    `json:"status"`
	Created time.Time `json:"created"`
	Paid    time.Time `json:"paid,omitzero"`
	Closed  time.Time `json:"closed,omitzero"`
	Refunds []refund  `json:"refunds,omitempty"` // in the order in which they were asked for
}

// tradeNo is 28 digits: day, a constant, and 15 digits of a digest of the
// number, so that a replayed run under one seed makes the same numbers.
func tradeNo(appID, outTradeNo string, created time.Time) string {
	sum := sha256.Sum256([]byte(appID + outTradeNo))
	return fmt.Sprintf("%s22001%015d", created.In(beijing).Format("20060102"), binary.BigEndian.Uint64(sum[:])%1e15)
}

// find reads a trade as it is now, and keeps an expiry that it meets.
func (s *Sim) find(tx *simkit.Tx, outTradeNo string, now time.Time) (trade, bool, error) {
	var t trade
	exists, err := tx.Get(kindTrade, outTradeNo, &t)
	if err != nil || !exists {
		return trade{}, false, err
	}
	if asIs := t.at(now); asIs.Status != t.Status {
		return asIs, true, s.put(tx, asIs)
	}
	return t, true, nil
}

// at is the trade at a time: unpaid past its deadline, it is closed, and so it is once all of it has been refunded.
func (t trade) at(now time.Time) trade {
	if done, _ := t.refunded(now); t.Status == tradeSuccess && done == t.Order.Fen {
		t.Status, t.Closed = tradeClosed, t.Refunds[len(t.Refunds)-1].Done
	}
	if t.Status == waitBuyerPay && !now.Before(t.Order.Deadline) {
		t.Status, t.Closed = tradeClosed, t.Order.Deadline
	}
	return t
}

// put writes the trade in its new state, and the notice of it if one is sent:
// neither is kept without the other.
func (s *Sim) put(tx *simkit.Tx, t trade) error {
	if err := tx.Put(kindTrade, t.Order.OutTradeNo, t); err != nil {
		return err
	}
	return s.notify(tx, t)
}

// mayPay says why an order cannot be paid, given the trade of its number, or
// nil. An order without a trade only has to be in time.
func mayPay(o order, t trade, exists bool, now time.Time) *failure {
	switch {
	case !exists && !now.Before(o.Deadline):
		return business("NOW_TIME_AFTER_EXPIRE_TIME_ERROR", "")
	case !exists:
		return nil
	case t.Status == tradeSuccess:
		return business("TRADE_HAS_SUCCESS", "")
	case t.Status == tradeClosed:
		return business("TRADE_HAS_CLOSE", "")
	case !t.Order.sameAs(o):
		return business("CONTEXT_INCONSISTENT", "")
	}
	return nil
}

// open is the payer's login or password: the trade comes to exist, if it does
// not already.
func (s *Sim) open(o order) (trade, *failure) {
	return s.change(o, func(tx *simkit.Tx, t trade, exists bool, now time.Time) (trade, error) {
		if exists {
			return t, nil
		}
		t = trade{Order: o, TradeNo: tradeNo(s.credentials.AppID, o.OutTradeNo, now), Status: waitBuyerPay, Created: now}
		if err := tx.Put(kindTradeNo, t.TradeNo, o.OutTradeNo); err != nil {
			return trade{}, err
		}
		return t, s.put(tx, t)
	})
}

// pay takes the money of an opened trade.
func (s *Sim) pay(opened trade) (trade, *failure) {
	return s.change(opened.Order, func(tx *simkit.Tx, t trade, _ bool, now time.Time) (trade, error) {
		t.Status, t.Paid = tradeSuccess, now
		if err := s.kit.Receive(tx, s.Name(), t.Order.Fen, now); err != nil {
			return trade{}, err
		}
		return t, s.put(tx, t)
	})
}

// change runs step on the trade of the order's number, if it may be paid.
func (s *Sim) change(o order, step func(*simkit.Tx, trade, bool, time.Time) (trade, error)) (trade, *failure) {
	now := s.kit.Clock.Now()
	var t trade
	var refused *failure
	err := s.kit.Books.Do(func(tx *simkit.Tx) error {
		found, exists, err := s.find(tx, o.OutTradeNo, now)
		if err != nil {
			return err
		}
		if refused = mayPay(o, found, exists, now); refused != nil {
			return nil //nolint:nilerr // the refusal is the answer; an expiry that find saw is kept
		}
		t, err = step(tx, found, exists, now)
		return err
	})
	if err != nil {
		return trade{}, s.broken(err)
	}
	return t, refused
}

// broken is the platform's answer when the simulator's books fail.
func (s *Sim) broken(err error) *failure {
	s.kit.Log.Error("alipay simulator: books", "error", err)
	return unknownResult()
}

// ref names a trade in query and close.
type ref struct{ outTradeNo, tradeNo string }

func parseRef(biz fields) (ref, *failure) {
	outTradeNo, refused := biz.text("out_trade_no")
	if refused != nil {
		return ref{}, refused
	}
	tradeNo, refused := biz.text("trade_no")
	if refused != nil {
		return ref{}, refused
	}
	if outTradeNo == "" && tradeNo == "" {
		return ref{}, badField("out_trade_no", "与trade_no不能同时为空")
	}
	return ref{outTradeNo: outTradeNo, tradeNo: tradeNo}, nil
}

// echo is what a refusal repeats of the reference.
func (r ref) echo() node {
	n := node{}
	if r.outTradeNo != "" {
		n["out_trade_no"] = r.outTradeNo
	}
	if r.tradeNo != "" {
		n["trade_no"] = r.tradeNo
	}
	return n
}

// lookup finds the trade; trade_no wins over out_trade_no.
func (s *Sim) lookup(tx *simkit.Tx, r ref, now time.Time) (trade, bool, error) {
	outTradeNo := r.outTradeNo
	if r.tradeNo != "" {
		if exists, err := tx.Get(kindTradeNo, r.tradeNo, &outTradeNo); err != nil || !exists {
			return trade{}, false, err
		}
	}
	return s.find(tx, outTradeNo, now)
}

func (s *Sim) query(r ref) (node, *failure) {
	now := s.kit.Clock.Now()
	var t trade
	var exists bool
	err := s.kit.Books.Do(func(tx *simkit.Tx) (err error) {
		t, exists, err = s.lookup(tx, r, now)
		return err
	})
	if err != nil {
		return nil, s.broken(err)
	}
	if !exists {
		echo := r.echo()
		for _, name := range []string{"buyer_pay_amount", "invoice_amount", "point_amount", "receipt_amount"} {
			echo[name] = "0.00"
		}
		return echo, business("TRADE_NOT_EXIST", "")
	}
	return t.answer(), nil
}

// answer is the reply of trade.query. An unpaid trade has its own total, no
// send_pay_date, and "0.00" for what was received.
func (t trade) answer() node {
	n := success()
	n["trade_no"], n["out_trade_no"], n["trade_status"] = t.TradeNo, t.Order.OutTradeNo, t.Status
	n["buyer_logon_id"], n["buyer_user_id"], n["buyer_user_type"] = buyerLogonID, buyerID, "PRIVATE"
	n["total_amount"], n["subject"], n["point_amount"] = simkit.Yuan(t.Order.Fen), t.Order.Subject, "0.00"
	if t.Order.Body != "" {
		n["body"] = t.Order.Body
	}
	received := "0.00"
	if !t.Paid.IsZero() {
		received = simkit.Yuan(t.Order.Fen)
		n["send_pay_date"] = formatTime(t.Paid)
		n["fund_bill_list"] = []map[string]string{{"amount": received, "fund_channel": "ALIPAYACCOUNT"}}
	}
	n["receipt_amount"], n["buyer_pay_amount"], n["invoice_amount"] = received, received, received
	return n
}

// closeTrade closes an existing unpaid trade and nothing else: a number that
// nobody opened leaves no tombstone, and its link stays payable.
func (s *Sim) closeTrade(r ref) (node, *failure) {
	now := s.kit.Clock.Now()
	var t trade
	var refused *failure
	err := s.kit.Books.Do(func(tx *simkit.Tx) error {
		found, exists, err := s.lookup(tx, r, now)
		switch {
		case err != nil:
			return err
		case !exists:
			refused = business("TRADE_NOT_EXIST", "")
			return nil
		case found.Status != waitBuyerPay:
			refused = business("TRADE_STATUS_ERROR", "")
			return nil
		}
		t = found
		t.Status, t.Closed = tradeClosed, now
		return s.put(tx, t)
	})
	if err != nil {
		return nil, s.broken(err)
	}
	if refused != nil {
		return r.echo(), refused
	}
	n := success()
	n["trade_no"], n["out_trade_no"] = t.TradeNo, t.Order.OutTradeNo
	return n, nil
}
