package wechatv2

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
	facts "piaohao/spec/wechat"
)

// Every documented exchange, in both ways to sign: the request is the documented one, the answer becomes this.
func TestDocumentedExchanges(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"native":             "qr weixin://wxpay/s/An4baqw",
		"native paid":        "already_paid ORDERPAID",
		"native closed":      "already_closed ORDERCLOSED",
		"native number used": "already_paid OUT_TRADE_NO_USED",
		"native permission":  "declined NOAUTH",
		"native app id":      "declined APPID_NOT_EXIST",
		"native pairing":     "declined APPID_MCHID_NOT_MATCH",
		"native parameter":   "declined PARAM_ERROR",
		"native failing":     "unknown SYSTEMERROR",
		"native limited":     "limited FREQUENCY_LIMITED",
		"native signature":   "unknown return_code",

		"query paid":             "paid",
		"query paid with coupon": "paid",
		"query unpaid":           "unpaid",
		"query paying":           "unpaid",
		"query payment failed":   "unknown",
		"query closed":           "closed",
		"query reversed":         "closed",
		"query refunded":         "paid",
		"query absent":           "absent",
		"query failing":          "unknown SYSTEMERROR",

		"close":                  "closed",
		"close paid":             "already_paid ORDERPAID",
		"close closed":           "closed",
		"close absent":           "absent",
		"close in a wrong state": "already_paid TRADE_STATE_ERROR",
		"close failing":          "unknown SYSTEMERROR",
	}
	for _, variant := range variants {
		for _, x := range facts.V2Exchanges {
			t.Run(variant+" "+x.Name, func(t *testing.T) {
				t.Parallel()
				answer := x.Answer
				if !x.Unsigned {
					answer = signed(variant, answer)
				}
				c, got := serve(t, variant, 200, xmlOf("xml", answer))
				op, _, _ := strings.Cut(x.Name, " ")
				if result := call(t, c, op, testAttempt(variant)); result != want[x.Name] || result == "" {
					t.Fatalf("came to %q, want %q", result, want[x.Name])
				}
				documented := map[string]string{"path": x.Path}
				for _, f := range x.Request {
					documented[f.Name] = f.Value
				}
				asked := <-got
				if op == "native" { // optional, and not in the example
					documented["time_start"] = "20140903131140"
				}
				for _, name := range []string{"nonce_str", "sign", "sign_type"} {
					delete(asked, name)
				}
				if diff := cmp.Diff(documented, asked); diff != "" {
					t.Fatal(diff)
				}
			})
		}
	}
}

