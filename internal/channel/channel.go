// Package channel is the seam to the platforms: one driver per protocol, each turning what its platform says into
// pay.Observation. Channels observe; they never decide, store or retry: the due row is the retry.
package channel

import (
	"context"
	"crypto/tls"
	"errors"
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

// Refunder is the optional power of a channel to send money back. The holder of a refund's claim is the only caller.
type Refunder interface {
	// Refund asks the platform to return r.Amount of the paid attempt a under r.OutRefundNo. Calling again sends the
	// identical request under the same number, which the platforms take for one refund. The Observation has Refund set:
	// processing, or an end. Errors: Unknown (ask), Short (balance; nothing was returned), Unable (not asked: the account
	// has no means), Declined (a signed, final no: nothing was returned), Limited, TooEarly (nothing was returned).
	Refund(ctx context.Context, a pay.Attempt, r pay.Refund) (pay.Observation, error)

	// QueryRefund asks what became of r. The Observation has Refund set; a signed "does not exist" has the status
	// pending. Errors: Unknown, Limited.
	QueryRefund(ctx context.Context, a pay.Attempt, r pay.Refund) (pay.Observation, error)

	// CanRefund reports whether the account has what it takes, such as a client certificate.
	CanRefund() bool
}

// Refresher is the optional power of a channel that fetches something from its platform now and then, such as the keys
// that it verifies with.
type Refresher interface {
	// Refresh fetches if it is time, and says when it wants to be called again; after an error too. It is the only
	// way in which keys come: no notice makes a channel fetch anything. Errors: Unknown, Limited.
	Refresh(ctx context.Context) (next time.Time, err error)
}

// Varied is the optional power of a channel that can sign in more than one way. Each attempt keeps the way in which it
// was begun, and what comes back in another is not about it.
type Varied interface {
	// Variant is the way of new attempts: pay.Attempt.Variant. It is never "".
	Variant() string
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
	Short         Kind = "short"          // the merchant's balance does not cover a refund
	Unable        Kind = "unable"         // not asked: the account has no means for it
	Foreign       Kind = "foreign"        // not a message for this account
	Forged        Kind = "forged"         // verification or strict parsing failed
)

// Error is every channel error.
type Error struct {
	Kind       Kind
	Op         string        // "open", "query", "close", "refund", "query_refund", "read", "return"
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
	Sim     string           // origin of a simulator in the platform's place; "" = the platform's own hosts. Never with Livemode
	Now     func() time.Time // wall time, for signatures
	Random  io.Reader        // nonces
	Log     *slog.Logger

	// Certified makes the client of the calls that show a certificate; it is like HTTP otherwise. nil = there are no such
	// calls.
	Certified func(tls.Certificate) *http.Client
	// SimSecure is the origin of the simulator's that asks for a certificate; "" = it has none. Never with Livemode.
	SimSecure string
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
	// Settings makes an empty struct of the driver's settings.
	Settings func() Settings
	// New builds a channel from Settings that have been filled. What Inspect finds wrong is an error here too, and so
	// is an Env whose account is another than the settings', or a live account with a simulator.
	New func(s Settings, env Env) (Channel, error)
}

// Settings is a pointer to a driver's own struct, whose tags are the only declaration of its settings. A field without
// the tag env is no setting. Fields are string or secret.Text.
//
//	env:"WECHAT_MCH_ID"  the variable
//	en:"…" zh:"…"        what it is, for the documents
//	key:"private"        it holds the text of a key: private, public, certificate or p12 (base64). Its content may be
//	                     given by a file too, named by the variable with _FILE
//	weak:"true"          it refines what others mean: alone it does not say that this driver is meant
type Settings interface {
	// Identity is what the account is known by at its platform; merchantID may be "" where a platform tells it later.
	Identity() (appID, merchantID string)
	// Inspect says what was found, good and bad, as far as can be seen offline: every fault at once.
	Inspect(now time.Time) []Finding
}

// Finding is one thing that was found out about settings. No field ever holds content of a secret.
type Finding struct {
	Level   Level
	Code    string // stable: "missing", "placeholder", "own_public_key", …
	Setting string // the variable that it is about, "" = the account as a whole
	Text    string // what was found
	Cure    string // what to do about it, "" with LevelOK
}

// Level says how bad a Finding is.
type Level string

// The levels of findings.
const (
	LevelOK    Level = "ok"
	LevelWarn  Level = "warn"  // works, and should be mended
	LevelError Level = "error" // does not work
)

// Faulty returns the first fault among findings as an error that names setting, fault and cure; nil without one.
func Faulty(findings []Finding) error {
	for _, f := range findings {
		if f.Level == LevelError {
			return errors.New(f.String())
		}
	}
	return nil
}

// String is one line: setting, what was found, what to do.
func (f Finding) String() string {
	line := f.Text
	if f.Setting != "" {
		line = f.Setting + ": " + line
	}
	if f.Cure != "" {
		line += "; " + f.Cure
	}
	return line
}

// Info is what others must know of a platform, as data: gateway and web hold no platform quirk.
type Info struct {
	Channel     string   // "wechatv3", "alipay": pay.Attempt.Channel
	Method      string   // what the payer sees: "wechat", "alipay"
	Prefix      string   // of the settings that all drivers of the method share, e.g. "WECHAT" of WECHAT_NOTIFY_URL
	NotifyPath  string   // the guide's path, e.g. "/payment/wechat/notify"
	BrowserMark string   // substring of the user agent of the platform's own browser
	FormHosts   []string // origins a form shape posts to, for the page's CSP
	// Sandbox: the platform has a sandbox of its own that can be used. In test mode a driver with one is run against it
	// when its credentials are set; one without is always simulated.
	Sandbox bool
	// MerchantOptional: the merchant number may be learned from the first paid notice, so that it is no part of the
	// account's id.
	MerchantOptional bool
	Products         []Product // first fitting one is used
	// Refunds are the platform's rules about refunds of one order.
	Refunds pay.RefundLimits
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
