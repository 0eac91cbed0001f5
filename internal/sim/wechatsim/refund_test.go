package wechatsim

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
)

// refundBody is a good refund of 100 fen, changed as params is.
func refundBody(order, number string, changes map[string]any) string {
	doc := map[string]any{
		"out_trade_no": order, "out_refund_no": number, "reason": "少了一两", "amount": amount(100, 9900),
	}
	maps.Copy(doc, changes)
	maps.DeleteFunc(doc, func(_ string, v any) bool { return v == nil })
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func amount(refund, total int64) map[string]any {
	return map[string]any{"refund": refund, "total": total, "currency": "CNY"}
}

func (b *bench) refund(order, number string, changes map[string]any) outcome {
	b.t.Helper()
	return b.call("POST", refundsPath, refundBody(order, number, changes))
}

func (b *bench) paid(number string, changes map[string]any) simkit.Order {
	b.t.Helper()
	b.place(number, changes)
	return b.pay(number, "p")
}

func (b *bench) faults(f simkit.FaultSettings) {
	b.t.Helper()
	if err := b.kit.Faults.Set(f); err != nil {
		b.t.Fatal(err)
	}
}

// balanced holds orders, refunds and ledger against each other.
func (b *bench) balanced() simkit.Ledger {
	b.t.Helper()
	orders, err := b.sim.Orders()
	if err != nil {
		b.t.Fatal(err)
	}
	l, err := b.kit.Ledger(platformName)
	if err != nil {
		b.t.Fatal(err)
	}
	var paid, refunded int64
	for _, o := range orders {
		if o.TransactionID != "" {
			paid += o.Amount
		}
		refunded += o.Refunded + o.Refunding
		if o.Left() < 0 {
			b.t.Errorf("%s gave back more than it got: %+v", o.OutTradeNo, o)
		}
	}
	if paid != l.Paid || refunded != l.Refunded || l.Balance != paid-refunded-l.Withdrawn {
		b.t.Errorf("paid %d, refunded %d by orders; ledger %+v", paid, refunded, l)
	}
	return l
}

func TestRefund(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	order := b.paid("refund-1", nil)
	got := b.refund("refund-1", "r@1|a*", nil)
	if got.line != "200" || !got.signed(b.pub) || got.body["status"] != "PROCESSING" || got.body["success_time"] != nil {
		t.Fatalf("refund: %s", got.raw)
	}
	id, _ := got.body["refund_id"].(string)
	want := fmt.Sprintf(`{"refund_id":%q,"out_refund_no":"r@1|a*","transaction_id":%q,"out_trade_no":"refund-1","channel":"ORIGINAL",`+
		`"user_received_account":"支付用户零钱","create_time":"2026-03-01T12:00:00+08:00","status":"PROCESSING","funds_account":"UNSETTLED",`+
		`"amount":{"total":9900,"refund":100,"from":[],"payer_total":9900,"payer_refund":100,"settlement_refund":100,"settlement_total":9900,`+
		`"discount_refund":0,"currency":"CNY","refund_fee":0},"promotion_detail":[]}`, id, order.TransactionID)
	if got.raw != want || len(id) != 29 {
		t.Errorf("refund\n%s\nwant\n%s", got.raw, want)
	}
	query := func() outcome { return b.call("GET", refundsPath+"/r%401%7Ca%2A", "") }
	if got := query(); got.raw != want {
		t.Errorf("query at once: %s", got.raw)
	}
	b.move(simkit.UsualRefund)
	if got := query(); got.body["status"] != "SUCCESS" || got.body["success_time"] != "2026-03-01T12:00:01+08:00" {
		t.Errorf("query later: %s", got.raw)
	}
	if got := b.call("GET", byNumber("refund-1"), ""); got.body["trade_state"] != "REFUND" || got.body["transaction_id"] != order.TransactionID {
		t.Errorf("the order of a refund: %s", got.raw)
	}
	if got := b.v2("/pay/orderquery", fields{"out_trade_no": "refund-1"}); got.values["trade_state"] != "REFUND" || got.values["total_fee"] != "9900" {
		t.Errorf("the order of a refund, by APIv2: %s", got.raw)
	}
	for line, row := range map[string]outcome{
		"400 ORDER_PAID":          b.call("POST", native, params("refund-1", nil)),
		"400 ORDER_PAID ":         b.call("POST", closing("refund-1"), closeBody),
		"404 RESOURCE_NOT_EXISTS": b.call("GET", refundsPath+"/nothing", ""),
	} {
		if row.line != strings.TrimSpace(line) {
			t.Errorf("%s, want %s", row.raw, line)
		}
	}
	if shown, err := b.sim.Find("refund-1"); err != nil || shown.Blocked != simkit.ReasonPaid || shown.Refunded != 100 || len(shown.Refunds) != 1 {
		t.Errorf("shown %+v, %v", shown, err)
	}
	b.balanced()
}

func TestA70TheSameNumberIsTheSameRefund(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	order := b.paid("again-1", nil)
	b.paid("again-2", nil)
	first := b.refund("again-1", "r1", nil)
	b.move(time.Hour)
	again := b.refund("again-1", "r1", nil)
	if again.line != "200" || again.body["refund_id"] != first.body["refund_id"] || again.body["create_time"] != first.body["create_time"] || again.body["status"] != "SUCCESS" {
		t.Errorf("again: %s", again.raw)
	}
	for name, body := range map[string]string{
		"another amount":   refundBody("again-1", "r1", map[string]any{"amount": amount(101, 9900)}),
		"another order":    refundBody("again-2", "r1", nil),
		"another reason":   refundBody("again-1", "r1", map[string]any{"reason": "-"}),
		"by the other key": refundBody("again-1", "r1", map[string]any{"out_trade_no": nil, "transaction_id": order.TransactionID}),
	} {
		if got := b.call("POST", refundsPath, body); got.line != "400 INVALID_REQUEST" {
			t.Errorf("%s: %s", name, got.raw)
		}
	}
	if l := b.balanced(); l.Refunded != 100 {
		t.Errorf("ledger %+v", l)
	}
}

func TestA69A72RefundRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	order := b.paid("rules-1", nil)
	b.place("unpaid-1", nil)
	for _, row := range []struct {
		name, want string
		changes    map[string]any
	}{
		{"no order", "404 RESOURCE_NOT_EXISTS", map[string]any{"out_trade_no": "nothing"}},
		{"no such transaction", "404 RESOURCE_NOT_EXISTS", map[string]any{"out_trade_no": nil, "transaction_id": "4200"}},
		{"two that differ", "404 RESOURCE_NOT_EXISTS", map[string]any{"out_trade_no": "unpaid-1", "transaction_id": order.TransactionID}},
		{"an order that is not paid", "404 RESOURCE_NOT_EXISTS", map[string]any{"out_trade_no": "unpaid-1"}},
		{"neither number", "400 PARAM_ERROR", map[string]any{"out_trade_no": nil}},
		{"another total", "400 INVALID_REQUEST", map[string]any{"amount": amount(100, 9901)}},
		{"more than was paid", "400 INVALID_REQUEST", map[string]any{"amount": amount(9901, 9900)}},
		{"0 fen", "400 PARAM_ERROR", map[string]any{"amount": amount(0, 9900)}},
		{"a negative amount", "400 PARAM_ERROR", map[string]any{"amount": amount(-1, 9900)}},
		{"no currency", "400 PARAM_ERROR", map[string]any{"amount": map[string]any{"refund": 1, "total": 9900}}},
		{"yuan", "400 PARAM_ERROR", map[string]any{"amount": map[string]any{"refund": 1.5, "total": 9900, "currency": "CNY"}}},
		{"no number", "400 PARAM_ERROR", map[string]any{"out_refund_no": nil}},
		{"a number of 65", "400 PARAM_ERROR", map[string]any{"out_refund_no": strings.Repeat("1", 65)}},
		{"a number with a space", "400 PARAM_ERROR", map[string]any{"out_refund_no": "a b"}},
		{"an unknown account", "400 PARAM_ERROR", map[string]any{"funds_account": "MINE"}},
		{"notify_url with a query", "400 PARAM_ERROR", map[string]any{"notify_url": "https://a.example/n?x=1"}},
		{"an unknown field", "400 PARAM_ERROR", map[string]any{"sub_mchid": "1900000001"}},
		{"a reason of 81", "400 PARAM_ERROR", map[string]any{"reason": strings.Repeat("茶", 81)}},
		{"all fields", "200", map[string]any{
			"out_refund_no": strings.Repeat("1", 64), "out_trade_no": nil, "transaction_id": order.TransactionID, "funds_account": "AVAILABLE",
			"reason": strings.Repeat("茶", 80), "notify_url": "https://a.example/n",
		}},
		{"a second within a minute", "429 FREQUENCY_LIMITED", nil},
	} {
		if got := b.refund("rules-1", "rules", row.changes); got.line != row.want {
			t.Errorf("%s: %s, want %s", row.name, got.raw, row.want)
		}
	}
	b.move(time.Minute)
	for _, row := range []struct {
		name, number, want string
		fen                int64
	}{
		{"one fen more than is left", "rest-1", "400 INVALID_REQUEST", 9801},
		{"all that is left", "rest-2", "200", 9800},
		{"a fen of nothing", "rest-3", "400 INVALID_REQUEST", 1},
	} {
		if got := b.refund("rules-1", row.number, map[string]any{"amount": amount(row.fen, 9900)}); got.line != row.want {
			t.Errorf("%s: %s, want %s", row.name, got.raw, row.want)
		}
	}
	if got := b.call("PUT", refundsPath, ""); got.line != "404 RESOURCE_NOT_EXISTS" {
		t.Errorf("PUT: %s", got.raw)
	}
	if l := b.balanced(); l.Refunded != 9900 || l.Balance != 0 {
		t.Errorf("ledger %+v", l)
	}
}

