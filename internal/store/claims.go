package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"piaohao/internal/bell"
)

// Claim is the right to call the platform for one attempt, or for one refund, until its lease ends: one of the two ids is
// set. Tries is the fence: it names this claim in pay.Fence, and Release compares it.
type Claim struct {
	PaymentID, AttemptID, RefundID, Account string
	Tries, Asked, Failures                  int64
}

const (
	claimable = `due_at <= $1 AND (lease_until IS NULL OR lease_until <= $1)`
	leaseIt   = `UPDATE attempts SET lease_until = $2, tries = tries + 1 WHERE `
	claimed   = ` RETURNING payment_id, id, account, tries, asked, failures`

	// The rate bucket is GCRA: bucket is when it will be full again, each call takes 1/rate of a second, and a second's
	// worth may go at once. $1 now (ms), $2 now (µs), $3 now + 1 s (µs).
	hasToken   = `bucket + 1000000 / rate_per_second <= $3 AND (back_off_until IS NULL OR back_off_until <= $1)`
	takeBucket = `UPDATE accounts SET bucket = CASE WHEN bucket > $2 THEN bucket ELSE $2 END + 1000000 / rate_per_second
		WHERE ` + hasToken + ` AND id = (SELECT c.id FROM accounts c WHERE ` + hasToken + `
			AND EXISTS (SELECT 1 FROM attempts WHERE account = c.id AND ` + claimable + `)
			AND c.id IN (%s) ORDER BY c.bucket, c.id LIMIT 1) RETURNING id`

	// Those that somebody watches are few: found from the payment. account || '' keeps the planner from going
	// through the account's whole backlog instead (CROSS JOIN fixes SQLite's order of tables, for the same reason).
	claimWatched = leaseIt + `id = (SELECT a.id FROM payments p CROSS JOIN attempts a WHERE p.watched_until > $1
		AND a.payment_id = p.id AND a.account || '' = $3 AND ` + claimable + ` ORDER BY a.due_at LIMIT 1)` + claimed
	claimDue = leaseIt + `id = (SELECT id FROM attempts WHERE account = $3 AND ` + claimable + `
		ORDER BY due_at LIMIT 1)` + claimed
	claimThis = leaseIt + `id = $3 AND (lease_until IS NULL OR lease_until <= $1)` + claimed

	release = `UPDATE attempts SET lease_until = NULL, due_at = CASE WHEN asked = $3 THEN $4 ELSE due_at END,
		failures = CASE WHEN $5 = 1 THEN failures + 1 ELSE 0 END WHERE id = $1 AND tries = $2`
	ask = `UPDATE attempts SET due_at = CASE WHEN due_at < $2 THEN due_at ELSE $2 END, asked = asked + 1
		WHERE id = $1 AND due_at IS NOT NULL`
	backOff = `UPDATE accounts SET back_off_until = $2 WHERE id = $1 AND (back_off_until IS NULL OR back_off_until < $2)`

	// Per account: the earliest due row that nobody holds, the earliest end of a held one, when the rate allows.
	attemptDue = `SELECT c.back_off_until, c.bucket + 1000000 / c.rate_per_second - 1000000,
		(SELECT a.due_at FROM attempts a WHERE a.account = c.id AND a.due_at IS NOT NULL AND a.lease_until IS NULL
			ORDER BY a.due_at LIMIT 1),
		(SELECT MIN(CASE WHEN h.due_at > h.lease_until THEN h.due_at ELSE h.lease_until END) FROM attempts h
			WHERE h.account = c.id AND h.lease_until IS NOT NULL AND h.due_at IS NOT NULL)
		FROM accounts c WHERE c.id IN (%s)`
)

// Refunds are claimed as attempts are: their table has the same columns for it.
var (
	refundBucket  = ofRefunds(takeBucket)
	refundDue     = ofRefunds(claimDue)
	refundNext    = ofRefunds(attemptDue)
	refundRelease = ofRefunds(release)
	refundAsk     = `UPDATE refunds SET due_at = $2, asked = asked + 1 WHERE id = $1 AND status IN ('pending', 'processing')`
)

