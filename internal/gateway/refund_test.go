package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
	"piaohao/internal/view"
)

// paid is a payment of 128 yuan whose money came.
func (w *world) paid(order string) pay.Payment {
	w.t.Helper()
	p := w.create(order, "scan")
	a := p.Attempts[0]
	w.qr.pay(a.OutTradeNo, "tx-"+order)
	if r := w.notice(w.qr, a, "tx-"+order, nil); r.Body != "success" {
		w.t.Fatalf("%+v", r)
	}
	return w.load(p.ID)
}

func (w *world) refund(p pay.Payment, no string, amount pay.Fen) (view.Refund, error) {
	v, _, err := w.g.Refund(w.t.Context(), p.Shop, p.ID, gateway.RefundInput{RefundNo: no, Amount: amount, Reason: "cold"})
	return v, err
}

// sends counts how often a refund was sent under a number.
func (w *world) sends(no string) (n int) {
	for _, call := range w.qr.called() {
		if call == "refund "+no {
			n++
		}
	}
	return n
}

func codeOf(err error) gateway.Code {
	var e *gateway.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	v, err := w.refund(p, "r1", 2800)
	w.must(err)
	if v.Status != "pending" || v.RefundNo != "r1" || v.OutRefundNo == "" || len(w.qr.refunds) != 0 {
		t.Fatalf("%+v: the row is first", v)
	}
	w.advance(0)
	if r := w.load(p.ID).Refunds[0]; r.Status != pay.RefundProcessing || w.sends(v.OutRefundNo) != 1 {
		t.Fatalf("%+v %q", r, w.qr.called())
	}
	w.advance(10 * time.Second)
	got, err := w.g.RefundByNo(t.Context(), "shop", "r1")
	w.must(err)
	if byID, err := w.g.RefundByID(t.Context(), "shop", v.ID); err != nil || byID != got {
		t.Errorf("by id %+v %v", byID, err)
	}
	pv, err := w.g.Payment(t.Context(), "shop", p.ID)
	w.must(err)
	if got.Status != "succeeded" || got.SucceededAt == "" || pv.Refunded != 2800 || pv.Refundable != 10000 || pv.Status != "paid" {
		t.Fatalf("%+v, payment refunded %d refundable %d", got, pv.Refunded, pv.Refundable)
	}
	if e := w.events(p); e[pay.EventRefundCreated] != 1 || e[pay.EventRefundSucceeded] != 1 {
		t.Errorf("events %v", e)
	}
	w.advance(100 * 24 * time.Hour)
	if w.sends(v.OutRefundNo) != 1 {
		t.Errorf("sent again after its end: %q", w.qr.called())
	}
}

func TestRefundRefusesBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	for name, row := range map[string]struct {
		param string
		in    gateway.RefundInput
	}{
		"no number":                       {"refund_no", gateway.RefundInput{}},
		"a number of 65":                  {"refund_no", gateway.RefundInput{RefundNo: strings.Repeat("r", 65)}},
		"a number of another alphabet":    {"refund_no", gateway.RefundInput{RefundNo: "r 1"}},
		"a reason of 81":                  {"reason", gateway.RefundInput{RefundNo: "r", Reason: strings.Repeat("x", 81)}},
		"a reason of 81 in 27 characters": {"reason", gateway.RefundInput{RefundNo: "r", Reason: strings.Repeat("茶", 27)}},
		"a reason that is not UTF-8":      {"reason", gateway.RefundInput{RefundNo: "r", Reason: "\xff"}},
		"a reason with a line end":        {"reason", gateway.RefundInput{RefundNo: "r", Reason: "a\nb"}},
	} {
		row.in.Amount = 1
		var e *gateway.Error
		if _, _, err := w.g.Refund(t.Context(), "shop", p.ID, row.in); !errors.As(err, &e) || e.Code != gateway.CodeInvalid || e.Param != row.param {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(w.load(p.ID).Refunds); n != 0 {
		t.Errorf("%d refunds of refused wishes", n)
	}
	longest := gateway.RefundInput{RefundNo: strings.Repeat("r", 64), Amount: 1, Reason: strings.Repeat("茶", 26) + "xx"}
	if v, _, err := w.g.Refund(t.Context(), "shop", p.ID, longest); err != nil || v.Reason != longest.Reason {
		t.Errorf("the longest: %+v %v", v, err)
	}
}

// Money that went back at the platform's own console is shown as that wherever refunds are shown, and takes no number of
// the shop's.
func TestRefundOfTheConsoleIsNotTheShops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	if r := w.notice(w.qr, p.Attempts[0], "tx-o", func(n *note) {
		n.Refund = &pay.RefundFact{OutRefundNo: "same", Amount: 300, Status: pay.RefundSucceeded}
	}); r.Body != "success" {
		t.Fatalf("%+v", r)
	}
	v, err := w.g.Payment(t.Context(), "shop", p.ID)
	w.must(err)
	if len(v.Refunds) != 1 || !v.Refunds[0].External || v.Refunds[0].Automatic || v.Refundable != 12500 {
		t.Fatalf("%+v", v)
	}
	console := v.Refunds[0].ID
	if _, err := w.g.RefundByNo(t.Context(), "shop", "same"); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("by a number that the shop never gave: %v", err)
	}
	if got := w.looked(p.ID).Refunds; len(got) != 1 || !got[0].External {
		t.Errorf("operators see %+v", got)
	}
	w.must(w.tail())
	all, err := w.g.Events(t.Context(), "shop", 0, 0)
	w.must(err)
	var e view.Event
	w.must(json.Unmarshal(all.Data[len(all.Data)-1].Event, &e))
	if e.Type != string(pay.EventRefundExternal) || e.Refund == nil || e.Refund.ID != console || !e.Refund.External {
		t.Errorf("the shop is told %s", all.Data[len(all.Data)-1].Event)
	}
	own, created, err := w.g.Refund(t.Context(), "shop", p.ID, gateway.RefundInput{RefundNo: "same", Amount: 300})
	if err != nil || !created || own.ID == console || own.External {
		t.Errorf("the shop's own of the same number: %+v %t %v", own, created, err)
	}
	if got, err := w.g.RefundByNo(t.Context(), "shop", "same"); err != nil || got.ID != own.ID {
		t.Errorf("asked for by number: %+v %v", got, err)
	}
}

func TestRefundIsIdempotentByItsNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, other := w.paid("o"), w.paid("other")
	first, err := w.refund(p, "r1", 100)
	w.must(err)
	again, created, err := w.g.Refund(t.Context(), "shop", p.ID, gateway.RefundInput{RefundNo: "r1", Amount: 100})
	if err != nil || created || again.ID != first.ID {
		t.Errorf("%+v %v %v", again, created, err)
	}
	open := w.create("open", "scan")
	for _, row := range []struct {
		name string
		p    pay.Payment
		no   string
		fen  pay.Fen
		code gateway.Code
	}{
		{"another amount", p, "r1", 101, gateway.CodeRefundConflict},
		{"the number on another payment", other, "r1", 100, gateway.CodeRefundConflict},
		{"A69 more than is left", p, "r2", 12701, gateway.CodeRefundTooMuch},
		{"not paid", open, "r3", 100, gateway.CodePaymentNotPaid},
	} {
		if _, err := w.refund(row.p, row.no, row.fen); codeOf(err) != row.code {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	p.Shop = "other"
	if _, err := w.refund(p, "r4", 1); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("A95 another shop's payment: %v", err)
	}
	if _, err := w.g.RefundByID(t.Context(), "other", first.ID); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("A95 another shop's refund: %v", err)
	}
	if _, err := w.g.RefundByNo(t.Context(), "other", "r1"); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("A95 another shop's refund by number: %v", err)
	}
}

// A69: many refunds at once take exactly the money that there is.
func TestA69FiftyRefundsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	var group sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for i := range 50 {
		group.Go(func() {
			for {
				_, err := w.refund(p, fmt.Sprint("r", i), 1000)
				if codeOf(err) == gateway.CodeBusy {
					continue
				}
				if err != nil && codeOf(err) != gateway.CodeRefundTooMuch {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					taken++
					mu.Unlock()
				}
				return
			}
		})
	}
	group.Wait()
	if taken != 12 || w.load(p.ID).Refundable() != 800 {
		t.Errorf("%d refunds of 1000 fen taken from 12800, %d left", taken, w.load(p.ID).Refundable())
	}
}

