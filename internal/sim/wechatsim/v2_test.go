package wechatsim

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
	"piaohao/spec/wechat"
)

// v2Sent is a message as it went over the wire, read by other means than the simulator's: names in their order.
type v2Sent struct {
	raw    string
	names  []string
	values map[string]string
}

func readV2(t *testing.T, raw string) v2Sent {
	t.Helper()
	var doc struct {
		XMLName  xml.Name `xml:"xml"`
		Elements []struct {
			XMLName xml.Name
			Text    string `xml:",chardata"`
		} `xml:",any"`
	}
	if err := xml.Unmarshal([]byte(raw), &doc); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	sent := v2Sent{raw: raw, values: map[string]string{}}
	for _, e := range doc.Elements {
		sent.names = append(sent.names, e.XMLName.Local)
		sent.values[e.XMLName.Local] = e.Text
	}
	return sent
}

// line is "SUCCESS", "FAIL <code>", or of an unsigned one "broken <text>".
func (a v2Sent) line() string {
	switch {
	case a.values["return_code"] != "SUCCESS":
		return "broken " + a.values["return_msg"]
	case a.values["result_code"] != "SUCCESS":
		return a.values["result_code"] + " " + a.values["err_code"]
	}
	return a.values["result_code"]
}

func (a v2Sent) signed(t signType, key string) bool { return fields(a.values).signedBy(t, key) }

// v2Call is what a merchant sends; edits change its fields before it is signed.
func (b *bench) v2Message(t signType, f fields) string {
	c := b.sim.Credentials()
	message := fields{"appid": c.AppID, "mch_id": c.MerchantID, "nonce_str": "N0nce"}
	if t != signMD5 {
		message["sign_type"] = string(t)
	}
	for name, value := range f {
		message[name] = value
		if value == "-" {
			delete(message, name)
		}
	}
	message["sign"] = message.sign(t, c.MchKey)
	var text strings.Builder
	text.WriteString("<xml>")
	for name, value := range message {
		text.WriteString("<" + name + ">")
		_ = xml.EscapeText(&text, []byte(value))
		text.WriteString("</" + name + ">")
	}
	return text.String() + "</xml>"
}

func (b *bench) v2Raw(method, path, body string) v2Sent {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if w.Code != http.StatusOK {
		b.t.Fatalf("%s: HTTP %d %s", path, w.Code, w.Body)
	}
	return readV2(b.t, w.Body.String())
}

func (b *bench) v2(path string, f fields) v2Sent {
	b.t.Helper()
	return b.v2Raw("POST", path, b.v2Message(signMD5, f))
}

func v2Params(number string, changes fields) fields {
	f := fields{
		"body": "一斤龙井 & <茶>]]>", "out_trade_no": number, "total_fee": "9900", "spbill_create_ip": "127.0.0.1",
		"notify_url": "http://127.0.0.1:5000/payment/wechat/notify", "trade_type": "NATIVE", "product_id": number, "fee_type": "CNY",
	}
	for name, value := range changes {
		f[name] = value
	}
	return f
}

func (b *bench) v2Place(number string, changes fields) string {
	b.t.Helper()
	got := b.v2(wechat.V2OpenPath, v2Params(number, changes))
	if got.line() != "SUCCESS" {
		b.t.Fatalf("order %s: %s", number, got.raw)
	}
	return got.values["code_url"]
}

func TestV2PublishedSignatures(t *testing.T) {
	t.Parallel()
	for _, row := range wechat.V2SignedTexts {
		f := fields{}
		for _, each := range row.Fields {
			f[each.Name] = each.Value
		}
		if f.canonical() != row.Text || f.sign(signMD5, row.Key) != row.MD5 || f.sign(signHMAC, row.Key) != row.HMAC {
			t.Errorf("%s: %q %s %s", row.Name, f.canonical(), f.sign(signMD5, row.Key), f.sign(signHMAC, row.Key))
		}
	}
}

