package client

import (
	"encoding/json"
	"time"
)

// PaymentParams is what a shop asks for. Zero fields are left to the gateway.
type PaymentParams struct {
	OrderNo   string            `json:"order_no"`             // the shop's number, 1–64 of [0-9A-Za-z._|*@-]
	Amount    int64             `json:"amount"`               // fen, 1…10,000,000,000
	Subject   string            `json:"subject"`              // what is bought, 1–256 characters
	Method    string            `json:"method,omitempty"`     // "wechat", "alipay"; "" = the payer chooses
	Product   string            `json:"product,omitempty"`    // of the method; "" = by the payer's device
	ReturnURL string            `json:"return_url,omitempty"` // where the payer goes afterwards
	ExpiresIn int               `json:"expires_in,omitempty"` // seconds, 120…86,400; 0 = 1,800
	Metadata  map[string]string `json:"metadata,omitempty"`   // ≤ 20 names, ≤ 2 kB of JSON; comes back unchanged
}

// The states of a payment.
const (
	StatusOpen   = "open"
	StatusPaid   = "paid"
	StatusClosed = "closed"
)

// Payment is a payment as the gateway answers it. A zero time means "not yet".
type Payment struct {
	ID         string            `json:"id"` // pay_…
	Object     string            `json:"object"`
	OrderNo    string            `json:"order_no"`
	Status     string            `json:"status"`
	Closing    bool              `json:"closing"` // a close is under way
	Amount     int64             `json:"amount"`  // fen
	Currency   string            `json:"currency"`
	Subject    string            `json:"subject"`
	Livemode   bool              `json:"livemode"`
	CashierURL string            `json:"cashier_url"` // send the payer here
	ReturnURL  string            `json:"return_url"`
	Metadata   map[string]string `json:"metadata"`
	CreatedAt  time.Time         `json:"created_at"`
	ExpiresAt  time.Time         `json:"expires_at"`
	PaidAt     time.Time         `json:"paid_at"`
	ClosedAt   time.Time         `json:"closed_at"`
	Late       bool              `json:"late"`       // its money came after it was closed, and was accepted
	Refunded   int64             `json:"refunded"`   // fen that went back
	Refundable int64             `json:"refundable"` // fen that may still be refunded
	Refunds    []Refund          `json:"refunds"`
	Attempts   []Attempt         `json:"attempts"`
	Action     *Action           `json:"action"` // nil when there is nothing to show
}

// IsPaid reports whether the payment has its money. Compare Amount with the order before delivering.
func (p Payment) IsPaid() bool { return p.Status == StatusPaid }

// Attempt is one try through one platform.
type Attempt struct {
	ID            string    `json:"id"` // att_…
	Method        string    `json:"method"`
	Product       string    `json:"product"`
	Status        string    `json:"status"`         // opening, open, paid, closed, refused
	OutTradeNo    string    `json:"out_trade_no"`   // the gateway's number at the platform
	TransactionID string    `json:"transaction_id"` // the platform's number
	Surplus       bool      `json:"surplus"`        // its money came second or late and goes back
	CreatedAt     time.Time `json:"created_at"`
	PaidAt        time.Time `json:"paid_at"`
}

// RefundParams is what a shop asks for.
type RefundParams struct {
	RefundNo string `json:"refund_no"`        // the shop's number, 1–64 of [0-9A-Za-z._|*@-]
	Amount   int64  `json:"amount"`           // fen
	Reason   string `json:"reason,omitempty"` // for the payer, at most 80 bytes
	Notify   *bool  `json:"notify,omitempty"` // false: no webhooks about it
}

// The states of a refund.
const (
	RefundPending    = "pending"
	RefundProcessing = "processing"
	RefundSucceeded  = "succeeded"
	RefundFailed     = "failed"
	RefundAbnormal   = "abnormal" // a person must act
)

// Refund sends money of one attempt back.
type Refund struct {
	ID          string    `json:"id"` // rfd_…
	Object      string    `json:"object"`
	PaymentID   string    `json:"payment_id"`
	AttemptID   string    `json:"attempt_id"`
	RefundNo    string    `json:"refund_no"`
	OutRefundNo string    `json:"out_refund_no"` // the number at the platform
	Amount      int64     `json:"amount"`        // fen
	Status      string    `json:"status"`
	Code        string    `json:"code"` // why it waits or has ended
	Reason      string    `json:"reason"`
	Automatic   bool      `json:"automatic"` // second or late money on its way back
	External    bool      `json:"external"`  // made at the platform's own console
	CreatedAt   time.Time `json:"created_at"`
	SucceededAt time.Time `json:"succeeded_at"`
}

// Events is a page of events.
type Events struct {
	Data []struct {
		Pos   int64 `json:"pos"`
		Event Event `json:"event"`
	} `json:"data"`
	HasMore bool `json:"has_more"` // ask again with the last Pos
}

// Action is what a shop with a page of its own shows the payer. Shops that use CashierURL need none of it.
type Action struct {
	Type   string          `json:"type"`   // qr, redirect, form, sdk
	Code   string          `json:"code"`   // qr: the text of the QR code
	URL    string          `json:"url"`    // redirect: send the payer there
	HTML   string          `json:"html"`   // form: a page that posts itself
	Params json.RawMessage `json:"params"` // sdk: parameters for the platform's SDK
}

// The types of events that webhooks carry. Ignore types you do not know: more will come.
const (
	EventPaymentPaid     = "payment.paid"
	EventPaymentClosed   = "payment.closed"
	EventSurplus         = "payment.surplus_received" // a second time: it goes back by itself
	EventLatePaid        = "payment.late_paid"        // after it was closed: it goes back by itself, or Late is set
	EventRefundSucceeded = "refund.succeeded"
	EventRefundFailed    = "refund.failed"
	EventRefundAbnormal  = "refund.abnormal"
	EventRefundExternal  = "refund.external" // made at the platform's own console
)

// Event is the body of a webhook. The same event may arrive twice (same ID) and events may arrive out of order
// (Sequence of one payment grows, with gaps).
type Event struct {
	ID        string    `json:"id"` // evt_…
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Livemode  bool      `json:"livemode"`
	Sequence  int64     `json:"sequence"`
	Data      Payment   `json:"data"`   // the payment right after the change
	Refund    *Refund   `json:"refund"` // with refund.*: the one that it is about
}
