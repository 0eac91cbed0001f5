package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/pay"
)

func TestApplyAndLoad(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		c := w.newPayment("order")
		w.addAttempt(&c, "acc", "page")
		got := w.stored(c)
		if diff := cmp.Diff(c.Payment, got); diff != "" {
			t.Fatalf("a payment is not what was applied (-applied +loaded):\n%s", diff)
		}
		w.clock.advance(time.Second)
		paid := w.paid(got, 1, "tx-1")
		refund := w.newRefund(paid.Payment, 1, "r1")
		paid.Payment.Late = true
		paid.Payment.Refunds = []pay.Refund{refund}
		paid.Refunds = []pay.RefundRow{{Refund: refund, New: true}}
		got = w.stored(paid)
		want := paid.Payment
		want.Attempts[1].Due = pay.Due{Asked: 1} // the wake cleared it and counted
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-applied +loaded:\n%s", diff)
		}
		for name, load := range map[string]func() (pay.Payment, error){
			"token":       func() (pay.Payment, error) { return w.PaymentByToken(ctx, want.Token) },
			"order":       func() (pay.Payment, error) { return w.PaymentByOrder(ctx, "shop", "order") },
			"number":      func() (pay.Payment, error) { return w.PaymentByOutTradeNo(ctx, "acc", want.Attempts[0].OutTradeNo) },
			"transaction": func() (pay.Payment, error) { return w.PaymentByTransaction(ctx, "shop", "tx-1") },
			"number, to write": func() (pay.Payment, error) {
				return w.ToWrite().PaymentByOutTradeNo(ctx, "acc", want.Attempts[0].OutTradeNo)
			},
		} {
			p, err := load()
			must(t, err)
			if diff := cmp.Diff(want, p); diff != "" {
				t.Errorf("by %s: %s", name, diff)
			}
		}
		for name, load := range map[string]func() (pay.Payment, error){
			"refund":    func() (pay.Payment, error) { return w.PaymentByRefund(ctx, "shop", refund.ID) },
			"refund no": func() (pay.Payment, error) { return w.PaymentByRefundNo(ctx, "shop", "r1") },
		} {
			if p, err := load(); err != nil || p.ID != want.ID {
				t.Errorf("by %s: %v", name, err)
			}
		}
		for name, load := range map[string]func() (pay.Payment, error){
			"no id, to write":               func() (pay.Payment, error) { return w.ToWrite().Payment(ctx, "pay_none") },
			"A95 refund of another shop":    func() (pay.Payment, error) { return w.PaymentByRefund(ctx, "other", refund.ID) },
			"A95 refund no of another shop": func() (pay.Payment, error) { return w.PaymentByRefundNo(ctx, "other", "r1") },
		} {
			if _, err := load(); !errors.Is(err, ErrNotFound) {
				t.Errorf("by %s: %v", name, err)
			}
		}
		refund.Status, refund.Code, refund.SentAt, refund.SucceededAt = "succeeded", "x", w.clock.Now(), w.clock.Now()
		c = pay.Change{Payment: got, Refunds: []pay.RefundRow{{Refund: refund}}}
		w.addEvent(&c, pay.EventRefundChanged)
		if diff := cmp.Diff(refund, w.stored(c).Refunds[0]); diff != "" {
			t.Errorf("refund: %s", diff)
		}
	})
}

func TestLoadsThatFindNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		c := w.stored(w.newPayment("order"))
		_, errs := [5]pay.Payment{}, [5]error{}
		_, errs[0] = w.Payment(ctx, "pay_none")
		_, errs[1] = w.PaymentByToken(ctx, "")
		_, errs[2] = w.PaymentByOrder(ctx, "other", c.OrderNo)
		_, errs[3] = w.PaymentByOutTradeNo(ctx, "acc", "none")
		_, errs[4] = w.PaymentByTransaction(ctx, "shop", "")
		for i, err := range errs {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("load %d: %v", i, err)
			}
		}
	})
}