// A70, A74: the answer to a refund is lost, before or after its effect. It is asked about and, when it is not there, sent
// again under its one number.
func TestA70LostAnswer(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(w *world, lose func(op, no string) error){
		"A70 before the effect": func(w *world, lose func(op, no string) error) { w.qr.script(lose, nil) },
		"A74 after the effect":  func(w *world, lose func(op, no string) error) { w.qr.script(nil, lose) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.paid("o")
			v, err := w.refund(p, "r1", 12800)
			w.must(err)
			script(w, func(op, _ string) error {
				if op == "refund" {
					return fail(channel.Unknown)
				}
				return nil
			})
			w.advance(0)
			w.qr.script(nil, nil)
			for range 20 {
				w.advance(time.Minute)
			}
			r := w.load(p.ID).Refunds[0]
			if r.Status != pay.RefundSucceeded || len(w.qr.refunds) != 1 || w.qr.refunds[v.OutRefundNo] == nil {
				t.Fatalf("%+v, the platform has %v, called %q", r, w.qr.refunds, w.qr.called())
			}
			queried := slices.Index(w.qr.called(), "query_refund "+v.OutRefundNo)
			if want := map[string]int{"A70 before the effect": 2, "A74 after the effect": 1}[name]; queried < 0 || w.sends(v.OutRefundNo) != want {
				t.Errorf("called %q", w.qr.called())
			}
		})
	}
}

// A72: refunds of one order keep the platform's distance, and all of them are sent.
func TestA72RefundsKeepTheirDistance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	for i := range 3 {
		_, err := w.refund(p, fmt.Sprint("r", i), 100)
		w.must(err)
	}
	for minute := range 3 {
		w.advance(map[bool]time.Duration{true: 0, false: time.Minute}[minute == 0])
		if n := len(w.qr.refunds); n != minute+1 {
			t.Fatalf("after %d min %d refunds: %q", minute, n, w.qr.called())
		}
		w.advance(time.Second)
		if n := len(w.qr.refunds); n != minute+1 {
			t.Fatalf("a second later %d refunds", n)
		}
	}
}

func TestRefundWaitsForBalance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	w.qr.balance = 50
	v, err := w.refund(p, "r1", 100)
	w.must(err)
	w.advance(0)
	got, err := w.g.RefundByID(t.Context(), "shop", v.ID)
	w.must(err)
	if got.Status != "processing" || got.Code != pay.RefundShort || w.incidents()[pay.IncidentRefundWaits] != 1 {
		t.Fatalf("%+v %v", got, w.incidents())
	}
	w.advance(10 * time.Minute)
	if w.sends(v.OutRefundNo) != 2 || w.incidents()[pay.IncidentRefundWaits] != 1 {
		t.Fatalf("called %q, incidents %v", w.qr.called(), w.incidents())
	}
	w.qr.balance = 0
	w.advance(time.Hour)
	w.advance(time.Minute)
	if r := w.load(p.ID).Refunds[0]; r.Status != pay.RefundSucceeded || r.Code != "" {
		t.Fatalf("%+v %q", r, w.qr.called())
	}
}

func TestRefundThatNoBalanceCovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	w.qr.balance = 50
	_, err := w.refund(p, "r1", 100)
	w.must(err)
	for range 40 {
		w.advance(24 * time.Hour)
	}
	r := w.load(p.ID).Refunds[0]
	if r.Status != pay.RefundAbnormal || r.Code != pay.RefundShort || w.incidents()[pay.IncidentRefundAbnormal] != 1 {
		t.Fatalf("%+v %v", r, w.incidents())
	}
	if n := w.sends(r.OutRefundNo); n < 28 || n > 34 {
		t.Errorf("sent %d times in 30 days", n)
	}
}

