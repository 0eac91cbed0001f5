package alipaysim

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
)

// refundOf asks for 28.00 of trade A under the number, changed; a nil value takes the name away.
func (w *world) refundOf(number string, changes map[string]any) reply {
	w.t.Helper()
	biz := map[string]any{"out_trade_no": "A", "refund_amount": "28.00", "out_request_no": number}
	maps.Copy(biz, changes)
	maps.DeleteFunc(biz, func(_ string, v any) bool { return v == nil })
	return w.call(methodRefund, biz)
}

func (w *world) refundQuery(number string, options ...string) reply {
	w.t.Helper()
	biz := map[string]any{"out_trade_no": "A", "out_request_no": number}
	if len(options) > 0 {
		biz["query_options"] = options
	}
	return w.call(methodRefundQuery, biz)
}

// newPaid is a world with trade A of 128.00, paid and notified.
func newPaid(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.payTrade("A")
	w.deliver(9)
	return w
}

func (w *world) payTrade(outTradeNo string) {
	w.t.Helper()
	if _, err := w.sim.Pay(w.page(outTradeNo), ""); err != nil {
		w.t.Fatal(err)
	}
}

// balanced holds trades, refunds and ledger against each other.
func (w *world) balanced() simkit.Ledger {
	w.t.Helper()
	orders, err := w.sim.Orders()
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := w.kit.Ledger("alipay")
	if err != nil {
		w.t.Fatal(err)
	}
	var paid, refunded int64
	for _, o := range orders {
		if o.Blocked == simkit.ReasonPaid {
			paid += o.Amount
		}
		refunded += o.Refunded + o.Refunding
		if o.Left() < 0 {
			w.t.Errorf("%s gave back more than it got: %+v", o.OutTradeNo, o)
		}
	}
	if paid != l.Paid || refunded != l.Refunded || l.Balance != paid-refunded-l.Withdrawn {
		w.t.Errorf("paid %d, refunded %d by trades; ledger %+v", paid, refunded, l)
	}
	return l
}

func TestRefund(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	tradeNo := w.query("A").get("trade_no")
	w.advance(time.Minute)
	part := w.refundOf("r1", map[string]any{"refund_reason": "少了一册", "query_options": []string{"refund_detail_item_list"}})
	part.is(t, "10000", "")
	want := `{"code":"10000","msg":"Success","buyer_logon_id":"159****0001","buyer_user_id":"2088000000009001","fund_change":"Y",` +
		`"gmt_refund_pay":"2026-03-01 12:01:00","out_trade_no":"A","refund_detail_item_list":[{"amount":"28.00","fund_channel":"ALIPAYACCOUNT"}],` +
		`"refund_fee":"28.00","send_back_fee":"28.00","trade_no":"` + tradeNo + `"}`
	if part.raw != want {
		t.Errorf("reply\n%s\nwant\n%s", part.raw, want)
	}
	if got := w.status("A"); got != tradeSuccess {
		t.Errorf("after a part: %s", got)
	}
	w.advance(refundGap)
	rest := w.refundOf("r2", map[string]any{"refund_amount": "100", "out_trade_no": nil, "trade_no": tradeNo})
	rest.is(t, "10000", "")
	if rest.get("refund_fee") != "128.00" || rest.get("fund_change") != "Y" || rest.value["send_back_fee"] != nil {
		t.Errorf("the rest: %s", rest.raw)
	}
	all := w.query("A")
	if all.get("trade_status") != tradeClosed || all.get("send_pay_date") == "" || all.get("total_amount") != "128.00" {
		t.Errorf("A15 after all of it: %s", all.raw)
	}
	w.refundOf("r3", map[string]any{"refund_amount": "0.01"}).is(t, "40004", "ACQ.TRADE_HAS_CLOSE")
	query := w.refundQuery("r1", "gmt_refund_pay", "refund_detail_item_list", "deposit_back_info")
	query.is(t, "10000", "")
	want = `{"code":"10000","msg":"Success","deposit_back_info":{"has_deposit_back":"false"},"gmt_refund_pay":"2026-03-01 12:01:00","out_request_no":"r1",` +
		`"out_trade_no":"A","refund_amount":"28.00","refund_detail_item_list":[{"amount":"28.00","fund_channel":"ALIPAYACCOUNT"}],"refund_reason":"少了一册",` +
		`"refund_status":"REFUND_SUCCESS","send_back_fee":"28.00","total_amount":"128.00","trade_no":"` + tradeNo + `"}`
	if query.raw != want {
		t.Errorf("query\n%s\nwant\n%s", query.raw, want)
	}
	if bare := w.refundQuery("r2"); bare.get("refund_status") != "REFUND_SUCCESS" || bare.value["gmt_refund_pay"] != nil || bare.value["refund_detail_item_list"] != nil {
		t.Errorf("query without options: %s", bare.raw)
	}
	if l := w.balanced(); l.Balance != 0 {
		t.Errorf("ledger %+v", l)
	}
}