func TestPaymentByOrderPrefersTheLiveOne(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ids := []string{}
		for range 3 {
			p := w.stored(w.newPayment("order"))
			ids = append(ids, p.ID)
			w.clock.advance(time.Second)
			if len(ids) < 3 {
				p.Status, p.ClosedAt = "closed", w.clock.Now()
				c := pay.Change{Payment: p}
				w.addEvent(&c, pay.EventPaymentClosed)
				must(t, w.Apply(t.Context(), c))
			}
		}
		p, err := w.PaymentByOrder(t.Context(), "shop", "order")
		must(t, err)
		if p.ID != ids[2] {
			t.Errorf("got %s, want the open %s", p.ID, ids[2])
		}
		p.Status = "closed"
		c := pay.Change{Payment: p}
		w.addEvent(&c, pay.EventPaymentClosed)
		must(t, w.Apply(t.Context(), c))
		if p, err = w.PaymentByOrder(t.Context(), "shop", "order"); err != nil || p.ID != ids[2] {
			t.Errorf("got %s %v, want the newest closed %s", p.ID, err, ids[2])
		}
	})
}

// together applies changes from as many goroutines at once, half of them on a second node.
func (w *world) together(changes ...pay.Change) []error {
	nodes := []*DB{w.DB, w.node()}
	errs := make([]error, len(changes))
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i, c := range changes {
		wg.Go(func() {
			<-begin
			errs[i] = nodes[i%2].Apply(context.Background(), c)
		})
	}
	close(begin)
	wg.Wait()
	return errs
}

// tally counts the outcomes.
func tally(errs []error) map[error]int {
	n := map[error]int{}
	for _, err := range errs {
		n[err]++
	}
	return n
}

func TestTwoCreatesAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		var changes []pay.Change
		for range 20 {
			changes = append(changes, w.newPayment("order"))
		}
		got := tally(w.together(changes...))
		if diff := cmp.Diff(map[error]int{nil: 1, ErrOrderTaken: 19}, got); diff != "" {
			t.Fatalf("I-10 one create wins: %v", got)
		}
		for _, q := range []string{"payments", "events", "attempts"} {
			if n := w.count("SELECT COUNT(*) FROM " + q); n != 1 {
				t.Errorf("%d rows in %s", n, q)
			}
		}
	})
}

// A create that waited while another one of its order was made and closed is not written as the older one: the order's
// newest payment would be the other one for ever.
func TestI10NewestOfAnOrderIsTheLastOneWritten(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		slow := w.newPayment("order")
		same := w.clock.Now()
		closed := func(p pay.Payment) {
			p.Status, p.ClosedAt = "closed", w.clock.Now()
			c := pay.Change{Payment: p}
			w.addEvent(&c, pay.EventPaymentClosed)
			w.stored(c)
		}
		closed(w.stored(w.newPayment("order")))
		for _, at := range []time.Time{same.Add(-time.Second), same} {
			slow.Payment.CreatedAt = at
			if err := w.Apply(t.Context(), slow); !errors.Is(err, ErrOrderTaken) {
				t.Errorf("created at %s: %v", at, err)
			}
		}
		slow.Payment.CreatedAt = same.Add(time.Millisecond)
		closed(w.stored(slow))
		if p, err := w.PaymentByOrder(t.Context(), "shop", "order"); err != nil || p.ID != slow.Payment.ID {
			t.Errorf("the order's payment is %s (%v), want %s", p.ID, err, slow.Payment.ID)
		}
		w.stored(w.newPayment("another order"))
	})
}

func TestA65ParallelChangesOfOnePayment(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		p := w.stored(w.newPayment("order"))
		for round := range 5 {
			var changes []pay.Change
			for range 16 {
				c := pay.Change{Payment: p}
				w.addEvent(&c, pay.EventAttemptHandedOut)
				changes = append(changes, c)
			}
			if got := tally(w.together(changes...)); got[nil] != 1 || got[ErrStale] != 15 {
				t.Fatalf("I-12 round %d: %v", round, got)
			}
			p = w.loaded(p.ID)
			if p.Seq != int64(round+2) {
				t.Fatalf("seq %d after round %d", p.Seq, round)
			}
		}
		if n := w.count(`SELECT COUNT(*) FROM events`); n != 6 {
			t.Errorf("%d events", n)
		}
	})
}

