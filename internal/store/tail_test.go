package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/pay"
	"piaohao/internal/secret"
)

// numbered passes on what is committed and returns all events in order of pos.
func (w *world) numbered(db *DB) []pay.Event {
	w.t.Helper()
	_, err := db.FanOut(w.t.Context(), 10_000)
	must(w.t, err)
	events, err := db.events(w.t.Context(), `SELECT `+eventColumns+`, pos FROM events WHERE pos > 0 ORDER BY pos`)
	must(w.t, err)
	return events
}

func TestEventsInOrder(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		c := w.newPayment("order")
		p := w.stored(c)
		w.clock.advance(-time.Hour) // another node's clock is behind
		paid := w.paid(p, 0, "tx")
		must(t, w.Apply(ctx, paid))
		got := w.numbered(w.DB)
		want := append(c.Events, paid.Events...)
		for i := range want {
			want[i].Pos = int64(i + 1)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-applied +read:\n%s", diff)
		}
		if last, err := w.LastPos(ctx); err != nil || last != 3 {
			t.Errorf("last %d %v", last, err)
		}
		if tail, err := w.PlacesAfter(ctx, 1, 1); err != nil || !slices.Equal(tail, []Place{{p.ID, 2, 2}}) {
			t.Errorf("%v %v", tail, err)
		}
		if n, err := w.FanOut(ctx, 100); n != 0 || err != nil {
			t.Errorf("passed %d again: %v", n, err)
		}
	})
}

// A slow transaction must not be skipped: whatever becomes visible later gets a later pos.
func TestEventsByManyWritersAndTails(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		const payments, each = 8, 10
		nodes := []*DB{w.DB, w.node()}
		done := make(chan struct{})
		var writers, tails sync.WaitGroup
		for i := range payments {
			p := w.stored(w.newPayment(fmt.Sprint(i)))
			writers.Go(func() {
				for range each {
					c := pay.Change{Payment: p}
					w.addEvent(&c, pay.EventAttemptHandedOut)
					if err := nodes[i%2].Apply(context.Background(), c); err != nil {
						t.Error(err)
					}
					p = c.Payment
				}
			})
		}
		for _, db := range nodes {
			tails.Go(func() {
				cursor, seen := int64(0), map[string]int64{}
				for last := false; ; {
					select {
					case <-done:
						last = true
					default:
					}
					if _, err := db.FanOut(context.Background(), 7); err != nil {
						t.Error(err)
						return
					}
					events, err := db.PlacesAfter(context.Background(), cursor, 7)
					if err != nil {
						t.Error(err)
						return
					}
					for _, e := range events {
						if e.Seq != seen[e.PaymentID]+1 {
							t.Errorf("after %d came %d of %s", seen[e.PaymentID], e.Seq, e.PaymentID)
						}
						seen[e.PaymentID], cursor = e.Seq, e.Pos
					}
					if last && len(events) == 0 {
						break
					}
				}
				for id, seq := range seen {
					if seq != each+1 {
						t.Errorf("I-09 %s: the tail saw %d of %d events", id, seq, each+1)
					}
				}
				if len(seen) != payments {
					t.Errorf("the tail saw %d payments", len(seen))
				}
			})
		}
		writers.Wait()
		close(done)
		tails.Wait()
	})
}

