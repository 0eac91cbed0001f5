package gateway_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

func code(err error) gateway.Code {
	var e *gateway.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestCreateIsIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := gateway.CreateInput{Shop: "shop", OrderNo: "o1", Amount: 12800, Subject: "书", Method: "scan"}
	first, err := w.g.Create(t.Context(), in)
	w.must(err)
	if !first.Created || first.View.Action == nil || !strings.HasPrefix(first.View.Action.Code, "code://") {
		t.Fatalf("%+v", first)
	}
	in.Subject = "另一个名字" // what the first create said stands
	again, err := w.g.Create(t.Context(), in)
	w.must(err)
	if again.Created || again.View.ID != first.View.ID || again.View.Subject != "书" || again.View.Action.Code != first.View.Action.Code {
		t.Fatalf("%+v", again)
	}
	in.Amount = 1
	if _, err := w.g.Create(t.Context(), in); code(err) != gateway.CodeOrderConflict {
		t.Fatalf("another amount: %v", err)
	}
	in.Shop = "other"
	if r, err := w.g.Create(t.Context(), in); err != nil || !r.Created {
		t.Fatalf("another shop's order of the same number: %v", err)
	}
	if calls := w.qr.called(); len(calls) != 2 {
		t.Fatalf("a reused code is ordered once: %v", calls)
	}
}

// A node whose clock is behind makes the order's next payment: it is the newest all the same.
func TestI10NewestOfAnOrderIsTheLastOneWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		p := w.create("o1", "")
		_, err := w.g.ClosePayment(t.Context(), "shop", p.ID)
		w.must(err)
		if v, err := w.g.PaymentByOrder(t.Context(), "shop", "o1"); err != nil || v.ID != p.ID {
			t.Fatalf("the order's payment is %s (%v), want %s", v.ID, err, p.ID)
		}
		w.now.Add(-time.Second.Milliseconds())
	}
}

func TestTwoCreatesAtOnceMakeOnePayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := make([]string, 20)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			r, err := w.g.Create(t.Context(), gateway.CreateInput{Shop: "shop", OrderNo: "o1", Amount: 5, Subject: "s", Method: "scan"})
			if err != nil {
				t.Error(err)
			}
			ids[i] = r.View.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two payments: %v", ids)
		}
	}
	if calls := w.qr.called(); len(calls) != 1 {
		t.Fatalf("calls: %v", calls)
	}
}

func TestCreateRefusesBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := gateway.CreateInput{Shop: "shop", OrderNo: "o", Amount: 1, Subject: "s"}
	for _, row := range []struct {
		name, param string
		edit        func(*gateway.CreateInput)
	}{
		{"no order_no", "order_no", func(in *gateway.CreateInput) { in.OrderNo = "" }},
		{"order_no of 65", "order_no", func(in *gateway.CreateInput) { in.OrderNo = strings.Repeat("a", 65) }},
		{"order_no with a line break", "order_no", func(in *gateway.CreateInput) { in.OrderNo = "a\n" }},
		{"A29 amount 0", "amount", func(in *gateway.CreateInput) { in.Amount = 0 }},
		{"A29 amount −1", "amount", func(in *gateway.CreateInput) { in.Amount = -1 }},
		{"A29 amount above the most", "amount", func(in *gateway.CreateInput) { in.Amount = pay.MaxAmount + 1 }},
		{"A22 currency USD", "currency", func(in *gateway.CreateInput) { in.Currency = "USD" }},
		{"A22 currency cny", "currency", func(in *gateway.CreateInput) { in.Currency = "cny" }},
		{"no subject", "subject", func(in *gateway.CreateInput) { in.Subject = " " }},
		{"subject of 257", "subject", func(in *gateway.CreateInput) { in.Subject = strings.Repeat("字", 257) }},
		{"119 s", "expires_in", func(in *gateway.CreateInput) { in.ExpiresIn = 119 * time.Second }},
		{"a day and a second", "expires_in", func(in *gateway.CreateInput) { in.ExpiresIn = 86401 * time.Second }},
		{"unknown method", "method", func(in *gateway.CreateInput) { in.Method = "cash" }},
		{"unknown product", "product", func(in *gateway.CreateInput) { in.Method, in.Product = "scan", "x" }},
		{"product without method", "product", func(in *gateway.CreateInput) { in.Product = "code" }},
		{"metadata too long", "metadata", func(in *gateway.CreateInput) { in.Metadata = map[string]string{"k": strings.Repeat("v", 2048)} }},
	} {
		in := good
		row.edit(&in)
		var e *gateway.Error
		if _, err := w.g.Create(t.Context(), in); !errors.As(err, &e) || e.Param != row.param {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestA87ReturnURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for url, ok := range map[string]bool{
		"https://shop.example/done?x=1": true, "http://127.0.0.1:3000/": true, "http://localhost/x": true,
		"//shop.example": false, `/\shop.example`: false, `https:/\evil.example`: false, "https:evil": false,
		"https://shop.example.evil.example/": false, "https://shop.example@evil.example/": false,
		"javascript:alert(1)": false, "data:text/html,x": false, "http://shop.example/": false, "https://evil.example": false,
		"https://shop.example:444/": false, "https://shop.example\\@evil.example": false, "https://shop.example/ x": false,
	} {
		_, err := w.g.Create(t.Context(), gateway.CreateInput{Shop: "shop", OrderNo: "o", Amount: 1, Subject: "s", ReturnURL: url})
		if (err == nil) != ok {
			t.Errorf("A87 %q: %v", url, err)
		}
	}
}

func TestA74TimeoutAfterEffectRepeatsTheSameNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.qr.script(nil, func(op, _ string) error {
		if op == "open" {
			return fail(channel.Unknown)
		}
		return nil
	})
	r, err := w.g.Create(t.Context(), gateway.CreateInput{Shop: "shop", OrderNo: "o1", Amount: 12800, Subject: "s", Method: "scan"})
	w.must(err)
	if r.View.Action != nil || r.View.Attempts[0].Status != "opening" {
		t.Fatalf("unknown is neither open nor refused: %+v", r.View)
	}
	w.qr.script(nil, nil)
	w.advance(3 * time.Second)
	p := w.load(r.View.ID)
	if len(p.Attempts) != 1 || !p.Attempts[0].Usable(w.clock()) {
		t.Fatalf("%+v", p.Attempts)
	}
	no := p.Attempts[0].OutTradeNo
	if calls := w.qr.called(); len(calls) != 2 || calls[0] != "open "+no || calls[1] != "open "+no {
		t.Fatalf("calls %v", calls)
	}
	v, err := w.g.Payment(t.Context(), "shop", p.ID)
	w.must(err)
	if v.Action == nil || v.Action.Code != "code://"+no || w.load(p.ID).Attempts[0].HandedOutAt.IsZero() {
		t.Fatalf("the code is handed out with the first answer that carries it: %+v", v.Action)
	}
}

func TestA35SameNoticeHundredTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	w.qr.pay(p.Attempts[0].OutTradeNo, "tx1")
	replies := make([]channel.Reply, 100)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = w.notice(w.qr, p.Attempts[0], "tx1", nil) })
	}
	wg.Wait()
	for _, r := range replies {
		if r.Status != http.StatusOK {
			t.Fatalf("answered %+v", r)
		}
	}
	if e := w.events(p); e[pay.EventPaymentPaid] != 1 || e[pay.EventAttemptPaid] != 1 {
		t.Fatalf("events %v", e)
	}
}

func TestNoticesThatDoNotFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	cheap := w.create("o2", "scan")
	for _, row := range []struct {
		name string
		edit func(*note)
	}{
		{"A21 one fen short", func(n *note) { n.Amount-- }},
		{"A22 currency", func(n *note) { n.Currency = "HKD" }},
		{"A23 app id", func(n *note) { n.App = "x" }},
		{"A23 merchant", func(n *note) { n.Mch = "x" }},
	} {
		for range 3 {
			if r := w.notice(w.qr, p.Attempts[0], "tx1", row.edit); r.Body != "fail" {
				t.Errorf("%s: answered %+v", row.name, r)
			}
		}
	}
	if w.load(p.ID).Done() {
		t.Fatal("money came in that does not fit")
	}
	t.Run("A32 unknown order", func(t *testing.T) {
		if r := w.notice(w.qr, p.Attempts[0], "tx1", func(n *note) { n.No = "nobody" }); r.Body != "fail" {
			t.Fatalf("%+v", r)
		}
	})
	t.Run("A27 authentic, about no order: accepted, nothing done", func(t *testing.T) {
		r := w.notice(w.qr, p.Attempts[0], "", func(n *note) { n.No, n.State = "", pay.Unknown })
		if r.Body != "success" {
			t.Fatalf("%+v", r)
		}
		if r := w.notice(w.qr, p.Attempts[0], "tx", func(n *note) { n.No = "" }); r.Body != "fail" {
			t.Fatalf("a payment of no order: %+v", r)
		}
	})
	t.Run("A24 another platform's notice path", func(t *testing.T) {
		if r := w.notice(w.link, p.Attempts[0], "tx1", nil); r.Body != "fail" || w.load(p.ID).Done() {
			t.Fatalf("%+v", r)
		}
	})
	t.Run("A26 one transaction for two payments", func(t *testing.T) {
		if r := w.notice(w.qr, p.Attempts[0], "tx1", nil); r.Body != "success" {
			t.Fatalf("%+v", r)
		}
		if r := w.notice(w.qr, cheap.Attempts[0], "tx1", nil); r.Body != "fail" || w.load(cheap.ID).Done() {
			t.Fatalf("%+v", r)
		}
	})
	want := map[string]int{
		pay.IncidentAmount: 1, pay.IncidentCurrency: 1, pay.IncidentApp: 1, pay.IncidentMerchant: 1, pay.IncidentChannel: 1,
		pay.IncidentNumberTaken: 1,
	}
	if got := w.incidents(); !maps.Equal(got, want) {
		t.Fatalf("each quarantined message is one incident: %v, want %v", got, want)
	}
}

// Forgeries change no payment and cost no commit each: ten thousand equal ones are one counted row.
func TestForgeriesLeaveTheDatabaseUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	before, err := w.db.LastPos(t.Context())
	w.must(err)
	commits := w.walFrames()
	for range 10_000 {
		if r := w.notice(w.qr, p.Attempts[0], "tx", func(n *note) { n.Sig = "forged" }); r.Body != "fail" {
			t.Fatalf("%+v", r)
		}
	}
	after, err := w.db.LastPos(t.Context())
	w.must(err)
	if w.walFrames() != commits {
		t.Error("a forged notice was written before its time")
	}
	_, err = w.g.StepExchanges(t.Context())
	w.must(err)
	rows, err := w.db.Refused(t.Context(), 2000)
	w.must(err)
	if before != after || w.g.Refused() != 10_000 || w.load(p.ID).Seq != p.Seq || len(rows) != 1 || rows[0].Times != 10_000 {
		t.Fatalf("pos %d → %d, %d refused, rows %+v", before, after, w.g.Refused(), rows)
	}
}

func TestNoSuccessWithoutACommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	w.must(w.db.Close())
	if r := w.notice(w.qr, p.Attempts[0], "tx", nil); r.Body != "fail" {
		t.Fatalf("answered %+v with the database away", r)
	}
}

// TestNoSuccessWhenTheCommitFails: everything is read, and then the database takes no event.
func TestNoSuccessWhenTheCommitFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	good := w.g.NewID
	w.g.NewID = func(string) string { return "evt_twice" } // events have unique ids
	if r := w.notice(w.qr, p.Attempts[0], "tx", nil); r.Body != "fail" {
		t.Fatalf("answered %+v for what was not stored", r)
	}
	w.g.NewID = good
	if r := w.notice(w.qr, p.Attempts[0], "tx", nil); r.Body != "success" {
		t.Fatalf("answered %+v once the database took it", r)
	}
}

func TestLiveModeReturnsToNoLoopback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.g.Livemode = true
	in := gateway.CreateInput{Shop: "shop", OrderNo: "o", Amount: 1, Subject: "s", ReturnURL: "http://127.0.0.1:3000/"}
	var e *gateway.Error
	if _, err := w.g.Create(t.Context(), in); !errors.As(err, &e) || e.Param != "return_url" {
		t.Fatalf("a live payment may lead to the payer's own machine: %v", err)
	}
}

