package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/pay"
)

func newLite(t *testing.T) *world {
	t.Helper()
	return newWorld(t, engines[0].dsn(t))
}

// held blocks the writer in a first op until the returned function is called.
func (w *world) held() (let func()) {
	w.t.Helper()
	entered, gate, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- w.tx(context.Background(), func(run) error {
			close(entered)
			<-gate
			return nil
		})
	}()
	<-entered
	return func() {
		close(gate)
		must(w.t, <-done)
	}
}

// queued waits until n writes are in the writer's queue: callers on their way there need only the processor.
func (w *world) queued(n int) {
	for queue := w.engine.(*lite).writer.queue; len(queue) < n; {
		runtime.Gosched()
	}
}

func TestCancelledCallerHurtsNoNeighbour(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	ctx, cancel := context.WithCancel(context.Background())
	let := w.held()
	errs := make([]error, 64)
	var wg sync.WaitGroup
	for i := range errs {
		c := w.newPayment(fmt.Sprint(i))
		use := context.Background()
		if i == 20 {
			use = ctx
		}
		wg.Go(func() { errs[i] = w.Apply(use, c) })
	}
	w.queued(64)
	cancel()
	let()
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	}
	if n := w.count(`SELECT COUNT(*) FROM payments`); n != 64 {
		t.Errorf("%d payments: what was queued runs, whoever left", n)
	}
	if err := w.Apply(ctx, w.newPayment("late")); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled caller queued: %v", err)
	}
}

// Whoever has left before the write is queued gets nothing written, though the queue has room: nobody hears of its outcome.
func TestCallerWhoLeftWritesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for i := range 64 { // each time, not by the luck of a choice between two that are ready
			if err := w.Apply(ctx, w.newPayment(fmt.Sprint(i))); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknown) {
				t.Errorf("a cancelled caller was told %v", err)
			}
		}
		if n := w.count(`SELECT COUNT(*) FROM payments`); n != 0 {
			t.Errorf("%d payments of a caller who had left", n)
		}
	})
}

// leaving is the context of a caller who leaves as soon as somebody begins to wait for that.
type leaving struct {
	context.Context
	leave func()
}

func (l leaving) Done() <-chan struct{} {
	l.leave()
	return l.Context.Done()
}

// Whoever leaves while the queue is full does not wait on for a place in it.
func TestCallerLeavesAFullQueue(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	let := w.held()
	var wg sync.WaitGroup
	for i := range maxGroup {
		c := w.newPayment(fmt.Sprint(i))
		wg.Go(func() {
			if err := w.Apply(context.Background(), c); err != nil {
				t.Error(err)
			}
		})
	}
	w.queued(maxGroup)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left, late := make(chan error, 1), w.newPayment("late")
	go func() { left <- w.Apply(leaving{ctx, cancel}, late) }()
	select {
	case err := <-left:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("who left was told %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("who left waits in front of a full queue")
	}
	let()
	wg.Wait()
	if n := w.count(`SELECT COUNT(*) FROM payments`); n != maxGroup {
		t.Errorf("%d payments of %d callers who stayed", n, maxGroup)
	}
}

func TestFailedCommitFailsEveryone(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	let := w.held()
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		c := w.newPayment(fmt.Sprint(i))
		wg.Go(func() {
			if i != 3 {
				errs[i] = w.Apply(context.Background(), c)
				return
			}
			errs[i] = w.tx(context.Background(), func(run run) error { // refused only at the commit
				return errors.Join(
					run(stmt{text: `PRAGMA defer_foreign_keys = 1`}),
					run(stmt{text: `INSERT INTO deliveries (event_id, endpoint_id) VALUES ('none', 'none')`}))
			})
		})
	}
	w.queued(8)
	let()
	wg.Wait()
	for i, err := range errs {
		if err == nil {
			t.Errorf("caller %d was told of a commit that failed", i)
		}
	}
	if n := w.count(`SELECT COUNT(*) FROM payments`); n != 0 {
		t.Errorf("%d payments", n)
	}
	must(t, w.Apply(t.Context(), w.newPayment("next"))) // no disk error: the writer goes on
}