// A transaction that wrote first may commit last. Its events get their place when they are seen: one given at the writing
// would lie behind the tails that have passed its neighbour's.
func TestEventsOfASlowTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPostgresDatabase(t))
	w.endpoint("ep", "https://a.example", "k")
	slow := w.paid(w.stored(w.newPayment("slow")), 0, "tx-slow")
	quick := w.paid(w.stored(w.newPayment("quick")), 0, "tx-quick")
	w.numbered(w.DB)
	cursor, err := w.LastPos(t.Context())
	must(t, err)
	next := func(who string, deliveries int64, want []pay.Event) {
		t.Helper()
		if n := w.fanOut(); n != deliveries {
			t.Errorf("I-09 %s: %d deliveries", who, n)
		}
		got, err := w.PlacesAfter(t.Context(), cursor, 10)
		must(t, err)
		shops, err := w.ShopEvents(t.Context(), "shop", cursor, 10)
		must(t, err)
		if len(got) != len(want) || len(shops) != 1 {
			t.Errorf("I-09 %s: the tail saw %d events and the shop %d", who, len(got), len(shops))
			return
		}
		for i, e := range got {
			if cursor = e.Pos; e.PaymentID != want[i].PaymentID || e.Seq != want[i].Seq {
				t.Errorf("%s: event %d is %+v", who, i, e)
			}
		}
	}
	wrote, commit, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- w.tx(context.Background(), func(run run) error {
			for _, s := range w.statements(slow) {
				if err := run(s); err != nil {
					close(wrote)
					return err
				}
			}
			close(wrote)
			<-commit
			return nil
		})
	}()
	<-wrote
	err = w.Apply(t.Context(), quick)
	if err == nil {
		next("quick", 1, quick.Events)
	}
	close(commit)
	must(t, errors.Join(err, <-done))
	next("slow", 2, slow.Events)
}

// Two nodes that number at once would give one place twice; the second waits for the first to commit.
func TestNumberingWaitsForTheOtherNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPostgresDatabase(t))
	must(t, w.Apply(t.Context(), w.newPayment("order")))
	numbered := make(chan int, 1)
	must(t, w.tx(t.Context(), func(run run) error {
		if err := run(stmt{text: `SELECT pg_advisory_xact_lock($1)`, args: []any{int64(numberingLock)}}); err != nil {
			return err
		}
		go func() {
			n, err := w.FanOut(context.Background(), 100)
			if err != nil {
				t.Error(err)
			}
			numbered <- n
		}()
		for waiting := int64(0); waiting == 0 && len(numbered) == 0; {
			waiting = w.count(`SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7368563`)
		}
		if len(numbered) != 0 {
			t.Error("numbered beside the holder of the lock")
		}
		return nil
	}))
	if n := <-numbered; n != 1 {
		t.Errorf("numbered %d", n)
	}
}

