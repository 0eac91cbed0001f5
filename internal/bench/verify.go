package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"piaohao/internal/store"
)

// ErrBroken: the run broke a rule about its database, so that its figures stand for nothing.
var ErrBroken = errors.New("the run broke what must hold")

// expected is what must have come of a part of a run.
type expected struct {
	paid []fixture // those that are paid, all others of the fixtures are not
	sent int       // how many more notices were sent, of which nobody knows whose they are
	many bool      // over the large database
}

// verify holds every rule of the store and what the run itself knows against a database that nobody has open.
func (b *bench) verify(ctx context.Context, name string, want expected) (err error) {
	before := b.earlier
	if want.many {
		before = b.Rows
	}
	sent := want.sent + len(want.paid)
	more := map[string]string{
		"every notice that was sent paid one payment": fmt.Sprintf(`SELECT ABS(COUNT(*) - %d) FROM payments WHERE status = 'paid'`, before+int64(sent)),
		"no notice made an incident":                  `SELECT COUNT(*) FROM incidents`,
		"no money came twice":                         `SELECT COUNT(*) FROM attempts WHERE surplus = 1`,
		"no payment was closed":                       `SELECT COUNT(*) FROM payments WHERE status = 'closed'`,
	}
	db, err := b.databases.open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := store.Verify(ctx, db, more); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if want.sent > 0 {
		return nil
	}
	return sameBooks(ctx, db, want.paid)
}

// sameBooks compares the payments that notices paid with what the payers were told by the platform.
func sameBooks(ctx context.Context, db *sql.DB, paid []fixture) error {
	if len(paid) == 0 {
		return nil
	}
	theirs := make(map[string]string, len(paid))
	for _, f := range paid {
		theirs[f.OutTradeNo] = f.Transaction
	}
	rows, err := db.QueryContext(ctx, `SELECT out_trade_no, transaction_id, amount FROM attempts
		WHERE status = 'paid' AND out_trade_no NOT LIKE '000000000000000%'`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var no, transaction string
		var fen int64
		if err := rows.Scan(&no, &transaction, &fen); err != nil {
			return err
		}
		if theirs[no] != transaction || fen != amount {
			return fmt.Errorf("%w: %s is paid with %d fen by %q here, and by %q at the platform", ErrBroken, no, fen, transaction, theirs[no])
		}
		delete(theirs, no)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for no := range theirs {
		return fmt.Errorf("%w: %s is paid at the platform and not here", ErrBroken, no)
	}
	return nil
}
