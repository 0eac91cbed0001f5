package wechatv3

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	facts "piaohao/spec/wechat"
)

// Every documented exchange: the request is the documented one, the answer becomes this.
func TestDocumentedExchanges(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"native":             "qr weixin://wxpay/bizpayurl?pr=p4lpSuKzz",
		"native newer code":  "qr weixin://pay.weixin.qq.com/bizpayurl/up?pr=NwY5Mz9&groupid=00",
		"native paid":        "already_paid ORDER_PAID",
		"native number used": "already_paid OUT_TRADE_NO_USED",
		"native closed":      "already_closed ORDER_CLOSED",
		"native parameter":   "declined PARAM_ERROR",
		"native permission":  "declined NO_AUTH",
		"native limited":     "limited FREQUENCY_LIMITED",
		"native failing":     "unknown SYSTEM_ERROR",

		"query paid":             "paid",
		"query paid with coupon": "paid",
		"query unpaid":           "unpaid",
		"query closed":           "closed",
		"query refunded":         "paid",
		"query absent":           "absent",
		"query absent older":     "absent",
		"query limited":          "limited FREQUENCY_LIMITED",

		"close":              "closed",
		"close paid":         "already_paid ORDER_PAID",
		"close paid older":   "already_paid INVALID_REQUEST",
		"close closed":       "closed",
		"close absent":       "absent",
		"close while paying": "too_early USER_PAYING",
	}
	for _, x := range facts.Exchanges {
		t.Run(x.Name, func(t *testing.T) {
			t.Parallel()
			c, got := serve(t, reply{status: x.Status, body: x.Answer})
			op, _, _ := strings.Cut(x.Name, " ")
			if result := call(t, c, op); result != want[x.Name] || result == "" {
				t.Fatalf("came to %q, want %q", result, want[x.Name])
			}
			req := <-got
			if req[0] != x.Method || req[1] != x.Target {
				t.Fatalf("asked %s %s", req[0], req[1])
			}
			sameJSON(t, x.Request, req[2])
		})
	}
}

func TestSignedAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, op string
		status   int
		body     string
		want     string
	}{
		{"A27 NOTPAY", "query", 200, `{"trade_state":"NOTPAY"}`, "unpaid"},
		{"A27 USERPAYING", "query", 200, `{"trade_state":"USERPAYING"}`, "unpaid"},
		{"A27 REVOKED", "query", 200, `{"trade_state":"REVOKED"}`, "closed"},
		{"A27 PAYERROR is not listed", "query", 200, `{"trade_state":"PAYERROR"}`, "unknown"},
		{"A27 ACCEPT is not listed", "query", 200, `{"trade_state":"ACCEPT"}`, "unknown"},
		{"A27 state missing", "query", 200, `{}`, "unknown"},
		{"A27 state in lower case", "query", 200, `{"trade_state":"success"}`, "unknown"},
		{"A51 state twice", "query", 200, `{"trade_state":"NOTPAY","trade_state":"SUCCESS"}`, "unknown unreadable"},
		{"A51 state folded", "query", 200, `{"Trade_State":"SUCCESS"}`, "unknown unreadable"},
		{"A51 null amount", "query", 200, `{"trade_state":"SUCCESS","amount":null}`, "unknown unreadable"},
		{"query answered by another 2xx", "query", 202, `{"trade_state":"SUCCESS"}`, "unknown "},
		{"query answered by a state under 404", "query", 404, `{"trade_state":"CLOSED"}`, "unknown "},
		{"query wrong parameters", "query", 400, `{"code":"PARAM_ERROR"}`, "unknown PARAM_ERROR"},
		{"query merchant missing", "query", 400, `{"code":"MCH_NOT_EXISTS"}`, "unknown MCH_NOT_EXISTS"},
		{"query redirected", "query", 302, ``, "unknown unreadable"},
		{"code in lower case is not listed", "query", 404, `{"code":"order_not_exist"}`, "unknown order_not_exist"},
		{"code twice", "query", 404, `{"code":"SYSTEM_ERROR","code":"ORDER_NOT_EXIST"}`, "unknown unreadable"},
		{"native older spelling", "native", 400, `{"code":"ORDERPAID"}`, "already_paid ORDERPAID"},
		{"native older limit", "native", 429, `{"code":"RATELIMIT_EXCEEDED"}`, "limited RATELIMIT_EXCEEDED"},
		{"native rule limit", "native", 403, `{"code":"RULE_LIMIT"}`, "declined RULE_LIMIT"},
		{"native unlisted", "native", 400, `{"code":"SOMETHING_NEW"}`, "unknown SOMETHING_NEW"},
		{"native bank", "native", 500, `{"code":"BANKERROR"}`, "unknown BANKERROR"},
		{"native without code", "native", 200, `{}`, "unknown unreadable"},
		{"native empty code", "native", 200, `{"code_url":""}`, "unknown unreadable"},
		{"native code too long", "native", 200, `{"code_url":"` + strings.Repeat("x", 513) + `"}`, "unknown unreadable"},
		{"native page instead of JSON", "native", 200, `<html>`, "unknown unreadable"},
		{"close answered by 200", "close", 200, `{}`, "unknown "},
		{"close unlisted", "close", 500, `{"code":"SYSTEM_ERROR"}`, "unknown SYSTEM_ERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, reply{status: tt.status, body: tt.body})
			if got := call(t, c, tt.op); got != tt.want {
				t.Fatalf("came to %q, want %q", got, tt.want)
			}
		})
	}
}