func TestA26TransactionNumberUsedTwiceInOneGroup(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		var changes []pay.Change
		for i := range 64 {
			p := w.stored(w.newPayment(fmt.Sprint("order", i)))
			number := fmt.Sprint("tx", i)
			if i == 40 {
				number = "tx7"
			}
			changes = append(changes, w.paid(p, 0, number))
		}
		errs := w.together(changes...)
		got := tally(errs)
		if got[nil] != 63 || got[ErrTransactionUsed] != 1 || (errs[7] == nil) == (errs[40] == nil) {
			t.Fatalf("neighbours must survive and one of two get ErrTransactionUsed: %v", got)
		}
		loser := changes[7]
		if errs[40] != nil {
			loser = changes[40]
		}
		if p := w.loaded(loser.Payment.ID); p.Status != "open" || p.Seq != 1 || p.Attempts[0].TransactionID != "" {
			t.Errorf("the second left something: %+v", p)
		}
		if n := w.count(`SELECT COUNT(*) FROM events`); n != 64+2*63 {
			t.Errorf("I-08 %d events", n)
		}
	})
}

func TestA25NumbersAreUniquePerAccount(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		w.account("other", 20)
		one, two := w.newPayment("1"), w.newPayment("2")
		two.Attempts[0].Attempt.OutTradeNo = one.Attempts[0].Attempt.OutTradeNo
		must(t, w.Apply(t.Context(), one))
		if err := w.Apply(t.Context(), two); err == nil {
			t.Fatal("one account took the same out_trade_no twice")
		}
		two.Attempts[0].Attempt.Account = "other"
		two.Payment.Attempts[0] = two.Attempts[0].Attempt
		second := w.stored(two)
		for account, want := range map[string]string{"acc": one.Payment.ID, "other": two.Payment.ID, "third": one.Payment.ID} {
			p, err := w.PaymentByOutTradeNo(t.Context(), account, one.Attempts[0].Attempt.OutTradeNo)
			if err != nil || p.ID != want {
				t.Errorf("A25 account %s: %s %v", account, p.ID, err)
			}
		}
		must(t, w.Apply(t.Context(), w.paid(w.loaded(one.Payment.ID), 0, "tx")))
		must(t, w.Apply(t.Context(), w.paid(second, 0, "tx"))) // another account's number is another number
	})
}

func TestI12LostLeaseIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		p := w.stored(w.newPayment("order"))
		a := p.Attempts[0]
		slow, ok, err := w.ClaimThis(ctx, a.ID, w.clock.Now(), 10*time.Second)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		fast, ok, err := w.node().ClaimThis(ctx, a.ID, w.clock.advance(10*time.Second), 10*time.Second)
		if err != nil || !ok || fast.Tries != slow.Tries+1 {
			t.Fatalf("%+v %v %v", fast, ok, err)
		}
		change := func(c Claim) pay.Change {
			change := pay.Change{Payment: p, Fence: &pay.Fence{AttemptID: c.AttemptID, Tries: c.Tries}}
			w.addEvent(&change, pay.EventAttemptHandedOut, pay.EventAttemptClosing)
			return change
		}
		if err := w.Apply(ctx, change(slow)); !errors.Is(err, ErrStale) {
			t.Fatalf("the lost lease wrote: %v", err)
		}
		if err := w.Release(ctx, slow, time.Time{}, false); !errors.Is(err, ErrStale) {
			t.Fatalf("the lost lease released: %v", err)
		}
		if got := w.loaded(p.ID); got.Seq != 1 || got.Attempts[0].Due.LeaseUntil.IsZero() {
			t.Fatalf("it left something: %+v", got)
		}
		must(t, w.Apply(ctx, change(fast)))
		must(t, w.Release(ctx, fast, time.Time{}, false))
	})
}

