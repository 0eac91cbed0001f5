package wechatv2

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
	facts "piaohao/spec/wechat"
)

func paidObservation(variant string) pay.Observation {
	return pay.Observation{
		Source: pay.FromNotice, Channel: "wechatv2", Account: "wechatv2-test", AppID: facts.V2AppID, MerchantID: facts.V2MerchantID,
		Variant: variant, OutTradeNo: facts.V2OutTradeNo, State: pay.Paid, Amount: 888, Currency: "CNY",
		TransactionID: facts.V2TransactionID, PaidAt: time.Date(2014, 9, 3, 5, 15, 40, 0, time.UTC),
	}
}

// Notices byte by byte as they arrive, signed by another program under the test's key.
func TestNoticeGolden(t *testing.T) {
	t.Parallel()
	const fields = `<xml><appid><![CDATA[wx2421b1c4370ec43b]]></appid>
<bank_type><![CDATA[CFT]]></bank_type>
<cash_fee><![CDATA[888]]></cash_fee>
<fee_type><![CDATA[CNY]]></fee_type>
<is_subscribe><![CDATA[Y]]></is_subscribe>
<mch_id><![CDATA[10000100]]></mch_id>
<nonce_str><![CDATA[5d2b6c2a8db53831f7eda20af46e531c]]></nonce_str>
<openid><![CDATA[oUpF8uMuAJO_M2pxb1Q9zNjWeS6o]]></openid>
<out_trade_no><![CDATA[1409811653]]></out_trade_no>
<result_code><![CDATA[SUCCESS]]></result_code>
<return_code><![CDATA[SUCCESS]]></return_code>
<time_end><![CDATA[20140903131540]]></time_end>
<total_fee>888</total_fee>
<trade_type><![CDATA[NATIVE]]></trade_type>
<transaction_id><![CDATA[1004400740201409030005092168]]></transaction_id>
<sign><![CDATA[`
	c := build(t, nil)
	for variant, sign := range map[string]string{
		"MD5":         "C078E3B29AD9CA563738F9E3FFEBE1BE",
		"HMAC-SHA256": "FE42836B0819912A861A5195DE6C7DAEAA239F0129441FA287047288B65D8405",
	} {
		got, err := c.Read(inbound(fields + sign + "]]></sign>\n</xml>"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(paidObservation(variant), got); diff != "" {
			t.Error(diff)
		}
	}
	for accepted, want := range map[bool]channel.Reply{
		true:  {Status: 200, ContentType: "text/xml; charset=utf-8", Body: `<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>`},
		false: {Status: 200, ContentType: "text/xml; charset=utf-8", Body: `<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[失败]]></return_msg></xml>`},
	} {
		if got := c.Ack(accepted); got != want {
			t.Errorf("answer to accepted %v: %+v", accepted, got)
		}
		fields, err := strict.ParseXML([]byte(want.Body), "xml")
		if err != nil || fields.Get("return_code") != map[bool]string{true: facts.V2Acks.Accepted[0].Value, false: facts.V2Acks.Refused[0].Value}[accepted] {
			t.Errorf("the answer is not as documented: %v, %v", fields, err)
		}
	}
}

// Rightly signed notices say what they say; the domain holds it against the attempt.
func TestNoticesThatHold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fields []facts.Field
		change func(o *pay.Observation)
	}{
		{"as documented", facts.V2Notice, func(*pay.Observation) {}},
		{"fields that nobody knows yet are signed too", set(facts.V2Notice, "something_new", "1 & 2 = 3"), func(*pay.Observation) {}},
		{"A20 names another order", set(facts.V2Notice, "out_trade_no", "victim"), func(o *pay.Observation) { o.OutTradeNo = "victim" }},
		{"A21 one fen short", set(facts.V2Notice, "total_fee", "887"), func(o *pay.Observation) { o.Amount = 887 }},
		{"A21 a coupon paid a part", set(set(facts.V2Notice, "cash_fee", "800"), "coupon_fee", "88"), func(*pay.Observation) {}},
		{"A21 settlement is less", set(facts.V2Notice, "settlement_total_fee", "1"), func(*pay.Observation) {}},
		{"A09 total_fee empty is absent", set(facts.V2Notice, "total_fee", ""), func(o *pay.Observation) { o.Amount = 0 }},
		{"A09 transaction number empty is absent", set(facts.V2Notice, "transaction_id", ""), func(o *pay.Observation) { o.TransactionID = "" }},
		{"A09 currency empty is absent, which is CNY", set(facts.V2Notice, "fee_type", ""), func(*pay.Observation) {}},
		{"A22 another currency", set(facts.V2Notice, "fee_type", "USD"), func(o *pay.Observation) { o.Currency = "USD" }},
		{"A22 currency in lower case", set(facts.V2Notice, "fee_type", "cny"), func(o *pay.Observation) { o.Currency = "cny" }},
		{"A23 another app under our key", set(facts.V2Notice, "appid", "wxother"), func(o *pay.Observation) { o.AppID = "wxother" }},
		{"A23 another merchant under our key", set(facts.V2Notice, "mch_id", "1900000001"), func(o *pay.Observation) { o.MerchantID = "1900000001" }},
		{"A23 a partner's merchant under our key", set(facts.V2Notice, "sub_mch_id", "19"), func(o *pay.Observation) { o.MerchantID += "/19" }},
	} {
		for _, variant := range variants {
			t.Run(tt.name+" "+variant, func(t *testing.T) {
				t.Parallel()
				want := paidObservation(variant)
				tt.change(&want)
				got, err := build(t, nil).Read(paidNotice(variant, tt.fields))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatal(diff)
				}
			})
		}
	}
}

