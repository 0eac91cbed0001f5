package alipay

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/channel/channeltest"
	"piaohao/internal/pay"
)

const (
	refundMethod      = "alipay.trade.refund"
	refundQueryMethod = "alipay.trade.fastpay.refund.query"
)

func paidAttempt() pay.Attempt {
	a := testAttempt(0)
	a.Status, a.TransactionID, a.PaidAt = pay.AttemptPaid, channeltest.TransactionID, channeltest.PaidAt
	return a
}

// testRefund is 30.01 of 100.01 yuan, sent ten seconds ago.
func testRefund() pay.Refund {
	return pay.Refund{
		ID: "rfd_1", OutRefundNo: "01jnz8v0t0refund000000000a", RefundNo: "R-1", Amount: 3_001, Status: pay.RefundProcessing,
		Reason: "坏了&换=退/款", SentAt: channeltest.Now.Add(-10 * time.Second),
	}
}

func refunder(t *testing.T, n network) channel.Refunder {
	t.Helper()
	by, ok := testChannel(t, n).(channel.Refunder)
	if !ok || !by.CanRefund() {
		t.Fatal("the channel sends no refunds")
	}
	return by
}

// refundedNode is the answer to a refund of testRefund after earlier ones of 20 yuan.
func refundedNode(more ...string) string {
	return fieldsNode("10000", map[string]string{
		"out_trade_no": paidAttempt().OutTradeNo, "trade_no": channeltest.TransactionID, "buyer_logon_id": "xud***@126.com",
		"fund_change": "Y", "refund_fee": "50.01",
	}, more)
}

func foundNode(more ...string) string {
	return fieldsNode("10000", map[string]string{
		"out_trade_no": paidAttempt().OutTradeNo, "trade_no": channeltest.TransactionID, "out_request_no": testRefund().OutRefundNo,
		"total_amount": "100.01", "refund_amount": "30.01", "refund_status": "REFUND_SUCCESS", "gmt_refund_pay": "2026-03-01 12:05:01",
	}, more)
}

func fieldsNode(code string, fields map[string]string, changes []string) string {
	var flat []string
	for name, value := range with(fields, changes...) {
		flat = append(flat, name, value)
	}
	return node(code, flat...)
}

func toldRefund(status pay.RefundStatus, at time.Time, sum pay.Fen) pay.Observation {
	return pay.Observation{
		Source: pay.FromRefund, Channel: "alipay", Account: "alipay-test", AppID: testApp, MerchantID: testSeller,
		OutTradeNo: paidAttempt().OutTradeNo, State: pay.Unknown, Refunded: sum,
		Refund: &pay.RefundFact{OutRefundNo: testRefund().OutRefundNo, Amount: 3_001, Status: status, At: at},
	}
}

