package store

import (
	"context"
	"fmt"
	"time"

	"piaohao/internal/pay"
)

// A payment and its attempts are one statement, so one snapshot. Refunds, which few payments have, are a second
// one: rows newer than the payment's seq do no harm, the guard then refuses what was decided from them.
var (
	paymentRow = of("p", paymentColumns) + ", p.watched_until, " +
		"CASE WHEN EXISTS (SELECT 1 FROM refunds r WHERE r.payment_id = p.id) THEN 1 ELSE 0 END, " + of("a", attemptColumns)

	selectRefunds = wideQuery(refundColumns, "FROM refunds WHERE payment_id = $1 ORDER BY created_at, id")

	paymentByID    = paymentBy("p.id = $1")
	paymentByToken = paymentBy("p.token = $1")
	paymentByOrder = paymentBy(`p.id = (SELECT o.id FROM (
		SELECT id, created_at, 0 AS over FROM payments WHERE shop = $1 AND order_no = $2 AND status IN ('open', 'paid')
		UNION ALL
		SELECT id, created_at, 1 AS over FROM payments WHERE shop = $1 AND order_no = $2 AND status = 'closed'
		) o ORDER BY o.over, o.created_at DESC, o.id DESC LIMIT 1)`)
	paymentByOutTradeNo = paymentBy(`p.id = (SELECT t.payment_id FROM attempts t WHERE t.out_trade_no = $2
		ORDER BY CASE WHEN t.account = $1 THEN 0 ELSE 1 END, t.created_at LIMIT 1)`)
	paymentByTransaction = paymentBy(`p.id = (SELECT t.payment_id FROM attempts t JOIN payments s ON s.id = t.payment_id
		WHERE t.transaction_id = $2 AND s.shop = $1 ORDER BY t.created_at LIMIT 1)`)
	paymentByRefund   = paymentBy("p.id = (SELECT r.payment_id FROM refunds r WHERE r.id = $2 AND r.shop = $1)")
	paymentByRefundNo = paymentBy(`p.id = (SELECT r.payment_id FROM refunds r
		WHERE r.shop = $1 AND r.refund_no = $2 AND r.external = 0)`)
)

func paymentBy(where string) wide {
	return wideQuery(paymentRow, "FROM payments p LEFT JOIN attempts a ON a.payment_id = p.id WHERE "+where+" ORDER BY a.created_at, a.id")
}

// wide is a query of many columns. packed selects them as one JSON array: SQLite's driver asks five things of each column.
type wide struct{ text, packed string }

func wideQuery(columns, rest string) wide {
	return wide{"SELECT " + columns + " " + rest, "SELECT json_array(" + columns + ") " + rest}
}

// Payment loads a payment with its attempts and refunds, in order of creation, by its id.
func (db *DB) Payment(ctx context.Context, id string) (pay.Payment, error) {
	return db.load(ctx, paymentByID, id)
}

// PaymentByToken loads a payment by the token of its pages.
func (db *DB) PaymentByToken(ctx context.Context, token string) (pay.Payment, error) {
	return db.load(ctx, paymentByToken, token)
}

// PaymentByOrder loads the shop's open or paid payment of an order, else the newest closed one.
func (db *DB) PaymentByOrder(ctx context.Context, shop, orderNo string) (pay.Payment, error) {
	return db.load(ctx, paymentByOrder, shop, orderNo)
}

// PaymentByOutTradeNo loads the payment of an attempt by our number for it: that account's if several accounts
// have the number, else any.
func (db *DB) PaymentByOutTradeNo(ctx context.Context, account, outTradeNo string) (pay.Payment, error) {
	return db.load(ctx, paymentByOutTradeNo, account, outTradeNo)
}

// PaymentByTransaction loads a shop's payment by the platform's number of one of its attempts.
func (db *DB) PaymentByTransaction(ctx context.Context, shop, transactionID string) (pay.Payment, error) {
	return db.load(ctx, paymentByTransaction, shop, transactionID)
}

// PaymentByRefund loads a shop's payment by the id of one of its refunds.
func (db *DB) PaymentByRefund(ctx context.Context, shop, refundID string) (pay.Payment, error) {
	return db.load(ctx, paymentByRefund, shop, refundID)
}

// PaymentByRefundNo loads a shop's payment by the shop's number of one of its refunds.
func (db *DB) PaymentByRefundNo(ctx context.Context, shop, refundNo string) (pay.Payment, error) {
	return db.load(ctx, paymentByRefundNo, shop, refundNo)
}

func (db *DB) load(ctx context.Context, query wide, args ...any) (pay.Payment, error) {
	var p pay.Payment
	var hasRefunds flag
	err := db.read(ctx, stmt{text: query.text, packed: query.packed, args: args, row: func(scan scan) error {
		p.Attempts = append(p.Attempts, pay.Attempt{})
		a := &p.Attempts[len(p.Attempts)-1]
		if err := scan(attemptDest(paymentDest(make([]any, 0, wideColumns), &p, &hasRefunds), a)...); err != nil {
			return err
		}
		if a.ID == "" { // the left join's empty row: no attempt yet
			p.Attempts = nil
		}
		return nil
	}})
	if err == nil && p.ID == "" {
		return pay.Payment{}, ErrNotFound
	}
	if err == nil && bool(hasRefunds) {
		err = db.read(ctx, stmt{text: selectRefunds.text, packed: selectRefunds.packed, args: []any{p.ID}, row: func(scan scan) error {
			var r pay.Refund
			err := scan(refundDest(&r)...)
			p.Refunds = append(p.Refunds, r)
			return err
		}})
	}
	if err != nil {
		return pay.Payment{}, fmt.Errorf("store: loading a payment: %w", err)
	}
	return p, nil
}

