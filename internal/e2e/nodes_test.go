package e2e_test

import (
	"context"
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"piaohao/internal/e2e/totals"
	"piaohao/internal/store/storetest"
)

var nodesPayments = flag.Int("nodes.payments", 0, "payments of TestNodes; 0 = 24, or 10,000 with PIAOHAO_SOAK=1")

// nodesPlan is the size of a run with several nodes.
type nodesPlan struct {
	killPlan
	nodes int
	every time.Duration // between two kills
	most  int           // kills; what a killed node held is free again after its lease, which the short run does not repeat
}

func nodesPlanOf() nodesPlan {
	p := nodesPlan{nodes: 2, every: time.Second, most: 2}
	p.killPlan = killPlan{payments: 24, refunds: 1, pace: 50 * time.Millisecond, pays: time.Second, limit: 3 * time.Minute}
	if os.Getenv("PIAOHAO_SOAK") == "1" {
		p.every, p.most = 5*time.Second, 1000
		p.killPlan = killPlan{payments: 10_000, refunds: 3, pace: 30 * time.Millisecond, pays: payWithin, limit: 90 * time.Minute}
	}
	if *nodesPayments > 0 {
		p.payments = *nodesPayments
	}
	p.watched = min(p.payments, max(40, p.payments*3/10))
	return p
}

// TestNodes runs several nodes on one PostgreSQL, each a process of its own, with the simulator as another. Every request
// of the shop, of payers and of the platforms goes to a random node; every few seconds one is killed with SIGKILL and
// started again; the simulator loses three notices in ten for ever. Then parts of the money go back. In the end the
// simulator's books and ours agree to the fen, each change has one event, and no refund went beyond its money.
// It covers I-01, I-04, I-05, I-06, I-08, I-11 and I-12 on whole processes.
func TestNodes(t *testing.T) {
	t.Parallel()
	plan := nodesPlanOf()
	ctx, cancel := context.WithTimeout(t.Context(), plan.limit)
	defer cancel()
	start := time.Now()
	r := newNodesRun(ctx, t, plan, storetest.Empty(t))
	stop := r.killing(ctx)
	r.load(ctx) // the plan has no kills of killRun's own
	loaded := time.Since(start)
	r.settle(ctx)
	paid := time.Since(start)
	r.refundAll(ctx)
	stop()
	r.settleRefunds(ctx)
	took := time.Since(start)
	refunds, back := r.checkMoney(ctx, r.db)
	r.checkRows(r.db)
	r.drain()
	totals.Write(t, "nodes", totals.Row{What: "payments", Found: plan.payments}, totals.Row{What: "nodes", Found: plan.nodes},
		totals.Row{What: "seconds, until all were ordered", Found: int(loaded.Seconds())},
		totals.Row{What: "seconds, until the shop had heard of all", Found: int(paid.Seconds())},
		totals.Row{What: "seconds in all", Found: int(took.Seconds())},
		totals.Row{What: "kills", Found: r.kills.Load()},
		totals.Row{What: "refunds", Found: refunds}, totals.Row{What: "fen refunded", Found: back},
		totals.Row{What: "notices that came", Found: len(r.front.came)}, totals.Row{What: "their tries", Found: r.front.tries},
		totals.Row{What: "creates repeated by the shop", Found: r.retries.Load()})
}

// killing kills a random node each time and starts it again at once, until the returned function is called: then all
// nodes run.
func (r *nodesRun) killing(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(r.nodes.every)
		defer tick.Stop()
		for range r.nodes.most {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			i := r.dice(len(r.running))
			r.running[i].kill(r.t)
			r.startNode(context.WithoutCancel(ctx), i)
			r.kills.Add(1)
		}
	})
	return func() { cancel(); group.Wait() }
}