// What travels: public parameters in the query, the refund in the body, nothing undocumented, and a repeat is identical.
func TestA70RefundRequest(t *testing.T) {
	t.Parallel()
	silent := paidAttempt()
	for _, row := range []struct {
		name, method string
		edit         func(*pay.Refund)
		ask          func(channel.Refunder, pay.Refund) (pay.Observation, error)
		biz          string
	}{
		{"a refund", refundMethod, func(*pay.Refund) {}, func(by channel.Refunder, r pay.Refund) (pay.Observation, error) {
			return by.Refund(t.Context(), silent, r)
		}, `{"trade_no":"2026030122001468450512505578","out_trade_no":"01jnz8v0t0q6m7x2c4d5e6f7g8","refund_amount":"30.01","out_request_no":"01jnz8v0t0refund000000000a","refund_reason":"坏了＆换＝退／款"}`},
		{"a refund of all without a reason names its number too", refundMethod, func(r *pay.Refund) { r.Amount, r.Reason = 10_001, "" }, func(by channel.Refunder, r pay.Refund) (pay.Observation, error) {
			return by.Refund(t.Context(), silent, r)
		}, `{"trade_no":"2026030122001468450512505578","out_trade_no":"01jnz8v0t0q6m7x2c4d5e6f7g8","refund_amount":"100.01","out_request_no":"01jnz8v0t0refund000000000a"}`},
		{"a question", refundQueryMethod, func(*pay.Refund) {}, func(by channel.Refunder, r pay.Refund) (pay.Observation, error) {
			return by.QueryRefund(t.Context(), silent, r)
		}, `{"trade_no":"2026030122001468450512505578","out_request_no":"01jnz8v0t0refund000000000a","query_options":["gmt_refund_pay"]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var calls []string
			by := refunder(t, func(req *http.Request) (*http.Response, error) {
				body, _ := io.ReadAll(req.Body)
				calls = append(calls, req.Method+" "+req.URL.String()+" "+string(body))
				return nil, errors.New("A74 the answer is lost")
			})
			r := testRefund()
			row.edit(&r)
			for range 2 {
				_, err := row.ask(by, r)
				mustKind(t, err, channel.Unknown, "unreachable")
			}
			if len(calls) != 2 || calls[0] != calls[1] {
				t.Fatalf("not the identical request:\n%s", strings.Join(calls, "\n"))
			}
			head, body, _ := strings.Cut(strings.TrimPrefix(calls[0], "POST "+testGateway+"?"), " ")
			query, err := url.ParseQuery(head)
			if err != nil {
				t.Fatal(err)
			}
			content, err := url.ParseQuery(body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(url.Values{"biz_content": {row.biz}}, content); diff != "" {
				t.Error(diff)
			}
			text := "app_id=" + testApp + "&biz_content=" + row.biz + "&charset=utf-8&format=JSON&method=" + row.method +
				"&sign_type=RSA2&timestamp=2026-03-01 12:05:06&version=1.0"
			if !verify(&appKey().PublicKey, []byte(text), query.Get("sign")) {
				t.Error("the signature does not cover the documented text")
			}
			query.Del("sign")
			if diff := cmp.Diff(url.Values{
				"app_id": {testApp}, "method": {row.method}, "format": {"JSON"}, "charset": {"utf-8"},
				"sign_type": {"RSA2"}, "timestamp": {"2026-03-01 12:05:06"}, "version": {"1.0"},
			}, query); diff != "" {
				t.Error(diff)
			}
		})
	}
}

type refundRow struct {
	name string
	says channel.Answer
	want pay.Observation
	kind channel.Kind
	code string
}

func refundAnswer(raw string) channel.Answer { return answer(refundMethod, raw, alipayKey()) }

func refusedRefund(code, sub string) channel.Answer {
	return refundAnswer(node(code, "sub_code", sub, "out_trade_no", paidAttempt().OutTradeNo, "refund_fee", "0.00", "send_back_fee", "0.00"))
}

func TestRefundAnswers(t *testing.T) {
	t.Parallel()
	made := toldRefund(pay.RefundSucceeded, time.Time{}, 5_001)
	dated := toldRefund(pay.RefundSucceeded, time.Date(2026, 3, 1, 4, 5, 1, 0, time.UTC), 5_001)
	for _, row := range []refundRow{
		{name: "money moved", says: refundAnswer(refundedNode()), want: made},
		{name: "money moved, with its time", says: refundAnswer(refundedNode("gmt_refund_pay", "2026-03-01 12:05:01")), want: dated},
		{name: "the sum is this refund", says: refundAnswer(refundedNode("refund_fee", "30.01")), want: toldRefund(pay.RefundSucceeded, time.Time{}, 3_001)},
		{name: "the sum is all there was", says: refundAnswer(refundedNode("refund_fee", "100.01")), want: toldRefund(pay.RefundSucceeded, time.Time{}, 10_001)},
		{name: "A71 no money moved", says: refundAnswer(refundedNode("fund_change", "N")), kind: channel.Unknown, code: "no_fund_change"},
		{name: "A71 nothing said of money", says: refundAnswer(refundedNode("fund_change", "-")), kind: channel.Unknown, code: "no_fund_change"},
		{name: "A71 fund_change in another word", says: refundAnswer(refundedNode("fund_change", "y")), kind: channel.Unknown, code: "no_fund_change"},
		{name: "less went back than was asked for", says: refundAnswer(refundedNode("refund_fee", "30.00")), kind: channel.Unknown, code: "refund_fee"},
		{name: "A69 more went back than was paid", says: refundAnswer(refundedNode("refund_fee", "100.02")), kind: channel.Unknown, code: "refund_fee"},
		{name: "no sum", says: refundAnswer(refundedNode("refund_fee", "-")), kind: channel.Unknown, code: "refund_fee"},
		{name: "A29 a sum in digits of another script", says: refundAnswer(refundedNode("refund_fee", "５０.01")), kind: channel.Unknown, code: "refund_fee"},
		{name: "A20 of another order", says: refundAnswer(refundedNode("out_trade_no", "other")), kind: channel.Unknown, code: "other_order"},
		{name: "A20 of another trade", says: refundAnswer(refundedNode("trade_no", "other")), kind: channel.Unknown, code: "other_order"},
		{name: "of no order", says: refundAnswer(refundedNode("out_trade_no", "-")), kind: channel.Unknown, code: "other_order"},
		{name: "of no trade", says: refundAnswer(refundedNode("trade_no", "-")), kind: channel.Unknown, code: "other_order"},
		{name: "A12 unsigned", says: harness{}.Unsigned(t, refundAnswer(refundedNode())), kind: channel.Unknown, code: "unsigned"},
		{name: "A12 unsigned refusal", says: harness{}.Unsigned(t, refusedRefund("40004", "ACQ.TRADE_HAS_FINISHED")), kind: channel.Unknown, code: "unsigned"},
		{name: "A12 signed by a stranger", says: answer(refundMethod, refundedNode(), strangerKey()), kind: channel.Unknown, code: "signature"},
		{name: "A12 error_response", says: wire(`{"error_response":` + node("40004", "sub_code", "ACQ.TRADE_HAS_FINISHED") + `}`), kind: channel.Unknown, code: "error_response"},
		{name: "A15 the answer to another call", says: answer(refundQueryMethod, foundNode(), alipayKey()), kind: channel.Unknown, code: "no_answer"},
		{name: "A20 another order's refusal", says: refundAnswer(node("40004", "sub_code", "ACQ.TRADE_HAS_FINISHED", "out_trade_no", "other")), kind: channel.Unknown, code: "other_order"},
		{name: "balance short", says: refusedRefund("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH"), kind: channel.Short, code: "ACQ.SELLER_BALANCE_NOT_ENOUGH"},
		{name: "balance short, no prefix", says: refusedRefund("40004", "SELLER_BALANCE_NOT_ENOUGH"), kind: channel.Short, code: "SELLER_BALANCE_NOT_ENOUGH"},
		{name: "balance short under a code of uncertainty", says: refusedRefund("20000", "ACQ.SELLER_BALANCE_NOT_ENOUGH"), kind: channel.Unknown, code: "ACQ.SELLER_BALANCE_NOT_ENOUGH"},
		{name: "A72 window over", says: refusedRefund("40004", "ACQ.TRADE_HAS_FINISHED"), kind: channel.Declined, code: "ACQ.TRADE_HAS_FINISHED"},
		{name: "A72 window over under a code of uncertainty", says: refusedRefund("20000", "ACQ.TRADE_HAS_FINISHED"), kind: channel.Unknown, code: "ACQ.TRADE_HAS_FINISHED"},
		{name: "A72 not paid", says: refusedRefund("40004", "ACQ.TRADE_STATUS_ERROR"), kind: channel.Declined, code: "ACQ.TRADE_STATUS_ERROR"},
		{name: "no such trade is no end", says: refusedRefund("40004", "ACQ.TRADE_NOT_EXIST"), kind: channel.Unknown, code: "ACQ.TRADE_NOT_EXIST"},
		{name: "A69 more than what is left", says: refusedRefund("40004", "ACQ.REASON_TRADE_REFUND_FEE_ERR"), kind: channel.Declined, code: "ACQ.REASON_TRADE_REFUND_FEE_ERR"},
		{name: "A69 amount refused", says: refusedRefund("40004", "ACQ.REFUND_AMT_RESTRICTION"), kind: channel.Declined, code: "ACQ.REFUND_AMT_RESTRICTION"},
		{name: "partial without a number", says: refusedRefund("40004", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"), kind: channel.Declined, code: "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"},
		{name: "another amount under this number", says: refusedRefund("40004", "ACQ.DISCORDANT_REPEAT_REQUEST"), kind: channel.Declined, code: "ACQ.DISCORDANT_REPEAT_REQUEST"},
		{name: "A74 system error", says: refusedRefund("40004", "ACQ.SYSTEM_ERROR"), kind: channel.Unknown, code: "ACQ.SYSTEM_ERROR"},
		{name: "A74 system error of the gateway", says: refusedRefund("20000", "aop.ACQ.SYSTEM_ERROR"), kind: channel.Unknown, code: "aop.ACQ.SYSTEM_ERROR"},
		{name: "A74 unavailable", says: refusedRefund("20000", "isp.unknow-error"), kind: channel.Unknown, code: "isp.unknow-error"},
		{name: "unlisted", says: refusedRefund("40004", "ACQ.NEW"), kind: channel.Unknown, code: "ACQ.NEW"},
		{name: "wrong signature of ours", says: refusedRefund("40002", "isv.invalid-signature"), kind: channel.Unknown, code: "isv.invalid-signature"},
		{name: "A72 too many calls", says: refusedRefund("40005", "isv.method-call-limited"), kind: channel.Limited, code: "isv.method-call-limited"},
		{name: "product not signed", says: refusedRefund("40006", "isv.insufficient-isv-permissions"), kind: channel.Unable, code: "isv.insufficient-isv-permissions"},
		{name: "interface not granted", says: refusedRefund("20001", "aop.no-product-reg-by-partner"), kind: channel.Unable, code: "aop.no-product-reg-by-partner"},
		{name: "A103 sub_code with a line end", says: refusedRefund("40006", "a\nb"), kind: channel.Unable, code: "failure"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := refunder(t, saying(row.says)).Refund(t.Context(), paidAttempt(), testRefund())
			row.check(t, got, err)
		})
	}
}

func (row refundRow) check(t *testing.T, got pay.Observation, err error) {
	t.Helper()
	if row.kind != "" {
		mustKind(t, err, row.kind, row.code)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(row.want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefundQueryAnswers(t *testing.T) {
	t.Parallel()
	says := func(raw string) channel.Answer { return answer(refundQueryMethod, raw, alipayKey()) }
	made := toldRefund(pay.RefundSucceeded, time.Date(2026, 3, 1, 4, 5, 1, 0, time.UTC), 0)
	undated := toldRefund(pay.RefundSucceeded, time.Time{}, 0)
	less := toldRefund(pay.RefundSucceeded, made.Refund.At, 0)
	less.Refund.Amount = 3_000
	gone := toldRefund(pay.RefundPending, time.Time{}, 0)
	noTrade := says(node("40004", "sub_code", "TRADE_NOT_EXIST"))
	for _, row := range []struct {
		refundRow
		since time.Duration // since the refund was sent
	}{
		{refundRow{name: "made", says: says(foundNode()), want: made}, time.Second},
		{refundRow{name: "made, no time told", says: says(foundNode("gmt_refund_pay", "-")), want: undated}, time.Minute},
		{refundRow{name: "another amount is the domain's to judge", says: says(foundNode("refund_amount", "30.00")), want: less}, time.Minute},
		{refundRow{name: "A71 not there", says: says(node("10000")), want: gone}, 10 * time.Second},
		{refundRow{name: "A71 not there, with the order's numbers", says: says(foundNode("refund_status", "-", "refund_amount", "-", "gmt_refund_pay", "-")), want: gone}, time.Minute},
		{refundRow{name: "A71 not there yet", says: says(node("10000")), kind: channel.Unknown, code: "too_soon"}, 10*time.Second - 1},
		{refundRow{name: "no such trade", says: noTrade, want: gone}, time.Minute},
		{refundRow{name: "no such trade yet", says: noTrade, kind: channel.Unknown, code: "too_soon"}, 9 * time.Second},
		{refundRow{name: "no such trade under another code", says: says(node("20000", "sub_code", "ACQ.TRADE_NOT_EXIST")), kind: channel.Unknown, code: "ACQ.TRADE_NOT_EXIST"}, time.Minute},
		{refundRow{name: "an amount and no status", says: says(foundNode("refund_status", "-")), kind: channel.Unknown, code: "refund_status"}, time.Minute},
		{refundRow{name: "a status unheard of", says: says(foundNode("refund_status", "REFUND_FAIL")), kind: channel.Unknown, code: "refund_status"}, time.Minute},
		{refundRow{name: "A20 another refund", says: says(foundNode("out_request_no", "other")), kind: channel.Unknown, code: "other_refund"}, time.Minute},
		{refundRow{name: "A20 another refund not there", says: says(node("10000", "out_request_no", "other")), kind: channel.Unknown, code: "other_refund"}, time.Minute},
		{refundRow{name: "no number of a refund", says: says(foundNode("out_request_no", "-")), kind: channel.Unknown, code: "other_refund"}, time.Minute},
		{refundRow{name: "no number of an order", says: says(foundNode("out_trade_no", "-")), kind: channel.Unknown, code: "other_refund"}, time.Minute},
		{refundRow{name: "no number of a trade", says: says(foundNode("trade_no", "-")), kind: channel.Unknown, code: "other_refund"}, time.Minute},
		{refundRow{name: "A20 another order", says: says(foundNode("out_trade_no", "other")), kind: channel.Unknown, code: "other_order"}, time.Minute},
		{refundRow{name: "A20 another trade", says: says(foundNode("trade_no", "other")), kind: channel.Unknown, code: "other_order"}, time.Minute},
		{refundRow{name: "a trade of another amount", says: says(foundNode("total_amount", "100.00")), kind: channel.Unknown, code: "total_amount"}, time.Minute},
		{refundRow{name: "a trade of no amount", says: says(foundNode("total_amount", "-")), kind: channel.Unknown, code: "total_amount"}, time.Minute},
		{refundRow{name: "A29 an amount outside of its grammar", says: says(foundNode("refund_amount", "+30.01")), kind: channel.Unknown, code: "refund_amount"}, time.Minute},
		{refundRow{name: "no amount", says: says(foundNode("refund_amount", "-")), kind: channel.Unknown, code: "refund_amount"}, time.Minute},
		{refundRow{name: "nothing", says: says(foundNode("refund_amount", "0.00")), kind: channel.Unknown, code: "refund_amount"}, time.Minute},
		{refundRow{name: "A12 unsigned", says: harness{}.Unsigned(t, says(foundNode())), kind: channel.Unknown, code: "unsigned"}, time.Minute},
		{refundRow{name: "A12 unsigned absence", says: harness{}.Unsigned(t, says(node("10000"))), kind: channel.Unknown, code: "unsigned"}, time.Minute},
		{refundRow{name: "A15 the answer to another call", says: refundAnswer(refundedNode()), kind: channel.Unknown, code: "no_answer"}, time.Minute},
		{refundRow{name: "A74 system error", says: says(node("40004", "sub_code", "ACQ.SYSTEM_ERROR")), kind: channel.Unknown, code: "ACQ.SYSTEM_ERROR"}, time.Minute},
		{refundRow{name: "a no to the question is none to the refund", says: says(node("40004", "sub_code", "ACQ.INVALID_PARAMETER")), kind: channel.Unknown, code: "ACQ.INVALID_PARAMETER"}, time.Minute},
		{refundRow{name: "not granted", says: says(node("40006", "sub_code", "isv.insufficient-isv-permissions")), kind: channel.Unknown, code: "isv.insufficient-isv-permissions"}, time.Minute},
		{refundRow{name: "too many calls", says: says(node("40005", "sub_code", "isv.app-call-limited")), kind: channel.Limited, code: "isv.app-call-limited"}, time.Minute},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := testRefund()
			r.SentAt = channeltest.Now.Add(-row.since)
			got, err := refunder(t, saying(row.says)).QueryRefund(t.Context(), paidAttempt(), r)
			row.check(t, got, err)
		})
	}
}

// A certificate that has ended signs nothing: nothing was returned, and a new one mends it.
func TestA11RefundWithAnEndedCertificateIsNotSent(t *testing.T) {
	t.Parallel()
	config := certConfig()
	config.AppCert = certPEM(certificate(testSeller, &appKey().PublicKey, false, testAuthorities().middle, rootKey(), certFrom, channeltest.Now.Add(time.Hour)))
	now, calls := channeltest.Now, 0
	env := testEnv(func(*http.Request) (*http.Response, error) { calls++; return nil, errors.New("nobody is there") }, now)
	env.Now = func() time.Time { return now }
	by := channelOf(t, config, env).(channel.Refunder)
	_, err := by.Refund(t.Context(), paidAttempt(), testRefund())
	mustKind(t, err, channel.Unknown, "unreachable")
	now = now.Add(2 * time.Hour)
	_, err = by.Refund(t.Context(), paidAttempt(), testRefund())
	mustKind(t, err, channel.Unable, "cert_expired")
	_, err = by.QueryRefund(t.Context(), paidAttempt(), testRefund())
	mustKind(t, err, channel.Unknown, "cert_expired")
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestA72RefundLimits(t *testing.T) {
	t.Parallel()
	if want := (pay.RefundLimits{Gap: 3 * time.Second, Window: 8760 * time.Hour}); Driver.Info.Refunds != want {
		t.Errorf("%+v", Driver.Info.Refunds)
	}
}
