package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"piaohao/internal/pay"
)

const lease = 10 * time.Second

func (w *world) claim(db *DB, accounts ...string) (Claim, bool) {
	w.t.Helper()
	c, ok, err := db.ClaimAttempt(w.t.Context(), accounts, w.clock.Now(), lease)
	must(w.t, err)
	return c, ok
}

func (w *world) nextDue(accounts ...string) time.Time {
	w.t.Helper()
	at, err := w.NextAttemptDue(w.t.Context(), accounts)
	must(w.t, err)
	return at
}

func TestClaimLifeOfADueRow(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		if at := w.nextDue("acc"); !at.IsZero() {
			t.Fatalf("an empty table has work at %v", at)
		}
		p := w.stored(w.newPayment("order"))
		if at := w.nextDue("acc"); !at.Equal(start.Add(3 * time.Second)) {
			t.Errorf("due %v", at)
		}
		if _, ok := w.claim(w.DB, "acc"); ok {
			t.Error("claimed before it was due")
		}
		w.clock.advance(3 * time.Second)
		if _, ok := w.claim(w.DB, "other"); ok {
			t.Error("claimed for an account not asked for")
		}
		if _, ok := w.claim(w.DB); ok || !w.nextDue().IsZero() {
			t.Error("claimed for no account")
		}
		c, ok := w.claim(w.DB, "other", "acc")
		if !ok || c != (Claim{PaymentID: p.ID, AttemptID: p.Attempts[0].ID, Account: "acc", Tries: 1}) {
			t.Fatalf("%+v %v", c, ok)
		}
		if _, again := w.claim(w.node(), "acc"); again {
			t.Error("two holders")
		}
		if _, ok, err := w.ClaimThis(ctx, c.AttemptID, w.clock.Now(), lease); ok || err != nil {
			t.Errorf("two holders: %v", err)
		}
		if at := w.nextDue("acc"); !at.Equal(w.clock.Now().Add(lease)) {
			t.Errorf("a held row is next due %v, want the end of its lease", at)
		}
		must(t, w.Release(ctx, c, w.clock.Now().Add(time.Minute), true))
		if at := w.nextDue("acc"); !at.Equal(w.clock.Now().Add(time.Minute)) {
			t.Errorf("released, next due %v", at)
		}
		c, ok, err := w.ClaimThis(ctx, c.AttemptID, w.clock.Now(), lease) // not due, but free
		if err != nil || !ok || c.Tries != 2 || c.Failures != 1 {
			t.Fatalf("%+v %v %v", c, ok, err)
		}
		must(t, w.Release(ctx, c, time.Time{}, false))
		a := w.loaded(p.ID).Attempts[0]
		if a.Due != (pay.Due{Tries: 2}) || !w.nextDue("acc").IsZero() {
			t.Errorf("after a release without due: %+v", a.Due)
		}
		must(t, w.AskAttempt(ctx, a.ID, w.clock.Now()))
		if a := w.loaded(p.ID).Attempts[0]; !a.Due.At.IsZero() {
			t.Error("asking woke a row without a due time")
		}
		if _, ok, err := w.ClaimThis(ctx, "att_none", w.clock.Now(), lease); ok || err != nil {
			t.Errorf("claimed nothing: %v %v", ok, err)
		}
	})
}

