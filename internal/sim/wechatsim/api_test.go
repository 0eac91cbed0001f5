package wechatsim

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
)

func TestOrderQueryCloseAreSigned(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, row := range []struct{ name, method, target, body, want string }{
		{"order", "POST", native, params("signed-1", nil), "200"},
		{"query", "GET", byNumber("signed-1"), "", "200"},
		{"close, an empty 204", "POST", closing("signed-1"), closeBody, "204"},
		{"close again", "POST", closing("signed-1"), closeBody, "204"},
		{"a refusal", "GET", byNumber("unknown-1"), "", "404 ORDER_NOT_EXIST"},
	} {
		got := b.call(row.method, row.target, row.body)
		if got.line != row.want || !got.signed(b.pub) {
			t.Errorf("%s: %s, signed %v, want %s signed", row.name, got.line, got.signed(b.pub), row.want)
		}
		if row.want == "204" && (got.raw != "" || got.header.Get("Content-Type") != "") {
			t.Errorf("%s: a 204 has body %q, type %q", row.name, got.raw, got.header.Get("Content-Type"))
		}
	}
}

func TestAnswerHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	got := b.call("POST", native, params("headers-1", nil))
	if want := "Sun, 01 Mar 2026 04:00:00 GMT"; got.header.Get("Date") != want {
		t.Errorf("Date %q, want the wall's %q", got.header.Get("Date"), want)
	}
	if id := got.header.Get("Request-ID"); !regexp.MustCompile(`^08[0-9A-F]{42}-0$`).MatchString(id) {
		t.Errorf("Request-ID %q", id)
	}
	if !regexp.MustCompile(`^weixin://wxpay/bizpayurl\?pr=[0-9A-Za-z]{9}$`).MatchString(fmt.Sprint(got.body["code_url"])) {
		t.Errorf("code_url %v", got.body["code_url"])
	}
	if got := b.call("GET", byNumber("headers-2"), ""); !strings.HasSuffix(got.header.Get("Request-ID"), "-268512771") {
		t.Errorf("an absent order's Request-ID %q lacks its internal code", got.header.Get("Request-ID"))
	}
	// The business clock must not reach signatures.
	if err := b.kit.Clock.Advance(24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	got = b.call("GET", byNumber("headers-1"), "")
	if got.line != "200" || got.header.Get("Wechatpay-Timestamp") != fmt.Sprint(b.now().Unix()) {
		t.Errorf("%s, signed at %s, want the wall's %d", got.line, got.header.Get("Wechatpay-Timestamp"), b.now().Unix())
	}
}

