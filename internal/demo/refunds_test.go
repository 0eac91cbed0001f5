package demo_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"piaohao/client"
)

// refund answers like /v1/payments/{id}/refunds: a known number is the same refund.
func (g *gateway) refund(w http.ResponseWriter, r *http.Request) {
	var in client.RefundParams
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || g.refuse != "" {
		g.no(w, http.StatusConflict, g.refuse)
		return
	}
	g.refunds = append(g.refunds, in)
	if g.lost {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if g.other {
		in.Amount++
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(client.Refund{
		ID: "rfd_1", Object: "refund", PaymentID: "pay_1", RefundNo: in.RefundNo, Amount: in.Amount, Status: client.RefundPending, CreatedAt: now,
	})
}

// paid is a world whose one order, of 256 yuan, is paid.
func paid(t *testing.T) *world {
	t.Helper()
	w := setup(t)
	w.buy("wechat")
	if status := w.webhook("evt_paid", client.EventPaymentPaid, w.gateway.pay(), nil); status != http.StatusNoContent {
		t.Fatal(status)
	}
	return w
}

func (w *world) giveBack(nth, amount string) (int, string) {
	w.t.Helper()
	status, _, body := w.post("/orders/ord_1/refund", url.Values{"nth": {nth}, "amount": {amount}})
	return status, body
}

// told is a webhook about refunds of the paid order.
func (w *world) told(id, kind string, refunds ...client.Refund) int {
	w.t.Helper()
	p := w.gateway.pay()
	p.Refunds = refunds
	p.Attempts = []client.Attempt{{ID: "att_extra", Surplus: true}}
	return w.webhook(id, kind, p, nil)
}

func (w *world) wantRefund(words ...string) {
	w.t.Helper()
	_, _, body := w.get("/orders/ord_1")
	for _, text := range words {
		if !strings.Contains(body, text) {
			w.t.Errorf("the order lacks %q: %s", text, body)
		}
	}
}

func TestRefunding(t *testing.T) {
	t.Parallel()
	w := paid(t)
	w.wantRefund(`name="nth" value="1"`, `value="256.00"`)
	if status, body := w.giveBack("1", "30.5"); status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, body)
	}
	if got := w.gateway.refunds; len(got) != 1 || got[0] != (client.RefundParams{RefundNo: "ord_1-r1", Amount: 3050, Reason: "店主退款"}) {
		t.Fatalf("asked for %+v", got)
	}
	w.wantRefund("等待退款", "¥30.50", "ord_1-r1", `http-equiv="refresh"`)
	w.wantState("已付款")
	w.told("evt_1", client.EventRefundSucceeded, client.Refund{RefundNo: "ord_1-r1", Amount: 3050, Status: client.RefundSucceeded})
	w.wantRefund("已退回", `name="nth" value="2"`, `value="225.50"`)
	w.wantState("部分退款")
	w.giveBack("2", "225.50")
	w.told("evt_2", client.EventRefundSucceeded, client.Refund{RefundNo: "ord_1-r2", Amount: 22550, Status: client.RefundSucceeded})
	w.wantState("已退款")
	_, _, body := w.get("/orders/ord_1")
	if strings.Contains(body, `name="amount"`) || strings.Contains(body, `http-equiv="refresh"`) {
		t.Errorf("nothing is left to refund: %s", body)
	}
	if _, _, list := w.get("/orders"); !strings.Contains(list, "已退款") {
		t.Errorf("the list says %s", list)
	}
}