func TestSignedAnswers(t *testing.T) {
	t.Parallel()
	no := func(code string) []facts.Field {
		return []facts.Field{
			{Name: "return_code", Value: "SUCCESS"},
			{Name: "appid", Value: facts.V2AppID},
			{Name: "mch_id", Value: facts.V2MerchantID},
			{Name: "result_code", Value: "FAIL"},
			{Name: "err_code", Value: code},
		}
	}
	done := without(without(no(""), "err_code"), "result_code")
	done = set(done, "result_code", "SUCCESS")
	state := func(s string) []facts.Field { return set(done, "trade_state", s) }
	for _, tt := range []struct {
		name, op string
		fields   []facts.Field
		want     string
	}{
		{"A27 ACCEPT is not listed", "query", state("ACCEPT"), "unknown"},
		{"A27 state missing", "query", done, "unknown"},
		{"A27 state in lower case", "query", state("success"), "unknown"},
		{"A29 total with an exponent", "query", set(facts.V2Paid, "total_fee", "1e2"), "unknown unreadable"},
		{"A49 element inside of a value", "query", set(facts.V2Paid, "total_fee", "8]]><b>1</b><![CDATA[8"), "unknown unreadable"},
		{"A48 element twice", "query", append(state("NOTPAY"), facts.Field{Name: "trade_state", Value: "SUCCESS"}), "unknown unreadable"},
		{"A07 value that could be two fields", "query", set(state("NOTPAY"), "attach", "x&trade_state=SUCCESS"), "unknown split"},
		{"A07 name in capitals", "query", set(state("NOTPAY"), "Trade_state", "SUCCESS"), "unknown name"},
		{"result missing", "query", without(state("SUCCESS"), "result_code"), "unknown result_code"},
		{"result of another word", "query", set(state("SUCCESS"), "result_code", "success"), "unknown result_code"},
		{"failure without a code", "query", without(no(""), "err_code"), "unknown result_code"},
		{"code in lower case is not listed", "query", no("ordernotexist"), "unknown ordernotexist"},
		{"code of the other API's spelling is not listed", "query", no("ORDER_NOT_EXIST"), "unknown ORDER_NOT_EXIST"},
		{"A23 absent at another merchant", "query", set(no("ORDERNOTEXIST"), "mch_id", "1900000000"), "unknown identity"},
		{"A23 absent at nobody", "query", without(no("ORDERNOTEXIST"), "mch_id"), "unknown identity"},
		{"a code's word with success", "query", set(done, "err_code", "ORDERNOTEXIST"), "unknown"},
		{"wrong key", "native", no("SIGNERROR"), "unknown SIGNERROR"},
		{"unlisted", "native", no("SOMETHING_NEW"), "unknown SOMETHING_NEW"},
		{"parameters missing", "native", no("LACK_PARAMS"), "declined LACK_PARAMS"},
		{"request invalid", "native", no("INVALID_REQUEST"), "declined INVALID_REQUEST"},
		{"A23 declined to another app", "native", set(no("NOAUTH"), "appid", "wxother"), "unknown identity"},
		{"A23 code of another app", "native", set(set(done, "code_url", "weixin://x"), "appid", "wxother"), "unknown identity"},
		{"code with a query of its own", "native", set(done, "code_url", "weixin://pay.weixin.qq.com/bizpayurl/up?pr=NwY5Mz9&groupid=00"), "qr weixin://pay.weixin.qq.com/bizpayurl/up?pr=NwY5Mz9&groupid=00"},
		{"no code", "native", done, "unknown unreadable"},
		{"code empty", "native", set(done, "code_url", ""), "unknown unreadable"},
		{"code too long", "native", set(done, "code_url", strings.Repeat("x", 513)), "unknown unreadable"},
		{"A23 closed at another merchant", "close", set(done, "mch_id", "1900000000"), "unknown identity"},
		{"close unlisted", "close", no("SOMETHING_NEW"), "unknown SOMETHING_NEW"},
		{"close limited", "close", no("FREQUENCY_LIMITED"), "limited FREQUENCY_LIMITED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, "MD5", 200, xmlOf("xml", signed("MD5", tt.fields)))
			if got := call(t, c, tt.op, testAttempt("MD5")); got != tt.want {
				t.Fatalf("came to %q, want %q", got, tt.want)
			}
		})
	}
}