func TestA72FiftyRefundsInOneYear(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.paid("fifty-1", nil)
	for n := range maxRefunds {
		if got := b.refund("fifty-1", fmt.Sprintf("r%d", n), nil); got.line != "200" {
			t.Fatalf("refund %d: %s", n, got.raw)
		}
		b.move(time.Minute)
	}
	if got := b.refund("fifty-1", "r50", nil); got.line != "400 INVALID_REQUEST" || !strings.Contains(got.raw, "50次") {
		t.Errorf("the 51st: %s", got.raw)
	}
	b.paid("year-1", nil)
	b.move(refundWindow)
	if got := b.refund("year-1", "last", nil); got.line != "200" {
		t.Errorf("after a year: %s", got.raw)
	}
	b.move(time.Minute)
	if got := b.refund("year-1", "late", nil); got.line != "400 INVALID_REQUEST" || !strings.Contains(got.raw, "期限") {
		t.Errorf("later: %s", got.raw)
	}
	b.balanced()
}

func TestRefundOfAShortBalance(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.paid("short-1", nil)
	if err := b.kit.SetBalance(platformName, 99); err != nil {
		t.Fatal(err)
	}
	if got := b.refund("short-1", "r1", nil); got.line != "403 NOT_ENOUGH" {
		t.Errorf("99 fen for 100: %s", got.raw)
	}
	if got := b.call("GET", byNumber("short-1"), ""); got.body["trade_state"] != "SUCCESS" {
		t.Errorf("a refused refund left its trace: %s", got.raw)
	}
	b.paid("short-2", nil) // which brings the money
	if got := b.refund("short-1", "r1", nil); got.line != "200" {
		t.Errorf("the same again: %s", got.raw)
	}
	if l := b.balanced(); l.Balance != 99+9900-100 {
		t.Errorf("ledger %+v", l)
	}
}

