package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"piaohao/internal/pay"
)

// Columns in the order in which their values are bound and scanned. The mutable ones are all that an UPDATE sets:
// the rest of a row is what was committed before a platform was called, and stays.
const (
	paymentColumns = "id, shop, order_no, amount, currency, subject, livemode, token, return_url, metadata, " +
		"created_at, expires_at, " + paymentMutable
	paymentMutable = "status, close_wanted_at, close_reason, closed_at, paid_at, paid_attempt, late, seq"

	attemptColumns = "id, payment_id, out_trade_no, method, product, amount, currency, account, channel, app_id, " +
		"merchant_id, variant, subject, notify_url, return_url, client_ip, expires_at, created_at, lazy, " +
		attemptMutable + ", " + dueColumns
	attemptMutable = "status, shape_kind, shape_text, shape_until, handed_out_at, close_wanted_at, closed_at, " +
		"transaction_id, paid_at, refunded, surplus"

	refundColumns = "id, payment_id, shop, attempt_id, account, refund_no, out_refund_no, amount, reason, automatic, external, quiet, " +
		"created_at, " + refundMutable + ", " + dueColumns
	refundMutable = "status, code, sent_at, succeeded_at"

	dueColumns = "due_at, lease_until, tries, asked, failures"

	eventColumns    = "payment_id, seq, id, type, attempt_id, refund_id, at, livemode, shop, body, acted_by"
	incidentColumns = "id, account, digest, kind, payment_id, attempt_id, detail, raw, at"
)

// texts are the statements that differ between the engines by a word.
type texts struct {
	event       string // $1…$12
	eventFenced string // the same, refused unless attempt $13 still has $14 tries
	eventRefund string // the same, refused unless refund $13 still has $14 tries
	endpoint    string // chooses the endpoint of the next delivery
	kept        wide   // what is kept of the exchanges of the attempts in $1, a JSON array
}

func textsFor(d dialect) texts {
	const head = "INSERT INTO events (" + eventColumns + ", for_shops, pos) VALUES ($1, "
	tail := ", " + places(3, 10) + ", " + d.eventPos + ")"
	fenced := func(table string) string {
		return head + "(SELECT CAST($2 AS BIGINT) WHERE EXISTS (SELECT 1 FROM " + table + " WHERE id = $13 AND tries = $14))" + tail
	}
	return texts{
		event:       head + "$2" + tail,
		eventFenced: fenced("attempts"),
		eventRefund: fenced("refunds"),
		endpoint:    chooseEndpoint + d.forUpdate,
		kept:        wideQuery(keptColumns, keptOf+d.list+keptOrder),
	}
}

var (
	insertPayment  = strings.Replace(insert("payments", paymentColumns), "$11", newestOfOrder, 1)
	updatePayment  = update("payments", paymentMutable)
	insertAttempt  = insert("attempts", attemptColumns)
	updateAttempt  = update("attempts", attemptMutable)
	insertRefund   = insert("refunds", refundColumns)
	updateRefund   = update("refunds", refundMutable)
	insertIncident = insert("incidents", incidentColumns) + " ON CONFLICT (account, digest) DO NOTHING"
)

// newestOfOrder is the time of a payment ($11), refused unless every closed one of its order is older. A create may wait, or
// its node's clock be behind, while another one of the order is made and closed; without this that one would go on being
// the newest of the order.
const newestOfOrder = `(SELECT CAST($11 AS BIGINT) WHERE NOT EXISTS (
	SELECT 1 FROM payments WHERE shop = $2 AND order_no = $3 AND status = 'closed' AND created_at >= CAST($11 AS BIGINT)))`

// wakeAttempt sets the due time and counts as asking, so that a holder's release does not undo it.
const wakeAttempt = `UPDATE attempts SET due_at = $2, asked = asked + 1 WHERE id = $1`

// Apply writes a Change in one transaction and returns once it is durable: ErrStale when another Change of the
// payment came first or the fence's claim was lost, ErrOrderTaken for a create whose order has an open or paid
// payment, or a closed one that is not older, ErrTransactionUsed for a transaction number that another attempt of the account holds, ErrRefundNoUsed for a
// refund number that another payment of the shop holds. After each of
// these, and after every other error of SQLite, nothing of it was written. A lost connection to PostgreSQL during
// the commit leaves the outcome unknown: load and decide again. A Change without events writes its incident alone.
func (db *DB) Apply(ctx context.Context, c pay.Change) error {
	if c.Empty() {
		return db.applyEmpty(ctx, c)
	}
	for i, e := range c.Events {
		if e.Seq != c.Events[0].Seq+int64(i) || e.PaymentID != c.Payment.ID {
			return errors.New("store: the events of a change are not one sequence of its payment")
		}
	}
	err := db.write(ctx, db.statements(c)...)
	switch refusal(err) {
	case refusedSeq:
		return ErrStale
	case refusedOrder, refusedOlder:
		return ErrOrderTaken
	case refusedTransaction:
		return ErrTransactionUsed
	case refusedRefund:
		return ErrRefundNoUsed
	}
	if err != nil {
		return fmt.Errorf("store: applying a change: %w", err)
	}
	db.committed.Ring()
	db.bells.ring(c, db.now())
	return nil
}

func (db *DB) applyEmpty(ctx context.Context, c pay.Change) error {
	if c.New || len(c.Attempts)+len(c.Refunds) > 0 {
		return errors.New("store: a change without an event")
	}
	if len(c.Incidents) == 0 {
		return nil
	}
	_, err := db.RecordIncident(ctx, c.Incidents[0])
	return err
}