// A12: what the platform did not sign is never a word of the platform, whatever it says.
func TestA12UnprovenAnswersAreUnknown(t *testing.T) {
	t.Parallel()
	keys := testKeys()
	drop := func(key string) func(http.Header) { return func(h http.Header) { h.Del(key) } }
	set := func(key, value string) func(http.Header) { return func(h http.Header) { h[key] = []string{value} } }
	other := func(at time.Time, body string) func(http.Header) {
		return func(h http.Header) {
			for key, values := range signed(keys.platform, at, body) {
				h[key] = values
			}
		}
	}
	faults := []struct {
		name   string
		change func(h http.Header)
		code   string
	}{
		{"A12 unsigned", func(h http.Header) { clear(h) }, "header_missing"},
		{"A12 no signature", drop("Wechatpay-Signature"), "header_missing"},
		{"A12 no serial", drop("Wechatpay-Serial"), "header_missing"},
		{"A12 another body", other(testNow(), `{"trade_state":"SUCCESS"} `), "signature"},
		{"A12 stranger's key", func(h http.Header) {
			h["Wechatpay-Signature"] = []string{signature(keys.stranger, "1528425300", nonce32, "")}
		}, "signature"},
		{"A03 probe", set("Wechatpay-Signature", "WECHATPAY/SIGNTEST/"+strings.Repeat("A", 324)+"="), "signature"},
		{"A02 empty signature", set("Wechatpay-Signature", ""), "header_malformed"},
		{"A36 five minutes and a second late", other(testNow().Add(-301*time.Second), ""), "timestamp"},
		{"A10 serial of a certificate", set("Wechatpay-Serial", serialNo), "serial"},
		{"A59 two nonces", func(h http.Header) { h["Wechatpay-Nonce"] = []string{nonce32, nonce32} }, "header_repeated"},
	}
	answers := []struct {
		op     string
		status int
		body   string
	}{
		{"native", 200, `{"code_url":"weixin://wxpay/bizpayurl?pr=x"}`},
		{"native", 403, `{"code":"NO_AUTH"}`},
		{"native", 400, `{"code":"ORDER_CLOSED"}`},
		{"query", 200, facts.Paid},
		{"query", 404, `{"code":"ORDER_NOT_EXIST"}`},
		{"close", 204, ``},
		{"close", 404, `{"code":"ORDER_NOT_EXIST"}`},
		{"close", 400, `{"code":"ORDER_PAID"}`},
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for _, x := range answers {
				c, _ := serve(t, reply{status: x.status, body: x.body, header: f.change})
				if got, want := call(t, c, x.op), "unknown "+f.code; got != want {
					t.Errorf("%s %d %s came to %q, want %q", x.op, x.status, x.body, got, want)
				}
			}
		})
	}
}

