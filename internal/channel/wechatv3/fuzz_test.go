package wechatv3

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	facts "piaohao/spec/wechat"
)

// FuzzNotice: whatever body and headers come in, nothing is taken that the platform did not sign.
func FuzzNotice(f *testing.F) {
	genuine := paidNotice(facts.Paid)
	h := func(name string) string { return genuine.Header.Get(name) }
	f.Add(genuine.Body, h("Wechatpay-Serial"), h("Wechatpay-Timestamp"), h("Wechatpay-Nonce"), "")
	f.Add([]byte(`{"event_type":"TRANSACTION.SUCCESS","resource":{"algorithm":"AEAD_AES_256_GCM","nonce":"x"}}`), peerID, "1528425300", "n", "WECHATPAY/SIGNTEST/x")
	f.Add([]byte("<xml></xml>"), "", "9999999999999999999", "\r\n", "====")
	c := build(f, nil)
	f.Fuzz(func(t *testing.T, body []byte, serial, timestamp, nonce, signature string) {
		obs, err := c.Read(channel.Inbound{Body: body, Header: http.Header{
			"Wechatpay-Serial": {serial}, "Wechatpay-Timestamp": {timestamp}, "Wechatpay-Nonce": {nonce}, "Wechatpay-Signature": {signature},
		}})
		kind, code := kindOf(err)
		if err == nil || kind != channel.Forged && kind != channel.Foreign || code == "" || obs != (pay.Observation{}) {
			t.Fatalf("%v beside %+v", err, obs)
		}
	})
}

// FuzzSealed: what the platform signed and sealed may still be anything: no panic, and a payment says what its text says.
func FuzzSealed(f *testing.F) {
	f.Add(facts.Paid)
	f.Add(strings.Replace(facts.Paid, `"total":100`, `"total":1e2`, 1))
	f.Add(`{"trade_state":"SUCCESS","amount":{"total":9223372036854775807,"currency":"CNY"}}`)
	f.Add(`{"trade_state":"SUCCESS","trade_state":"NOTPAY"}`)
	c := build(f, nil)
	f.Fuzz(func(t *testing.T, text string) {
		obs, err := c.transaction(pay.FromNotice, []byte(text))
		if err != nil || obs.State != pay.Paid {
			if obs.Amount != 0 || obs.TransactionID != "" {
				t.Fatalf("%+v beside %v", obs, err)
			}
			return
		}
		var plain struct {
			TradeState    string `json:"trade_state"`
			OutTradeNo    string `json:"out_trade_no"`
			TransactionID string `json:"transaction_id"`
			Amount        struct{ Total json.Number }
		}
		if err := json.Unmarshal([]byte(text), &plain); err != nil {
			t.Fatalf("%q is no JSON: %v", text, err)
		}
		told := plain.Amount.Total.String()
		if want := strconv.FormatInt(int64(obs.Amount), 10); told != "" && told != want && told != "-0" || obs.OutTradeNo != plain.OutTradeNo ||
			obs.TransactionID != plain.TransactionID || states[plain.TradeState] != pay.Paid {
			t.Fatalf("%q became %+v", text, obs)
		}
	})
}

// FuzzRefundAnswer: a signed answer counts only when all of it is about the refund that was asked for.
func FuzzRefundAnswer(f *testing.F) {
	a, r := testAttempt(), pay.Refund{OutRefundNo: "r1", Amount: 30}
	a.TransactionID = facts.TransactionID
	fits := `{"out_refund_no":"r1","transaction_id":"` + a.TransactionID + `","out_trade_no":"` + a.OutTradeNo +
		`","status":"SUCCESS","amount":{"refund":30,"total":` + strconv.FormatInt(int64(a.Amount), 10) + `,"currency":"CNY"}}`
	f.Add(fits)
	f.Add(strings.Replace(fits, `"refund":30`, `"refund":31`, 1))
	f.Add(strings.Replace(fits, "SUCCESS", "success", 1))
	c := build(f, nil)
	f.Fuzz(func(t *testing.T, text string) {
		obs, err := c.refunded("refund", []byte(text), a, r)
		switch {
		case err != nil:
			if kind, _ := kindOf(err); kind != channel.Unknown {
				t.Fatal(err)
			}
		case obs.Refund == nil || obs.Refund.OutRefundNo != r.OutRefundNo || obs.Refund.Amount != r.Amount || obs.OutTradeNo != a.OutTradeNo:
			t.Fatalf("%q became %+v", text, obs)
		}
	})
}

// FuzzTimestamp: only plain seconds within five minutes are recent.
func FuzzTimestamp(f *testing.F) {
	for _, text := range []string{"1528425300", "-1", "+1528425300", "01528425300", "1528425300.0", "٣", "99999999999999999999", " 1528425300"} {
		f.Add(text)
	}
	c := build(f, nil)
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" || !c.recent(text) { // a header is never empty, see one
			return
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if off := time.Duration(int64(n)-testNow().Unix()) * time.Second; err != nil || len(text) > 10 || off.Abs() > 5*time.Minute {
			t.Fatalf("%q is taken for recent, %s off", text, off)
		}
	})
}

// FuzzClean: what is repeated of a platform's text can be printed and is short.
func FuzzClean(f *testing.F) {
	f.Add("参数错误\x1b[31m\r\n" + strings.Repeat("字", 100))
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text)
		if len(got) > maxText || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