// RecordIncident stores i once: isNew is false when its account and digest are known.
func (db *DB) RecordIncident(ctx context.Context, i pay.Incident) (isNew bool, err error) {
	var hit int64
	s := incidentStmt(i)
	s.hit = &hit
	if err := db.write(ctx, s); err != nil {
		return false, fmt.Errorf("store: recording an incident: %w", err)
	}
	return hit == 1, nil
}

// statements puts the guard first: for a create the payment's row, else the first event, with the fence inside.
func (db *DB) statements(c pay.Change) []stmt {
	batch := make([]stmt, 0, len(c.Events)+2*len(c.Attempts)+len(c.Refunds)+len(c.Incidents)+1)
	seq := c.Events[len(c.Events)-1].Seq
	if c.New {
		batch = append(batch, stmt{text: insertPayment, args: paymentArgs(c.Payment, seq)})
	}
	for i, e := range c.Events {
		batch = append(batch, db.eventStmt(e, c.Fence, i == 0))
	}
	if !c.New {
		args := append([]any{c.Payment.ID}, paymentMutableArgs(c.Payment, seq)...)
		batch = append(batch, stmt{text: updatePayment, args: args, one: true})
	}
	for _, row := range c.Attempts {
		batch = append(batch, attemptStmts(row)...)
	}
	for _, row := range c.Refunds {
		batch = append(batch, refundStmt(row))
	}
	for _, i := range c.Incidents {
		batch = append(batch, incidentStmt(i))
	}
	return batch
}

func (db *DB) eventStmt(e pay.Event, fence *pay.Fence, first bool) stmt {
	args := []any{
		e.PaymentID, e.Seq, e.ID, string(e.Type), e.AttemptID, e.RefundID, millis(e.At), bit(e.Livemode), e.Shop,
		blob(e.Body), e.ActedBy, bit(e.Type.ForShops() && !e.Quiet),
	}
	switch {
	case fence == nil || !first:
		return stmt{text: db.sql.event, args: args}
	case fence.RefundID != "":
		return stmt{text: db.sql.eventRefund, args: append(args, fence.RefundID, fence.Tries)}
	}
	return stmt{text: db.sql.eventFenced, args: append(args, fence.AttemptID, fence.Tries)}
}

func paymentArgs(p pay.Payment, seq int64) []any {
	return append([]any{
		p.ID, p.Shop, p.OrderNo, int64(p.Amount), p.Currency, p.Subject, bit(p.Livemode), p.Token, p.ReturnURL,
		p.Metadata, millis(p.CreatedAt), millis(p.ExpiresAt),
	}, paymentMutableArgs(p, seq)...)
}

func paymentMutableArgs(p pay.Payment, seq int64) []any {
	return []any{
		string(p.Status), millis(p.CloseWantedAt), string(p.CloseReason), millis(p.ClosedAt), millis(p.PaidAt),
		p.PaidAttempt, bit(p.Late), seq,
	}
}

func attemptStmts(row pay.AttemptRow) []stmt {
	a := row.Attempt
	mutable := []any{
		string(a.Status), string(a.Shape.Kind), a.Shape.Text, millis(a.Shape.Until), millis(a.HandedOutAt),
		millis(a.CloseWantedAt), millis(a.ClosedAt), null(a.TransactionID), millis(a.PaidAt), int64(a.Refunded),
		bit(a.Surplus),
	}
	if row.New {
		args := append([]any{
			a.ID, a.PaymentID, a.OutTradeNo, a.Method, a.Product, int64(a.Amount), a.Currency, a.Account, a.Channel,
			a.AppID, a.MerchantID, a.Variant, a.Subject, a.NotifyURL, a.ReturnURL, a.ClientIP, millis(a.ExpiresAt),
			millis(a.CreatedAt), bit(a.Lazy),
		}, mutable...)
		return []stmt{{text: insertAttempt, args: append(args, dueArgs(a.Due)...)}}
	}
	batch := []stmt{{text: updateAttempt, args: append([]any{a.ID}, mutable...), one: true}}
	if row.Wake != nil {
		batch = append(batch, stmt{text: wakeAttempt, args: []any{a.ID, millis(*row.Wake)}})
	}
	return batch
}

func refundStmt(row pay.RefundRow) stmt {
	r := row.Refund
	mutable := []any{string(r.Status), r.Code, millis(r.SentAt), millis(r.SucceededAt)}
	if !row.New {
		return stmt{text: updateRefund, args: append([]any{r.ID}, mutable...), one: true}
	}
	args := append([]any{
		r.ID, r.PaymentID, r.Shop, r.AttemptID, r.Account, r.RefundNo, r.OutRefundNo, int64(r.Amount), r.Reason,
		bit(r.Automatic), bit(r.External), bit(r.Quiet), millis(r.CreatedAt),
	}, mutable...)
	return stmt{text: insertRefund, args: append(args, dueArgs(r.Due)...)}
}

func dueArgs(d pay.Due) []any {
	return []any{millis(d.At), millis(d.LeaseUntil), d.Tries, d.Asked, d.Failures}
}

func incidentStmt(i pay.Incident) stmt {
	return stmt{text: insertIncident, args: []any{
		i.ID, i.Account, i.Digest, i.Kind, i.PaymentID, i.AttemptID, i.Detail, blob(i.Raw), millis(i.At),
	}}
}
