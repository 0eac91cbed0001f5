package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
)

// maxGroup bounds what comes between two commits, and so how long the first of it waits (measured: 256 small writes
// take about 5 ms, most of it the flush and the statements themselves).
const maxGroup = 256

// writer owns SQLite's only write connection. Its goroutine gathers what is queued into one commit, which makes
// the flush cheap, and answers nobody before the commit.
type writer struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	queue    chan *op
	quit     chan struct{} // closed by close
	stopped  chan struct{} // closed when the goroutine has ended
	group    []*op
	begun    bool // a transaction is open, in which nothing was written yet
	log      *slog.Logger
	broken   error // a failed flush: what is on the disk is unknown, so nothing is written any more (I-17)
	full     bool  // the last group found no room for all
}

// op is one write, whose run may be called twice, the second time in a transaction of its own; or a read.
type op struct {
	run  func(run) error
	read bool
	err  error
	done chan error
}

// untouched wraps the refusal of a first statement: the group goes on without that op.
type untouched struct{ error }

func (u untouched) Unwrap() error { return u.error }

func startWriter(conn *sql.Conn, log *slog.Logger) *writer {
	w := &writer{
		conn: conn, log: log, prepared: map[string]*sql.Stmt{}, queue: make(chan *op, maxGroup),
		quit: make(chan struct{}), stopped: make(chan struct{}),
	}
	go w.loop()
	return w
}

// do queues a write and waits for its commit. ctx decides only whether it is queued.
func (w *writer) do(ctx context.Context, f func(run) error) error { return w.wait(ctx, &op{run: f}) }

// look is do for what only reads. It waits for the commit under way, and for no other.
func (w *writer) look(ctx context.Context, f func(run) error) error {
	return w.wait(ctx, &op{run: f, read: true})
}

func (w *writer) wait(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.done = make(chan error, 1)
	select {
	case w.queue <- o:
	case <-w.quit:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-o.done:
		return err
	case <-w.stopped:
	}
	select { // answered just before the end, or never seen
	case err := <-o.done:
		return err
	default:
		return ErrClosed
	}
}

func (w *writer) loop() {
	defer close(w.stopped)
	for {
		select {
		case <-w.quit:
			return
		case first := <-w.queue:
			w.commit(w.gather(first))
		}
	}
}

// gather takes what is queued, lets the callers run once, and looks again, for as long as that brings more: with
// busy CPUs the callers would otherwise not get to queue, and every write would pay a flush of its own. A single
// caller is not delayed. Each turn brings at least one op, so maxGroup bounds the turns as well.
func (w *writer) gather(first *op) []*op {
	w.group = w.group[:0]
	w.take(first)
	for taken := 1; taken < maxGroup; {
		before := taken
		taken = w.drain(taken)
		runtime.Gosched()
		taken = w.drain(taken)
		if taken == before {
			break
		}
	}
	return w.group
}

func (w *writer) drain(taken int) int {
	for ; taken < maxGroup; taken++ {
		select {
		case o := <-w.queue:
			w.take(o)
		default:
			return taken
		}
	}
	return taken
}

// take adds a write to the group. A read is answered at once, from what was committed, as the group has not begun to write;
// who reads in order to write is then quick enough to be in the same group.
func (w *writer) take(o *op) {
	if !o.read {
		w.group = append(w.group, o)
		return
	}
	err := w.begin()
	if err == nil {
		if err = o.run(w.exec); err != nil {
			w.rollback() // SQLite may have done so by itself, and what came next would be written without a transaction
		}
	}
	o.done <- named(err)
}

// begin opens the transaction unless one is open in which nothing was written.
func (w *writer) begin() error {
	if w.broken != nil || w.begun {
		return w.broken
	}
	err := w.exec(stmt{text: "BEGIN IMMEDIATE"})
	w.begun = err == nil
	return err
}

