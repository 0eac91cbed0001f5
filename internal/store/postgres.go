package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	maxConns     = 16               // measured: 64 are never better than 16
	maxTries     = 5                // of a write that PostgreSQL refused without writing anything
	writeTimeout = 10 * time.Second // a write that runs longer has lost its server
)

// pg is PostgreSQL behind a bounded pool.
type pg struct{ pool *pgxpool.Pool }

func openPostgres(ctx context.Context, o Options) (_ engine, err error) {
	config, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		return nil, errors.New("store: the postgres:// address cannot be read") // the cause would show the password
	}
	config.MaxConns = maxConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("store: opening PostgreSQL: %w", err)
	}
	defer func() {
		if err != nil {
			pool.Close()
		}
	}()
	if err := checkPostgres(ctx, pool, o.AllowUnsafe); err != nil {
		return nil, err
	}
	// One node migrates; the others wait for its session lock.
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDBFromPool(pool)
	if err := errors.Join(migrate(ctx, db, goose.DialectPostgres, "postgres", goose.WithSessionLocker(locker)), db.Close()); err != nil {
		return nil, err
	}
	return &pg{pool}, nil
}

// checkPostgres refuses settings under which a commit that was answered can be lost.
func checkPostgres(ctx context.Context, pool *pgxpool.Pool, allowUnsafe bool) error {
	var fsync, commit string
	err := pool.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&fsync, &commit)
	if err != nil {
		return fmt.Errorf("store: opening PostgreSQL: %w", err)
	}
	if allowUnsafe {
		return nil
	}
	return durable(fsync, commit)
}

func durable(fsync, commit string) error {
	if fsync != "on" {
		return errors.New("store: PostgreSQL runs with fsync=off and can lose payments: set fsync=on")
	}
	if commit != "on" && commit != "remote_apply" {
		return fmt.Errorf("store: PostgreSQL runs with synchronous_commit=%s and can lose payments: set synchronous_commit=on", commit)
	}
	return nil
}

func (p *pg) read(ctx context.Context, s stmt) error {
	rows, err := p.pool.Query(ctx, s.text, s.args...)
	if err != nil {
		return err
	}
	return eachRow(rows, s.row)
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
	return p.try(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
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

// try waits for a connection as long as ctx allows; from then on only writeTimeout ends the write, so that a caller
// who leaves does not make its outcome unknown. It repeats what surely wrote nothing.
func (p *pg) try(ctx context.Context, f func(context.Context, *pgxpool.Conn) error) error {
	var err error
	for range maxTries {
		var conn *pgxpool.Conn
		if conn, err = p.pool.Acquire(ctx); err != nil {
			return err
		}
		func() {
			defer conn.Release()
			running, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
			defer cancel()
			err = f(running, conn)
		}()
		if err == nil || !pgRetryable(err) {
			return err
		}
	}
	return err
}

func (p *pg) clock(ctx context.Context) (time.Time, error) {
	var ms int64
	err := p.pool.QueryRow(ctx, `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`).Scan(&ms)
	return time.UnixMilli(ms).UTC(), err
}

func (p *pg) dialect() dialect {
	// Concurrent transactions cannot number events in the order of their commits: NumberEvents does it later.
	return dialect{name: "postgres", eventPos: "NULL", forUpdate: " FOR UPDATE OF p"}
}

func (p *pg) close() error {
	p.pool.Close()
	return nil
}