func TestRefundQueryOfNothing(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	got := w.refundQuery("nothing")
	got.is(t, "10000", "")
	if got.raw != `{"code":"10000","msg":"Success"}` {
		t.Errorf("reply %s", got.raw)
	}
	w.call(methodRefundQuery, map[string]any{"out_trade_no": "B", "out_request_no": "r"}).is(t, "40004", "ACQ.TRADE_NOT_EXIST")
	w.call(methodRefundQuery, map[string]any{"out_trade_no": "A"}).is(t, "40004", "ACQ.INVALID_PARAMETER")
	w.call(methodRefundQuery, map[string]any{"out_request_no": "r"}).is(t, "40004", "ACQ.INVALID_PARAMETER")
	w.call(methodRefundQuery, map[string]any{"out_trade_no": "A", "out_request_no": "r", "query_options": "gmt_refund_pay"}).is(t, "40004", "ACQ.INVALID_PARAMETER")
}

func TestA70A71TheSameNumberIsTheSameRefund(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	w.refundOf("r1", nil).is(t, "10000", "")
	again := w.refundOf("r1", nil) // at once: the gap is between two refunds, and this is one
	again.is(t, "10000", "")
	if again.get("fund_change") != "N" || again.get("refund_fee") != "28.00" || again.get("gmt_refund_pay") == "" {
		t.Errorf("again: %s", again.raw)
	}
	w.refundOf("r1", map[string]any{"refund_amount": "28.01"}).is(t, "40004", "ACQ.DISCORDANT_REPEAT_REQUEST")
	w.payTrade("B")
	w.refundOf("r1", map[string]any{"out_trade_no": "B"}).is(t, "10000", "") // numbers are unique within a trade only
	if l := w.balanced(); l.Refunded != 5600 {
		t.Errorf("ledger %+v", l)
	}
}