// A12: what the platform did not sign in the attempt's own way is never a word of the platform, whatever it says.
func TestA12UnprovenAnswersAreUnknown(t *testing.T) {
	t.Parallel()
	sign := func(value func(variant string, fields []facts.Field) string) func(string, []facts.Field) []facts.Field {
		return func(variant string, fields []facts.Field) []facts.Field {
			fields = signed(variant, fields)
			return set(fields, "sign", value(variant, fields))
		}
	}
	other := map[string]string{"MD5": "HMAC-SHA256", "HMAC-SHA256": "MD5"}
	faults := []struct {
		name   string
		change func(variant string, fields []facts.Field) []facts.Field
		code   string
	}{
		{"A12 unsigned", func(_ string, f []facts.Field) []facts.Field { return f }, "unsigned"},
		{"A12 another key", sign(func(v string, f []facts.Field) string { return signature(otherKey, v, f) }), "signature"},
		{"A12 return_code FAIL is unsigned", func(v string, f []facts.Field) []facts.Field { return signed(v, set(f, "return_code", "FAIL")) }, "return_code"},
		{"A12 no return_code", func(v string, f []facts.Field) []facts.Field { return signed(v, without(f, "return_code")) }, "return_code"},
		{"A12 a field more than was signed", func(v string, f []facts.Field) []facts.Field { return set(signed(v, f), "device_info", "1") }, "signature"},
		{"A12 a field less than was signed", func(v string, f []facts.Field) []facts.Field { return without(signed(v, f), "mch_id") }, "signature"},
		{"A12 no nonce", func(v string, f []facts.Field) []facts.Field {
			return append(f, facts.Field{Name: "sign", Value: signature(testKey, v, f)})
		}, "nonce_str"},
		{"A02 signature empty", sign(func(string, []facts.Field) string { return "" }), "unsigned"},
		{"A02 signature of blanks", sign(func(string, []facts.Field) string { return strings.Repeat(" ", 32) }), "signature"},
		{"A02 signature cut", sign(func(v string, f []facts.Field) string { return signature(testKey, v, f)[:31] }), "signature"},
		{"A02 signature padded", sign(func(v string, f []facts.Field) string { return signature(testKey, v, f) + " " }), "signature"},
		{"A16 signature in lower case", sign(func(v string, f []facts.Field) string { return strings.ToLower(signature(testKey, v, f)) }), "signature"},
		{"A04 the other algorithm", func(v string, f []facts.Field) []facts.Field { return signed(other[v], f) }, "signature"},
		{"A04 the other algorithm, named", func(v string, f []facts.Field) []facts.Field { return signed(other[v], set(f, "sign_type", other[v])) }, "sign_type"},
		{"A04 the right one, another named", func(v string, f []facts.Field) []facts.Field { return signed(v, set(f, "sign_type", other[v])) }, "sign_type"},
		{"A04 one that does not exist, named", func(v string, f []facts.Field) []facts.Field { return signed(v, set(f, "sign_type", "none")) }, "sign_type"},
	}
	for _, f := range faults {
		for _, variant := range variants {
			t.Run(f.name+" "+variant, func(t *testing.T) {
				t.Parallel()
				for _, x := range facts.V2Exchanges {
					if x.Unsigned {
						continue
					}
					c, _ := serve(t, variant, 200, xmlOf("xml", f.change(variant, x.Answer)))
					op, _, _ := strings.Cut(x.Name, " ")
					if got, want := call(t, c, op, testAttempt(variant)), "unknown "+f.code; got != want {
						t.Errorf("%s came to %q, want %q", x.Name, got, want)
					}
				}
			})
		}
	}
}

func TestStatusIsLookedAt(t *testing.T) {
	t.Parallel()
	good := xmlOf("xml", signed("MD5", facts.V2Paid))
	for status, want := range map[int]string{200: "paid", 201: "unknown status", 302: "unknown status", 404: "unknown status", 500: "unknown status", 502: "unknown status", 429: "limited status"} {
		c, _ := serve(t, "MD5", status, good)
		if got := call(t, c, "query", testAttempt("MD5")); got != want {
			t.Errorf("HTTP %d came to %q, want %q", status, got, want)
		}
	}
}

