package alipay

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

// FuzzNotice: whatever comes in, nothing is taken that the platform did not sign.
func FuzzNotice(f *testing.F) {
	genuine := string(notice(alipayKey(), noticeFields(testAttempt(0))).Body)
	f.Add(strings.Replace(genuine, "total_amount=", "total_amount=9", 1))
	f.Add(strings.Replace(genuine, "sign_type=RSA2", "sign_type=RSA", 1))
	f.Add(genuine + "&app_id=x")
	f.Add("sign=&sign_type=RSA2&charset=utf-8&app_id=" + testApp)
	f.Add("a=%zz")
	c := testChannel(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		obs, err := c.Read(channel.Inbound{Body: []byte(body)})
		if err == nil {
			// Signing is beyond the fuzzer: it is the genuine notice in another spelling.
			form, parseErr := strict.ParseForm([]byte(body))
			if parseErr != nil || !strings.Contains(genuine, form.Get("sign")) && !sameFields(form, genuine) {
				t.Fatalf("taken: %q as %+v", body, obs)
			}
			return
		}
		if obs != (pay.Observation{}) {
			t.Fatalf("%v beside %+v", err, obs)
		}
		_, err = c.(channel.Returner).Return(body)
		if err == nil {
			t.Fatalf("a return without a signature: %q", body)
		}
	})
}

// sameFields reports whether form has the signature and the signed text of a genuine notice.
func sameFields(form strict.Form, genuine string) bool {
	want, err := strict.ParseForm([]byte(genuine))
	if err != nil {
		return false
	}
	sortFields(form)
	sortFields(want)
	return form.Get("sign") == want.Get("sign") && string(canonical(form, inMessage)) == string(canonical(want, inMessage))
}

// FuzzTrade: what the platform signed may still be anything: a payment has an amount that reads back as it was written.
func FuzzTrade(f *testing.F) {
	f.Add("o1", "t1", "TRADE_SUCCESS", "", "88.88", "", "2026-11-24 12:00:00", true)
	f.Add("o1", "t1", "TRADE_CLOSED", "CNY", "0.01", "0.01", "", true)
	f.Add("o1", "t1", "TRADE_SUCCESS", "USD", "1e2", "-1", "x", false)
	c := testChannel(f, nil).(*client)
	f.Fuzz(func(t *testing.T, number, transaction, status, currency, total, refunded, paidAt string, paid bool) {
		o, problem := c.observe(pay.FromNotice, trade{
			number: number, transaction: transaction, status: status, currency: currency, total: total, refunded: refunded,
			paidAt: paidAt, paid: paid,
		})
		switch {
		case problem != "":
			if o != (pay.Observation{}) {
				t.Fatalf("%s beside %+v", problem, o)
			}
		case o.State == pay.Paid:
			if written := yuan(o.Amount); written != total && strings.TrimSuffix(written, ".00") != total || o.TransactionID != transaction {
				t.Fatalf("%q became %+v", total, o)
			}
		case o.Amount != 0 || o.TransactionID != "":
			t.Fatalf("not paid, and %+v", o)
		}
	})
}

// FuzzAnswer: an answer without the platform's signature over its node is Unknown.
func FuzzAnswer(f *testing.F) {
	genuine := string(answer("alipay.trade.query", paidNode(testAttempt(0)), alipayKey()).Body)
	f.Add(strings.Replace(genuine, "TRADE_SUCCESS", "TRADE_CLOSED", 1))
	f.Add(`{"alipay_trade_query_response":{"code":"10000"},"sign":""}`)
	f.Add(`{"error_response":{"code":"20000"},"sign":"x"}`)
	f.Add(`{"alipay_trade_query_response":{"code":"10000"},"alipay_trade_query_response":{},"sign":"x"}`)
	c := testChannel(f, nil).(*client)
	f.Fuzz(func(t *testing.T, body string) {
		r, err := c.read("query", "alipay.trade.query", []byte(body))
		if err == nil && !strings.Contains(body, paidNode(testAttempt(0))) {
			t.Fatalf("believed: %q as %+v", body, r)
		}
		if err != nil && r != (reply{}) {
			t.Fatalf("%v beside %+v", err, r)
		}
	})
}

// FuzzYuan: an amount is read only in the forms in which it can be written.
func FuzzYuan(f *testing.F) {
	for _, text := range []string{"0.01", "1", "01", "1.0", "1.005", "-1", "+1", " 1", "1e2", "１", "100000000.00", "100000000.01", "NaN", "0x1p4", ".01", "1."} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		amount, ok := parseYuan(text)
		if ok && yuan(amount) != text && strings.TrimSuffix(yuan(amount), ".00") != text || amount < 0 || amount > pay.MaxAmount {
			t.Fatalf("%q became %d", text, amount)
		}
	})
}

// FuzzTime: a time reads back as it was written, or is none.
func FuzzTime(f *testing.F) {
	f.Add("2026-11-24 12:00:00")
	f.Add("2026-11-24 12:00:00.123")
	f.Add("2026-02-30 25:00:00")
	f.Add("0000-01-01 0:00:00")
	f.Fuzz(func(t *testing.T, text string) {
		at := parseTime(text)
		if whole, _, _ := strings.Cut(strings.ReplaceAll(text, ",", "."), "."); !at.IsZero() && at.In(zone).Truncate(time.Second).Format(timeLayout) != whole {
			t.Fatalf("%q became %s", text, at)
		}
	})
}

// FuzzSubject: no text of a shop can end or split what is signed.
func FuzzSubject(f *testing.F) {
	f.Add("茶 & a=b/c \x00\u202e😀")
	f.Add(strings.Repeat("字", 200))
	f.Fuzz(func(t *testing.T, text string) {
		got := wireSubject(text, "n1")
		if got == "" || len(got) > maxSubject || !utf8.ValidString(got) || strings.ContainsAny(got, "&=/\x00\r\n") || splits(got) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
