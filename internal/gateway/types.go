package gateway

import (
	"time"

	"piaohao/internal/pay"
	"piaohao/internal/view"
)

// Limits of a create.
const (
	MinExpiresIn     = 120 * time.Second
	MaxExpiresIn     = 86400 * time.Second
	DefaultExpiresIn = 1800 * time.Second
	MaxOrderNo       = 64  // of [0-9A-Za-z._|*@-]
	MaxSubject       = 256 // characters
	MaxMetadataKeys  = 20
	MaxMetadataBytes = 2048 // of the compact JSON text
	MaxReturnURL     = 2048
)

// CreateInput is a shop's wish. Create checks it whole; a wrong field is CodeInvalid with Param.
type CreateInput struct {
	Shop      string
	OrderNo   string
	Amount    pay.Fen
	Currency  string // "" = CNY
	Subject   string
	Method    string // "" = the payer chooses
	Product   string // "" = the method's own choice
	ReturnURL string
	ExpiresIn time.Duration // 0 = DefaultExpiresIn
	Metadata  map[string]string
	ClientIP  string
}

// Result is a payment as the shop sees it, and whether this call made it.
type Result struct {
	View    view.Payment
	Created bool
}

// Device is what the user agent says of a payer's browser.
type Device struct {
	Phone   bool
	Browser string // the method whose own browser this is ("" = an ordinary browser)
}

// Page is everything a payer's page shows. Times are UTC.
type Page struct {
	ShopName  string
	Payment   pay.Payment
	Phase     Phase
	Attempt   *pay.Attempt // the attempt the page is about: shown, paid, late or refused; nil = choices
	Refund    pay.Return   // what goes back of the payment's own money
	Surplus   pay.Return   // what goes back of second or late money
	Choices   []Choice     // ways still offered, ordered for the device
	WalletURL string       // test mode: where the simulated wallet can pay Attempt; "" otherwise
	QR        string       // text of the QR code when Phase is PhaseScan
	ReturnURL string       // where "back to the shop" leads, with payment_id and order_no; "" = nowhere
	Version   int64        // grows with every change of the payment; the page's live stream and poll compare it
}

// Phase is what a payer's page should say.
type Phase string

// The phases of a payer's page. Each has a page of its own.
const (
	PhaseChoose     Phase = "choose"     // pick a method
	PhaseOpening    Phase = "opening"    // the platform is being asked; the page refreshes itself
	PhaseScan       Phase = "scan"       // a QR code is shown
	PhaseLeave      Phase = "leave"      // the method is a redirect: a link leads there, and the page waits
	PhaseConfirming Phase = "confirming" // the payer came back, or the payment is closing; do not pay again
	PhasePaid       Phase = "paid"       // perhaps some of it went back
	PhaseRefunded   Phase = "refunded"   // paid, and all of it went back
	PhaseClosed     Phase = "closed"     // cancelled by the shop
	PhaseExpired    Phase = "expired"    // closed because time ran out
	PhaseRefused    Phase = "refused"    // the platform refused this way; others are offered
	PhaseTwice      Phase = "twice"      // paid, and more money came
	PhaseLate       Phase = "late"       // closed, and money came afterwards
)

// Choice is one method a payer can pick.
type Choice struct {
	Method   string
	Redirect bool // leads to the platform's own page; else a QR code is shown here
	Hint     Hint // what to say beside it on this device
}

// Hint says how a method is used on the payer's device.
type Hint string

// The hints.
const (
	HintScan        Hint = "scan"         // scan with the phone
	HintOtherDevice Hint = "other_device" // this is a phone: scan from another device
	HintGo          Hint = "go"           // go to the platform's page
	HintOpenBrowser Hint = "open_browser" // the other platform's own browser blocks it: open in an ordinary browser
)

// Leave is where a payer's click on a method leads: exactly one field is set.
type Leave struct {
	URL       string // 303 to the platform
	FormHTML  string // a page that posts this form
	ToProcess bool   // 303 back to our page of this payment
}

// Platform is what the web layer mounts for one method, as data.
type Platform struct {
	Method      string
	NotifyPaths []string // the guide's path and one per account
	BrowserMark string   // substring of the user agent of the platform's own browser
	FormHosts   []string // origins that form pages post to
}
