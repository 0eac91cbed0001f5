package gateway_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/id"
	"piaohao/internal/pay"
	"piaohao/internal/store"
	"piaohao/internal/store/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	storetest.Stop()
	os.Exit(code)
}

// twoNodes are two processes on one PostgreSQL that share nothing else but the platforms.
func twoNodes(t *testing.T, edit ...func([]gateway.Account) []gateway.Account) (a, b *world) {
	t.Helper()
	a = newWorldOn(t, storetest.Empty(t), edit...)
	db, err := store.Open(t.Context(), a.opts)
	a.must(err)
	t.Cleanup(func() { _ = db.Close() })
	b = &world{t: t, db: db, qr: a.qr, link: a.link, config: a.config, opts: a.opts}
	b.config.DB, b.config.NewID, b.config.Now = db, id.New(time.Now).ID, a.clock
	b.g = gateway.New(b.config)
	for _, w := range []*world{a, b} {
		a.must(w.g.StartTail(t.Context()))
	}
	return a, b
}

// A69: many refunds of one payment at once, on two nodes, take exactly the money that there is, and each is sent once.
func TestA69FiftyRefundsOnTwoNodes(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	p := a.paid("o")
	var group sync.WaitGroup
	var taken atomic.Int64
	for i := range 50 {
		group.Go(func() {
			w := []*world{a, b}[i%2]
			for {
				_, err := w.refund(p, fmt.Sprint("r", i), 1000)
				switch codeOf(err) {
				case gateway.CodeBusy:
					continue
				case "":
					if err != nil {
						t.Error(err)
						return
					}
					taken.Add(1)
				case gateway.CodeRefundTooMuch:
				default:
					t.Error(err)
				}
				return
			}
		})
	}
	group.Wait()
	if left := b.load(p.ID).Refundable(); taken.Load() != 12 || left != 800 {
		t.Errorf("%d refunds of 1000 fen taken from 12800, %d left", taken.Load(), left)
	}
	for range 30 { // both nodes work at the same moments
		a.now.Add(time.Minute.Milliseconds())
		for _, w := range []*world{a, b} {
			group.Go(func() {
				for range 20 {
					if _, err := w.g.StepRefund(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
	}
	var back pay.Fen
	for no, r := range a.qr.refunds {
		back += r.amount
		if n := a.sends(no); n != 1 {
			t.Errorf("%s was sent %d times", no, n)
		}
	}
	ours := a.load(p.ID)
	events := a.events(p)
	if back != 12_000 || len(a.qr.refunds) != 12 || ours.Refundable() != 800 || events[pay.EventRefundSucceeded] != 12 || events[pay.EventRefundCreated] != 12 {
		t.Errorf("the platform returned %d fen in %d refunds, %d left, events %v", back, len(a.qr.refunds), ours.Refundable(), events)
	}
	for _, r := range ours.Refunds {
		if r.Status != pay.RefundSucceeded {
			t.Errorf("%+v", r)
		}
	}
}

// A35: the same notice a hundred times at once over two nodes: one change, and everybody is told "success".
func TestA35OneNoticeOnTwoNodes(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	p := a.create("o", "scan")
	a.qr.pay(p.Attempts[0].OutTradeNo, "tx")
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			if r := []*world{a, b}[i%2].notice(a.qr, p.Attempts[0], "tx", nil); r.Body != "success" {
				t.Errorf("answered %+v", r)
			}
		})
	}
	group.Wait()
	if e := b.events(p); e[pay.EventPaymentPaid] != 1 || e[pay.EventAttemptPaid] != 1 {
		t.Errorf("events %v", e)
	}
}

// A live page on one node follows what another node writes.
func TestPageFollowsTheOtherNode(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	p := a.create("o", "scan")
	a.must(a.tail())
	changed, stop, err := a.g.Subscribe(t.Context(), p.Token)
	a.must(err)
	defer stop()
	before, _, err := a.g.Watching(t.Context(), p.Token)
	a.must(err)
	a.qr.pay(p.Attempts[0].OutTradeNo, "tx")
	if r := b.notice(b.qr, p.Attempts[0], "tx", nil); r.Body != "success" {
		t.Fatal(r)
	}
	a.must(a.tail())
	select {
	case <-changed:
	default:
		t.Fatal("the page heard nothing")
	}
	if after, ended, err := a.g.Watching(t.Context(), p.Token); err != nil || !ended || after <= before {
		t.Errorf("version %d after %d, ended %v: %v", after, before, ended, err)
	}
}

// I-12: a node that stood still past its lease writes nothing of what it learnt; the node that took over does.
func TestI12PausedNodeWritesNothing(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	var calls atomic.Int64
	paused, resume := make(chan struct{}), make(chan struct{})
	a.qr.script(nil, func(op, _ string) error {
		if op == "open" && calls.Add(1) == 1 {
			close(paused)
			<-resume
		}
		return nil
	})
	var late error
	var group sync.WaitGroup
	group.Go(func() { // the shop's create on node a; the request itself gives up sooner than its lease ends
		_, late = a.g.Create(t.Context(), gateway.CreateInput{Shop: "shop", OrderNo: "o", Amount: 12800, Subject: "书", Method: "scan"})
	})
	<-paused
	p, err := b.db.PaymentByOrder(t.Context(), "shop", "o")
	a.must(err)
	a.now.Add(30 * time.Second.Milliseconds()) // past the lease
	for range 3 {
		_, err := b.g.StepAttempt(t.Context())
		b.must(err)
	}
	taken := b.load(p.ID)
	if taken.Attempts[0].Status != "open" || taken.Attempts[0].Due.Tries < 2 {
		t.Fatalf("node b did not take over: %+v", taken.Attempts[0])
	}
	close(resume)
	group.Wait()
	after := b.load(p.ID)
	if after.Attempts[0].Due.Tries != taken.Attempts[0].Due.Tries || late != nil {
		t.Errorf("%d claims after %d (%v)", after.Attempts[0].Due.Tries, taken.Attempts[0].Due.Tries, late)
	}
	// Node a's request may hand out what node b opened, and has opened nothing itself.
	e := b.events(p)
	if e[pay.EventAttemptOpened] != 1 || e[pay.EventAttemptHandedOut] != 1 || len(a.qr.orders) != 1 {
		t.Errorf("events %v, %d orders", e, len(a.qr.orders))
	}
}

// A23: the first paid notices of two sellers at two nodes bind one of them, on both.
func TestA23TwoProcessesBindOneMerchant(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t, unbound)
	var group sync.WaitGroup
	var success [2]atomic.Int64
	for i, w := range []*world{a, b} {
		for n := range 5 {
			p := w.create(fmt.Sprintf("o%d%d", i, n), "scan")
			group.Go(func() {
				if r := w.notice(w.qr, p.Attempts[0], fmt.Sprintf("tx%d%d", i, n), from(fmt.Sprint("seller", i))); r.Body == "success" && w.load(p.ID).IsPaid() {
					success[i].Add(1)
				}
			})
		}
	}
	group.Wait()
	bound, err := a.db.Merchant(t.Context(), "scan-1")
	a.must(err)
	want := map[string][2]int64{"seller0": {5, 0}, "seller1": {0, 5}}[bound]
	if got := [2]int64{success[0].Load(), success[1].Load()}; got != want {
		t.Errorf("bound to %q, and %v notices were taken", bound, got)
	}
}

// A key that is revoked at one node is refused by the other with the next request.
func TestRevokedKeyOnTheOtherNode(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	k, err := a.g.CreateKey(t.Context(), "person", "shop", "")
	a.must(err)
	if shop, err := b.g.Authenticate(t.Context(), k.Secret); err != nil || shop != "shop" {
		t.Fatalf("%q %v", shop, err)
	}
	_, err = a.g.RevokeKey(t.Context(), "person", k.ID)
	a.must(err)
	if _, err := b.g.Authenticate(t.Context(), k.Secret); codeOf(err) != gateway.CodeUnauthorized {
		t.Errorf("after the revocation: %v", err)
	}
}

// A74: the database's answer to a commit is lost. Whether it was written or not, there is one payment, it is answered as
// new, and its money counts once.
func TestA74LostAnswerOfTheDatabase(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"A74 before the commit": false, "A74 after the commit": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wire := storetest.NewWire(t, storetest.Empty(t))
			w := newWorldOn(t, wire.DSN)
			w.create("warm", "scan")
			wire.Cut("order-lost", after)
			r, err := w.g.Create(context.Background(), gateway.CreateInput{Shop: "shop", OrderNo: "order-lost", Amount: 12800, Subject: "书", Method: "scan"})
			if err != nil || !r.Created || r.View.Action == nil || wire.Cuts() != 1 {
				t.Fatalf("%+v %v, %d cuts", r, err, wire.Cuts())
			}
			p := w.load(r.View.ID)
			w.qr.pay(p.Attempts[0].OutTradeNo, "tx-lost")
			wire.Cut("tx-lost", after)
			if r := w.notice(w.qr, p.Attempts[0], "tx-lost", nil); r.Body != "success" || wire.Cuts() != 2 {
				t.Fatalf("%+v, %d cuts", r, wire.Cuts())
			}
			if e := w.events(p); e[pay.EventPaymentCreated] != 1 || e[pay.EventPaymentPaid] != 1 || !w.load(p.ID).IsPaid() {
				t.Errorf("events %v", e)
			}
			if calls := w.qr.called(); len(calls) != 2 {
				t.Errorf("calls %q", calls)
			}
		})
	}
}

// A page that begins to look on one node while another one calls the platform is asked about within seconds, not after a
// minute: what the caller loaded before is not the last word.
func TestPageBegunDuringACallIsWatched(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	a.qr.script(nil, func(op, _ string) error {
		if op != "open" {
			return nil
		}
		p, err := b.db.PaymentByOrder(t.Context(), "shop", "o")
		if err != nil {
			return err
		}
		_, _, err = b.g.Watching(t.Context(), p.Token)
		return err
	})
	p := a.create("o", "scan")
	if due := p.Attempts[0].Due.At.Sub(a.clock()); due > 3*time.Second {
		t.Errorf("asked about after %s", due)
	}
}