func TestCallsThatNobodyMaySend(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	edit := func(old, with string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
		}
	}
	serial := b.sim.Credentials().SerialNo
	platformKey := testKeys()[PlatformKey]
	for _, row := range []struct {
		name string
		r    request
		want string
		text string // in the message or the issue
	}{
		{"good", request{}, "200", ""},
		{"good with other key order and spaces", request{after: func(r *http.Request) {
			scheme, pairs, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			p := strings.Split(pairs, ",")
			r.Header.Set("Authorization", scheme+" "+strings.Join([]string{p[4], p[0], p[3], p[1], p[2]}, ", "))
		}}, "200", ""},
		{"good with Accept */*", request{after: set("Accept", "*/*")}, "200", ""},
		{"good with a charset", request{after: set("Content-Type", "application/json; charset=utf-8")}, "200", ""},
		{"good without Wechatpay-Serial", request{after: func(r *http.Request) { r.Header.Del("Wechatpay-Serial") }}, "200", ""},
		{"good 5 minutes late", request{at: b.now().Add(-window)}, "200", ""},
		{"no Accept", request{after: func(r *http.Request) { r.Header.Del("Accept") }}, "400 PARAM_ERROR", "Accept"},
		{"Accept of a browser page", request{after: set("Accept", "text/html")}, "400 PARAM_ERROR", "Accept"},
		{"no User-Agent", request{after: set("User-Agent", "")}, "400 PARAM_ERROR", "User-Agent"},
		{"body of another type", request{after: set("Content-Type", "text/plain")}, "400 PARAM_ERROR", "Content-Type"},
		{"unknown Wechatpay-Serial", request{after: set("Wechatpay-Serial", "PUB_KEY_ID_0190000500100000000000000000000002")}, "400 PARAM_ERROR", "公钥ID"},
		{"5 minutes and a second late", request{at: b.now().Add(-window - time.Second)}, "401 SIGN_ERROR", "5分钟"},
		{"5 minutes and a second early", request{at: b.now().Add(window + time.Second)}, "401 SIGN_ERROR", "5分钟"},
		{"no Authorization", request{after: func(r *http.Request) { r.Header.Del("Authorization") }}, "401 SIGN_ERROR", "格式错误"},
		{"two Authorizations", request{after: func(r *http.Request) {
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
		}}, "401 SIGN_ERROR", "格式错误"},
		{"another scheme", request{after: edit("RSA2048", "RSA4096")}, "401 SIGN_ERROR", "认证类型"},
		{"a key missing", request{after: edit(`nonce_str="N0nce",`, "")}, "401 SIGN_ERROR", "格式错误"},
		{"a key twice", request{after: edit(`nonce_str="N0nce"`, `mchid="`+MerchantID+`"`)}, "401 SIGN_ERROR", "格式错误"},
		{"an unknown key", request{after: edit("nonce_str", "nonce")}, "401 SIGN_ERROR", "格式错误"},
		{"a value without quotes", request{after: edit(`"N0nce"`, "N0nce")}, "401 SIGN_ERROR", "格式错误"},
		{"a timestamp in milliseconds", request{after: edit(`timestamp="`, `timestamp="000`)}, "401 SIGN_ERROR", "秒级"},
		{"another merchant", request{after: edit(MerchantID, "1900005002")}, "401 SIGN_ERROR", "商户号"},
		{"another serial", request{after: edit(serial, "7"+strings.Repeat("0", 39))}, "401 SIGN_ERROR", "序列号"},
		{"another nonce than signed", request{after: edit("N0nce", "Nonce")}, "401 SIGN_ERROR", "验签失败"},
		{"another key than the merchant's", request{key: platformKey}, "401 SIGN_ERROR", "验签失败"},
		{"an amount changed on its way", request{after: func(r *http.Request) {
			r.Body = readCloser(strings.Replace(params("auth-1", nil), "9900", "9901", 1))
		}}, "401 SIGN_ERROR", "验签失败"},
		{"a line feed trimmed on its way", request{after: func(r *http.Request) {
			r.Body = readCloser(strings.TrimSuffix(params("auth-1", nil), "\n"))
		}}, "401 SIGN_ERROR", "验签失败"},
		{"a query added on its way", request{after: func(r *http.Request) { r.RequestURI += "?a=1" }}, "401 SIGN_ERROR", "验签失败"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.r.method, row.r.target, row.r.body = "POST", native, params("auth-1", nil)
			got := b.read(b.send(row.r))
			if got.line != row.want || !strings.Contains(got.raw, row.text) {
				t.Fatalf("%s %s, want %s with %q", got.line, got.raw, row.want, row.text)
			}
			if wantSigned := !strings.HasPrefix(row.want, "401"); got.signed(b.pub) != wantSigned {
				t.Errorf("answer signed: %v, want %v", !wantSigned, wantSigned)
			}
		})
	}
}

