package alipay

import (
	"context"
	"encoding/json"
	"html"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

// maxSubject is the longest subject on the wire. The documents say 256 without a unit (opendocs, alipay.trade.page.pay): in bytes of UTF-8
// it holds whatever the unit is.
const maxSubject = 256

// product is one browser product of the platform.
type product struct {
	method string
	code   string // product_code
	form   bool   // the shape is a form, else a URL
	quit   bool   // takes quit_url: where a payer who gives up is led
}

var products = map[string]product{
	"page":      {method: "alipay.trade.page.pay", code: "FAST_INSTANT_TRADE_PAY"},
	"page_form": {method: "alipay.trade.page.pay", code: "FAST_INSTANT_TRADE_PAY", form: true},
	"wap":       {method: "alipay.trade.wap.pay", code: "QUICK_WAP_WAY", quit: true},
	"wap_form":  {method: "alipay.trade.wap.pay", code: "QUICK_WAP_WAY", quit: true, form: true},
}

// order is the biz_content of page pay and wap pay. Nothing that a payer or a shop can write travels beside subject,
// so no notice can carry text that a signature would cover in two ways.
type order struct {
	OutTradeNo  string `json:"out_trade_no"`
	TotalAmount string `json:"total_amount"`
	Subject     string `json:"subject"`
	ProductCode string `json:"product_code"`
	TimeExpire  string `json:"time_expire"`
	QuitURL     string `json:"quit_url,omitempty"`
}

// Open signs locally and calls nobody: the order comes to be when a payer opens the URL or posts the form. It is a
// function of a alone, the timestamp included (the attempt's creation), so a repeat is identical.
func (c *client) Open(_ context.Context, a pay.Attempt) (pay.Shape, error) {
	p, known := products[a.Product]
	switch {
	case !known:
		return pay.Shape{}, fail("open", channel.Declined, "product", "alipay has no such product")
	case !a.Amount.Valid() || a.Currency != pay.CNY:
		return pay.Shape{}, fail("open", channel.Declined, "amount", "alipay takes 0.01 to 100000000 yuan, in CNY")
	}
	if err := c.mayAsk("open"); err != nil {
		return pay.Shape{}, err
	}
	o := order{
		OutTradeNo:  a.OutTradeNo,
		TotalAmount: yuan(a.Amount),
		Subject:     wireSubject(a.Subject, a.OutTradeNo),
		ProductCode: p.code,
		TimeExpire:  a.ExpiresAt.In(zone).Format(timeLayout),
	}
	if p.quit {
		o.QuitURL = a.ReturnURL
	}
	fields := c.fields(p.method, a.CreatedAt)
	if a.NotifyURL != "" {
		fields = append(fields, strict.Pair{Name: "notify_url", Value: a.NotifyURL})
	}
	if a.ReturnURL != "" {
		fields = append(fields, strict.Pair{Name: "return_url", Value: a.ReturnURL})
	}
	fields, err := c.signed("open", fields, o)
	if err != nil {
		return pay.Shape{}, err
	}
	if p.form {
		return pay.Shape{Kind: pay.ShapeForm, Text: c.form(fields), Until: a.ExpiresAt}, nil
	}
	return pay.Shape{Kind: pay.ShapeURL, Text: c.url(fields, ""), Until: a.ExpiresAt}, nil
}

// fields are the public parameters of every request (opendocs, public parameters), none of them empty: the platform drops empty
// ones before it verifies.
func (c *client) fields(method string, at time.Time) strict.Form {
	fields := make(strict.Form, 0, 14) // these, three of Open, and the signature
	if c.certs != nil {
		fields = append(fields,
			strict.Pair{Name: "app_cert_sn", Value: c.certs.appSN}, strict.Pair{Name: "alipay_root_cert_sn", Value: c.certs.rootSN})
	}
	return append(fields,
		strict.Pair{Name: "app_id", Value: c.appID},
		strict.Pair{Name: "method", Value: method},
		strict.Pair{Name: "format", Value: "JSON"},
		strict.Pair{Name: "charset", Value: "utf-8"},
		strict.Pair{Name: "sign_type", Value: "RSA2"},
		strict.Pair{Name: "timestamp", Value: at.In(zone).Format(timeLayout)},
		strict.Pair{Name: "version", Value: "1.0"},
	)
}

// signed adds biz as biz_content, sorts, and adds the signature.
func (c *client) signed(op string, fields strict.Form, biz any) (strict.Form, error) {
	content, err := json.Marshal(biz)
	if err != nil {
		return nil, &channel.Error{Kind: channel.Unknown, Op: op, Code: "sign", Text: "the request could not be written", Cause: err}
	}
	fields = append(fields, strict.Pair{Name: "biz_content", Value: string(content)})
	sortFields(fields)
	signature, err := sign(c.private, canonical(fields, inRequest))
	if err != nil {
		return nil, &channel.Error{Kind: channel.Unknown, Op: op, Code: "sign", Text: "the request could not be signed", Cause: err}
	}
	return append(fields, strict.Pair{Name: "sign", Value: signature}), nil
}

// url is the gateway with fields as its query, without the one called but.
func (c *client) url(fields strict.Form, but string) string {
	var b strings.Builder
	b.Grow(2048)
	b.WriteString(c.gateway)
	separator := byte('?')
	for i := range fields {
		if fields[i].Name == but {
			continue
		}
		b.WriteByte(separator)
		b.WriteString(fields[i].Name)
		b.WriteByte('=')
		escape(&b, fields[i].Value)
		separator = '&'
	}
	return b.String()
}

// escape writes s percent-encoded: everything but the unreserved characters of RFC 3986, a space as %20.
func escape(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; isNumberByte(c) || c == '.' || c == '~' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}

// form posts biz_content to the gateway with everything else in the query, charset above all: without it there the
// platform reads the body as GBK. The script's text never changes, so a page can allow it by its hash; without
// scripts the button does the same.
func (c *client) form(fields strict.Form) string {
	return `<form name="alipay" method="post" accept-charset="utf-8" action="` + html.EscapeString(c.url(fields, "biz_content")) +
		`"><input type="hidden" name="biz_content" value="` + html.EscapeString(fields.Get("biz_content")) +
		`"><button type="submit">前往支付宝付款</button></form><script>document.forms["alipay"].submit()</script>`
}

// wireSubject maps a shop's text for the platform, which allows no '&', '=' or '/' in it: these become full-width, and
// characters that are invisible, outside of the basic plane or broken are left out. An empty rest becomes the number.
func wireSubject(text, number string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '&' || r == '=' || r == '/':
			r += '＆' - '&' // full-width forms lie at a constant distance
		case r == utf8.RuneError || r > 0xFFFF || !unicode.IsGraphic(r):
			continue
		}
		if b.Len()+utf8.RuneLen(r) > maxSubject {
			break
		}
		b.WriteRune(r)
	}
	if subject := strings.TrimSpace(b.String()); subject != "" {
		return subject
	}
	return number
}