// After a read that failed, the writes queued beside it still are one transaction: SQLite may have ended the one that was open.
func TestFailedReadHurtsNoNeighbour(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	writer := w.engine.(*lite).writer
	fails := errors.New("fails")
	let := w.held()
	var read, write error
	var wg sync.WaitGroup
	wg.Go(func() {
		read = writer.look(context.Background(), func(run run) error {
			return errors.Join(run(stmt{text: "ROLLBACK"}), fails) // as SQLite does after some failures
		})
	})
	w.queued(1)
	wg.Go(func() {
		write = w.tx(context.Background(), func(run run) error {
			return errors.Join(run(stmt{text: `INSERT INTO shops (id, name) VALUES ('half', 'Half')`}), fails)
		})
	})
	w.queued(2)
	let()
	wg.Wait()
	if !errors.Is(read, fails) || !errors.Is(write, fails) {
		t.Error(read, write)
	}
	if n := w.count(`SELECT COUNT(*) FROM shops WHERE id = 'half'`); n != 0 {
		t.Error("half of a write stayed")
	}
	must(t, w.Apply(t.Context(), w.newPayment("next")))
}

// Who reads in order to write waits for the commit under way and not for that of the group in which the read came.
func TestReadIsAnsweredBeforeItsNeighboursCommit(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	writer := w.engine.(*lite).writer
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	let := w.held()
	read := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		must(t, w.tx(context.Background(), func(run) error {
			select {
			case <-read:
				return nil
			case <-ctx.Done():
				return errors.New("the read waits for the commit")
			}
		}))
	})
	w.queued(1)
	wg.Go(func() {
		must(t, writer.look(context.Background(), func(run) error { return nil }))
		close(read)
	})
	w.queued(2)
	let()
	wg.Wait()
}

// A load shares the transaction of its neighbours: what one of them wrote and a rollback took back is not handed on.
func TestLoadToWriteSeesNothingUncommitted(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	p := w.stored(w.newPayment("order"))
	rename := stmt{text: `UPDATE payments SET subject = 'never' WHERE id = $1`, args: []any{p.ID}}
	fails := errors.New("fails")
	runs := 0
	var errs [3]error
	var got pay.Payment
	let := w.held()
	var wg sync.WaitGroup
	for i, op := range []func() error{
		func() error { // fails only when the group is undone and it runs alone
			return w.tx(context.Background(), func(run run) error {
				if runs++; runs > 1 {
					return fails
				}
				return run(rename)
			})
		},
		func() (err error) {
			got, err = w.ToWrite().Payment(context.Background(), p.ID)
			return err
		},
		func() error {
			return w.tx(context.Background(), func(run run) error { return errors.Join(run(rename), fails) })
		},
	} {
		wg.Go(func() { errs[i] = op() })
		w.queued(i + 1)
	}
	let()
	wg.Wait()
	if !errors.Is(errs[0], fails) || errs[1] != nil || !errors.Is(errs[2], fails) || runs != 2 {
		t.Errorf("%v, %d runs", errs, runs)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("-stored +loaded: %s", diff)
	}
}

func TestManyWritesShareOneCommit(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	let := w.held()
	sizes := make(chan int, 64)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			must(t, w.tx(context.Background(), func(run) error {
				sizes <- len(w.engine.(*lite).writer.group)
				return nil
			}))
		})
	}
	w.queued(64)
	let()
	wg.Wait()
	for range 64 {
		if n := <-sizes; n != 64 {
			t.Fatalf("a group of %d, want all 64 in one", n)
		}
	}
}

// A lost race is daily business: it must cost its neighbours neither a rollback nor a commit of their own.
func TestRefusedGuardDisturbsNoNeighbour(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	must(t, w.Apply(t.Context(), w.newPayment("taken")))
	late := w.newPayment("taken")
	let := w.held()
	runs := make(chan bool, 4)
	var wg sync.WaitGroup
	wg.Go(func() {
		must(t, w.tx(context.Background(), func(run) error { runs <- true; return nil }))
	})
	w.queued(1)
	wg.Go(func() {
		if err := w.Apply(context.Background(), late); !errors.Is(err, ErrOrderTaken) {
			t.Error(err)
		}
	})
	w.queued(2)
	let()
	wg.Wait()
	if len(runs) != 1 {
		t.Errorf("the neighbour ran %d times", len(runs))
	}
}

// After a failed flush nobody knows what is on the disk (I-17): every write is refused until a restart.
func TestI17DiskFailureStopsWriting(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	p := w.stored(w.newPayment("before"))
	let := w.held()
	w.engine.(*lite).writer.broken = errors.New("the disk failed")
	let()
	if err := w.Apply(t.Context(), w.newPayment("after")); err == nil || !strings.Contains(err.Error(), "the disk failed") {
		t.Errorf("wrote on: %v", err)
	}
	if _, err := w.Payment(t.Context(), p.ID); err != nil {
		t.Errorf("reading must go on: %v", err)
	}
}