func ofRefunds(text string) string { return strings.ReplaceAll(text, "attempts", "refunds") }

// list is the IN list of some accounts: their places, from the given one, and the arguments.
func list(from int, accounts []string) (string, []any) {
	args := make([]any, len(accounts))
	for i, a := range accounts {
		args[i] = a
	}
	return places(from, len(accounts)), args
}

// ClaimAttempt takes one due attempt of these accounts until now+lease, watched payments first, and with it one
// call from the account's rate bucket. false: nothing is due, or the rates and back-offs allow nothing now, or
// another node was faster; NextAttemptDue tells when to look again.
func (db *DB) ClaimAttempt(ctx context.Context, accounts []string, now time.Time, lease time.Duration) (Claim, bool, error) {
	if len(accounts) == 0 {
		return Claim{}, false, nil
	}
	in, names := list(4, accounts)
	us := now.UnixMicro()
	take := stmt{text: fmt.Sprintf(takeBucket, in), args: append([]any{millis(now), us, us + 1_000_000}, names...)}
	var c Claim
	err := db.tx(ctx, func(run run) error {
		c = Claim{}
		account := ""
		take.row = func(scan scan) error { return scan(&account) }
		if err := run(take); err != nil || account == "" {
			return err
		}
		s := c.stmt(&c.AttemptID, claimWatched, now, lease, account)
		if err := run(s); err != nil || c.AttemptID != "" {
			return err
		}
		s.text = claimDue
		return run(s)
	})
	return c.result(err, db.bells.Attempts)
}

// ClaimRefund takes one due refund of these accounts as ClaimAttempt takes an attempt, from the same rate buckets.
func (db *DB) ClaimRefund(ctx context.Context, accounts []string, now time.Time, lease time.Duration) (Claim, bool, error) {
	if len(accounts) == 0 {
		return Claim{}, false, nil
	}
	in, names := list(4, accounts)
	us := now.UnixMicro()
	take := stmt{text: fmt.Sprintf(refundBucket, in), args: append([]any{millis(now), us, us + 1_000_000}, names...)}
	var c Claim
	err := db.tx(ctx, func(run run) error {
		c = Claim{}
		account := ""
		take.row = func(scan scan) error { return scan(&account) }
		if err := run(take); err != nil || account == "" {
			return err
		}
		return run(c.stmt(&c.RefundID, refundDue, now, lease, account))
	})
	return c.result(err, db.bells.Refunds)
}

// ClaimThis takes one attempt for a request that calls the platform itself: a free lease is enough, due or not,
// and it takes nothing from the rate bucket.
func (db *DB) ClaimThis(ctx context.Context, attemptID string, now time.Time, lease time.Duration) (Claim, bool, error) {
	var c Claim
	err := db.write(ctx, c.stmt(&c.AttemptID, claimThis, now, lease, attemptID))
	return c.result(err, nil)
}

// stmt fills c from the row it claims, if any; id is where the row's id goes, what is $3.
func (c *Claim) stmt(id *string, text string, now time.Time, lease time.Duration, what string) stmt {
	return stmt{text: text, args: []any{millis(now), millis(now.Add(lease)), what}, row: func(scan scan) error {
		return scan(&c.PaymentID, id, &c.Account, &c.Tries, &c.Asked, &c.Failures)
	}}
}

func (c Claim) result(err error, more bell.Bell) (Claim, bool, error) {
	if err != nil {
		return Claim{}, false, fmt.Errorf("store: claiming a row: %w", err)
	}
	ok := c.AttemptID != "" || c.RefundID != ""
	if ok {
		more.Ring()
	}
	return c, ok, nil
}

// Release gives a claim back. It writes due (zero: none) only if nobody asked for the row meanwhile, and counts
// failures in a row. ErrStale: the lease had ended and another holder has the row; nothing was written.
func (db *DB) Release(ctx context.Context, c Claim, due time.Time, failed bool) error {
	text, id := release, c.AttemptID
	if c.RefundID != "" {
		text, id = refundRelease, c.RefundID
	}
	return db.fenced(ctx, stmt{text: text, args: []any{id, c.Tries, c.Asked, millis(due), bit(failed)}})
}

