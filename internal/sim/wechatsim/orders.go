package wechatsim

import (
	"encoding/json"
	"fmt"
	"time"

	"piaohao/internal/sim/simkit"
)

const (
	orderKind       = "wechat.order"       // by out_trade_no
	codeKind        = "wechat.code"        // by what follows pr=, also voided ones
	transactionKind = "wechat.transaction" // by transaction_id
)

// Times of an order (Native下单, 查询订单).
const (
	codeLife       = 2 * time.Hour
	defaultExpiry  = 7 * 24 * time.Hour
	shortestExpiry = time.Minute
	longestExpiry  = 90 * 24 * time.Hour
)

// Trade states that this platform reaches.
const (
	statePaid   = "SUCCESS"
	stateNotPay = "NOTPAY"
	stateClosed = "CLOSED"
)

// order is the platform's record of one out_trade_no. Times are business time.
type order struct {
	OutTradeNo  string    `json:"out_trade_no"`
	Request     string    `json:"request"` // canonical text of the first request's parameters, for re-entry
	Description string    `json:"description"`
	Attach      string    `json:"attach,omitempty"`
	NotifyURL   string    `json:"notify_url"`
	Total       int64     `json:"total"` // fen
	State       string    `json:"state"`
	Created     time.Time `json:"created"`
	PayBy       time.Time `json:"pay_by"`
	Code        string    `json:"code"` // the one valid code
	CodeUntil   time.Time `json:"code_until"`
	Payer       string    `json:"payer,omitempty"` // who scanned it first

	// SignType is that of an order made by APIv2, "" = APIv3. Its notice speaks the same protocol; all else of an order is
	// the same in both, and both see it (the documents name one set of orders for a merchant number, not one for each protocol).
	SignType   signType `json:"sign_type,omitempty"`
	DeviceInfo string   `json:"device_info,omitempty"` // APIv2

	TransactionID string    `json:"transaction_id,omitempty"`
	PaidAt        time.Time `json:"paid_at,omitzero"`
	Refunds       []refund  `json:"refunds,omitempty"` // in the order in which they were accepted
}

// code leads from a QR code to its order.
type code struct {
	OutTradeNo string `json:"out_trade_no"`
}

// transaction leads from a transaction_id to its order.
type transaction struct {
	OutTradeNo string `json:"out_trade_no"`
}

// state is what the platform says of the order now. time_expire only ends paying; the order is closed by a close, or by
// itself once both seven days and its deadline are over (查询订单; which of the two the documents do not settle).
func (o order) state(now time.Time) string {
	if o.State == stateNotPay && !now.Before(o.Created.Add(defaultExpiry)) && !now.Before(o.PayBy) {
		return stateClosed
	}
	return o.State
}

// newOrder reads a checked native request.
func newOrder(doc map[string]any, now time.Time) (order, error) {
	canonical, err := json.Marshal(doc) // map keys are sorted: spacing and order of the request do not count
	if err != nil {
		return order{}, fmt.Errorf("wechatsim: canonical request: %w", err)
	}
	amount, _ := doc["amount"].(map[string]any)
	number, _ := amount["total"].(json.Number)
	total, err := number.Int64()
	if err != nil {
		return order{}, fmt.Errorf("wechatsim: amount: %w", err)
	}
	o := order{
		Request: string(canonical), Total: total, State: stateNotPay, Created: now, PayBy: now.Add(defaultExpiry),
	}
	o.OutTradeNo, _ = doc["out_trade_no"].(string)
	o.Description, _ = doc["description"].(string)
	o.Attach, _ = doc["attach"].(string)
	o.NotifyURL, _ = doc["notify_url"].(string)
	if expire, ok := doc["time_expire"].(string); ok {
		if o.PayBy, err = time.Parse(timeForm, expire); err != nil {
			return order{}, fmt.Errorf("wechatsim: time_expire: %w", err)
		}
		o.PayBy = clamp(o.PayBy.UTC(), now.Add(shortestExpiry), now.Add(longestExpiry))
	}
	return o, nil
}

func clamp(t, least, most time.Time) time.Time {
	if t.Before(least) {
		return least
	}
	if t.After(most) {
		return most
	}
	return t
}

// trouble is why an order cannot be made, closed or refunded; each protocol has its own words for it.
type trouble int

const (
	noTrouble trouble = iota
	orderAbsent
	orderPaid
	orderClosed
	orderDiffers // the number was used with other parameters, or by the other protocol
	orderExpired
	orderUnpaid
	totalDiffers  // the order's amount is another
	refundAbsent  //
	refundDiffers // the number was used with other parameters
	refundTooMuch // more than what is left
	refundTooMany
	refundTooLate
	refundTooSoon
	balanceShort // the merchant's
)

