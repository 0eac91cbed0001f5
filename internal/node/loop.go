package node

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// The times of the loops.
const (
	longestSleep  = time.Second            // another node's change is seen at the latest after this
	helperSleep   = 5 * time.Second        // of a loop beside others that do the same: one that looks is enough while there is nothing to do
	tailSleep     = 500 * time.Millisecond // another node's events
	firstPause    = 100 * time.Millisecond // after a failed step; doubles
	longestPause  = 5 * time.Second
	clockEvery    = time.Minute
	clockMaxDrift = 2 * time.Second // beyond it a node claims nothing
)

// step does one thing that is due and says when the next one is: the zero time when nothing is known.
type step func(ctx context.Context) (next time.Time, err error)

// job is what several loops share.
type job struct {
	name string
	bell <-chan struct{} // each ring ends the sleep of one
	look step            // only says when do is due, at less cost; nil when do costs no more
	do   step
}

func (j job) step(ctx context.Context, now func() time.Time) (next time.Time, err error) {
	if j.look != nil {
		next, err := j.look(ctx)
		if err != nil || next.IsZero() || next.After(now()) {
			return next, err
		}
	}
	return j.do(ctx)
}

// loops run steps until their context ends.
type loops struct {
	now   func() time.Time
	log   *slog.Logger
	wg    sync.WaitGroup
	still atomic.Bool // the clock is wrong: claim nothing
}

// run starts n goroutines that do j. The first sleeps at most longestSleep between two steps, the others at most
// helperSleep, and all of them no longer than until what is known to be due. While our clock is wrong they rest.
func (l *loops) run(ctx context.Context, n int, j job) {
	most := longestSleep
	for range n {
		l.loop(ctx, j.name, most, j.bell, func(ctx context.Context) (time.Time, error) {
			if l.still.Load() {
				return time.Time{}, nil
			}
			return j.step(ctx, l.now)
		})
		most = helperSleep
	}
}

// always starts one goroutine that steps, also while our clock is wrong.
func (l *loops) always(ctx context.Context, name string, most time.Duration, do step) {
	l.loop(ctx, name, most, nil, do)
}

func (l *loops) loop(ctx context.Context, name string, most time.Duration, bell <-chan struct{}, do step) {
	l.wg.Go(func() {
		pause := firstPause
		for ctx.Err() == nil {
			next, err := do(ctx)
			wait := l.until(next, most)
			if err != nil {
				l.log.Error("step failed", "step", name, "cause", err)
				wait, pause = pause, min(2*pause, longestPause)
			} else {
				pause = firstPause
			}
			if wait > 0 {
				sleep(ctx, wait, bell)
			}
		}
	})
}

func (l *loops) until(next time.Time, most time.Duration) time.Duration {
	if next.IsZero() {
		return most
	}
	return min(next.Sub(l.now()), most)
}

func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}

// watchClock compares our clock with the database's: a node that is wrong would expire and claim wrongly.
func (l *loops) watchClock(theirs func(context.Context) (time.Time, error)) step {
	return func(ctx context.Context) (time.Time, error) {
		before := l.now()
		t, err := theirs(ctx)
		if err != nil {
			return time.Time{}, err
		}
		drift := max(t.Sub(l.now()), before.Sub(t)) // the round trip is nobody's fault
		wrong := drift > clockMaxDrift
		if l.still.Swap(wrong) != wrong {
			l.log.Error("clock checked against the database", "wrong", wrong, "drift_ms", drift.Milliseconds(),
				"cure", "set this machine's clock (NTP); until then this node claims no work")
		}
		return time.Time{}, nil
	}
}