func TestUnsignedAnswersAreExplained(t *testing.T) {
	t.Parallel()
	bare := func(h http.Header) { clear(h) }
	c, _ := serve(t, reply{status: 401, body: facts.SignError, header: bare})
	_, err := c.Query(t.Context(), testAttempt())
	if err == nil || !strings.Contains(err.Error(), "HTTP 401 SIGN_ERROR") {
		t.Errorf("error = %v, want the platform's complaint named", err)
	}
	c, _ = serve(t, reply{status: 429, header: func(h http.Header) { clear(h); h.Set("Retry-After", "7") }})
	_, err = c.Query(t.Context(), testAttempt())
	var e *channel.Error
	if !errors.As(err, &e) || e.Kind != channel.Limited || e.RetryAfter != 7*time.Second {
		t.Errorf("error = %v, want limited for 7 s: backing off claims nothing about the order", err)
	}
}

func TestErrorsCarryRequestIDAndCleanText(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, reply{status: 400, body: `{"code":"NO\nAUTH","message":"` + "商户\\u0000无权限\\n" + strings.Repeat("长", 100) + `"}`})
	_, err := c.Open(t.Context(), testAttempt())
	var e *channel.Error
	if !errors.As(err, &e) || e.Kind != channel.Unknown && e.Kind != channel.Declined {
		t.Fatal(err)
	}
	if e.Code != "NOAUTH" || len(e.Text) > maxText || !strings.HasPrefix(e.Text, "商户无权限长") || e.RequestID != "08F5B8C2B506102C18FDDFEEA30620BE821E28DEC405-0" {
		t.Errorf("error = %+v", *e)
	}
}

func TestOpenRepeatsIdenticalBytes(t *testing.T) {
	t.Parallel()
	c, got := serve(t, reply{status: 200, body: `{"code_url":"` + facts.CodeURL + `"}`})
	for range 2 {
		if _, err := c.Open(t.Context(), testAttempt()); err != nil {
			t.Fatal(err)
		}
	}
	if first, second := <-got, <-got; first != second {
		t.Errorf("first %q, then %q", first, second)
	}
}

func TestShapeLifetime(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, reply{status: 200, body: `{"code_url":"x"}`})
	for name, tt := range map[string]struct{ expires, want time.Time }{
		"the attempt ends first": {testNow().Add(time.Hour), testNow().Add(time.Hour)},
		"the code ends first":    {testNow().Add(3 * time.Hour), testNow().Add(2 * time.Hour)},
	} {
		a := testAttempt()
		a.ExpiresAt = tt.expires
		shape, err := c.Open(t.Context(), a)
		if err != nil || !shape.Until.Equal(tt.want) {
			t.Errorf("%s: until %v, %v; want %v", name, shape.Until, err, tt.want)
		}
	}
}