// An attempt keeps the way to sign that it was begun with, whatever is configured today.
func TestA04AttemptsKeepTheirVariant(t *testing.T) {
	t.Parallel()
	for _, configured := range append([]string{""}, variants...) {
		for _, begun := range variants {
			c, _ := serve(t, begun, 200, xmlOf("xml", signed(begun, facts.V2Paid)))
			now := build(t, func(cfg *Config, env *channel.Env) { cfg.SignType, env.Sim = configured, c.base })
			obs, err := now.Query(t.Context(), testAttempt(begun))
			if err != nil || obs.Variant != begun || obs.State != pay.Paid {
				t.Errorf("A04 configured %q, begun %q: %+v, %v", configured, begun, obs, err)
			}
			if want := map[string]string{"": "MD5", "MD5": "MD5", "HMAC-SHA256": "HMAC-SHA256"}[configured]; now.Variant() != want {
				t.Errorf("A04 configured %q: new attempts by %q", configured, now.Variant())
			}
		}
	}
	c, _ := serve(t, "MD5", 200, xmlOf("xml", signed("MD5", facts.V2Paid)))
	for variant, want := range map[string]string{"": "paid", "SHA1": "unknown variant", "md5": "unknown variant"} {
		if got := call(t, c, "query", testAttempt(variant)); got != want {
			t.Errorf("A04 begun %q came to %q, want %q", variant, got, want)
		}
	}
}