func TestA30RefundsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, nth, amount string }{
		{"A30 more than was paid", "1", "256.01"},
		{"A30 nothing", "1", "0"},
		{"A30 nothing, in cents", "1", "0.00"},
		{"A30 less than nothing", "1", "-1"},
		{"A29 an exponent", "1", "1e2"},
		{"A29 three decimals", "1", "1.005"},
		{"A29 no decimals after the point", "1", "1."},
		{"A29 no digit before the point", "1", ".5"},
		{"A29 two points", "1", "1.2.3"},
		{"A29 a comma", "1", "1,000"},
		{"A29 digits of another script", "1", "１０"},
		{"A29 an overflow", "1", "92233720368547758.08"},
		{"no amount", "1", ""},
		{"no place", "", "1"},
		{"a place before the first", "0", "1"},
		{"a place out of the world", "1001", "1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := paid(t)
			if status, body := w.giveBack(row.nth, row.amount); status != http.StatusBadRequest || !strings.Contains(body, "没有退款") {
				t.Errorf("%d %s", status, body)
			}
			if len(w.gateway.refunds) != 0 {
				t.Errorf("asked for %+v", w.gateway.refunds)
			}
			w.wantState("已付款")
		})
	}
	t.Run("an order that is not paid", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.buy("wechat")
		if status, _ := w.giveBack("1", "1"); status != http.StatusBadRequest || len(w.gateway.refunds) != 0 {
			t.Errorf("%d, asked for %+v", status, w.gateway.refunds)
		}
		if _, _, body := w.get("/orders/ord_1"); strings.Contains(body, `name="nth"`) {
			t.Error("it offers a refund")
		}
	})
	t.Run("A69 what is on its way counts", func(t *testing.T) {
		t.Parallel()
		w := paid(t)
		w.giveBack("1", "200")
		if status, _ := w.giveBack("2", "56.01"); status != http.StatusBadRequest || len(w.gateway.refunds) != 1 {
			t.Errorf("%d, asked for %+v", status, w.gateway.refunds)
		}
	})
	t.Run("a second click is the same refund", func(t *testing.T) {
		t.Parallel()
		w := paid(t)
		w.giveBack("1", "30")
		if status, _ := w.giveBack("1", "30"); status != http.StatusSeeOther || len(w.gateway.refunds) != 1 {
			t.Errorf("%d, asked for %+v", status, w.gateway.refunds)
		}
	})
}

func TestA70RefundWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	w := paid(t)
	w.gateway.lost = true
	if status, body := w.giveBack("1", "30"); status != http.StatusBadGateway || !strings.Contains(body, "不会退两次") {
		t.Fatalf("%d %s", status, body)
	}
	w.wantRefund("未确认送达", "再送一次")
	w.gateway.lost = false
	if status, _, _ := w.post("/orders/ord_1/refund/ord_1-r1", nil); status != http.StatusSeeOther {
		t.Fatal(status)
	}
	if got := w.gateway.refunds; len(got) != 2 || got[0] != got[1] {
		t.Errorf("A70 not the same refund: %+v", got)
	}
	w.wantRefund("等待退款")
	w.post("/orders/ord_1/refund/ord_1-r1", nil)
	w.post("/orders/ord_1/refund/ord_2-r1", nil)
	if len(w.gateway.refunds) != 2 {
		t.Errorf("sent what needs no sending: %+v", w.gateway.refunds)
	}
}

func TestRefundThatTheGatewayRefuses(t *testing.T) {
	t.Parallel()
	w := paid(t)
	w.gateway.refuse = client.CodeRefundLimit
	if status, body := w.giveBack("1", "30"); status != http.StatusBadGateway || !strings.Contains(body, "钱没有退") || strings.Contains(body, "canary") {
		t.Fatalf("%d %s", status, body)
	}
	w.wantRefund("未被接受", `name="nth" value="2"`, `value="256.00"`)
	if _, _, body := w.get("/orders/ord_1"); strings.Contains(body, "再送一次") {
		t.Error("it offers to send again what was refused")
	}
}

func TestAnswerAboutAnotherRefund(t *testing.T) {
	t.Parallel()
	w := paid(t)
	w.gateway.other = true
	if status, _ := w.giveBack("1", "30"); status != http.StatusInternalServerError {
		t.Errorf("status %d", status)
	}
	w.wantRefund("未确认送达")
}

