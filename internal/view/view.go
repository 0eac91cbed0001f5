// Package view is the public JSON of payments, attempts and events: what the API answers and webhooks carry.
package view

import (
	"encoding/json"
	"time"

	"piaohao/internal/pay"
)

// Payment is a payment as shops see it. Times are RFC 3339 in UTC with milliseconds, amounts fen.
type Payment struct {
	ID         string          `json:"id" doc:"pay_…"`
	Object     string          `json:"object" enum:"payment"`
	OrderNo    string          `json:"order_no"`
	Status     string          `json:"status" enum:"open,paid,closed"`
	Closing    bool            `json:"closing" doc:"a close is under way; no method is offered any more"`
	Amount     int64           `json:"amount" doc:"fen"`
	Currency   string          `json:"currency" enum:"CNY"`
	Subject    string          `json:"subject"`
	Livemode   bool            `json:"livemode"`
	CashierURL string          `json:"cashier_url" doc:"send the payer here"`
	ReturnURL  string          `json:"return_url,omitempty"`
	Metadata   json.RawMessage `json:"metadata"`
	CreatedAt  string          `json:"created_at" format:"date-time"`
	ExpiresAt  string          `json:"expires_at" format:"date-time"`
	PaidAt     string          `json:"paid_at,omitempty" format:"date-time"`
	ClosedAt   string          `json:"closed_at,omitempty" format:"date-time"`
	Late       bool            `json:"late" doc:"its money came after it was closed, and was accepted"`
	Refunded   int64           `json:"refunded" doc:"fen that went back of the money that paid it"`
	Refundable int64           `json:"refundable" doc:"fen that may still be refunded"`
	Attempts   []Attempt       `json:"attempts"`
	Refunds    []Refund        `json:"refunds"`
	Action     *Action         `json:"action" doc:"what to do with the payer now; null when no method was chosen or nothing can be paid"`
}

// Attempt is one try through one platform.
type Attempt struct {
	ID            string `json:"id" doc:"att_…"`
	Method        string `json:"method"`
	Product       string `json:"product"`
	Status        string `json:"status" enum:"opening,open,paid,closed,refused"`
	OutTradeNo    string `json:"out_trade_no" doc:"our number at the platform"`
	TransactionID string `json:"transaction_id,omitempty" doc:"the platform's number"`
	Surplus       bool   `json:"surplus" doc:"its money came second or late and goes back"`
	CreatedAt     string `json:"created_at" format:"date-time"`
	PaidAt        string `json:"paid_at,omitempty" format:"date-time"`
}

// Refund sends money of one attempt back.
type Refund struct {
	ID          string `json:"id" doc:"rfd_…"`
	Object      string `json:"object" enum:"refund"`
	PaymentID   string `json:"payment_id"`
	AttemptID   string `json:"attempt_id" doc:"whose money goes back"`
	RefundNo    string `json:"refund_no" doc:"the shop's number; ours or the console's when automatic or external"`
	OutRefundNo string `json:"out_refund_no" doc:"the number at the platform"`
	Amount      int64  `json:"amount" doc:"fen"`
	Status      string `json:"status" enum:"pending,processing,succeeded,failed,abnormal"`
	Code        string `json:"code,omitempty" doc:"why it waits or has ended: balance_short, cannot_refund, cancelled, no_end_in_time, or the platform's own code"`
	Reason      string `json:"reason,omitempty"`
	Automatic   bool   `json:"automatic" doc:"second or late money on its way back"`
	External    bool   `json:"external" doc:"made at the platform's own console"`
	CreatedAt   string `json:"created_at" format:"date-time"`
	SucceededAt string `json:"succeeded_at,omitempty" format:"date-time"`
}

