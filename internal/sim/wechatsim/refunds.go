package wechatsim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"piaohao/internal/sim/simkit"
)

const (
	refundKind   = "wechat.refund"    // by out_refund_no: where it is
	refundIDKind = "wechat.refund_id" // by refund_id: the same
)

// Rules about the refunds of one order (申请退款). What the platform answers to a refund that follows another too soon is
// not documented; here it is the answer that asks to come again.
const (
	maxRefunds   = 50
	refundGap    = time.Minute
	refundWindow = 365 * 24 * time.Hour
)

// States of a refund, in APIv3's words. The order's own state is REFUND from the first refund on and for ever.
const (
	stateRefund       = "REFUND"
	refundProcessing  = "PROCESSING"
	refundSuccess     = "SUCCESS"
	refundClosed      = "CLOSED"
	refundAbnormal    = "ABNORMAL"
	refundReceiver    = "支付用户零钱"
	accountUnsettled  = "UNSETTLED"
	accountAvailable  = "AVAILABLE"
	refundSerialDigit = 15
)

// refund is one of an order's refunds. Times are business time.
type refund struct {
	OutRefundNo string    `json:"out_refund_no"`
	RefundID    string    `json:"refund_id"`
	Request     string    `json:"request"` // canonical text of the first request's parameters, for re-entry
	By          string    `json:"by"`      // simkit.ByAPI, simkit.ByConsole
	V2          bool      `json:"v2"`      // its notice speaks APIv2
	Amount      int64     `json:"amount"`  // fen
	NotifyURL   string    `json:"notify_url"`
	Account     string    `json:"account"` // whose money it is: UNSETTLED, AVAILABLE
	Created     time.Time `json:"created"`
	Settles     time.Time `json:"settles"`
	Outcome     string    `json:"outcome"` // its state from then on
}

// refundAt leads from a number to the refund.
type refundAt struct {
	OutTradeNo  string `json:"out_trade_no"`
	OutRefundNo string `json:"out_refund_no"`
}

func (r refund) state(now time.Time) string {
	if now.Before(r.Settles) {
		return refundProcessing
	}
	return r.Outcome
}

// refunded are the fen that have arrived, and those that are taken and have not.
func (o order) refunded(now time.Time) (done, under int64) {
	for _, r := range o.Refunds {
		switch r.state(now) {
		case refundSuccess:
			done += r.Amount
		case refundProcessing, refundAbnormal:
			under += r.Amount
		}
	}
	return done, under
}

func (o order) refund(outRefundNo string) (refund, bool) {
	i := slices.IndexFunc(o.Refunds, func(r refund) bool { return r.OutRefundNo == outRefundNo })
	if i < 0 {
		return refund{}, false
	}
	return o.Refunds[i], true
}

// isPaid is true of a refunded order, too.
func (o order) isPaid() bool { return o.TransactionID != "" }

// refundAsk is a checked request, of either protocol or of the console.
type refundAsk struct {
	transactionID, outTradeNo string // one of them; with both, both must name the order
	total                     int64  // 0 = not said
	amount                    int64  // 0 = all that is left

	refund
}

// refuse says why the order's refund cannot be accepted; the ledger is asked last.
func (o order) refuse(ask refundAsk, now time.Time) trouble {
	done, under := o.refunded(now)
	count := len(o.Refunds)
	switch {
	case !o.isPaid():
		return orderUnpaid
	case ask.total != 0 && ask.total != o.Total:
		return totalDiffers
	case ask.amount > o.Total-done-under || ask.amount == 0 && o.Total == done+under:
		return refundTooMuch
	case now.After(o.PaidAt.Add(refundWindow)):
		return refundTooLate
	case count >= maxRefunds:
		return refundTooMany
	case ask.By == simkit.ByAPI && count > 0 && now.Before(o.Refunds[count-1].Created.Add(refundGap)):
		return refundTooSoon
	}
	return noTrouble
}

// askRefund accepts a refund, or finds the one that was accepted under its number with the same parameters.
func (s *Sim) askRefund(ask refundAsk) (o order, r refund, refused trouble, err error) {
	serial, err := s.kit.Text(simkit.Digits, refundSerialDigit)
	if err != nil {
		return o, r, refused, err
	}
	noticeID, err := s.newUUID()
	if err != nil {
		return o, r, refused, err
	}
	fate := s.kit.Faults.Refund()
	err = s.kit.Books.Do(func(tx *simkit.Tx) error {
		now := s.kit.Clock.Now()
		var found bool
		if o, found, err = ask.order(tx); err != nil {
			return err
		}
		var known refundAt
		if taken, err := tx.Get(refundKind, ask.OutRefundNo, &known); err != nil {
			return err
		} else if taken {
			r, refused = o.again(ask, known)
			return nil
		}
		if refused = orderAbsent; !found {
			return nil
		}
		if refused = o.refuse(ask, now); refused != noTrouble {
			return nil
		}
		r = o.accept(ask, now, serial, fate)
		back := time.Time{}
		if r.Outcome == refundClosed {
			back = r.Settles
		}
		enough, err := s.kit.Spend(tx, platformName, r.Amount, now, back)
		if err != nil {
			return err
		}
		if !enough {
			refused = balanceShort
			return nil
		}
		o.Refunds = append(o.Refunds, r)
		o.State = stateRefund
		return s.bookRefund(tx, noticeID, o, r)
	})
	return o, r, refused, err
}