// TestV2PublishedExchanges holds names, order and texts of our answers against the documents' examples.
func TestV2PublishedExchanges(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, Options{AppID: wechat.V2AppID, MerchantID: wechat.V2MerchantID})
	exchange := func(name string) wechat.V2Exchange {
		i := slices.IndexFunc(wechat.V2Exchanges, func(e wechat.V2Exchange) bool { return e.Name == name })
		return wechat.V2Exchanges[i]
	}
	// What the platform draws, and what a payer of the simulator is.
	drawn := []string{"prepay_id", "code_url", "openid", "is_subscribe", "bank_type", "transaction_id", "time_end"}
	ask := func(name string, changes ...wechat.Field) v2Sent {
		t.Helper()
		e := exchange(name)
		f := fields{}
		for _, each := range append(append([]wechat.Field{}, e.Request...), changes...) {
			f[each.Name] = each.Value
		}
		got := b.v2(e.Path, f)
		var names []string
		for _, each := range e.Answer {
			names = append(names, each.Name)
			if !slices.Contains(drawn, each.Name) && got.values[each.Name] != each.Value {
				t.Errorf("%s: %s is %q, published %q", name, each.Name, got.values[each.Name], each.Value)
			}
		}
		have := slices.DeleteFunc(slices.Clone(got.names), func(n string) bool { return n == "nonce_str" || n == "sign" })
		if !slices.Equal(have, names) {
			t.Errorf("%s: fields %v, published %v", name, have, names)
		}
		if got.signed(signMD5, b.sim.Credentials().MchKey) == e.Unsigned {
			t.Errorf("%s: signed %v", name, e.Unsigned)
		}
		return got
	}
	ask("query absent")
	ask("close absent")
	ask("native pairing", wechat.Field{Name: "appid", Value: "wx0123456789abcdef"})
	ask("native app id", wechat.Field{Name: "appid", Value: "nobody"})
	ask("native permission", wechat.Field{Name: "trade_type", Value: "JSAPI"}, wechat.Field{Name: "openid", Value: "o"})
	ask("native")
	ask("query unpaid")
	ask("native number used", wechat.Field{Name: "total_fee", Value: "889"})
	second := ask("native", wechat.Field{Name: "nonce_str", Value: "another"}, wechat.Field{Name: "sign_type", Value: "MD5"}).values["code_url"]
	if paid := b.pay(second, "p"); paid.Amount != wechat.V2Total {
		t.Errorf("paid %d", paid.Amount)
	}
	ask("query paid")
	ask("native paid")
	ask("close paid")

	b = newBenchOf(t, b.options)
	ask("native")
	ask("close")
	ask("query closed")
	ask("native closed")
	ask("close closed")
	if err := b.kit.Faults.Set(simkit.FaultSettings{FailBeforePercent: 100}); err != nil {
		t.Fatal(err)
	}
	ask("native failing")
	if err := b.kit.Faults.Set(simkit.FaultSettings{RateLimitedPercent: 100}); err != nil {
		t.Fatal(err)
	}
	ask("native limited")
}

