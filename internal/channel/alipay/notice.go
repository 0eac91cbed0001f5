package alipay

import (
	"bytes"
	"strings"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

const maxName = 64 // of a field of a notice

// Read verifies an asynchronous notice (opendocs, asynchronous notices) over its raw body. The Content-Type is not looked at: the
// platform's own is malformed. No age is refused: the platform repeats a notice for 25 hours, and a replay is harmless
// because the domain takes each fact once. A valid signature under another app id or seller is reported as it
// stands, for the domain to quarantine, and so is the seller when none is configured, for the gateway to pin; another app's message that our key does not verify is Foreign.
func (c *client) Read(in channel.Inbound) (pay.Observation, error) {
	const op = "read"
	if first := bytes.TrimLeft(in.Body, " \t\r\n"); len(first) > 0 && (first[0] == '{' || first[0] == '<') {
		return pay.Observation{}, fail(op, channel.Foreign, "form", "the message is JSON or XML, not a form")
	}
	switch {
	case in.RawQuery != "":
		return pay.Observation{}, fail(op, channel.Forged, "query", "a notice carries nothing in its URL")
	case len(in.Body) > channel.MaxBody:
		return pay.Observation{}, fail(op, channel.Forged, "too_large", "the notice is larger than 64 KiB")
	case !plain(in.Header.Values("Content-Encoding")):
		return pay.Observation{}, fail(op, channel.Forged, "content_encoding", "a notice is not compressed")
	}
	form, err := c.verified(op, in.Body)
	if err != nil {
		return pay.Observation{}, err
	}
	if form.Get("notify_type") != "trade_status_sync" {
		return pay.Observation{}, fail(op, channel.Foreign, "notify_type", "the message is not a notice of a trade")
	}
	t := trade{
		number: form.Get("out_trade_no"), transaction: form.Get("trade_no"), status: form.Get("trade_status"),
		currency: form.Get("trans_currency"), total: form.Get("total_amount"), refunded: form.Get("refund_fee"),
		paidAt: form.Get("gmt_payment"),
	}
	t.paid = t.paidAt != "" || form.Get("gmt_refund") != "" || moved(t.refunded)
	o, problem := c.observe(pay.FromNotice, t)
	if problem != "" {
		return pay.Observation{}, fail(op, channel.Forged, problem, "the notice holds a value outside of its grammar")
	}
	seller := form.Get("seller_id")
	if seller != "" && !isNumber(seller) {
		return pay.Observation{}, fail(op, channel.Forged, "seller_id", "the notice holds a value outside of its grammar")
	}
	o.AppID, o.MerchantID = form.Get("app_id"), seller
	return o, nil
}

// Return verifies the query of return_url (opendocs, alipay.trade.page.pay): the rule of notices. Our return URL has no query of its own,
// so every field there must be signed.
func (c *client) Return(rawQuery string) (string, error) {
	const op = "return"
	if len(rawQuery) > channel.MaxBody {
		return "", fail(op, channel.Forged, "too_large", "the query is larger than 64 KiB")
	}
	form, err := c.verified(op, []byte(rawQuery))
	if err != nil {
		return "", err
	}
	method := form.Get("method")
	switch {
	case method != "alipay.trade.page.pay.return" && method != "alipay.trade.wap.pay.return":
		return "", fail(op, channel.Foreign, "method", "the query is not a payer's return")
	case form.Get("app_id") != c.appID:
		return "", fail(op, channel.Foreign, "app_id", "the query is about another app")
	case !isNumber(form.Get("out_trade_no")):
		return "", fail(op, channel.Forged, "out_trade_no", "the query names no order")
	}
	return form.Get("out_trade_no"), nil
}

// verified parses a signed message, verifies it and returns its fields, sorted. What it accepts could not have been
// cut into fields in another way under the same signature (see splits). Empty fields are not signed and count as
// absent: the readers take "" for both.
func (c *client) verified(op string, raw []byte) (strict.Form, error) {
	form, err := strict.ParseForm(raw)
	if err != nil {
		return nil, &channel.Error{Kind: channel.Forged, Op: op, Code: "form", Text: "the message is not a clean form", Cause: err}
	}
	for i := range form {
		switch {
		case len(form[i].Name) > maxName || !only(form[i].Name, isNameByte):
			return nil, fail(op, channel.Forged, "name", "a field's name is outside of [a-z0-9_]{1,64}")
		case splits(form[i].Value):
			return nil, fail(op, channel.Forged, "split", "a value could be read as two fields")
		}
	}
	appID := form.Get("app_id")
	switch {
	case appID == "":
		return nil, fail(op, channel.Forged, "app_id", "the message names no app")
	case form.Get("sign_type") != "RSA2":
		return nil, fail(op, channel.Forged, "sign_type", "the message is not signed with RSA2")
	case !strings.EqualFold(form.Get("charset"), "utf-8"):
		return nil, fail(op, channel.Forged, "charset", "the message is not in utf-8")
	}
	sn := form.Get("alipay_cert_sn")
	sortFields(form)
	switch {
	case !c.otherCert(sn) && c.signedByAlipay(form, sn):
	case appID != c.appID:
		return nil, fail(op, channel.Foreign, "app_id", "the message is for another app")
	case c.otherCert(sn):
		return nil, fail(op, channel.Forged, "cert_sn", otherCertText)
	default:
		return nil, fail(op, channel.Forged, "signature", "the signature does not hold")
	}
	if err := c.mayTrust(op, channel.Forged); err != nil {
		return nil, err
	}
	return form, nil
}

// signedByAlipay verifies a sorted form. Whether alipay_cert_sn is signed is not documented, and the platform's own
// clients differ: in certificate mode it may be, or not. It is used for nothing beyond naming the certificate.
func (c *client) signedByAlipay(form strict.Form, sn string) bool {
	signature := form.Get("sign")
	return verify(c.public, canonical(form, inMessage), signature) ||
		c.certs != nil && sn != "" && verify(c.public, canonical(form, inMessageWithoutCert), signature)
}

// splits reports whether value holds "&name=" for any name that a field may have. The signed text joins fields
// unescaped, so such a value could be handed in again as two fields under the same signature.
func splits(value string) bool {
	for {
		_, rest, found := strings.Cut(value, "&")
		if !found {
			return false
		}
		end := 0
		for end < len(rest) && end <= maxName && isNameByte(rest[end]) {
			end++
		}
		if end > 0 && end <= maxName && end < len(rest) && rest[end] == '=' {
			return true
		}
		value = rest
	}
}

func isNameByte(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'z' || c == '_' }

func plain(encodings []string) bool {
	for _, encoding := range encodings {
		if encoding != "" && encoding != "identity" {
			return false
		}
	}
	return true
}
