package wechatv3

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
	facts "piaohao/spec/wechat"
)

// kindOf is the kind and code of a channel error, "" for none.
func kindOf(err error) (channel.Kind, string) {
	var e *channel.Error
	if errors.As(err, &e) {
		return e.Kind, e.Code
	}
	return "", ""
}

func TestNoticeOfAPayment(t *testing.T) {
	t.Parallel()
	want := pay.Observation{
		Source: pay.FromNotice, Channel: "wechatv3", Account: "wechat-test", AppID: facts.AppID, MerchantID: facts.MerchantID,
		OutTradeNo: facts.OutTradeNo, State: pay.Paid, Amount: 100, Currency: "CNY", TransactionID: facts.TransactionID,
		PaidAt: time.Date(2018, 6, 8, 2, 34, 56, 0, time.UTC),
	}
	c := build(t, nil)
	for _, tt := range []struct {
		name, from, to string
		change         func(o *pay.Observation)
	}{
		{"as documented", "", "", func(*pay.Observation) {}},
		{"A20 names another order", facts.OutTradeNo, "victim", func(o *pay.Observation) { o.OutTradeNo = "victim" }},
		{"A21 one fen short", `"total":100`, `"total":99`, func(o *pay.Observation) { o.Amount = 99 }},
		{"A22 currency of another country", `"currency":"CNY"`, `"currency":"HKD"`, func(o *pay.Observation) { o.Currency = "HKD" }},
		{"A22 currency absent", `"currency":"CNY",`, ``, func(o *pay.Observation) { o.Currency = "" }},
		{"A23 another merchant", facts.MerchantID, "1900000000", func(o *pay.Observation) { o.MerchantID = "1900000000" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := want
			tt.change(&want)
			text := facts.Paid
			if tt.from != "" {
				text = strings.ReplaceAll(text, tt.from, tt.to)
			}
			got, err := c.Read(paidNotice(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestA27NoticeThatIsNoPayment(t *testing.T) {
	t.Parallel()
	c := build(t, nil)
	for state, want := range map[string]pay.State{
		"NOTPAY": pay.Unpaid, "USERPAYING": pay.Unpaid, "CLOSED": pay.Closed, "SOMETHING_NEW": pay.Unknown, "success": pay.Unknown, "": pay.Unknown,
	} {
		got, err := c.Read(paidNotice(strings.Replace(facts.Paid, `"trade_state":"SUCCESS"`, `"trade_state":"`+state+`"`, 1)))
		if err == nil && got.State != want || err != nil && want != pay.Unknown {
			t.Errorf("A27 %q: %q %v, want %q", state, got.State, err, want)
		}
	}
}

// A15: a refund's notice on the payment's address is never a second payment.
func TestA15NoticeOfARefund(t *testing.T) {
	t.Parallel()
	text := `{"mchid":"` + facts.MerchantID + `","out_trade_no":"` + facts.OutTradeNo + `","transaction_id":"` + facts.TransactionID +
		`","out_refund_no":"r1","refund_id":"50000000382019052709732678859","refund_status":"SUCCESS","success_time":"2018-06-08T10:34:56+08:00","amount":{"total":100,"refund":30,"payer_total":100,"payer_refund":30}}`
	c := build(t, nil)
	got, err := c.Read(inbound(envelope("REFUND.SUCCESS", sealed("refund", text))))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2018, 6, 8, 2, 34, 56, 0, time.UTC)
	if got.State != pay.Unknown || got.Refund == nil || *got.Refund != (pay.RefundFact{OutRefundNo: "r1", Amount: 30, Status: pay.RefundSucceeded, At: at}) {
		t.Fatalf("%+v %+v", got, got.Refund)
	}
	for event, status := range map[string]pay.RefundStatus{"SUCCESS": pay.RefundSucceeded, "ABNORMAL": pay.RefundAbnormal, "CLOSED": pay.RefundFailed} {
		for _, told := range []string{"SUCCESS", "ABNORMAL", "CLOSED", "PROCESSING", "FAIL", ""} {
			got, err := c.Read(inbound(envelope("REFUND."+event, sealed("refund", strings.Replace(text, `"refund_status":"SUCCESS"`, `"refund_status":"`+told+`"`, 1)))))
			switch {
			case err != nil:
				t.Errorf("A15 %s that tells %q: %v", event, told, err)
			case told == event && (got.Refund == nil || got.Refund.Status != status || got.Hint):
				t.Errorf("A15 %s: %+v", event, got)
			case told != event && (got.Refund != nil || !got.Hint || got.State != pay.Unknown):
				t.Errorf("A15 %s that tells %q: %+v", event, told, got)
			}
		}
	}
	for name, in := range map[string]channel.Inbound{
		"A15 a refund named a payment":   inbound(envelope("TRANSACTION.SUCCESS", sealed("refund", text))),
		"A15 a payment named a refund":   inbound(envelope("REFUND.SUCCESS", sealed("transaction", facts.Paid))),
		"A15 a payment's text as refund": inbound(envelope("REFUND.SUCCESS", sealed("refund", facts.Paid))),
		"A15 an amount of text":          inbound(envelope("REFUND.SUCCESS", sealed("refund", `{"amount":{"refund":"x"}}`))),
		"A15 a refund of no number":      inbound(envelope("REFUND.SUCCESS", sealed("refund", strings.Replace(text, `"r1"`, `""`, 1)))),
		"A15 a refund of nothing":        inbound(envelope("REFUND.SUCCESS", sealed("refund", strings.Replace(text, `"refund":30`, `"refund":0`, 1)))),
	} {
		if got, err := c.Read(in); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Every row changes a rightly signed notice and signs nothing again: all of them are forged.
func TestForgedNotices(t *testing.T) {
	t.Parallel()
	set := func(key string, values ...string) func(*channel.Inbound) {
		return func(in *channel.Inbound) { in.Header[key] = values }
	}
	at := func(d time.Duration) func(*channel.Inbound) {
		return func(in *channel.Inbound) { in.Header = signed(testKeys().platform, testNow().Add(d), string(in.Body)) }
	}
	const sig, serial, stamp, nonce, kind = "Wechatpay-Signature", "Wechatpay-Serial", "Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature-Type"
	for _, tt := range []struct {
		name   string
		change func(*channel.Inbound)
		code   string // "" = any
	}{
		{"A02 no signature", func(in *channel.Inbound) { delete(in.Header, sig) }, "header_missing"},
		{"A02 empty signature", set(sig, ""), "header_malformed"},
		{"A02 blank signature", set(sig, " "), "header_malformed"},
		{"A02 cut signature", func(in *channel.Inbound) { in.Header.Set(sig, in.Header.Get(sig)[:340]) }, "signature"},
		{"A02 signature is no base64", set(sig, strings.Repeat("*", 344)), "signature"},
		{"A02 base64 of another length", set(sig, base64.StdEncoding.EncodeToString([]byte("short"))), "signature"},
		{"A03 a probe of the platform", set(sig, "WECHATPAY/SIGNTEST/"+strings.Repeat("A", 320)), "signature"},
		{"A04 another algorithm named", set(kind, "WECHATPAY2-SM2-WITH-SM3"), "signature_type"},
		{"A04 the algorithm named twice", set(kind, scheme, scheme), "signature_type"},
		{"A10 unknown serial", set(serial, "PUB_KEY_ID_0000000000000000000000000000000000"), "serial"},
		{"A10 a certificate's serial", set(serial, serialNo), "serial"},
		{"A16 signature in lower case", func(in *channel.Inbound) { in.Header.Set(sig, strings.ToLower(in.Header.Get(sig))) }, "signature"},
		{"A18 signed by a simulator's key", func(in *channel.Inbound) { in.Header = signed(testKeys().stranger, testNow(), string(in.Body)) }, "signature"},
		{"A11 signed by the merchant's own key", func(in *channel.Inbound) { in.Header = signed(testKeys().merchant, testNow(), string(in.Body)) }, "signature"},
		{"A36 5 min and 1 s old", at(-5*time.Minute - time.Second), "timestamp"},
		{"A36 5 min and 1 s ahead", at(5*time.Minute + time.Second), "timestamp"},
		{"A36 no timestamp", func(in *channel.Inbound) { delete(in.Header, stamp) }, "header_missing"},
		{"A36 timestamp in words", set(stamp, "now"), "timestamp"},
		{"A36 timestamp with a sign", set(stamp, "+"+strconv.FormatInt(testNow().Unix(), 10)), "timestamp"},
		{"A56 compressed", set("Content-Encoding", "gzip"), "form"},
		{"A52 with a query", func(in *channel.Inbound) { in.RawQuery = "a=b" }, "form"},
		{"A59 two signatures", func(in *channel.Inbound) { in.Header.Add(sig, in.Header.Get(sig)) }, "header_repeated"},
		{"A59 two serials", set(serial, peerID, "other"), "header_repeated"},
		{"A59 line break in the nonce", set(nonce, nonce32+"\r\nX: y"), "header_malformed"},
		{"A59 nonce outside of ASCII", set(nonce, "随机"), "header_malformed"},
		{"A08 blank before the nonce", set(nonce, " "+nonce32), "header_malformed"},
		{"one byte of the body", func(in *channel.Inbound) { in.Body = bytes.Replace(in.Body, []byte("EV-"), []byte("EW-"), 1) }, "signature"},
		{"a line break after the body", func(in *channel.Inbound) { in.Body = append(in.Body, '\n') }, "signature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := paidNotice(facts.Paid)
			in.Header = maps.Clone(in.Header)
			tt.change(&in)
			kind, code := kindOf(second(build(t, nil).Read(in)))
			if kind != channel.Forged || tt.code != "" && code != tt.code {
				t.Fatalf("%s %s, want forged %s", kind, code, tt.code)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func TestA36FiveMinutesAreAllowed(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{-5 * time.Minute, 0, 5 * time.Minute} {
		body := envelope("TRANSACTION.SUCCESS", sealed("transaction", facts.Paid))
		in := channel.Inbound{Header: signed(testKeys().platform, testNow().Add(d), body), Body: []byte(body)}
		if _, err := build(t, nil).Read(in); err != nil {
			t.Errorf("A36 %v: %v", d, err)
		}
	}
}

// A10: no caller makes us fetch a key: the client has no network here.
func TestA10UnknownSerialsFetchNothing(t *testing.T) {
	t.Parallel()
	c := build(t, func(_ *Config, env *channel.Env) {
		env.HTTP = &http.Client{Transport: forbidden{t}}
	})
	in := paidNotice(facts.Paid)
	for i := range 1000 {
		in.Header.Set("Wechatpay-Serial", "PUB_KEY_ID_"+strconv.Itoa(i))
		if kind, _ := kindOf(second(c.Read(in))); kind != channel.Forged {
			t.Fatal(kind)
		}
	}
}

type forbidden struct{ t *testing.T }

func (f forbidden) RoundTrip(*http.Request) (*http.Response, error) {
	f.t.Error("A10 something was fetched")
	return nil, errors.New("no network")
}

// These are signed by the platform's key and still not what it sends: nothing panics, nothing passes.
func TestA14SealedResources(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r map[string]any){
		"A14 nonce of 11 bytes":     func(r map[string]any) { r["nonce"] = "uluk4a9R25R" },
		"A14 nonce of 13 bytes":     func(r map[string]any) { r["nonce"] = "uluk4a9R25RWx" },
		"A14 no nonce":              func(r map[string]any) { delete(r, "nonce") },
		"A14 another nonce":         func(r map[string]any) { r["nonce"] = "uluk4a9R25RX" },
		"A14 another label":         func(r map[string]any) { r["associated_data"] = "refund" },
		"A14 no label":              func(r map[string]any) { delete(r, "associated_data") },
		"A14 another algorithm":     func(r map[string]any) { r["algorithm"] = "AES-256-ECB" },
		"A14 no algorithm":          func(r map[string]any) { delete(r, "algorithm") },
		"A14 cut tag":               func(r map[string]any) { r["ciphertext"] = r["ciphertext"].(string)[:40] },
		"A14 no ciphertext":         func(r map[string]any) { delete(r, "ciphertext") },
		"A14 ciphertext unreadable": func(r map[string]any) { r["ciphertext"] = "***" },
		"A14 one byte of it": func(r map[string]any) {
			raw := must(base64.StdEncoding.DecodeString(r["ciphertext"].(string)))
			raw[7] ^= 1
			r["ciphertext"] = base64.StdEncoding.EncodeToString(raw)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sealed("transaction", facts.Paid)
			change(r)
			if kind, _ := kindOf(second(build(t, nil).Read(inbound(envelope("TRANSACTION.SUCCESS", r))))); kind != channel.Forged {
				t.Fatal(kind)
			}
		})
	}
}

func TestA51SealedJSONIsReadStrictly(t *testing.T) {
	t.Parallel()
	swap := func(from, to string) string { return strings.Replace(facts.Paid, from, to, 1) }
	for name, text := range map[string]string{
		"A51 two states":             swap(`"trade_state":"SUCCESS"`, `"trade_state":"NOTPAY","trade_state":"SUCCESS"`),
		"A51 two totals":             swap(`"total":100`, `"total":1,"total":100`),
		"A51 name in capitals":       swap(`"trade_state":"SUCCESS"`, `"trade_state":"NOTPAY","TRADE_STATE":"SUCCESS"`),
		"A51 name with a long s":     swap(`"trade_state":"SUCCESS"`, `"trade_state":"NOTPAY","trade_ſtate":"SUCCESS"`),
		"A51 null":                   swap(`"total":100`, `"total":null`),
		"A51 a second document":      facts.Paid + `{}`,
		"A29 total with an exponent": swap(`"total":100`, `"total":1e2`),
		"A29 total with a fraction":  swap(`"total":100`, `"total":100.0`),
		"A29 total in quotes":        swap(`"total":100`, `"total":"100"`),
		"A29 total beyond 64 bits":   swap(`"total":100`, `"total":9223372036854775808`),
	} {
		got, err := build(t, nil).Read(paidNotice(text))
		if err == nil && got.State == pay.Paid {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A09: what is there and empty is as if it were not there.
func TestA09EmptyIsAbsent(t *testing.T) {
	t.Parallel()
	c := build(t, nil)
	fields := map[string]any{}
	if err := json.Unmarshal([]byte(facts.Paid), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"appid", "mchid", "out_trade_no", "transaction_id", "trade_state", "success_time"} {
		empty, absent := maps.Clone(fields), maps.Clone(fields)
		empty[name] = ""
		delete(absent, name)
		a, errA := c.Read(paidNotice(string(must(json.Marshal(empty)))))
		b, errB := c.Read(paidNotice(string(must(json.Marshal(absent)))))
		if diff := cmp.Diff(a, b); diff != "" || errA != nil || errB != nil {
			t.Errorf("A09 %s: %v %v %s", name, errA, errB, diff)
		}
	}
	for _, header := range []string{"Wechatpay-Serial", "Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Signature-Type"} {
		in := paidNotice(facts.Paid)
		in.Header[header] = []string{""}
		if kind, _ := kindOf(second(c.Read(in))); kind != channel.Forged {
			t.Errorf("A09 %s empty: %s", header, kind)
		}
	}
}

func TestForeignAndOddNotices(t *testing.T) {
	t.Parallel()
	c := build(t, nil)
	if kind, _ := kindOf(second(c.Read(inbound("out_trade_no=1&sign=x")))); kind != channel.Foreign {
		t.Errorf("a form is %s", kind)
	}
	for name, body := range map[string]string{"not an envelope": `{"a":1`, "no resource": `{"event_type":"TRANSACTION.SUCCESS"}`, "an array": `{}[]`} {
		if kind, _ := kindOf(second(c.Read(inbound(body)))); kind != channel.Forged {
			t.Errorf("%s is %s", name, kind)
		}
	}
	got, err := c.Read(inbound(envelope("SOMETHING.NEW", sealed("x", "{}"))))
	if err != nil || got.State != pay.Unknown || got.OutTradeNo != "" {
		t.Errorf("an unknown event: %+v %v", got, err)
	}
	if c.Ack(true).Status != http.StatusOK || c.Ack(false).Status < 400 {
		t.Error("answers")
	}
}

// A05: half-filled or mixed-up settings are refused by name, and no error repeats a key.
func TestA05Settings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, names string
		change      func(*Config, *channel.Env)
	}{
		{"no app id", "WECHAT_APP_ID", func(c *Config, _ *channel.Env) { c.AppID = "" }},
		{"another account's app id", "WECHAT_APP_ID", func(_ *Config, e *channel.Env) { e.Account.AppID = "wxother" }},
		{"another account's merchant", "WECHAT_MCH_ID", func(_ *Config, e *channel.Env) { e.Account.MerchantID = "1900000001" }},
		{"no serial", "WECHAT_MCH_SERIAL_NO", func(c *Config, _ *channel.Env) { c.SerialNo = "" }},
		{"APIv3 key empty", "WECHAT_API_V3_KEY", func(c *Config, _ *channel.Env) { c.APIv3Key = secret.Text{} }},
		{"APIv3 key of 31", "WECHAT_API_V3_KEY", func(c *Config, _ *channel.Env) { c.APIv3Key = secret.New(v3Key[:31]) }},
		{"no private key", "WECHAT_MCH_PRIVATE_KEY", func(c *Config, _ *channel.Env) { c.PrivateKey = secret.New("x") }},
		{"public key id without its prefix", "WECHAT_PUBLIC_KEY_ID", func(c *Config, _ *channel.Env) { c.PublicKeyID = c.PublicKeyID[11:] }},
		{"our own public key", "WECHAT_PUBLIC_KEY", func(c *Config, _ *channel.Env) {
			c.PublicKey = pemText("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&testKeys().merchant.PublicKey)))
		}},
		{"A18 a simulator in live mode", "live account", func(_ *Config, e *channel.Env) { e.Account.Livemode = true }},
	} {
		t.Run("A05 "+tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, env := testConfig(), testEnv()
			private := cfg.PrivateKey.Reveal()
			tt.change(cfg, &env)
			_, err := New(cfg, env)
			if err == nil || !strings.Contains(err.Error(), tt.names) {
				t.Fatalf("%v, want one that names %s", err, tt.names)
			}
			if strings.Contains(err.Error(), v3Key[:31]) || strings.Contains(err.Error(), private[60:100]) {
				t.Fatal("the error repeats a key")
			}
		})
	}
}

// A07: what the wire carries of a shop's text can re-cut nothing, and the platform's limits hold.
func TestA07WireText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := pay.Attempt{OutTradeNo: "no1", Subject: rapid.String().Draw(t, "subject")}
		got := description(a)
		if got == "" || len(got) > maxDescription || !utf8.ValidString(got) || strings.ContainsAny(got, "&=/") {
			t.Fatalf("%q", got)
		}
		for _, r := range got {
			if r > 0xFFFF || unicode.IsControl(r) {
				t.Fatalf("%q holds %U", got, r)
			}
		}
	})
	for in, want := range map[string]string{
		"《大宋提刑官》": "《大宋提刑官》", "a&b=c/d": "a＆b＝c／d", "😀": "no1", " \x00\n": "no1", "": "no1",
		strings.Repeat("字", 60): strings.Repeat("字", 42),
	} {
		if got := description(pay.Attempt{OutTradeNo: "no1", Subject: in}); got != want {
			t.Errorf("A07 %q → %q, want %q", in, got, want)
		}
	}
}

func BenchmarkNotice(b *testing.B) {
	c, in := build(b, nil), paidNotice(facts.Paid)
	body := bytes.Clone(in.Body)
	sum := sha256.Sum256([]byte("floor"))
	sig := must(rsa.SignPKCS1v15(rand.Reader, testKeys().platform, crypto.SHA256, sum[:]))
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Read(channel.Inbound{Header: in.Header, Body: body}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare RSA verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := rsa.VerifyPKCS1v15(&testKeys().platform.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAuthorization(b *testing.B) {
	c, body := build(b, nil), []byte(facts.Paid)
	sum := sha256.Sum256(body)
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.authorization("POST", "/v3/pay/transactions/native", body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare RSA sign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rsa.SignPKCS1v15(nil, c.key, crypto.SHA256, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
