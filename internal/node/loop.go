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

// loops runs steps until their context ends, and owns all waking.
type loops struct {
	now   func() time.Time
	log   *slog.Logger
	wg    sync.WaitGroup
	wakes []chan struct{}
	still atomic.Bool // the clock is wrong: claim nothing
}

// run starts n goroutines that step. The first sleeps at most longestSleep between two steps, the others at most
// helperSleep; what is known to be due, and events, wake all of them. While our clock is wrong they rest.
func (l *loops) run(ctx context.Context, name string, n int, do step) {
	most := longestSleep
	for range n {
		l.always(ctx, name, most, func(ctx context.Context) (time.Time, error) {
			if l.still.Load() {
				return time.Time{}, nil
			}
			return do(ctx)
		})
		most = helperSleep
	}
}

// always is run without the rest, sleeping at most most.
func (l *loops) always(ctx context.Context, name string, most time.Duration, do step) {
	wake := make(chan struct{}, 1)
	l.wakes = append(l.wakes, wake)
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
				sleep(ctx, wait, wake)
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

// wakeAll ends every sleep.
func (l *loops) wakeAll() {
	for _, w := range l.wakes {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// wakeOn ends every sleep each time the channel signals.
func (l *loops) wakeOn(ctx context.Context, signal <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signal:
			l.wakeAll()
		}
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