func TestRefundsThatFail(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.paid("fails-1", nil)
	b.faults(simkit.FaultSettings{RefundClosedPercent: 100, RefundMS: 60_000})
	b.refund("fails-1", "closed", map[string]any{"amount": amount(9900, 9900)})
	b.faults(simkit.FaultSettings{RefundAbnormalPercent: 100})
	b.move(time.Minute - time.Millisecond)
	if l := b.balanced(); l.Balance != 0 {
		t.Errorf("on its way: %+v", l)
	}
	b.move(time.Millisecond)
	if l := b.balanced(); l.Balance != 9900 || l.Refunded != 0 {
		t.Errorf("closed: %+v", l)
	}
	if got := b.call("GET", refundsPath+"/closed", ""); got.body["status"] != "CLOSED" || got.body["success_time"] != nil {
		t.Errorf("closed: %s", got.raw)
	}
	if got := b.refund("fails-1", "closed", map[string]any{"amount": amount(9900, 9900)}); got.body["status"] != "CLOSED" {
		t.Errorf("the same again: %s", got.raw)
	}
	b.refund("fails-1", "abnormal", nil)
	b.move(time.Minute)
	if got := b.call("GET", refundsPath+"/abnormal", ""); got.body["status"] != "ABNORMAL" {
		t.Errorf("abnormal: %s", got.raw)
	}
	if l := b.balanced(); l.Balance != 9800 {
		t.Errorf("abnormal: %+v", l)
	}
	if got := b.call("GET", byNumber("fails-1"), ""); got.body["trade_state"] != "REFUND" {
		t.Errorf("the order: %s", got.raw)
	}
}