// fenced runs a write whose last statement hits no row when the claim was lost.
func (db *DB) fenced(ctx context.Context, batch ...stmt) error {
	var hit int64
	batch[len(batch)-1].hit = &hit
	if err := db.write(ctx, batch...); err != nil {
		return fmt.Errorf("store: giving a claim back: %w", err)
	}
	if hit == 0 {
		return ErrStale
	}
	return nil
}

// AskAttempt makes an attempt due now, whoever holds it; one without a due time has nothing left to do and stays.
func (db *DB) AskAttempt(ctx context.Context, attemptID string, now time.Time) error {
	return db.ask(ctx, stmt{text: ask, args: []any{attemptID, millis(now)}}, db.bells.Attempts)
}

// AskRefund makes a refund that has not ended due now, whoever holds it; for an operator who will not wait.
func (db *DB) AskRefund(ctx context.Context, refundID string, now time.Time) error {
	return db.ask(ctx, stmt{text: refundAsk, args: []any{refundID, millis(now)}}, db.bells.Refunds)
}

func (db *DB) ask(ctx context.Context, s stmt, due bell.Bell) error {
	err := db.write(ctx, s)
	if err == nil {
		due.Ring()
	}
	return err
}

// BackOff keeps all nodes from claiming the account's attempts until then; it never shortens an earlier one.
func (db *DB) BackOff(ctx context.Context, account string, until time.Time) error {
	return db.write(ctx, stmt{text: backOff, args: []any{account, millis(until)}})
}

// NextAttemptDue returns when ClaimAttempt may next find something for these accounts, zero for never: per row the
// later of its due time and its lease, and not before the account's rate and back-off allow it.
func (db *DB) NextAttemptDue(ctx context.Context, accounts []string) (time.Time, error) {
	return db.nextDue(ctx, attemptDue, accounts)
}

// NextRefundDue is the same for ClaimRefund.
func (db *DB) NextRefundDue(ctx context.Context, accounts []string) (time.Time, error) {
	return db.nextDue(ctx, refundNext, accounts)
}

func (db *DB) nextDue(ctx context.Context, text string, accounts []string) (time.Time, error) {
	if len(accounts) == 0 {
		return time.Time{}, nil
	}
	in, args := list(1, accounts)
	var next time.Time
	err := db.read(ctx, stmt{text: fmt.Sprintf(text, in), args: args, row: func(scan scan) error {
		var backOff, free, held time.Time
		var bucket int64
		if err := scan((*stamp)(&backOff), &bucket, (*stamp)(&free), (*stamp)(&held)); err != nil {
			return err
		}
		due := sooner(free, held)
		if due.IsZero() {
			return nil
		}
		next = sooner(next, later(due, later(backOff, time.UnixMilli((bucket+999)/1000).UTC())))
		return nil
	}})
	if err != nil {
		return time.Time{}, fmt.Errorf("store: looking for due rows: %w", err)
	}
	return next, nil
}

// sooner returns the earlier time; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// ExpiredPayments returns up to limit open payments, not yet closing, whose time has run out, the oldest first.
func (db *DB) ExpiredPayments(ctx context.Context, now time.Time, limit int) ([]string, error) {
	var ids []string
	err := db.read(ctx, stmt{
		text: `SELECT id FROM payments WHERE status = 'open' AND close_wanted_at IS NULL AND expires_at <= $1
			ORDER BY expires_at LIMIT $2`,
		args: []any{millis(now), int64(limit)},
		row: func(scan scan) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("store: looking for expired payments: %w", err)
	}
	return ids, nil
}

// NextExpiry returns when the next open payment expires, zero for never.
func (db *DB) NextExpiry(ctx context.Context) (time.Time, error) {
	var at time.Time
	err := db.found(ctx, `SELECT MIN(expires_at) FROM payments WHERE status = 'open' AND close_wanted_at IS NULL`, nil, (*stamp)(&at))
	return at, err
}