// A full disk refuses what does not fit, and nothing else: with room again the next write goes through (I-18).
func TestI18FullDiskIsNamedAndPasses(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	pages := func(limit string) {
		t.Helper()
		must(t, w.tx(t.Context(), func(run run) error {
			return run(stmt{text: `PRAGMA max_page_count = ` + limit, row: func(scan scan) error { return nil }})
		}))
	}
	pages("1") // SQLite takes the size that the file has
	const most = 1000
	var err error
	for i := range most {
		if err = w.Apply(t.Context(), w.newPayment(fmt.Sprint(i))); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) || errors.Is(err, ErrBroken) {
		t.Fatalf("a full disk is %v", err)
	}
	before := w.count(`SELECT COUNT(*) FROM payments`)
	pages("1000000")
	must(t, w.Apply(t.Context(), w.newPayment("room")))
	if n := w.count(`SELECT COUNT(*) FROM payments`); n != before+1 {
		t.Errorf("%d payments after %d and one more", n, before)
	}
}

// On a disk that is nearly full what fits is stored, although the group that it was queued with does not fit (I-18).
func TestI18WhatFitsIsStored(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	must(t, w.tx(t.Context(), func(run run) error {
		return errors.Join(run(stmt{text: `CREATE TABLE padding (bytes)`}),
			run(stmt{text: `PRAGMA max_page_count = 1`, row: func(scan) error { return nil }})) // as large as it is
	}))
	first, second := w.newPayment("first"), w.newPayment("second")
	let := w.held()
	writer := w.engine.(*lite).writer
	commit, err := writer.conn.PrepareContext(t.Context(), //nolint:sqlclosecheck // the writer closes it. Of one payment: there is room for no more
		`INSERT INTO padding SELECT zeroblob(1000000) WHERE (SELECT COUNT(*) FROM payments) > 1; COMMIT`)
	must(t, err)
	usual := writer.prepared["COMMIT"]
	writer.prepared["COMMIT"] = commit
	t.Cleanup(func() { _ = usual.Close() })
	errs := make(chan error, 2)
	for i, c := range []pay.Change{first, second} {
		go func() { errs <- w.Apply(context.Background(), c) }()
		w.queued(i + 1)
	}
	let()
	one, other := <-errs, <-errs
	if (one == nil) == (other == nil) || !errors.Is(errors.Join(one, other), ErrFull) {
		t.Errorf("of two payments, with room for one: %v, %v", one, other)
	}
}

func TestCloseAnswersEverybody(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	let := w.held()
	errs := make(chan error, 300)
	for i := range 300 { // more than the queue holds
		c := w.newPayment(fmt.Sprint(i))
		go func() { errs <- w.Apply(context.Background(), c) }()
	}
	w.queued(maxGroup)
	closed := make(chan error)
	go func() { closed <- w.Close() }()
	let()
	must(t, <-closed)
	for range 300 {
		if err := <-errs; err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	if err := w.Apply(t.Context(), w.newPayment("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed database took a write: %v", err)
	}
}

func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	p := w.stored(w.newPayment("order"))
	let := w.held()
	defer let()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := w.Payment(ctx, p.ID); err != nil {
		t.Error(err)
	}
	if _, err := w.NextAttemptDue(ctx, []string{"acc"}); err != nil {
		t.Error(err)
	}
	if places, err := w.PlacesAfter(ctx, 0, 100); len(places) != 1 || err != nil {
		t.Error(places, err)
	}
	if err := w.read(ctx, stmt{text: `DELETE FROM events RETURNING id`, row: func(scan) error { return nil }}); err == nil || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("a reader wrote: %v", err)
	}
}

func TestOneProcessPerSQLiteFile(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	path := strings.TrimPrefix(w.opts.DSN, "sqlite:")
	if _, err := Open(t.Context(), w.opts); err == nil || !strings.Contains(err.Error(), path+".lock") {
		t.Errorf("a second Open must name the lock file: %v", err)
	}
	must(t, w.Close())
	must(t, w.Close())
	again := open(t, w.opts)
	if _, err := again.Shop(t.Context(), "shop"); err != nil {
		t.Error(err)
	}
}

