// Package e2e_test runs the program as its users do: as processes, over HTTP.
package e2e_test

import (
	"context"
	"flag"
	"os"
	"slices"
	"testing"
	"time"
)

var (
	killPayments = flag.Int("kill.payments", 0, "payments of TestKill; 0 = 100, or 1,000 with PIAOHAO_SOAK=1")
	killKills    = flag.Int("kill.kills", -1, "kills of TestKill; -1 = 4, or 20 with PIAOHAO_SOAK=1")
)

// killPlan is the size of a run.
type killPlan struct {
	payments int
	kills    int           // while payers pay
	watched  int           // payments whose payer keeps the page open
	pace     time.Duration // between two creates
	limit    time.Duration // of the whole run
	pays     time.Duration // a payer takes a random time up to this

	refunds     int // of one payment, at most
	refundKills int // while money goes back
}

// Bounds of the run. Whoever watches a page may see an old state for at most stale after the payment's event: a page
// polls each 3 s, and a kill with the start after it costs a page some polls.
const (
	payWithin = 8 * time.Second
	pollEvery = 3 * time.Second // live.js
	stale     = 15 * time.Second
)

func killPlanOf() killPlan {
	p := killPlan{payments: 100, kills: 4, refunds: 1, refundKills: 2, pace: 80 * time.Millisecond, limit: 3 * time.Minute, pays: payWithin}
	soak := os.Getenv("PIAOHAO_SOAK") == "1" || *killPayments > 500
	if soak {
		p = killPlan{payments: 1000, kills: 20, refunds: 3, refundKills: 10, pace: 100 * time.Millisecond, limit: 15 * time.Minute, pays: payWithin}
	}
	if *killPayments > 0 {
		p.payments = *killPayments
	}
	if *killKills >= 0 {
		p.kills = *killKills
	}
	// A lost notice of a payment that nobody watches costs up to a minute, which is for the long run.
	p.watched = p.payments
	if soak {
		p.watched = p.payments * 3 / 10
	}
	return p
}

// TestKill kills the gateway with SIGKILL at random moments under load, while the simulator (a process of its own)
// loses, doubles and delays notices and the shop's endpoint fails, and starts it again at once on the same data. In the
// end every payer's money is one paid payment, one event and at least one webhook, no page shows an old state, and what
// went back is what the shop asked for, here and in the platform's books.
// It covers I-01, I-04, I-05, I-06, I-08, I-09 and I-11 on whole processes.
func TestKill(t *testing.T) {
	t.Parallel()
	plan := killPlanOf()
	ctx, cancel := context.WithTimeout(t.Context(), plan.limit)
	defer cancel()
	start := time.Now()
	r := newKillRun(ctx, t, plan)
	r.load(ctx)
	r.settle(ctx)
	r.wg.Go(func() {
		for range plan.refundKills {
			r.killOnce(ctx)
		}
	})
	r.refundAll(ctx)
	r.wg.Wait()
	r.settleRefunds(ctx)
	took := time.Since(start)
	r.checkBooks(ctx)
	db := r.files()
	refunds, back := r.checkMoney(ctx, db)
	r.stop()
	r.checkDatabase(db)
	r.report(took, refunds, back)
}

// load starts one payer each pace and kills the gateway when the payments of its thresholds have started.
func (r *killRun) load(ctx context.Context) {
	thresholds := r.thresholds()
	due := make(chan struct{}, len(thresholds))
	r.wg.Go(func() {
		for range due {
			r.killOnce(ctx)
		}
	})
	pace := time.NewTicker(r.plan.pace)
	defer pace.Stop()
	for i, b := range r.buyers {
		if slices.Contains(thresholds, i) {
			due <- struct{}{}
		}
		r.wg.Go(func() { r.buy(ctx, b) })
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
	close(due)
	r.wg.Wait()
}

// thresholds spread the kills over the payments, each at a random one of its share.
func (r *killRun) thresholds() []int {
	out := make([]int, r.plan.kills)
	for i := range out {
		from, to := i*r.plan.payments/r.plan.kills, (i+1)*r.plan.payments/r.plan.kills
		out[i] = from + r.dice(to-from)
	}
	return out
}

// killOnce kills the running gateway after a random time, every other time within a platform call's, and starts it.
func (r *killRun) killOnce(ctx context.Context) {
	if len(r.inFlight)%2 == 0 {
		select {
		case <-r.platform.called:
		case <-ctx.Done():
			return
		}
		r.pause(ctx, leastLatency)
	} else {
		r.pause(ctx, time.Second)
	}
	n := r.platform.inFlight.Load()
	r.gateway.kill(r.t)
	down := time.Now()
	r.startGateway(ctx)
	r.t.Logf("kill %d: %d platform calls in flight, serving again after %d ms", len(r.inFlight)+1, n, time.Since(down).Milliseconds())
	r.inFlight = append(r.inFlight, n)
	r.down = append(r.down, time.Since(down))
}

// settle waits until the shop has every payment's webhook and every page has ended.
func (r *killRun) settle(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := r.sink.missing(r.buyers)
		open := r.pagesOpen.Load()
		if len(missing) == 0 && open == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("not decided in time: %d pages wait, %d orders without a webhook, such as %v", open, len(missing), missing[:min(len(missing), 10)])
		}
	}
}
