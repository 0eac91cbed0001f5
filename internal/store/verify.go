package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"piaohao/internal/pay"
)

// rulesAtRest hold in every database of this version that nobody writes to, beside rules and rulesAfter. They are slow on
// a large one, so that neither a start nor a migration asks them.
var rulesAtRest = []rule{
	{"a payment begins with one payment.created", `SELECT COUNT(*) FROM payments p WHERE 1 <>
		(SELECT COUNT(*) FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.created')
		OR NOT EXISTS (SELECT 1 FROM events e WHERE e.payment_id = p.id AND e.seq = 1 AND e.type = 'payment.created')`},
	{"a paid payment has one event that says so, and no other payment has one", `SELECT COUNT(*) FROM payments p WHERE
		CASE WHEN p.status = 'paid' THEN 1 ELSE 0 END <> (SELECT COUNT(*) FROM events e WHERE e.payment_id = p.id
		AND e.attempt_id = p.paid_attempt AND (e.type = 'payment.paid' OR p.late = 1 AND e.type = 'payment.late_paid'))`},
	{"a closed payment has one payment.closed", `SELECT COUNT(*) FROM payments p WHERE p.status = 'closed' AND 1 <>
		(SELECT COUNT(*) FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.closed')`},
	{"a paid attempt has one attempt.paid, and no other attempt has one", `SELECT COUNT(*) FROM attempts a WHERE
		CASE WHEN a.status = 'paid' THEN 1 ELSE 0 END <> (SELECT COUNT(*) FROM events e
		WHERE e.payment_id = a.payment_id AND e.attempt_id = a.id AND e.type = 'attempt.paid')`},
	{"a paid attempt settles its payment or is surplus", `SELECT COUNT(*) FROM attempts a JOIN payments p ON p.id = a.payment_id
		WHERE a.status = 'paid' AND CASE WHEN p.paid_attempt = a.id THEN 1 ELSE 0 END = a.surplus`},
	{"an attempt asks for its payment's money", `SELECT COUNT(*) FROM attempts a JOIN payments p ON p.id = a.payment_id
		WHERE a.amount <> p.amount OR a.currency <> p.currency`},
	{"an ended attempt wants no work", `SELECT COUNT(*) FROM attempts WHERE due_at IS NOT NULL AND status NOT IN ('opening', 'open')`},
	{"surplus has its automatic refund", `SELECT COUNT(*) FROM attempts a WHERE a.surplus = 1 AND 1 <>
		(SELECT COUNT(*) FROM refunds r WHERE r.attempt_id = a.id AND r.automatic = 1)`},
	{"a refund has one event that says how it came", `SELECT COUNT(*) FROM refunds r WHERE 1 <> (SELECT COUNT(*) FROM events e
		WHERE e.payment_id = r.payment_id AND e.refund_id = r.id
		AND e.type = CASE WHEN r.external = 1 THEN 'refund.external' ELSE 'refund.created' END)`},
	{"a succeeded refund of ours has one refund.succeeded", `SELECT COUNT(*) FROM refunds r WHERE r.external = 0 AND
		CASE WHEN r.status = 'succeeded' THEN 1 ELSE 0 END <> (SELECT COUNT(*) FROM events e
		WHERE e.payment_id = r.payment_id AND e.refund_id = r.id AND e.type = 'refund.succeeded')`},
	{"events are numbered in their payment's order", `SELECT COUNT(*) FROM (SELECT pos,
		LAG(pos) OVER (PARTITION BY payment_id ORDER BY seq) AS earlier FROM events WHERE pos IS NOT NULL) t WHERE earlier >= pos`},
	{"an event is its payment's shop's", `SELECT COUNT(*) FROM events e JOIN payments p ON p.id = e.payment_id WHERE e.shop <> p.shop`},
	{"only events for shops are delivered", `SELECT COUNT(*) FROM deliveries d JOIN events e ON e.id = d.event_id WHERE e.for_shops = 0`},
}

// Verify holds every rule of the store against the rows of a database, which nobody writes to meanwhile, and returns those
// that are broken. more are rules of the caller's: a sentence, and a query that counts where it does not hold.
func Verify(ctx context.Context, db *sql.DB, more map[string]string) error {
	all := slices.Concat(rules, rulesAtRest)
	for _, version := range slices.Sorted(maps.Keys(rulesAfter)) {
		all = append(all, rulesAfter[version]...)
	}
	for _, name := range slices.Sorted(maps.Keys(more)) {
		all = append(all, rule{name, more[name]})
	}
	return noneOf(ctx, db, all)
}

// Statement is one SQL statement of a Change.
type Statement struct {
	Text string // with $1…
	Args []any
}

// Statements are what Apply writes for c, in order, for who measures what the same rows cost without it.
func (db *DB) Statements(c pay.Change) []Statement {
	batch := db.statements(c)
	out := make([]Statement, len(batch))
	for i, s := range batch {
		out[i] = Statement{s.text, s.args}
	}
	return out
}

// Bare opens a SQLite database of this program with the settings of its writer and nothing around it.
func Bare(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", liteDSN(path, writerPragmas...))
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}