func TestA38ClosedAfterPaidChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	w.notice(w.qr, p.Attempts[0], "tx", nil)
	if r := w.notice(w.qr, p.Attempts[0], "", func(n *note) { n.State = pay.Closed }); r.Body != "success" {
		t.Fatalf("%+v", r)
	}
	if !w.load(p.ID).IsPaid() {
		t.Fatal("paid was left")
	}
}

func TestA37NoticeTwentyHoursLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	w.qr.script(func(string, string) error { return fail(channel.Unknown) }, nil) // the platform is away meanwhile
	w.qr.pay(p.Attempts[0].OutTradeNo, "tx")
	w.now.Add((20 * time.Hour).Milliseconds())
	if r := w.notice(w.qr, p.Attempts[0], "tx", nil); r.Body != "success" || !w.load(p.ID).IsPaid() {
		t.Fatalf("%+v", r)
	}
}

func TestLostNoticeCostsSeconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	if _, _, err := w.g.Watching(t.Context(), p.Token); err != nil {
		t.Fatal(err)
	}
	w.qr.pay(p.Attempts[0].OutTradeNo, "tx")
	w.advance(3 * time.Second)
	if !w.load(p.ID).IsPaid() {
		t.Fatal("a watched payment is asked about after 3 s")
	}
}

func TestA68ExpiryClosesThereFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	no := p.Attempts[0].OutTradeNo
	w.qr.script(func(op, _ string) error {
		if op == "close" {
			return fail(channel.Unknown)
		}
		return nil
	}, nil)
	w.advance(gateway.DefaultExpiresIn)
	if got := w.load(p.ID); !got.Closing() {
		t.Fatalf("closed here while the platform did not answer: %s", got.Status)
	}
	w.qr.script(nil, nil)
	w.advance(2 * time.Minute)
	if got := w.load(p.ID); !got.IsClosed() || w.qr.state(no) != pay.Closed {
		t.Fatalf("here %s, there %s", got.Status, w.qr.state(no))
	}
	if e := w.events(p); e[pay.EventPaymentClosed] != 1 {
		t.Fatalf("events %v", e)
	}
	if r, err := w.g.Create(t.Context(), gateway.CreateInput{Shop: "shop", OrderNo: "o1", Amount: 1, Subject: "s"}); err != nil || !r.Created {
		t.Fatalf("after an unpaid close the order makes a new payment: %v", err)
	}
}

func TestA66CancelAfterThePayerPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	w.qr.pay(p.Attempts[0].OutTradeNo, "tx")
	if _, err := w.g.ClosePayment(t.Context(), "shop", p.ID); code(err) != gateway.CodePaymentNotOpen {
		t.Fatalf("%v", err)
	}
	if !w.load(p.ID).IsPaid() {
		t.Fatal("the money was lost")
	}
}

func TestCancelWhileAQueryIsInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	asking, answer := make(chan struct{}), make(chan struct{})
	w.qr.script(nil, func(op, _ string) error {
		if op == "query" {
			close(asking)
			<-answer
		}
		return nil
	})
	w.now.Add(time.Minute.Milliseconds())
	stepped := make(chan error, 1)
	go func() { _, err := w.g.StepAttempt(t.Context()); stepped <- err }()
	<-asking
	closed := make(chan error, 1)
	go func() { _, err := w.g.ClosePayment(t.Context(), "shop", p.ID); closed <- err }()
	for !w.load(p.ID).Closing() { // the cancel is recorded while the query is out
		w.must(t.Context().Err())
	}
	close(answer)
	w.must(<-stepped)
	w.qr.script(nil, nil)
	for done := false; !done; { // whichever of the two holds the claim closes it, and the clock stands still
		select {
		case err := <-closed:
			w.must(err)
			done = true
		default:
			w.advance(0)
		}
	}
	if got := w.load(p.ID); !got.IsClosed() { // the holder's release must not have put the close off
		t.Fatalf("payment %s, attempt due %v, now %v", got.Status, got.Attempts[0].Due, w.clock())
	}
}

