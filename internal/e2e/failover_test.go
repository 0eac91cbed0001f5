package e2e_test

import (
	"context"
	"database/sql"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"piaohao/internal/e2e/totals"
	"piaohao/internal/store/storetest"
)

// failoverPlan is the size of TestFailover: one failover of a run that pays about half before it.
func failoverPlan() nodesPlan {
	p := nodesPlan{nodes: 2}
	p.killPlan = killPlan{payments: 24, refunds: 1, pace: 50 * time.Millisecond, pays: time.Second, limit: 3 * time.Minute}
	if os.Getenv("PIAOHAO_SOAK") == "1" {
		p.killPlan = killPlan{payments: 1000, refunds: 2, pace: 50 * time.Millisecond, pays: payWithin, limit: 15 * time.Minute}
	}
	p.watched = p.payments / 4
	return p
}

// TestFailover kills the PostgreSQL primary under two nodes at work, and its synchronous standby takes over. For a while
// before, the standby stands still, so that a commit that did not wait for it would be lost. What was told to a platform or
// shop before is there afterwards, and the run ends with the same books as without a failover. The nodes go on by
// themselves. It covers I-16 and A76.
func TestFailover(t *testing.T) {
	t.Parallel()
	plan := failoverPlan()
	ctx, cancel := context.WithTimeout(t.Context(), plan.limit)
	defer cancel()
	start := time.Now()
	pair := storetest.NewPair(t)
	r := newNodesRun(ctx, t, plan, pair.DSN())
	var events, notices int
	r.wg.Go(func() {
		r.someTold(ctx, plan.payments/4)
		events, notices = r.failOver(ctx, pair)
	})
	r.load(ctx)
	r.settle(ctx)
	r.refundAll(ctx)
	r.settleRefunds(ctx)
	took := time.Since(start)
	r.checkBooks(ctx)
	refunds, back := r.checkMoney(ctx, r.db)
	r.checkRows(r.db)
	totals.Write(t, "failover", totals.Row{What: "payments", Found: plan.payments}, totals.Row{What: "seconds", Found: int(took.Seconds())},
		totals.Row{What: "events told before the failover, all there after it", Found: events},
		totals.Row{What: "notices told success before it, all there after it", Found: notices},
		totals.Row{What: "refunds", Found: refunds}, totals.Row{What: "fen refunded", Found: back},
		totals.Row{What: "creates repeated by the shop", Found: r.retries.Load()})
}

// TestPausedNodes stops each of two nodes in turn, in the middle of platform calls, for longer than a lease, and lets it go
// on: what it then writes comes too late and is refused. The books are those of a run without pauses. It covers I-12.
func TestPausedNodes(t *testing.T) {
	t.Parallel()
	plan := nodesPlan{nodes: 2, most: 1}
	plan.killPlan = killPlan{payments: 8, refunds: 1, pace: 200 * time.Millisecond, pays: time.Second, limit: 4 * time.Minute}
	if os.Getenv("PIAOHAO_SOAK") == "1" {
		plan.most = 20
		plan.killPlan = killPlan{payments: 2000, refunds: 2, pace: 250 * time.Millisecond, pays: payWithin, limit: 40 * time.Minute}
	}
	ctx, cancel := context.WithTimeout(t.Context(), plan.limit)
	defer cancel()
	start := time.Now()
	r := newNodesRun(ctx, t, plan, storetest.Empty(t))
	var held int64
	var pauses sync.WaitGroup
	pauses.Go(func() {
		for i := range plan.most {
			held += r.pauseOnce(ctx, r.running[i%plan.nodes])
		}
	})
	r.load(ctx)
	r.settle(ctx)
	r.refundAll(ctx)
	pauses.Wait()
	r.settleRefunds(ctx)
	took := time.Since(start)
	r.checkBooks(ctx)
	refunds, back := r.checkMoney(ctx, r.db)
	r.checkRows(r.db)
	if held == 0 {
		t.Error("no node was stopped while a platform call was in flight")
	}
	totals.Write(t, "pauses", totals.Row{What: "payments", Found: plan.payments}, totals.Row{What: "seconds", Found: int(took.Seconds())},
		totals.Row{What: "pauses longer than a lease", Found: plan.most},
		totals.Row{What: "platform calls in flight when they began", Found: held},
		totals.Row{What: "refunds", Found: refunds}, totals.Row{What: "fen refunded", Found: back},
		totals.Row{What: "creates repeated by the shop", Found: r.retries.Load()})
}

// pastLease is longer than any lease (gateway: 20 s).
const pastLease = 23 * time.Second

// pauseOnce stops a node right after a platform was called, and lets it go on when its leases have ended. It returns how
// many calls were in flight.
func (r *nodesRun) pauseOnce(ctx context.Context, p *process) (held int64) {
	select {
	case <-r.platform.called:
	case <-ctx.Done():
		return 0
	}
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		r.t.Error(err)
	}
	held = r.platform.inFlight.Load()
	timer := time.NewTimer(pastLease)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		r.t.Error(err)
	}
	return held
}

// someTold waits until the shop has heard of n payments.
func (r *nodesRun) someTold(ctx context.Context, n int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(r.buyers)-len(r.sink.missing(r.buyers)) < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// failOver lets the standby stand still for a second, kills the primary, promotes the standby and looks there for what had
// been told.
func (r *nodesRun) failOver(ctx context.Context, pair *storetest.Pair) (events, notices int) {
	pair.Standby.Pause(r.t)
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	pair.Primary.Kill(r.t)
	r.sink.mu.Lock()
	ids := slices.Collect(maps.Values(r.sink.paid))
	r.sink.mu.Unlock()
	r.front.mu.Lock()
	told := slices.Clone(r.front.told)
	r.front.mu.Unlock()
	pair.Standby.Resume(r.t)
	pair.Standby.Promote(r.t)

	db, err := sql.Open("pgx", pair.Standby.DSN("shop"))
	if err != nil {
		r.t.Error(err)
		return 0, 0
	}
	defer func() { _ = db.Close() }()
	for _, id := range ids {
		r.has(ctx, db, "event "+id, `SELECT COUNT(*) FROM events WHERE type = 'payment.paid' AND id = $1`, id)
	}
	for _, no := range told {
		r.has(ctx, db, "payment of "+no, `SELECT COUNT(*) FROM attempts WHERE status = 'paid' AND out_trade_no = $1`, no)
	}
	return len(ids), len(told)
}

func (r *nodesRun) has(ctx context.Context, db *sql.DB, what, query string, arg string) {
	var n int
	if err := db.QueryRowContext(ctx, query, arg).Scan(&n); err != nil || n != 1 {
		r.t.Errorf("told before the failover and not there after it: %s (%d, %v)", what, n, err)
	}
}