// A new database holds secrets of webhooks before anybody could look at its mode.
func TestSQLiteFileIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	o := newLite(t).opts
	path := filepath.Join(t.TempDir(), "new.db") // the others' are copies
	o.DSN = "sqlite:" + path
	open(t, o)
	for _, name := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("others may read %s: %v", filepath.Base(name), info.Mode())
		}
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"3.51.2": true, "3.9.9": true, "3.51": true, "2.99.99": true, "x": true,
		"3.51.3": false, "3.51.10": false, "3.54.1": false, "4.0.0": false,
	} {
		if older(version, oldestSQLite) != want {
			t.Errorf("%s: %v", version, !want)
		}
	}
}

// The hot queries find their rows by an index; a scan or a sort of a whole table would grow with the shop.
func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	two, _ := list(4, []string{"a", "b"})
	one, _ := list(1, []string{"a", "b"})
	for _, q := range []struct {
		name, text string
		args       int
		want       []string
	}{
		{"by id", paymentByID.packed, 1, []string{"p USING INDEX sqlite_autoindex_payments_1", "a USING INDEX attempts_payment"}},
		{"by token", paymentByToken.packed, 1, []string{"payments_token"}},
		{"by order", paymentByOrder.packed, 2, []string{"payments_order ", "payments_order_closed"}},
		{"by out_trade_no", paymentByOutTradeNo.packed, 2, []string{"attempts_out_trade_no"}},
		{"by transaction", paymentByTransaction.packed, 2, []string{"attempts_transaction"}},
		{"refunds", selectRefunds.packed, 1, []string{"refunds_payment"}},
		{"by refund", paymentByRefund.packed, 2, []string{"sqlite_autoindex_refunds_1"}},
		{"by refund_no", paymentByRefundNo.packed, 2, []string{"refunds_number"}},
		{"bucket of refunds", fmt.Sprintf(refundBucket, two), 5, []string{"refunds_due"}},
		{"due refund", refundDue, 3, []string{"refunds_due (account=? AND due_at<?)"}},
		{"next due refund", fmt.Sprintf(refundNext, one), 2, []string{"refunds_due", "refunds_leased"}},
		{"release of a refund", refundRelease, 5, []string{"sqlite_autoindex_refunds_1"}},
		{"bucket", fmt.Sprintf(takeBucket, two), 5, []string{"attempts_due", "sqlite_autoindex_accounts_1"}},
		{"watched", claimWatched, 3, []string{"payments_watched", "attempts_payment"}},
		{"due", claimDue, 3, []string{"attempts_due (account=? AND due_at<?)"}},
		{"next due", fmt.Sprintf(attemptDue, one), 2, []string{"attempts_due", "attempts_leased"}},
		{"release", release, 5, []string{"sqlite_autoindex_attempts_1"}},
		{"news", news, 0, []string{"events_pos (pos=?)"}},
		{"places", placesAfter, 2, []string{"events_pos"}},
		{"events of a shop", selectShopEvents, 3, []string{"events_shop (shop=? AND pos>?)"}},
		{"fan out", fanOut, 2, []string{"events_pos (pos>?)"}},
		{"cursor", moveCursor, 1, []string{"events_pos (pos>?)"}},
		{"endpoint", w.sql.endpoint, 1, []string{"deliveries_due", "deliveries_leased"}},
		{"delivery", claimDelivery, 3, []string{"deliveries_due", "deliveries_leased"}},
		{"next delivery", deliveryDue, 1, []string{"deliveries_due", "deliveries_leased"}},
		{"kept exchanges", w.sql.kept.packed, 1, []string{"exchanges_same (attempt_id=?)"}},
		{"incident", insertIncident, 9, nil},
	} {
		plan := ""
		args := make([]any, q.args)
		for i := range args {
			args[i] = int64(1)
		}
		must(t, w.tx(t.Context(), func(run run) error {
			return run(stmt{text: "EXPLAIN QUERY PLAN " + q.text, args: args, row: func(scan scan) error {
				var id, parent, unused int64
				var detail string
				err := scan(&id, &parent, &unused, &detail)
				plan += detail + "\n"
				return err
			}})
		}))
		for _, want := range q.want {
			if !strings.Contains(plan, want) {
				t.Errorf("%s does not use %s:\n%s", q.name, want, plan)
			}
		}
		for _, line := range strings.Split(plan, "\n") {
			for _, table := range []string{"payments", "attempts", "events", "deliveries", "p", "a", "d", "h", "e"} {
				if line == "SCAN "+table && !strings.HasSuffix(q.text, "FROM endpoints p") && q.name != "endpoint" {
					t.Errorf("%s goes through all of %s:\n%s", q.name, table, plan)
				}
			}
		}
	}
}
