package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"piaohao/client"
)

var nodesPayments = flag.Int("nodes.payments", 0, "payments of TestNodes; 0 = 24, or 10,000 with PIAOHAO_SOAK=1")

// nodesPlan is the size of a run with several nodes.
type nodesPlan struct {
	killPlan
	nodes   int
	every   time.Duration // between two kills
	most    int           // kills; what a killed node held is free again after its lease, which the short run does not repeat
	refunds int           // of one payment, at most
}

func nodesPlanOf() nodesPlan {
	p := nodesPlan{nodes: 2, every: time.Second, most: 2, refunds: 1}
	p.killPlan = killPlan{payments: 24, pace: 50 * time.Millisecond, pays: time.Second, limit: 3 * time.Minute}
	if os.Getenv("PIAOHAO_SOAK") == "1" {
		p.every, p.most, p.refunds = 5*time.Second, 1000, 3
		p.killPlan = killPlan{payments: 10_000, pace: 60 * time.Millisecond, pays: payWithin, limit: 90 * time.Minute}
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
	r := newNodesRun(ctx, t, plan)
	stop := r.killing(ctx)
	r.load(ctx) // the plan has no kills of killRun's own
	loaded := time.Since(start)
	r.settle(ctx)
	paid := time.Since(start)
	r.refundAll(ctx)
	stop()
	r.settleRefunds(ctx)
	took := time.Since(start)
	r.checkMoney(ctx)
	r.checkRows(ctx)
	r.drain()
	t.Logf("%d payments on %d nodes in %.1f s (all ordered after %.1f, all told after %.1f): %d kills; %d refunds of %d fen; %d tries of %d notices, those of refunds included; creates repeated %d times",
		plan.payments, plan.nodes, took.Seconds(), loaded.Seconds(), paid.Seconds(), r.kills.Load(), r.refunded.Load(), r.back.Load(), r.front.tries,
		len(r.front.came), r.retries.Load())
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

// refundWorkers are how many refunds a shop asks for at once.
const refundWorkers = 16

// refundAll returns random parts of six payments in ten, where the platform's simulator and our channel can.
func (r *nodesRun) refundAll(ctx context.Context) {
	able := map[string]bool{}
	for _, b := range r.buyers[:2] { // one of each method
		able[b.method] = r.probe(ctx, b)
		r.t.Logf("%s refunds: %v", b.method, able[b.method])
	}
	work := make(chan *buyer)
	var group sync.WaitGroup
	for range refundWorkers {
		group.Go(func() {
			for b := range work {
				r.refundSome(ctx, b)
			}
		})
	}
	for _, b := range r.buyers[2:] {
		if able[b.method] && r.dice(10) < 6 {
			work <- b
		}
	}
	close(work)
	group.Wait()
}

// probe refunds one fen of b and tells whether it reaches its end: a build without refunds says that it cannot.
func (r *nodesRun) probe(ctx context.Context, b *buyer) bool {
	f, ok := r.refund(ctx, b, "probe-"+b.order, 1)
	for ok && ctx.Err() == nil {
		switch {
		case f.Status == client.RefundSucceeded:
			return true
		case f.Code == cannotRefund:
			return false
		}
		r.pause(ctx, time.Second)
		if got, err := r.shop.GetRefund(ctx, f.ID); err == nil {
			f = got
		}
	}
	return false
}

const cannotRefund = "cannot_refund"

// refundSome asks for up to plan.refunds parts, and for one that exceeds what is left: it must be refused.
func (r *nodesRun) refundSome(ctx context.Context, b *buyer) {
	left := b.amount
	for i := range 1 + r.dice(r.nodes.refunds) {
		part := 1 + int64(r.dice(int(left)))
		if _, ok := r.refund(ctx, b, fmt.Sprintf("%s-r%d", b.order, i), part); ok {
			left -= part
		}
		if left == 0 {
			return
		}
	}
	if _, ok := r.refund(ctx, b, b.order+"-beyond", left+1); ok {
		r.t.Errorf("%s of %d fen: a refund of %d was taken when %d were left", b.order, b.amount, left+1, left)
	}
}

// refund repeats the same request until a node answers; false: it was refused.
func (r *nodesRun) refund(ctx context.Context, b *buyer, no string, fen int64) (client.Refund, bool) {
	for ctx.Err() == nil {
		f, err := r.shop.CreateRefund(ctx, b.payment, client.RefundParams{RefundNo: no, Amount: fen, Reason: "no tea"})
		if err == nil {
			r.mu.Lock()
			r.asked[no] = fen
			r.mu.Unlock()
			return f, true
		}
		var refusal *client.Error
		if errors.As(err, &refusal) && refusal.Status/100 != 5 {
			if refusal.Code != tooMuch {
				r.t.Errorf("refund %s: %v", no, err)
			}
			return f, false
		}
		r.pause(ctx, 300*time.Millisecond)
	}
	return client.Refund{}, false
}

const tooMuch = "refund_too_much"
