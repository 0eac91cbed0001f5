package alipay

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"piaohao/internal/channel"
	"piaohao/internal/channel/channeltest"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

// A signed notice is refused for what it is, whoever signed it.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	a := testAttempt(0)
	ours := func(changes ...string) channel.Inbound { return notice(alipayKey(), with(noticeFields(a), changes...)) }
	resigned := func(edit func(string) string) channel.Inbound { // the signature, edited
		in := ours()
		values, _ := url.ParseQuery(string(in.Body))
		values.Set("sign", edit(values.Get("sign")))
		in.Body = []byte(values.Encode())
		return in
	}
	raw := func(edit func(string) string) channel.Inbound { // the body, edited
		in := ours()
		in.Body = []byte(edit(string(in.Body)))
		return in
	}
	add := func(text string) channel.Inbound { return raw(func(s string) string { return s + text }) }
	withQuery := ours()
	withQuery.RawQuery = "a=1"
	zipped := ours()
	zipped.Header = http.Header{"Content-Encoding": {"gzip"}}
	signed := strings.Repeat("A", 344)
	tests := []struct {
		name string
		in   channel.Inbound
		kind channel.Kind
		code string
	}{
		{"A02 sign missing", raw(func(s string) string {
			i := strings.Index(s, "&sign=")
			return s[:i] + s[i+1+strings.Index(s[i+1:], "&"):]
		}), channel.Forged, "signature"},
		{"A02 sign empty", resigned(func(string) string { return "" }), channel.Forged, "signature"},
		{"A02 sign of spaces", resigned(func(string) string { return strings.Repeat(" ", 344) }), channel.Forged, "signature"},
		{"A02 sign repeated", add("&sign=" + signed), channel.Forged, "form"},
		{"A02 sign cut", resigned(func(s string) string { return s[:len(s)-4] }), channel.Forged, "signature"},
		{"A02 sign of a wrong length", resigned(func(s string) string { return s + "AAAA" }), channel.Forged, "signature"},
		{"A02 sign doubled in value", resigned(func(s string) string { return s + s }), channel.Forged, "signature"},
		{"A02 sign not base64", resigned(func(s string) string { return "!" + s[1:] }), channel.Forged, "signature"},
		{"A02 sign with line ends", resigned(func(s string) string { return s[:100] + "\r\n" + s[100:] }), channel.Forged, "signature"},
		{"A02 sign padded with line ends", resigned(func(s string) string { return s[:len(s)-4] + "\n\n\n\n" }), channel.Forged, "signature"},
		{"A16 sign in the other case", resigned(strings.ToLower), channel.Forged, "signature"},
		{"A53 sign with its plus lost", raw(func(s string) string { return strings.Replace(s, "%2B", "+", 1) }), channel.Forged, "signature"},
		{"A04 sign_type RSA", ours("sign_type", "RSA"), channel.Forged, "sign_type"},
		{"A04 sign_type MD5", ours("sign_type", "MD5"), channel.Forged, "sign_type"},
		{"A04 sign_type in lower case", ours("sign_type", "rsa2"), channel.Forged, "sign_type"},
		{"A04 sign_type empty", ours("sign_type", ""), channel.Forged, "sign_type"},
		{"A04 sign_type missing", ours("sign_type", "-"), channel.Forged, "sign_type"},
		{"A07 a value that could be two fields", ours("body", "x&out_trade_no=VICTIM"), channel.Forged, "split"},
		{"A07 a value that could be a rare field", ours("body", "x&z9_=1"), channel.Forged, "split"},
		{"A07 a name that is none of the platform's", ours("OUT_TRADE_NO", "1"), channel.Forged, "name"},
		{"A07 a name of 65 letters", ours(strings.Repeat("n", 65), "1"), channel.Forged, "name"},
		{"A07 a name with an equals sign", ours("a=b", "1"), channel.Forged, "name"},
		{"A08 padded name", add("&+total_amount=0.01"), channel.Forged, "name"},
		{"A08 field added unsigned", add("&extra=1"), channel.Forged, "signature"},
		{"A18 signed by a simulator's or a sandbox's key", notice(strangerKey(), noticeFields(a)), channel.Forged, "signature"},
		{"A18 signed by our own key", notice(appKey(), noticeFields(a)), channel.Forged, "signature"},
		{"another app's notice, another key", notice(strangerKey(), with(noticeFields(a), "app_id", "2021000000000000")), channel.Foreign, "app_id"},
		{"app_id missing", ours("app_id", "-"), channel.Forged, "app_id"},
		{"A09 app_id empty", ours("app_id", ""), channel.Forged, "app_id"},
		{"A52 duplicate field", add("&total_amount=0.01"), channel.Forged, "form"},
		{"A52 semicolon", add(";a=1"), channel.Forged, "form"},
		{"A52 broken escape", add("&a=%zz"), channel.Forged, "form"},
		{"A52 query on the notify URL", withQuery, channel.Forged, "query"},
		{"A54 charset gbk", ours("charset", "gbk"), channel.Forged, "charset"},
		{"A54 charset missing", ours("charset", "-"), channel.Forged, "charset"},
		{"A54 text in GBK", add("&body=%D3%EF"), channel.Forged, "form"},
		{"A55 too large", add("&body=" + strings.Repeat("1", channel.MaxBody)), channel.Forged, "too_large"},
		{"A56 gzip", zipped, channel.Forged, "content_encoding"},
		{"A31 a return posted as a notice", notice(alipayKey(), returnFields(a)), channel.Foreign, "notify_type"},
		{"a notice that is not of a trade", ours("notify_type", "servicemarket_order_notify"), channel.Foreign, "notify_type"},
		{"another platform's XML", channel.Inbound{Body: []byte("\n<xml></xml>")}, channel.Foreign, "form"},
		{"another platform's JSON", channel.Inbound{Body: []byte(`{"id":1}`)}, channel.Foreign, "form"},
		{"no order number", ours("out_trade_no", "-"), channel.Forged, "out_trade_no"},
		{"A103 line end in the order number", ours("out_trade_no", "1\n2"), channel.Forged, "out_trade_no"},
		{"A103 markup in the trade number", ours("trade_no", "<b>"), channel.Forged, "trade_no"},
		{"A103 line end in the seller", ours("seller_id", "2088\n"), channel.Forged, "seller_id"},
		{"A09 amount empty", ours("total_amount", ""), channel.Forged, "total_amount"},
		{"A29 amount 1e2", ours("total_amount", "1e2"), channel.Forged, "total_amount"},
		{"A29 refund -1", ours("refund_fee", "-1.00"), channel.Forged, "refund_fee"},
	}
	c := testChannel(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, err := c.Read(tt.in)
			mustKind(t, err, tt.kind, tt.code)
			if !cmp.Equal(o, pay.Observation{}) {
				t.Errorf("an error beside %+v", o)
			}
		})
	}
}

