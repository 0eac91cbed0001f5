// Package store keeps payments in SQLite or PostgreSQL. It writes what pay decided (Apply), hands out due rows
// (claims), numbers and passes on events (the tail), and decides nothing itself.
//
// Both engines share every SQL text ($1…, RETURNING, ON CONFLICT) but for the few words in dialect; the tables are
// written twice, in migrations, and a test compares them. Times are UTC milliseconds with NULL for the zero time.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"piaohao/internal/bell"
	"piaohao/internal/pay"
)

// Errors that callers act on. Everything else is a failure of the database or a mistake of ours.
var (
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("store: not found")
	// ErrStale: somebody else changed the payment, or the claim was lost. Nothing was written; load and decide again.
	ErrStale = errors.New("store: changed meanwhile, or the claim was lost")
	// ErrOrderTaken: a create met an open or paid payment of that order, or a closed one that is not older. Nothing was
	// written.
	ErrOrderTaken = errors.New("store: the order has an open or paid payment, or one that is not older")
	// ErrTransactionUsed: the account's transaction number belongs to another attempt. Nothing was written.
	ErrTransactionUsed = errors.New("store: the transaction number belongs to another attempt")
	// ErrRefundNoUsed: the shop has this refund number on another payment. Nothing was written.
	ErrRefundNoUsed = errors.New("store: the shop has this refund number on another payment")
	// ErrInUse: SQLite takes one process at a time, and another one has this database open.
	ErrInUse = errors.New("store: another process uses this database")
	// ErrUnknown: the connection to PostgreSQL was lost during a commit, so that it was written or not. Load and decide
	// again; repeating the write blindly could write it twice.
	ErrUnknown = errors.New("store: whether it was written is not known")
	// ErrUnsafe: PostgreSQL runs with settings under which payments can be lost.
	ErrUnsafe = errors.New("store: PostgreSQL can lose payments")
	// ErrFull: the disk of SQLite has no room. Nothing was written; the next write tries again.
	ErrFull = errors.New("store: the disk is full")
	// ErrBroken: the disk of SQLite failed a flush, a write or a read, and what is on it is not known. Nothing is written any
	// more until the program is started again, and reads what is there.
	ErrBroken = errors.New("store: the disk failed; nothing is written until a restart")
	// ErrClosed: the database was closed before the write was queued.
	ErrClosed = errors.New("store: closed")
)

var errScheme = errors.New("store: the database address begins with neither sqlite: nor postgres://")

// Options of Open.
type Options struct {
	DSN  string // "sqlite:/path/to/test.db" or "postgres://…"
	Mode string // "test" or "live": stored inside; the other mode refuses to open
	Now  func() time.Time
	Log  *slog.Logger
	// AllowUnsafe accepts a PostgreSQL whose commits can be lost: fsync, full_page_writes or synchronous_commit off.
	AllowUnsafe bool

	files fs.FS // migrations of a test, nil = those of this program
}

// DB is an open database. Its methods are safe for concurrent use; times they take and return have millisecond
// precision.
type DB struct {
	engine
	now       func() time.Time
	committed bell.Bell
	bells     Bells
	sql       texts
	memory    *memory
	closing   func() error // once
}

// engine is what differs between the two databases besides the words in dialect.
type engine interface {
	// read runs one query outside of any transaction of ours and never waits for a writer.
	read(ctx context.Context, s stmt) error
	// write runs the statements in one transaction and returns once it is durable. When the first one is refused
	// by a constraint, nothing was written. ctx decides only whether it starts.
	write(ctx context.Context, batch ...stmt) error
	// tx is write for statements that depend on each other. f may run twice; its error rolls back.
	tx(ctx context.Context, f func(run run) error) error
	// tentative is tx for what may be undone when the database crashes, unless something durable was written after it.
	tentative(ctx context.Context, f func(run run) error) error
	// toWrite is the engine for who loads payments to change them.
	toWrite() engine
	clock(ctx context.Context) (time.Time, error)
	dialect() dialect
	close() error
}

type (
	run  func(stmt) error
	scan func(dest ...any) error
)

// stmt is one SQL statement with what to do with its outcome.
type stmt struct {
	text   string
	packed string // text for SQLite, which selects the row as one JSON array; "" = as text has it
	args   []any
	row    func(scan) error // called for each row of a query or RETURNING; nil: no rows
	hit    *int64           // when set, receives the number of rows written
	one    bool             // exactly one row must be written; a batch of PostgreSQL's tells only after its commit
}

