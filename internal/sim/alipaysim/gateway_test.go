package alipaysim

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"
)

func TestCommonRefusals(t *testing.T) {
	t.Parallel()
	const node = "alipay_trade_query_response"
	none := func(params) {}
	for _, row := range []struct {
		name          string
		before, after edit // the signing
		code, subCode string
		node          string
		signed        bool
	}{
		{"app_id missing", drop("app_id"), none, "40001", "isv.missing-app-id", node, false},
		{"app_id unknown", set("app_id", "2021000000009999"), none, "40002", "isv.invalid-app-id", node, false},
		{"app_id unknown and unsigned: the app is looked up first", set("app_id", "1"), drop("sign"), "40002", "isv.invalid-app-id", node, false},
		{"method missing", drop("method"), none, "40001", "isv.missing-method", "error_response", true},
		{"method unknown", set("method", "alipay.trade.cancel"), none, "40002", "isv.invalid-method", "error_response", true},
		{"sign_type missing", drop("sign_type"), none, "40001", "isv.missing-signature-type", node, true},
		{"sign missing", none, drop("sign"), "40001", "isv.missing-signature", node, true},
		{"timestamp missing", drop("timestamp"), none, "40001", "isv.missing-timestamp", node, true},
		{"version missing", drop("version"), none, "40001", "isv.missing-version", node, true},
		{"charset missing", drop("charset"), none, "40002", "isv.invalid-charset", node, true},
		{"charset big5", set("charset", "big5"), none, "40002", "isv.invalid-charset", node, true},
		{"RSA while the app is set to RSA2", set("sign_type", "RSA"), none, "40002", "isv.invalid-signature-type", node, true},
		{"sign_type MD5", set("sign_type", "MD5"), none, "40002", "isv.invalid-signature-type", node, true},
		{"timestamp ISO 8601", set("timestamp", "2026-03-01T12:00:00Z"), none, "40002", "isv.invalid-timestamp", node, true},
		{"timestamp of one-digit hour", set("timestamp", "2026-03-01 9:00:00"), none, "40002", "isv.invalid-timestamp", node, true},
		{"timestamp of no day", set("timestamp", "2026-02-30 12:00:00"), none, "40002", "isv.invalid-timestamp", node, true},
		{"version 2.0", set("version", "2.0"), none, "40002", "isv.invalid-parameter", node, true},
		{"format XML", set("format", "XML"), none, "40002", "isv.invalid-format", node, true},
		{"encrypt_type AES", set("encrypt_type", "AES"), none, "40002", "isv.invalid-encrypt-type", node, true},
		{"notify_url without a scheme", set("notify_url", "shop.test/n"), none, "40002", "isv.invalid-parameter", node, true},
		{"notify_url too long", set("notify_url", "http://shop.test/"+strings.Repeat("n", 240)), none, "40002", "isv.invalid-parameter", node, true},
		{"A21 amount changed after signing", none, set("biz_content", `{"out_trade_no":"B"}`), "40002", "isv.invalid-signature", node, true},
		{"parameter added after signing", none, set("alipay_sdk", "x"), "40002", "isv.invalid-signature", node, true},
		{"sign of one flipped character", none, func(p params) { p["sign"] = "AAAA" + p["sign"][4:] }, "40002", "isv.invalid-signature", node, true},
		{"A02 sign not base64", none, set("sign", "%%%"), "40002", "isv.invalid-signature", node, true},
		{"text not of the charset", set("biz_content", "{\"out_trade_no\":\"\xff\"}"), none, "40002", "isv.invalid-signature", node, true},
		{"biz_content no JSON", set("biz_content", "out_trade_no=A"), none, "40002", "isv.illegal-json", node, true},
		{"biz_content an array", set("biz_content", `["A"]`), none, "40002", "isv.illegal-json", node, true},
		{"biz_content with a name twice", set("biz_content", `{"out_trade_no":"A","out_trade_no":"B"}`), none, "40002", "isv.illegal-json", node, true},
		{"biz_content absent", drop("biz_content"), none, "40004", "ACQ.INVALID_PARAMETER", node, true},
		{"no number at all", set("biz_content", `{}`), none, "40004", "ACQ.INVALID_PARAMETER", node, true},
		{"number of a wrong type", set("biz_content", `{"out_trade_no":{"a":1}}`), none, "40004", "ACQ.INVALID_PARAMETER", node, true},
		{"unknown trade", none, none, "40004", "ACQ.TRADE_NOT_EXIST", node, true},
		{"unknown trade_no wins over out_trade_no", set("biz_content", `{"trade_no":"1","out_trade_no":"A"}`), none, "40004", "ACQ.TRADE_NOT_EXIST", node, true},
		{"format json in small letters passes", set("format", "json"), none, "40004", "ACQ.TRADE_NOT_EXIST", node, true},
		{"no format passes", drop("format"), none, "40004", "ACQ.TRADE_NOT_EXIST", node, true},
		{"charset in capitals passes", set("charset", "UTF-8"), none, "40004", "ACQ.TRADE_NOT_EXIST", node, true},
		{"unknown parameters are signed over and pass", set("terminal_info", "a b+c%"), none, "40004", "ACQ.TRADE_NOT_EXIST", node, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.request(methodQuery, map[string]any{"out_trade_no": "A"}, row.before)
			row.after(p)
			r := w.send(p)
			if r.get("code") != row.code || r.get("sub_code") != row.subCode || r.name != row.node {
				t.Fatalf("reply %s, want %s %s in %s", r.body, row.code, row.subCode, row.node)
			}
			signed := verify(&testKeys()["alipay_platform"].PublicKey, rsa2, r.raw, r.sign)
			if signed != row.signed || !row.signed && r.sign != "" {
				t.Errorf("signed = %v with sign %q, want %v", signed, r.sign, row.signed)
			}
			if r.get("msg") == "" || r.get("sub_msg") == "" {
				t.Errorf("no texts in %s", r.body)
			}
			if r.resp.StatusCode != http.StatusOK || r.resp.Header.Get("Content-Type") != "text/html;charset=utf-8" {
				t.Errorf("%d %s, want 200 text/html;charset=utf-8", r.resp.StatusCode, r.resp.Header.Get("Content-Type"))
			}
			var log []refused
			if err := json.Unmarshal([]byte(text(t, w.get("/sim/alipay/errors"))), &log); err != nil || len(log) != 1 || log[0].SubCode != row.subCode {
				t.Errorf("log %v (%v), want the one refusal", log, err)
			}
		})
	}
}

