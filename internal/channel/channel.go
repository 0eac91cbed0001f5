// Package channel is the seam to the platforms: one driver per protocol, each turning what its platform says into
// pay.Observation. Channels observe; they never decide, store or retry: the due row is the retry.
package channel

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"piaohao/internal/pay"
)

// Channel speaks one protocol for one account. Implementations are safe for concurrent use, parse keys once in
// New, never read the wall clock or start goroutines, and pass channeltest.Run.
//
// Every error is an *Error. The holder of an attempt's claim is the only caller of Open, Query and Close.
type Channel interface {
	// Open asks the platform for a shape. a holds the exact parameters; calling again sends the identical
	// request under the same number, which both platforms allow until it is paid. For lazy products (Info) it
	// signs locally and calls nobody. Errors: Unknown (asked, outcome not known: repeat), Declined (a signed no:
	// the attempt is dead), AlreadyPaid (query it), AlreadyClosed, Limited (back off).
	Open(ctx context.Context, a pay.Attempt) (pay.Shape, error)

	// Query asks what became of a. The Observation's Tries is left 0 for the caller to fill. A signed "does not
	// exist" is State Absent, not an error. Errors: Unknown, Limited.
	Query(ctx context.Context, a pay.Attempt) (pay.Observation, error)

	// Close closes a at the platform; closing twice is fine. State is Closed, or Absent for a signed "does not
	// exist". Errors: Unknown, Limited, AlreadyPaid (query it), TooEarly (try again later).
	Close(ctx context.Context, a pay.Attempt) (pay.Observation, error)

	// Read verifies a notice over its raw bytes and returns what it says. A message for another account or in
	// another form is Foreign; a message that fails verification or strict parsing is Forged. Nothing is looked
	// up from the network because a caller named it.
	Read(in Inbound) (pay.Observation, error)

	// Ack is the platform's documented answer to a notice: accepted, or not (it will be sent again).
	Ack(accepted bool) Reply
}

// Returner is the optional power of a channel whose platform signs the payer's way back.
type Returner interface {
	// Return verifies the query of a return URL and returns the out_trade_no it names. It proves that the payer
	// came from the platform, never that money arrived. Errors: Foreign, Forged.
	Return(rawQuery string) (outTradeNo string, err error)
}

// Inbound is a request of a platform as it arrived; Body is whole and untouched.
type Inbound struct {
	Header   http.Header
	RawQuery string
	Body     []byte
}

// Reply is an HTTP answer.
type Reply struct {
	Status      int
	ContentType string
	Body        string
}

// Kind says what an error of a channel means for the caller.
type Kind string

// The kinds of channel errors.
const (
	Unknown       Kind = "unknown"        // asked or perhaps asked; timeout, 5xx, unsigned or unreadable answer
	Declined      Kind = "declined"       // a signed, final no
	AlreadyPaid   Kind = "already_paid"   // the order is paid there
	AlreadyClosed Kind = "already_closed" // the order is closed there
	TooEarly      Kind = "too_early"      // not allowed yet
	Limited       Kind = "limited"        // too many calls; see RetryAfter
	Foreign       Kind = "foreign"        // not a message for this account
	Forged        Kind = "forged"         // verification or strict parsing failed
)

// Error is every channel error.
type Error struct {
	Kind       Kind
	Op         string        // "open", "query", "close", "read", "return"
	Code       string        // the platform's own code, or a short stable word of ours
	Text       string        // the platform's text or ours; safe to log, holds no secret and no payload
	RequestID  string        // the platform's, when it gave one
	RetryAfter time.Duration // with Limited, 0 = default
	Cause      error
}

// Error names operation, kind and code; Cause is kept apart for logs.
func (e *Error) Error() string { return e.Op + ": " + string(e.Kind) + " " + e.Code + " " + e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Env is what a driver is handed: nothing in a channel reads clock, randomness or network by itself.
type Env struct {
	Account Account
	HTTP    *http.Client     // bounded by CallTimeout per call; never follows redirects
	Now     func() time.Time // wall time, for signatures
	Random  io.Reader        // nonces
	Log     *slog.Logger
}

// Account identifies the merchant number that a Channel works for.
type Account struct {
	ID         string // stable id of the account row, e.g. "wechat-test"
	AppID      string
	MerchantID string
	Livemode   bool
}

// Driver is the one value a driver package exports.
type Driver struct {
	Info Info
	// New builds a channel from the driver's own Config struct (a pointer to it), whose tags are the only
	// declaration of its settings. A half-filled or contradictory config is an error that names the setting.
	New func(config any, env Env) (Channel, error)
}

// Info is what others must know of a platform, as data: gateway and web hold no platform quirk.
type Info struct {
	Channel     string    // "wechatv3", "alipay": pay.Attempt.Channel
	Method      string    // what the payer sees: "wechat", "alipay"
	NotifyPath  string    // the guide's path, e.g. "/payment/wechat/notify"
	BrowserMark string    // substring of the user agent of the platform's own browser
	FormHosts   []string  // origins a form shape posts to, for the page's CSP
	Products    []Product // first fitting one is used
}

// Product is one way a platform takes payers.
type Product struct {
	Name     string        // pay.Attempt.Product
	Shape    pay.ShapeKind // what Open returns
	Lazy     bool          // the order exists only once a payer opened it; Open calls nobody
	Phone    bool          // for phone browsers
	Desktop  bool          // for desktop browsers (a QR on a desktop counts)
	Lifetime time.Duration // of a shape, from opening
}

// Limits of every outbound call and inbound message.
const (
	CallTimeout = 8 * time.Second // longest outbound deadline; a lease outlives it
	MaxBody     = 64 << 10        // of a notice, and of an answer
)
