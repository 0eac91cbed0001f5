package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"piaohao/internal/pay"
	"piaohao/internal/store/storetest"
)

// A commit whose answer was lost is unknown: it is neither repeated nor taken for refused, and whoever loads again sees
// which of the two it was. So it is when the server, or a pooler before it, could still say that it goes: a server whose
// log could not be flushed says PANIC, and finds the commit in that log when it comes up again.
func TestLostAnswerOfACommit(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, severity, code string }{
		{"nothing is heard", "", ""},
		{"the server is shut down", "FATAL", "57P01"},
		{"the server's log failed", "PANIC", "58030"},
		{"the disk of the server's log is full", "PANIC", "53100"},
		{"a pooler lost the server", "FATAL", "08P01"},
	} {
		for name, after := range map[string]bool{"A74 before it was written": false, "A74 after it was written": true} {
			t.Run(name+", "+row.name, func(t *testing.T) {
				t.Parallel()
				wire := storetest.NewWire(t, newPostgresDatabase(t))
				w := newWorld(t, wire.DSN)
				first := w.stored(w.newPayment("warm"))
				c := w.paid(first, 0, "tx-lost")
				if wire.Cut("tx-lost", after); row.severity != "" {
					must(t, wire.CutSaying("tx-lost", after, row.severity, row.code))
				}
				if err := w.Apply(t.Context(), c); !errors.Is(err, ErrUnknown) || wire.Cuts() != 1 {
					t.Fatalf("%v, %d cuts", err, wire.Cuts())
				}
				if got := w.loaded(first.ID); got.IsPaid() != after {
					t.Errorf("paid %v", got.IsPaid())
				}
				want := map[bool]error{false: nil, true: ErrStale}[after]
				if err := w.Apply(t.Context(), c); !errors.Is(err, want) {
					t.Errorf("again: %v", err)
				}
				if n := w.count(`SELECT COUNT(*) FROM events WHERE type = 'payment.paid'`); n != 1 {
					t.Errorf("%d events", n)
				}
			})
		}
	}
}

// Reading is repeated when the connection breaks.
func TestReadOverABrokenConnection(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		wire := storetest.NewWire(t, newPostgresDatabase(t))
		w := newWorld(t, wire.DSN)
		p := w.stored(w.newPayment("o"))
		wire.Cut(p.ID, after)
		if got := w.loaded(p.ID); got.ID != p.ID || wire.Cuts() != 1 {
			t.Errorf("%+v, %d cuts", got, wire.Cuts())
		}
	}
}

// counting notes each batch and each query of a connection.
type counting struct{ batches, queries, statements int }

func (c *counting) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.batches++
	return ctx
}

func (c *counting) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {
	c.statements++
}
func (c *counting) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
func (c *counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.queries++
	return ctx
}
func (c *counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A Change is one batch without BEGIN, COMMIT or anything else beside it.
func TestOneRoundTripPerChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPostgresDatabase(t))
	p := w.stored(w.newPayment("o"))
	config, err := postgresConfig(w.opts.DSN)
	must(t, err)
	trace := &counting{}
	config.ConnConfig.Tracer = trace
	traced, err := poolOf(t.Context(), config)
	must(t, err)
	defer traced.Close()
	w.engine = newPG(traced)
	changes := []pay.Change{w.newPayment("new"), w.paid(p, 0, "tx")}
	for i, c := range changes {
		*trace = counting{}
		must(t, w.Apply(t.Context(), c))
		if trace.batches != 1 || trace.queries != 0 || trace.statements < 3 {
			t.Errorf("change %d: %+v", i, *trace)
		}
	}
}

// The bounds of a connection hold at the server, and what the address says about them wins.
func TestBoundsOfAConnection(t *testing.T) {
	t.Parallel()
	dsn := newPostgresDatabase(t)
	for _, row := range []struct{ more, statement string }{{"", "8s"}, {"&statement_timeout=3000&connect_timeout=2", "3s"}} {
		w := newWorld(t, dsn+row.more)
		var got, idle string
		must(t, w.found(t.Context(), `SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')`, nil, &got, &idle))
		c := w.engine.(*pg).pool.Config()
		if got != row.statement || idle != "10s" || c.MaxConns != maxConns || c.ConnConfig.ConnectTimeout > connectTimeout ||
			c.ConnConfig.ConnectTimeout == 0 || c.MaxConnIdleTime != idleAfter {
			t.Errorf("%q: %s %s, %d connections, connecting takes %v", row.more, got, idle, c.MaxConns, c.ConnConfig.ConnectTimeout)
		}
	}
	w := newWorld(t, dsn+"&statement_timeout=3000") // opening it is under the bound too
	if err := w.read(t.Context(), stmt{text: `SELECT pg_sleep(20)`, row: func(scan) error { return nil }}); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("a statement without an end: %v", err)
	}
}

// Serialization failures are tried again, and not for ever.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPostgresDatabase(t))
	for _, row := range []struct {
		fails int
		code  string
		tries int
		ok    bool
	}{
		{2, pgSerialization, 3, true},
		{2, pgDeadlock, 3, true},
		{99, pgSerialization, maxTries, false},
		{99, "22012", 1, false},
		{99, pgShutdown, 1, false},
	} {
		tries := 0
		err := w.tx(t.Context(), func(run run) error {
			if tries++; tries <= row.fails {
				return run(stmt{text: fmt.Sprintf(`DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '%s'; END $$`, row.code)})
			}
			return nil
		})
		if tries != row.tries || (err == nil) != row.ok || errors.Is(err, ErrUnknown) != (row.code == pgShutdown) {
			t.Errorf("%+v: %d tries, %v", row, tries, err)
		}
	}
}

// A claim of a delivery waits for no disk, and nothing after it on the same connection is written like that.
func TestTentativeIsDurableWithWhatFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPostgresDatabase(t))
	setting := func(within func(context.Context, func(run) error) error) (value string) {
		must(t, within(t.Context(), func(run run) error {
			return run(stmt{text: `SELECT current_setting('synchronous_commit')`, row: func(scan scan) error { return scan(&value) }})
		}))
		return value
	}
	for range 2 * maxConns { // whichever connection it is
		if got := setting(w.tentative); got != "off" {
			t.Errorf("tentative with synchronous_commit = %s", got)
		}
		if got := setting(w.tx); got != "on" {
			t.Errorf("I-07 written with synchronous_commit = %s", got)
		}
	}
}
