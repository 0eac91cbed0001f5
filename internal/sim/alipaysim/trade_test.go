package alipaysim

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
)

func (w *world) close(outTradeNo string) reply {
	w.t.Helper()
	return w.call(methodClose, map[string]any{"out_trade_no": outTradeNo})
}

// refusedWith follows a link and wants the gateway's error page.
func (w *world) refusedWith(link, subCode string) {
	w.t.Helper()
	resp := w.get(link)
	raw := text(w.t, resp)
	page, ok := gbkCharset.decode(raw)
	if !ok || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/html;charset=GBK" || resp.Header.Get("Location") != "" {
		w.t.Fatalf("%d %s %q, want a page in GBK", resp.StatusCode, resp.Header.Get("Content-Type"), raw)
	}
	if !strings.Contains(page, "<code>"+subCode+"</code>") {
		w.t.Fatalf("page %s, want %s", page, subCode)
	}
	log := w.sim.refusals.latest()
	if len(log) == 0 || log[len(log)-1].SubCode != subCode {
		w.t.Fatalf("log %v, want %s last", log, subCode)
	}
}

func TestPageTradeIsLazy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	missing := func(step string) {
		t.Helper()
		w.query("A").is(t, "40004", "ACQ.TRADE_NOT_EXIST")
		r := w.close("A")
		if r.is(t, "40004", "ACQ.TRADE_NOT_EXIST"); r.get("out_trade_no") != "A" {
			t.Errorf("%s: close %s does not echo the number", step, r.body)
		}
	}
	missing("before anything")
	cashier := w.visit(w.page("A"))
	missing("the link was followed")
	if page := text(t, w.get(cashier)); !strings.Contains(page, "登录支付宝账户") || strings.Contains(page, "确认付款") {
		t.Errorf("page before login: %s", page)
	}
	missing("the cashier was shown")
	w.act(cashier, "refuse")
	missing("the payer turned away before the login")
	if page := w.act(cashier, "login"); !strings.Contains(page, "确认付款") {
		t.Errorf("page after login: %s", page)
	}
	r := w.query("A")
	if r.is(t, "10000", ""); r.get("trade_status") != waitBuyerPay || r.get("total_amount") != "128.00" || r.get("receipt_amount") != "0.00" ||
		r.get("send_pay_date") != "" || len(r.get("trade_no")) != 28 {
		t.Errorf("opened: %s", r.body)
	}
	if page := w.act(cashier, "short"); !strings.Contains(page, "余额不足") {
		t.Errorf("page of a short balance: %s", page)
	}
	if got := w.status("A"); got != waitBuyerPay {
		t.Errorf("after a short balance: %s", got)
	}
	if page := w.act(cashier, "pay"); !strings.Contains(page, "支付成功") {
		t.Errorf("page after paying: %s", page)
	}
	paid := w.call(methodQuery, map[string]any{"trade_no": r.get("trade_no")})
	if paid.is(t, "10000", ""); paid.get("trade_status") != tradeSuccess || paid.get("receipt_amount") != "128.00" || paid.get("send_pay_date") != "2026-03-01 12:00:00" {
		t.Errorf("paid: %s", paid.body)
	}
	w.close("A").is(t, "40004", "ACQ.TRADE_STATUS_ERROR")
	w.refusedWith(w.page("A"), "ACQ.TRADE_HAS_SUCCESS")
	w.act(cashier, "pay") // twice is once
	if got := w.deliver(9); len(got) != 1 {
		t.Errorf("%d notices, want 1", len(got))
	}
}

func TestWapTradeExistsFromThePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cashier := w.visit(w.wap("A"))
	if page := text(t, w.get(cashier)); !strings.Contains(page, "确认付款") || !strings.Contains(page, `href="http://shop.test/quit"`) || !strings.Contains(page, `class="phone"`) {
		t.Errorf("wap page: %s", page)
	}
	w.act(cashier, "refuse")
	w.query("A").is(t, "40004", "ACQ.TRADE_NOT_EXIST")
	page := w.act(cashier, "pay")
	if got := w.status("A"); got != tradeSuccess {
		t.Errorf("status %s", got)
	}
	if strings.Contains(page, "shop.test/quit") {
		t.Error("a paid page offers to give up")
	}
	if back := signedLink(t, page); back["method"] != "alipay.trade.wap.pay.return" {
		t.Errorf("way back %v", back)
	}
}

