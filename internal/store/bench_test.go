package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"piaohao/internal/pay"
)

// callers is how many goroutines write at once (performance goals are stated for 64).
const callers = 64

// benchWorld is a database whose clock stands still, without a *testing.T.
func benchWorld(b *testing.B, dsn string) *world {
	b.Helper()
	w := &world{clock: &clock{now: start}, ids: new(atomic.Int64)}
	w.DB = open(b, Options{DSN: dsn, Mode: "test", Now: w.clock.Now, NewID: w.id, Log: slog.New(slog.DiscardHandler), AllowUnsafe: true})
	return w
}

// creates are payments with one attempt and one event each: what a create writes.
func (w *world) creates(n int) []pay.Change {
	changes := make([]pay.Change, n)
	for i := range changes {
		changes[i] = w.newPayment(fmt.Sprint("order", i))
	}
	return changes
}

// BenchmarkApply is Apply as callers see it: 64 at once, each waiting for its durable commit.
func BenchmarkApply(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			w := benchWorld(b, e.dsn(b))
			changes := w.creates(b.N)
			b.ResetTimer()
			w.share(b, len(changes), func(i int) error { return w.Apply(context.Background(), changes[i]) })
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}

// BenchmarkBareGroupedCommit is its floor on SQLite: the same rows, statements and driver, 64 to a commit, from one
// goroutine, with nobody to answer.
func BenchmarkBareGroupedCommit(b *testing.B) {
	w := benchWorld(b, "sqlite:"+b.TempDir()+"/test.db")
	writer := w.engine.(*lite).writer
	batches := make([][]stmt, b.N)
	for i, c := range w.creates(b.N) {
		batches[i] = w.statements(c)
	}
	b.ResetTimer()
	for begin := 0; begin < len(batches); begin += callers {
		must(b, w.tx(context.Background(), func(run) error { // on the writer's goroutine, in its transaction
			for _, batch := range batches[begin:min(begin+callers, len(batches))] {
				for _, s := range batch {
					if err := writer.exec(s); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
}

// BenchmarkSingleCaller shows that one caller alone waits for nobody.
func BenchmarkSingleCaller(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			w := benchWorld(b, e.dsn(b))
			changes := w.creates(b.N)
			b.ResetTimer()
			for _, c := range changes {
				must(b, w.Apply(context.Background(), c))
			}
		})
	}
}

// BenchmarkPayment loads a payment with one attempt by its token.
func BenchmarkPayment(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			w := benchWorld(b, e.dsn(b))
			c := w.newPayment("order")
			must(b, w.Apply(context.Background(), c))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.PaymentByToken(context.Background(), c.Payment.Token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// share runs f(0…n-1) on 64 goroutines.
func (w *world) share(b *testing.B, n int, f func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