func TestInvalidSignatureTellsTheTextThatTheGatewayBuilt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.request(methodQuery, map[string]any{"out_trade_no": "A"})
	p["sign"] = "AAAA"
	if got := w.send(p).get("sub_msg"); !strings.HasSuffix(got, p.canonical("sign")) || !strings.HasPrefix(got, "无效签名") {
		t.Errorf("sub_msg %q", got)
	}
}

func TestHowParametersTravel(t *testing.T) {
	t.Parallel()
	biz := map[string]any{"out_trade_no": "Z 9+%/ü"} // refused as unknown, once the signature holds
	split := func(p params) (system, content params) {
		system, content = params{}, params{"biz_content": p["biz_content"]}
		for name, value := range p {
			if name != "biz_content" {
				system[name] = value
			}
		}
		return system, content
	}
	post := func(query, body, kind string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/gateway.do?"+query, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return r
	}
	const form = "application/x-www-form-urlencoded;charset=utf-8"
	for _, row := range []struct {
		name string
		make func(p params) *http.Request
		want string
	}{
		{"GET", func(p params) *http.Request { return httptest.NewRequest(http.MethodGet, link(p), nil) }, "ACQ.TRADE_NOT_EXIST"},
		{"POST, system parameters in the query", func(p params) *http.Request {
			system, content := split(p)
			return post(system.form(), content.form(), form)
		}, "ACQ.TRADE_NOT_EXIST"},
		{"POST, all in the body", func(p params) *http.Request { return post("", p.form(), "application/x-www-form-urlencoded") }, "ACQ.TRADE_NOT_EXIST"},
		{"POST, charset in query and body", func(p params) *http.Request { return post("charset=utf-8", p.form(), form) }, "ACQ.TRADE_NOT_EXIST"},
		{"POST multipart", func(p params) *http.Request {
			var body bytes.Buffer
			m := multipart.NewWriter(&body)
			for name, value := range p {
				_ = m.WriteField(name, value)
			}
			_ = m.Close()
			return post("", body.String(), m.FormDataContentType())
		}, "ACQ.TRADE_NOT_EXIST"},
		{"spaces as %20", func(p params) *http.Request {
			return httptest.NewRequest(http.MethodGet, strings.ReplaceAll(link(p), "+", "%20"), nil)
		}, "ACQ.TRADE_NOT_EXIST"},
		{"empty values are dropped", func(p params) *http.Request { return post("notify_url=&"+p.form(), "", form) }, "ACQ.TRADE_NOT_EXIST"},
		{"of duplicates the first wins", func(p params) *http.Request { return post(p.form(), "biz_content=%7B%7D", form) }, "ACQ.TRADE_NOT_EXIST"},
		{"a changed first one is no signed one", func(p params) *http.Request {
			return post("biz_content=%7B%7D", p.form(), form)
		}, "isv.invalid-signature"},
		{"a broken escape", func(p params) *http.Request { return post(p.form()+"&x=%zz", "", form) }, "isv.invalid-signature"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if got := read(t, w.do(row.make(w.request(methodQuery, biz)))); got.get("sub_code") != row.want {
				t.Errorf("reply %s, want %s", got.body, row.want)
			}
		})
	}
	t.Run("an empty value that was signed breaks the signature", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.request(methodQuery, biz)
		signature, err := sign(testKeys()["alipay_app"], rsa2, p.canonical("sign")+"&zz=")
		if err != nil {
			t.Fatal(err)
		}
		p["sign"], p["zz"] = signature, ""
		w.send(p).is(t, "40002", "isv.invalid-signature")
	})
	t.Run("other verbs and too large bodies", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		if got := w.do(httptest.NewRequest(http.MethodPut, "/gateway.do", nil)); got.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("PUT: %d", got.StatusCode)
		}
		if got := w.do(post("", "a="+strings.Repeat("b", maxRequest), form)); got.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("too large: %d", got.StatusCode)
		}
	})
}