func TestQueryTakesFactsFromTheMessage(t *testing.T) {
	t.Parallel()
	paid := pay.Observation{
		Source: pay.FromQuery, Channel: "wechatv2", Account: "wechatv2-test", AppID: facts.V2AppID, MerchantID: facts.V2MerchantID,
		Variant: "MD5", OutTradeNo: facts.V2OutTradeNo, State: pay.Paid, Amount: 888, Currency: "CNY", TransactionID: facts.V2TransactionID,
		PaidAt: time.Date(2014, 9, 3, 5, 15, 40, 0, time.UTC),
	}
	with := func(change func(o *pay.Observation)) pay.Observation {
		o := paid
		change(&o)
		return o
	}
	for _, tt := range []struct {
		name   string
		fields []facts.Field
		want   pay.Observation
	}{
		{"paid", facts.V2Paid, paid},
		{"A15 refunded is paid", set(facts.V2Paid, "trade_state", "REFUND"), paid},
		{"A21 total_fee counts, not cash_fee and settlement_total_fee", facts.V2PaidWithCoupon, paid},
		{"A21 one fen short", set(facts.V2Paid, "total_fee", "887"), with(func(o *pay.Observation) { o.Amount = 887 })},
		{"A21 no total_fee, cash_fee alone", without(facts.V2Paid, "total_fee"), with(func(o *pay.Observation) { o.Amount = 0 })},
		{"A09 total_fee empty is absent", set(facts.V2Paid, "total_fee", ""), with(func(o *pay.Observation) { o.Amount = 0 })},
		{"A22 currency absent is CNY, as documented", without(facts.V2Paid, "fee_type"), paid},
		{"A22 another currency", set(facts.V2Paid, "fee_type", "HKD"), with(func(o *pay.Observation) { o.Currency = "HKD" })},
		{"A22 currency in lower case", set(facts.V2Paid, "fee_type", "cny"), with(func(o *pay.Observation) { o.Currency = "cny" })},
		{"A23 another app id", set(facts.V2Paid, "appid", "wxother"), with(func(o *pay.Observation) { o.AppID = "wxother" })},
		{"A23 another merchant", set(facts.V2Paid, "mch_id", "1900000000"), with(func(o *pay.Observation) { o.MerchantID = "1900000000" })},
		{"A23 merchant absent", without(facts.V2Paid, "mch_id"), with(func(o *pay.Observation) { o.MerchantID = "" })},
		{"A23 a partner's merchant", set(facts.V2Paid, "sub_mch_id", "190"), with(func(o *pay.Observation) { o.MerchantID = facts.V2MerchantID + "/190" })},
		{"A23 a partner's app", set(facts.V2Paid, "sub_appid", "wx9"), with(func(o *pay.Observation) { o.AppID = facts.V2AppID + "/wx9" })},
		{"A20 another order", set(facts.V2Paid, "out_trade_no", "victim"), with(func(o *pay.Observation) { o.OutTradeNo = "victim" })},
		{"time absent", without(facts.V2Paid, "time_end"), with(func(o *pay.Observation) { o.PaidAt = time.Time{} })},
		{"time in another form", set(facts.V2Paid, "time_end", "2014-09-03 13:15:40"), with(func(o *pay.Observation) { o.PaidAt = time.Time{} })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, "MD5", 200, xmlOf("xml", signed("MD5", tt.fields)))
			got, err := c.Query(t.Context(), testAttempt("MD5"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// recorder answers every host alike, or fails as it is told, and keeps what it was asked.
type recorder struct {
	fail  map[string]error
	asked []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	r.asked = append(r.asked, req.Method+" "+req.URL.String()+" "+string(body))
	if err := r.fail[req.URL.Host]; err != nil {
		return nil, err
	}
	text := xmlOf("xml", signed("MD5", facts.V2Exchanges[0].Answer))
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
}

// A live account speaks to the platform's two hosts and nobody else: to the second only when the first could not be
// connected to. The body is what goes over the wire, whole.
func TestLiveHosts(t *testing.T) {
	t.Parallel()
	const wire = `<xml><appid>wx2421b1c4370ec43b</appid><body>腾讯充值中心-QQ会员充值</body><fee_type>CNY</fee_type><mch_id>10000100</mch_id>` +
		`<nonce_str>AAC75AC5FA0A04409FE9AA6C550B2B2C</nonce_str><notify_url>https://www.weixin.qq.com/wxpay/pay.php</notify_url>` +
		`<out_trade_no>1409811653</out_trade_no><product_id>1409811653</product_id><sign_type>MD5</sign_type><spbill_create_ip>14.23.150.211</spbill_create_ip>` +
		`<time_expire>20140903151540</time_expire><time_start>20140903131140</time_start><total_fee>888</total_fee><trade_type>NATIVE</trade_type>` +
		`<sign>D66A542703EDEF389F66FAFA7C0EF5E2</sign></xml>`
	const first, backup = "POST https://api.mch.weixin.qq.com/pay/unifiedorder " + wire, "POST https://api2.mch.weixin.qq.com/pay/unifiedorder " + wire
	dial := &net.OpError{Op: "dial", Err: errors.New("no route")}
	for _, tt := range []struct {
		name  string
		fail  map[string]error
		asked []string
		want  string
	}{
		{"the first answers", nil, []string{first}, "qr weixin://wxpay/s/An4baqw"},
		{"the first cannot be connected to", map[string]error{"api.mch.weixin.qq.com": dial}, []string{first, backup}, "qr weixin://wxpay/s/An4baqw"},
		{"the first broke off, perhaps after it read", map[string]error{"api.mch.weixin.qq.com": io.ErrUnexpectedEOF}, []string{first}, "unknown unreachable"},
		{"neither can be connected to", map[string]error{"api.mch.weixin.qq.com": dial, "api2.mch.weixin.qq.com": dial}, []string{first, backup}, "unknown unreachable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{fail: tt.fail}
			c := build(t, func(_ *Config, env *channel.Env) {
				env.Sim, env.Account.Livemode, env.HTTP = "", true, &http.Client{Transport: r}
			})
			if got := call(t, c, "native", testAttempt("MD5")); got != tt.want {
				t.Errorf("came to %q, want %q", got, tt.want)
			}
			if diff := cmp.Diff(tt.asked, r.asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A repeat is the identical request (money rule 2), also later, from a process that was started anew. Who does not have the
// key cannot know its nonce all the same.
func TestOpenRepeatsIdenticalBytes(t *testing.T) {
	t.Parallel()
	for _, variant := range variants {
		for _, op := range []string{"native", "query", "close"} {
			r := &recorder{}
			for _, after := range []time.Duration{0, time.Minute, 9 * time.Hour} {
				c := build(t, func(_ *Config, env *channel.Env) {
					env.HTTP, env.Now = &http.Client{Transport: r}, func() time.Time { return testNow().Add(after) }
				})
				call(t, c, op, testAttempt(variant)) // whatever is answered
				if last := len(r.asked) - 1; r.asked[0] != r.asked[last] {
					t.Errorf("%s %s: first %s, after %v %s", variant, op, r.asked[0], after, r.asked[last])
				}
			}
			if len(r.asked) != 3 {
				t.Errorf("%s %s: %d requests of three calls", variant, op, len(r.asked))
			}
		}
	}
	a, c := testAttempt("MD5"), build(t, nil)
	of := func(path, number string) question { return question{path: path, number: number} }
	nonce := func(path, number string) string {
		_, rest, _ := strings.Cut(string(c.request("MD5", a, of(path, number))), "<nonce_str>")
		return rest[:32]
	}
	if nonce("/p", "1") == nonce("/p", "2") || nonce("/p", "1") == nonce("/q", "1") {
		t.Error("two requests have one nonce")
	}
	if other := build(t, func(cfg *Config, _ *channel.Env) { cfg.MchKey = secret.New(otherKey) }); strings.Contains(string(other.request("MD5", a, of("/p", "1"))), nonce("/p", "1")) {
		t.Error("the nonce can be known without the key")
	}
}

func TestShapeLifetime(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, "MD5", 200, xmlOf("xml", signed("MD5", facts.V2Exchanges[0].Answer)))
	for name, tt := range map[string]struct{ expires, want time.Time }{
		"the attempt ends first": {testNow().Add(time.Hour), testNow().Add(time.Hour)},
		"the code ends first":    {testNow().Add(3 * time.Hour), testNow().Add(2 * time.Hour)},
	} {
		a := testAttempt("MD5")
		a.ExpiresAt = tt.expires
		shape, err := c.Open(t.Context(), a)
		if err != nil || !shape.Until.Equal(tt.want) {
			t.Errorf("%s: until %v, %v; want %v", name, shape.Until, err, tt.want)
		}
	}
}

func TestErrorsCarryCleanText(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, "MD5", 200, xmlOf("xml", []facts.Field{{Name: "return_code", Value: "FAIL"}, {Name: "return_msg", Value: "签名错误\n" + strings.Repeat("长", 100)}}))
	_, err := c.Open(t.Context(), testAttempt("MD5"))
	var e *channel.Error
	if !errors.As(err, &e) || e.Kind != channel.Unknown || !strings.Contains(e.Text, "签名错误长") || strings.Contains(e.Text, "\n") || len(e.Text) > 2*maxText {
		t.Errorf("error = %+v", e)
	}
}

func TestTextsOfRequests(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{
		"语雀空间 500人规模":                  "语雀空间 500人规模",
		"a&total_fee=1/2":              "a＆total_fee＝1／2", // A07: nothing that could re-cut the signed text
		"<![CDATA[x]]>":                "<![CDATA[x]]>",
		" \x00\t😀 ":                    facts.V2OutTradeNo,
		strings.Repeat("长", 50):        strings.Repeat("长", 42),
		"x" + strings.Repeat("y", 200): "x" + strings.Repeat("y", 126),
	} {
		a := testAttempt("MD5")
		a.Subject = subject
		if got := body(a); got != want {
			t.Errorf("A07 body of %q = %q, want %q", subject, got, want)
		}
		c, got := serve(t, "MD5", 200, "")
		call(t, c, "native", a)
		if asked := <-got; asked["body"] != want {
			t.Errorf("over the wire %q became %q", subject, asked["body"])
		}
	}
	for from, want := range map[string]string{
		"203.0.113.9": "203.0.113.9", "": "127.0.0.1", "unknown": "127.0.0.1", "::ffff:203.0.113.9": "203.0.113.9",
		"2001:db8::1": "2001:db8::1", "fe80::1%eth0": "fe80::1", "1&a=2": "127.0.0.1",
	} {
		if got := clientIP(pay.Attempt{ClientIP: from}); got != want {
			t.Errorf("address %q = %q, want %q", from, got, want)
		}
	}
}