func readCloser(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

func TestSignErrorShowsWhatWasVerified(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	body := params("show-1", map[string]any{"attach": strings.Repeat("茶", 128)})
	r := request{method: "POST", target: native, body: body, key: testKeys()[PlatformKey]}
	got := b.read(b.send(r))
	detail, _ := got.body["detail"].(map[string]any)
	information, _ := detail["sign_information"].(map[string]any)
	shown := fmt.Sprint(information["truncated_sign_message"])
	if fmt.Sprint(detail["detail"]) != "map[issue:sign not match]" || detail["location"] != "authorization" || detail["field"] != "signature" ||
		information["method"] != "POST" || information["url"] != native || !strings.HasPrefix(shown, "POST\n"+native+"\n") || len(shown) > shownMessage {
		t.Errorf("%s", got.raw)
	}
	if want := float64(len(requestMessage("POST", native, "1234567890", "N0nce", []byte(body)))); information["sign_message_length"] != want {
		t.Errorf("length %v, want %v", information["sign_message_length"], want)
	}
}

func TestTargetIsVerifiedAsSent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.place("pipe|star*1", nil)
	for _, target := range []string{byNumber("pipe%7Cstar*1"), byNumber("pipe%7cstar%2A1")} {
		got := b.call("GET", target, "")
		if got.line != "200" || got.body["out_trade_no"] != "pipe|star*1" {
			t.Errorf("%s: %s %s", target, got.line, got.raw)
		}
	}
}

func TestFieldRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type m = map[string]any
	store := m{"id": "s1", "name": "店", "area_code": "440305", "address": "路"}
	for _, row := range []struct {
		name    string
		changes m
		field   string // "" = accepted
	}{
		{"all fields", m{
			"attach": "a", "goods_tag": "t", "support_fapiao": true, "limit_pay": []string{"no_credit"}, "time_expire": "2026-03-01T12:30:00+08:00",
			"settle_info": m{"profit_sharing": false}, "scene_info": m{"payer_client_ip": "127.0.0.1", "device_id": "d", "store_info": store},
			"detail": m{"cost_price": 1, "invoice_id": "i", "goods_detail": []m{{"merchant_goods_id": "g", "goods_name": "n", "quantity": 1, "unit_price": 1}}},
		}, ""},
		{"no currency", m{"amount": m{"total": 1}}, ""},
		{"127 Chinese characters", m{"description": strings.Repeat("茶", 127)}, ""},
		{"128 characters", m{"description": strings.Repeat("茶", 128)}, "/description"},
		{"empty description", m{"description": ""}, "/description"},
		{"no description", m{"description": nil}, "/description"},
		{"an emoji", m{"description": "茶🍵"}, "/description"},
		{"attach of 129", m{"attach": strings.Repeat("a", 129)}, "/attach"},
		{"goods_tag of 33", m{"goods_tag": strings.Repeat("a", 33)}, "/goods_tag"},
		{"number of 5", m{"out_trade_no": "12345"}, "/out_trade_no"},
		{"number of 33", m{"out_trade_no": strings.Repeat("1", 33)}, "/out_trade_no"},
		{"number with a space", m{"out_trade_no": "1234 567"}, "/out_trade_no"},
		{"number with @", m{"out_trade_no": "1234@567"}, "/out_trade_no"},
		{"no appid", m{"appid": nil}, "/appid"},
		{"mchid of letters", m{"mchid": "abcdefgh"}, "/mchid"},
		{"total 0", m{"amount": m{"total": 0}}, "/amount/total"},
		{"total negative", m{"amount": m{"total": -1}}, "/amount/total"},
		{"total with a fraction", m{"amount": m{"total": 1.5}}, "/amount/total"},
		{"total in quotes", m{"amount": m{"total": "1"}}, "/amount/total"},
		{"no total", m{"amount": m{"currency": "CNY"}}, "/amount/total"},
		{"amount not an object", m{"amount": 1}, "/amount"},
		{"USD", m{"amount": m{"total": 1, "currency": "USD"}}, "/amount/currency"},
		{"notify_url with a query", m{"notify_url": "https://a.example/n?x=1"}, "/notify_url"},
		{"notify_url with an empty query", m{"notify_url": "https://a.example/n?"}, "/notify_url"},
		{"notify_url with a fragment", m{"notify_url": "https://a.example/n#x"}, "/notify_url"},
		{"notify_url without scheme", m{"notify_url": "a.example/n"}, "/notify_url"},
		{"notify_url by ftp", m{"notify_url": "ftp://a.example/n"}, "/notify_url"},
		{"notify_url of 256", m{"notify_url": "https://a.example/" + strings.Repeat("n", 238)}, "/notify_url"},
		{"no notify_url", m{"notify_url": nil}, "/notify_url"},
		{"time_expire without zone", m{"time_expire": "2026-03-01T12:30:00"}, "/time_expire"},
		{"time_expire with milliseconds", m{"time_expire": "2026-03-01T12:30:00.000+08:00"}, "/time_expire"},
		{"time_expire as v2 has it", m{"time_expire": "20260301123000"}, "/time_expire"},
		{"support_fapiao as text", m{"support_fapiao": "true"}, "/support_fapiao"},
		{"scene without ip", m{"scene_info": m{"device_id": "d"}}, "/scene_info/payer_client_ip"},
		{"goods without quantity", m{"detail": m{"goods_detail": []m{{"merchant_goods_id": "g", "unit_price": 1}}}}, "/detail/goods_detail/0/quantity"},
		{"limit_pay of numbers", m{"limit_pay": []int{1}}, "/limit_pay/0"},
		{"an unknown name", m{"spbill_create_ip": "127.0.0.1"}, "/spbill_create_ip"},
		{"an unknown name in amount", m{"amount": m{"total": 1, "payer_total": 1}}, "/amount/payer_total"},
		{"payer, which native has not", m{"payer": m{"openid": "o"}}, "/payer"},
		{"null", m{"attach": (*string)(nil)}, "/attach"},
	} {
		t.Run(row.name, func(t *testing.T) {
			number := "field-rules-1"
			got := b.call("POST", native, params(number, row.changes))
			defer func() {
				_ = b.kit.Books.Do(func(tx *simkit.Tx) error { tx.Delete(orderKind, number); return nil })
			}()
			if row.field == "" {
				if got.line != "200" {
					t.Errorf("%s %s", got.line, got.raw)
				}
				return
			}
			detail, _ := got.body["detail"].(map[string]any)
			if got.line != "400 PARAM_ERROR" || detail["field"] != row.field || detail["location"] != "body" {
				t.Errorf("%s %s, want PARAM_ERROR at %s", got.line, got.raw, row.field)
			}
		})
	}
}