func TestA15RefundNotices(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, event, summary, inner string
		own                         bool // the refund names an address of its own
		faults                      simkit.FaultSettings
	}{
		{"success, where the payment's went", "REFUND.SUCCESS", "退款成功", `"refund_status":"SUCCESS","success_time":"2026-03-01T12:00:01+08:00",`, false, simkit.FaultSettings{}},
		{"success, at its own address", "REFUND.SUCCESS", "退款成功", `"refund_status":"SUCCESS","success_time":"2026-03-01T12:00:01+08:00",`, true, simkit.FaultSettings{}},
		{"abnormal", "REFUND.ABNORMAL", "退款异常", `"refund_status":"ABNORMAL",`, false, simkit.FaultSettings{RefundAbnormalPercent: 100}},
		{"closed", "REFUND.CLOSED", "退款关闭", `"refund_status":"CLOSED",`, true, simkit.FaultSettings{RefundClosedPercent: 100}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			payments, url := newInbox(t, reply(http.StatusOK, ""))
			refunds, own := newInbox(t, reply(http.StatusInternalServerError, ""))
			order := b.paid("notice-1", map[string]any{"notify_url": url})
			b.step()
			b.faults(row.faults)
			changes, box := map[string]any{}, payments
			if row.own {
				changes["notify_url"], box = own, refunds
			}
			got := b.refund("notice-1", "r1", changes)
			before := len(box.bodies)
			b.step()
			if len(box.bodies) != before {
				t.Fatal("told before it was done")
			}
			b.move(simkit.UsualRefund)
			next := b.step()
			if len(box.bodies) != before+1 {
				t.Fatalf("%d notices", len(box.bodies)-before)
			}
			if gap := next.Sub(b.now()); row.own && gap != 15*time.Second || !row.own && !next.IsZero() {
				t.Errorf("next try after %s", gap)
			}
			var sent envelope
			if err := json.Unmarshal([]byte(box.bodies[before]), &sent); err != nil {
				t.Fatal(err)
			}
			if sent.EventType != row.event || sent.Summary != row.summary || sent.Resource.OriginalType != "refund" || sent.Resource.AssociatedData != "refund" ||
				sent.CreateTime != "2026-03-01T12:00:01+08:00" {
				t.Errorf("envelope %+v", sent)
			}
			want := fmt.Sprintf(`{"mchid":"1900005001","out_trade_no":"notice-1","transaction_id":%q,"out_refund_no":"r1","refund_id":%q,%s`+
				`"user_received_account":"支付用户零钱","amount":{"total":9900,"refund":100,"payer_total":9900,"payer_refund":100}}`,
				order.TransactionID, got.body["refund_id"], row.inner)
			if plain := b.unseal(sent.Resource); plain != want {
				t.Errorf("inner text\n%s\nwant\n%s", plain, want)
			}
			h := box.headers[before]
			if !verifies(b.pub, h.Get("Wechatpay-Timestamp")+"\n"+h.Get("Wechatpay-Nonce")+"\n"+box.bodies[before]+"\n", h.Get("Wechatpay-Signature")) {
				t.Error("not signed")
			}
		})
	}
}

