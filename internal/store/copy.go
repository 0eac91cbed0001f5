package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotEmpty: the target of a copy has rows already. Nothing was changed.
var ErrNotEmpty = errors.New("store: the target is not empty")

// Copied is one table that was copied and read back: the same rows on both sides.
type Copied struct {
	Table string
	Rows  int64
	Money int64 // sum of its amounts in fen, 0 for a table without any
}

// copyTables are the tables of a copy in an order in which nothing refers to a later one, with their column of money.
var copyTables = []struct{ name, money string }{
	{"meta", ""},
	{"shops", ""},
	{"api_keys", ""},
	{"endpoints", ""},
	{"accounts", ""},
	{"payments", "amount"},
	{"attempts", "amount"},
	{"refunds", "amount"},
	{"events", ""},
	{"incidents", ""},
	{"exchanges", ""},
	{"deliveries", ""},
	{"tails", ""},
}

const (
	copyLock  = 30 * time.Second // for everybody else to leave the target's tables
	copyTells = 1000             // rows between two calls of told
)

// Copy copies every row from a SQLite database to an empty PostgreSQL one of the same mode: all of it in one transaction,
// or nothing. The source is locked meanwhile (ErrInUse while a server has it open) and brought up to date first, and
// nobody can write to the target. Before the commit both sides are compared, row by row, with the rules that hold
// between the tables. told hears how many rows of a table are done.
func Copy(ctx context.Context, from, to Options, told func(table string, done, total int64)) (_ []Copied, err error) {
	path, lite := strings.CutPrefix(from.DSN, "sqlite:")
	if !lite || strings.HasPrefix(to.DSN, "sqlite:") {
		return nil, errors.New("store: a copy goes from SQLite to PostgreSQL")
	}
	source, err := lockSQLite(ctx, path, from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	if err := source.tables(from).up(ctx); err != nil {
		return nil, err
	}
	target, err := connectPostgres(ctx, to)
	if err != nil {
		return nil, err
	}
	defer target.pool.Close()
	t, err := target.tables(to)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(t.up(ctx), sameVersion(ctx, source.tables(from), t), t.db.Close()); err != nil {
		return nil, err
	}
	var out []Copied
	conn, err := target.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		c := copying{from: source.writable, to: tx, told: told}
		out, err = c.all(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: copying; the target was left as it was: %w", err)
	}
	return out, nil
}

func sameVersion(ctx context.Context, a, b tables) error {
	one, err := a.version(ctx)
	if err != nil {
		return err
	}
	other, err := b.version(ctx)
	if err == nil && one != other {
		err = fmt.Errorf("store: the source has version %d of the tables and the target %d", one, other)
	}
	return err
}

// copying is a copy under way.
type copying struct {
	from *sql.DB
	to   pgx.Tx
	told func(table string, done, total int64)
}

func (c copying) all(ctx context.Context) ([]Copied, error) {
	if err := c.clear(ctx); err != nil {
		return nil, err
	}
	out := make([]Copied, 0, len(copyTables))
	for _, t := range copyTables {
		done, err := c.table(ctx, t.name, t.money)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		out = append(out, done)
	}
	for _, r := range rules {
		var n int64
		if err := c.to.QueryRow(ctx, r.broken).Scan(&n); err != nil {
			return nil, err
		}
		if n > 0 {
			return nil, fmt.Errorf("%d rows break the rule that %s", n, r.name)
		}
	}
	return out, nil
}

// clear keeps everybody away from the target, refuses one with rows, and takes out the two that a migration and the first
// step of a start put there: both come from the source.
func (c copying) clear(ctx context.Context) error {
	names := make([]string, len(copyTables))
	for i, t := range copyTables {
		names[i] = t.name
	}
	for _, text := range []string{
		fmt.Sprintf("SET LOCAL lock_timeout = %d", copyLock.Milliseconds()),
		"SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0",
		"LOCK TABLE " + strings.Join(names, ", ") + " IN ACCESS EXCLUSIVE MODE",
	} {
		if _, err := c.to.Exec(ctx, text); err != nil {
			return err
		}
	}
	for _, name := range names {
		if name == "meta" || name == "tails" {
			continue
		}
		var used bool
		if err := c.to.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+name+")").Scan(&used); err != nil {
			return err
		}
		if used {
			return fmt.Errorf("%w: table %s has rows; give the copy a new database", ErrNotEmpty, name)
		}
	}
	_, err := c.to.Exec(ctx, "DELETE FROM meta; DELETE FROM tails")
	return err
}

// table copies one table as a stream, and reads it back.
func (c copying) table(ctx context.Context, name, money string) (Copied, error) {
	var total int64
	if err := c.from.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+name).Scan(&total); err != nil {
		return Copied{}, err
	}
	c.told(name, 0, total)
	columns, sent, err := c.send(ctx, name, money, total)
	if err != nil {
		return Copied{}, err
	}
	rows, err := c.to.Query(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+name)
	if err != nil {
		return Copied{}, err
	}
	got := newSeal(columns, money)
	err = eachRow(rows, func(scan) error {
		values, err := rows.Values()
		got.add(values)
		return err
	})
	if err != nil {
		return Copied{}, err
	}
	if got.rows != total || got.sum() != sent.sum() {
		return Copied{}, fmt.Errorf("the source has %d rows with %d fen and the target %d with %d, and they are not the same",
			sent.rows, sent.fen, got.rows, got.fen)
	}
	c.told(name, total, total)
	return Copied{Table: name, Rows: got.rows, Money: got.fen}, nil
}

func (c copying) send(ctx context.Context, name, money string, total int64) (columns []string, sent *seal, err error) {
	rows, err := c.from.QueryContext(ctx, "SELECT * FROM "+name) //nolint:gosec // one of copyTables
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if columns, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	sent = newSeal(columns, money)
	s := &source{rows: rows, values: make([]any, len(columns)), each: func(values []any) {
		sent.add(values)
		if sent.rows%copyTells == 0 {
			c.told(name, sent.rows, total)
		}
	}}
	_, err = c.to.CopyFrom(ctx, pgx.Identifier{name}, columns, s)
	return columns, sent, errors.Join(err, rows.Err())
}

// source hands SQLite's rows to COPY, one at a time.
type source struct {
	rows   *sql.Rows
	values []any
	each   func([]any)
}

func (s *source) Next() bool { return s.rows.Next() }
func (s *source) Err() error { return s.rows.Err() }

func (s *source) Values() ([]any, error) {
	into := make([]any, len(s.values))
	for i := range s.values {
		into[i] = &s.values[i]
	}
	if err := s.rows.Scan(into...); err != nil {
		return nil, err
	}
	s.each(s.values)
	return s.values, nil
}

// seal stands for the content of a table, in whatever order its rows come.
type seal struct {
	rows, fen int64
	money     int // which column, -1 = none
	content   uint64
}

func newSeal(columns []string, money string) *seal {
	return &seal{money: slices.Index(columns, money)}
}

// add takes the values of a row: NULL, integers, text and bytes are all that the tables have.
func (s *seal) add(values []any) {
	s.rows++
	if s.money >= 0 && s.money < len(values) {
		n, _ := values[s.money].(int64)
		s.fen += n
	}
	h := sha256.New()
	for _, v := range values {
		_, _ = fmt.Fprintf(h, "%T %d ", v, length(v)) // a hash takes everything
		_, _ = fmt.Fprintf(h, "%v", v)
	}
	s.content += binary.BigEndian.Uint64(h.Sum(nil))
}

func (s *seal) sum() [3]uint64 { return [3]uint64{uint64(s.rows), uint64(s.fen), s.content} }

func length(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	}
	return 0
}