// wideColumns is room for what a row of a payment and an attempt has.
const wideColumns = 64

func paymentDest(to []any, p *pay.Payment, hasRefunds *flag) []any {
	return append(to,
		&p.ID, &p.Shop, &p.OrderNo, (*number)(&p.Amount), &p.Currency, &p.Subject, (*flag)(&p.Livemode), &p.Token,
		&p.ReturnURL, &p.Metadata, (*stamp)(&p.CreatedAt), (*stamp)(&p.ExpiresAt), (*text)(&p.Status),
		(*stamp)(&p.CloseWantedAt), (*text)(&p.CloseReason), (*stamp)(&p.ClosedAt), (*stamp)(&p.PaidAt),
		&p.PaidAttempt, (*flag)(&p.Late), &p.Seq, (*stamp)(&p.WatchedUntil), hasRefunds,
	)
}

func attemptDest(to []any, a *pay.Attempt) []any {
	return dueDest(append(to,
		(*text)(&a.ID), (*text)(&a.PaymentID), (*text)(&a.OutTradeNo), (*text)(&a.Method), (*text)(&a.Product),
		(*number)(&a.Amount), (*text)(&a.Currency), (*text)(&a.Account), (*text)(&a.Channel), (*text)(&a.AppID),
		(*text)(&a.MerchantID), (*text)(&a.Variant), (*text)(&a.Subject), (*text)(&a.NotifyURL), (*text)(&a.ReturnURL),
		(*text)(&a.ClientIP), (*stamp)(&a.ExpiresAt), (*stamp)(&a.CreatedAt), (*flag)(&a.Lazy), (*text)(&a.Status),
		(*text)(&a.Shape.Kind), (*text)(&a.Shape.Text), (*stamp)(&a.Shape.Until), (*stamp)(&a.HandedOutAt),
		(*stamp)(&a.CloseWantedAt), (*stamp)(&a.ClosedAt), (*text)(&a.TransactionID), (*stamp)(&a.PaidAt),
		(*number)(&a.Refunded), (*flag)(&a.Surplus),
	), &a.Due)
}

func refundDest(r *pay.Refund) []any {
	return dueDest([]any{
		&r.ID, &r.PaymentID, &r.Shop, &r.AttemptID, &r.Account, &r.RefundNo, &r.OutRefundNo, (*number)(&r.Amount), &r.Reason,
		(*flag)(&r.Automatic), (*flag)(&r.External), (*flag)(&r.Quiet), (*stamp)(&r.CreatedAt),
		(*text)(&r.Status), &r.Code, (*stamp)(&r.SentAt), (*stamp)(&r.SucceededAt),
	}, &r.Due)
}

func dueDest(to []any, d *pay.Due) []any {
	return append(to,
		(*stamp)(&d.At), (*stamp)(&d.LeaseUntil), (*number)(&d.Tries), (*number)(&d.Asked), (*number)(&d.Failures),
	)
}

// watchStep is how far watched_until must move before it is written again.
const watchStep = 15 * time.Second

// firstQuery is when a payment that somebody begins to watch is first asked about.
const firstQuery = 3 * time.Second

const (
	// Only while nobody watched: pulling due times forward again and again would keep the plan at its beginning.
	pullAttempts = `UPDATE attempts SET due_at = $3, asked = asked + 1 WHERE payment_id = $1 AND due_at > $3
		AND EXISTS (SELECT 1 FROM payments p WHERE p.id = $1 AND (p.watched_until IS NULL OR p.watched_until <= $2))`
	extendWatch = `UPDATE payments SET watched_until = $2 WHERE id = $1 AND (watched_until IS NULL OR watched_until <= $3)`
)

// Watch notes that a payer looks at the page of p, as it was just loaded, until then. It writes only when that moves at
// least 15 s forward; when nobody had been looking, the payment's waiting attempts are asked about within 3 s.
func (db *DB) Watch(ctx context.Context, p pay.Payment, until time.Time) error {
	if until.Sub(p.WatchedUntil) < watchStep {
		return nil
	}
	now := db.now()
	err := db.write(ctx,
		stmt{text: pullAttempts, args: []any{p.ID, millis(now), millis(now.Add(firstQuery))}},
		stmt{text: extendWatch, args: []any{p.ID, millis(until), millis(until.Add(-watchStep))}})
	if err != nil {
		return fmt.Errorf("store: watching a payment: %w", err)
	}
	return nil
}

// WatchedUntil is until when somebody looks at the payment's page, zero for nobody yet.
func (db *DB) WatchedUntil(ctx context.Context, paymentID string) (watched time.Time, err error) {
	err = db.found(ctx, `SELECT watched_until FROM payments WHERE id = $1`, []any{paymentID}, (*stamp)(&watched))
	return watched, err
}