func TestReleaseDoesNotOverwriteASoonerDue(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		for name, sooner := range map[string]func(p pay.Payment) error{
			"asked": func(p pay.Payment) error { return w.AskAttempt(ctx, p.Attempts[0].ID, w.clock.Now()) },
			"cancel while a query is in flight": func(p pay.Payment) error {
				now := w.clock.Now()
				p.CloseWantedAt, p.CloseReason = now, pay.Cancelled
				c := pay.Change{Payment: p, Attempts: []pay.AttemptRow{{Attempt: p.Attempts[0], Wake: &now}}}
				w.addEvent(&c, pay.EventPaymentClosing)
				return w.Apply(ctx, c)
			},
		} {
			p := w.stored(w.newPayment("order " + name))
			c, ok, err := w.ClaimThis(ctx, p.Attempts[0].ID, w.clock.Now(), lease)
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			must(t, sooner(p))
			if due := w.loaded(p.ID).Attempts[0].Due; !due.LeaseUntil.Equal(w.clock.Now().Add(lease)) {
				t.Errorf("%s: touched the lease: %+v", name, due)
			}
			must(t, w.Release(ctx, c, w.clock.Now().Add(time.Hour), false))
			due := w.loaded(p.ID).Attempts[0].Due
			if !due.At.Equal(w.clock.Now()) || !due.LeaseUntil.IsZero() {
				t.Errorf("%s: release wrote over it: %+v", name, due)
			}
		}
	})
}

func TestClaimsByTwoNodesTakeEachRowOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		const rows = 30
		for i := range rows {
			must(t, w.Apply(t.Context(), w.newPayment(fmt.Sprint(i))))
		}
		now := w.clock.advance(time.Minute)
		var mu sync.Mutex
		taken := map[string]int{}
		var wg sync.WaitGroup
		for _, db := range []*DB{w.DB, w.DB, w.node(), w.node()} {
			wg.Go(func() {
				for {
					c, ok, err := db.ClaimAttempt(context.Background(), []string{"acc"}, now, lease)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if ok {
						taken[c.AttemptID]++
					}
					done := len(taken) == rows
					mu.Unlock()
					if done {
						return
					}
				}
			})
		}
		wg.Wait()
		for id, n := range taken {
			if n != 1 {
				t.Errorf("%s was claimed %d times", id, n)
			}
		}
	})
}

func TestRateBucketHoldsForAllNodes(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		w.account("slow", 5)
		p := w.stored(w.newPayment("order"))
		for i := range 30 {
			c := w.newPayment(fmt.Sprint(i))
			c.Attempts[0].Attempt.Account = "slow"
			must(t, w.Apply(t.Context(), c))
		}
		w.clock.advance(time.Minute)
		nodes := []*DB{w.DB, w.node()}
		claims := func(rounds int) int {
			var mu sync.Mutex
			n := 0
			var wg sync.WaitGroup
			for i := range rounds {
				wg.Go(func() {
					_, ok, err := nodes[i%2].ClaimAttempt(context.Background(), []string{"slow"}, w.clock.Now(), time.Hour)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if ok {
						n++
					}
				})
			}
			wg.Wait()
			return n
		}
		if n := claims(12); n != 5 {
			t.Errorf("%d calls at once, want the second's worth of 5", n)
		}
		if at := w.nextDue("slow"); !at.Equal(w.clock.Now().Add(200 * time.Millisecond)) {
			t.Errorf("next call allowed at %v, now %v", at, w.clock.Now())
		}
		if c, ok := w.claim(w.DB, "slow", "acc"); !ok || c.PaymentID != p.ID {
			t.Error("a slow account held up another one")
		}
		w.clock.advance(ms(199))
		if n := claims(1); n != 0 {
			t.Error("a call too early")
		}
		w.clock.advance(ms(1))
		if n := claims(4); n != 1 {
			t.Errorf("%d calls after 1/5 s", n)
		}
		w.clock.advance(10 * time.Second)
		until := w.clock.Now().Add(30 * time.Second)
		must(t, w.BackOff(t.Context(), "slow", until))
		must(t, w.BackOff(t.Context(), "slow", until.Add(-time.Second)))
		if n := claims(2); n != 0 {
			t.Error("claimed while backing off")
		}
		if at := w.nextDue("slow"); !at.Equal(until) {
			t.Errorf("next due %v while backing off until %v", at, until)
		}
	})
}

