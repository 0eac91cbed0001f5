package wechatv3

import (
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

const (
	refundNo   = "01jnz8v0t0q6m7x2c4d5e6f7g9"
	goldenBody = `{"transaction_id":"4200000985202103031441826014","out_refund_no":"01jnz8v0t0q6m7x2c4d5e6f7g9","reason":"商品＆运费",` +
		`"notify_url":"https://www.weixin.qq.com/wxpay/pay.php","amount":{"refund":30,"total":100,"currency":"CNY"}}`
)

func paidAttempt() pay.Attempt {
	a := testAttempt()
	a.Status, a.TransactionID = pay.AttemptPaid, facts.TransactionID
	return a
}

func testRefund() pay.Refund {
	return pay.Refund{OutRefundNo: refundNo, Amount: 30, Reason: "商品&运费\x00"}
}

// refundObject is the answer of 申请退款 and 查询单笔退款; change replaces texts in it.
func refundObject(status string, change ...string) string {
	text := `{"refund_id":"50000000382019052709732678859","out_refund_no":"` + refundNo + `","transaction_id":"` + facts.TransactionID +
		`","out_trade_no":"` + facts.OutTradeNo + `","channel":"ORIGINAL","user_received_account":"支付用户零钱","create_time":"2018-06-08T10:30:00+08:00",` +
		`"success_time":"2018-06-08T10:34:56+08:00","status":"` + status + `","funds_account":"AVAILABLE","amount":{"total":100,"refund":30,` +
		`"from":[],"payer_total":90,"payer_refund":27,"settlement_refund":27,"settlement_total":90,"discount_refund":3,"currency":"CNY"}}`
	return strings.NewReplacer(change...).Replace(text)
}

func askRefund(t *testing.T, c *client, op string) (pay.Observation, error) {
	t.Helper()
	if op == "refund" {
		return c.Refund(t.Context(), paidAttempt(), testRefund())
	}
	return c.QueryRefund(t.Context(), paidAttempt(), testRefund())
}

// refundOutcome is a fact's status, or an error's kind and code.
func refundOutcome(obs pay.Observation, err error) string {
	if err == nil && obs.Refund != nil {
		return string(obs.Refund.Status)
	}
	return outcome(pay.Shape{}, obs, err)
}

// The request's bytes are fixed: a repeat of a stored refund must be the identical request, whatever version sends it.
func TestRefundRequests(t *testing.T) {
	t.Parallel()
	c, got := serve(t, reply{status: 200, body: refundObject("PROCESSING")})
	for range 2 {
		if _, err := askRefund(t, c, "refund"); err != nil {
			t.Fatal(err)
		}
		want := [3]string{"POST", "/v3/refund/domestic/refunds", goldenBody}
		if diff := cmp.Diff(want, <-got); diff != "" {
			t.Fatalf("A70 the same refund again: %s", diff)
		}
	}
	if _, err := askRefund(t, c, "query_refund"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([3]string{"GET", "/v3/refund/domestic/refunds/" + refundNo, ""}, <-got); diff != "" {
		t.Fatal(diff)
	}
	console := testRefund()
	console.OutRefundNo = "a|b*c@d_e-f/../x?y" // a console's own number, and what would leave the path
	_, _ = c.QueryRefund(t.Context(), paidAttempt(), console)
	if target := (<-got)[1]; target != "/v3/refund/domestic/refunds/a%7Cb%2Ac@d_e-f%2F..%2Fx%3Fy" {
		t.Fatal(target)
	}
	for name, reason := range map[string]string{"without a reason": "", "with a reason of nothing that shows": "\u200b\x01"} {
		r := testRefund()
		r.Reason = reason
		_, _ = c.Refund(t.Context(), paidAttempt(), r)
		if body := (<-got)[2]; strings.Contains(body, "reason") {
			t.Errorf("%s: %s", name, body)
		}
	}
	r := testRefund()
	r.Reason = strings.Repeat("退", 40)
	_, _ = c.Refund(t.Context(), paidAttempt(), r)
	if body := (<-got)[2]; !strings.Contains(body, `"reason":"`+strings.Repeat("退", 26)+`"`) { // 78 bytes
		t.Error(body)
	}
	unpaid := paidAttempt()
	unpaid.TransactionID = ""
	if _, err := c.Refund(t.Context(), unpaid, testRefund()); refundOutcome(pay.Observation{}, err) != "unable transaction_id" || len(got) != 0 {
		t.Errorf("A72 refund of an attempt without a transaction: %v", err)
	}
}

func TestRefundAnswers(t *testing.T) {
	t.Parallel()
	no := func(code string) string { return `{"code":"` + code + `","message":"不可以"}` }
	for _, tt := range []struct {
		name   string
		status int
		body   string
		refund string // what comes of sending
		query  string // of asking
	}{
		{"success", 200, refundObject("SUCCESS"), "succeeded", "succeeded"},
		{"processing", 200, refundObject("PROCESSING"), "processing", "processing"},
		{"closed", 200, refundObject("CLOSED"), "failed", "failed"},
		{"abnormal", 200, refundObject("ABNORMAL"), "abnormal", "abnormal"},
		{"A27 a status that is not listed", 200, refundObject("DONE"), "unknown status", "unknown status"},
		{"A27 no status", 200, refundObject("SUCCESS", `"status"`, `"state"`), "unknown status", "unknown status"},
		{"another refund", 200, refundObject("SUCCESS", refundNo, "other"), "unknown out_refund_no", "unknown out_refund_no"},
		{"another transaction", 200, refundObject("SUCCESS", facts.TransactionID, "42"), "unknown transaction_id", "unknown transaction_id"},
		{"another order", 200, refundObject("SUCCESS", facts.OutTradeNo, "12"), "unknown out_trade_no", "unknown out_trade_no"},
		{"another amount", 200, refundObject("SUCCESS", `"refund":30`, `"refund":31`), "unknown amount_refund", "unknown amount_refund"},
		{"the payer's part as amount", 200, refundObject("SUCCESS", `"refund":30`, `"refund":27`), "unknown amount_refund", "unknown amount_refund"},
		{"another total", 200, refundObject("SUCCESS", `"total":100`, `"total":90`), "unknown amount_total", "unknown amount_total"},
		{"another currency", 200, refundObject("SUCCESS", `"CNY"`, `"USD"`), "unknown currency", "unknown currency"},
		{"A51 amount twice", 200, refundObject("SUCCESS", `"refund":30`, `"refund":31,"refund":30`), "unknown unreadable", "unknown unreadable"},
		{"A50 amount with a point", 200, refundObject("SUCCESS", `"refund":30`, `"refund":30.0`), "unknown unreadable", "unknown unreadable"},
		{"empty", 200, `{}`, "unknown out_refund_no", "unknown out_refund_no"},
		{"balance short", 403, no("NOT_ENOUGH"), "short NOT_ENOUGH", "unknown NOT_ENOUGH"},
		{"balance short, older", 403, no("NOTENOUGH"), "short NOTENOUGH", "unknown NOTENOUGH"},
		{"payer's account closed", 403, no("USER_ACCOUNT_ABNORMAL"), "declined USER_ACCOUNT_ABNORMAL", "unknown USER_ACCOUNT_ABNORMAL"},
		{"A72 more than is left, or too many", 400, no("INVALID_REQUEST"), "declined INVALID_REQUEST", "unknown INVALID_REQUEST"},
		{"parameter", 400, no("PARAM_ERROR"), "declined PARAM_ERROR", "unknown PARAM_ERROR"},
		{"no permission", 403, no("NO_AUTH"), "unable NO_AUTH", "unknown NO_AUTH"},
		{"no such merchant", 404, no("MCH_NOT_EXISTS"), "unable MCH_NOT_EXISTS", "unknown MCH_NOT_EXISTS"},
		{"not there", 404, no("RESOURCE_NOT_EXISTS"), "unknown RESOURCE_NOT_EXISTS", "pending"},
		{"not there, older", 404, no("REFUND_NOT_EXISTS"), "unknown REFUND_NOT_EXISTS", "pending"},
		{"A74 limited", 429, no("FREQUENCY_LIMITED"), "limited FREQUENCY_LIMITED", "limited FREQUENCY_LIMITED"},
		{"A74 rate", 429, no("RATELIMIT_EXCEEDED"), "limited RATELIMIT_EXCEEDED", "limited RATELIMIT_EXCEEDED"},
		{"A74 failing", 500, no("SYSTEM_ERROR"), "unknown SYSTEM_ERROR", "unknown SYSTEM_ERROR"},
		{"our signature", 401, no("SIGN_ERROR"), "unknown SIGN_ERROR", "unknown SIGN_ERROR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for op, want := range map[string]string{"refund": tt.refund, "query_refund": tt.query} {
				c, _ := serve(t, reply{status: tt.status, body: tt.body})
				obs, err := askRefund(t, c, op)
				if got := refundOutcome(obs, err); got != want {
					t.Errorf("%s came to %q, want %q", op, got, want)
				}
				if err == nil {
					fact := pay.RefundFact{OutRefundNo: refundNo, Amount: 30, Status: pay.RefundStatus(want)}
					if tt.status == 200 {
						fact.At = time.Date(2018, 6, 8, 2, 34, 56, 0, time.UTC)
					}
					full := c.about(pay.FromRefund, paidAttempt(), pay.Unknown)
					full.Refund = &fact
					if diff := cmp.Diff(full, obs); diff != "" {
						t.Error(diff)
					}
				}
				var e *channel.Error
				if errors.As(err, &e) && e.Op != op {
					t.Errorf("error of %q", e.Op)
				}
			}
		})
	}
}

// A12: what nobody signed decides nothing about a refund; least of all "not there", after which it would be sent again.
func TestA12UnsignedAnswersAboutRefunds(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]reply{
		"A12 success":       {status: 200, body: refundObject("SUCCESS")},
		"A12 not there":     {status: 404, body: `{"code":"RESOURCE_NOT_EXISTS","message":"x"}`},
		"A12 balance short": {status: 403, body: `{"code":"NOT_ENOUGH","message":"x"}`},
		"A12 declined":      {status: 400, body: `{"code":"INVALID_REQUEST","message":"x"}`},
		"A12 no permission": {status: 403, body: `{"code":"NO_AUTH","message":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.header = func(h http.Header) { delete(h, "Wechatpay-Signature") }
			c, _ := serve(t, r)
			for _, op := range []string{"refund", "query_refund"} {
				if obs, err := askRefund(t, c, op); refundOutcome(obs, err) != "unknown header_missing" {
					t.Errorf("%s: %+v, %v", op, obs, err)
				}
			}
		})
	}
}