// A signed notice says what it says: channels observe, the domain decides.
func TestReadObserves(t *testing.T) {
	t.Parallel()
	a := testAttempt(0)
	paid := pay.Observation{
		Source: pay.FromNotice, Channel: "alipay", Account: "alipay-test", AppID: testApp, MerchantID: testSeller,
		OutTradeNo: a.OutTradeNo, State: pay.Paid, Amount: a.Amount, Currency: pay.CNY,
		TransactionID: channeltest.TransactionID, PaidAt: channeltest.PaidAt,
	}
	but := func(edit func(*pay.Observation)) pay.Observation { o := paid; edit(&o); return o }
	only := func(state pay.State) pay.Observation {
		return pay.Observation{
			Source: pay.FromNotice, Channel: "alipay", Account: "alipay-test", AppID: testApp, MerchantID: testSeller,
			OutTradeNo: a.OutTradeNo, State: state,
		}
	}
	refund := func(sum string) []string {
		return []string{"refund_fee", sum, "gmt_refund", "2026-03-01 12:30:00.123", "out_biz_no", "r1", "receipt_amount", "-", "fund_bill_list", "-"}
	}
	tests := []struct {
		name    string
		changes []string
		want    pay.Observation
	}{
		{"paid", nil, paid},
		{"paid, not refundable any more", []string{"trade_status", "TRADE_FINISHED"}, paid},
		{"A37 sent again after 20 hours", []string{"notify_time", "2026-02-28 08:00:00"}, paid},
		{"A15 partly refunded", refund("30.01"), but(func(o *pay.Observation) { o.Refunded = 3001 })},
		{"A15 wholly refunded", append(refund("100.01"), "trade_status", "TRADE_CLOSED", "gmt_close", "2026-03-01 12:30:00"), but(func(o *pay.Observation) { o.Refunded = a.Amount })},
		{"A15 closed with a payment's time, sum not told", []string{"trade_status", "TRADE_CLOSED"}, but(func(o *pay.Observation) { o.Refunded = a.Amount })},
		{"A15 closed with a refund's time only", []string{"trade_status", "TRADE_CLOSED", "gmt_payment", "-", "gmt_refund", "2026-03-01 12:30:00.123"}, but(func(o *pay.Observation) { o.Refunded, o.PaidAt = a.Amount, time.Time{} })},
		{"A15 closed unpaid", []string{"trade_status", "TRADE_CLOSED", "gmt_payment", "-", "gmt_close", "2026-03-01 12:30:00"}, only(pay.Closed)},
		{"A15 closed unpaid, refund of zero", []string{"trade_status", "TRADE_CLOSED", "gmt_payment", "-", "refund_fee", "0.00"}, only(pay.Closed)},
		{"A27 waiting", []string{"trade_status", "WAIT_BUYER_PAY", "gmt_payment", "-"}, only(pay.Unpaid)},
		{"A27 waiting, though it names a payment's time", []string{"trade_status", "WAIT_BUYER_PAY"}, only(pay.Unpaid)},
		{"A27 state missing", []string{"trade_status", "-"}, only(pay.Unknown)},
		{"A27 state empty", []string{"trade_status", ""}, only(pay.Unknown)},
		{"A27 state unheard of", []string{"trade_status", "TRADE_PENDING"}, only(pay.Unknown)},
		{"A27 state in lower case", []string{"trade_status", "trade_success"}, only(pay.Unknown)},
		{"A20 another order", []string{"out_trade_no", "other1"}, but(func(o *pay.Observation) { o.OutTradeNo = "other1" })},
		{"A21 amount one fen short", []string{"total_amount", "100.00"}, but(func(o *pay.Observation) { o.Amount = 10_000 })},
		{"A21 amount is the order's, not the receipt", []string{"receipt_amount", "0.01", "buyer_pay_amount", "0.01"}, paid},
		{"A22 another currency", []string{"trans_currency", "USD"}, but(func(o *pay.Observation) { o.Currency = "USD" })},
		{"A22 currency in lower case", []string{"trans_currency", "cny"}, but(func(o *pay.Observation) { o.Currency = "cny" })},
		{"A23 another app, our key", []string{"app_id", "2021000000000000"}, but(func(o *pay.Observation) { o.AppID = "2021000000000000" })},
		{"A23 another seller", []string{"seller_id", "2088999999999999"}, but(func(o *pay.Observation) { o.MerchantID = "2088999999999999" })},
		{"A23 seller missing", []string{"seller_id", "-"}, but(func(o *pay.Observation) { o.MerchantID = "" })},
		{"A09 trade number empty is absent", []string{"trade_no", ""}, but(func(o *pay.Observation) { o.TransactionID = "" })},
		{"A09 refund empty is absent", []string{"refund_fee", "", "gmt_refund", ""}, paid},
		{"unreadable time loses no payment", []string{"gmt_payment", "yesterday"}, but(func(o *pay.Observation) { o.PaidAt = time.Time{} })},
		{"charset in upper case", []string{"charset", "UTF-8"}, paid},
		{"A07 an ampersand that splits nothing", []string{"subject", "a&b&=c&B=d&" + strings.Repeat("n", 65) + "=e"}, paid},
		{"A53 plus, percent and space in a value", []string{"subject", "a+b %2B%20"}, paid},
	}
	c := testChannel(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.Read(notice(alipayKey(), with(noticeFields(a), tt.changes...)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Without a configured seller a notice's own is reported, for the gateway to pin; what we asked for names none.
func TestReadWithoutSeller(t *testing.T) {
	t.Parallel()
	config := testConfig()
	config.SellerID = ""
	a := testAttempt(0)
	env := testEnv(saying(answer("alipay.trade.query", paidNode(a), alipayKey())), channeltest.Now)
	env.Account.MerchantID = ""
	c := channelOf(t, config, env)
	for _, tt := range []struct{ name, seller, want string }{
		{"A23 the first seller is told", testSeller, testSeller},
		{"A23 another seller is told as it is", "2088999999999999", "2088999999999999"},
		{"A23 no seller", "-", ""},
		{"A09 seller empty is absent", "", ""},
	} {
		o, err := c.Read(notice(alipayKey(), with(noticeFields(a), "seller_id", tt.seller)))
		if err != nil || o.MerchantID != tt.want || o.AppID != testApp || o.State != pay.Paid {
			t.Errorf("%s: %+v, %v", tt.name, o, err)
		}
	}
	if o, err := c.Query(t.Context(), a); err != nil || o.MerchantID != "" || o.State != pay.Paid {
		t.Errorf("query: %+v, %v", o, err)
	}
}

// The attack itself: one genuine notice, its signed text cut into other fields under the same signature.
func TestReadSplitNotice(t *testing.T) {
	t.Parallel()
	a := testAttempt(0)
	genuine := with(noticeFields(a), "total_amount", "0.01", "body", "x&charset=utf-8&out_trade_no=VICTIM&total_amount=100.00&zz=", "sign_type", "RSA2")
	signature, err := url.ParseQuery(formOf(alipayKey(), genuine))
	if err != nil {
		t.Fatal(err)
	}
	form := fieldsOf(genuine)
	forged := url.Values{"sign": signature["sign"], "sign_type": {"RSA2"}}
	for field := range strings.SplitSeq(string(canonical(form, inMessage)), "&") {
		name, value, _ := strings.Cut(field, "=")
		forged.Set(name, value) // the last one wins, as an attacker would choose
	}
	c := testChannel(t, nil)
	for name, body := range map[string]string{"A07 as sent": signature.Encode(), "A07 cut again": forged.Encode()} {
		if _, err := c.Read(channel.Inbound{Body: []byte(body)}); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			mustKind(t, err, channel.Forged, "")
		}
	}
}

func fieldsOf(fields map[string]string) strict.Form {
	var form strict.Form
	for name, value := range fields {
		form = append(form, strict.Pair{Name: name, Value: value})
	}
	sortFields(form)
	return form
}

// A07: two accepted field maps never share a signed text. The text is cut again at every set of places where another
// map could begin a field; no cut but the first may pass.
func TestSplitsIsInjective(t *testing.T) {
	t.Parallel()
	accepted := func(form strict.Form) bool {
		for _, f := range form {
			if f.Name == "" || len(f.Name) > maxName || !only(f.Name, isNameByte) || splits(f.Value) || f.Value == "" {
				return false
			}
		}
		return true
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[ab&=_0A]{1,9}|x&` + strings.Repeat("n", 63) + `n?n?=1`)
		fields := rapid.MapOfN(rapid.StringMatching(`[ab_0]{1,3}`), value, 1, 4).Draw(t, "fields")
		form := fieldsOf(fields)
		if !accepted(form) {
			return
		}
		parts := strings.Split(string(canonical(form, inMessage)), "&")
		for cut := range 1 << (len(parts) - 1) {
			var other strict.Form
			text := parts[0]
			flush := func() {
				name, value, _ := strings.Cut(text, "=")
				other = append(other, strict.Pair{Name: name, Value: value})
			}
			for i, part := range parts[1:] {
				if cut>>i&1 == 0 {
					text += "&" + part
					continue
				}
				flush()
				text = part
			}
			flush()
			if accepted(other) && !slices.Equal(other, form) {
				t.Fatalf("%q and %q share a text", form, other)
			}
		}
	})
}

func returnFields(a pay.Attempt) map[string]string {
	return map[string]string{
		"app_id": testApp, "auth_app_id": testApp, "charset": "utf-8", "method": "alipay.trade.page.pay.return",
		"out_trade_no": a.OutTradeNo, "trade_no": channeltest.TransactionID, "total_amount": yuan(a.Amount),
		"seller_id": testSeller, "timestamp": "2026-03-01 12:05:06", "version": "1.0", "sign_type": "RSA2",
	}
}

func TestReturn(t *testing.T) {
	t.Parallel()
	a := testAttempt(0)
	ours := func(changes ...string) string { return formOf(alipayKey(), with(returnFields(a), changes...)) }
	tests := []struct {
		name  string
		query string
		kind  channel.Kind // "" = accepted
		code  string
	}{
		{"page", ours(), "", ""},
		{"wap", ours("method", "alipay.trade.wap.pay.return"), "", ""},
		{"A31 unsigned", "out_trade_no=" + a.OutTradeNo + "&app_id=" + testApp + "&charset=utf-8&sign_type=RSA2&trade_status=TRADE_SUCCESS", channel.Forged, "signature"},
		{"A31 another order under a genuine signature", strings.Replace(ours(), a.OutTradeNo, "VICTIM", 1), channel.Forged, "signature"},
		{"A31 a field added", ours() + "&trade_status=TRADE_SUCCESS", channel.Forged, "signature"},
		{"A31 a notice used as a return", formOf(alipayKey(), noticeFields(a)), channel.Foreign, "method"},
		{"A04 sign_type RSA", ours("sign_type", "RSA"), channel.Forged, "sign_type"},
		{"A07 split", ours("body", "x&out_trade_no=VICTIM"), channel.Forged, "split"},
		{"A18 stranger's key", formOf(strangerKey(), returnFields(a)), channel.Forged, "signature"},
		{"A23 another app, our key", ours("app_id", "2021000000000000"), channel.Foreign, "app_id"},
		{"no order number", ours("out_trade_no", "-"), channel.Forged, "out_trade_no"},
		{"empty", "", channel.Forged, "app_id"},
	}
	c := testChannel(t, nil).(channel.Returner)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			number, err := c.Return(tt.query)
			if tt.kind != "" {
				mustKind(t, err, tt.kind, tt.code)
				return
			}
			if err != nil || number != a.OutTradeNo {
				t.Errorf("%q, %v", number, err)
			}
		})
	}
}

func TestAck(t *testing.T) {
	t.Parallel()
	c := testChannel(t, nil)
	for accepted, body := range map[bool]string{true: "success", false: "fail"} {
		want := channel.Reply{Status: 200, ContentType: "text/plain; charset=utf-8", Body: body}
		if got := c.Ack(accepted); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