func TestQueryTakesFactsFromTheMessage(t *testing.T) {
	t.Parallel()
	paid := pay.Observation{
		Source: pay.FromQuery, Channel: "wechatv3", Account: "wechat-test", AppID: facts.AppID, MerchantID: facts.MerchantID,
		OutTradeNo: facts.OutTradeNo, State: pay.Paid, Amount: 100, Currency: "CNY", TransactionID: facts.TransactionID,
		PaidAt: time.Date(2018, 6, 8, 2, 34, 56, 0, time.UTC),
	}
	with := func(change func(o *pay.Observation)) pay.Observation {
		o := paid
		change(&o)
		return o
	}
	tests := []struct {
		name, body string
		want       pay.Observation
	}{
		{"paid", facts.Paid, paid},
		{"A21 total counts, not payer_total", facts.PaidWithCoupon, paid},
		{"A21 one fen short", strings.ReplaceAll(facts.Paid, `"total":100`, `"total":99`), with(func(o *pay.Observation) { o.Amount = 99 })},
		{"A21 no total, payer_total alone", strings.ReplaceAll(facts.Paid, `"total":100,`, ``), with(func(o *pay.Observation) { o.Amount = 0 })},
		{"A22 currency absent stays absent", strings.ReplaceAll(facts.Paid, `"currency":"CNY",`, ``), with(func(o *pay.Observation) { o.Currency = "" })},
		{"A22 currency in lower case", strings.ReplaceAll(facts.Paid, `"currency":"CNY"`, `"currency":"cny"`), with(func(o *pay.Observation) { o.Currency = "cny" })},
		{"A23 another app id", strings.ReplaceAll(facts.Paid, facts.AppID, "wxother"), with(func(o *pay.Observation) { o.AppID = "wxother" })},
		{"A23 merchant id absent", strings.ReplaceAll(facts.Paid, `"mchid":"1900007291",`, ``), with(func(o *pay.Observation) { o.MerchantID = "" })},
		{"A20 another order", strings.ReplaceAll(facts.Paid, facts.OutTradeNo, "victim"), with(func(o *pay.Observation) { o.OutTradeNo = "victim" })},
		{"time absent", strings.ReplaceAll(facts.Paid, facts.SuccessTime, ""), with(func(o *pay.Observation) { o.PaidAt = time.Time{} })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, reply{status: 200, body: tt.body})
			got, err := c.Query(t.Context(), testAttempt())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestA39ClockSkewIsLoggedOncePerTenMinutes(t *testing.T) {
	t.Parallel()
	log, lines := logLines()
	now := testNow()
	c := build(t, func(_ *Config, env *channel.Env) {
		env.Log, env.Now = log, func() time.Time { return now }
	})
	answered := func(platformAhead time.Duration) int {
		c.watchClock(http.Header{"Date": {now.Add(platformAhead).UTC().Format(http.TimeFormat)}})
		return strings.Count(lines.String(), "code=clock_skew")
	}
	steps := []struct {
		name  string
		ahead time.Duration
		pass  time.Duration
		want  int
	}{
		{"within two minutes", 2 * time.Minute, 0, 0},
		{"behind within two minutes", -2 * time.Minute, 0, 0},
		{"ten minutes ahead", 10 * time.Minute, 0, 1},
		{"again at once", 10 * time.Minute, 0, 1},
		{"after 9 min 59 s", 10 * time.Minute, 599 * time.Second, 1},
		{"after 10 min", -10 * time.Minute, time.Second, 2},
	}
	for _, s := range steps {
		now = now.Add(s.pass)
		if got := answered(s.ahead); got != s.want {
			t.Fatalf("%s: %d warnings, want %d", s.name, got, s.want)
		}
	}
	c.watchClock(http.Header{"Date": {"nonsense"}})
	if n := strings.Count(lines.String(), "\n"); n != 2 {
		t.Errorf("%d lines", n)
	}
}

// A39: an answer outside of the five minutes of our clock proves nothing, and the log says why.
func TestA39SkewedAnswerIsUnknownAndWarned(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, reply{status: 200, body: facts.Paid})
	log, lines := logLines()
	c.env.Log = log
	c.env.Now = func() time.Time { return testNow().Add(10 * time.Minute) }
	if e := c.verify("query", channel.Unknown, *c.known.Load(), signed(testKeys().platform, testNow(), facts.Paid), []byte(facts.Paid)); e == nil || e.Code != "timestamp" {
		t.Errorf("error = %v, want timestamp", e)
	}
	c.watchClock(http.Header{"Date": {testNow().Format(http.TimeFormat)}})
	if !strings.Contains(lines.String(), "ahead=10m0s") {
		t.Errorf("log = %q", lines)
	}
}

func TestSignatureHeaderIsStandardBase64(t *testing.T) {
	t.Parallel()
	c := build(t, nil)
	auth := must(c.authorization("GET", "/x", nil))
	sig := authForm.FindStringSubmatch(auth)
	if sig == nil || len(must(base64.StdEncoding.DecodeString(sig[5]))) != 256 {
		t.Errorf("Authorization = %q", auth)
	}
	if again := must(c.authorization("GET", "/x", nil)); again == auth {
		t.Error("the nonce is repeated")
	}
}