// unseal opens a notice with the key that the merchant has.
func (b *bench) unseal(r resource) string {
	b.t.Helper()
	block, err := aes.NewCipher([]byte(b.sim.Credentials().APIv3Key))
	if err != nil {
		b.t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		b.t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(r.Ciphertext)
	if err != nil {
		b.t.Fatal(err)
	}
	plain, err := gcm.Open(nil, []byte(r.Nonce), raw, []byte(r.AssociatedData))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(plain)
}

func TestRefundFaults(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.paid("faults-1", nil)
	for _, row := range []struct {
		name, want string
		done       bool
		faults     simkit.FaultSettings
	}{
		{"rate", "429 FREQUENCY_LIMITED", false, simkit.FaultSettings{RateLimitedPercent: 100}},
		{"before", "500 SYSTEM_ERROR", false, simkit.FaultSettings{FailBeforePercent: 100}},
		{"after", "500 SYSTEM_ERROR", true, simkit.FaultSettings{FailAfterPercent: 100}},
		{"lost", "lost", true, simkit.FaultSettings{LostAnswerPercent: 100}},
	} {
		b.faults(row.faults)
		got := func() (line string) {
			defer func() {
				if recover() == http.ErrAbortHandler { //nolint:errorlint // the very value
					line = "lost"
				}
			}()
			return b.refund("faults-1", row.name, nil).line
		}()
		b.faults(simkit.FaultSettings{})
		found := b.call("GET", refundsPath+"/"+row.name, "").line == "200"
		if got != row.want || found != row.done {
			t.Errorf("%s: %s, found %v", row.name, got, found)
		}
		if row.done { // and the same again is the same refund
			if again := b.refund("faults-1", row.name, nil); again.line != "200" {
				t.Errorf("%s again: %s", row.name, again.raw)
			}
			b.move(time.Minute)
		}
	}
	if l := b.balanced(); l.Refunded != 200 {
		t.Errorf("ledger %+v", l)
	}
}

func TestRefundNoticesUnderFaults(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in, url := newInbox(t, reply(http.StatusOK, ""))
	b.paid("lossy-1", map[string]any{"notify_url": url})
	b.step()
	b.refund("lossy-1", "r1", nil)
	b.move(simkit.UsualRefund)
	for _, row := range []struct {
		faults  simkit.FaultSettings
		arrived int
		pending int
	}{
		{simkit.FaultSettings{DropPercent: 100}, 1, 1},
		{simkit.FaultSettings{ProbeNoticePercent: 100}, 2, 1},
		{simkit.FaultSettings{DoublePercent: 100}, 4, 0},
	} {
		b.faults(row.faults)
		b.step()
		if len(in.bodies) != row.arrived || b.kit.Notices.Pending() != row.pending {
			t.Fatalf("%+v: %d arrived, %d pending", row.faults, len(in.bodies), b.kit.Notices.Pending())
		}
		b.move(time.Minute)
	}
	if h := in.headers[1].Get("Wechatpay-Signature"); !strings.HasPrefix(h, "WECHATPAY/SIGNTEST/") {
		t.Errorf("the probe's signature is %s", h)
	}
	var first, second envelope
	if json.Unmarshal([]byte(in.bodies[2]), &first) != nil || json.Unmarshal([]byte(in.bodies[3]), &second) != nil || first.ID != second.ID {
		t.Errorf("doubled: %s and %s", in.bodies[2], in.bodies[3])
	}
}

func TestConsoleRefund(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in, url := newInbox(t, reply(http.StatusOK, ""))
	b.place("console-1", map[string]any{"notify_url": url})
	if _, err := b.sim.Refund("console-1", 0); !refusedFor(err, simkit.ReasonUnpaid) {
		t.Errorf("unpaid: %v", err)
	}
	b.pay("console-1", "p")
	b.step()
	if _, err := b.sim.Refund("console-1", 9901); !refusedFor(err, simkit.ReasonTooMuch) {
		t.Errorf("too much: %v", err)
	}
	part, err := b.sim.Refund("console-1", 1)
	if err != nil || part.By != simkit.ByConsole || part.State != "PROCESSING" || part.Amount != 1 {
		t.Fatalf("part %+v, %v", part, err)
	}
	rest, err := b.sim.Refund("console-1", 0) // people need not wait a minute
	if err != nil || rest.Amount != 9899 || rest.Number == part.Number {
		t.Fatalf("rest %+v, %v", rest, err)
	}
	if _, err := b.sim.Refund("console-1", 0); !refusedFor(err, simkit.ReasonTooMuch) {
		t.Errorf("nothing left: %v", err)
	}
	b.move(time.Second)
	b.step()
	b.step()
	if len(in.bodies) != 3 || !strings.Contains(in.bodies[2], "REFUND.SUCCESS") {
		t.Errorf("notices %v", in.bodies)
	}
	if got := b.call("GET", refundsPath+"/"+rest.Number, ""); got.body["status"] != "SUCCESS" {
		t.Errorf("query of a console's refund: %s", got.raw)
	}
	b.balanced()
}

func refusedFor(err error, want simkit.Reason) bool {
	refusal, ok := err.(*simkit.Refusal) //nolint:errorlint // never wrapped
	return ok && refusal.Reason == want
}

func TestRefundsAndLedgerAreKept(t *testing.T) {
	t.Parallel()
	b := &bench{t: t}
	b.wall.Store(time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC).UnixMilli())
	dir := t.TempDir()
	b.open(dir)
	b.paid("kept-1", nil)
	b.faults(simkit.FaultSettings{RefundClosedPercent: 100})
	b.refund("kept-1", "r1", nil)
	before := b.balanced()
	if err := b.kit.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(dir)
	if after := b.balanced(); after.Refunded != before.Refunded || after.Refunded != 100 {
		t.Errorf("ledger %+v, before %+v", after, before)
	}
	b.move(time.Second)
	if l := b.balanced(); l.Refunded != 0 {
		t.Errorf("a closed refund's money did not return: %+v", l)
	}
	// Books of before there were refunds have no ledger.
	if err := b.kit.Books.Do(func(tx *simkit.Tx) error { tx.Delete("ledger", platformName); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := b.sim.openLedger(); err != nil {
		t.Fatal(err)
	}
	if l := b.balanced(); l.Paid != 9900 {
		t.Errorf("ledger %+v", l)
	}
}
