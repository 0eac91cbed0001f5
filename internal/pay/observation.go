package pay

import "time"

// State is what a platform says of an attempt.
type State string

// What a platform can say. Anything a channel does not list is Unknown.
const (
	Unpaid  State = "unpaid"
	Paid    State = "paid"
	Closed  State = "closed"  // closed there, unpaid
	Refused State = "refused" // a signed no to opening, or a failed payment that cannot be tried again
	Absent  State = "absent"  // a signed "does not exist"
	Unknown State = "unknown"
)

// Source is how an observation reached us.
type Source string

// The sources.
const (
	FromNotice Source = "notice"
	FromQuery  Source = "query"
	FromOpen   Source = "open"
	FromClose  Source = "close"
	FromRefund Source = "refund" // sending one, or asking about it
)

// Observation is what a platform told us, by whatever way, once its signature held over the raw bytes.
// Channels fill it from the message; only facts that the message cannot carry (an Alipay query answer names no
// app id) come from the account whose key verified it. Channels observe; they never decide.
type Observation struct {
	Source     Source
	Channel    string // driver that verified it
	Account    string // account whose keys verified it
	AppID      string
	MerchantID string
	Variant    string // how the message was signed: the attempt's
	OutTradeNo string

	State         State
	Amount        Fen    // asked for, as the platform has it; with Paid
	Currency      string // with Paid
	TransactionID string // with Paid
	PaidAt        time.Time
	Refunded      Fen // cumulative, 0 when not told

	Refund *RefundFact // set when the message is about one refund; State is then Paid or Unknown

	// Hint: nothing in the message is proven. Whoever takes it asks the platform about the refunds of the order that it
	// names, and Decide takes nothing from it.
	Hint bool

	// Tries is the claim under which we asked (0 = nobody asked: a notice). Its holder is the only caller of
	// the platform and a lease outlives every call, so under a claim all earlier calls have ended.
	Tries int64

	// AcceptLate is policy, and for the caller to fill in: money for a closed payment pays it, because no newer payment of
	// its order is open or paid.
	AcceptLate bool
}

// RefundFact is what a platform says of one refund.
type RefundFact struct {
	OutRefundNo string
	Amount      Fen
	Status      RefundStatus // RefundPending: a signed "does not exist"
	At          time.Time    // when the money went back, zero when not told
}

// NotThere reports a signed "does not exist".
func (f RefundFact) NotThere() bool { return f.Status == RefundPending }
