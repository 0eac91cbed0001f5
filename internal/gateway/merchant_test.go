package gateway_test

import (
	"slices"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
	"piaohao/internal/store"
)

// unbound leaves the merchant number of the account "scan-1" to its first paid notice.
func unbound(accounts []gateway.Account) []gateway.Account {
	accounts[0].MerchantID = ""
	accounts[0].Channel.(*platform).merchant = ""
	return accounts
}

func from(merchant string) func(*note) { return func(n *note) { n.Mch = merchant } }

// An account without a merchant number takes that of the first verified notice of money that fits, and no other.
func TestA23FirstPaidNoticeBindsTheMerchant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, unbound)
	first, second, third, fourth := w.create("o1", "scan"), w.create("o2", "scan"), w.create("o3", "scan"), w.create("o4", "scan")
	bound := func(want string) {
		t.Helper()
		got, err := w.db.Merchant(t.Context(), "scan-1")
		if err != nil || got != want {
			t.Fatalf("bound to %q, want %q: %v", got, want, err)
		}
	}
	for _, row := range []struct {
		name, answer string
		edit         func(*note)
	}{
		{"A23 forged", "fail", func(n *note) { n.Mch, n.Sig = "thief", "bad" }},
		{"A23 of another amount", "fail", func(n *note) { n.Mch, n.Amount = "thief", 1 }},
		{"A23 for another app", "fail", func(n *note) { n.Mch, n.App = "thief", "x" }},
		{"A23 not paid yet", "success", func(n *note) { n.Mch, n.State = "someone", pay.Unpaid }},
	} {
		if r := w.notice(w.qr, first.Attempts[0], "tx1", row.edit); r.Body != row.answer {
			t.Errorf("%s: answered %q", row.name, r.Body)
		}
		bound("")
	}
	if r := w.notice(w.qr, first.Attempts[0], "tx1", from("seller")); r.Body != "success" || !w.load(first.ID).IsPaid() {
		t.Fatalf("the first paid notice: %+v", r)
	}
	bound("seller")
	other := gateway.New(w.config) // another node, or this one after a restart
	for _, node := range []*gateway.Gateway{w.g, other} {
		w.g = node
		for _, merchant := range []string{"thief", ""} {
			if r := w.notice(w.qr, second.Attempts[0], "tx2", from(merchant)); r.Body != "fail" || w.load(second.ID).Done() {
				t.Fatalf("A23 a notice of merchant %q: %+v", merchant, r)
			}
		}
	}
	bound("seller")
	if got := w.incidents()[pay.IncidentMerchant]; got != 2 {
		t.Errorf("%d incidents, want one for each message", got)
	}
	if r := w.notice(w.qr, third.Attempts[0], "tx3", from("seller")); r.Body != "success" || !w.load(third.ID).IsPaid() {
		t.Fatalf("the same merchant again: %+v", r)
	}
	w.qr.pay(fourth.Attempts[0].OutTradeNo, "tx4") // an answer names no merchant: the key and the app bind it
	w.advance(time.Minute)
	if !w.load(fourth.ID).IsPaid() {
		t.Fatal("the query's answer was not taken")
	}
}

// Two nodes that hear of their first money at once agree on one merchant.
func TestA23TwoNodesBindOneMerchant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, unbound)
	one, two := w.create("o1", "scan"), w.create("o2", "scan")
	// The other node binds between our reading "none" and our binding: BindMerchant must give its merchant back.
	if got, err := w.db.BindMerchant(t.Context(), "scan-1", "seller"); err != nil || got != "seller" {
		t.Fatal(got, err)
	}
	if got, err := w.db.BindMerchant(t.Context(), "scan-1", "thief"); err != nil || got != "seller" {
		t.Fatalf("bound twice: %q %v", got, err)
	}
	if r := w.notice(w.qr, one.Attempts[0], "tx1", from("thief")); r.Body != "fail" {
		t.Fatalf("%+v", r)
	}
	if r := w.notice(w.qr, two.Attempts[0], "tx2", from("seller")); r.Body != "success" {
		t.Fatalf("%+v", r)
	}
}

// Two protocols of one merchant number run side by side: new attempts go to the first, what the other began is followed.
func TestReadOnlyAccountsEndWhatWasBegun(t *testing.T) {
	t.Parallel()
	old := &platform{method: "scan", merchant: "mch", orders: map[string]*order{}}
	w := newWorld(t, func(accounts []gateway.Account) []gateway.Account {
		a := accounts[0]
		a.Account = channel.Account{ID: "scan-old", AppID: "app", MerchantID: "mch"}
		a.Channel = old
		return append([]gateway.Account{a}, accounts...)
	})
	w.must(w.db.UpsertAccount(t.Context(), store.AccountRow{ID: "scan-old", Channel: "scan", Method: "scan", RatePerSecond: 1000}))
	begun := w.create("o1", "scan")
	w.config.Accounts[0].ReadOnly = true
	w.g = gateway.New(w.config)
	p := w.create("o2", "scan")
	if a, b := begun.Attempts[0].Account, p.Attempts[0].Account; a != "scan-old" || b != "scan-1" {
		t.Fatalf("begun with %s, then with %s", a, b)
	}
	old.pay(begun.Attempts[0].OutTradeNo, "tx1")
	w.advance(time.Minute)
	if calls := old.called(); calls[len(calls)-1] != "query "+begun.Attempts[0].OutTradeNo {
		t.Fatalf("the old account was asked %v", calls)
	}
	if platforms := w.g.Platforms(); len(platforms) != 2 ||
		!slices.Equal(platforms[0].NotifyPaths, []string{"/payment/scan/notify", "/payment/scan/notify/scan-old", "/payment/scan/notify/scan-1"}) {
		t.Fatalf("%+v", platforms)
	}
}

// A NOTIFY_URL of the user's own is told to the platform as it stands, and its path answers beside the others.
func TestNotifyURLOfTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(accounts []gateway.Account) []gateway.Account {
		accounts[0].NotifyURL = "https://direct.example/hooks/scan"
		accounts[0].ReturnURL = "https://shop.example/thanks?lang=zh"
		return accounts
	})
	p := w.create("o1", "scan")
	if got := p.Attempts[0].NotifyURL; got != "https://direct.example/hooks/scan" {
		t.Fatal(got)
	}
	if paths := w.g.Platforms()[0].NotifyPaths; !slices.Contains(paths, "/hooks/scan") || !slices.Contains(paths, "/payment/scan/notify") {
		t.Fatal(paths)
	}
	page, err := w.g.Page(t.Context(), gateway.PageInput{Token: p.Token})
	if want := "https://shop.example/thanks?lang=zh&order_no=o1&payment_id=" + p.ID; err != nil || page.ReturnURL != want {
		t.Fatalf("%q, want %q: %v", page.ReturnURL, want, err)
	}
}
