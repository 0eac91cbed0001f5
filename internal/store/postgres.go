package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Bounds of talking to PostgreSQL. The server's limit of a statement is shorter than ours of a write, so that a slow write
// ends with an answer: it was rolled back.
const (
	maxConns         = 16 // measured: 64 are never better than 16
	maxWrites        = 12 // of them; the others are left for reading when commits wait for a standby
	maxTries         = 5  // of a write that PostgreSQL refused without writing anything, and of a read that brought no row
	writeTimeout     = 10 * time.Second
	statementTimeout = 8 * time.Second
	connectTimeout   = 5 * time.Second
	idleAfter        = 5 * time.Minute  // a connection that nobody used is closed
	lockEvery        = 1                // seconds between two tries to become the node that migrates
	lockTries        = 600              // and how many of them
	renewAfter       = 30 * time.Minute // and one of this age, so that a moved server is found
)

// serverLimits are settings of our connections, where the address does not set them.
var serverLimits = map[string]string{
	"statement_timeout":                   strconv.FormatInt(statementTimeout.Milliseconds(), 10),
	"idle_in_transaction_session_timeout": strconv.FormatInt(writeTimeout.Milliseconds(), 10),
	"application_name":                    "piaohao",
}

// pg is PostgreSQL behind a bounded pool.
type pg struct {
	pool    *pgxpool.Pool
	writing chan struct{} // a token for each write under way; see try
}

func newPG(pool *pgxpool.Pool) *pg { return &pg{pool, make(chan struct{}, maxWrites)} }

func openPostgres(ctx context.Context, o Options) (_ engine, err error) {
	p, err := connectPostgres(ctx, o)
	if err != nil {
		return nil, err
	}
	t, err := p.tables(o)
	if err == nil {
		err = errors.Join(t.up(ctx), t.db.Close())
	}
	if err != nil {
		p.pool.Close()
		return nil, err
	}
	return p, nil
}