func TestTradeNoWinsOverOutTradeNo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, number := range []string{"A", "B"} {
		w.act(w.visit(w.page(number)), "login")
	}
	both := map[string]any{"trade_no": w.query("A").get("trade_no"), "out_trade_no": "B"}
	if r := w.call(methodQuery, both); r.get("out_trade_no") != "A" {
		t.Errorf("query: %s", r.body)
	}
	w.call(methodClose, both).is(t, "10000", "")
	if a, b := w.status("A"), w.status("B"); a != tradeClosed || b != waitBuyerPay {
		t.Errorf("A %s, B %s", a, b)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cashier := w.visit(w.page("A"))
	w.act(cashier, "login")
	r := w.close("A")
	if r.is(t, "10000", ""); r.get("out_trade_no") != "A" || len(r.get("trade_no")) != 28 {
		t.Errorf("close: %s", r.body)
	}
	r = w.query("A")
	if r.is(t, "10000", ""); r.get("trade_status") != tradeClosed || r.get("send_pay_date") != "" || r.get("receipt_amount") != "0.00" {
		t.Errorf("closed: %s", r.body)
	}
	w.close("A").is(t, "40004", "ACQ.TRADE_STATUS_ERROR")
	if page := w.act(cashier, "pay"); !strings.Contains(page, "交易已经关闭") {
		t.Errorf("page of a closed trade: %s", page)
	}
	w.refusedWith(w.page("A"), "ACQ.TRADE_HAS_CLOSE")
	if got := w.status("A"); got != tradeClosed {
		t.Errorf("status %s", got)
	}
	if got := w.deliver(3); len(got) != 0 {
		t.Errorf("%d notices of a close, want none by default", len(got))
	}
}

func TestCloseOfAnUnopenedTradeLeavesItsLinkPayable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.close("A").is(t, "40004", "ACQ.TRADE_NOT_EXIST")
	if _, err := w.sim.Pay(w.page("A"), ""); err != nil {
		t.Fatal(err)
	}
	if got := w.status("A"); got != tradeSuccess {
		t.Errorf("status %s", got)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	biz := func(name, value string) map[string]any {
		b := pageBiz("A")
		delete(b, "time_expire")
		if name != "" {
			b[name] = value
		}
		return b
	}
	both := biz("time_expire", "2026-03-01 12:10:00")
	both["timeout_express"] = "5m"
	for _, row := range []struct {
		name string
		biz  map[string]any
		life time.Duration
	}{
		{"time_expire", biz("time_expire", "2026-03-01 12:30:00"), 30 * time.Minute},
		{"time_expire wins over timeout_express", both, 10 * time.Minute},
		{"timeout_express in minutes", biz("timeout_express", "90m"), 90 * time.Minute},
		{"timeout_express in hours", biz("timeout_express", "2h"), 2 * time.Hour},
		{"timeout_express in days", biz("timeout_express", "15d"), 15 * 24 * time.Hour},
		{"timeout_express to the end of today", biz("timeout_express", "1c"), 12 * time.Hour},
		{"none is 15 days", biz("", ""), 15 * 24 * time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			opened, late := newWorld(t), newWorld(t)
			for _, w := range []*world{opened, late} {
				w.t = t
			}
			page := link(opened.request(methodPagePay, row.biz))
			openedAt, lateAt := opened.visit(page), late.visit(page)
			opened.act(openedAt, "login")
			opened.advance(row.life - time.Millisecond)
			late.advance(row.life)
			if got := opened.status("A"); got != waitBuyerPay {
				t.Errorf("just before the deadline: %s", got)
			}
			opened.advance(time.Millisecond)
			if got := opened.status("A"); got != tradeClosed {
				t.Errorf("at the deadline: %s", got)
			}
			opened.act(openedAt, "pay")
			if got := opened.status("A"); got != tradeClosed {
				t.Errorf("paid after the deadline: %s", got)
			}
			if ended := late.act(lateAt, "pay"); !strings.Contains(ended, "已超过允许支付的时间") {
				t.Errorf("an unopened one after the deadline: %s", ended)
			}
			late.query("A").is(t, "40004", "ACQ.TRADE_NOT_EXIST")
		})
	}
	t.Run("a link past its time_expire", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.advance(30 * time.Minute)
		w.refusedWith(w.page("A"), "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR")
	})
	t.Run("a timeout counts from the first display", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		page := link(w.request(methodPagePay, biz("timeout_express", "10m")))
		first := w.visit(page)
		w.advance(9 * time.Minute)
		if again := w.visit(page); again != first {
			t.Errorf("visit %s, then %s", first, again)
		}
		w.advance(time.Minute)
		w.refusedWith(page, "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR")
	})
}