func TestWatchedPaymentsFirst(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		for i := range 3 {
			must(t, w.Apply(ctx, w.newPayment(fmt.Sprint(i))))
		}
		c := w.newPayment("watched")
		late := start.Add(time.Hour)
		c.Attempts[0].Attempt.Due.At = late
		p := w.stored(c)

		must(t, w.Watch(ctx, w.loaded(p.ID), w.clock.Now().Add(30*time.Second)))
		got := w.loaded(p.ID)
		if due := got.Attempts[0].Due; !due.At.Equal(start.Add(3*time.Second)) || due.Asked != 1 {
			t.Fatalf("watching did not start the query plan: %+v", due)
		}
		must(t, w.Watch(ctx, w.loaded(p.ID), w.clock.Now().Add(44*time.Second))) // under 15 s: nothing
		if got := w.loaded(p.ID); !got.WatchedUntil.Equal(start.Add(30 * time.Second)) {
			t.Errorf("watched until %v", got.WatchedUntil)
		}
		w.clock.advance(5 * time.Second)
		cl, ok := w.claim(w.DB, "acc")
		if !ok || cl.PaymentID != p.ID {
			t.Fatalf("not the watched one: %+v %v", cl, ok)
		}
		must(t, w.Release(ctx, cl, late, false))
		must(t, w.Watch(ctx, w.loaded(p.ID), w.clock.Now().Add(45*time.Second)))
		got = w.loaded(p.ID)
		if due := got.Attempts[0].Due; !due.At.Equal(late) || !got.WatchedUntil.Equal(w.clock.Now().Add(45*time.Second)) {
			t.Errorf("watching on pulled the due time again: %+v", due)
		}
		if cl, ok := w.claim(w.DB, "acc"); !ok || cl.PaymentID == p.ID {
			t.Errorf("the others come when no watched one is due: %+v %v", cl, ok)
		}
	})
}

func TestExpiry(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		at, err := w.NextExpiry(ctx)
		if err != nil || !at.IsZero() {
			t.Fatalf("%v %v", at, err)
		}
		var ids []string
		for i := range 3 {
			ids = append(ids, w.stored(w.newPayment(fmt.Sprint(i))).ID)
			w.clock.advance(time.Second)
		}
		must(t, w.Apply(ctx, w.paid(w.loaded(ids[0]), 0, "tx")))
		p := w.loaded(ids[1])
		if at, err = w.NextExpiry(ctx); err != nil || !at.Equal(p.ExpiresAt) {
			t.Errorf("next expiry %v %v, want %v", at, err, p.ExpiresAt)
		}
		for n, want := range map[int]int{0: 1, 1: 2} {
			if got, err := w.ExpiredPayments(ctx, p.ExpiresAt.Add(time.Duration(n)*time.Second), 10); err != nil || len(got) != want || got[0] != p.ID {
				t.Errorf("%v %v", got, err)
			}
		}
		p.CloseWantedAt, p.CloseReason = w.clock.Now(), pay.Expired
		c := pay.Change{Payment: p}
		w.addEvent(&c, pay.EventPaymentClosing)
		must(t, w.Apply(ctx, c))
		if got, err := w.ExpiredPayments(ctx, start.Add(time.Hour), 1); err != nil || len(got) != 1 || got[0] != ids[2] {
			t.Errorf("a closing payment expires again: %v %v", got, err)
		}
	})
}

func TestShopsAndKeys(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		must(t, w.UpsertShop(ctx, Shop{"shop", "Renamed"}))
		hash := [32]byte{0: 1, 31: 0xff}
		must(t, w.UpsertKey(ctx, "shop", hash, true))
		must(t, w.UpsertKey(ctx, "shop", hash, false))
		shop, live, err := w.ShopByKey(ctx, hash)
		if err != nil || !live || shop != (Shop{"shop", "Renamed"}) {
			t.Errorf("%v %v %v", shop, live, err)
		}
		if _, _, err := w.ShopByKey(ctx, [32]byte{1}); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if err := w.UpsertKey(ctx, "nobody", [32]byte{2}, false); err == nil {
			t.Error("a key of no shop")
		}
		if _, err := w.Shop(ctx, "nobody"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if s, err := w.Shop(ctx, "shop"); err != nil || s.Name != "Renamed" {
			t.Error(s, err)
		}
	})
}
