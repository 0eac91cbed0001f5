package store

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The constraints that callers act on, by one name for both engines.
const (
	refusedSeq         = "events_pkey"          // the guard of a Change, or the fence inside it
	refusedOrder       = "payments_order"       // the guard of a create
	refusedOlder       = "payments.created_at"  // a create that another one of its order overtook
	refusedTransaction = "attempts_transaction" // one number on two attempts
	refusedRefund      = "refunds_number"       // a shop's refund number on two payments
)

// sqliteRefusals are SQLite's words for them: it names columns, not indexes.
var sqliteRefusals = []struct{ words, name string }{
	{"UNIQUE constraint failed: events.payment_id, events.seq", refusedSeq},
	{"NOT NULL constraint failed: events.seq", refusedSeq},
	{"UNIQUE constraint failed: payments.shop, payments.order_no", refusedOrder},
	{"NOT NULL constraint failed: payments.created_at", refusedOlder},
	{"UNIQUE constraint failed: attempts.transaction_id, attempts.account", refusedTransaction},
	{"UNIQUE constraint failed: refunds.shop, refunds.refund_no", refusedRefund},
}

// SQLSTATE codes (PostgreSQL manual, appendix A).
const (
	pgNotNull       = "23502"
	pgUnique        = "23505"
	pgSerialization = "40001"
	pgDeadlock      = "40P01"
	pgShutdown      = "57P01" // also of a commit that waited for a standby: it may be there
	pgCrash         = "57P02"
	pgConnection    = "08" // a class: a pooler that lost the server speaks so
)

// pgPanic is the severity under which a server goes down that cannot flush its log. The commit that it failed for may stand
// in that log, and is then there after the restart.
const pgPanic = "PANIC"

// refusal names the constraint that refused a write, or is "" for every other error.
func refusal(err error) string {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		for _, r := range sqliteRefusals {
			if strings.Contains(lite.Error(), r.words) {
				return r.name
			}
		}
		return ""
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return ""
	}
	switch {
	case pg.Code == pgUnique:
		return pg.ConstraintName
	case pg.Code == pgNotNull && pg.TableName == "events" && pg.ColumnName == "seq":
		return refusedSeq
	case pg.Code == pgNotNull && pg.TableName == "payments" && pg.ColumnName == "created_at":
		return refusedOlder
	}
	return ""
}

// sqliteConstraint reports whether a constraint refused the statement: SQLite then undid that statement alone.
func sqliteConstraint(err error) bool { return sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT }

// sqliteIO reports a failed read, write or flush of the disk.
func sqliteIO(err error) bool {
	return sqliteCode(err) == sqlite3.SQLITE_IOERR && !sqliteFull(err)
}

// sqliteFull reports that the disk has no room, which harms nothing that is there. The file beside the WAL that cannot grow
// is no lost flush either: it is never flushed, and made anew.
func sqliteFull(err error) bool {
	var lite *sqlite.Error
	return errors.As(err, &lite) && (lite.Code()&primary == sqlite3.SQLITE_FULL || lite.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}

// primary masks what a code says; the rest says which kind.
const primary = 0xff

func sqliteCode(err error) int {
	var lite *sqlite.Error
	if !errors.As(err, &lite) {
		return 0
	}
	return lite.Code() & primary
}

// pgRetryable reports an error after which PostgreSQL has written nothing and asks for another try.
func pgRetryable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgSerialization || pg.Code == pgDeadlock
	}
	return pgconn.SafeToRetry(err)
}

// pgLost reports that the connection broke, so that what was sent may have been done: everything that is no answer of the
// server's, or its farewell.
func pgLost(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgShutdown || pg.Code == pgCrash || strings.HasPrefix(pg.Code, pgConnection) || pg.SeverityUnlocalized == pgPanic
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed)
}