func TestSameNumberAgain(t *testing.T) {
	t.Parallel()
	other := func(name string, value any) map[string]any {
		b := pageBiz("A")
		b[name] = value
		return b
	}
	for _, row := range []struct {
		name string
		biz  map[string]any
		want string // "" = the cashier again
	}{
		{"the same parameters", pageBiz("A"), ""},
		{"A21 another amount", other("total_amount", "127.99"), "ACQ.CONTEXT_INCONSISTENT"},
		{"another subject", other("subject", "别的"), "ACQ.CONTEXT_INCONSISTENT"},
		{"another body", other("body", "别的"), "ACQ.CONTEXT_INCONSISTENT"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			early := w.visit(link(w.request(methodPagePay, row.biz, set("timestamp", "2026-03-01 11:59:00"))))
			w.act(w.visit(w.page("A")), "login")
			again := link(w.request(methodPagePay, row.biz))
			if row.want == "" {
				w.visit(again)
				return
			}
			w.refusedWith(again, row.want)
			if page := w.act(early, "pay"); !strings.Contains(page, "交易信息被篡改") {
				t.Errorf("a cashier opened before: %s", page)
			}
			if got := w.status("A"); got != waitBuyerPay {
				t.Errorf("status %s", got)
			}
			_, err := w.sim.Pay(again, "")
			if want := (&simkit.Refusal{}); !errors.As(err, &want) || want.Reason != simkit.ReasonAmbiguous {
				t.Errorf("wallet: %v", err)
			}
		})
	}
}

func TestManyPayersPayOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const payers = 20
	page := w.page("A")
	results := make(chan error, payers)
	var group sync.WaitGroup
	for range payers {
		group.Go(func() {
			_, err := w.sim.Pay(page, "")
			results <- err
		})
	}
	group.Wait()
	close(results)
	paid := 0
	for err := range results {
		var refusal *simkit.Refusal
		switch {
		case err == nil:
			paid++
		case !errors.As(err, &refusal) || refusal.Reason != simkit.ReasonPaid:
			t.Error(err)
		}
	}
	if paid != 1 || len(w.deliver(9)) != 1 {
		t.Errorf("%d paid, %d notices, want one of each", paid, len(w.notices))
	}
}

func TestEverythingSurvivesAReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := openWorld(t, dir, Options{})
	waiting, unopened := w.visit(w.page("WAIT")), w.visit(w.page("UNOPENED"))
	w.act(waiting, "login")
	if _, err := w.sim.Pay(w.page("PAID"), ""); err != nil {
		t.Fatal(err)
	}
	w.answer = "fail"
	first := w.deliver(1)
	tradeNo := w.query("PAID").get("trade_no")
	if err := w.kit.Close(); err != nil {
		t.Fatal(err)
	}
	w = openWorld(t, dir, Options{})
	if got := w.query("PAID"); got.get("trade_status") != tradeSuccess || got.get("trade_no") != tradeNo {
		t.Errorf("paid: %s", got.body)
	}
	if got := w.call(methodQuery, map[string]any{"trade_no": tradeNo}); got.get("out_trade_no") != "PAID" {
		t.Errorf("by trade_no: %s", got.body)
	}
	if page := w.act(waiting, "pay"); !strings.Contains(page, "支付成功") {
		t.Errorf("waiting: %s", page)
	}
	if page := text(t, w.get(unopened)); !strings.Contains(page, "登录支付宝账户") {
		t.Errorf("unopened: %s", page)
	}
	w.query("UNOPENED").is(t, "40004", "ACQ.TRADE_NOT_EXIST")
	w.advance(4 * time.Minute)
	again := w.deliver(9)
	if len(again) != 2 || len(first) != 1 {
		t.Fatalf("%d notices, then %d, want 1 and 2", len(first), len(again))
	}
	ids := again[0].form["notify_id"] + again[1].form["notify_id"]
	if !strings.Contains(ids, first[0].form["notify_id"]) {
		t.Errorf("notify_id %s is not tried again", first[0].form["notify_id"])
	}
}

// Keys made by the simulator itself are the same after a reopen.
func TestKeysAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	credentials := func() Credentials {
		kit, err := simkit.New(simkit.Options{PublicURL: gatewayOrigin, Dir: dir, Wall: func() time.Time { return start }, Log: openWorld(t, "", Options{}).kit.Log})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = kit.Close() }()
		s, err := New(kit, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s.Credentials()
	}
	first, second := credentials(), credentials()
	if first != second {
		t.Error("a reopen made other keys")
	}
	if first.GatewayURL != gatewayOrigin+"/gateway.do" || first.AppID != AppID || first.SellerID != SellerID ||
		!strings.HasPrefix(first.AppPrivateKey, "-----BEGIN PRIVATE KEY-----") || !strings.HasPrefix(first.AlipayPublicKey, "-----BEGIN PUBLIC KEY-----") {
		t.Errorf("credentials %s %s %s", first.GatewayURL, first.AppID, first.SellerID)
	}
}