// The ways in which SDKs cut the signed text out of the raw reply.
func TestReplyLayout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.sim.Pay(w.page("A"), ""); err != nil {
		t.Fatal(err)
	}
	for _, r := range []reply{w.query("A"), w.query("B")} {
		between := func(from, to string) string {
			_, rest, _ := strings.Cut(r.body, from)
			return rest[:strings.LastIndex(rest, to)]
		}
		for name, got := range map[string]string{
			"raw JSON":               r.raw,
			"to the last sign":       between(`"alipay_trade_query_response":`, `,"sign":`),
			"to the first sign":      strings.SplitN(strings.SplitN(r.body, `_response":`, 2)[1], `,"sign":`, 2)[0],
			"outermost braces":       r.body[strings.Index(r.body, ":{")+1 : strings.LastIndex(r.body[:strings.LastIndex(r.body, `"sign"`)], "}")+1],
			"whole reply, rebuilt":   strings.TrimSuffix(strings.TrimPrefix(r.body, `{"alipay_trade_query_response":`), `,"sign":"`+r.sign+`"}`),
			"node name exactly once": strings.Repeat(r.raw, strings.Count(r.body, "alipay_trade_query_response")),
		} {
			if !verify(&testKeys()["alipay_platform"].PublicKey, rsa2, got, r.sign) {
				t.Errorf("%s does not verify: %s", name, got)
			}
		}
		wantHead := `{"code":"10000","msg":"Success","buyer_logon_id":`
		if r.get("code") == "40004" {
			wantHead = `{"code":"40004","msg":"Business Failed","sub_code":"ACQ.TRADE_NOT_EXIST","sub_msg":"交易不存在","buyer_pay_amount":"0.00","invoice_amount":"0.00","out_trade_no":"B","point_amount":"0.00","receipt_amount":"0.00"}`
		}
		if !strings.HasPrefix(r.raw, wantHead) {
			t.Errorf("node %s, want it to begin %s", r.raw, wantHead)
		}
	}
}

func TestCharsetGBK(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inGBK := func(p params) {
		p["charset"] = "GBK"
		for name, value := range p {
			p[name] = gbkCharset.encode(value)
		}
	}
	if _, err := w.sim.Pay(w.page("A", inGBK), ""); err != nil {
		t.Fatal(err)
	}
	resp := w.get(link(w.request(methodQuery, map[string]any{"out_trade_no": "A"}, inGBK)))
	if got := resp.Header.Get("Content-Type"); got != "text/html;charset=gbk" {
		t.Errorf("Content-Type %s", got)
	}
	raw := text(t, resp)
	node, signature, _ := strings.Cut(strings.TrimPrefix(raw, `{"alipay_trade_query_response":`), `,"sign":"`)
	if !verify(&testKeys()["alipay_platform"].PublicKey, rsa2, node, strings.TrimSuffix(signature, `"}`)) {
		t.Error("the reply is not signed over its GBK bytes")
	}
	plain, err := simplifiedchinese.GBK.NewDecoder().String(raw)
	if err != nil || !strings.Contains(plain, `"subject":"《大宋提刑官》精装本"`) {
		t.Errorf("reply %q (%v)", plain, err)
	}
	got := w.deliver(3)
	if len(got) != 1 {
		t.Fatalf("%d notices, want 1", len(got))
	}
	form := got[0].form
	if !verify(&testKeys()["alipay_platform"].PublicKey, rsa2, form.canonical("sign", "sign_type"), form["sign"]) {
		t.Error("the notice is not signed over its GBK bytes")
	}
	if form["charset"] != "gbk" || gbkCharset.encode("《大宋提刑官》精装本") != form["subject"] {
		t.Errorf("notice %q", form)
	}
}
