package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Exchange is what we sent to a platform or it sent to us, without content: names, codes and times. Equal ones in a row
// are one Exchange that counts; so are all equal refused messages, whatever came between them.
type Exchange struct {
	ID         string // exc_…
	Account    string
	AttemptID  string // "" = of no attempt that we know
	OutTradeNo string // of the attempt, or what a refused message claims to be about; "" = it names none
	Direction  Direction
	Op         string // "open", "query", "close", "notice", "return"
	Outcome    string // stable: what came of it
	Code       string // the platform's code, the state it told, or the check that refused it
	RequestID  string // the platform's, of the newest that had one
	FirstAt    time.Time
	LastAt     time.Time
	Times      int64 // ≥ 1
	Refused    bool  // a message that was not accepted: something for a person to look at
}

// Direction is seen from us.
type Direction string

// The directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Bounds of what is kept of exchanges.
const (
	MaxExchanges  = 200  // rows of one attempt
	MaxRefused    = 1000 // rows of one account that belong to no attempt
	exchangeBatch = 64   // of one transaction, so that a flood delays a payment by a few milliseconds at most
	pruneBatch    = 1000 // rows that one transaction forgets at most, per attempt or account
)

var insertExchange = insert("exchanges", exchangeColumns)

const (
	exchangeColumns = "id, account, attempt_id, out_trade_no, direction, op, outcome, code, request_id, first_at, last_at, " +
		"times, refused"

	keptColumns = "id, account, attempt_id, out_trade_no, direction, op, outcome, code, last_at"
	keptOf      = "FROM exchanges WHERE attempt_id IN ("
	keptOrder   = ") ORDER BY last_at, id"
	// $1 id, $2 times, $3 last, $4 request.
	countKept = `UPDATE exchanges SET times = times + $2, last_at = CASE WHEN last_at > $3 THEN last_at ELSE $3 END,
		request_id = CASE WHEN $4 = '' THEN request_id ELSE $4 END WHERE id = $1`

	// The newest of its kind, if it is equal. $1 account, $2 attempt, $3 number, $4 direction, $5 operation, $6 outcome,
	// $7 code, $8 refused.
	sameExchange = `SELECT n.id FROM (SELECT e.id, e.outcome, e.code FROM exchanges e WHERE e.attempt_id = $2
		AND e.account = $1 AND e.out_trade_no = $3 AND e.direction = $4 AND e.op = $5
		AND (CAST($8 AS BIGINT) = 0 OR e.outcome = $6 AND e.code = $7)
		ORDER BY e.last_at DESC, e.id DESC LIMIT 1) n WHERE n.outcome = $6 AND n.code = $7`
	// $9 request, $10 last, $11 times.
	countExchange = `UPDATE exchanges SET times = times + $11, last_at = CASE WHEN last_at > $10 THEN last_at ELSE $10 END,
		request_id = CASE WHEN $9 = '' THEN request_id ELSE $9 END WHERE id = (` + sameExchange + `)`
	// $12 id, $13 first. Once countExchange had a row to count in, there is nothing to add.
	addExchange = `INSERT INTO exchanges (` + exchangeColumns + `) SELECT $12, $1, $2, $3, $4, $5, $6, $7, $9,
		CAST($13 AS BIGINT), CAST($10 AS BIGINT), CAST($11 AS BIGINT), CAST($8 AS BIGINT) WHERE NOT EXISTS (` + sameExchange + `)`

	pruneExchanges = `DELETE FROM exchanges WHERE id IN (SELECT id FROM exchanges WHERE attempt_id = $1 AND ($1 <> '' OR account = $2)
		ORDER BY last_at DESC, id DESC LIMIT $3 OFFSET $4)`
	attemptOfNumber = `SELECT id FROM attempts WHERE out_trade_no = $1 ORDER BY CASE WHEN account = $2 THEN 0 ELSE 1 END LIMIT 1`

	selectExchanges = `SELECT ` + exchangeColumns + ` FROM exchanges WHERE `
	exchangesOf     = selectExchanges + `attempt_id IN (SELECT id FROM attempts WHERE payment_id = $1) ORDER BY first_at, id LIMIT $2`
	refusedBetween  = selectExchanges + `attempt_id = '' AND account = $1 AND last_at >= $2 AND first_at <= $3 ORDER BY last_at DESC, id DESC LIMIT $4`
	refusedNewest   = selectExchanges + `refused = 1 ORDER BY last_at DESC, id DESC LIMIT $1`
)

// RecordExchanges counts each exchange in the newest row of its kind if that is equal, or adds it. One without an attempt
// becomes that of the attempt whose number it names. What exceeds MaxExchanges and MaxRefused is forgotten, the oldest first.
// Two nodes that record equal ones at the same moment add a row each.
//
// stored says how many were, in order, when an error kept the rest from it.
func (db *DB) RecordExchanges(ctx context.Context, all []Exchange) (stored int, err error) {
	for stored < len(all) {
		n := min(len(all)-stored, exchangeBatch)
		if err := db.recordExchanges(ctx, all[stored:stored+n]); err != nil {
			return stored, fmt.Errorf("store: recording exchanges: %w", err)
		}
		stored += n
	}
	return stored, nil
}