// Action is what a shop that shows its own page does with the payer; one of the four types.
type Action struct {
	Type   string          `json:"type" enum:"qr,redirect,form,sdk"`
	Code   string          `json:"code,omitempty" doc:"qr: the text of the QR code"`
	URL    string          `json:"url,omitempty" doc:"redirect: send the payer there"`
	HTML   string          `json:"html,omitempty" doc:"form: a page that posts itself"`
	Params json.RawMessage `json:"params,omitempty" doc:"sdk: parameters for the platform's SDK"`
}

// Event is the body of a webhook (Standard Webhooks: type, timestamp, data).
type Event struct {
	ID        string  `json:"id" doc:"evt_…"`
	Type      string  `json:"type"`
	Timestamp string  `json:"timestamp" format:"date-time"`
	Livemode  bool    `json:"livemode"`
	Sequence  int64   `json:"sequence" doc:"of this payment; grows, with gaps: order of arrival is not promised"`
	Data      Payment `json:"data"`
	Refund    *Refund `json:"refund,omitempty" doc:"with refund.*: the one that it is about"`
}

// Events is a page of a shop's events.
type Events struct {
	Object  string   `json:"object" enum:"list"`
	Data    []Placed `json:"data"`
	HasMore bool     `json:"has_more" doc:"ask again with the last pos as after"`
}

// Placed is an event at its place in the order of all events.
type Placed struct {
	Pos   int64           `json:"pos" doc:"grows; not every number is used"`
	Event json.RawMessage `json:"event" doc:"as the webhook carries it"`
}

// Time writes t as shops read it, "" for the zero time.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// Of renders p. cashierURL is absolute; action may be nil.
func Of(p pay.Payment, cashierURL string, action *Action) Payment {
	v := Payment{
		ID: p.ID, Object: "payment", OrderNo: p.OrderNo, Status: string(p.Status), Closing: p.Closing(),
		Amount: int64(p.Amount), Currency: p.Currency, Subject: p.Subject, Livemode: p.Livemode,
		CashierURL: cashierURL, ReturnURL: p.ReturnURL, Metadata: json.RawMessage(p.Metadata),
		CreatedAt: Time(p.CreatedAt), ExpiresAt: Time(p.ExpiresAt), PaidAt: Time(p.PaidAt), ClosedAt: Time(p.ClosedAt),
		Late: p.Late, Refunded: int64(p.Refunded()), Refundable: int64(p.Refundable()),
		Attempts: make([]Attempt, len(p.Attempts)), Refunds: make([]Refund, len(p.Refunds)), Action: action,
	}
	for i, r := range p.Refunds {
		v.Refunds[i] = OfRefund(r)
	}
	for i, a := range p.Attempts {
		v.Attempts[i] = Attempt{
			ID: a.ID, Method: a.Method, Product: a.Product, Status: string(a.Status), OutTradeNo: a.OutTradeNo,
			TransactionID: a.TransactionID, Surplus: a.Surplus, CreatedAt: Time(a.CreatedAt), PaidAt: Time(a.PaidAt),
		}
	}
	return v
}

// OfRefund renders r.
func OfRefund(r pay.Refund) Refund {
	return Refund{
		ID: r.ID, Object: "refund", PaymentID: r.PaymentID, AttemptID: r.AttemptID, RefundNo: r.RefundNo, OutRefundNo: r.OutRefundNo,
		Amount: int64(r.Amount), Status: string(r.Status), Code: r.Code, Reason: r.Reason, Automatic: r.Automatic, External: r.External,
		CreatedAt: Time(r.CreatedAt), SucceededAt: Time(r.SucceededAt),
	}
}

// EventBody is the JSON that webhooks carry for e, byte for byte.
func EventBody(e pay.Event, p Payment) ([]byte, error) {
	v := Event{ID: e.ID, Type: string(e.Type), Timestamp: Time(e.At), Livemode: e.Livemode, Sequence: e.Seq, Data: p}
	for i := range p.Refunds {
		if p.Refunds[i].ID == e.RefundID {
			v.Refund = &p.Refunds[i]
		}
	}
	return json.Marshal(v)
}