// One key signs everything: whatever else it signed is no notice of a payment.
func TestA15SignedMessagesOfOtherKinds(t *testing.T) {
	t.Parallel()
	request := must(strict.ParseXML(build(t, nil).request("MD5", testAttempt("MD5"), question{
		path: "/pay/unifiedorder", fields: strict.Form{{Name: "out_trade_no", Value: facts.V2OutTradeNo}, {Name: "total_fee", Value: "888"}},
	}), "xml"))
	var own []facts.Field
	for _, f := range request {
		if f.Name != "nonce_str" && f.Name != "sign" {
			own = append(own, facts.Field{Name: f.Name, Value: f.Value})
		}
	}
	refund := set(set(facts.V2Notice, "refund_id", "50000404922017112502468056157"), "refund_fee", "40")
	for name, fields := range map[string][]facts.Field{
		"A27 result FAIL":                        set(facts.V2Notice, "result_code", "FAIL"),
		"A27 result in lower case":               set(facts.V2Notice, "result_code", "success"),
		"A27 no result":                          without(facts.V2Notice, "result_code"),
		"A27 return FAIL":                        set(facts.V2Notice, "return_code", "FAIL"),
		"A27 an answer to a query, NOTPAY":       set(facts.V2Notice, "trade_state", "NOTPAY"),
		"A27 an answer to a query, USERPAYING":   set(facts.V2Notice, "trade_state", "USERPAYING"),
		"A27 an answer to a query, PAYERROR":     set(facts.V2Notice, "trade_state", "PAYERROR"),
		"A15 an answer to a query, SUCCESS":      facts.V2Paid,
		"A15 an answer about a refund":           refund,
		"A15 an answer to a query about refunds": set(facts.V2Notice, "out_refund_no_0", "r1"),
		"A15 an answer to closing":               facts.V2Exchanges[len(facts.V2Exchanges)-6].Answer,
		"A15 our own request":                    own,
	} {
		got, err := build(t, nil).Read(paidNotice("MD5", fields))
		if err != nil || got.State != pay.Unknown || got.Refund != nil || got.Amount != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Every row is forged: by another key, in another way, or after signing.
func TestForgedNotices(t *testing.T) {
	t.Parallel()
	good := signed("MD5", facts.V2Notice)
	sign := signature(testKey, "MD5", set(facts.V2Notice, "nonce_str", nonce32))
	text := func(fields []facts.Field) []byte { return []byte(xmlOf("xml", fields)) }
	swap := func(from, to string) []byte { return bytes.Replace(text(good), []byte(from), []byte(to), 1) }
	resigned := func(name, value string) []byte { return text(signed("MD5", set(facts.V2Notice, name, value))) }
	by := func(key, variant string, fields []facts.Field) []byte {
		return text(set(fields, "sign", signature(key, variant, fields)))
	}
	for _, tt := range []struct {
		name string
		body []byte
		code string
	}{
		{"A01 order and amount alone", []byte(`<xml><appid>` + facts.V2AppID + `</appid><mch_id>` + facts.V2MerchantID + `</mch_id><out_trade_no>1</out_trade_no><total_fee>1</total_fee></xml>`), "unsigned"},
		{"A01 everything but a signature", text(without(good, "sign")), "unsigned"},
		{"A02 signature empty", text(set(good, "sign", "")), "unsigned"},
		{"A02 signature of blanks", text(set(good, "sign", strings.Repeat(" ", 32))), "signature"},
		{"A02 signature cut", text(set(good, "sign", sign[:31])), "signature"},
		{"A02 signature doubled", text(set(good, "sign", sign+sign)), "signature"},
		{"A02 signature with a line break", text(set(good, "sign", sign+"\n")), "signature"},
		{"A04 named HMAC-SHA256, signed by MD5", resigned("sign_type", "HMAC-SHA256"), "sign_type"},
		{"A04 named MD5, signed by HMAC-SHA256", text(signed("HMAC-SHA256", set(facts.V2Notice, "sign_type", "MD5"))), "sign_type"},
		{"A04 named in lower case", resigned("sign_type", "md5"), "sign_type"},
		{"A04 named SHA1", resigned("sign_type", "SHA1"), "sign_type"},
		{"A04 named nothing but a blank", resigned("sign_type", " "), "sign_type"},
		{"A05 signed with no key", by("", "MD5", good), "signature"},
		{"A05 signed with the documentation's key", by(facts.V2Key, "MD5", good), "signature"},
		{"A16 signature in lower case", text(set(good, "sign", strings.ToLower(sign))), "signature"},
		{"A16 signature that is a number", text(set(good, "sign", "0E462097431906509019562988736854")), "signature"},
		{"A18 signed with a simulator's key", by(otherKey, "MD5", good), "signature"},
		{"A18 signed with a simulator's key by HMAC-SHA256", by(otherKey, "HMAC-SHA256", good), "signature"},
		{"A08 space before the order", text(set(good, "out_trade_no", " "+facts.V2OutTradeNo)), "signature"},
		{"A20 another order", text(set(good, "out_trade_no", "victim")), "signature"},
		{"A21 another amount", text(set(good, "total_fee", "1")), "signature"},
		{"a field more", text(set(good, "device_info", "1")), "signature"},
		{"a field less", text(without(good, "openid")), "signature"},
		{"A07 a value that takes in the next field, under the same signature", text(set(without(good, "cash_fee"), "bank_type", "CFT&cash_fee=888")), "split"},
		{"A07 signed so", resigned("attach", "x&total_fee=1"), "split"},
		{"A07 signed so, of a field that nobody knows", resigned("attach", "x&y=1"), "split"},
		{"A07 name in capitals", resigned("Total_fee", "1"), "name"},
		{"A29 exponent", resigned("total_fee", "1e2"), "total_fee"},
		{"A29 fraction", resigned("total_fee", "888.0"), "total_fee"},
		{"A29 minus", resigned("total_fee", "-1"), "total_fee"},
		{"A29 plus", resigned("total_fee", "+888"), "total_fee"},
		{"A29 space", resigned("total_fee", " 888"), "total_fee"},
		{"A29 full-width digits", resigned("total_fee", "８８８"), "total_fee"},
		{"A29 hexadecimal", resigned("total_fee", "0x378"), "total_fee"},
		{"A29 leading zero", resigned("total_fee", "0888"), "total_fee"},
		{"A29 zeros", resigned("total_fee", "00"), "total_fee"},
		{"A29 underscore", resigned("total_fee", "8_88"), "total_fee"},
		{"A29 2^63", resigned("total_fee", "9223372036854775808"), "total_fee"},
		{"A29 more than any payment", resigned("total_fee", "10000000001"), "total_fee"},
		{"A29 NaN", resigned("total_fee", "NaN"), "total_fee"},
		{"A45 outside entity", append([]byte(`<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]>`), swap("CFT", "]]>&x;<![CDATA[")...), "xml"},
		{"A46 entity of entities", append([]byte(`<!DOCTYPE xml [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>`), text(good)...), "xml"},
		{"A46 larger than 64 KiB", swap("CFT", strings.Repeat("x", 64<<10)), "xml"},
		{"A47 DOCTYPE that nobody uses", append([]byte("<!DOCTYPE xml>"), text(good)...), "xml"},
		{"A48 amount twice", swap("</total_fee>", "</total_fee><total_fee>1</total_fee>"), "xml"},
		{"A48 signature twice", swap("</sign>", "</sign><sign>"+sign+"</sign>"), "xml"},
		{"A49 comment inside of the amount", swap("<![CDATA[888]]></total_fee>", "8<!-- -->88</total_fee>"), "xml"},
		{"A49 element inside of the amount", swap("<![CDATA[888]]></total_fee>", "888<b>00</b></total_fee>"), "xml"},
		{"A49 second root", append(text(good), text(good)...), "xml"},
		{"A49 attribute", swap("<total_fee>", `<total_fee x="1">`), "xml"},
		{"A49 another root", []byte(xmlOf("root", good)), "xml"},
		{"A50 named GBK", append([]byte(`<?xml version="1.0" encoding="GBK"?>`), text(good)...), "xml"},
		{"A50 bytes of GBK", swap("CFT", "\xd6\xa7\xb8\xb6"), "xml"},
		{"A50 NUL", swap("CFT", "CFT\x00"), "xml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := build(t, nil).Read(channel.Inbound{Header: http.Header{}, Body: tt.body})
			if kind, code := kindOf(err); kind != channel.Forged || code != tt.code || got != (pay.Observation{}) {
				t.Fatalf("%s %s %+v, want forged %s", kind, code, got, tt.code)
			}
		})
	}
}

// A06, A56: nothing around the body makes it truer, and a query or a compression is not the platform's.
func TestNoticesSurroundings(t *testing.T) {
	t.Parallel()
	c := build(t, nil)
	forged := inbound(xmlOf("xml", set(signed("MD5", facts.V2Notice), "total_fee", "1")))
	forged.Header = http.Header{"Host": {"localhost"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Debug": {"1"}}
	if kind, _ := kindOf(second(c.Read(forged))); kind != channel.Forged {
		t.Errorf("A06 %s", kind)
	}
	for name, change := range map[string]func(in *channel.Inbound){
		"A52 query":      func(in *channel.Inbound) { in.RawQuery = "a=b" },
		"A56 compressed": func(in *channel.Inbound) { in.Header["Content-Encoding"] = []string{"gzip"} },
	} {
		in := paidNotice("MD5", facts.V2Notice)
		change(&in)
		if kind, code := kindOf(second(c.Read(in))); kind != channel.Forged || code != "form" {
			t.Errorf("%s: %s %s", name, kind, code)
		}
	}
}

// What is not for this driver or this account is Foreign, so that the accounts of one address tell each other apart.
func TestForeignNotices(t *testing.T) {
	t.Parallel()
	others := func(fields []facts.Field) string {
		fields = set(fields, "mch_id", "1900000002")
		return xmlOf("xml", set(fields, "sign", signature(otherKey, "MD5", fields)))
	}
	for name, body := range map[string]string{
		"JSON of APIv3":                 `{"id":"EV-2018022511223320873","event_type":"TRANSACTION.SUCCESS"}`,
		"a form":                        "out_trade_no=1&sign=x",
		"nothing":                       "",
		"A24 another account's payment": others(facts.V2Notice),
		"A24 another account's refund":  others(set(facts.V2RefundNotice, "req_info", sealed(otherKey, "<root></root>"))),
		"A24 another app's payment under its key":   xmlOf("xml", set(set(facts.V2Notice, "appid", "wxother"), "sign", "00")),
		"A24 an account that is named by nobody":    "<xml></xml>",
		"A24 refund of nobody, sealed with our key": xmlOf("xml", []facts.Field{{Name: "req_info", Value: sealed(testKey, xmlOf("root", facts.V2RefundInfo))}}),
	} {
		if kind, code := kindOf(second(build(t, nil).Read(inbound(body)))); kind != channel.Foreign || code == "" {
			t.Errorf("%s is %s %s", name, kind, code)
		}
	}
}

// A13: nobody signs a refund's notice, and its blocks can be put in another order: a hint about an order and no more.
func TestA13RefundNoticeIsAHint(t *testing.T) {
	t.Parallel()
	hint := pay.Observation{
		Source: pay.FromNotice, Channel: "wechatv2", Account: "wechatv2-test", AppID: facts.V2AppID, MerchantID: facts.V2MerchantID, OutTradeNo: facts.V2OutTradeNo, State: pay.Unknown, Hint: true,
	}
	nameless := hint
	nameless.OutTradeNo = ""
	info := xmlOf("root", facts.V2RefundInfo)
	whole := must(base64.StdEncoding.DecodeString(sealed(testKey, info)))
	blocks := slices.Concat(whole[16:32], whole[:16], whole[32:])
	var logged bytes.Buffer
	c := build(t, func(_ *Config, env *channel.Env) { env.Log = slog.New(slog.NewTextHandler(&logged, nil)) })
	for _, tt := range []struct {
		name, sealed string
		more         []facts.Field
		code         string // "" = a hint
	}{
		{"A13 as documented", sealed(testKey, info), nil, ""},
		{"A13 with the fields of a payment beside it", sealed(testKey, info), facts.V2Notice, ""},
		{"A15 with a rightly signed payment beside it", sealed(testKey, info), signed("MD5", facts.V2Notice), ""},
		{"A13 of another status", sealed(testKey, strings.Replace(info, "SUCCESS", "REFUNDCLOSE", 1)), nil, ""},
		{"A13 of another amount", sealed(testKey, strings.Replace(info, "<refund_fee><![CDATA[40]]>", "<refund_fee><![CDATA[888]]>", 1)), nil, ""},
		{"A13 of no order", sealed(testKey, strings.Replace(info, facts.V2OutTradeNo, "", 1)), nil, "nameless"},
		{"A13 of an order with a long name", sealed(testKey, strings.Replace(info, facts.V2OutTradeNo, strings.Repeat("1", 33), 1)), nil, "nameless"},
		{"A13 of another key", sealed(otherKey, info), nil, "req_info"},
		{"A13 blocks in another order", base64.StdEncoding.EncodeToString(blocks), nil, "req_info"},
		{"A13 a block less", base64.StdEncoding.EncodeToString(whole[:len(whole)-16]), nil, "req_info"},
		{"A13 a byte less", base64.StdEncoding.EncodeToString(whole[:len(whole)-1]), nil, "req_info"},
		{"A13 no base64", "***", nil, "req_info"},
		{"A13 padding of two kinds", sealedBlocks(testKey, "<root></root>\n\n\x02"), nil, "req_info"},
		{"A13 padding longer than a block", sealedBlocks(testKey, "<root></root>"+strings.Repeat("\x13", 19)), nil, "req_info"},
		{"A13 padding of nothing", sealedBlocks(testKey, "<root></root>\n\n\x00"), nil, "req_info"},
		{"A13 another root", sealed(testKey, xmlOf("xml", facts.V2RefundInfo)), nil, "req_info"},
		{"A45 entity inside", sealed(testKey, `<!DOCTYPE root [<!ENTITY x SYSTEM "file:///etc/passwd">]><root><a>&x;</a></root>`), nil, "req_info"},
		{"A48 element twice inside", sealed(testKey, "<root><a>1</a><a>2</a></root>"), nil, "req_info"},
	} {
		fields := append(slices.Clone(tt.more), facts.Field{Name: "req_info", Value: tt.sealed})
		for _, f := range facts.V2RefundNotice {
			fields = set(fields, f.Name, f.Value)
		}
		got, err := c.Read(inbound(xmlOf("xml", fields)))
		kind, code := kindOf(err)
		switch {
		case tt.code == "nameless":
			if err != nil || !cmp.Equal(got, nameless) {
				t.Errorf("%s: %+v, %v", tt.name, got, err)
			}
		case tt.code != "" && (kind != channel.Forged || code != tt.code):
			t.Errorf("%s: %s %s, want forged %s", tt.name, kind, code, tt.code)
		case tt.code == "" && (err != nil || !cmp.Equal(got, hint)):
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
	if n := strings.Count(logged.String(), "out_trade_no="+facts.V2OutTradeNo+" "); n != 5 {
		t.Errorf("%d hints in the log:\n%s", n, &logged)
	}
}

// ways returns every way to cut a signed text into fields, whatever is refused later.
func ways(text string) []strict.Form {
	var all []strict.Form
	name, value, found := strings.Cut(text, "=")
	if !found {
		return nil
	}
	all = append(all, strict.Form{{Name: name, Value: value}})
	for i := range len(value) {
		if value[i] == '&' {
			for _, rest := range ways(value[i+1:]) {
				all = append(all, append(strict.Form{{Name: name, Value: value[:i]}}, rest...))
			}
		}
	}
	return all
}

// A07: no signed text can be cut into fields in two ways that are both accepted.
func TestA07NoTextHasTwoReadings(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{"a", "b", "c_1", "A", "=", "&", "&a=", "&b=", "&c_1=", "支", " ", strings.Repeat("n", 65)})
	seen := 0
	rapid.Check(t, func(t *rapid.T) {
		text := "a=" + strings.Join(rapid.SliceOfN(piece, 0, 9).Draw(t, "pieces"), "")
		var accepted []strict.Form
		for _, form := range ways(text) {
			cut := slices.Clone(form)
			if unsplit(cut, "") == "" && slices.Equal(cut, form) && !slices.ContainsFunc(form, func(p strict.Pair) bool { return p.Value == "" }) {
				accepted = append(accepted, form)
			}
		}
		if len(accepted) > 1 {
			t.Fatalf("A07 %q: %v", text, accepted)
		}
		seen += len(accepted)
	})
	if seen == 0 {
		t.Error("A07 nothing was accepted, so nothing was tested")
	}
}

func TestA07LongValuesAreReadOnce(t *testing.T) {
	t.Parallel()
	// Quadratic work over 64 KiB of ampersands would be four thousand million steps.
	for _, value := range []string{strings.Repeat("&", 64<<10), strings.Repeat("&a", 32<<10), strings.Repeat("&"+strings.Repeat("n", 65), 990)} {
		if splits(value) {
			t.Error("A07 refused without reason")
		}
	}
}

// Whatever comes in: no panic, and what is accepted as paid was signed with the key.
func FuzzRead(f *testing.F) {
	for _, variant := range variants {
		f.Add(paidNotice(variant, facts.V2Notice).Body)
		f.Add(paidNotice(variant, facts.V2Paid).Body)
	}
	f.Add([]byte(xmlOf("xml", append(slices.Clone(facts.V2RefundNotice), facts.Field{Name: "req_info", Value: sealed(testKey, xmlOf("root", facts.V2RefundInfo))}))))
	f.Add([]byte("<xml><sign>x</sign></xml>"))
	f.Add([]byte(`{"id":"1"}`))
	c := build(f, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		obs, err := c.Read(channel.Inbound{Body: data})
		if err != nil {
			if kind, code := kindOf(err); kind != channel.Forged && kind != channel.Foreign || code == "" || obs != (pay.Observation{}) {
				t.Fatalf("%v beside %+v", err, obs)
			}
			return
		}
		if obs.Refund != nil || obs.State != pay.Paid && obs.State != pay.Unknown {
			t.Fatalf("%+v", obs)
		}
		if obs.State != pay.Paid {
			return
		}
		var fields []facts.Field
		for _, p := range must(strict.ParseXML(data, "xml")) {
			fields = append(fields, facts.Field(p))
		}
		if !bytes.Contains(data, []byte(signature(testKey, obs.Variant, fields))) {
			t.Fatalf("paid without a signature: %q", data)
		}
	})
}
