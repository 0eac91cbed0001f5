package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// migrationTries bounds how often one migration is tried: a running node's write may stand in its way (a deadlock), and
// PostgreSQL then ends one of the two.
const migrationTries = 5

// aheadAllowed is how many versions newer than ours the tables may be: a node of the version before keeps working while
// its successors start. Migrations therefore only add, and what they add has a default.
const aheadAllowed = 1

// ErrTooNew: a newer program has changed the tables beyond what this one can work with. Nothing was changed.
var ErrTooNew = errors.New("store: the database is of a newer version of this program")

// Schema says which version the tables of a database have and which one this program brings them to.
type Schema struct {
	Engine  string   // "sqlite" or "postgres"
	Has     int64    // 0: no tables yet
	Wants   int64    // may be Has-1: tables of the next version are fine
	Pending []string // file names of the migrations that are still to be applied, in order
}

// ReadSchema looks at a database and changes nothing. SQLite's lock is taken for it: ErrInUse while a server runs.
// ErrTooNew comes with the Schema.
func ReadSchema(ctx context.Context, o Options) (Schema, error) {
	if path, lite := strings.CutPrefix(o.DSN, "sqlite:"); lite {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return tables{engine: "sqlite", files: filesOf(o)}.against(0)
		}
	}
	return withTables(ctx, o, func(t tables) (Schema, error) { return t.plan(ctx) })
}

// Migrate brings the tables up to date, as Open does, and returns the Schema from before.
func Migrate(ctx context.Context, o Options) (Schema, error) {
	return withTables(ctx, o, func(t tables) (Schema, error) {
		before, err := t.plan(ctx)
		if err != nil {
			return before, err
		}
		return before, t.up(ctx)
	})
}

func withTables(ctx context.Context, o Options, do func(tables) (Schema, error)) (Schema, error) {
	switch scheme, rest, _ := strings.Cut(o.DSN, ":"); scheme {
	case "sqlite":
		s, err := lockSQLite(ctx, rest, o)
		if err != nil {
			return Schema{}, err
		}
		found, err := do(s.tables(o))
		return found, errors.Join(err, s.close())
	case "postgres", "postgresql":
		p, err := connectPostgres(ctx, o)
		if err != nil {
			return Schema{}, err
		}
		defer p.pool.Close()
		t, err := p.tables(o)
		if err != nil {
			return Schema{}, err
		}
		found, err := do(t)
		return found, errors.Join(err, t.db.Close())
	}
	return Schema{}, errScheme
}

// tables changes the tables of one database. db is not used at the same time by anything else of this process.
type tables struct {
	db      *sql.DB
	dialect goose.Dialect
	engine  string
	mode    string
	files   fs.FS // with folders sqlite and postgres
	options []goose.ProviderOption
	exists  string // a query: is there a table of this name
	lock    string // a statement that keeps other nodes from writing until the transaction ends, "" = there are none
}

// filesOf are the migrations of this program, or those that a test gives it.
func filesOf(o Options) fs.FS {
	if o.files != nil {
		return o.files
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a valid one
	}
	return files
}

// migration is one file.
type migration struct {
	version int64
	name    string
	text    string
}

// known reads the files, which are named like 00004_refunds.sql, in order of their versions.
func (t tables) known() ([]migration, error) {
	names, err := fs.Glob(t.files, t.engine+"/*.sql")
	if err != nil {
		return nil, err
	}
	var all []migration
	for _, name := range names {
		digits, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("store: the migration %s has no number", name)
		}
		content, err := fs.ReadFile(t.files, name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version, path.Base(name), string(content)})
	}
	slices.SortFunc(all, func(a, b migration) int { return int(a.version - b.version) })
	if len(all) == 0 {
		return nil, errors.New("store: no migrations")
	}
	return all, nil
}

// plan compares the tables with the files. It refuses a database of the other mode before anything is changed in it.
func (t tables) plan(ctx context.Context) (Schema, error) {
	has, err := t.version(ctx)
	if err != nil {
		return Schema{}, fmt.Errorf("store: reading the version of the tables: %w", err)
	}
	s, err := t.against(has)
	if err != nil {
		return s, err
	}
	return s, t.checkMode(ctx, s.Has)
}

// against says what is missing in tables of a version.
func (t tables) against(has int64) (Schema, error) {
	all, err := t.known()
	if err != nil {
		return Schema{}, err
	}
	s := Schema{Engine: t.engine, Has: has, Wants: all[len(all)-1].version}
	if s.Has > s.Wants+aheadAllowed {
		return s, fmt.Errorf("%w: its tables are of version %d and this program knows %d; start the newer program", ErrTooNew, s.Has, s.Wants)
	}
	for _, m := range all {
		if m.version > s.Has {
			s.Pending = append(s.Pending, m.name)
		}
	}
	return s, nil
}

// version is the newest one that was applied, 0 for none.
func (t tables) version(ctx context.Context) (v int64, err error) {
	var there bool
	if err := t.db.QueryRowContext(ctx, t.exists, "goose_db_version").Scan(&there); err != nil || !there {
		return 0, err
	}
	err = t.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&v)
	return v, err
}

func (t tables) checkMode(ctx context.Context, version int64) error {
	if version == 0 {
		return nil
	}
	var stored string
	err := t.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'mode'`).Scan(&stored)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // a start that ended between its two steps
	}
	if err != nil {
		return fmt.Errorf("store: reading the mode: %w", err)
	}
	return sameMode(stored, t.mode)
}

// up applies what is pending, each migration in one transaction with its checks, under a lock: the file's on SQLite, an
// advisory one on PostgreSQL, where other nodes wait.
func (t tables) up(ctx context.Context) error {
	s, err := t.plan(ctx)
	if err != nil || len(s.Pending) == 0 {
		return err
	}
	all, err := t.known()
	if err != nil {
		return err
	}
	steps := make([]*goose.Migration, len(all))
	for i, m := range all {
		steps[i] = goose.NewGoMigration(m.version, &goose.GoFunc{
			RunTx: func(ctx context.Context, tx *sql.Tx) error { return t.apply(ctx, tx, m) },
		}, nil)
	}
	options := append([]goose.ProviderOption{goose.WithGoMigrations(steps...), goose.WithDisableGlobalRegistry(true)}, t.options...)
	p, err := goose.NewProvider(t.dialect, t.db, nil, options...)
	if err != nil {
		return err
	}
	for range migrationTries {
		if _, err = p.Up(ctx); err == nil || !pgRetryable(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("store: bringing the tables up to date: %w", err)
	}
	_, err = t.plan(ctx) // another node may have been first, and newer than we can follow
	return err
}

// apply runs one file and holds what the tables say before and after it against each other. Its error undoes all of it.
func (t tables) apply(ctx context.Context, tx *sql.Tx, m migration) error {
	first := m.version == 1
	if !first && t.lock != "" {
		if _, err := tx.ExecContext(ctx, t.lock); err != nil {
			return err
		}
	}
	var before census
	if !first {
		var err error
		if before, err = takeCensus(ctx, tx); err != nil {
			return fmt.Errorf("%s was not begun: %w", m.name, err)
		}
	}
	if _, err := tx.ExecContext(ctx, m.text); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	after, err := takeCensus(ctx, tx)
	if !first && after != nil {
		err = errors.Join(after.sameAs(before), err)
	}
	if err == nil {
		err = noneOf(ctx, tx, rulesAfter[m.version])
	}
	if err != nil {
		return fmt.Errorf("%s was undone: %w", m.name, err)
	}
	return nil
}
