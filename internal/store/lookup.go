package store

import (
	"context"
	"fmt"
	"time"

	"piaohao/internal/pay"
)

// maxRead bounds the rows that one look at a payment reads of each kind.
const maxRead = 2000

const (
	// Each branch goes through an index: CROSS JOIN makes SQLite begin with the shops, which are few. $1 is the number,
	// $2 the limit.
	paymentsByNumber = `SELECT id FROM (
		SELECT id FROM payments WHERE id = $1
		UNION SELECT payment_id FROM attempts WHERE id = $1
		UNION SELECT payment_id FROM attempts WHERE out_trade_no = $1
		UNION SELECT payment_id FROM attempts WHERE transaction_id = $1
		UNION SELECT payment_id FROM refunds WHERE id = $1
		UNION SELECT payment_id FROM events WHERE id = $1
		UNION SELECT payment_id FROM incidents WHERE id = $1 AND payment_id <> ''
		UNION SELECT p.id FROM shops s CROSS JOIN payments p WHERE p.shop = s.id AND p.order_no = $1 AND p.status IN ('open', 'paid')
		UNION SELECT p.id FROM shops s CROSS JOIN payments p WHERE p.shop = s.id AND p.order_no = $1 AND p.status = 'closed'
		) f ORDER BY id DESC LIMIT $2`

	eventsOf = `SELECT ` + eventColumns + `, COALESCE(pos, 0) FROM events WHERE payment_id = $1 ORDER BY seq LIMIT $2`

	// times is how often the same was seen of that attempt.
	selectIncidents = `SELECT i.id, i.account, i.kind, i.payment_id, i.attempt_id, i.detail, i.at,
		CAST((SELECT COALESCE(SUM(e.times), 1) FROM exchanges e WHERE i.attempt_id <> '' AND e.attempt_id = i.attempt_id
			AND e.outcome = 'quarantine' AND e.code = i.kind) AS BIGINT) FROM incidents i `
	incidentsOf     = selectIncidents + `WHERE i.payment_id = $1 ORDER BY i.at, i.id LIMIT $2`
	incidentsNewest = selectIncidents + `ORDER BY i.at DESC, i.id DESC LIMIT $1`

	deliveriesOf = `SELECT d.event_id, e.type, d.endpoint_id, COALESCE(p.url, ''), d.due_at, d.lease_until, d.tries, d.failures,
		d.delivered_at, d.status, d.excerpt FROM events e JOIN deliveries d ON d.event_id = e.id
		LEFT JOIN endpoints p ON p.id = d.endpoint_id WHERE e.payment_id = $1 ORDER BY e.seq, d.endpoint_id LIMIT $2`
)

// PaymentIDs finds payments by any number: an id of a payment, attempt, refund, event or incident, the number of an
// attempt, ours or the platform's, or the order number of any shop. The newest first.
func (db *DB) PaymentIDs(ctx context.Context, number string, limit int) ([]string, error) {
	var ids []string
	err := db.read(ctx, stmt{text: paymentsByNumber, args: []any{number, int64(limit)}, row: func(scan scan) error {
		var id string
		err := scan(&id)
		ids = append(ids, id)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("store: looking for a payment: %w", err)
	}
	return ids, nil
}

// Events returns the events of a payment in their order.
func (db *DB) Events(ctx context.Context, paymentID string) ([]pay.Event, error) {
	return db.events(ctx, eventsOf, paymentID, int64(maxRead))
}

// Incident is a stored incident without its message, and how often the same was seen of its attempt.
type Incident struct {
	pay.Incident // Digest and Raw are left out
	Times        int64
}

// Incidents returns those of a payment, in order of time.
func (db *DB) Incidents(ctx context.Context, paymentID string) ([]Incident, error) {
	return db.incidents(ctx, incidentsOf, paymentID, int64(maxRead))
}

// NewestIncidents returns the newest incidents, the newest first.
func (db *DB) NewestIncidents(ctx context.Context, limit int) ([]Incident, error) {
	return db.incidents(ctx, incidentsNewest, int64(limit))
}

func (db *DB) incidents(ctx context.Context, query string, args ...any) ([]Incident, error) {
	var all []Incident
	err := db.read(ctx, stmt{text: query, args: args, row: func(scan scan) error {
		var i Incident
		err := scan(&i.ID, &i.Account, &i.Kind, &i.PaymentID, &i.AttemptID, &i.Detail, (*stamp)(&i.At), &i.Times)
		all = append(all, i)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("store: reading incidents: %w", err)
	}
	return all, nil
}

// DeliveryState is how far a webhook is on its way, without its body and its endpoint's secret.
type DeliveryState struct {
	EventID, EndpointID, URL string // URL "" = the endpoint is gone

	Type            pay.EventType
	Due, LeaseUntil time.Time // Due zero = delivered, or given up
	Tries, Failures int64
	DeliveredAt     time.Time
	Status          int    // of the last answer, 0 = none came
	Excerpt         string // of the last answer; with Status 0 why there is none, in words of ours
}

// Deliveries returns those of a payment's events, in the events' order.
func (db *DB) Deliveries(ctx context.Context, paymentID string) ([]DeliveryState, error) {
	var all []DeliveryState
	err := db.read(ctx, stmt{text: deliveriesOf, args: []any{paymentID, int64(maxRead)}, row: func(scan scan) error {
		var d DeliveryState
		var status number
		err := scan(&d.EventID, (*text)(&d.Type), &d.EndpointID, &d.URL, (*stamp)(&d.Due), (*stamp)(&d.LeaseUntil), &d.Tries,
			&d.Failures, (*stamp)(&d.DeliveredAt), &status, &d.Excerpt)
		d.Status = int(status)
		all = append(all, d)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("store: reading deliveries: %w", err)
	}
	return all, nil
}