// reenter tells whether the same out_trade_no can be ordered again (Native下单).
func (o order) reenter(again order, now time.Time) trouble {
	switch o.state(now) {
	case statePaid, stateRefund:
		return orderPaid
	case stateClosed:
		return orderClosed
	}
	if o.Request != again.Request {
		return orderDiffers
	}
	if !now.Before(o.PayBy) {
		return orderExpired
	}
	return noTrouble
}

// place books a new order, or gives a known one a new code, which voids the one before.
func (s *Sim) place(o order, pr string) (trouble, error) {
	refused := noTrouble
	err := s.kit.Books.Do(func(tx *simkit.Tx) error {
		now := s.kit.Clock.Now()
		var old order
		found, err := tx.Get(orderKind, o.OutTradeNo, &old)
		if err != nil {
			return err
		}
		if found {
			if refused = old.reenter(o, now); refused != noTrouble {
				return nil
			}
			o = old
		}
		var taken code
		if found, err := tx.Get(codeKind, pr, &taken); found || err != nil {
			return fmt.Errorf("wechatsim: code drawn twice: %w", err)
		}
		o.Code, o.CodeUntil = pr, now.Add(codeLife)
		if err := tx.Put(codeKind, pr, code{OutTradeNo: o.OutTradeNo}); err != nil {
			return err
		}
		return tx.Put(orderKind, o.OutTradeNo, o)
	})
	return refused, err
}

// close closes an order that is neither paid nor closed (关闭订单). Early closes are allowed.
func (s *Sim) close(outTradeNo string) (trouble, error) {
	refused := noTrouble
	err := s.kit.Books.Do(func(tx *simkit.Tx) error {
		var o order
		found, err := tx.Get(orderKind, outTradeNo, &o)
		if err != nil {
			return err
		}
		switch state := o.state(s.kit.Clock.Now()); {
		case !found:
			refused = orderAbsent
		case o.isPaid():
			refused = orderPaid
		case state == stateClosed:
			refused = orderClosed
		default:
			o.State = stateClosed
			return tx.Put(orderKind, outTradeNo, o)
		}
		return nil
	})
	return refused, err
}

// order returns one order by its number.
func (s *Sim) order(outTradeNo string) (o order, found bool, err error) {
	err = s.kit.Books.Do(func(tx *simkit.Tx) (err error) {
		found, err = tx.Get(orderKind, outTradeNo, &o)
		return err
	})
	return o, found, err
}

func (s *Sim) orderByTransaction(id string) (o order, found bool, err error) {
	err = s.kit.Books.Do(func(tx *simkit.Tx) (err error) {
		var t transaction
		if found, err = tx.Get(transactionKind, id, &t); !found || err != nil {
			return err
		}
		found, err = tx.Get(orderKind, t.OutTradeNo, &o)
		return err
	})
	return o, found, err
}

// transactionObject is what query and notice tell of an order (查询订单). The lower part is there only once it is paid.
type transactionObject struct {
	AppID          string `json:"appid"`
	MerchantID     string `json:"mchid"`
	OutTradeNo     string `json:"out_trade_no"`
	TradeState     string `json:"trade_state"`
	TradeStateDesc string `json:"trade_state_desc"`
	Attach         string `json:"attach,omitempty"`

	TransactionID string        `json:"transaction_id,omitempty"`
	TradeType     string        `json:"trade_type,omitempty"`
	BankType      string        `json:"bank_type,omitempty"`
	SuccessTime   string        `json:"success_time,omitempty"`
	Payer         *payerObject  `json:"payer,omitempty"`
	Amount        *amountObject `json:"amount,omitempty"`
}

type payerObject struct {
	OpenID string `json:"openid"`
}

type amountObject struct {
	Total         int64  `json:"total"`
	PayerTotal    int64  `json:"payer_total"`
	Currency      string `json:"currency"`
	PayerCurrency string `json:"payer_currency"`
}

var stateTexts = map[string]string{statePaid: "支付成功", stateNotPay: "订单未支付", stateClosed: "订单已关闭", stateRefund: "转入退款"}

func (s *Sim) object(o order, now time.Time) transactionObject {
	state := o.state(now)
	t := transactionObject{
		AppID: s.credentials.AppID, MerchantID: s.credentials.MerchantID, OutTradeNo: o.OutTradeNo, TradeState: state,
		TradeStateDesc: stateTexts[state], Attach: o.Attach,
	}
	if !o.isPaid() {
		return t
	}
	t.TransactionID, t.TradeType, t.BankType = o.TransactionID, "NATIVE", "OTHERS"
	t.SuccessTime = o.PaidAt.In(beijing).Format(timeForm)
	t.Payer = &payerObject{OpenID: s.openID(o.Payer)}
	t.Amount = &amountObject{Total: o.Total, PayerTotal: o.Total, Currency: "CNY", PayerCurrency: "CNY"}
	return t
}

var beijing = time.FixedZone("UTC+8", 8*60*60)