// dialect holds the words in which the engines differ.
type dialect struct {
	name      string // "sqlite" or "postgres"
	alone     bool   // no other process writes
	eventPos  string // value of events.pos at insert
	forUpdate string // locks the row just chosen, where several nodes write
	list      string // selects the texts of a JSON array, $1
}

// Open locks and opens the database, brings its tables up to date, and refuses a database of the other mode, an
// engine that is too old, and settings under which a commit is not durable.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Mode != "test" && o.Mode != "live" {
		return nil, fmt.Errorf("store: mode %q is neither test nor live", o.Mode)
	}
	var e engine
	var err error
	switch scheme, rest, _ := strings.Cut(o.DSN, ":"); scheme {
	case "sqlite":
		e, err = openSQLite(ctx, rest, o)
	case "postgres", "postgresql":
		e, err = openPostgres(ctx, o)
	default:
		return nil, errors.New("store: the database address begins with neither sqlite: nor postgres://")
	}
	if err != nil {
		return nil, err
	}
	db := &DB{engine: e, now: o.Now, committed: bell.New(1), bells: newBells(), sql: textsFor(e.dialect()), closing: sync.OnceValue(e.close)}
	if db.dialect().alone {
		db.memory = &memory{}
	}
	if err := db.checkMode(ctx, o.Mode); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// checkMode stores the mode of a new database and compares that of an old one.
func (db *DB) checkMode(ctx context.Context, mode string) error {
	err := db.write(ctx, stmt{
		text: `INSERT INTO meta (name, value) VALUES ('mode', $1) ON CONFLICT (name) DO NOTHING`, args: []any{mode},
	})
	if err != nil {
		return fmt.Errorf("store: storing the mode: %w", err)
	}
	var stored string
	err = db.read(ctx, stmt{
		text: `SELECT value FROM meta WHERE name = 'mode'`,
		row:  func(scan scan) error { return scan(&stored) },
	})
	if err != nil {
		return fmt.Errorf("store: reading the mode: %w", err)
	}
	return sameMode(stored, mode)
}

func sameMode(stored, mode string) error {
	if stored != mode {
		return fmt.Errorf("store: this is a %s database and the server runs in %s mode: give each mode a database of its own", stored, mode)
	}
	return nil
}

// Close ends the writer, answers what is still queued with ErrClosed, and gives the lock back.
func (db *DB) Close() error { return db.closing() }

// ToWrite is db for who loads a payment in order to change it. On SQLite such a load waits for the commit under way, and
// finds in memory what was written last, while every commit makes the connections that only read forget what they held.
func (db *DB) ToWrite() *DB {
	other := *db
	other.engine = db.toWrite()
	return &other
}

// Engine returns "sqlite" or "postgres".
func (db *DB) Engine() string { return db.dialect().name }

// Clock returns the database's time: of the server on PostgreSQL, of our own clock on SQLite.
func (db *DB) Clock(ctx context.Context) (time.Time, error) { return db.clock(ctx) }

// Committed signals after local commits that carried events. Signals merge; it has one consumer.
func (db *DB) Committed() <-chan struct{} { return db.committed }

// Bells ring when this process has made a row due now, and when it has claimed one, as there may be more: who hears it looks.
// What other processes make due is found by looking once in a while.
type Bells struct{ Attempts, Refunds, Deliveries bell.Bell }

func newBells() Bells { return Bells{bell.New(1), bell.New(1), bell.New(1)} }

// Bells are this process's own.
func (db *DB) Bells() Bells { return db.bells }

// ring tells of what c has made due.
func (b Bells) ring(c pay.Change, now time.Time) {
	if slices.ContainsFunc(c.Attempts, func(row pay.AttemptRow) bool {
		return row.Wake != nil && !row.Wake.IsZero() && !row.Wake.After(now)
	}) {
		b.Attempts.Ring()
	}
	if slices.ContainsFunc(c.Refunds, func(row pay.RefundRow) bool {
		return row.New && !row.Refund.Due.At.IsZero() && !row.Refund.Due.At.After(now)
	}) {
		b.Refunds.Ring()
	}
}

// found runs a query that returns at most one row and reports ErrNotFound without one.
func (db *DB) found(ctx context.Context, text string, args []any, dest ...any) error {
	ok := false
	err := db.read(ctx, stmt{text: text, args: args, row: func(scan scan) error {
		ok = true
		return scan(dest...)
	}})
	if err == nil && !ok {
		return ErrNotFound
	}
	return err
}
