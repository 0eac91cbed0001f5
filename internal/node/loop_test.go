package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"piaohao/internal/bell"
)

// In a synctest bubble time.After is virtual: no test here waits.
func newLoops() *loops { return &loops{now: time.Now, log: slog.New(slog.DiscardHandler)} }

func TestLoopSleepsUntilDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		l, steps, bell := newLoops(), atomic.Int64{}, bell.New(1)
		l.run(ctx, 1, job{name: "test", bell: bell, do: func(context.Context) (time.Time, error) {
			steps.Add(1)
			return time.Now().Add(300 * time.Millisecond), nil
		}})
		<-time.After(time.Second)
		synctest.Wait()
		if n := steps.Load(); n != 4 { // at 0, 300, 600, 900 ms
			t.Errorf("%d steps in a second", n)
		}
		bell.Ring()
		synctest.Wait()
		if n := steps.Load(); n != 5 {
			t.Errorf("a ring made %d steps", n-4)
		}
		stop()
		l.wg.Wait()
	})
}

// Loops that do the same look less often than the first, and a ring wakes one of them.
func TestHelpersLookLessOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		l, steps, bell := newLoops(), atomic.Int64{}, bell.New(1)
		l.run(ctx, 3, job{name: "test", bell: bell, do: func(context.Context) (time.Time, error) { steps.Add(1); return time.Time{}, nil }})
		<-time.After(9500 * time.Millisecond)
		synctest.Wait()
		if n := steps.Load(); n != 10+2*2 { // at 0, 1, … 9 s, and twice at 0 and 5 s
			t.Errorf("%d steps in 9.5 seconds", n)
		}
		bell.Ring()
		synctest.Wait()
		if n := steps.Load(); n != 10+2*2+1 {
			t.Errorf("a ring made %d steps", n-14)
		}
		stop()
		l.wg.Wait()
	})
}

// A look costs less than a step, which may be a claim: there is no step until something is due, whoever woke the loop.
func TestLoopLooksBeforeItClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		l, looks, steps, bell := newLoops(), atomic.Int64{}, atomic.Int64{}, bell.New(1)
		var due atomic.Pointer[time.Time]
		due.Store(&time.Time{})
		broken := errors.New("away")
		l.run(ctx, 1, job{"test", bell, func(context.Context) (time.Time, error) {
			if looks.Add(1) == 1 {
				return time.Now(), broken
			}
			return *due.Load(), nil
		}, func(context.Context) (time.Time, error) {
			steps.Add(1)
			due.Store(&time.Time{})
			return time.Now(), nil
		}})
		seen := func(when string, wantLooks, wantSteps int64) {
			t.Helper()
			synctest.Wait()
			if looks.Load() != wantLooks || steps.Load() != wantSteps {
				t.Errorf("%s: %d looks and %d steps, want %d and %d", when, looks.Load(), steps.Load(), wantLooks, wantSteps)
			}
		}
		<-time.After(50 * time.Millisecond)
		seen("a failed look", 1, 0)
		<-time.After(4 * time.Second) // the pause of 0.1 s, then each second
		seen("nothing is due", 5, 0)
		bell.Ring()
		seen("a ring for nothing", 6, 0)
		soon := time.Now().Add(300 * time.Millisecond)
		due.Store(&soon)
		bell.Ring()
		seen("something is due soon", 7, 0)
		<-time.After(350 * time.Millisecond)
		seen("it is due", 9, 1) // and looks for the next
		stop()
		l.wg.Wait()
	})
}

func TestFailedStepsPauseLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		l, steps := newLoops(), atomic.Int64{}
		l.run(ctx, 1, job{name: "test", do: func(context.Context) (time.Time, error) {
			steps.Add(1)
			return time.Time{}, errors.New("away")
		}})
		<-time.After(time.Minute)
		synctest.Wait()
		if n := steps.Load(); n < 12 || n > 20 { // 0.1, 0.2, … 3.2, then each 5 s
			t.Errorf("%d steps in a minute of failure", n)
		}
		stop()
		l.wg.Wait()
	})
}

func TestA39WrongClockClaimsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		l, steps, drift := newLoops(), atomic.Int64{}, atomic.Int64{}
		theirs := func(context.Context) (time.Time, error) {
			return time.Now().Add(time.Duration(drift.Load())), nil
		}
		l.always(ctx, "clock", clockEvery, l.watchClock(theirs))
		l.run(ctx, 1, job{name: "test", do: func(context.Context) (time.Time, error) { steps.Add(1); return time.Time{}, nil }})
		for _, row := range []struct {
			drift time.Duration
			steps bool
		}{{0, true}, {10 * time.Minute, false}, {-10 * time.Minute, false}, {2*time.Second + 1, false}, {2 * time.Second, true}, {0, true}} {
			drift.Store(int64(row.drift))
			<-time.After(clockEvery + time.Second)
			before := steps.Load()
			<-time.After(10 * time.Second)
			if got := steps.Load() > before; got != row.steps {
				t.Errorf("A39 drift %v: worked %t", row.drift, got)
			}
		}
		stop()
		l.wg.Wait()
	})
}

func TestTestKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := loadTestKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := loadTestKeys(dir)
	if err != nil || again != first {
		t.Fatalf("keys are kept: %v", err)
	}
	path := filepath.Join(dir, keysFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadTestKeys(dir); err == nil {
		t.Fatal("a damaged file passes")
	}
}