func TestA65EverythingAtOnce(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		w := newWorld(t)
		p := w.create("o1", "scan")
		w.qr.pay(p.Attempts[0].OutTradeNo, "tx")
		w.now.Add(gateway.DefaultExpiresIn.Milliseconds())
		var wg sync.WaitGroup
		wg.Go(func() { w.notice(w.qr, p.Attempts[0], "tx", nil) })
		wg.Go(func() { _, _ = w.g.StepAttempt(t.Context()) })
		wg.Go(func() { _, _ = w.g.StepExpiry(t.Context()) })
		wg.Go(func() { _, _ = w.g.ClosePayment(t.Context(), "shop", p.ID) })
		w.telling(&wg)
		w.advance(2 * time.Minute)
		if e := w.events(p); !w.load(p.ID).IsPaid() || e[pay.EventPaymentPaid] != 1 || e[pay.EventPaymentClosed] != 0 {
			t.Fatalf("round %d: %s, events %v", round, w.load(p.ID).Status, e)
		}
	}
}

func TestSwitchingBothPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	in := gateway.PageInput{Token: p.Token, Method: "visit"}
	leave, err := w.g.Go(t.Context(), in, "")
	w.must(err)
	again, err := w.g.Go(t.Context(), in, "")
	w.must(err)
	if leave.URL == "" || leave != again {
		t.Fatalf("%+v, then %+v", leave, again)
	}
	p = w.load(p.ID)
	if len(p.Attempts) != 2 || !p.Attempts[0].Live() {
		t.Fatalf("%+v", p.Attempts)
	}
	link := p.Attempts[1]
	w.qr.pay(p.Attempts[0].OutTradeNo, "tx-old-code") // the old code after switching
	w.notice(w.qr, p.Attempts[0], "tx-old-code", nil)
	w.notice(w.link, link, "tx-link", nil)
	p = w.load(p.ID)
	e := w.events(p)
	if !p.IsPaid() || !p.Attempts[1].Surplus || len(p.Refunds) != 1 || e[pay.EventPaymentPaid] != 1 || e[pay.EventSurplus] != 1 {
		t.Fatalf("%+v %v", p, e)
	}
	page, err := w.g.Page(t.Context(), gateway.PageInput{Token: p.Token})
	w.must(err)
	if page.Phase != gateway.PhaseTwice {
		t.Fatalf("page says %s", page.Phase)
	}
}

func TestLazyLinkNobodyOpenedClosesAfterItsDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "")
	_, err := w.g.Go(t.Context(), gateway.PageInput{Token: p.Token, Method: "visit", Device: gateway.Device{Phone: true}}, "")
	w.must(err)
	v, err := w.g.ClosePayment(t.Context(), "shop", p.ID)
	w.must(err)
	if !v.Closing || v.Status != "open" {
		t.Fatalf("a link that somebody has can still be paid: %+v", v)
	}
	w.advance(gateway.DefaultExpiresIn)
	if w.load(p.ID).IsClosed() {
		t.Fatal("closed before the grace was over")
	}
	w.advance(pay.AbsentGrace)
	if !w.load(p.ID).IsClosed() {
		t.Fatal("never closed")
	}
	if a := w.load(p.ID).Attempts[0]; a.Product != "wap" {
		t.Fatalf("a phone got %s", a.Product)
	}
}

func TestLazyLinkNeverHandedOutClosesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, err := w.g.Create(t.Context(), gateway.CreateInput{Shop: "shop", OrderNo: "o1", Amount: 1, Subject: "s", Method: "visit"})
	w.must(err)
	if r.View.Action == nil || !strings.HasPrefix(r.View.Action.URL, "https://pay.example/payment/go/") || len(r.View.Attempts) != 0 {
		t.Fatalf("%+v", r.View)
	}
	v, err := w.g.ClosePayment(t.Context(), "shop", r.View.ID)
	w.must(err)
	if v.Status != "closed" {
		t.Fatalf("%+v", v)
	}
}

func TestBackClosesTheAttemptOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	w.must(w.g.Back(t.Context(), p.Token))
	if calls := w.qr.called(); len(calls) != 1 {
		t.Fatalf("a page called the platform: %v", calls)
	}
	w.advance(0)
	p = w.load(p.ID)
	page, err := w.g.Page(t.Context(), gateway.PageInput{Token: p.Token})
	w.must(err)
	if p.Done() || p.Attempts[0].Live() || w.qr.state(p.Attempts[0].OutTradeNo) != pay.Closed || page.Phase != gateway.PhaseChoose {
		t.Fatalf("%+v, page %s", p, page.Phase)
	}
	leave, err := w.g.Go(t.Context(), gateway.PageInput{Token: p.Token, Method: "scan"}, "")
	w.must(err)
	if p = w.load(p.ID); !leave.ToProcess || len(p.Attempts) != 2 || !p.Attempts[1].Usable(w.clock()) {
		t.Fatalf("%+v %+v", leave, p.Attempts)
	}
}

func TestWithdrawACancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "")
	_, err := w.g.Go(t.Context(), gateway.PageInput{Token: p.Token, Method: "visit"}, "")
	w.must(err)
	if v, err := w.g.ClosePayment(t.Context(), "shop", p.ID); err != nil || !v.Closing {
		t.Fatalf("%+v %v", v, err)
	}
	if q := w.create("o1", "scan"); q.ID != p.ID || q.Closing() {
		t.Fatalf("%+v", q)
	}
	w.advance(gateway.DefaultExpiresIn)
	in := gateway.CreateInput{Shop: "shop", OrderNo: "o1", Amount: 12800, Subject: "书"}
	if _, err := w.g.Create(t.Context(), in); code(err) != gateway.CodePaymentClosing {
		t.Fatalf("closing by expiry: %v", err)
	}
}

func TestA96PagesNeverCallAPlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	for range 100 {
		_, err := w.g.Page(t.Context(), gateway.PageInput{Token: p.Token})
		w.must(err)
		_, _, err = w.g.Watching(t.Context(), p.Token)
		w.must(err)
		w.must(w.g.Arrived(t.Context(), p.Token))
	}
	if calls := w.qr.called(); len(calls) != 1 {
		t.Fatalf("calls %v", calls)
	}
	if p = w.load(p.ID); p.Attempts[0].Due.Asked > 4 {
		t.Fatalf("A96 a hundred arrivals asked %d times", p.Attempts[0].Due.Asked)
	}
}

func TestA31ReturnIsNoProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "")
	_, err := w.g.Go(t.Context(), gateway.PageInput{Token: p.Token, Method: "visit"}, "")
	w.must(err)
	no := w.load(p.ID).Attempts[0].OutTradeNo
	if _, err := w.g.Returned(t.Context(), "forged&no="+no); code(err) != gateway.CodeNotFound {
		t.Fatalf("%v", err)
	}
	token, err := w.g.Returned(t.Context(), "signed&no="+no)
	w.must(err)
	if token != p.Token || w.load(p.ID).Done() {
		t.Fatal("A31 a return decided something")
	}
	w.advance(0)
	if calls := w.link.called(); fmt.Sprint(calls) != "[query "+no+"]" {
		t.Fatalf("the return asks the platform: %v", calls)
	}
}

func TestRefusedOpening(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.qr.script(func(string, string) error { return fail(channel.Declined) }, nil)
	p := w.create("o1", "scan")
	page, err := w.g.Page(t.Context(), gateway.PageInput{Token: p.Token})
	w.must(err)
	if page.Phase != gateway.PhaseRefused || len(page.Choices) != 2 {
		t.Fatalf("%s %v", page.Phase, page.Choices)
	}
}

func TestA95AnotherShopsPaymentIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	for name, err := range map[string]error{
		"by id":           second(w.g.Payment(t.Context(), "other", p.ID)),
		"by out_trade_no": second(w.g.PaymentByOutTradeNo(t.Context(), "other", p.Attempts[0].OutTradeNo)),
		"close":           second(w.g.ClosePayment(t.Context(), "other", p.ID)),
		"not there":       second(w.g.Payment(t.Context(), "other", "pay_nothing")),
	} {
		if code(err) != gateway.CodeNotFound || err.Error() != "not_found: no such payment" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.load(p.ID).Closing() {
		t.Fatal("closed by a stranger")
	}
}

func second[T any](_ T, err error) error { return err }

func TestFailedCallsBackOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.qr.script(func(string, string) error { return fail(channel.Unknown) }, nil)
	w.create("o1", "scan")
	for _, row := range []struct {
		after time.Duration
		calls int
	}{{0, 1}, {2 * time.Second, 2}, {3 * time.Second, 2}, {time.Second, 3}, {7 * time.Second, 3}, {time.Second, 4}} {
		w.advance(row.after)
		if got := len(w.qr.called()); got != row.calls {
			t.Fatalf("after %v more: %d calls, want %d", row.after, got, row.calls)
		}
	}
}

func TestRateAnswerRestsTheAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.create("o1", "scan"), w.create("o2", "scan")
	w.qr.script(func(string, string) error {
		return &channel.Error{Kind: channel.Limited, Op: "query", RetryAfter: 5 * time.Minute}
	}, nil)
	w.advance(time.Minute)
	if calls := len(w.qr.called()); calls != 3 {
		t.Fatalf("%d calls: one rate answer rests the whole account", calls)
	}
	w.qr.script(nil, nil)
	w.qr.pay(first.Attempts[0].OutTradeNo, "tx1")
	w.qr.pay(second.Attempts[0].OutTradeNo, "tx2")
	w.advance(4 * time.Minute)
	if w.load(first.ID).Done() || w.load(second.ID).Done() {
		t.Fatal("asked before the rest was over")
	}
	w.advance(2 * time.Minute)
	if !w.load(first.ID).IsPaid() || !w.load(second.ID).IsPaid() {
		t.Fatal("never asked again")
	}
}

func TestWaitingForAnotherHoldersResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "")
	opening, goOn := make(chan struct{}), make(chan struct{})
	w.qr.script(func(op, _ string) error {
		if op == "open" {
			close(opening)
			<-goOn
		}
		return nil
	}, nil)
	in := gateway.PageInput{Token: p.Token, Method: "scan"}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = w.g.Go(t.Context(), in, "") })
	<-opening
	wg.Go(func() {
		if leave, err := w.g.Go(t.Context(), in, ""); err != nil || !leave.ToProcess {
			t.Errorf("%+v %v", leave, err)
		}
	})
	close(goOn)
	w.telling(&wg)
	if calls := w.qr.called(); len(calls) != 1 {
		t.Fatalf("calls %v", calls)
	}
}

// Found by storm: what is asked beside the next holder of a claim voids codes and brings closed orders to life.
func TestNoCallThatOutlivesItsLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.qr.script(nil, func(string, string) error { return fail(channel.Unknown) })
	p := w.create("o1", "scan") // ordered there, unknown here
	w.qr.script(nil, func(op, _ string) error {
		if op == "query" {
			w.now.Add((13 * time.Second).Milliseconds()) // the answer takes most of the lease
		}
		return nil
	})
	v, err := w.g.ClosePayment(t.Context(), "shop", p.ID)
	w.must(err)
	if calls := w.qr.called(); !v.Closing || calls[len(calls)-1][:5] != "query" {
		t.Fatalf("%+v after %v", v, calls)
	}
	w.qr.script(nil, nil)
	w.advance(time.Minute)
	if !w.load(p.ID).IsClosed() {
		t.Fatal("never closed")
	}
}

// Found by storm: a request that loses its claim to another node answers what that node found.
func TestLostClaimIsNoError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := true
	w.qr.script(nil, func(op, _ string) error {
		if op != "open" || !first {
			return nil
		}
		first = false
		w.now.Add((21 * time.Second).Milliseconds()) // our lease ends while we wait; another node does the work
		_, err := w.g.StepAttempt(t.Context())
		return err
	})
	p := w.create("o1", "scan")
	if a := p.Attempts[0]; !a.Usable(w.clock()) || a.HandedOutAt.IsZero() || len(w.qr.called()) != 2 {
		t.Fatalf("%+v after %v", a, w.qr.called())
	}
}

// Found by storm: a payer who went back has no code to be ordered again.
func TestBackBeforeOpening(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.qr.script(func(op, _ string) error {
		if op == "open" {
			return fail(channel.Unknown)
		}
		return nil
	}, nil)
	p := w.create("o1", "scan")
	w.must(w.g.Back(t.Context(), p.Token))
	w.qr.script(nil, nil)
	w.advance(5 * time.Second)
	if p = w.load(p.ID); p.Attempts[0].Live() || w.qr.state(p.Attempts[0].OutTradeNo) == pay.Unpaid {
		t.Fatalf("%+v, there %s", p.Attempts[0], w.qr.state(p.Attempts[0].OutTradeNo))
	}
}
