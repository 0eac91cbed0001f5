package view_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/pay"
	"piaohao/internal/view"
)

func at(second int) time.Time {
	return time.Date(2026, 1, 2, 11, 4, second, 123_999_999, time.FixedZone("", 8*3600))
}

func TestTime(t *testing.T) {
	t.Parallel()
	if got := view.Time(at(5)); got != "2026-01-02T03:04:05.123Z" {
		t.Errorf("UTC, cut to milliseconds: %s", got)
	}
	if got := view.Time(time.Time{}); got != "" {
		t.Errorf("not yet: %q", got)
	}
}

// The public JSON, byte for byte: a change here changes what every shop reads.
func TestEventBody(t *testing.T) {
	t.Parallel()
	p := pay.Payment{
		ID: "pay_1", Shop: "secret_shop", OrderNo: "o|1", Amount: 10_000_000_000, Currency: pay.CNY, Subject: "茶 <b> & \u2028",
		Status: pay.PaymentPaid, Livemode: true, Token: "secret_token", ReturnURL: "https://shop.example/?a=1&b=2", Metadata: `{"a":"1"}`,
		CreatedAt: at(1), ExpiresAt: at(2), PaidAt: at(3), PaidAttempt: "att_2", Seq: 7,
		Attempts: []pay.Attempt{
			{
				ID: "att_1", OutTradeNo: "0a", Method: "wechat", Product: "native", Status: pay.AttemptClosed, CreatedAt: at(1),
				Account: "secret_account", AppID: "secret_app", MerchantID: "secret_merchant", ClientIP: "203.0.113.9",
				Shape: pay.Shape{Kind: pay.ShapeQR, Text: "secret_code"}, NotifyURL: "secret_notify",
			},
			{
				ID: "att_2", OutTradeNo: "0b", Method: "alipay", Product: "page", Status: pay.AttemptPaid, CreatedAt: at(2), PaidAt: at(3),
				TransactionID: "2026010222001", Surplus: true, Amount: 10_000_000_000,
			},
		},
		Refunds: []pay.Refund{{
			ID: "rfd_1", PaymentID: "pay_1", Shop: "secret_shop", AttemptID: "att_2", Account: "secret_account", RefundNo: "r1", OutRefundNo: "0r",
			Amount: 1, Status: pay.RefundSucceeded, Reason: "凉了", CreatedAt: at(4), SucceededAt: at(5),
		}},
	}
	v := view.Of(p, "https://pay.example/payment/process/t", nil)
	body, err := view.EventBody(pay.Event{ID: "evt_1", Type: pay.EventRefundSucceeded, RefundID: "rfd_1", Seq: 7, At: at(4), Livemode: true}, v)
	if err != nil {
		t.Fatal(err)
	}
	const refund = `{"id":"rfd_1","object":"refund","payment_id":"pay_1","attempt_id":"att_2","refund_no":"r1","out_refund_no":"0r","amount":1,` +
		`"status":"succeeded","reason":"凉了","automatic":false,"external":false,"created_at":"2026-01-02T03:04:04.123Z","succeeded_at":"2026-01-02T03:04:05.123Z"}`
	const want = `{"id":"evt_1","type":"refund.succeeded","timestamp":"2026-01-02T03:04:04.123Z","livemode":true,"sequence":7,"data":` +
		`{"id":"pay_1","object":"payment","order_no":"o|1","status":"paid","closing":false,"amount":10000000000,"currency":"CNY",` +
		`"subject":"茶 \u003cb\u003e \u0026 \u2028","livemode":true,"cashier_url":"https://pay.example/payment/process/t",` +
		`"return_url":"https://shop.example/?a=1\u0026b=2","metadata":{"a":"1"},"created_at":"2026-01-02T03:04:01.123Z",` +
		`"expires_at":"2026-01-02T03:04:02.123Z","paid_at":"2026-01-02T03:04:03.123Z","late":false,"refunded":1,"refundable":9999999999,"attempts":[` +
		`{"id":"att_1","method":"wechat","product":"native","status":"closed","out_trade_no":"0a","surplus":false,"created_at":"2026-01-02T03:04:01.123Z"},` +
		`{"id":"att_2","method":"alipay","product":"page","status":"paid","out_trade_no":"0b","transaction_id":"2026010222001","surplus":true,` +
		`"created_at":"2026-01-02T03:04:02.123Z","paid_at":"2026-01-02T03:04:03.123Z"}],"refunds":[` + refund + `],"action":null},"refund":` + refund + `}`
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whose refund it is: a shop must not take a console's, or money that went back by itself, for one that it asked for.
func TestWhoseRefundItIs(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]pay.Refund{
		"the shop's":    {},
		"the console's": {External: true},
		"automatic":     {Automatic: true},
	} {
		if v := view.OfRefund(r); v.External != r.External || v.Automatic != r.Automatic {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestOpenPayment(t *testing.T) {
	t.Parallel()
	p := pay.Payment{ID: "pay_1", Status: pay.PaymentOpen, CloseWantedAt: at(1), Metadata: "{}"}
	v := view.Of(p, "u", &view.Action{Type: "qr", Code: "weixin://x"})
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	if list, ok := m["attempts"].([]any); !ok || len(list) != 0 {
		t.Errorf("attempts is %v, not an empty list", m["attempts"])
	}
	for _, name := range []string{"return_url", "paid_at", "closed_at"} {
		if v, ok := m[name]; ok {
			t.Errorf("%s is there: %v", name, v)
		}
	}
	if m["closing"] != true || !cmp.Equal(m["action"], any(map[string]any{"type": "qr", "code": "weixin://x"})) {
		t.Errorf("%s", body)
	}
}