func TestBodiesThatTwoReadersReadDifferently(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good := strings.TrimSpace(params("bodies-1", nil))
	for name, body := range map[string]string{
		"a name twice":           strings.Replace(good, `"total":9900`, `"total":9900,"total":1`, 1),
		"a name in another case": strings.Replace(good, `"total":9900`, `"total":9900,"Total":1`, 1),
		"no JSON":                "a=1",
		"an array":               "[" + good + "]",
		"two objects":            good + good,
		"broken UTF-8":           strings.Replace(good, "斤", "\xe6\x96", 1),
		"an escaped emoji":       strings.Replace(good, "一斤", `\ud83c\udf75`, 1),
		"an exponent":            strings.Replace(good, "9900", "99e2", 1),
		"too long":               good + strings.Repeat(" ", maxBody),
		"nothing":                "",
	} {
		if got := b.call("POST", native, body); got.line != "400 PARAM_ERROR" {
			t.Errorf("%s: %s %s", name, got.line, got.raw)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.place("refusal-1", nil)
	paid := b.pay(b.place("refusal-paid", nil), "p")
	b.place("refusal-closed", nil)
	b.call("POST", closing("refusal-closed"), closeBody)
	for _, row := range []struct{ name, method, target, body, want string }{
		{"jsapi", "POST", "/v3/pay/transactions/jsapi", params("refusal-2", nil), "403 NO_AUTH"},
		{"h5", "POST", "/v3/pay/transactions/h5", params("refusal-2", nil), "403 NO_AUTH"},
		{"app", "POST", "/v3/pay/transactions/app", params("refusal-2", nil), "403 NO_AUTH"},
		{"certificates in public-key mode", "GET", "/v3/certificates", "", "404 RESOURCE_NOT_EXISTS"},
		{"no such path", "GET", "/v3/pay/nothing", "", "404 RESOURCE_NOT_EXISTS"},
		{"no such method", "DELETE", native, "", "404 RESOURCE_NOT_EXISTS"},
		{"another appid", "POST", native, params("refusal-2", map[string]any{"appid": "wx0000000000005002"}), "400 APPID_MCHID_NOT_MATCH"},
		{"another merchant in the body", "POST", native, params("refusal-2", map[string]any{"mchid": "1900005002"}), "400 INVALID_REQUEST"},
		{"a query where none belongs", "POST", native + "?a=1", params("refusal-2", nil), "400 PARAM_ERROR"},
		{"again with another amount", "POST", native, params("refusal-1", map[string]any{"amount": map[string]any{"total": 9901, "currency": "CNY"}}), "400 INVALID_REQUEST"},
		{"again with another text", "POST", native, params("refusal-1", map[string]any{"attach": "new"}), "400 INVALID_REQUEST"},
		{"again with a time_expire", "POST", native, params("refusal-1", map[string]any{"time_expire": "2026-03-01T12:30:00+08:00"}), "400 INVALID_REQUEST"},
		{"again when paid", "POST", native, params("refusal-paid", nil), "400 ORDER_PAID"},
		{"again when paid, other amount", "POST", native, params("refusal-paid", map[string]any{"amount": map[string]any{"total": 1}}), "400 ORDER_PAID"},
		{"again when closed", "POST", native, params("refusal-closed", nil), "400 ORDER_CLOSED"},
		{"query without merchant", "GET", strings.TrimSuffix(byNumber("refusal-1"), "?mchid="+MerchantID), "", "400 PARAM_ERROR"},
		{"query with two merchants", "GET", byNumber("refusal-1") + "&mchid=" + MerchantID, "", "400 PARAM_ERROR"},
		{"query with more", "GET", byNumber("refusal-1") + "&a=1", "", "400 PARAM_ERROR"},
		{"query of another merchant", "GET", strings.Replace(byNumber("refusal-1"), MerchantID, "1900005002", 1), "", "400 INVALID_REQUEST"},
		{"query of nothing", "GET", byNumber("refusal-9"), "", "404 ORDER_NOT_EXIST"},
		{"query of nothing by id", "GET", "/v3/pay/transactions/id/4200000000000000000000000000?mchid=" + MerchantID, "", "404 ORDER_NOT_EXIST"},
		{"query by id", "GET", "/v3/pay/transactions/id/" + paid.TransactionID + "?mchid=" + MerchantID, "", "200"},
		{"close of nothing", "POST", closing("refusal-9"), closeBody, "404 ORDER_NOT_EXIST"},
		{"close of a paid one", "POST", closing("refusal-paid"), closeBody, "400 ORDER_PAID"},
		{"close without merchant", "POST", closing("refusal-1"), "{}", "400 PARAM_ERROR"},
		{"close of another merchant", "POST", closing("refusal-1"), `{"mchid":"1900005002"}`, "400 INVALID_REQUEST"},
		{"close with more", "POST", closing("refusal-1"), `{"mchid":"1900005001","a":1}`, "400 PARAM_ERROR"},
		{"the refused close closed nothing", "GET", byNumber("refusal-1"), "", "200"},
	} {
		if got := b.call(row.method, row.target, row.body); got.line != row.want {
			t.Errorf("%s: %s %s, want %s", row.name, got.line, got.raw, row.want)
		}
	}
	if got := b.call("GET", byNumber("refusal-1"), ""); got.body["trade_state"] != "NOTPAY" {
		t.Errorf("trade_state %v after refused calls", got.body["trade_state"])
	}
}

func TestQueryTellsNoMoreThanThereIs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url := b.place("query-1", map[string]any{"attach": "mine"})
	names := func(doc map[string]any) string {
		var out []string
		for _, name := range []string{"amount", "appid", "attach", "bank_type", "mchid", "out_trade_no", "payer", "success_time", "trade_state", "trade_state_desc", "trade_type", "transaction_id"} {
			if _, ok := doc[name]; ok {
				out = append(out, name)
			}
		}
		if len(out) != len(doc) {
			t.Errorf("names beyond the table in %v", doc)
		}
		return strings.Join(out, " ")
	}
	unpaid := "appid attach mchid out_trade_no trade_state trade_state_desc"
	if got := b.call("GET", byNumber("query-1"), ""); names(got.body) != unpaid || got.body["trade_state"] != "NOTPAY" {
		t.Errorf("unpaid: %s", got.raw)
	}
	b.move(90 * time.Second)
	paid := b.pay(url, "p")
	got := b.call("GET", byNumber("query-1"), "")
	if names(got.body) != "amount appid attach bank_type mchid out_trade_no payer success_time trade_state trade_state_desc trade_type transaction_id" {
		t.Errorf("paid: %s", got.raw)
	}
	if got.body["trade_state"] != "SUCCESS" || got.body["attach"] != "mine" || got.body["success_time"] != "2026-03-01T12:01:30+08:00" ||
		got.body["transaction_id"] != paid.TransactionID || !regexp.MustCompile(`^4200\d{6}20260301\d{10}$`).MatchString(paid.TransactionID) ||
		fmt.Sprint(got.body["amount"]) != "map[currency:CNY payer_currency:CNY payer_total:9900 total:9900]" {
		t.Errorf("paid: %s", got.raw)
	}
}

func TestReentryVoidsThePreviousCode(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.place("again-1", nil)
	spaced := strings.Replace(params("again-1", nil), `,`, ` , `, 3)
	got := b.call("POST", native, spaced)
	second, _ := got.body["code_url"].(string)
	if got.line != "200" || second == first {
		t.Fatalf("again: %s %s", got.line, got.raw)
	}
	refused(t, b, first, "p", simkit.ReasonVoided)
	b.pay(second, "p")
	refused(t, b, first, "p", simkit.ReasonPaid)
}

func refused(t *testing.T, b *bench, code, payer string, want simkit.Reason) {
	t.Helper()
	_, err := b.sim.Pay(code, payer)
	var refusal *simkit.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != want {
		t.Errorf("pay: %v, want %s", err, want)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, row := range []struct {
		name   string
		expire string        // after the start, "" = none
		last   time.Duration // the last moment at which it can be paid is just before this
		closed time.Duration // when it closes by itself
	}{
		{"given", "30m", 30 * time.Minute, 7 * day},
		{"below a minute is a minute", "10s", time.Minute, 7 * day},
		{"in the past is a minute", "-10m", time.Minute, 7 * day},
		{"seven days by default", "", 7 * day, 7 * day},
		{"beyond 90 days is 90 days", "2400h", 90 * day, 90 * day},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			start := b.now()
			changes := map[string]any{}
			if d, err := time.ParseDuration(row.expire); err == nil {
				changes["time_expire"] = start.Add(d).In(beijing).Format(time.RFC3339)
			}
			b.place("deadline-1", changes)
			state := func() any { return b.call("GET", byNumber("deadline-1"), "").body["trade_state"] }
			advance := func(to time.Duration) {
				t.Helper()
				if err := b.kit.Clock.Advance(start.Add(to).Sub(b.kit.Clock.Now())); err != nil {
					t.Fatal(err)
				}
			}
			advance(row.last - time.Millisecond)
			fresh := b.place("deadline-1", changes) // a code lives two hours only
			if shown, err := b.sim.Find(fresh); err != nil || shown.Blocked != "" {
				t.Errorf("just before: %v, blocked %q", err, shown.Blocked)
			}
			advance(row.last)
			if row.last < row.closed {
				refused(t, b, fresh, "p", simkit.ReasonExpired)
				if got := b.call("POST", native, params("deadline-1", changes)); got.line != "400 INVALID_REQUEST" {
					t.Errorf("again after the deadline: %s", got.line)
				}
				advance(row.closed - time.Millisecond)
				if state() != "NOTPAY" {
					t.Errorf("state %v: a deadline is no close", state())
				}
			}
			advance(row.closed)
			refused(t, b, fresh, "p", simkit.ReasonClosed)
			if state() != "CLOSED" {
				t.Errorf("state %v after all deadlines", state())
			}
		})
	}
}