// order finds the order that is asked about.
func (ask refundAsk) order(tx *simkit.Tx) (o order, found bool, err error) {
	number := ask.outTradeNo
	if ask.transactionID != "" {
		var t transaction
		if found, err := tx.Get(transactionKind, ask.transactionID, &t); !found || err != nil {
			return order{}, false, err
		}
		if number != "" && number != t.OutTradeNo {
			return order{}, false, nil
		}
		number = t.OutTradeNo
	}
	found, err = tx.Get(orderKind, number, &o)
	return o, found, err
}

// again is the answer to a number that has been used: the refund as it was first asked for, or a refusal.
func (o order) again(ask refundAsk, known refundAt) (refund, trouble) {
	r, ok := o.refund(ask.OutRefundNo)
	if !ok || known.OutTradeNo != o.OutTradeNo || r.Request != ask.Request {
		return refund{}, refundDiffers
	}
	return r, noTrouble
}

// accept makes the refund that was asked for. refund_id is 29 digits that begin with 50, the day in their middle.
func (o order) accept(ask refundAsk, now time.Time, serial string, fate simkit.RefundFate) refund {
	r := ask.refund
	done, under := o.refunded(now)
	r.Amount = cmp.Or(ask.amount, o.Total-done-under)
	r.RefundID = "503000" + serial[:5] + now.In(beijing).Format("20060102") + serial[5:]
	r.NotifyURL = cmp.Or(r.NotifyURL, o.NotifyURL)
	r.Created, r.Settles, r.Outcome = now, now.Add(fate.After), refundSuccess
	if fate.Abnormal {
		r.Outcome = refundAbnormal
	}
	if fate.Closed {
		r.Outcome = refundClosed
	}
	return r
}

// bookRefund writes the refund with what leads to it and the notice of its end.
func (s *Sim) bookRefund(tx *simkit.Tx, noticeID string, o order, r refund) error {
	at := refundAt{OutTradeNo: o.OutTradeNo, OutRefundNo: r.OutRefundNo}
	var taken refundAt
	if found, err := tx.Get(refundIDKind, r.RefundID, &taken); found || err != nil {
		return fmt.Errorf("wechatsim: refund_id drawn twice: %w", err)
	}
	if err := tx.Put(refundKind, r.OutRefundNo, at); err != nil {
		return err
	}
	if err := tx.Put(refundIDKind, r.RefundID, at); err != nil {
		return err
	}
	if err := s.notifyRefund(tx, noticeID, o, r); err != nil {
		return err
	}
	return tx.Put(orderKind, o.OutTradeNo, o)
}

// refundBy finds a refund by one of its numbers.
func (s *Sim) refundBy(kind, number string) (o order, r refund, found bool, err error) {
	err = s.kit.Books.Do(func(tx *simkit.Tx) error {
		var at refundAt
		if found, err = tx.Get(kind, number, &at); !found || err != nil {
			return err
		}
		if found, err = tx.Get(orderKind, at.OutTradeNo, &o); !found || err != nil {
			return err
		}
		r, found = o.refund(at.OutRefundNo)
		return nil
	})
	return o, r, found, err
}

// Refund is the merchant's own console (交易中心 > 退款管理): fen of the order, 0 = all that is left.
func (s *Sim) Refund(code string, fen int64) (simkit.Refund, error) {
	shown, err := s.Find(code)
	if err != nil {
		return simkit.Refund{}, err
	}
	number, err := s.kit.Text(simkit.Digits, 10)
	if err != nil {
		return simkit.Refund{}, err
	}
	o, found, err := s.order(shown.OutTradeNo)
	if err == nil && !found {
		err = simkit.ErrUnknown
	}
	if err != nil {
		return simkit.Refund{}, err
	}
	_, r, refused, err := s.askRefund(refundAsk{
		outTradeNo: shown.OutTradeNo, amount: fen,
		refund: refund{OutRefundNo: "console" + number, By: simkit.ByConsole, V2: o.SignType != "", Account: accountAvailable},
	})
	if err != nil {
		return simkit.Refund{}, err
	}
	if refused != noTrouble {
		return simkit.Refund{}, &simkit.Refusal{Reason: refundReasons[refused]}
	}
	return r.shown(s.kit.Clock.Now()), nil
}

var refundReasons = map[trouble]simkit.Reason{
	orderUnpaid: simkit.ReasonUnpaid, refundTooMuch: simkit.ReasonTooMuch, balanceShort: simkit.ReasonBalance,
	refundTooLate: simkit.ReasonLimit, refundTooMany: simkit.ReasonLimit, refundTooSoon: simkit.ReasonLimit,
}

// shown is the refund as pages and checkers see it.
func (r refund) shown(now time.Time) simkit.Refund {
	out := simkit.Refund{
		Number: r.OutRefundNo, RefundID: r.RefundID, Amount: r.Amount, State: r.state(now), By: r.By, Created: r.Created,
	}
	if out.State != refundProcessing {
		out.Done = r.Settles
	}
	return out
}