func (w *writer) rollback() {
	w.begun = false
	_ = w.exec(stmt{text: "ROLLBACK"}) // SQLite may have rolled back by itself
}

// commit writes the group in one transaction. When one of its ops fails after it wrote something, or the group finds no
// room, the transaction is rolled back and each op runs again alone, so that it hurts no neighbour and what fits on a disk
// that is nearly full is stored. No savepoints: they cost every op.
func (w *writer) commit(group []*op) {
	if len(group) == 0 {
		w.rollback() // it was only read
		return
	}
	again := w.together(group)
	full, stored := false, false
	for _, o := range group {
		if again && len(group) > 1 {
			w.together([]*op{o})
		}
		full, stored = full || sqliteFull(o.err), stored || o.err == nil
		w.tell(full, o.err)
		o.done <- named(o.err)
	}
	if stored && !full {
		w.full = false
	}
}

// tell tells the log when the disk fills up: once, until a group finds room again.
func (w *writer) tell(full bool, err error) {
	if !full || w.full {
		return
	}
	w.full = true
	w.log.Error("the disk is full: nothing can be stored", "cure", "make room on the disk of DATA_DIR; it goes on by itself", "error", err)
}

// named names the disk's failures for callers.
func named(err error) error {
	switch {
	case sqliteFull(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case sqliteIO(err):
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return err
}

// together runs ops in one transaction and leaves each op's outcome in it. It reports whether the others want to run again:
// one op's failure undid them, or there was no room for all; any other failed begin or commit fails all of them for good.
func (w *writer) together(group []*op) (again bool) {
	fail := func(err error) {
		if sqliteIO(err) {
			w.broken = fmt.Errorf("%w: %w", ErrBroken, err)
			w.log.Error("the disk failed: nothing is written until a restart", "cure", "see to the disk of DATA_DIR, then start again", "error", err)
		}
		w.rollback()
	}
	if err := w.begin(); err != nil {
		failAll(group, err)
		return false
	}
	w.begun = false
	for _, o := range group {
		o.err = o.run(w.exec)
		if o.err == nil || errors.As(o.err, new(untouched)) {
			continue
		}
		fail(o.err)
		return true
	}
	if err := w.exec(stmt{text: "COMMIT"}); err != nil {
		fail(err)
		failAll(group, fmt.Errorf("store: commit: %w", err))
		return sqliteFull(err)
	}
	return false
}

func failAll(group []*op, err error) {
	for _, o := range group {
		o.err = err
	}
}

// exec runs one statement on the write connection. No caller's context reaches it.
func (w *writer) exec(s stmt) error {
	p := w.prepared[s.text]
	if p == nil {
		var err error
		if p, err = w.conn.PrepareContext(context.Background(), s.text); err != nil {
			return err
		}
		w.prepared[s.text] = p
	}
	if s.row != nil {
		rows, err := p.QueryContext(context.Background(), s.args...)
		return each(rows, err, s.row)
	}
	result, err := p.ExecContext(context.Background(), s.args...)
	if err != nil || s.hit == nil && !s.one {
		return err
	}
	n, err := result.RowsAffected()
	return s.count(n, err)
}

// count hands on the number of rows written and checks it.
func (s stmt) count(n int64, err error) error {
	if err != nil {
		return err
	}
	if s.hit != nil {
		*s.hit = n
	}
	if s.one && n != 1 {
		return fmt.Errorf("store: wrote %d rows instead of one: %s", n, s.text)
	}
	return nil
}

// each calls row for every row and closes them.
func each(rows *sql.Rows, err error, row func(scan) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err below has told what matters
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// close ends the goroutine after the group it is writing.
func (w *writer) close() error {
	close(w.quit)
	<-w.stopped
	if w.broken == nil {
		_ = w.exec(stmt{text: moveWAL}) // what stays in the WAL is read from there
	}
	var errs []error
	for _, p := range w.prepared { // else they keep the connection open, and its files
		errs = append(errs, p.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}
