package alipaysim

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
)

func genuine(p params) bool {
	return verify(&testKeys()["alipay_platform"].PublicKey, rsa2, p.canonical("sign", "sign_type"), p["sign"])
}

func TestNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	biz := pageBiz("A")
	biz["passback_params"], biz["body"] = "a%3D1%26b%3D2", "两册"
	w.advance(90 * time.Second)
	if _, err := w.sim.Pay(link(w.request(methodPagePay, biz, set("notify_url", notifyURL))), ""); err != nil {
		t.Fatal(err)
	}
	got := w.deliver(9)
	if len(got) != 1 {
		t.Fatalf("%d notices, want 1", len(got))
	}
	form := got[0].form
	want := params{
		"app_id": AppID, "auth_app_id": AppID, "body": "两册", "buyer_id": buyerID, "buyer_logon_id": buyerLogonID, "buyer_pay_amount": "128.00",
		"charset": "utf-8", "fund_bill_list": `[{"amount":"128.00","fundChannel":"ALIPAYACCOUNT"}]`, "gmt_create": "2026-03-01 12:01:30",
		"gmt_payment": "2026-03-01 12:01:30", "invoice_amount": "128.00", "notify_id": form["notify_id"], "notify_time": "2026-03-01 12:01:30",
		"notify_type": "trade_status_sync", "out_trade_no": "A", "passback_params": "a%3D1%26b%3D2", "point_amount": "0.00", "receipt_amount": "128.00",
		"seller_email": sellerEmail, "seller_id": SellerID, "subject": "《大宋提刑官》精装本", "total_amount": "128.00",
		"trade_no": w.query("A").get("trade_no"), "trade_status": tradeSuccess, "version": "1.0", "sign_type": "RSA2", "sign": form["sign"],
	}
	if form.canonical() != want.canonical() {
		t.Errorf("notice\n%s\nwant\n%s", form.canonical(), want.canonical())
	}
	if len(form["notify_id"]) != 34 {
		t.Errorf("notify_id %s", form["notify_id"])
	}
	if !genuine(form) {
		t.Error("the notice is not signed without sign and sign_type")
	}
	if verify(&testKeys()["alipay_platform"].PublicKey, rsa2, form.canonical("sign"), form["sign"]) {
		t.Error("the notice is signed with sign_type")
	}
	if got := got[0].header.Get("Content-Type"); got != "application/x-www-form-urlencoded; text/html; charset=UTF-8" {
		t.Errorf("Content-Type %s", got)
	}
	// The fields of a payment are those of the published one, seller_email and all.
	published := pairs(noticeText)
	for name := range published {
		if form[name] == "" {
			t.Errorf("a real notice has %s", name)
		}
	}
}

func TestNoticeRetries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.answer = "fail"
	if _, err := w.sim.Pay(w.page("A"), ""); err != nil {
		t.Fatal(err)
	}
	for range 20 { // more often than the table is long
		next, err := w.kit.Notices.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if next.IsZero() {
			break
		}
		w.advance(next.Sub(start))
	}
	var at []time.Duration
	for _, n := range w.notices {
		at = append(at, n.at)
		if n.form["notify_id"] != w.notices[0].form["notify_id"] || !genuine(n.form) {
			t.Errorf("try %d: notify_id %s", len(at), n.form["notify_id"])
		}
		if want := formatTime(start.Add(n.at)); n.form["notify_time"] != want {
			t.Errorf("notify_time %s, want %s", n.form["notify_time"], want)
		}
	}
	const minute, hour = time.Minute, time.Hour
	want := []time.Duration{0, 4 * minute, 14 * minute, 24 * minute, 84 * minute, 204 * minute, 564 * minute, 24*hour + 24*minute}
	if !slices.Equal(at, want) {
		t.Errorf("tries at %v, want %v", at, want)
	}
	if w.kit.Notices.Pending() != 0 {
		t.Error("the notice is not given up after its last try")
	}
}

func TestNoticeRetryTable(t *testing.T) {
	t.Parallel()
	var sum time.Duration
	table := postman{}.Retries()
	for _, gap := range table {
		sum += gap
	}
	if len(table) != 7 || sum != 24*time.Hour+24*time.Minute {
		t.Errorf("%d gaps, %s in all, want 7 and 24h24m", len(table), sum)
	}
}

