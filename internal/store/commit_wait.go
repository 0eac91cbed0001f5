package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Bounds of connections that wait. A server whose machine is gone is noticed after deadAfter, whether or not something was
// sent to it; one that only waits for its standby is alive.
const (
	deadAfter    = 20 * time.Second
	closePatient = 3 * time.Second // how long close waits for commits that wait
)

// dialer makes the connections of the pool.
var dialer = &net.Dialer{
	Timeout:         connectTimeout,
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadAfter / 2, Interval: deadAfter / 4, Count: 2},
	Control:         dieAfter(deadAfter),
}

// try waits for a connection as long as ctx allows, and for the write up to writeTimeout, so that a caller who leaves does
// not make its outcome unknown. It repeats what surely wrote nothing; ErrUnknown is for who asked.
//
// A write that takes longer goes on by itself. Nobody may cancel it: a cancelled commit that waits for a synchronous standby
// is shown to everybody as committed, and is gone after a failover (PostgreSQL manual, "Synchronous Replication"). It keeps its connection
// and its token, so that maxWrites bounds these too; statement_timeout ends all other slow writes on the server.
func (p *pg) try(ctx context.Context, f func(context.Context, *pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var err error
	for range maxTries {
		select {
		case p.writing <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("store: nothing was written, all %d writes wait: %w", maxWrites, ctx.Err())
		}
		conn, none := p.pool.Acquire(ctx)
		if none != nil {
			<-p.writing
			return none
		}
		err = p.patient(ctx, conn, f)
		switch {
		case err == nil:
			return nil
		case pgLost(err) && !pgRetryable(err):
			return fmt.Errorf("%w: %w", ErrUnknown, err)
		case !pgRetryable(err):
			return err
		}
	}
	return err
}

// errWaiting is the outcome of a write that goes on alone.
var errWaiting = fmt.Errorf("no answer within %v: %w", writeTimeout, context.DeadlineExceeded)

// patient runs f on conn, and gives both back when f has ended, however late.
func (p *pg) patient(ctx context.Context, conn *pgxpool.Conn, f func(context.Context, *pgxpool.Conn) error) error {
	running := context.WithoutCancel(ctx)
	waiting, cancel := context.WithTimeout(running, writeTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := f(running, conn)
		conn.Release()
		<-p.writing
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-waiting.Done():
		return errWaiting
	}
}

// close leaves commits alone that still wait for a standby: their outcome is the server's.
func (p *pg) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closePatient)
	defer cancel()
	closed := make(chan struct{})
	go func() {
		p.pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return errors.New("store: closed while commits wait for PostgreSQL's standby")
	}
}
