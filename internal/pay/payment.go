// Package pay is the domain: payments, attempts, refunds, what the platforms say of them, and the one place where
// that is decided. It would stay true if WeChat, Alipay, SQL and HTTP vanished, and it imports nothing of them.
//
// A use case is Load → Decide → Apply: the caller loads a Payment with its attempts and refunds, Decide returns a
// Change (a value: rows, events, due times) and a Verdict, and the store writes the Change in one transaction.
package pay

import "time"

// PaymentStatus is the state of a payment: open → paid, open → closed. Compared only inside this package.
type PaymentStatus string

// The states of a payment.
const (
	PaymentOpen   PaymentStatus = "open"
	PaymentPaid   PaymentStatus = "paid"
	PaymentClosed PaymentStatus = "closed"
)

// CloseReason says who wants a payment closed.
type CloseReason string

// The reasons to close a payment.
const (
	Cancelled CloseReason = "cancelled" // the shop asked
	Expired   CloseReason = "expired"   // its time ran out
)

// Limits of a payment.
const (
	MaxAttempts = 8 // per payment
)

// Payment is the shop's wish for an amount under its own order number, with everything tried to get it.
// Times are UTC with millisecond precision; the zero time means "not yet".
type Payment struct {
	ID        string // pay_…
	Shop      string // shop id
	OrderNo   string // the shop's number
	Amount    Fen
	Currency  string // CNY
	Subject   string // the shop's text, unmapped
	Status    PaymentStatus
	Livemode  bool
	Token     string // of the payer's pages: a random column, ≥ 128 bit
	ReturnURL string // the shop's, or ""
	Metadata  string // JSON object text, "{}" when none
	CreatedAt time.Time
	ExpiresAt time.Time

	CloseWantedAt time.Time   // set by a cancel or the expiry; a closing payment issues no code and offers no method
	CloseReason   CloseReason // with CloseWantedAt
	ClosedAt      time.Time
	PaidAt        time.Time // the platform's time of the payment; written once
	PaidAttempt   string    // id of the attempt that settled it; written once
	Late          bool      // its money came after it was closed, and was accepted

	// Seq is the number of the payment's newest event. A Change carries the events Seq+1…; their primary key
	// (payment, seq) is the guard against two writers.
	Seq int64

	// WatchedUntil is a plain column outside of every Change: until then a payer looks at the page.
	WatchedUntil time.Time

	Attempts []Attempt // in order of creation
	Refunds  []Refund  // in order of creation
}

// AttemptStatus is the state of an attempt: opening → open → paid | closed | refused; paid from any state, and
// nothing leaves paid. Compared only inside this package.
type AttemptStatus string

// The states of an attempt.
const (
	AttemptOpening AttemptStatus = "opening" // the platform was or will be asked; the outcome is not known
	AttemptOpen    AttemptStatus = "open"    // it has a shape a payer can use
	AttemptPaid    AttemptStatus = "paid"
	AttemptClosed  AttemptStatus = "closed"
	AttemptRefused AttemptStatus = "refused" // the platform said a signed no; no money can come
)

// ShapeKind is one of the four forms in which a platform takes a payer.
type ShapeKind string

// The four shapes.
const (
	ShapeQR   ShapeKind = "qr"       // Text is what the QR code says
	ShapeURL  ShapeKind = "redirect" // Text is the URL to visit
	ShapeForm ShapeKind = "form"     // Text is an HTML form to post
	ShapeSDK  ShapeKind = "sdk"      // Text is JSON parameters for a platform's SDK
)

// Shape is what a payer needs to pay an attempt. Zero = none yet.
type Shape struct {
	Kind  ShapeKind
	Text  string
	Until time.Time // unusable after; never later than the attempt's ExpiresAt
}

// Attempt is one try to get a payment's money through one account and product, under a number of its own.
type Attempt struct {
	ID         string // att_…
	PaymentID  string
	OutTradeNo string // ours, ≤ 32 of [0-9A-Za-z], time-ordered; never reused
	Method     string // what the payer chose
	Product    string // the platform's name of the way
	Status     AttemptStatus
	Amount     Fen
	Currency   string

	// Where it was asked: an observation counts only when all of these match (money rule 3).
	Account    string // account id
	Channel    string // driver
	AppID      string
	MerchantID string
	Variant    string // the driver's word for how its messages are signed, "" where there is one way only

	// The exact parameters of the request, committed before the platform is called; a repeat is identical.
	Subject   string // the payment's
	NotifyURL string
	ReturnURL string    // where the platform sends the payer back, "" when it does not
	ClientIP  string    // "" when unknown
	ExpiresAt time.Time // absolute deadline for paying, told to the platform
	CreatedAt time.Time

	Lazy        bool      // the order does not exist at the platform until a payer opens it
	Shape       Shape     // zero until open
	HandedOutAt time.Time // when the shape first left us; zero: nobody can have seen it

	CloseWantedAt time.Time // the payer went back; the payment stays open
	ClosedAt      time.Time

	TransactionID string // the platform's number; written once
	PaidAt        time.Time
	Refunded      Fen  // returned so far, as the platform says
	Surplus       bool // its money is more than the payment asked for: second or late

	Due Due
}

// Due is the part of a row that wants work later. The row is the job: there is no second queue.
// Tries is the fence: it is never reset, and a Change that depends on a claim names the Tries it holds.
type Due struct {
	At         time.Time // zero = nothing to do
	LeaseUntil time.Time // a node works on it until then
	Tries      int64     // claims so far
	Asked      int64     // how often somebody wanted it sooner
	Failures   int64     // failed tries in a row, for back-off
}

// RefundStatus is the state of a refund. Compared only inside this package.
type RefundStatus string

// The states of a refund.
const (
	RefundPending    RefundStatus = "pending"    // row written, platform not asked
	RefundProcessing RefundStatus = "processing" // asked, or short of balance
	RefundSucceeded  RefundStatus = "succeeded"
	RefundFailed     RefundStatus = "failed"
	RefundAbnormal   RefundStatus = "abnormal" // the payer's account cannot take it: a person must act
)

// Refund sends money of one attempt back. It is sent under one number for ever.
type Refund struct {
	ID          string // rfd_…
	PaymentID   string
	Shop        string
	AttemptID   string
	Account     string // the attempt's
	RefundNo    string // the shop's, unique among its refunds; the same as OutRefundNo when automatic or external
	OutRefundNo string // the number at the platform: ours, ≤ 32 of [0-9a-z], or the console's when external
	Amount      Fen
	Status      RefundStatus
	Code        string // why it waits or has ended: RefundShort, …, or the platform's own code; "" = nothing to say
	Reason      string // the shop's words
	Automatic   bool   // second or late money on its way back
	External    bool   // made at the platform's own console
	Quiet       bool   // the shop wants no webhooks about it
	CreatedAt   time.Time
	SentAt      time.Time // when it was sent last; zero: never
	SucceededAt time.Time // the platform's time, or ours when it tells none
	Due         Due
}
