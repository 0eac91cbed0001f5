package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
)

const (
	readers = 4 // connections that only read; they never wait for the writer
	// oldestSQLite is the first release without the WAL reset bug that corrupts databases (disclosed March 2026).
	oldestSQLite = "3.51.3"
)

// writerPragmas make a commit durable and let the WAL grow a little before it is moved into the file.
var writerPragmas = []string{"synchronous(FULL)", "wal_autocheckpoint(4000)"}

// lite is SQLite behind one writer and a pool of readers, under an exclusive lock file.
type lite struct {
	path     string
	lock     *os.File
	readers  *sql.DB
	prepared sync.Map // text → *sql.Stmt of readers
	writable *sql.DB
	writer   *writer
	now      func() time.Time
}

// lockSQLite takes the lock and opens the write side, with the tables as they are.
func lockSQLite(ctx context.Context, path string, o Options) (s *lite, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s = &lite{now: o.Now, path: path}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.lock, err = lockFile(path + ".lock"); err != nil {
		return s, err
	}
	// It holds webhook secrets: SQLite would create it readable for everybody, and copies the mode to -wal and -shm.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return s, fmt.Errorf("store: %w", err)
	}
	if err := file.Close(); err != nil {
		return s, err
	}
	if s.writable, err = sql.Open("sqlite", liteDSN(path, writerPragmas...)); err != nil {
		return s, err
	}
	s.writable.SetMaxOpenConns(1)
	return s, checkSQLite(ctx, s.writable)
}

func (s *lite) tables(o Options) tables {
	return tables{
		db: s.writable, dialect: goose.DialectSQLite3, engine: "sqlite", mode: o.Mode, files: filesOf(o),
		exists: `SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = $1`,
	}
}

func openSQLite(ctx context.Context, path string, o Options) (_ engine, err error) {
	s, err := lockSQLite(ctx, path, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	// After a flush that failed, the WAL may hold commits that only the system's memory has, and its next flush would not
	// bring them to the disk. Moved into the file they are flushed anew.
	if _, err := s.writable.ExecContext(ctx, moveWAL); err != nil {
		return nil, fmt.Errorf("store: opening the database: %w", err)
	}
	if err := s.tables(o).up(ctx); err != nil {
		return nil, err
	}
	conn, err := s.writable.Conn(ctx)
	if err != nil {
		return nil, err
	}
	s.writer = startWriter(conn, o.Log)
	if s.readers, err = sql.Open("sqlite", liteDSN(s.path, "query_only(1)")); err != nil {
		return nil, err
	}
	s.readers.SetMaxOpenConns(readers)
	s.readers.SetMaxIdleConns(readers)
	return s, nil
}

// liteDSN is the driver's address of path; the pragmas are set on each connection. WAL is set by both sides: it is
// a property of the file, and a reader that comes first must not see another mode.
func liteDSN(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(5000)", "journal_mode(WAL)", "foreign_keys(1)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// checkSQLite refuses a library that is too old and a file system on which the settings did not take.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	var version, journal string
	var synchronous int
	for query, dest := range map[string]any{
		"SELECT sqlite_version()": &version, "PRAGMA journal_mode": &journal, "PRAGMA synchronous": &synchronous,
	} {
		if err := db.QueryRowContext(ctx, query).Scan(dest); err != nil {
			return fmt.Errorf("store: opening the database: %w", err)
		}
	}
	if older(version, oldestSQLite) {
		return fmt.Errorf("store: SQLite %s can corrupt databases; this program needs %s or newer", version, oldestSQLite)
	}
	if journal != "wal" || synchronous != 2 { // 2 is FULL
		return fmt.Errorf("store: the database cannot be made durable here (journal_mode %s, synchronous %d): keep it on a local disk", journal, synchronous)
	}
	return nil
}

// older compares dotted versions; an unreadable part counts as 0.
func older(version, than string) bool {
	have, want := strings.Split(version, "."), strings.Split(than, ".")
	for i, w := range want {
		h := "0"
		if i < len(have) {
			h = have[i]
		}
		a, _ := strconv.Atoi(h)
		b, _ := strconv.Atoi(w)
		if a != b {
			return a < b
		}
	}
	return false
}

// lockFile takes the exclusive lock that keeps a second process (and a second Open) away from the database.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w (lock file %s): stop it first", ErrInUse, name), f.Close())
	}
	return f, nil
}

// read asks its context only before it begins: it is bounded, and a context that may end costs database/sql and the driver
// a goroutine each, about as much as reading a small row.
func (s *lite) read(ctx context.Context, q stmt) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	text, row := q.text, q.row
	if q.packed != "" {
		text, row = q.packed, func(scan scan) error { return q.row(unpacking(scan)) }
	}
	p, err := s.prepare(ctx, text) //nolint:sqlclosecheck // kept until close
	if err != nil {
		return err
	}
	rows, err := p.QueryContext(ctx, q.args...)
	return each(rows, err, row)
}

func (s *lite) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if p, ok := s.prepared.Load(text); ok {
		return p.(*sql.Stmt), nil
	}
	p, err := s.readers.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if first, loaded := s.prepared.LoadOrStore(text, p); loaded {
		return first.(*sql.Stmt), p.Close() //nolint:sqlclosecheck // another reader's came first
	}
	return p, nil
}

// warm is lite that reads packed rows on the write connection, and unpacks them outside of the writer.
type warm struct{ *lite }

func (s *lite) toWrite() engine { return warm{s} }

func (s warm) read(ctx context.Context, q stmt) error {
	if q.packed == "" {
		return s.lite.read(ctx, q)
	}
	var rows [][]byte
	err := s.writer.look(ctx, func(run run) error {
		return run(stmt{text: q.packed, args: q.args, row: func(scan scan) error {
			var row []byte
			err := scan(&row)
			rows = append(rows, row)
			return err
		}})
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := q.row(func(dest ...any) error { return unpack(row, dest) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *lite) write(ctx context.Context, batch ...stmt) error {
	return s.writer.do(ctx, func(run run) error {
		for i, q := range batch {
			err := run(q)
			if err != nil && i == 0 && sqliteConstraint(err) {
				return untouched{err}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *lite) tx(ctx context.Context, f func(run) error) error { return s.writer.do(ctx, f) }

func (s *lite) tentative(ctx context.Context, f func(run) error) error { return s.writer.do(ctx, f) }

func (s *lite) clock(context.Context) (time.Time, error) { return s.now(), nil }

func (s *lite) dialect() dialect {
	// The single writer numbers events as it writes them, so order of pos is order of commit.
	return dialect{name: "sqlite", alone: true, eventPos: "(SELECT COALESCE(MAX(pos), 0) + 1 FROM events)", list: "SELECT value FROM json_each($1)"}
}

// moveWAL moves all of the WAL into the file and empties it.
const moveWAL = "PRAGMA wal_checkpoint(TRUNCATE)"

// close may be called on a half-open engine. It leaves one file that can be copied.
func (s *lite) close() error {
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.writable != nil {
		errs = append(errs, s.writable.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
