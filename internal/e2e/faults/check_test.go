package faults_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib" // to read what is left behind
	_ "modernc.org/sqlite"
)

// rule is a query of what must not be there.
type rule struct{ what, query string }

// always holds whenever the process is killed: no half state.
var always = []rule{
	{"payments with a gap in their events", `SELECT COUNT(*) FROM payments p WHERE p.seq <>
		(SELECT COUNT(*) FROM events e WHERE e.payment_id = p.id) OR p.seq <> (SELECT MAX(seq) FROM events e WHERE e.payment_id = p.id)`},
	{"payments with another number of payment.paid than they are paid", `SELECT COUNT(*) FROM payments p WHERE
		CASE p.status WHEN 'paid' THEN 1 ELSE 0 END <> (SELECT COUNT(*) FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.paid')`},
	{"paid payments without a paid attempt", `SELECT COUNT(*) FROM payments p WHERE p.status = 'paid' AND 1 <>
		(SELECT COUNT(*) FROM attempts a WHERE a.id = p.paid_attempt AND a.status = 'paid')`},
	{"attempts paid without their payment", `SELECT COUNT(*) FROM attempts a JOIN payments p ON p.id = a.payment_id
		WHERE a.status = 'paid' AND (p.status <> 'paid' OR p.paid_attempt <> a.id)`},
	{"events without a payment", `SELECT COUNT(*) FROM events e WHERE NOT EXISTS (SELECT 1 FROM payments p WHERE p.id = e.payment_id)`},
	{"refunds without their one refund.created", `SELECT COUNT(*) FROM refunds f WHERE 1 <>
		(SELECT COUNT(*) FROM events e WHERE e.refund_id = f.id AND e.type = 'refund.created')`},
	{"refunds with another number of refund.succeeded than they succeeded", `SELECT COUNT(*) FROM refunds f WHERE
		CASE f.status WHEN 'succeeded' THEN 1 ELSE 0 END <> (SELECT COUNT(*) FROM events e WHERE e.refund_id = f.id AND e.type = 'refund.succeeded')`},
	{"attempts with more refunds than money", `SELECT COUNT(*) FROM attempts a WHERE a.amount < (SELECT COALESCE(SUM(f.amount), 0)
		FROM refunds f WHERE f.attempt_id = a.id AND f.status IN ('pending', 'processing', 'succeeded'))`},
	{"deliveries of no event", `SELECT COUNT(*) FROM deliveries d WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.id = d.event_id)`},
}

// settled holds in the end.
var settled = []rule{
	{"payments not paid", `SELECT COUNT(*) FROM payments WHERE status <> 'paid'`},
	{"refunds not succeeded", `SELECT COUNT(*) FROM refunds WHERE status <> 'succeeded'`},
	{"surplus attempts", `SELECT COUNT(*) FROM attempts WHERE surplus = 1`},
	{"incidents", `SELECT COUNT(*) FROM incidents`},
	{"events for shops without their one delivery", `SELECT COUNT(*) FROM events e WHERE for_shops = 1 AND 1 <>
		(SELECT COUNT(*) FROM deliveries d WHERE d.event_id = e.id)`},
	{"deliveries given up", `SELECT COUNT(*) FROM deliveries WHERE due_at IS NULL AND delivered_at IS NULL`},
}

// checkFallen looks at what the killed gateway left behind: everything it had told anybody, and nothing by half.
func (h *house) checkFallen() {
	db, err := h.left()
	if err != nil {
		h.wrong(err)
		return
	}
	defer func() { _ = db.Close() }()
	h.mu.Lock()
	facts := maps.Clone(h.acked.facts)
	h.mu.Unlock()
	if len(facts) == 0 { // the tables need not be there yet
		return
	}
	for what, query := range facts {
		if err := counts(db, query, 1); err != nil {
			h.wrong(fmt.Errorf("kill %d: %s was acknowledged and is not there: %w", h.kills, what, err))
		}
	}
	if err := broken(db, always); err != nil {
		h.wrong(fmt.Errorf("kill %d: %w", h.kills, err))
	}
}

func broken(db *sql.DB, rules []rule) error {
	var errs []error
	for _, r := range rules {
		if err := counts(db, r.query, 0); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.what, err))
		}
	}
	return errors.Join(errs...)
}

// counts returns an error unless the query's number is want.
func counts(db *sql.DB, query string, want int64) error {
	var n int64
	if err := db.QueryRowContext(context.Background(), query).Scan(&n); err != nil {
		return err
	}
	if n != want {
		return fmt.Errorf("there are %d, want %d", n, want)
	}
	return nil
}

// checkSettled looks at what the stopped gateway left behind.
func (h *house) checkSettled() {
	db, err := h.left()
	if err != nil {
		h.wrong(err)
		return
	}
	defer func() { _ = db.Close() }()
	for _, rules := range [][]rule{always, settled} {
		if err := broken(db, rules); err != nil {
			h.wrong(err)
		}
	}
}

// left opens the database of a gateway that is down. Of SQLite it is a copy, so that looking mends nothing.
func (h *house) left() (*sql.DB, error) {
	if h.database != "" {
		return sql.Open("pgx", h.database)
	}
	to := h.t.TempDir()
	for _, ending := range []string{"", "-wal"} {
		text, err := os.ReadFile(filepath.Join(h.data(), "test.db"+ending))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, "test.db"+ending), text, 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(to, "test.db"))
	if err != nil {
		return nil, err
	}
	return db, intact(context.Background(), db)
}

// intact is SQLite's own check of the file.
func intact(ctx context.Context, db *sql.DB) error {
	var text string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check`).Scan(&text); err != nil || text != "ok" {
		return fmt.Errorf("integrity_check: %q %w", text, err)
	}
	return nil
}