func TestI08ChangeAndEventGoTogether(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		p := w.stored(w.newPayment("order"))
		broken := w.paid(p, 0, "tx")
		broken.Payment.Amount = 0
		broken.Payment.PaidAttempt = "" // a CHECK refuses it after the events were written
		if err := w.Apply(ctx, broken); err == nil {
			t.Fatal("a payment paid by nobody was stored")
		}
		if n := w.count(`SELECT COUNT(*) FROM events`); n != 1 {
			t.Errorf("an event without its change: %d", n)
		}
		mute := w.paid(p, 0, "tx")
		mute.Events = nil
		if err := w.Apply(ctx, mute); err == nil {
			t.Error("a change without an event was taken")
		}
		gap := w.paid(p, 0, "tx")
		gap.Events[1].Seq++
		if err := w.Apply(ctx, gap); err == nil {
			t.Error("events with a gap were taken")
		}
		if err := w.exec(`UPDATE payments SET status = 'closed', seq = seq + 1 WHERE id = $1`, p.ID); err == nil {
			t.Error("the table let a status change without its event")
		}
		ghost := w.paid(p, 0, "tx")
		ghost.Payment.ID = "pay_ghost"
		for i := range ghost.Events {
			ghost.Events[i].PaymentID = "pay_ghost"
		}
		if err := w.Apply(ctx, ghost); err == nil {
			t.Error("events of no payment were taken")
		}
		if diff := cmp.Diff(p, w.loaded(p.ID)); diff != "" {
			t.Errorf("something was left: %s", diff)
		}
		must(t, w.Apply(ctx, pay.Change{}))
	})
}

func TestI03WrittenOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		p := w.stored(w.newPayment("order"))
		must(t, w.Apply(t.Context(), w.paid(p, 0, "tx")))
		refund := w.newRefund(p, 0, "r")
		refund.Status = "succeeded"
		c := pay.Change{Payment: w.loaded(p.ID), Refunds: []pay.RefundRow{{Refund: refund, New: true}}}
		w.addEvent(&c, pay.EventRefundCreated)
		must(t, w.Apply(t.Context(), c))
		for _, forbidden := range []string{
			`UPDATE payments SET amount = 1`,
			`UPDATE payments SET currency = 'USD'`,
			`UPDATE payments SET order_no = 'x'`,
			`UPDATE payments SET livemode = 1`,
			`UPDATE payments SET paid_at = paid_at + 1`,
			`UPDATE payments SET paid_at = NULL`,
			`UPDATE payments SET paid_attempt = 'x'`,
			`UPDATE payments SET status = 'open'`,
			`UPDATE attempts SET amount = 1`,
			`UPDATE attempts SET currency = 'usd'`,
			`UPDATE attempts SET account = 'x'`,
			`UPDATE attempts SET out_trade_no = 'x'`,
			`UPDATE attempts SET transaction_id = 'x'`,
			`UPDATE attempts SET transaction_id = NULL`,
			`UPDATE attempts SET paid_at = paid_at + 1`,
			`UPDATE attempts SET status = 'closed', transaction_id = NULL`,
			`UPDATE attempts SET refunded = -1`,
			`UPDATE refunds SET amount = 2`,
			`UPDATE refunds SET refund_no = 'x'`,
			`UPDATE refunds SET status = 'lost'`,
			`UPDATE refunds SET status = 'failed'`,
			`UPDATE refunds SET out_refund_no = 'x'`,
			`UPDATE refunds SET account = 'x'`,
			`UPDATE refunds SET external = 1`,
		} {
			if err := w.exec(forbidden); err == nil {
				t.Errorf("allowed: %s", forbidden)
			}
		}
		if err := w.exec(`UPDATE attempts SET status = 'closed'`); err == nil || !strings.Contains(err.Error(), "nothing leaves paid") {
			t.Errorf("an attempt left paid: %v", err)
		}
		must(t, w.exec(`UPDATE payments SET paid_at = paid_at, amount = amount`))
	})
}

