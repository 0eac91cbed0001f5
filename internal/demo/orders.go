package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"piaohao/client"
)

const maxListed = 50 // orders on the list

// The states of an order. Paid is final.
const (
	waiting    = "waiting"
	cancelling = "cancelling"
	closed     = "closed"
	paid       = "paid"
)

type order struct {
	No        string
	Subject   string
	Amount    int64 // fen
	Status    string
	PaymentID string // "" until the gateway answered
	CreatedAt time.Time
	PaidAt    time.Time
	Returned  int64 // fen of its money that went back
	Promised  int64 // fen that went back, or may
}

const schema = `
CREATE TABLE IF NOT EXISTS orders (
	no TEXT PRIMARY KEY, subject TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0), status TEXT NOT NULL,
	payment_id TEXT NOT NULL DEFAULT '', created_at INTEGER NOT NULL, paid_at INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;`

// open keeps one connection: the shop is small and SQLite writes one at a time anyway.
func open(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(context.Background(), schema+refundSchema); err != nil {
		return nil, errors.Join(fmt.Errorf("demo: open %s: %w", path, err), db.Close())
	}
	return db, nil
}

func (s *Shop) insert(ctx context.Context, o order) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO orders (no, subject, amount, status, created_at) VALUES (?, ?, ?, ?, ?)`,
		o.No, o.Subject, o.Amount, o.Status, o.CreatedAt.UnixMilli())
	return err
}

var columns = `SELECT no, subject, amount, status, payment_id, created_at, paid_at` + sums + `FROM orders `

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// load returns the order of that number, or sql.ErrNoRows.
func load(ctx context.Context, q querier, no string) (order, error) {
	return scan(q.QueryRowContext(ctx, columns+`WHERE no = ?`, no).Scan)
}

func scan(from func(...any) error) (order, error) {
	var o order
	var created, settled int64
	if err := from(&o.No, &o.Subject, &o.Amount, &o.Status, &o.PaymentID, &created, &settled, &o.Returned, &o.Promised); err != nil {
		return order{}, err
	}
	o.CreatedAt = time.UnixMilli(created)
	if settled != 0 {
		o.PaidAt = time.UnixMilli(settled)
	}
	return o, nil
}

func (s *Shop) newest(ctx context.Context) ([]order, error) {
	rows, err := s.db.QueryContext(ctx, columns+`ORDER BY created_at DESC, no DESC LIMIT ?`, maxListed)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []order
	for rows.Next() {
		o, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

func (s *Shop) setPayment(ctx context.Context, no, paymentID string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE orders SET payment_id = ? WHERE no = ?`, paymentID, no)
	return err
}

// Why a payment does not settle an order.
var (
	errUnknownOrder = errors.New("no such order here")
	errMismatch     = errors.New("the payment is not what the order asked for")
)

// settle writes what a payment says of its order: paid stays paid; closed closes what waits; and what it
// says of money that goes back. eventID is a webhook's,
// written in the same transaction so that a repeat changes nothing; "" for an answer to our own question.
func (s *Shop) settle(ctx context.Context, p client.Payment, eventID string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after the commit it does nothing
	if eventID != "" {
		done, err := tx.ExecContext(ctx, `INSERT INTO events (id, at) VALUES (?, ?) ON CONFLICT DO NOTHING`, eventID, s.Now().UnixMilli())
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err // seen before
		}
	}
	o, err := load(ctx, tx, p.OrderNo)
	if errors.Is(err, sql.ErrNoRows) {
		return errUnknownOrder
	}
	if err != nil {
		return err
	}
	if p.Amount != o.Amount || p.Currency != "CNY" {
		return errMismatch
	}
	switch {
	case p.IsPaid():
		_, err = tx.ExecContext(ctx, `UPDATE orders SET status = ?, payment_id = ?, paid_at = ? WHERE no = ? AND status <> ?`,
			paid, p.ID, p.PaidAt.UnixMilli(), o.No, paid)
	case p.Status == client.StatusClosed:
		_, err = tx.ExecContext(ctx, `UPDATE orders SET status = ? WHERE no = ? AND status <> ? AND payment_id IN ('', ?)`,
			closed, o.No, paid, p.ID)
	case p.Closing:
		_, err = tx.ExecContext(ctx, `UPDATE orders SET status = ? WHERE no = ? AND status = ?`, cancelling, o.No, waiting)
	}
	if err != nil {
		return err
	}
	if err := s.keepAll(ctx, tx, p); err != nil {
		return err
	}
	return tx.Commit()
}
