package simkit

import (
	"errors"
	"net/http"
	"time"
)

// Platform is what a simulated platform offers to the wallet, to checkers and to sim/all.
type Platform interface {
	// Name is "wechat" or "alipay".
	Name() string
	// Mount adds the platform's own paths to mux (not those under /sim/).
	Mount(mux *http.ServeMux)
	// Find returns the order behind what a payer scanned or opened, or behind an out_trade_no; it changes nothing.
	// ErrUnknown, or a *Refusal ReasonAmbiguous or ReasonUnopened where there is no single order to show.
	Find(code string) (Order, error)
	// Scan is Find by a payer who opened the code in the wallet: what the platform does at that moment (binding the
	// order to this payer, creating the trade) happens.
	Scan(code, payer string) (Order, error)
	// Pay pays the order in full and makes its notice due. ErrUnknown or a *Refusal if it cannot be paid.
	Pay(code, payer string) (Order, error)
	// Refuse is a payer who turns away: refuses, or has too little money. The order stays payable where the
	// platform leaves it so.
	Refuse(code, payer string) (Order, error)
	// Refund is the merchant in the platform's own console: it returns fen of a paid order, 0 = all that is left, and
	// the merchant's program hears of it as the platform lets it. ErrUnknown or a *Refusal if it cannot be returned.
	Refund(code string, fen int64) (Refund, error)
	// Orders returns all orders, oldest first.
	Orders() ([]Order, error)
}

// Who asked for a refund.
const (
	ByAPI     = "api"
	ByConsole = "console"
)

// Refund is one sending back of money, as pages show it and checkers compare.
type Refund struct {
	Number   string    `json:"number"`    // the merchant's: out_refund_no, out_request_no
	RefundID string    `json:"refund_id"` // the platform's; "" where it gives none
	Amount   int64     `json:"amount"`    // fen
	State    string    `json:"state"`     // the platform's own word
	By       string    `json:"by"`        // ByAPI or ByConsole
	Created  time.Time `json:"created"`   // business time
	Done     time.Time `json:"done,omitzero"`
}

// Order is what the wallet shows and what checkers compare.
type Order struct {
	Platform      string `json:"platform"`
	OutTradeNo    string `json:"out_trade_no"`
	TransactionID string `json:"transaction_id"` // the platform's number (Alipay: trade_no); "" until there is one
	State         string `json:"state"`          // the platform's own word
	Amount        int64  `json:"amount"`         // fen
	Refunded      int64  `json:"refunded"`       // fen, arrived
	// Refunding is in fen, too: taken from the merchant and not with the payer yet.
	Refunding int64    `json:"refunding,omitempty"`
	Refunds   []Refund `json:"refunds,omitempty"` // oldest first

	Code      string `json:"-"` // what the wallet opens: code_url or page URL; "" = none is valid now
	Subject   string `json:"-"` // what is bought
	Payee     string `json:"-"` // who receives
	ReturnURL string `json:"-"` // the way back after paying, signed; "" = none
	Blocked   Reason `json:"-"` // why it cannot be paid now; "" = it can
}

// Left is what can still be returned of a paid order, in fen.
func (o Order) Left() int64 { return o.Amount - o.Refunded - o.Refunding }

// Reason is why an order cannot be paid or refunded: a stable word for programs. Its Text is for people.
type Reason string

// The reasons.
const (
	ReasonAmbiguous Reason = "ambiguous"    // more than one order has this number
	ReasonUnopened  Reason = "unopened"     // its link was never opened, so the trade does not exist yet
	ReasonClosed    Reason = "closed"       //
	ReasonExpired   Reason = "expired"      // past the order's deadline or the code's life
	ReasonPaid      Reason = "already_paid" //
	ReasonVoided    Reason = "code_voided"  // a newer code of the same order took its place
	ReasonBound     Reason = "other_payer"  // another payer scanned it first

	// Of a refund.
	ReasonUnpaid  Reason = "not_paid"      //
	ReasonTooMuch Reason = "too_much"      // more than what is left of it
	ReasonBalance Reason = "balance_short" // the merchant has too little money at the platform
	ReasonLimit   Reason = "refund_limit"  // too many refunds, or too late
)

// Text says the reason to a payer, in Chinese.
func (r Reason) Text() string {
	switch r {
	case ReasonAmbiguous:
		return "有多笔订单使用这个订单号，请扫描二维码付款"
	case ReasonUnopened:
		return "付款链接还没有打开过，请先打开付款链接"
	case ReasonClosed:
		return "订单已关闭，请回到商家重新下单"
	case ReasonExpired:
		return "订单已过期，请回到商家重新下单"
	case ReasonPaid:
		return "订单已支付，请勿重复付款"
	case ReasonVoided:
		return "二维码已失效，请扫描商家页面上最新的二维码"
	case ReasonBound:
		return "这笔订单已由其他用户扫码，请回到商家重新获取二维码"
	case ReasonUnpaid:
		return "订单还没有支付，不能退款"
	case ReasonTooMuch:
		return "退款金额超过可退金额"
	case ReasonBalance:
		return "商户余额不足，退款失败"
	case ReasonLimit:
		return "订单已超过退款次数或期限"
	}
	return "暂时无法付款"
}

// Refusal is an order that is known and cannot be paid or refunded.
type Refusal struct{ Reason Reason }

func (r *Refusal) Error() string { return string(r.Reason) }

// ErrUnknown means that no order is behind this code or number.
var ErrUnknown = errors.New("no order is behind this code or number")