func TestTablesRefuse(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		for name, spoil := range map[string]func(c *pay.Change){
			"amount 0":                func(c *pay.Change) { c.Payment.Amount = 0 },
			"amount too large":        func(c *pay.Change) { c.Payment.Amount = pay.MaxAmount + 1 },
			"currency":                func(c *pay.Change) { c.Payment.Currency = "cny" },
			"status":                  func(c *pay.Change) { c.Payment.Status = "PAID" },
			"attempt amount":          func(c *pay.Change) { c.Attempts[0].Attempt.Amount = -1 },
			"attempt status":          func(c *pay.Change) { c.Attempts[0].Attempt.Status = "" },
			"paid without a number":   func(c *pay.Change) { c.Attempts[0].Attempt.Status = "paid" },
			"a number while unpaid":   func(c *pay.Change) { c.Attempts[0].Attempt.TransactionID = "tx" },
			"number too long":         func(c *pay.Change) { c.Attempts[0].Attempt.OutTradeNo += "0123456789012345678901234" },
			"two live of one product": func(c *pay.Change) { w.addAttempt(c, "acc", "native") },
			"an update of no attempt": func(c *pay.Change) { c.Attempts[0].New = false },
			"a refund number used twice": func(c *pay.Change) {
				for range 2 {
					r := w.newRefund(c.Payment, 0, w.id(""))
					r.OutRefundNo = "o"
					c.Refunds = append(c.Refunds, pay.RefundRow{New: true, Refund: r})
				}
			},
		} {
			c := w.newPayment("order" + name)
			spoil(&c)
			err := w.Apply(t.Context(), c)
			if err == nil || errors.Is(err, ErrStale) || errors.Is(err, ErrOrderTaken) || errors.Is(err, ErrTransactionUsed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestIncidentsOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		i := pay.Incident{ID: "inc_1", Account: "acc", Digest: "d", Kind: "amount", Detail: "x", Raw: []byte{0, 255}, At: start}
		for n, want := range []bool{true, false} {
			i.ID = fmt.Sprint("inc_", n)
			isNew, err := w.RecordIncident(t.Context(), i)
			if err != nil || isNew != want {
				t.Errorf("time %d: new %v, %v", n, isNew, err)
			}
		}
		c := w.newPayment("order")
		c.Incidents = []pay.Incident{i} // known: the change is written all the same
		must(t, w.Apply(t.Context(), c))
		i.Digest, i.ID = "e", "inc_9"
		must(t, w.Apply(t.Context(), pay.Change{Incidents: []pay.Incident{i}}))
		if n := w.count(`SELECT COUNT(*) FROM incidents`); n != 2 {
			t.Errorf("%d incidents", n)
		}
	})
}

// Nothing is about what is not there: SQLite looks at that only when it is asked to, on each connection.
func TestRowsKeepWhatTheyAreAbout(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		w.endpoint("ep", "https://a.example", "k")
		p := w.refunded("order", "r1")
		w.fanOut()
		for name, forbidden := range map[string]string{
			"the shop of an endpoint":     `DELETE FROM shops`,
			"the attempt of a refund":     `DELETE FROM attempts`,
			"the payment of all of it":    `DELETE FROM payments`,
			"the event of a delivery":     `DELETE FROM events`,
			"an endpoint of nobody's":     `UPDATE endpoints SET shop = 'nobody'`,
			"a delivery of what was not":  `INSERT INTO deliveries (event_id, endpoint_id) VALUES ('none', 'ep')`,
			"a delivery moved to nothing": `UPDATE deliveries SET event_id = 'none'`,
		} {
			if err := w.exec(forbidden); err == nil || !strings.Contains(strings.ToLower(err.Error()), "foreign key") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := w.loaded(p.ID); len(got.Attempts) != 1 || len(got.Refunds) != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestCommittedSignals(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		must(t, w.Apply(t.Context(), w.newPayment("1")))
		must(t, w.Apply(t.Context(), w.newPayment("2")))
		<-w.Committed()
		select {
		case <-w.Committed():
			t.Error("two signals for one look")
		default:
		}
		if err := w.Apply(t.Context(), w.newPayment("1")); !errors.Is(err, ErrOrderTaken) {
			t.Fatal(err)
		}
		select {
		case <-w.Committed():
			t.Error("a signal without a commit")
		default:
		}
	})
}
