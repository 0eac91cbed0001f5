package api

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// createPayment is the body of a create. Its schema tags document; check decides.
type createPayment struct {
	OrderNo   string            `json:"order_no" minLength:"1" maxLength:"64" pattern:"^[0-9A-Za-z._|*@-]+$" doc:"Your number of the order. At most one payment of an order is open or paid."`
	Amount    int64             `json:"amount" minimum:"1" maximum:"10000000000" doc:"Fen, a hundredth of a yuan: a plain integer. 100 is ¥1.00."`
	Currency  string            `json:"currency,omitempty" enum:"CNY" doc:"CNY, also when left out."`
	Subject   string            `json:"subject" minLength:"1" maxLength:"256" doc:"What is bought, for the payer. No control characters."`
	Method    string            `json:"method,omitempty" maxLength:"32" doc:"Open this method at once and answer its action; left out, the payer chooses on the cashier page."`
	Product   string            `json:"product,omitempty" maxLength:"32" doc:"The platform's product of the method; left out, it follows from the payer's device."`
	ReturnURL string            `json:"return_url,omitempty" format:"uri" maxLength:"2048" doc:"Where the payer goes afterwards, with payment_id and order_no added. It proves nothing: rely on the webhook or on GET."`
	ExpiresIn *int64            `json:"expires_in,omitempty" minimum:"120" maximum:"86400" doc:"Seconds in which it can be paid; 1800 when left out."`
	Metadata  map[string]string `json:"metadata,omitempty" maxProperties:"20" doc:"Yours; comes back unchanged. At most 2 kB of JSON. Not for secrets."`
}

var methodForm = regexp.MustCompile(`^[0-9a-z_]{0,32}$`)

// check returns the first field that is wrong, as *gateway.Error with Param.
func (b *createPayment) check() error {
	switch {
	case !orderNoForm.MatchString(b.OrderNo):
		return wrong("order_no", "order_no is required: 1 to 64 of [0-9A-Za-z._|*@-].")
	case !pay.Fen(b.Amount).Valid():
		return wrong("amount", "amount is required: an integer of fen, 1 to 10000000000 (100 is ¥1.00).")
	case b.Currency != "" && b.Currency != pay.CNY:
		return wrong("currency", "currency is CNY.")
	case !isSubject(b.Subject):
		return wrong("subject", "subject is required: 1 to 256 characters, none of them control characters.")
	case !methodForm.MatchString(b.Method):
		return wrong("method", "method is a name such as the ones the cashier page offers.")
	case !methodForm.MatchString(b.Product):
		return wrong("product", "product is a platform's name of one of its ways to pay.")
	case b.Product != "" && b.Method == "":
		return wrong("product", "product needs a method.")
	case !isReturnURL(b.ReturnURL):
		return wrong("return_url", "return_url is an http or https address of at most 2048 bytes, without user name.")
	case b.ExpiresIn != nil && !isExpiry(*b.ExpiresIn):
		return wrong("expires_in", "expires_in is 120 to 86400 seconds.")
	case !isMetadata(b.Metadata):
		return wrong("metadata", "metadata is at most 20 names and 2048 bytes of JSON.")
	}
	return nil
}

func isSubject(s string) bool {
	return strings.TrimSpace(s) != "" && utf8.RuneCountInString(s) <= gateway.MaxSubject && strings.IndexFunc(s, unicode.IsControl) < 0
}

// isReturnURL checks the form; which origins are allowed is the gateway's to say.
func isReturnURL(s string) bool {
	if s == "" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && len(s) <= gateway.MaxReturnURL && (u.Scheme == "https" || u.Scheme == "http") &&
		u.Host != "" && u.User == nil && u.Opaque == ""
}

func isExpiry(seconds int64) bool {
	return seconds >= int64(gateway.MinExpiresIn/time.Second) && seconds <= int64(gateway.MaxExpiresIn/time.Second)
}

func isMetadata(m map[string]string) bool {
	text, err := json.Marshal(m)
	return err == nil && len(m) <= gateway.MaxMetadataKeys && len(text) <= gateway.MaxMetadataBytes
}