// A node of the version before moves the cursor without the lock under which events are numbered: whoever comes second
// goes on where it left.
func TestCursorOfANodeOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPostgresDatabase(t))
	w.endpoint("ep", "https://a.example", "k")
	w.paidOrders(3)
	w.numbered(w.DB)
	must(t, w.exec(`DELETE FROM deliveries`))
	must(t, w.exec(`UPDATE tails SET cursor = 0`))
	passed := make(chan int, 1)
	must(t, w.tx(t.Context(), func(run run) error {
		if err := run(stmt{text: `UPDATE tails SET cursor = 6 WHERE name = 'deliveries' AND cursor = 0`}); err != nil {
			return err
		}
		go func() {
			n, err := w.FanOut(context.Background(), 3)
			if err != nil {
				t.Error(err)
			}
			passed <- n
		}()
		for waiting := int64(0); waiting == 0; {
			waiting = w.count(`SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		}
		return nil
	}))
	n := <-passed
	if cursor := w.count(cursorOf); n != 3 || cursor != 9 || w.count(`SELECT COUNT(*) FROM deliveries`) != 1 {
		t.Errorf("passed %d events, the cursor is at %d of 9", n, cursor)
	}
}

func (w *world) endpoint(id, url, key string) { w.endpointOf("shop", id, url, key) }

func (w *world) endpointOf(shop, id, url, key string) {
	w.t.Helper()
	must(w.t, w.UpsertEndpoint(w.t.Context(), Endpoint{ID: id, Shop: shop, URL: url, Secret: secret.New(key)}))
}

// fanOut passes on everything and returns how many deliveries there are.
func (w *world) fanOut() int64 {
	w.t.Helper()
	for {
		n, err := w.FanOut(w.t.Context(), 5)
		must(w.t, err)
		if n == 0 {
			return w.count(`SELECT COUNT(*) FROM deliveries`)
		}
	}
}

func (w *world) paidOrders(n int) {
	w.t.Helper()
	for i := range n {
		p := w.stored(w.newPayment(w.id("order")))
		must(w.t, w.Apply(w.t.Context(), w.paid(p, 0, w.id(fmt.Sprint("tx", i)))))
	}
}

func TestFanOutTwiceAndByTwoNodes(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		w.endpoint("ep", "https://a.example", "k")
		w.paidOrders(10)
		nodes := []*DB{w.DB, w.node(), w.DB, w.node()}
		var mu sync.Mutex
		var wg sync.WaitGroup
		passed := 0
		for _, db := range nodes {
			wg.Go(func() {
				for range 20 {
					n, err := db.FanOut(context.Background(), 2) // so that each of a payment's three events is a first one
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					passed += n
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if n := w.fanOut(); n != 10 || passed != 30 {
			t.Errorf("I-09 %d deliveries of 10 events for shops, %d events passed of 30", n, passed)
		}
		must(t, w.exec(`UPDATE tails SET cursor = 0`)) // a cursor set back adds nothing
		if n := w.fanOut(); n != 10 {
			t.Errorf("%d deliveries after a second pass", n)
		}
	})
}

// I-20: a shop reads its own events, all of them however small its pages are, and only its endpoint hears of them.
func TestA95EventsOfAnotherShop(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		shops := []string{"shop", "other", "quiet"}
		want := map[string][]string{"quiet": nil}
		for _, shop := range shops {
			must(t, w.UpsertShop(t.Context(), Shop{shop, shop}))
			w.endpointOf(shop, "ep-"+shop, "https://"+shop+".example", "key of "+shop)
		}
		for i := range 6 { // one shop's among the other's
			shop := shops[i%2]
			c := w.paid(w.stored(w.newPaymentOf(shop, w.id("order"))), 0, w.id("tx"))
			w.addEvent(&c, pay.EventLatePaid) // in the place behind the one before
			must(t, w.Apply(t.Context(), c))
			want[shop] = append(want[shop], string(c.Events[1].Body), string(c.Events[2].Body))
		}
		w.fanOut()
		read, sent := map[string][]string{"quiet": nil}, map[string][]string{"quiet": nil}
		for _, shop := range shops {
			for pos := int64(0); ; {
				page, err := w.ShopEvents(t.Context(), shop, pos, 1)
				must(t, err)
				if len(page) == 0 {
					break
				}
				read[shop], pos = append(read[shop], string(page[0].Body)), page[0].Pos
			}
		}
		for d, ok := w.claimDelivery(w.DB); ok; d, ok = w.claimDelivery(w.DB) {
			shop, _ := strings.CutPrefix(d.EndpointID, "ep-")
			if sent[shop] = append(sent[shop], string(d.Body)); d.URL != "https://"+shop+".example" || d.Secret.Reveal() != "key of "+shop {
				t.Errorf("A95 a webhook for %s goes to %s", shop, d.URL)
			}
		}
		if diff := cmp.Diff(want, read); diff != "" {
			t.Errorf("A95 the events that each shop has and reads: %s", diff)
		}
		for _, bodies := range sent {
			slices.Sort(bodies) // those due at one moment are claimed in any order
		}
		if diff := cmp.Diff(want, sent); diff != "" {
			t.Errorf("A95 the events that each shop has and is sent: %s", diff)
		}
	})
}

func (w *world) claimDelivery(db *DB) (Delivery, bool) {
	w.t.Helper()
	d, ok, err := db.ClaimDelivery(w.t.Context(), w.clock.Now(), lease)
	must(w.t, err)
	return d, ok
}

func (w *world) nextDelivery() time.Time {
	w.t.Helper()
	at, err := w.NextDeliveryDue(w.t.Context())
	must(w.t, err)
	return at
}

func TestDeliveryLife(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.endpoint("ep", "https://a.example", "old")
		w.paidOrders(1)
		if !w.nextDelivery().IsZero() || w.fanOut() != 1 || !w.nextDelivery().Equal(start) {
			t.Fatal("the fan-out makes one delivery, due now")
		}
		w.endpoint("ep2", "https://b.example", "new") // applies to what is pending
		d, ok := w.claimDelivery(w.DB)
		if !ok || d.URL != "https://b.example" || d.Secret.Reveal() != "new" || d.Tries != 1 || d.Failures != 0 ||
			d.Type != pay.EventPaymentPaid || string(d.Body) != `{"id":"`+d.EventID+`"}` || !d.CreatedAt.Equal(start) {
			t.Fatalf("%+v %s %v", d, d.Body, ok)
		}
		if !w.nextDelivery().Equal(start.Add(lease)) {
			t.Error("a held delivery is due at the end of its lease")
		}
		must(t, w.FinishDelivery(ctx, d, false, start.Add(time.Minute), 500, "oops"))
		if err := w.FinishDelivery(ctx, Delivery{EventID: d.EventID, EndpointID: "ep", Tries: 7}, true, time.Time{}, 200, ""); !errors.Is(err, ErrStale) {
			t.Errorf("finished by somebody else: %v", err)
		}
		if at := w.nextDelivery(); !at.Equal(start.Add(time.Minute)) {
			t.Errorf("next try at %v", at)
		}
		w.clock.advance(time.Minute)
		old, _ := w.claimDelivery(w.DB)
		w.clock.advance(lease)
		d, ok = w.claimDelivery(w.node())
		if !ok || d.Tries != 3 || d.Failures != 1 {
			t.Fatalf("%+v %v", d, ok)
		}
		if err := w.FinishDelivery(ctx, old, false, time.Time{}, 0, ""); !errors.Is(err, ErrStale) {
			t.Errorf("I-12 the lost lease finished: %v", err)
		}
		must(t, w.FinishDelivery(ctx, d, true, time.Time{}, 200, ""))
		if !w.nextDelivery().IsZero() {
			t.Error("delivered, yet due")
		}
		w.paidOrders(1)
		w.fanOut()
		must(t, w.RemoveEndpoint(ctx, "shop"))
		w.endpoint("ep", "https://c.example", "k")
		if _, ok := w.claimDelivery(w.DB); ok || !w.nextDelivery().IsZero() {
			t.Error("a removed endpoint's delivery came back")
		}
	})
}

func TestDeliveriesInFlight(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.endpoint("ep", "https://a.example", "k")
		w.paidOrders(20)
		w.fanOut()
		nodes := []*DB{w.DB, w.node()}
		grab := func() (taken []Delivery) {
			var mu sync.Mutex
			var wg sync.WaitGroup
			for i := range 24 {
				wg.Go(func() {
					d, ok, err := nodes[i%2].ClaimDelivery(context.Background(), w.clock.Now(), lease)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if ok {
						taken = append(taken, d)
					}
				})
			}
			wg.Wait()
			return taken
		}
		taken := grab()
		if len(taken) != 8 {
			t.Fatalf("%d in flight, want 8", len(taken))
		}
		if at := w.nextDelivery(); !at.Equal(start.Add(lease)) {
			t.Errorf("all slots in use, next due %v", at)
		}
		must(t, w.FinishDelivery(ctx, taken[0], false, start.Add(time.Hour), 500, ""))
		for _, d := range taken[1:] {
			if more := grab(); len(more) != 0 {
				t.Fatal("a failing endpoint got more than one slot")
			}
			must(t, w.FinishDelivery(ctx, d, false, start.Add(time.Hour), 0, ""))
		}
		taken = grab()
		if len(taken) != 1 {
			t.Fatalf("a dead shop holds %d slots, want 1", len(taken))
		}
		must(t, w.FinishDelivery(ctx, taken[0], true, time.Time{}, 200, ""))
		if taken = grab(); len(taken) != 8 {
			t.Errorf("after a success %d in flight, want 8", len(taken))
		}
	})
}