func TestRefundWithoutNumberIsOfAll(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	w.refundOf("", map[string]any{"out_request_no": nil}).is(t, "40004", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL")
	all := map[string]any{"out_request_no": nil, "refund_amount": "128.00"}
	w.refundOf("", all).is(t, "10000", "")
	if again := w.refundOf("", all); again.get("fund_change") != "N" {
		t.Errorf("again: %s", again.raw)
	}
	if got := w.refundQuery("A"); got.get("refund_amount") != "128.00" {
		t.Errorf("query by the trade's number: %s", got.raw)
	}
	w.balanced()
}

func TestA69A72RefundRules(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	if _, err := w.sim.Scan(w.page("opened"), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sim.Scan(w.page("closed"), ""); err != nil {
		t.Fatal(err)
	}
	w.call(methodClose, map[string]any{"out_trade_no": "closed"}).is(t, "10000", "")
	for _, row := range []struct {
		name, want string
		changes    map[string]any
	}{
		{"no trade", "ACQ.TRADE_NOT_EXIST", map[string]any{"out_trade_no": "nothing"}},
		{"an unpaid trade", "ACQ.TRADE_STATUS_ERROR", map[string]any{"out_trade_no": "opened"}},
		{"a trade closed unpaid", "ACQ.TRADE_HAS_CLOSE", map[string]any{"out_trade_no": "closed"}},
		{"neither number", "ACQ.INVALID_PARAMETER", map[string]any{"out_trade_no": nil}},
		{"more than was paid", "ACQ.REASON_TRADE_REFUND_FEE_ERR", map[string]any{"refund_amount": "128.01"}},
		{"nothing", "ACQ.INVALID_PARAMETER", map[string]any{"refund_amount": "0.00"}},
		{"no amount", "ACQ.INVALID_PARAMETER", map[string]any{"refund_amount": nil}},
		{"three decimals", "ACQ.INVALID_PARAMETER", map[string]any{"refund_amount": "1.001"}},
		{"a negative amount", "ACQ.INVALID_PARAMETER", map[string]any{"refund_amount": "-1.00"}},
		{"a number of 65", "ACQ.INVALID_PARAMETER", map[string]any{"out_request_no": strings.Repeat("1", 65)}},
		{"a reason of 257", "ACQ.INVALID_PARAMETER", map[string]any{"refund_reason": strings.Repeat("茶", 257)}},
		{"a name that is not documented", "ACQ.INVALID_PARAMETER", map[string]any{"notify_url": "http://shop.test/"}},
		{"all of the text's length", "", map[string]any{"out_request_no": strings.Repeat("1", 64), "refund_reason": strings.Repeat("茶", 256)}},
		{"another within 3 s", "ACQ.SYSTEM_ERROR", nil},
	} {
		code := "40004"
		if row.want == "" {
			code = "10000"
		}
		got := w.refundOf("rules", row.changes)
		if got.get("code") != code || got.get("sub_code") != row.want {
			t.Errorf("%s: %s, want %s", row.name, got.body, row.want)
		}
	}
	w.advance(refundGap)
	w.refundOf("rest", map[string]any{"refund_amount": "100.01"}).is(t, "40004", "ACQ.REASON_TRADE_REFUND_FEE_ERR")
	w.advance(refundWindow - refundGap)
	w.refundOf("a year later", nil).is(t, "10000", "")
	w.advance(refundGap)
	w.refundOf("later", nil).is(t, "40004", "ACQ.TRADE_HAS_FINISHED")
	w.balanced()
}

func TestRefundOfAShortBalance(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	if err := w.kit.SetBalance("alipay", 2799); err != nil {
		t.Fatal(err)
	}
	w.refundOf("r1", nil).is(t, "40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH")
	if got := w.refundQuery("r1"); got.value["refund_status"] != nil {
		t.Errorf("a refused refund: %s", got.raw)
	}
	if err := w.kit.SetBalance("alipay", 2800); err != nil {
		t.Fatal(err)
	}
	w.refundOf("r1", nil).is(t, "10000", "")
	if l := w.balanced(); l.Balance != 0 || l.Withdrawn != 10000 {
		t.Errorf("ledger %+v", l)
	}
}

func TestA15RefundNotices(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	w.sim.SetFaults(Faults{ClosedNotices: true}) // which are of trades that were closed unpaid
	w.advance(90 * time.Second)
	w.refundOf("r1", nil).is(t, "10000", "")
	w.advance(refundGap)
	if _, err := w.sim.Refund("A", 0); err != nil {
		t.Fatal(err)
	}
	got := w.deliver(9)
	if len(got) != 3 {
		t.Fatalf("%d notices, want 3", len(got))
	}
	common := params{
		"app_id": AppID, "auth_app_id": AppID, "buyer_id": buyerID, "buyer_logon_id": buyerLogonID, "charset": "utf-8",
		"gmt_create": "2026-03-01 12:00:00", "gmt_payment": "2026-03-01 12:00:00", "notify_type": "trade_status_sync", "out_trade_no": "A",
		"notify_time": "2026-03-01 12:01:33", "seller_email": sellerEmail, "seller_id": SellerID, "subject": "《大宋提刑官》精装本",
		"total_amount": "128.00", "trade_no": w.query("A").get("trade_no"), "version": "1.0", "sign_type": "RSA2",
	}
	ids := []string{got[0].form["notify_id"]}
	for i, want := range []params{
		{"trade_status": tradeSuccess, "gmt_refund": "2026-03-01 12:01:30.000", "refund_fee": "28.00", "out_biz_no": "r1"},
		{"trade_status": tradeClosed, "gmt_refund": "2026-03-01 12:01:33.000", "refund_fee": "128.00", "gmt_close": "2026-03-01 12:01:33"},
	} {
		form := got[i+1].form
		maps.Copy(want, common)
		want["notify_id"], want["sign"] = form["notify_id"], form["sign"]
		if i == 1 {
			want["out_biz_no"] = form["out_biz_no"]
			if !strings.HasPrefix(form["out_biz_no"], "console") {
				t.Errorf("out_biz_no %s", form["out_biz_no"])
			}
		}
		if form.canonical() != want.canonical() || !genuine(form) {
			t.Errorf("notice\n%s\nwant\n%s", form.canonical(), want.canonical())
		}
		if slices.Contains(ids, form["notify_id"]) || len(form["notify_id"]) != 34 {
			t.Errorf("notify_id %s after %v", form["notify_id"], ids)
		}
		ids = append(ids, form["notify_id"])
	}
	w.status("A") // looking at a trade that refunds have closed tells nobody again
	if got := w.deliver(9); len(got) != 3 {
		t.Errorf("%d notices, want 3", len(got))
	}
}

func TestRefundNoticesCanBeOff(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	w.sim.SetFaults(Faults{NoRefundNotices: true})
	w.refundOf("r1", nil).is(t, "10000", "")
	if w.kit.Notices.Pending() != 0 {
		t.Error("a notice is due")
	}
}

func TestA71RefundsThatDoNotSaySo(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	w.sim.SetFaults(Faults{FundChangeN: true})
	if got := w.refundOf("r1", nil); got.get("code") != "10000" || got.get("fund_change") != "N" || got.get("refund_fee") != "28.00" {
		t.Errorf("N: %s", got.raw)
	}
	w.advance(refundGap)
	w.sim.SetFaults(Faults{FundChangeAbsent: true})
	if got := w.refundOf("r2", nil); got.get("code") != "10000" || got.value["fund_change"] != nil {
		t.Errorf("absent: %s", got.raw)
	}
	w.advance(refundGap)
	w.sim.SetFaults(Faults{UnknownResult: true})
	w.refundOf("r3", nil).is(t, "20000", "isp.unknow-error")
	w.sim.SetFaults(Faults{})
	for _, number := range []string{"r1", "r2", "r3"} {
		if got := w.refundQuery(number); got.get("refund_status") != "REFUND_SUCCESS" {
			t.Errorf("%s: %s", number, got.raw)
		}
	}
	w.balanced()
}

func TestLateRefunds(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	w.sim.SetFaults(Faults{LateRefunds: true})
	got := w.refundOf("r1", map[string]any{"refund_amount": "128.00"})
	got.is(t, "10000", "")
	if got.get("fund_change") != "N" || got.get("refund_fee") != "0.00" || got.value["gmt_refund_pay"] != nil {
		t.Errorf("at once: %s", got.raw)
	}
	if got := w.refundQuery("r1"); got.raw != `{"code":"10000","msg":"Success"}` || w.status("A") != tradeSuccess {
		t.Errorf("query at once: %s, trade %s", got.raw, w.status("A"))
	}
	if got := w.deliver(9); len(got) != 1 {
		t.Errorf("%d notices before it was done", len(got))
	}
	w.refundOf("r2", map[string]any{"refund_amount": "0.01"}).is(t, "40004", "ACQ.TRADE_HAS_CLOSE")
	w.balanced()
	w.advance(simkit.UsualRefund)
	if got := w.refundQuery("r1"); got.get("refund_status") != "REFUND_SUCCESS" || w.status("A") != tradeClosed {
		t.Errorf("query later: %s, trade %s", got.raw, w.status("A"))
	}
	if got := w.deliver(9); len(got) != 2 || got[1].form["trade_status"] != tradeClosed || got[1].form["refund_fee"] != "128.00" {
		t.Errorf("%d notices", len(got))
	}
	w.balanced()
}

func TestRefundFaults(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	for _, row := range []struct {
		name, code string
		done       bool
		faults     simkit.FaultSettings
	}{
		{"rate", "40005", false, simkit.FaultSettings{RateLimitedPercent: 100}},
		{"before", "20000", false, simkit.FaultSettings{FailBeforePercent: 100}},
		{"after", "20000", true, simkit.FaultSettings{FailAfterPercent: 100}},
	} {
		if err := w.kit.Faults.Set(row.faults); err != nil {
			t.Fatal(err)
		}
		got := w.refundOf(row.name, nil)
		if err := w.kit.Faults.Set(simkit.FaultSettings{}); err != nil {
			t.Fatal(err)
		}
		done := w.refundQuery(row.name).get("refund_status") != ""
		if got.get("code") != row.code || done != row.done {
			t.Errorf("%s: %s, done %v", row.name, got.raw, done)
		}
	}
}

func TestConsoleRefundRefusals(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	link := w.page("opened")
	for _, row := range []struct {
		name, code string
		fen        int64
		want       simkit.Reason
	}{
		{"a link that nobody opened", link, 0, simkit.ReasonUnpaid},
		{"more than was paid", "A", 12801, simkit.ReasonTooMuch},
	} {
		_, err := w.sim.Refund(row.code, row.fen)
		if refusal, ok := err.(*simkit.Refusal); !ok || refusal.Reason != row.want { //nolint:errorlint // never wrapped
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
	if r, err := w.sim.Refund(w.page("A"), 1); err != nil || r.Amount != 1 || r.By != simkit.ByConsole || r.State != "REFUND_SUCCESS" {
		t.Errorf("by the link: %+v, %v", r, err)
	}
	w.balanced()
}

func TestTradesOfBooksWithoutLedger(t *testing.T) {
	t.Parallel()
	w := newPaid(t)
	if err := w.kit.Books.Do(func(tx *simkit.Tx) error { tx.Delete("ledger", "alipay"); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.openLedger(); err != nil {
		t.Fatal(err)
	}
	if l := w.balanced(); l.Paid != 12800 {
		t.Errorf("ledger %+v", l)
	}
}
