package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// census is what no migration and no copy may change: how many rows there are, and how much money is in them.
type census []count

// count is one line of a census. The sums are of the table's money columns, in fen; 0 where there are none.
type count struct {
	table             string
	rows, money, back int64
}

// counted are the tables of a census, which all versions have, with their money.
var counted = []struct{ table, money, back string }{
	{"payments", "amount", "0"},
	{"attempts", "amount", "refunded"},
	{"refunds", "amount", "0"},
	{"events", "0", "0"},
	{"deliveries", "0", "0"},
	{"incidents", "0", "0"},
	{"shops", "0", "0"},
	{"api_keys", "0", "0"},
	{"endpoints", "0", "0"},
	{"accounts", "0", "0"},
	{"meta", "0", "0"},
}

// rule is a sentence about the rows, as a query that counts where it does not hold.
type rule struct{ name, broken string }

// rules hold in every version, before and after a migration and after a copy.
var rules = []rule{
	{"every payment has its events, without a gap", `SELECT COUNT(*) FROM payments p
		WHERE p.seq <> (SELECT COUNT(*) FROM events e WHERE e.payment_id = p.id)
		OR p.seq <> (SELECT COALESCE(MAX(e.seq), 0) FROM events e WHERE e.payment_id = p.id)`},
	{"a paid payment has the paid attempt that settled it", `SELECT COUNT(*) FROM payments p WHERE p.status = 'paid' AND NOT EXISTS
		(SELECT 1 FROM attempts a WHERE a.id = p.paid_attempt AND a.payment_id = p.id AND a.status = 'paid')`},
	{"every attempt belongs to a payment and every refund to an attempt of its payment", `SELECT
		(SELECT COUNT(*) FROM attempts a WHERE NOT EXISTS (SELECT 1 FROM payments p WHERE p.id = a.payment_id)) +
		(SELECT COUNT(*) FROM refunds r WHERE NOT EXISTS
			(SELECT 1 FROM attempts a WHERE a.id = r.attempt_id AND a.payment_id = r.payment_id))`},
	{"refunds of an attempt never exceed its money", `SELECT COUNT(*) FROM attempts a WHERE a.amount <
		(SELECT COALESCE(SUM(r.amount), 0) FROM refunds r WHERE r.attempt_id = a.id AND r.external = 0
		AND r.status IN ('pending', 'processing', 'succeeded'))`},
}

// rulesAfter hold from a version on: what its migration has to fill in.
var rulesAfter = map[int64][]rule{
	3: {{"every API key has an id", `SELECT COUNT(*) FROM api_keys WHERE id NOT LIKE 'key_%' OR length(id) < 30`}},
	4: {{"every refund has its shop, account and number", `SELECT COUNT(*) FROM refunds r WHERE r.out_refund_no = ''
		OR r.shop <> (SELECT p.shop FROM payments p WHERE p.id = r.payment_id)
		OR r.account <> (SELECT a.account FROM attempts a WHERE a.id = r.attempt_id)`}, {
		"every pending refund is due", `SELECT COUNT(*) FROM refunds WHERE status = 'pending' AND due_at IS NULL`,
	}},
}

// querier is a transaction or a database of database/sql.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// takeCensus counts. The error of a census that is there says which rules do not hold.
func takeCensus(ctx context.Context, q querier) (census, error) {
	out := make(census, 0, len(counted))
	for _, c := range counted {
		line := count{table: c.table}
		if err := q.QueryRowContext(ctx, censusQuery(c.table, c.money, c.back)).Scan(&line.rows, &line.money, &line.back); err != nil {
			return nil, err
		}
		out = append(out, line)
	}
	return out, noneOf(ctx, q, rules)
}

// censusQuery casts the sums: PostgreSQL's sum of BIGINT is NUMERIC.
func censusQuery(table, money, back string) string {
	return `SELECT COUNT(*), CAST(COALESCE(SUM(` + money + `), 0) AS BIGINT), CAST(COALESCE(SUM(` + back + `), 0) AS BIGINT) FROM ` + table
}

func noneOf(ctx context.Context, q querier, rules []rule) error {
	var broken []error
	for _, r := range rules {
		var n int64
		if err := q.QueryRowContext(ctx, r.broken).Scan(&n); err != nil {
			return fmt.Errorf("checking that %s: %w", r.name, err)
		}
		if n > 0 {
			broken = append(broken, fmt.Errorf("%d rows break the rule that %s", n, r.name))
		}
	}
	return errors.Join(broken...)
}

// sameAs says what differs.
func (c census) sameAs(before census) error {
	var errs []error
	for i, line := range c {
		if line != before[i] {
			errs = append(errs, fmt.Errorf("%s had %d rows with %d fen, %d of them returned, and has %d with %d, %d", line.table,
				before[i].rows, before[i].money, before[i].back, line.rows, line.money, line.back))
		}
	}
	return errors.Join(errs...)
}