func TestNoticeIsAcknowledgedBySevenBytes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		status int
		body   string
		want   bool
	}{
		{"success", http.StatusOK, "success", true},
		{"a line end", http.StatusOK, "success\n", false},
		{"capitals", http.StatusOK, "SUCCESS", false},
		{"quotes", http.StatusOK, `"success"`, false},
		{"byte order mark", http.StatusOK, "\ufeffsuccess", false},
		{"fail", http.StatusOK, "fail", false},
		{"nothing", http.StatusOK, "", false},
		{"created", http.StatusCreated, "success", false},
		{"redirect", http.StatusFound, "success", false},
		{"server error", http.StatusInternalServerError, "success", false},
	} {
		if got := (postman{}).Acknowledged(row.status, []byte(row.body)); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

func TestNoticeOfClosing(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world){
		"by the merchant": func(w *world) { w.close("A").is(w.t, "10000", "") },
		"by its deadline": func(w *world) { w.advance(30 * time.Minute); w.query("A") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.sim.SetFaults(Faults{ClosedNotices: true, CleanContentType: true})
			w.act(w.visit(w.page("A")), "login")
			end(w)
			got := w.deliver(3)
			if len(got) != 1 {
				t.Fatalf("%d notices, want 1", len(got))
			}
			form := got[0].form
			if !genuine(form) || form["trade_status"] != tradeClosed || form["gmt_close"] == "" || form["gmt_payment"] != "" || form["receipt_amount"] != "" {
				t.Errorf("notice %v", form)
			}
			if got := got[0].header.Get("Content-Type"); got != "application/x-www-form-urlencoded; charset=UTF-8" {
				t.Errorf("Content-Type %s", got)
			}
		})
	}
}

func TestNoNotifyURLNoNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.sim.Pay(w.page("A", drop("notify_url")), ""); err != nil {
		t.Fatal(err)
	}
	if got := w.deliver(3); len(got) != 0 || w.kit.Notices.Pending() != 0 {
		t.Errorf("%d notices", len(got))
	}
}

func TestProbedNoticeIsForgedAndComesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.kit.Faults.Set(simkit.FaultSettings{ProbeNoticePercent: 100}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sim.Pay(w.page("A"), ""); err != nil {
		t.Fatal(err)
	}
	if got := w.deliver(1); len(got) != 1 || genuine(got[0].form) {
		t.Fatalf("probe %v", got)
	}
	if err := w.kit.Faults.Set(simkit.FaultSettings{}); err != nil {
		t.Fatal(err)
	}
	w.advance(4 * time.Minute)
	if got := w.deliver(3); len(got) != 2 || !genuine(got[1].form) {
		t.Errorf("after the probe: %v", got)
	}
}

func TestReturnLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cashier := w.visit(w.page("A"))
	w.act(cashier, "login")
	back := signedLink(t, w.act(cashier, "pay"))
	want := params{
		"app_id": AppID, "auth_app_id": AppID, "charset": "utf-8", "method": "alipay.trade.page.pay.return", "out_trade_no": "A",
		"trade_no": w.query("A").get("trade_no"), "total_amount": "128.00", "seller_id": SellerID, "timestamp": "2026-03-01 12:00:00",
		"version": "1.0", "sign_type": "RSA2", "sign": back["sign"],
	}
	if back.canonical() != want.canonical() {
		t.Errorf("way back %s, want %s", back.canonical(), want.canonical())
	}
	order, err := w.sim.Find("A")
	if err != nil || !strings.HasPrefix(order.ReturnURL, returnURL+"&app_id=") {
		t.Errorf("wallet's way back %q (%v)", order.ReturnURL, err)
	}
	if _, err := w.sim.Pay(w.page("B", drop("return_url")), ""); err != nil {
		t.Fatal(err)
	}
	if order, err = w.sim.Find("B"); err != nil || order.ReturnURL != "" {
		t.Errorf("without return_url: %q (%v)", order.ReturnURL, err)
	}
}