func TestACodeLivesTwoHours(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	code := b.place("code-life-1", nil)
	b.move(codeLife)
	refused(t, b, code, "p", simkit.ReasonExpired)
	b.pay(b.place("code-life-1", nil), "p")
}

func TestTheFirstPayerHoldsTheOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	code := b.place("payer-1", nil)
	if shown, err := b.sim.Find(code); err != nil || shown.Blocked != "" {
		t.Fatalf("looking: %v %q", err, shown.Blocked)
	}
	if _, err := b.sim.Scan(code, "first"); err != nil {
		t.Fatal(err)
	}
	if shown, _ := b.sim.Scan(code, "second"); shown.Blocked != simkit.ReasonBound {
		t.Errorf("second scan: blocked %q", shown.Blocked)
	}
	refused(t, b, code, "second", simkit.ReasonBound)
	refused(t, b, b.place("payer-1", nil), "second", simkit.ReasonBound)
	if shown, err := b.sim.Refuse("payer-1", "first"); err != nil || shown.State != stateNotPay {
		t.Errorf("turning away: %v, state %s", err, shown.State)
	}
	b.pay("payer-1", "first")
	refused(t, b, "payer-1", "first", simkit.ReasonPaid)
	if _, err := b.sim.Refuse("payer-1", "first"); err == nil {
		t.Error("a paid order was refused by its payer")
	}
}

