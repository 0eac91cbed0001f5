package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"piaohao/internal/store"
)

// Sizes of filling.
const (
	fillStep  = 50_000 // payments in one transaction
	eventBody = 700    // bytes of an earlier event's body
)

// databases are the databases of one run by name, each with a data folder of the gateway that uses it.
type databases struct {
	dir    string
	server *pgx.ConnConfig // of PostgreSQL, nil = SQLite
	dsn    *url.URL        // of the database that the user named; ours lie beside it
	prefix string
	made   map[string]bool // names of PostgreSQL
	unsafe bool
}

// openDatabases takes "" for SQLite, or a PostgreSQL whose user may make databases.
func openDatabases(dir, address string, unsafe bool) (*databases, error) {
	d := &databases{dir: dir, made: map[string]bool{}, unsafe: unsafe}
	if address == "" {
		return d, nil
	}
	var err error
	if d.dsn, err = url.Parse(address); err != nil || !strings.HasPrefix(d.dsn.Scheme, "postgres") || len(d.dsn.Path) < 2 {
		return nil, errors.New("--database: write it as postgres://user:password@host:5432/database") // the cause would show the password
	}
	if d.server, err = pgx.ParseConfig(address); err != nil {
		return nil, errors.New("--database: the address cannot be read")
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	d.prefix = "piaohao_bench_" + hex.EncodeToString(b[:]) + "_"
	return d, nil
}

func (d *databases) engine() string {
	if d.server != nil {
		return "PostgreSQL"
	}
	return "SQLite"
}

// folder is the data folder of a database's gateway.
func (d *databases) folder(name string) string { return filepath.Join(d.dir, name) }

func (d *databases) file(name string) string { return filepath.Join(d.folder(name), "test.db") }

func (d *databases) address(name string) string {
	if d.server == nil {
		return "sqlite:" + d.file(name)
	}
	u := *d.dsn
	u.Path = "/" + d.prefix + name
	return u.String()
}

// settings are what the gateway on a database is told.
func (d *databases) settings(name string) []string {
	env := []string{"DATA_DIR=" + d.folder(name)}
	if d.server != nil {
		env = append(env, "DATABASE_URL="+d.address(name))
	}
	if d.unsafe {
		env = append(env, "ALLOW_UNSAFE_DATABASE=1")
	}
	return env
}

func (d *databases) options(name string) store.Options {
	return store.Options{DSN: d.address(name), Mode: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler), AllowUnsafe: true}
}

// create makes an empty database.
func (d *databases) create(ctx context.Context, name string) error {
	if err := os.MkdirAll(d.folder(name), 0o700); err != nil || d.server == nil {
		return err
	}
	return d.make(ctx, name, "")
}

func (d *databases) make(ctx context.Context, name, options string) error {
	d.made[name] = true
	return d.admin(ctx, "CREATE DATABASE "+d.prefix+name+options)
}

// restore makes a database the copy of another that nobody has open.
func (d *databases) restore(ctx context.Context, from, to string) error {
	if err := d.drop(ctx, to); err != nil {
		return err
	}
	if err := os.MkdirAll(d.folder(to), 0o700); err != nil {
		return err
	}
	for _, file := range []string{"test.keys", "test.db", "test.db-wal"} {
		err := copyFile(filepath.Join(d.folder(from), file), filepath.Join(d.folder(to), file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if d.server == nil {
		return nil
	}
	return d.make(ctx, to, " TEMPLATE "+d.prefix+from+" STRATEGY file_copy")
}

// copyFile leaves nothing for the kernel to write later, when others are measured.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

func (d *databases) drop(ctx context.Context, name string) error {
	if d.made[name] {
		delete(d.made, name)
		if err := d.admin(ctx, "DROP DATABASE IF EXISTS "+d.prefix+name+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return os.RemoveAll(d.folder(name))
}

// close takes all of them away.
func (d *databases) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	var errs []error
	for name := range d.made {
		errs = append(errs, d.drop(ctx, name))
	}
	return errors.Join(errs...)
}

// admin runs one statement at the database that the user named.
func (d *databases) admin(ctx context.Context, text string) error {
	conn, err := pgx.ConnectConfig(ctx, d.server)
	if err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	_, err = conn.Exec(ctx, text)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("--database: its user must be allowed to make databases: %w", err)
	}
	return nil
}

// open is a database as database/sql has it.
func (d *databases) open(name string) (*sql.DB, error) {
	if d.server == nil {
		return store.Bare(d.file(name))
	}
	config, err := pgx.ParseConfig(d.address(name))
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*config), nil
}

// rest lets nobody ask about open attempts before a moment: what is measured are notices, and not who comes first.
func (d *databases) rest(ctx context.Context, name string, until time.Time) error {
	db, err := d.open(name)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `UPDATE attempts SET due_at = $1 WHERE due_at IS NOT NULL`, until.UnixMilli())
	if d.server != nil && err == nil {
		err = settle(ctx, db)
	}
	return errors.Join(err, db.Close())
}

// settle does what PostgreSQL would do by itself in the next minutes, while others are measured: it clears away, counts and
// flushes what a database was just filled with.
func settle(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, `VACUUM (ANALYZE)`); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, `CHECKPOINT`)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42501" { // only some roles may; the figures are then a little worse
		return nil
	}
	return err
}

// fill adds earlier payments until there are that many.
func (d *databases) fill(ctx context.Context, name string, from, to int64, told func(done int64)) (err error) {
	db, err := d.open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	bytesType := "BLOB"
	if d.server != nil {
		bytesType = "BYTEA"
	}
	body := bytes.Repeat([]byte("x"), eventBody)
	for from < to {
		next := min(from+fillStep, to)
		var last int64
		if err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(pos), 0) FROM events`).Scan(&last); err != nil {
			return err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for _, f := range fillings {
			args := []any{from, next}
			if f.events {
				args = append(args, last, body)
			}
			if _, err := tx.ExecContext(ctx, strings.ReplaceAll(f.text, "BYTES", bytesType), args...); err != nil {
				return errors.Join(fmt.Errorf("filling the database: %w", err), tx.Rollback())
			}
		}
		if _, err := tx.ExecContext(ctx, passEvents); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		told(next - from)
		from = next
	}
	if d.server != nil {
		_, err = db.ExecContext(ctx, "VACUUM ANALYZE")
		return err
	}
	return nil
}