func TestRefundWebhooks(t *testing.T) {
	t.Parallel()
	mine := func(status string) client.Refund {
		return client.Refund{RefundNo: "ord_1-r1", Amount: 3000, Status: status}
	}
	for _, row := range []struct {
		name  string
		told  []client.Refund
		kinds []string
		want  int // status of the last webhook
		says  []string
		state string
	}{
		{"on its way", []client.Refund{mine("processing")}, nil, 204, []string{"正在退回"}, "已付款"},
		{"failed", []client.Refund{mine("failed")}, nil, 204, []string{"退款失败", `value="256.00"`}, "已付款"},
		{"needs a person", []client.Refund{mine("abnormal")}, nil, 204, []string{"需要处理", `value="226.00"`}, "已付款"},
		{"A38 processing after succeeded", []client.Refund{mine("succeeded"), mine("processing")}, nil, 204, []string{"已退回"}, "部分退款"},
		{"A38 failed after succeeded", []client.Refund{mine("succeeded"), mine("failed")}, nil, 204, []string{"已退回"}, "部分退款"},
		{"succeeded after failing", []client.Refund{mine("failed"), mine("succeeded")}, nil, 204, []string{"已退回"}, "部分退款"},
		{"a state of a later version", []client.Refund{mine("dreaming")}, nil, 204, []string{"等待退款"}, "已付款"},
		{"another amount", []client.Refund{{RefundNo: "ord_1-r1", Amount: 2999, Status: "succeeded"}}, nil, 422, []string{"等待退款"}, "已付款"},
		{
			"A67 second money goes back",
			[]client.Refund{{RefundNo: "auto1", Amount: 25600, Status: "pending", Automatic: true, AttemptID: "att_extra"}},
			[]string{client.EventSurplus},
			204,
			[]string{"多付或迟到的一笔", "¥256.00", "等待退款"},
			"已付款",
		},
		{
			"A67 second money went back and the order's is here",
			[]client.Refund{mine("abnormal"), {RefundNo: "auto1", Amount: 25600, Status: "succeeded", Automatic: true, AttemptID: "att_extra"}},
			nil,
			204,
			[]string{"多付或迟到的一笔", "已退回", "最多 ¥226.00"},
			"已付款",
		},
		{
			"made at the platform",
			[]client.Refund{{RefundNo: "console-1", Amount: 100, Status: "succeeded", External: true}},
			[]string{client.EventRefundExternal},
			204,
			[]string{"在支付平台后台退的", "¥1.00"},
			"部分退款",
		},
		{
			"made at the platform of second money",
			[]client.Refund{{RefundNo: "console-1", Amount: 100, Status: "succeeded", External: true, AttemptID: "att_extra"}},
			[]string{client.EventRefundExternal},
			204,
			[]string{"多付或迟到的一笔"},
			"已付款",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := paid(t)
			w.giveBack("1", "30")
			status := 0
			for i, r := range row.told {
				kind := client.EventRefundSucceeded
				if row.kinds != nil {
					kind = row.kinds[i]
				}
				status = w.told("evt_"+string(rune('a'+i)), kind, r)
			}
			if status != row.want {
				t.Errorf("status %d, want %d", status, row.want)
			}
			w.wantRefund(row.says...)
			w.wantState(row.state)
		})
	}
	t.Run("A67 late money of a closed order goes back", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.buy("wechat")
		p := w.gateway.has(client.StatusClosed)
		w.webhook("evt_1", client.EventPaymentClosed, p, nil)
		p.Refunds = []client.Refund{{RefundNo: "auto1", Amount: 25600, Status: "pending", Automatic: true}}
		w.webhook("evt_2", client.EventLatePaid, p, nil)
		w.wantState("已关闭")
		w.wantRefund("多付或迟到的一笔", "等待退款")
		p.Refunds[0].Status = "succeeded"
		w.webhook("evt_3", client.EventRefundSucceeded, p, nil)
		w.wantState("已关闭")
		w.wantRefund("已退回")
	})
	t.Run("a refund of another order's number", func(t *testing.T) {
		t.Parallel()
		w := paid(t)
		w.giveBack("1", "30")
		w.buy("wechat")
		p := w.gateway.pay()
		p.Refunds = []client.Refund{{RefundNo: "ord_1-r1", Amount: 3000, Status: "succeeded"}}
		if status := w.webhook("evt_1", client.EventRefundSucceeded, p, nil); p.OrderNo != "ord_2" || status != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d", p.OrderNo, status)
		}
		w.wantRefund("等待退款")
	})
}