func (db *DB) recordExchanges(ctx context.Context, some []Exchange) error {
	some = slices.Clone(some)
	for i, e := range some {
		if e.AttemptID != "" || e.OutTradeNo == "" {
			continue
		}
		err := db.found(ctx, attemptOfNumber, []any{e.OutTradeNo, e.Account}, &some[i].AttemptID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	k, err := db.kept(ctx, some)
	if err != nil {
		return err
	}
	batch, prune := make([]stmt, 0, len(some)), map[string]stmt{}
	for _, e := range some {
		switch id := k.same(e); {
		case e.AttemptID == "":
			batch = append(batch, strangerStmts(e)...)
			prune["of "+e.Account] = pruneStmt("", e.Account, MaxRefused)
		case id != "":
			batch = append(batch, stmt{text: countKept, args: []any{id, e.Times, millis(e.LastAt), e.RequestID}})
			e.ID = id
			k.note(e)
		default:
			batch = append(batch, stmt{text: insertExchange, args: []any{
				e.ID, e.Account, e.AttemptID, e.OutTradeNo, string(e.Direction), e.Op, e.Outcome, e.Code, e.RequestID, millis(e.FirstAt),
				millis(e.LastAt), e.Times, bit(e.Refused),
			}})
			k.note(e)
			if k.rows[e.AttemptID]++; k.rows[e.AttemptID] > MaxExchanges {
				prune[e.AttemptID] = pruneStmt(e.AttemptID, "", MaxExchanges)
			}
		}
	}
	return db.write(ctx, slices.AppendSeq(batch, maps.Values(prune))...)
}

func pruneStmt(attemptID, account string, most int64) stmt {
	return stmt{text: pruneExchanges, args: []any{attemptID, account, int64(pruneBatch), most}}
}

// strangerStmts count or add e, which belongs to no attempt.
func strangerStmts(e Exchange) []stmt {
	args := []any{
		e.Account, e.AttemptID, e.OutTradeNo, string(e.Direction), e.Op, e.Outcome, e.Code, bit(e.Refused), e.RequestID,
		millis(e.LastAt), e.Times,
	}
	return []stmt{{text: countExchange, args: args}, {text: addExchange, args: append(args[:len(args):len(args)], e.ID, millis(e.FirstAt))}}
}

// kept is what the database has of the exchanges of some attempts. It is read before the transaction that adds to it, where
// nobody waits for it: of two nodes that record the same at one moment each adds a row.
type kept struct {
	rows   map[string]int        // by attempt
	newest map[Exchange]Exchange // by kind
	equal  map[Exchange]Exchange // by kind, outcome and code
}

func (db *DB) kept(ctx context.Context, some []Exchange) (kept, error) {
	k := kept{map[string]int{}, map[Exchange]Exchange{}, map[Exchange]Exchange{}}
	var attempts []string
	for _, e := range some {
		if e.AttemptID != "" {
			attempts = append(attempts, e.AttemptID)
		}
	}
	if len(attempts) == 0 {
		return k, nil
	}
	slices.Sort(attempts)
	list, err := json.Marshal(slices.Compact(attempts))
	if err != nil {
		return k, err
	}
	return k, db.read(ctx, stmt{text: db.sql.kept.text, packed: db.sql.kept.packed, args: []any{string(list)}, row: func(scan scan) error {
		var e Exchange
		err := scan(&e.ID, &e.Account, &e.AttemptID, &e.OutTradeNo, (*text)(&e.Direction), &e.Op, &e.Outcome, &e.Code, (*stamp)(&e.LastAt))
		k.rows[e.AttemptID]++
		k.note(e)
		return err
	}})
}

func (e Exchange) kind() Exchange {
	return Exchange{Account: e.Account, AttemptID: e.AttemptID, OutTradeNo: e.OutTradeNo, Direction: e.Direction, Op: e.Op}
}

func (e Exchange) said() Exchange {
	k := e.kind()
	k.Outcome, k.Code = e.Outcome, e.Code
	return k
}

// same is the id of the row that e counts in, "" = e is a row of its own.
func (k kept) same(e Exchange) string {
	if e.Refused {
		return k.equal[e.said()].ID
	}
	if n := k.newest[e.kind()]; n.said() == e.said() {
		return n.ID
	}
	return ""
}

// note takes e, whose id is that of its row, for the newest unless there is a newer one.
func (k kept) note(e Exchange) {
	replace(k.newest, e.kind(), e)
	replace(k.equal, e.said(), e)
}

func replace(newest map[Exchange]Exchange, key, e Exchange) {
	old := newest[key]
	if c := e.LastAt.Compare(old.LastAt); c > 0 || c == 0 && e.ID > old.ID {
		newest[key] = e
	}
}

// Exchanges returns those of a payment's attempts, in order of their first moment.
func (db *DB) Exchanges(ctx context.Context, paymentID string) ([]Exchange, error) {
	return db.exchanges(ctx, exchangesOf, paymentID, int64(maxRead))
}

// RefusedBetween returns what an account refused in this time and no attempt is known of, the newest first.
func (db *DB) RefusedBetween(ctx context.Context, account string, from, to time.Time, limit int) ([]Exchange, error) {
	return db.exchanges(ctx, refusedBetween, account, millis(from), millis(to), int64(limit))
}

// Refused returns the newest refused messages of all accounts, the newest first.
func (db *DB) Refused(ctx context.Context, limit int) ([]Exchange, error) {
	return db.exchanges(ctx, refusedNewest, int64(limit))
}

func (db *DB) exchanges(ctx context.Context, query string, args ...any) ([]Exchange, error) {
	var all []Exchange
	err := db.read(ctx, stmt{text: query, args: args, row: func(scan scan) error {
		var e Exchange
		err := scan(&e.ID, &e.Account, &e.AttemptID, &e.OutTradeNo, (*text)(&e.Direction), &e.Op, &e.Outcome, &e.Code,
			&e.RequestID, (*stamp)(&e.FirstAt), (*stamp)(&e.LastAt), &e.Times, (*flag)(&e.Refused))
		all = append(all, e)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("store: reading exchanges: %w", err)
	}
	return all, nil
}