func TestWalletFindsOrders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	code := b.place("wallet-1", nil)
	b.place("wallet-2", nil)
	b.call("POST", closing("wallet-2"), closeBody)
	shown, err := b.sim.Find(code)
	if err != nil || shown.Amount != 9900 || shown.Subject != "一斤龙井 & <茶>" || shown.OutTradeNo != "wallet-1" || shown.Code != code {
		t.Errorf("%+v %v", shown, err)
	}
	refused(t, b, "wallet-2", "p", simkit.ReasonClosed)
	for _, unknown := range []string{"wallet-3", codePath + "AAAAAAAAA", "", codePath} {
		if _, err := b.sim.Pay(unknown, "p"); !errors.Is(err, simkit.ErrUnknown) {
			t.Errorf("%q: %v", unknown, err)
		}
	}
	all, err := b.sim.Orders()
	if err != nil || len(all) != 2 || all[0].State != "NOTPAY" || all[1].State != "CLOSED" {
		t.Errorf("orders %+v %v", all, err)
	}
}

func TestCallFaults(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := func(s simkit.FaultSettings) {
		t.Helper()
		if err := b.kit.Faults.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	exists := func(number string) bool {
		t.Helper()
		set(simkit.FaultSettings{})
		return b.call("GET", byNumber(number), "").line == "200"
	}
	set(simkit.FaultSettings{RateLimitedPercent: 100})
	if got := b.call("POST", native, params("fault-1", nil)); got.line != "429 FREQUENCY_LIMITED" || exists("fault-1") {
		t.Errorf("rate limited: %s", got.line)
	}
	set(simkit.FaultSettings{FailBeforePercent: 100})
	if got := b.call("POST", native, params("fault-2", nil)); got.line != "500 SYSTEM_ERROR" || exists("fault-2") {
		t.Errorf("fail before: %s", got.line)
	}
	set(simkit.FaultSettings{LostAnswerPercent: 100})
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler { //nolint:errorlint // a panic's value
				t.Error("the answer was not lost")
			}
		}()
		b.call("POST", native, params("fault-3", nil))
	}()
	if !exists("fault-3") {
		t.Error("a lost answer had no effect")
	}
	set(simkit.FaultSettings{ProbeAnswerPercent: 100})
	got := b.call("POST", native, params("fault-4", nil))
	if got.line != "200" || got.signed(b.pub) || !strings.HasPrefix(got.header.Get("Wechatpay-Signature"), "WECHATPAY/SIGNTEST/") || !exists("fault-4") {
		t.Errorf("probe: %s %s", got.line, got.header.Get("Wechatpay-Signature"))
	}
	set(simkit.FaultSettings{UnsignedErrors: true})
	if got := b.call("GET", byNumber("fault-9"), ""); got.line != "404 ORDER_NOT_EXIST" || got.header.Get("Wechatpay-Signature") != "" {
		t.Errorf("unsigned errors: %s %s", got.line, got.header.Get("Wechatpay-Signature"))
	}
	if got := b.call("GET", byNumber("fault-4"), ""); !got.signed(b.pub) {
		t.Error("a 200 lost its signature")
	}
	if got := b.call("POST", closing("fault-4"), closeBody); got.line != "204" || !got.signed(b.pub) {
		t.Error("a 204 lost its signature")
	}
	set(simkit.FaultSettings{FailBeforePercent: 100})
	if got := b.read(b.send(request{method: "POST", target: native, body: "{}", key: testKeys()[PlatformKey]})); got.line != "401 SIGN_ERROR" {
		t.Errorf("a forger met a fault: %s", got.line)
	}
}

func TestManyCallersAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	code := b.place("race-1", nil)
	var all sync.WaitGroup
	var mu sync.Mutex
	paid, closed := 0, 0
	for i := range 8 {
		all.Go(func() {
			b.place(fmt.Sprintf("race-own-%d", i), nil)
			_, err := b.sim.Pay(code, "p")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				paid++
			}
		})
		all.Go(func() {
			got := b.call("POST", closing("race-1"), closeBody)
			mu.Lock()
			defer mu.Unlock()
			if got.line == "204" {
				closed++
			}
		})
	}
	all.Wait()
	state := b.call("GET", byNumber("race-1"), "").body["trade_state"]
	if paid > 1 || (paid == 1) == (closed > 0) || (state == "SUCCESS") != (paid == 1) {
		t.Errorf("paid %d times, closed %d times, state %v", paid, closed, state)
	}
	if orders, _ := b.sim.Orders(); len(orders) != 9 || b.kit.Notices.Pending() != paid {
		t.Errorf("%d orders, %d notices for %d payments", len(orders), b.kit.Notices.Pending(), paid)
	}
}

func TestBooksAndKeysSurviveAReopen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := t.TempDir()
	b.open(dir)
	before := b.sim.Credentials()
	open := b.place("reopen-1", nil)
	paid := b.pay(b.place("reopen-2", nil), "p")
	if err := b.kit.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(dir)
	if b.sim.Credentials() != before {
		t.Error("other credentials after reopen")
	}
	got := b.call("GET", "/v3/pay/transactions/id/"+paid.TransactionID+"?mchid="+MerchantID, "")
	if got.body["out_trade_no"] != "reopen-2" || b.kit.Notices.Pending() != 1 {
		t.Errorf("after reopen: %s, %d notices", got.raw, b.kit.Notices.Pending())
	}
	b.pay(open, "p")
}