// A13: a notice that nobody signed makes what it names be asked about, and nothing else: it is believed in nothing, sends
// nothing, and asks no more often however often it comes.
func TestA13HintsAreAskedAbout(t *testing.T) {
	t.Parallel()
	hint := func(w *world, a pay.Attempt) string {
		return w.notice(w.qr, a, "tx", func(n *note) { n.Sig, n.State = "none", pay.Paid }).Body
	}
	asked := func(w *world) (n int) {
		for _, call := range w.qr.called() {
			if strings.HasPrefix(call, "query_refund ") {
				n++
			}
		}
		return n
	}
	t.Run("A13 a refund on its way", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.paid("o")
		v, err := w.refund(p, "r1", 100)
		w.must(err)
		w.advance(0)
		w.advance(4 * time.Second) // the plan asks after 10 s
		if asked(w) != 0 {
			t.Fatal(w.qr.called())
		}
		for range 20 {
			if got := hint(w, p.Attempts[0]); got != "success" {
				t.Fatalf("answered %q", got)
			}
			if r := w.load(p.ID).Refunds[0]; asked(w) == 0 && r.Status != pay.RefundProcessing {
				t.Fatalf("believed: %+v", r)
			}
			w.qr.script(nil, func(op, _ string) error { // no answer: it stays on its way
				if op == "query_refund" {
					return fail(channel.Unknown)
				}
				return nil
			})
			w.advance(0)
		}
		if asked(w) != 1 || w.sends(v.OutRefundNo) != 1 {
			t.Fatalf("20 hints at once: %q", w.qr.called())
		}
		w.qr.script(nil, nil)
		w.advance(4 * time.Second)
		hint(w, p.Attempts[0])
		w.advance(0)
		if r := w.load(p.ID).Refunds[0]; r.Status != pay.RefundSucceeded || asked(w) != 2 {
			t.Fatalf("%+v %q", r, w.qr.called())
		}
		w.advance(4 * time.Second)
		hint(w, p.Attempts[0]) // of one that has ended
		w.advance(0)
		if asked(w) != 2 || w.sends(v.OutRefundNo) != 1 || len(w.incidents()) != 0 {
			t.Errorf("%q %v", w.qr.called(), w.incidents())
		}
		if all := w.exchanged(p); !slices.Contains(all, "in notice consistent hint ×22") {
			t.Errorf("%q", all)
		}
	})
	t.Run("A13 a refund that waits for balance is not sent sooner", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.paid("o")
		w.qr.balance = 50
		v, err := w.refund(p, "r1", 100)
		w.must(err)
		w.advance(0)
		hint(w, p.Attempts[0])
		w.advance(4 * time.Second)
		if w.sends(v.OutRefundNo) != 1 || asked(w) != 0 {
			t.Errorf("%q", w.qr.called())
		}
	})
	t.Run("A13 a payment without refunds, and a number of nobody's", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.create("o", "scan")
		before := len(w.qr.called())
		for _, a := range []pay.Attempt{p.Attempts[0], {OutTradeNo: "nobodys", Amount: 1}} {
			if got := hint(w, a); got != "success" {
				t.Errorf("answered %q", got)
			}
		}
		w.advance(0)
		if p := w.load(p.ID); p.IsPaid() || len(w.qr.called()) != before || len(w.incidents()) != 0 || w.g.Refused() != 0 {
			t.Errorf("%+v %q %v", p, w.qr.called(), w.incidents())
		}
	})
	t.Run("A13 while the database is away", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.paid("o")
		w.must(w.db.Close())
		if got := hint(w, p.Attempts[0]); got != "fail" {
			t.Errorf("answered %q: the platform must send it again", got)
		}
	})
}

func TestRefundDeclined(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	v, err := w.refund(p, "r1", 100)
	w.must(err)
	w.qr.script(func(op, _ string) error {
		if op == "refund" {
			return fail(channel.Declined)
		}
		return nil
	}, nil)
	w.advance(0)
	got, err := w.g.RefundByID(t.Context(), "shop", v.ID)
	if err != nil || got.Status != "failed" || got.Code != "SCRIPTED" || w.load(p.ID).Refundable() != 12800 {
		t.Fatalf("%+v %v", got, err)
	}
	if e := w.events(p); e[pay.EventRefundFailed] != 1 {
		t.Errorf("events %v", e)
	}
}

// A28: two attempts of one payment are paid, and the second money goes back by itself.
func TestA28SurplusGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.link.refunds = map[string]*refund{}
	p := w.create("o", "scan")
	scan := p.Attempts[0]
	_, err := w.g.Go(t.Context(), gateway.PageInput{Token: p.Token, Method: "visit"}, "")
	w.must(err)
	link := w.load(p.ID).Attempts[1]
	w.qr.pay(scan.OutTradeNo, "tx-1")
	w.notice(w.qr, scan, "tx-1", nil)
	if r := w.notice(w.link, link, "tx-2", nil); r.Body != "success" {
		t.Fatal(r)
	}
	w.link.mu.Lock()
	w.link.orders[link.OutTradeNo] = &order{state: pay.Paid, a: link, tx: "tx-2"}
	w.link.mu.Unlock()
	w.advance(0)
	w.advance(time.Minute)
	p = w.load(p.ID)
	if !p.IsPaid() || p.PaidAttempt != scan.ID || len(p.Refunds) != 1 || p.Refunds[0].AttemptID != link.ID || p.Refunds[0].Status != pay.RefundSucceeded {
		t.Fatalf("%+v", p.Refunds)
	}
	if p.Refundable() != 12800 || w.incidents()[pay.IncidentSurplus] != 1 || len(w.qr.refunds) != 0 {
		t.Errorf("refundable %d, incidents %v", p.Refundable(), w.incidents())
	}
}

func TestAccountThatCannotRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.qr.refunds = nil
	p := w.paid("o")
	v, err := w.refund(p, "r1", 100)
	w.must(err)
	w.advance(0)
	got, err := w.g.RefundByID(t.Context(), "shop", v.ID)
	if err != nil || got.Status == "succeeded" || got.Code != pay.RefundUnable || w.incidents()[pay.IncidentRefundWaits] != 1 {
		t.Fatalf("%+v %v %v", got, err, w.incidents())
	}
	w.qr.refunds = map[string]*refund{}
	w.advance(15 * time.Minute)
	w.advance(15 * time.Minute)
	if r := w.load(p.ID).Refunds[0]; r.Status != pay.RefundSucceeded {
		t.Fatalf("once it can: %+v %q", r, w.qr.called())
	}
}

// What was sent is followed, and nothing more is sent, when the account can no longer send.
func TestRefundIsFollowedWithoutMeans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	first, err := w.refund(p, "r1", 100)
	w.must(err)
	w.advance(0)
	w.qr.expired = true
	second, err := w.refund(p, "r2", 100)
	w.must(err)
	w.advance(2 * time.Minute)
	p = w.load(p.ID)
	if a, b := p.RefundByNo("r1"), p.RefundByNo("r2"); a.Status != pay.RefundSucceeded || b.Code != pay.RefundUnable {
		t.Errorf("%+v, %+v", a, b)
	}
	if w.sends(first.OutRefundNo) != 1 || w.sends(second.OutRefundNo) != 0 {
		t.Errorf("%q", w.qr.called())
	}
}

// lateMoney closes a payment here and there, and then its money comes.
func (w *world) lateMoney(order string) pay.Payment {
	w.t.Helper()
	p := w.create(order, "scan")
	_, err := w.g.ClosePayment(w.t.Context(), "shop", p.ID)
	w.must(err)
	a := p.Attempts[0]
	w.qr.pay(a.OutTradeNo, "tx-"+order)
	if r := w.notice(w.qr, a, "tx-"+order, nil); r.Body != "success" {
		w.t.Fatal(r)
	}
	w.advance(0)
	w.advance(time.Minute)
	return w.load(p.ID)
}

func TestA67LateMoney(t *testing.T) {
	t.Parallel()
	t.Run("goes back by itself", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.lateMoney("o")
		if p.IsPaid() || len(p.Refunds) != 1 || p.Refunds[0].Status != pay.RefundSucceeded || w.incidents()[pay.IncidentLate] != 1 {
			t.Fatalf("%+v %v", p, w.incidents())
		}
		if e := w.events(p); e[pay.EventLatePaid] != 1 || e[pay.EventRefundSucceeded] != 1 {
			t.Errorf("events %v", e)
		}
	})
	t.Run("pays it by policy", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.accepting()
		p := w.lateMoney("o")
		if !p.IsPaid() || !p.Late || len(p.Refunds) != 0 || w.incidents()[pay.IncidentLate] != 1 {
			t.Fatalf("%+v", p)
		}
		v, err := w.g.Payment(t.Context(), "shop", p.ID)
		if err != nil || !v.Late || v.Status != "paid" || v.Refundable != 12800 {
			t.Errorf("%+v %v", v, err)
		}
	})
	t.Run("goes back when its order has a newer payment", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.accepting()
		old := w.create("o", "scan")
		_, err := w.g.ClosePayment(t.Context(), "shop", old.ID)
		w.must(err)
		young := w.paid("o")
		w.qr.pay(old.Attempts[0].OutTradeNo, "tx-old")
		w.notice(w.qr, old.Attempts[0], "tx-old", nil)
		w.advance(0)
		w.advance(time.Minute)
		if old = w.load(old.ID); old.IsPaid() || len(old.Refunds) != 1 || old.Refunds[0].Status != pay.RefundSucceeded || !w.load(young.ID).IsPaid() {
			t.Fatalf("%+v", old)
		}
	})
}

// accepting makes the gateway take late money.
func (w *world) accepting() {
	c := w.config
	c.AcceptLate = true
	w.g = gateway.New(c)
}
