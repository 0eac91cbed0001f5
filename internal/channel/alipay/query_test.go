package alipay

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/channel/channeltest"
	"piaohao/internal/pay"
)

func saying(a channel.Answer) network {
	return func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: a.Status, Header: a.Header, Body: io.NopCloser(bytes.NewReader(a.Body)), Request: req}, nil
	}
}

// What travels to the gateway: checked with the standard library's parsers, not with ours.
func TestQueryRequest(t *testing.T) {
	t.Parallel()
	a := testAttempt(0)
	type got struct {
		method, contentType, query, body string
	}
	calls := make(chan got, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- got{r.Method, r.Header.Get("Content-Type"), r.URL.RawQuery, string(body)}
		_, _ = w.Write(answer("alipay.trade.query", paidNode(a), alipayKey()).Body)
	}))
	t.Cleanup(server.Close)
	c, err := Driver.New(testConfig(), channel.Env{
		Sim: server.URL, Account: harness{}.Account(), HTTP: server.Client(), Now: func() time.Time { return channeltest.Now },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Query(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	call := <-calls
	if call.method != "POST" || call.contentType != "application/x-www-form-urlencoded;charset=utf-8" {
		t.Errorf("%s with Content-Type %q", call.method, call.contentType)
	}
	query, err := url.ParseQuery(call.query)
	if err != nil {
		t.Fatal(err)
	}
	body, err := url.ParseQuery(call.body)
	if err != nil {
		t.Fatal(err)
	}
	biz := `{"out_trade_no":"` + a.OutTradeNo + `"}`
	if diff := cmp.Diff(url.Values{"biz_content": {biz}}, body); diff != "" {
		t.Error(diff)
	}
	signature := query.Get("sign")
	query.Del("sign")
	want := url.Values{
		"app_id": {testApp}, "method": {"alipay.trade.query"}, "format": {"JSON"}, "charset": {"utf-8"},
		"sign_type": {"RSA2"}, "timestamp": {"2026-03-01 12:05:06"}, "version": {"1.0"},
	}
	if diff := cmp.Diff(want, query); diff != "" {
		t.Error(diff)
	}
	text := "app_id=" + testApp + "&biz_content=" + biz + "&charset=utf-8&format=JSON&method=alipay.trade.query" +
		"&sign_type=RSA2&timestamp=2026-03-01 12:05:06&version=1.0"
	if !verify(&appKey().PublicKey, []byte(text), signature) {
		t.Error("the signature does not cover the documented text")
	}
}

func TestQueryAnswers(t *testing.T) {
	t.Parallel()
	a := testAttempt(0)
	paid := pay.Observation{
		Source: pay.FromQuery, Channel: "alipay", Account: "alipay-test", AppID: testApp, MerchantID: testSeller,
		OutTradeNo: a.OutTradeNo, State: pay.Paid, Amount: a.Amount, Currency: pay.CNY,
		TransactionID: channeltest.TransactionID, PaidAt: channeltest.PaidAt,
	}
	only := func(state pay.State) pay.Observation {
		return pay.Observation{
			Source: pay.FromQuery, Channel: "alipay", Account: "alipay-test", AppID: testApp, MerchantID: testSeller,
			OutTradeNo: a.OutTradeNo, State: state,
		}
	}
	but := func(edit func(*pay.Observation)) pay.Observation { o := paid; edit(&o); return o }
	signed := func(raw string) channel.Answer { return answer("alipay.trade.query", raw, alipayKey()) }
	fails := func(code, sub string) channel.Answer {
		return signed(node(code, "sub_code", sub, "out_trade_no", a.OutTradeNo))
	}
	date := []string{"send_pay_date", "2026-03-01 12:04:59"}
	good := string(signed(paidNode(a)).Body)
	signature := good[strings.Index(good, `"sign":`):]
	raw := paidNode(a)
	failing := signed(raw)
	failing.Status = 500
	escaped := strings.Replace(raw, "{", `{"qr":"https:\/\/qr.alipay.com\/bax",`, 1)
	tests := []struct {
		name   string
		answer channel.Answer
		want   pay.Observation
		kind   channel.Kind
		code   string
	}{
		{name: "paid", answer: signed(raw), want: paid},
		{name: "a good answer with HTTP 500", answer: failing, kind: channel.Unknown, code: "http_status"},
		{name: "finished", answer: signed(tradeNode(a, "TRADE_FINISHED", date...)), want: paid},
		{name: "closed unpaid", answer: signed(tradeNode(a, "TRADE_CLOSED", "receipt_amount", "0.00")), want: only(pay.Closed)},
		{name: "A15 closed with a payment's date", answer: signed(tradeNode(a, "TRADE_CLOSED", date...)), want: but(func(o *pay.Observation) { o.Refunded = a.Amount })},
		{name: "A15 closed with a receipt", answer: signed(tradeNode(a, "TRADE_CLOSED", "receipt_amount", "100.01")), want: but(func(o *pay.Observation) { o.Refunded, o.PaidAt = a.Amount, time.Time{} })},
		{name: "A15 closed, sum told", answer: signed(tradeNode(a, "TRADE_CLOSED", "refund_fee", "100.00")), want: but(func(o *pay.Observation) { o.Refunded, o.PaidAt = 10_000, time.Time{} })},
		{name: "A27 waiting", answer: signed(tradeNode(a, "WAIT_BUYER_PAY")), want: only(pay.Unpaid)},
		{name: "A27 state unheard of", answer: signed(tradeNode(a, "TRADE_PENDING")), want: only(pay.Unknown)},
		{name: "A27 state missing", answer: signed(node("10000", "out_trade_no", a.OutTradeNo)), want: only(pay.Unknown)},
		{name: "A22 another currency", answer: signed(tradeNode(a, "TRADE_SUCCESS", append(date, "trans_currency", "USD")...)), want: but(func(o *pay.Observation) { o.Currency = "USD" })},
		{name: "does not exist", answer: fails("40004", "ACQ.TRADE_NOT_EXIST"), want: only(pay.Absent)},
		{name: "does not exist, no prefix", answer: fails("40004", "TRADE_NOT_EXIST"), want: only(pay.Absent)},
		{name: "does not exist, misspelt prefix", answer: fails("40004", "AQC.TRADE_NOT_EXIST"), want: only(pay.Absent)},
		{name: "does not exist under another code", answer: fails("20000", "ACQ.TRADE_NOT_EXIST"), kind: channel.Unknown, code: "ACQ.TRADE_NOT_EXIST"},
		{name: "does not exist, another order", answer: signed(node("40004", "sub_code", "ACQ.TRADE_NOT_EXIST", "out_trade_no", "other")), kind: channel.Unknown, code: "other_order"},
		{name: "A20 paid, another order", answer: signed(strings.Replace(raw, a.OutTradeNo, "other", 1)), kind: channel.Unknown, code: "other_order"},
		{name: "system error", answer: fails("40004", "ACQ.SYSTEM_ERROR"), kind: channel.Unknown, code: "ACQ.SYSTEM_ERROR"},
		{name: "unlisted failure", answer: fails("40004", "ACQ.NEW"), kind: channel.Unknown, code: "ACQ.NEW"},
		{name: "unavailable", answer: fails("20000", "isp.unknow-error"), kind: channel.Unknown, code: "isp.unknow-error"},
		{name: "limited", answer: fails("40005", "isv.method-call-limited"), kind: channel.Limited, code: "isv.method-call-limited"},
		{name: "A103 sub_code with a line end", answer: fails("40004", "a\nb"), kind: channel.Unknown, code: "failure"},
		{name: "A29 amount 1e2", answer: signed(strings.Replace(raw, "100.01", "1e2", 1)), kind: channel.Unknown, code: "total_amount"},
		{name: "A29 amount a number", answer: signed(strings.Replace(raw, `"100.01"`, "100.01", 1)), kind: channel.Unknown, code: "unreadable"},
		{name: "A12 unsigned", answer: wire(`{"alipay_trade_query_response":` + raw + `}`), kind: channel.Unknown, code: "unsigned"},
		{name: "A12 unsigned absence", answer: wire(`{"alipay_trade_query_response":` + node("40004", "sub_code", "ACQ.TRADE_NOT_EXIST", "out_trade_no", a.OutTradeNo) + `}`), kind: channel.Unknown, code: "unsigned"},
		{name: "A12 sign null", answer: wire(`{"alipay_trade_query_response":` + raw + `,"sign":null}`), kind: channel.Unknown, code: "unreadable"},
		{name: "A12 sign a number", answer: wire(`{"alipay_trade_query_response":` + raw + `,"sign":1}`), kind: channel.Unknown, code: "unsigned"},
		{name: "A12 sign empty", answer: wire(`{"alipay_trade_query_response":` + raw + `,"sign":""}`), kind: channel.Unknown, code: "signature"},
		{name: "A12 error_response", answer: wire(`{"error_response":{"code":"40002","sub_code":"isv.invalid-app-id"}}`), kind: channel.Unknown, code: "error_response"},
		{name: "A12 error_response beside a good node", answer: wire(`{"error_response":{},` + good[1:]), kind: channel.Unknown, code: "error_response"},
		{name: "A18 signed by a stranger", answer: answer("alipay.trade.query", raw, strangerKey()), kind: channel.Unknown, code: "signature"},
		{name: "node of another method", answer: answer("alipay.trade.close", raw, alipayKey()), kind: channel.Unknown, code: "no_answer"},
		{name: "A51 node twice", answer: wire(`{"alipay_trade_query_response":` + node("10000") + `,` + good[1:]), kind: channel.Unknown, code: "unreadable"},
		{name: "A51 node twice, one name escaped", answer: wire(`{"alipay_trade_query_respons\u0065":` + node("10000") + `,` + good[1:]), kind: channel.Unknown, code: "unreadable"},
		{name: "A51 status twice", answer: signed(strings.Replace(raw, "{", `{"trade_status":"TRADE_CLOSED",`, 1)), kind: channel.Unknown, code: "unreadable"},
		{name: "A51 status in another case", answer: signed(strings.Replace(raw, "trade_status", "Trade_Status", 1)), kind: channel.Unknown, code: "unreadable"},
		{name: "A51 status with U+017F", answer: signed(strings.Replace(raw, "trade_status", "trade_ſtatus", 1)), kind: channel.Unknown, code: "unreadable"},
		{name: "A51 trailing document", answer: wire(good + "{}"), kind: channel.Unknown, code: "unreadable"},
		{name: "A51 node is text", answer: signed(`"` + a.OutTradeNo + `"`), kind: channel.Unknown, code: "unreadable"},
		{name: "error body in GBK", answer: wire("{\"alipay_trade_query_response\":{\"sub_msg\":\"\xd3\xef\"}," + signature), kind: channel.Unknown, code: "unreadable"},
		{name: "slashes escaped and signed so", answer: signed(escaped), want: paid},
		{name: "slashes escaped, signed unescaped", answer: wire(strings.ReplaceAll(string(signed(strings.ReplaceAll(escaped, `\/`, `/`)).Body), "https://", `https:\/\/`)), want: paid},
		{name: "sign before the node", answer: wire(`{` + signature[:len(signature)-1] + `,"alipay_trade_query_response":` + raw + `}`), want: paid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := testChannel(t, saying(tt.answer)).Query(t.Context(), a)
			if tt.kind != "" {
				mustKind(t, err, tt.kind, tt.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A configuration error is answered unsigned: it proves nothing, yet its code must reach the log.
func TestUnsignedAnswerNamesItsCode(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"code":"40002","sub_code":"isv.invalid-app-id"}`: "the answer is not signed; it says isv.invalid-app-id",
		`{"code":"40002"}`:                               "the answer is not signed; it says 40002",
		`{"code":"40002","sub_code":"a b\n"}`:            "the answer is not signed",
		`{"sub_code":"` + strings.Repeat("a", 65) + `"}`: "the answer is not signed",
		`[]`: "the answer is not signed",
	} {
		_, err := testChannel(t, saying(wire(`{"alipay_trade_query_response":`+raw+`}`))).Query(t.Context(), testAttempt(0))
		mustKind(t, err, channel.Unknown, "unsigned")
		if !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

func TestCloseAnswers(t *testing.T) {
	t.Parallel()
	a := testAttempt(0)
	tests := []struct {
		name  string
		node  string
		state pay.State
		kind  channel.Kind
		code  string
	}{
		{"closed", node("10000", "out_trade_no", a.OutTradeNo), pay.Closed, "", ""},
		{"closed before", node("40004", "sub_code", "ACQ.TRADE_HAS_CLOSE"), pay.Closed, "", ""},
		{"does not exist", node("40004", "sub_code", "ACQ.TRADE_NOT_EXIST", "out_trade_no", a.OutTradeNo), pay.Absent, "", ""},
		{"does not exist, number not repeated", node("40004", "sub_code", "ACQ.TRADE_NOT_EXIST"), pay.Absent, "", ""},
		{"paid", node("40004", "sub_code", "ACQ.TRADE_STATUS_ERROR"), "", channel.AlreadyPaid, "ACQ.TRADE_STATUS_ERROR"},
		{"paid, other word", node("40004", "sub_code", "ACQ.REASON_TRADE_STATUS_INVALID"), "", channel.AlreadyPaid, ""},
		{"paid, third word", node("40004", "sub_code", "ACQ.REASON_ILLEGAL_STATUS"), "", channel.AlreadyPaid, ""},
		{"another order closed", node("10000", "out_trade_no", "other"), "", channel.Unknown, "other_order"},
		{"no order closed", node("10000"), "", channel.Unknown, "other_order"},
		{"another order does not exist", node("40004", "sub_code", "ACQ.TRADE_NOT_EXIST", "out_trade_no", "other"), "", channel.Unknown, "other_order"},
		{"system error", node("40004", "sub_code", "ACQ.SYSTEM_ERROR"), "", channel.Unknown, "ACQ.SYSTEM_ERROR"},
		{"unavailable", node("20000", "sub_code", "isp.unknow-error"), "", channel.Unknown, ""},
		{"no code", node(""), "", channel.Unknown, "failure"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, err := testChannel(t, saying(answer("alipay.trade.close", tt.node, alipayKey()))).Close(t.Context(), a)
			if tt.kind != "" {
				mustKind(t, err, tt.kind, tt.code)
				return
			}
			if err != nil || o.State != tt.state || o.Source != pay.FromClose || o.OutTradeNo != a.OutTradeNo {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}
