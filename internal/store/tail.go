package store

import (
	"context"
	"fmt"

	"piaohao/internal/pay"
)

// maxNumbered bounds the events that one NumberEvents numbers.
const maxNumbered = 1000

// numberingLock is the key of the advisory lock under which PostgreSQL numbers events ("pos" in ASCII).
const numberingLock = 0x706f73

const (
	unnumbered = `SELECT CASE WHEN EXISTS (SELECT 1 FROM events WHERE pos IS NULL) THEN 1 ELSE 0 END`

	// A payment's events become visible in order of seq. Ordering by the latest time so far within the payment
	// keeps that order whatever the clocks of the nodes say.
	numberEvents = `UPDATE events SET pos = n.pos FROM (
		SELECT payment_id, seq, (SELECT COALESCE(MAX(pos), 0) FROM events)
			+ ROW_NUMBER() OVER (ORDER BY latest, payment_id, seq) AS pos
		FROM (SELECT payment_id, seq, MAX(at) OVER (PARTITION BY payment_id ORDER BY seq) AS latest
			FROM events WHERE pos IS NULL) u
		ORDER BY pos LIMIT $1) n
		WHERE events.payment_id = n.payment_id AND events.seq = n.seq`

	selectEvents = `SELECT ` + eventColumns + `, pos FROM events WHERE pos > $1 ORDER BY pos LIMIT $2`

	// $1 cursor, $2 limit: the last of the next events.
	fanOutTo = `SELECT MAX(pos), COUNT(*) FROM (SELECT pos FROM events WHERE pos > $1 ORDER BY pos LIMIT $2) t`
	// $1 cursor, $2 last, $3 now. Twice the same range adds nothing.
	fanOut = `INSERT INTO deliveries (event_id, endpoint_id, due_at)
		SELECT e.id, p.id, CAST($3 AS BIGINT) FROM events e JOIN endpoints p ON p.shop = e.shop
		WHERE e.pos > $1 AND e.pos <= $2 AND e.for_shops = 1
		ON CONFLICT (event_id, endpoint_id) DO NOTHING`
	cursorOf   = `SELECT cursor FROM tails WHERE name = 'deliveries'`
	moveCursor = `UPDATE tails SET cursor = $2 WHERE name = 'deliveries' AND cursor = $1`
)

// NumberEvents gives events that became visible their place in the global order and returns how many. Only
// PostgreSQL has something to do: SQLite's writer numbers them as it writes.
func (db *DB) NumberEvents(ctx context.Context) (int, error) {
	if db.dialect().alone {
		return 0, nil
	}
	var waiting flag
	err := db.found(ctx, unnumbered, nil, &waiting)
	if err != nil || !bool(waiting) {
		return 0, err
	}
	var hit int64
	// The lock is a statement of its own: the numbering then sees all that the last holder committed.
	err = db.write(ctx,
		stmt{text: `SELECT pg_advisory_xact_lock($1)`, args: []any{int64(numberingLock)}},
		stmt{text: numberEvents, args: []any{int64(maxNumbered)}, hit: &hit})
	if err != nil {
		return 0, fmt.Errorf("store: numbering events: %w", err)
	}
	return int(hit), nil
}

// EventsAfter returns up to limit events behind pos, in the global order.
func (db *DB) EventsAfter(ctx context.Context, pos int64, limit int) ([]pay.Event, error) {
	return db.events(ctx, selectEvents, pos, int64(limit))
}

func (db *DB) events(ctx context.Context, query string, args ...any) ([]pay.Event, error) {
	var events []pay.Event
	err := db.read(ctx, stmt{text: query, args: args, row: func(scan scan) error {
		var e pay.Event
		err := scan(&e.PaymentID, &e.Seq, &e.ID, (*text)(&e.Type), &e.AttemptID, &e.RefundID, (*stamp)(&e.At),
			(*flag)(&e.Livemode), &e.Shop, &e.Body, &e.ActedBy, &e.Pos)
		events = append(events, e)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("store: reading events: %w", err)
	}
	return events, nil
}

// PublicEvent is an event as shops read it, at its place in the global order.
type PublicEvent struct {
	Pos  int64
	Body []byte
}

const selectShopEvents = `SELECT pos, body FROM events WHERE shop = $1 AND body IS NOT NULL AND pos > $2 ORDER BY pos LIMIT $3`

// ShopEvents returns up to limit events of a shop behind pos, in the global order.
func (db *DB) ShopEvents(ctx context.Context, shop string, pos int64, limit int) ([]PublicEvent, error) {
	var events []PublicEvent
	err := db.read(ctx, stmt{text: selectShopEvents, args: []any{shop, pos, int64(limit)}, row: func(scan scan) error {
		var e PublicEvent
		err := scan(&e.Pos, &e.Body)
		events = append(events, e)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("store: reading events: %w", err)
	}
	return events, nil
}

// LastPos returns the place of the newest numbered event, 0 for none.
func (db *DB) LastPos(ctx context.Context) (int64, error) {
	var pos int64
	err := db.found(ctx, `SELECT COALESCE(MAX(pos), 0) FROM events`, nil, &pos)
	return pos, err
}

// FanOut adds one delivery per event for shops and endpoint for up to limit events behind its cursor, moves the
// cursor in the same transaction, and returns how many events it passed. Any number of nodes may call it.
func (db *DB) FanOut(ctx context.Context, limit int) (int, error) {
	var cursor, last int64
	if err := db.found(ctx, cursorOf, nil, &cursor); err != nil {
		return 0, err
	}
	passed := 0
	if err := db.found(ctx, fanOutTo, []any{cursor, int64(limit)}, (*number)(&last), &passed); err != nil || passed == 0 {
		return 0, err
	}
	var moved int64
	err := db.write(ctx,
		stmt{text: fanOut, args: []any{cursor, last, millis(db.now())}},
		stmt{text: moveCursor, args: []any{cursor, last}, hit: &moved})
	if err != nil {
		return 0, fmt.Errorf("store: adding deliveries: %w", err)
	}
	if moved == 0 { // another node passed them meanwhile
		return 0, nil
	}
	return passed, nil
}
