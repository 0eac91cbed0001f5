package store

import (
	"context"
	"fmt"

	"piaohao/internal/pay"
)

// maxNumbered bounds the events that one FanOut numbers.
const maxNumbered = 1000

// numberingLock is the key of the advisory lock under which PostgreSQL numbers events ("pos" in ASCII).
const numberingLock = 0x706f73

const (
	// What FanOut has to do: where its cursor stands, the last event's place, and whether events have none.
	news = `SELECT cursor, COALESCE((SELECT MAX(pos) FROM events), 0),
		CASE WHEN EXISTS (SELECT 1 FROM events WHERE pos IS NULL) THEN 1 ELSE 0 END FROM tails WHERE name = 'deliveries'`

	// A payment's events become visible in order of seq. Ordering by the latest time so far within the payment
	// keeps that order whatever the clocks of the nodes say.
	numberEvents = `UPDATE events SET pos = n.pos FROM (
		SELECT payment_id, seq, (SELECT COALESCE(MAX(pos), 0) FROM events)
			+ ROW_NUMBER() OVER (ORDER BY latest, payment_id, seq) AS pos
		FROM (SELECT payment_id, seq, MAX(at) OVER (PARTITION BY payment_id ORDER BY seq) AS latest
			FROM events WHERE pos IS NULL) u
		ORDER BY pos LIMIT $1) n
		WHERE events.payment_id = n.payment_id AND events.seq = n.seq`

	cursorOf = `SELECT cursor FROM tails WHERE name = 'deliveries'`
	ahead    = `FROM events WHERE pos > (` + cursorOf + `) ORDER BY pos LIMIT $1`
	// $1 limit, $2 now. Twice the same events add nothing.
	fanOut = `INSERT INTO deliveries (event_id, endpoint_id, due_at)
		SELECT n.id, p.id, CAST($2 AS BIGINT) FROM (SELECT id, shop, for_shops ` + ahead + `) n JOIN endpoints p ON p.shop = n.shop
		WHERE n.for_shops = 1
		ON CONFLICT (event_id, endpoint_id) DO NOTHING`
	moveCursor = `UPDATE tails SET cursor = COALESCE((SELECT MAX(pos) FROM (SELECT pos ` + ahead + `) n), cursor)
		WHERE name = 'deliveries' RETURNING cursor`

	placesAfter = `SELECT payment_id, seq, pos FROM events WHERE pos > $1 ORDER BY pos LIMIT $2`
)

// FanOut passes on up to limit events behind its cursor, in one transaction: events that became visible get their place in
// the global order, each that is for shops becomes one delivery per endpoint, and the cursor moves. It returns how many it
// passed; 0: none is left. Any number of nodes may call it.
func (db *DB) FanOut(ctx context.Context, limit int) (int, error) {
	var cursor, last int64
	var waiting flag
	if err := db.found(ctx, news, nil, (*number)(&cursor), (*number)(&last), &waiting); err != nil {
		return 0, fmt.Errorf("store: looking for events: %w", err)
	}
	if !bool(waiting) && cursor == last {
		return 0, nil
	}
	var added int64
	var batch []stmt
	hold := cursorOf
	if !db.dialect().alone { // SQLite's writer numbers events as it writes
		// The locks are statements of their own: what follows sees all that their last holder committed. The cursor's is for
		// nodes of a version that moves it without the other one.
		batch = append(batch,
			stmt{text: `SELECT pg_advisory_xact_lock($1)`, args: []any{int64(numberingLock)}},
			stmt{text: numberEvents, args: []any{int64(maxNumbered)}})
		hold += " FOR UPDATE"
	}
	batch = append(batch,
		stmt{text: hold, row: func(scan scan) error { return scan((*number)(&cursor)) }},
		stmt{text: fanOut, args: []any{int64(limit), millis(db.now())}, hit: &added},
		stmt{text: moveCursor, args: []any{int64(limit)}, row: func(scan scan) error { return scan((*number)(&last)) }})
	if err := db.write(ctx, batch...); err != nil {
		return 0, fmt.Errorf("store: passing on events: %w", err)
	}
	if added > 0 {
		db.bells.Deliveries.Ring()
	}
	return int(last - cursor), nil
}

// Place is the key of an event, and its place in the global order.
type Place struct {
	PaymentID string
	Seq, Pos  int64
}

// PlacesAfter returns the places of up to limit events behind pos, in the global order.
func (db *DB) PlacesAfter(ctx context.Context, pos int64, limit int) ([]Place, error) {
	var places []Place
	err := db.read(ctx, stmt{text: placesAfter, args: []any{pos, int64(limit)}, row: func(scan scan) error {
		var p Place
		err := scan(&p.PaymentID, &p.Seq, &p.Pos)
		places = append(places, p)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("store: reading events: %w", err)
	}
	return places, nil
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