func TestV2CallsThatNobodyMaySend(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.sim.Credentials().MchKey
	good := b.v2Message(signMD5, v2Params("calls-1", nil))
	replace := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for _, row := range []struct{ name, method, body, want string }{
		{"good", "POST", good, "SUCCESS"},
		{"good with a declaration", "POST", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + good + "\n", "SUCCESS"},
		{"good with an empty field more", "POST", replace("<xml>", "<xml><attach/>"), "SUCCESS"},
		{"a signed unknown field", "POST", b.v2Message(signMD5, v2Params("calls-2", fields{"version": "1.0"})), "SUCCESS"},
		{"by HMAC-SHA256", "POST", b.v2Message(signHMAC, v2Params("calls-3", nil)), "SUCCESS"},
		{"MD5 by name", "POST", b.v2Message(signMD5, v2Params("calls-4", fields{"sign_type": "MD5"})), "SUCCESS"},
		{"GET", "GET", "", "broken 请使用post方法"},
		{"no body", "POST", "", "broken post数据为空"},
		{"not UTF-8", "POST", replace("127.0.0.1", "\xff"), "broken 编码格式错误"},
		{"GBK by its declaration", "POST", `<?xml version="1.0" encoding="GBK"?>` + good, "broken 编码格式错误"},
		{"JSON", "POST", `{"appid":"a"}`, "broken XML格式错误"},
		{"cut off", "POST", good[:len(good)-3], "broken XML格式错误"},
		{"another root", "POST", strings.ReplaceAll(good, "xml>", "root>"), "broken XML格式错误"},
		{"another root that ends as xml", "POST", replace("<xml>", "<root>"), "broken XML格式错误"},
		{"two roots", "POST", good + "<xml></xml>", "broken XML格式错误"},
		{"text between fields", "POST", replace("<xml>", "<xml>x"), "broken XML格式错误"},
		{"text behind", "POST", good + "x", "broken XML格式错误"},
		{"an attribute", "POST", replace("<xml>", `<xml a="1">`), "broken XML格式错误"},
		{"a comment", "POST", replace("<xml>", "<xml><!-- -->"), "broken XML格式错误"},
		{"a nested field", "POST", replace("<xml>", "<xml><attach><a>1</a></attach>"), "broken XML格式错误"},
		{"a name twice", "POST", replace("<total_fee>", "<total_fee>1</total_fee><total_fee>"), "broken XML格式错误"},
		{"ends crossed", "POST", replace("<xml>", "<xml><attach></xml>"), "broken XML格式错误"},
		{"A09 DOCTYPE", "POST", `<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + good, "broken XML格式错误"},
		{"A09 an entity of its own", "POST", replace("127.0.0.1", "&a;"), "broken XML格式错误"},
		{"too large", "POST", replace("<xml>", "<xml><attach>"+strings.Repeat("a", maxBody)+"</attach>"), "broken XML格式错误"},
		{"too many fields", "POST", replace("<xml>", "<xml>"+manyFields()), "broken XML格式错误"},
		{"no nonce_str", "POST", b.v2Message(signMD5, v2Params("calls-5", fields{"nonce_str": "-"})), "broken 缺少参数nonce_str"},
		{"no sign", "POST", replace("<sign>", "<signature>")[:len(good)-len("</sign></xml>")], "broken XML格式错误"},
		{"another merchant", "POST", b.v2Message(signMD5, v2Params("calls-5", fields{"mch_id": "1900005002"})), "broken 商户号mch_id不存在"},
		{"an unknown sign_type", "POST", b.v2Message(signMD5, v2Params("calls-5", fields{"sign_type": "SHA1"})), "broken 签名错误"},
		{"MD5 that calls itself HMAC-SHA256", "POST", b.v2Message(signMD5, v2Params("calls-5", fields{"sign_type": "HMAC-SHA256"})), "broken 签名错误"},
		{"lower-case hex", "POST", lowerSign(good), "broken 签名错误"},
		{"an amount changed on its way", "POST", replace("9900", "9901"), "broken 签名错误"},
		{"a field added on its way", "POST", replace("<xml>", "<xml><attach>x</attach>"), "broken 签名错误"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := b.v2Raw(row.method, wechat.V2OpenPath, row.body)
			if got.line() != row.want {
				t.Fatalf("%s, want %s", got.raw, row.want)
			}
			if broken := strings.HasPrefix(row.want, "broken"); broken && len(got.names) != 2 ||
				!broken && !got.signed(signMD5, key) && !got.signed(signHMAC, key) {
				t.Errorf("answer %s", got.raw)
			}
		})
	}
}

func manyFields() string {
	var text strings.Builder
	for i := range maxFields {
		name := strings.Repeat("a", i/26+1) + string(rune('a'+i%26))
		text.WriteString("<" + name + "/>")
	}
	return text.String()
}

func lowerSign(message string) string {
	before, rest, _ := strings.Cut(message, "<sign>")
	sign, after, _ := strings.Cut(rest, "</sign>")
	return before + "<sign>" + strings.ToLower(sign) + "</sign>" + after
}

func TestV2AnswersInTheRequestsSignType(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.sim.Credentials().MchKey
	for _, kind := range []signType{signMD5, signHMAC} {
		for path, f := range map[string]fields{
			wechat.V2OpenPath: v2Params("type-"+string(kind), nil), wechat.V2QueryPath: {"out_trade_no": "nothing"}, wechat.V2ClosePath: {"out_trade_no": "nothing"},
		} {
			if got := b.v2Raw("POST", path, b.v2Message(kind, f)); !got.signed(kind, key) {
				t.Errorf("%s by %s: %s", path, kind, got.raw)
			}
		}
	}
}

func TestV2FieldRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	long := func(n int) string { return strings.Repeat("茶", n) }
	for i, row := range []struct {
		name, field, value, want string
	}{
		{"127 Chinese characters", "body", long(127), "SUCCESS"},
		{"128 characters", "body", long(128), "FAIL PARAM_ERROR"},
		{"an emoji", "body", "茶🍵", "FAIL PARAM_ERROR"},
		{"no body", "body", "", "FAIL LACK_PARAMS"},
		{"attach of 127", "attach", long(127), "SUCCESS"},
		{"attach of 128", "attach", long(128), "FAIL PARAM_ERROR"},
		{"number of 33", "out_trade_no", strings.Repeat("1", 33), "FAIL PARAM_ERROR"},
		{"number with a space", "out_trade_no", "1 2", "FAIL PARAM_ERROR"},
		{"number of one digit", "out_trade_no", "7", "SUCCESS"},
		{"no number", "out_trade_no", "-", "FAIL LACK_PARAMS"},
		{"0 fen", "total_fee", "0", "FAIL PARAM_ERROR"},
		{"yuan", "total_fee", "99.00", "FAIL PARAM_ERROR"},
		{"a negative amount", "total_fee", "-1", "FAIL PARAM_ERROR"},
		{"a leading zero", "total_fee", "01", "FAIL PARAM_ERROR"},
		{"one fen", "total_fee", "1", "SUCCESS"},
		{"dollars", "fee_type", "USD", "FAIL PARAM_ERROR"},
		{"no fee_type", "fee_type", "-", "SUCCESS"},
		{"no ip", "spbill_create_ip", "-", "FAIL LACK_PARAMS"},
		{"no notify_url", "notify_url", "-", "FAIL LACK_PARAMS"},
		{"notify_url with a query", "notify_url", "https://a.example/n?x=1", "FAIL PARAM_ERROR"},
		{"no trade_type", "trade_type", "-", "FAIL LACK_PARAMS"},
		{"MWEB", "trade_type", "MWEB", "FAIL NOAUTH"},
		{"APP", "trade_type", "APP", "FAIL NOAUTH"},
		{"an unknown trade_type", "trade_type", "native", "FAIL PARAM_ERROR"},
		{"time_expire", "time_expire", "20260301123000", "SUCCESS"},
		{"time_expire as v3 has it", "time_expire", "2026-03-01T12:30:00+08:00", "FAIL PARAM_ERROR"},
		{"time_expire of no day", "time_expire", "20260231123000", "FAIL PARAM_ERROR"},
		{"limit_pay", "limit_pay", "no_debit", "FAIL PARAM_ERROR"},
		{"a nonce of 33", "nonce_str", strings.Repeat("n", 33), "FAIL PARAM_ERROR"},
	} {
		if got := b.v2(wechat.V2OpenPath, v2Params("rule-"+string(rune('A'+i)), fields{row.field: row.value})); got.line() != row.want {
			t.Errorf("%s: %s, want %s", row.name, got.raw, row.want)
		}
	}
	if got := b.v2(wechat.V2QueryPath, fields{}); got.line() != "FAIL LACK_PARAMS" {
		t.Errorf("query of no number: %s", got.raw)
	}
}

func TestV2OrdersAreTheMerchantsOrders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.v2Place("both-v2", nil)
	b.place("both-v3", nil)
	if got := b.call("GET", byNumber("both-v2"), ""); got.line != "200" || got.body["trade_state"] != "NOTPAY" {
		t.Errorf("v3 query of v2's order: %s", got.raw)
	}
	if got := b.v2(wechat.V2QueryPath, fields{"out_trade_no": "both-v3"}); got.values["trade_state"] != "NOTPAY" {
		t.Errorf("v2 query of v3's order: %s", got.raw)
	}
	if got := b.call("POST", native, params("both-v2", nil)); got.line != "400 INVALID_REQUEST" {
		t.Errorf("v3 order of v2's number: %s", got.raw)
	}
	if got := b.v2(wechat.V2OpenPath, v2Params("both-v3", nil)); got.line() != "FAIL OUT_TRADE_NO_USED" {
		t.Errorf("v2 order of v3's number: %s", got.raw)
	}
	paid := b.pay("both-v2", "p")
	if got := b.v2(wechat.V2QueryPath, fields{"transaction_id": paid.TransactionID, "out_trade_no": "other"}); got.values["out_trade_no"] != "both-v2" {
		t.Errorf("query by transaction_id: %s", got.raw)
	}
	if got := b.v2(wechat.V2ClosePath, fields{"out_trade_no": "both-v3"}); got.line() != "SUCCESS" {
		t.Errorf("v2 close of v3's order: %s", got.raw)
	}
	orders, err := b.sim.Orders()
	if err != nil || len(orders) != 2 || orders[0].State != "SUCCESS" || orders[0].Platform != "wechat" || orders[1].State != "CLOSED" {
		t.Errorf("books %+v, %v", orders, err)
	}
}

func TestV2Expiry(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.v2Place("expiry", fields{"time_expire": "20260301123000"})
	b.v2Place("soon", fields{"time_expire": "20260301120001"}) // raised to a minute
	b.move(59 * time.Second)
	if shown, err := b.sim.Find("soon"); err != nil || shown.Blocked != "" {
		t.Errorf("after 59 s: %+v, %v", shown, err)
	}
	b.move(time.Second)
	if shown, err := b.sim.Find("soon"); err != nil || shown.Blocked != simkit.ReasonExpired {
		t.Errorf("after 60 s: %+v, %v", shown, err)
	}
	b.move(29 * time.Minute)
	if got := b.v2(wechat.V2OpenPath, v2Params("expiry", fields{"time_expire": "20260301123000"})); got.line() != "FAIL INVALID_REQUEST" {
		t.Errorf("order again: %s", got.raw)
	}
	if got := b.v2(wechat.V2QueryPath, fields{"out_trade_no": "expiry"}); got.values["trade_state"] != "NOTPAY" {
		t.Errorf("time_expire closed the order: %s", got.raw)
	}
	if got := b.v2(wechat.V2ClosePath, fields{"out_trade_no": "expiry"}); got.line() != "SUCCESS" {
		t.Errorf("close: %s", got.raw)
	}
}

func TestV2Notice(t *testing.T) {
	t.Parallel()
	for _, kind := range []signType{signMD5, signHMAC} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			key := b.sim.Credentials().MchKey
			in, url := newInbox(t, reply(http.StatusOK, ""))
			got := b.v2Raw("POST", wechat.V2OpenPath, b.v2Message(kind, v2Params("notice-1", fields{"notify_url": url, "attach": "a]]>&b"})))
			paid := b.pay(got.values["code_url"], "p")
			for _, bad := range []func(http.ResponseWriter){
				reply(http.StatusNoContent, ""),
				reply(http.StatusOK, `{"code":"SUCCESS"}`),
				reply(http.StatusOK, "<xml><return_code>FAIL</return_code></xml>"),
				reply(http.StatusInternalServerError, "<xml><return_code>SUCCESS</return_code></xml>"),
				reply(http.StatusOK, "success"),
			} {
				in.reply(bad)
				b.step()
				if b.kit.Notices.Pending() != 1 {
					t.Fatalf("acknowledged by try %d", len(in.bodies))
				}
				b.move(time.Hour)
			}
			in.reply(reply(http.StatusOK, "<xml>\n<return_code><![CDATA[SUCCESS]]></return_code>\n<return_msg><![CDATA[OK]]></return_msg>\n</xml>"))
			b.step()
			if b.kit.Notices.Pending() != 0 || len(in.bodies) != 6 {
				t.Fatalf("%d tries, %d pending", len(in.bodies), b.kit.Notices.Pending())
			}
			first, last := readV2(t, in.bodies[0]), readV2(t, in.bodies[5])
			if !first.signed(kind, key) || !last.signed(kind, key) || first.values["nonce_str"] == last.values["nonce_str"] {
				t.Errorf("%s\n%s", first.raw, last.raw)
			}
			if h := in.headers[0]; h.Get("Content-Type") != "text/xml" || h.Get("Wechatpay-Signature") != "" {
				t.Errorf("headers %v", h)
			}
			want := map[string]string{
				"return_code": "SUCCESS", "result_code": "SUCCESS", "appid": AppID, "mch_id": MerchantID, "openid": b.sim.openID("p"),
				"is_subscribe": "N", "trade_type": "NATIVE", "bank_type": "OTHERS", "total_fee": "9900", "fee_type": "CNY",
				"cash_fee": "9900", "cash_fee_type": "CNY", "transaction_id": paid.TransactionID, "out_trade_no": "notice-1",
				"attach": "a]]>&b", "time_end": "20260301120000",
			}
			if kind == signHMAC {
				want["sign_type"] = string(signHMAC)
			}
			for _, sent := range []v2Sent{first, last} {
				delete(sent.values, "nonce_str")
				delete(sent.values, "sign")
				if len(sent.values) != len(want) || !slices.IsSorted(sent.names) {
					t.Errorf("fields %v", sent.names)
				}
				for name, value := range want {
					if sent.values[name] != value {
						t.Errorf("%s is %q, want %q", name, sent.values[name], value)
					}
				}
			}
			var published []string
			for _, each := range wechat.V2Notice {
				published = append(published, each.Name)
			}
			for name := range want {
				if name != "sign_type" && !slices.Contains(published, name) {
					t.Errorf("%s is not in the published notice", name)
				}
			}
		})
	}
}

func reply(code int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func TestV2Faults(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.sim.Credentials().MchKey
	set := func(f simkit.FaultSettings) {
		t.Helper()
		if err := b.kit.Faults.Set(f); err != nil {
			t.Fatal(err)
		}
	}
	set(simkit.FaultSettings{ProbeAnswerPercent: 100, ProbeNoticePercent: 100})
	in, url := newInbox(t, reply(http.StatusOK, "<xml><return_code>SUCCESS</return_code></xml>"))
	got := b.v2(wechat.V2OpenPath, v2Params("faults-1", fields{"notify_url": url}))
	if got.line() != "SUCCESS" || got.signed(signMD5, key) || len(got.values["sign"]) != 32 {
		t.Errorf("probe answer: %s", got.raw)
	}
	b.pay("faults-1", "p")
	b.step()
	if notice := readV2(t, in.bodies[0]); notice.signed(signMD5, key) || b.kit.Notices.Pending() != 1 {
		t.Errorf("probe notice: %s, %d pending", notice.raw, b.kit.Notices.Pending())
	}
	set(simkit.FaultSettings{UnsignedErrors: true})
	if got := b.v2(wechat.V2QueryPath, fields{"out_trade_no": "nothing"}); got.line() != "FAIL ORDERNOTEXIST" || got.values["sign"] != "" {
		t.Errorf("unsigned refusal: %s", got.raw)
	}
	if got := b.v2(wechat.V2QueryPath, fields{"out_trade_no": "faults-1"}); !got.signed(signMD5, key) {
		t.Errorf("an answer lost its signature: %s", got.raw)
	}
	set(simkit.FaultSettings{UnsignedErrors: true, FailBeforePercent: 100})
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, httptest.NewRequest("POST", wechat.V2ClosePath, strings.NewReader(b.v2Message(signMD5, fields{"out_trade_no": "faults-1"}))))
	if w.Code != http.StatusBadGateway {
		t.Errorf("fail before: %d", w.Code)
	}
	set(simkit.FaultSettings{LostAnswerPercent: 100})
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler { //nolint:errorlint // the very value
				t.Error("the answer was not lost")
			}
		}()
		b.v2(wechat.V2OpenPath, v2Params("faults-2", nil))
	}()
	set(simkit.FaultSettings{})
	if got := b.v2(wechat.V2QueryPath, fields{"out_trade_no": "faults-2"}); got.values["trade_state"] != "NOTPAY" {
		t.Errorf("a lost answer undid the order: %s", got.raw)
	}
}
