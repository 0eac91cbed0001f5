package store

import (
	"context"
	"fmt"
	"time"

	"piaohao/internal/pay"
	"piaohao/internal/secret"
)

// Delivery is one event on its way to one endpoint. Tries is the fence of the claim.
type Delivery struct {
	ID, EventID, EndpointID, PaymentID, URL string

	Secret          secret.Text
	Type            pay.EventType
	Body            []byte // sent byte for byte
	CreatedAt       time.Time
	Tries, Failures int64
}

const (
	// An endpoint has at most 8 deliveries in flight, 1 while it is failing: a dead shop holds one slot.
	slots    = `CASE WHEN p.failures > 0 THEN 1 ELSE 8 END`
	inFlight = `(SELECT COUNT(*) FROM deliveries f WHERE f.endpoint_id = p.id AND f.lease_until > $1)`

	chooseEndpoint = `SELECT p.id, p.url, p.secret FROM endpoints p WHERE ` + inFlight + ` < ` + slots + `
		AND EXISTS (SELECT 1 FROM deliveries WHERE endpoint_id = p.id AND ` + claimable + `)
		ORDER BY ` + inFlight + `, p.id LIMIT 1`
	// The endpoint's row is locked by now, where that matters, so the second look at its slots is exact.
	claimDelivery = `UPDATE deliveries SET lease_until = $2, tries = tries + 1 WHERE endpoint_id = $3
		AND event_id = (SELECT event_id FROM deliveries WHERE endpoint_id = $3 AND ` + claimable + ` ORDER BY due_at LIMIT 1)
		AND EXISTS (SELECT 1 FROM endpoints p WHERE p.id = $3 AND ` + inFlight + ` < ` + slots + `)
		RETURNING event_id, tries, failures`

	held            = `EXISTS (SELECT 1 FROM deliveries WHERE event_id = $2 AND endpoint_id = $1 AND tries = $3)`
	endpointWell    = `UPDATE endpoints SET failures = 0 WHERE id = $1 AND failures > 0 AND ` + held
	endpointFailing = `UPDATE endpoints SET failures = failures + 1 WHERE id = $1 AND ` + held
	finishDelivery  = `UPDATE deliveries SET lease_until = NULL, due_at = $4, delivered_at = $5, status = $6,
		excerpt = $7, failures = CASE WHEN $8 = 1 THEN 0 ELSE failures + 1 END
		WHERE event_id = $2 AND endpoint_id = $1 AND tries = $3`

	deliveryDue = `SELECT CASE WHEN ` + inFlight + ` < ` + slots + ` THEN 0 ELSE 1 END,
		(SELECT MIN(l.lease_until) FROM deliveries l WHERE l.endpoint_id = p.id AND l.lease_until > $1),
		(SELECT d.due_at FROM deliveries d WHERE d.endpoint_id = p.id AND d.due_at IS NOT NULL AND d.lease_until IS NULL
			ORDER BY d.due_at LIMIT 1),
		(SELECT MIN(CASE WHEN h.due_at > h.lease_until THEN h.due_at ELSE h.lease_until END) FROM deliveries h
			WHERE h.endpoint_id = p.id AND h.lease_until IS NOT NULL AND h.due_at IS NOT NULL)
		FROM endpoints p`
)

// ClaimDelivery takes one due delivery until now+lease, of the endpoint with the fewest in flight. false: nothing
// is due, or every endpoint with something due has its slots in use, or another node was faster. A crash of PostgreSQL may
// forget the claim, and the event is sent again: claims of one endpoint wait for each other, and need not wait for its disk.
func (db *DB) ClaimDelivery(ctx context.Context, now time.Time, lease time.Duration) (Delivery, bool, error) {
	var d Delivery
	err := db.tentative(ctx, func(run run) error {
		d = Delivery{}
		var hidden string
		err := run(stmt{text: db.sql.endpoint, args: []any{millis(now)}, row: func(scan scan) error {
			return scan(&d.EndpointID, &d.URL, &hidden)
		}})
		if err != nil || d.EndpointID == "" {
			return err
		}
		d.Secret = secret.New(hidden)
		return run(stmt{
			text: claimDelivery, args: []any{millis(now), millis(now.Add(lease)), d.EndpointID},
			row: func(scan scan) error { return scan(&d.EventID, &d.Tries, &d.Failures) },
		})
	})
	if err == nil && d.EventID == "" {
		return Delivery{}, false, nil
	}
	if err == nil {
		d.ID = d.EventID + "/" + d.EndpointID
		err = db.found(ctx, `SELECT payment_id, type, body, at FROM events WHERE id = $1`, []any{d.EventID},
			&d.PaymentID, (*text)(&d.Type), &d.Body, (*stamp)(&d.CreatedAt))
	}
	if err != nil {
		return Delivery{}, false, fmt.Errorf("store: claiming a delivery: %w", err)
	}
	db.bells.Deliveries.Ring()
	return d, true, nil
}

// FinishDelivery gives a delivery back: delivered, or to be tried again at next, or given up (next zero). status
// is the endpoint's HTTP status (0: none came), excerpt the beginning of its answer. ErrStale: the lease had ended
// and another holder has it; nothing was written.
func (db *DB) FinishDelivery(ctx context.Context, d Delivery, delivered bool, next time.Time, status int, excerpt string) error {
	endpoint, at := endpointFailing, time.Time{}
	if delivered {
		endpoint, at, next = endpointWell, db.now(), time.Time{}
	}
	return db.fenced(ctx,
		stmt{text: endpoint, args: []any{d.EndpointID, d.EventID, d.Tries}},
		stmt{text: finishDelivery, args: []any{
			d.EndpointID, d.EventID, d.Tries, millis(next), millis(at), int64(status), excerpt, bit(delivered),
		}})
}

// NextDeliveryDue returns when ClaimDelivery may next find something, zero for never: per delivery the later of
// its due time and its lease, and for an endpoint whose slots are in use not before the first lease ends (whoever
// finishes one looks again anyway).
func (db *DB) NextDeliveryDue(ctx context.Context) (time.Time, error) {
	var next time.Time
	err := db.read(ctx, stmt{text: deliveryDue, args: []any{millis(db.now())}, row: func(scan scan) error {
		var full flag
		var slot, free, held time.Time
		if err := scan(&full, (*stamp)(&slot), (*stamp)(&free), (*stamp)(&held)); err != nil {
			return err
		}
		due := sooner(free, held)
		if bool(full) && !due.IsZero() {
			due = later(due, slot)
		}
		next = sooner(next, due)
		return nil
	}})
	if err != nil {
		return time.Time{}, fmt.Errorf("store: looking for due deliveries: %w", err)
	}
	return next, nil
}
