package pay

import "time"

// EventType names what changed. Public strings: never edited, only added to (golden test).
type EventType string

// The events. Public says which are for shops; attempt.* and the rest are our own.
const (
	EventPaymentCreated  EventType = "payment.created"
	EventPaymentClosing  EventType = "payment.closing"
	EventPaymentReopened EventType = "payment.reopened" // a cancel withdrawn
	EventPaymentPaid     EventType = "payment.paid"
	EventPaymentClosed   EventType = "payment.closed"
	EventSurplus         EventType = "payment.surplus_received"
	EventLatePaid        EventType = "payment.late_paid"

	EventAttemptCreated   EventType = "attempt.created"
	EventAttemptOpened    EventType = "attempt.opened"
	EventAttemptHandedOut EventType = "attempt.handed_out"
	EventAttemptClosing   EventType = "attempt.closing"
	EventAttemptResumed   EventType = "attempt.resumed" // the payer came back to it
	EventAttemptPaid      EventType = "attempt.paid"
	EventAttemptClosed    EventType = "attempt.closed"
	EventAttemptRefused   EventType = "attempt.refused"
	EventAttemptRefunded  EventType = "attempt.refunded"

	EventRefundCreated   EventType = "refund.created"
	EventRefundExternal  EventType = "refund.external" // made at the platform's own console
	EventRefundSucceeded EventType = "refund.succeeded"
	EventRefundFailed    EventType = "refund.failed"
	EventRefundAbnormal  EventType = "refund.abnormal" // a person must act
	EventRefundChanged   EventType = "refund.changed"  // sent, or waiting; our own
)

// Event is the record of one change. (PaymentID, Seq) is its key and the guard of the Change that carries it.
type Event struct {
	ID        string // evt_…
	PaymentID string
	Seq       int64
	Type      EventType
	AttemptID string // "" when it is about the payment alone
	RefundID  string
	At        time.Time
	Livemode  bool
	Shop      string
	Body      []byte // JSON sent to shops byte for byte; nil for internal events
	Quiet     bool   // about a refund of which the shop wants no webhooks
	ActedBy   string // the operator whose act it records, "" = nobody's
	Pos       int64  // global order, given by the store; 0 in a Change
}

// ForShops reports whether webhooks carry events of this type: what a shop did itself it knows from the API's answer.
func (t EventType) ForShops() bool {
	return t.Public() && t != EventPaymentCreated && t != EventRefundCreated
}

// Public reports whether shops see events of this type: the list of events has them.
func (t EventType) Public() bool {
	switch t {
	case EventPaymentCreated, EventPaymentPaid, EventPaymentClosed, EventSurplus, EventLatePaid,
		EventRefundCreated, EventRefundSucceeded, EventRefundFailed, EventRefundAbnormal, EventRefundExternal:
		return true
	case EventPaymentClosing, EventPaymentReopened, EventAttemptCreated, EventAttemptOpened, EventAttemptHandedOut,
		EventAttemptClosing, EventAttemptResumed, EventAttemptPaid, EventAttemptClosed, EventAttemptRefused,
		EventAttemptRefunded, EventRefundChanged:
	}
	return false
}

// Incident is something a person should look at. (Account, Digest) is unique: a message repeated is one incident.
type Incident struct {
	ID        string // inc_…
	Account   string
	Digest    string // hex SHA-256 of the raw message, or of the fact
	Kind      string // stable code
	PaymentID string // "" when unknown
	AttemptID string
	Detail    string // what was expected and what came, for people; no secret
	Raw       []byte // the message as it came, or nil
	At        time.Time
}

// Fence makes a Change depend on a claim: it is written only while the row's Tries is still this. One of the ids is set.
type Fence struct {
	AttemptID string
	RefundID  string
	Tries     int64
}

// AttemptRow is an attempt as it is after a Change. The store writes the domain columns of an old row and all
// columns of a new one (New; its Due is written too). Wake moves the due time of an old row and counts as
// asking (asked+1): nil leaves it, the zero time clears it.
type AttemptRow struct {
	Attempt Attempt
	New     bool
	Wake    *time.Time
}

// RefundRow is a refund as it is after a Change.
type RefundRow struct {
	Refund Refund
	New    bool
}

// Change is what one decision writes, in one transaction. The zero Change (no events) writes nothing.
type Change struct {
	New      bool    // the payment's row is new: its partial unique index on the open order is the guard
	Payment  Payment // the whole payment after the change, with all attempts and refunds
	Attempts []AttemptRow
	Refunds  []RefundRow
	Events   []Event // Seq contiguous, from the loaded Payment.Seq+1
	// Incidents are what a person should look at; a Change without events has at most one.
	Incidents []Incident
	Fence     *Fence
}

// Empty reports whether there is nothing to write.
func (c Change) Empty() bool { return len(c.Events) == 0 }

// Verdict is what an observation came to; the answer to a notice follows from it.
type Verdict string

// The verdicts. Success is answered to a platform for Applied, Duplicate and Consistent, after the commit.
const (
	Applied    Verdict = "applied"
	Duplicate  Verdict = "duplicate"
	Consistent Verdict = "consistent" // authentic, fits, changes nothing
	Quarantine Verdict = "quarantine" // authentic but does not fit: an incident, no change, non-success
)