func postgresConfig(dsn string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("store: the postgres:// address cannot be read") // the cause would show the password
	}
	config.ConnConfig.DialFunc = dialer.DialContext
	config.MaxConns, config.MaxConnIdleTime, config.MaxConnLifetime = maxConns, idleAfter, renewAfter
	if config.ConnConfig.ConnectTimeout == 0 || config.ConnConfig.ConnectTimeout > connectTimeout {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	for name, value := range serverLimits {
		if config.ConnConfig.RuntimeParams[name] == "" {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// connectPostgres connects and refuses unsafe settings; the tables stay as they are.
func connectPostgres(ctx context.Context, o Options) (*pg, error) {
	config, err := postgresConfig(o.DSN)
	if err != nil {
		return nil, err
	}
	pool, err := poolOf(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := checkPostgres(ctx, pool, o.AllowUnsafe); err != nil {
		pool.Close()
		return nil, err
	}
	return newPG(pool), nil
}

func poolOf(ctx context.Context, config *pgxpool.Config) (*pgxpool.Pool, error) {
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("store: opening PostgreSQL: %w", err)
	}
	return pool, nil
}

// tables are changed over a connection of their own, without a limit of a statement's time. One node migrates; the others
// wait for its session lock.
func (p *pg) tables(o Options) (tables, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockEvery, lockTries))
	if err != nil {
		return tables{}, err
	}
	config := p.pool.Config().ConnConfig
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	return tables{
		db: stdlib.OpenDB(*config), dialect: goose.DialectPostgres, engine: "postgres", mode: o.Mode, files: filesOf(o),
		options: []goose.ProviderOption{goose.WithSessionLocker(locker)},
		exists:  `SELECT to_regclass($1) IS NOT NULL`,
		lock:    `LOCK TABLE events, payments, attempts, refunds, deliveries, incidents, shops, api_keys, endpoints, accounts, meta IN SHARE ROW EXCLUSIVE MODE`,
	}, nil
}

// checkPostgres refuses settings under which a commit that was answered can be lost.
func checkPostgres(ctx context.Context, pool *pgxpool.Pool, allowUnsafe bool) error {
	var fsync, pages, commit string
	err := pool.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('full_page_writes'),
		current_setting('synchronous_commit')`).Scan(&fsync, &pages, &commit)
	if err != nil {
		return fmt.Errorf("store: opening PostgreSQL: %w", err)
	}
	if allowUnsafe {
		return nil
	}
	return durable(fsync, pages, commit)
}

func durable(fsync, pages, commit string) error {
	unsafe := ""
	switch {
	case fsync != "on":
		unsafe = "fsync=" + fsync
	case pages != "on":
		unsafe = "full_page_writes=" + pages
	case commit != "on" && commit != "remote_apply":
		unsafe = "synchronous_commit=" + commit
	default:
		return nil
	}
	setting, _, _ := strings.Cut(unsafe, "=")
	return fmt.Errorf("%w: it runs with %s; set %s=on there, or ALLOW_UNSAFE_DATABASE=1 here where no real money is at stake", ErrUnsafe, unsafe, setting)
}

// read repeats what brought no row when the connection was lost: reading twice does no harm.
func (p *pg) read(ctx context.Context, s stmt) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var err error
	for range maxTries {
		rows, began := pgx.Rows(nil), false
		if rows, err = p.pool.Query(ctx, s.text, s.args...); err == nil {
			err = eachRow(rows, func(scan scan) error {
				began = true
				return s.row(scan)
			})
		}
		if err == nil || began || ctx.Err() != nil || !pgRetryable(err) && !pgLost(err) {
			return err
		}
	}
	return err
}

func eachRow(rows pgx.Rows, row func(scan) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// write sends the batch without BEGIN: PostgreSQL runs what comes before one Sync as one transaction, so that a
// Change costs one round trip.
func (p *pg) write(ctx context.Context, batch ...stmt) error {
	return p.try(ctx, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		var b pgx.Batch
		for _, s := range batch {
			b.Queue(s.text, s.args...)
		}
		results := conn.SendBatch(ctx, &b)
		defer func() {
			if closing := results.Close(); err == nil { // Close reads the commit
				err = closing
			}
		}()
		for _, s := range batch {
			if err := s.take(results); err != nil {
				return err
			}
		}
		return nil
	})
}

// take reads the outcome of one statement of a batch.
func (s stmt) take(results pgx.BatchResults) error {
	if s.row == nil {
		tag, err := results.Exec()
		return s.count(tag.RowsAffected(), err)
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	return eachRow(rows, s.row)
}

func (p *pg) tx(ctx context.Context, f func(run) error) error {
	return p.transact(ctx, pgx.TxOptions{}, f)
}

// tentative answers before the flush, and before a standby has it.
func (p *pg) tentative(ctx context.Context, f func(run) error) error {
	return p.transact(ctx, pgx.TxOptions{BeginQuery: "BEGIN; SET LOCAL synchronous_commit = off"}, f)
}

func (p *pg) transact(ctx context.Context, o pgx.TxOptions, f func(run) error) error {
	return p.try(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, o, func(tx pgx.Tx) error {
			return f(func(s stmt) error {
				if s.row == nil {
					tag, err := tx.Exec(ctx, s.text, s.args...)
					return s.count(tag.RowsAffected(), err)
				}
				rows, err := tx.Query(ctx, s.text, s.args...)
				if err != nil {
					return err
				}
				return eachRow(rows, s.row)
			})
		})
	})
}

func (p *pg) toWrite() engine { return p }

func (p *pg) clock(ctx context.Context) (time.Time, error) {
	var ms int64
	err := p.pool.QueryRow(ctx, `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`).Scan(&ms)
	return time.UnixMilli(ms).UTC(), err
}

func (p *pg) dialect() dialect {
	// Concurrent transactions cannot number events in the order of their commits: FanOut does it later.
	return dialect{name: "postgres", eventPos: "NULL", forUpdate: " FOR UPDATE OF p", list: "SELECT jsonb_array_elements_text(CAST($1 AS JSONB))"}
}
