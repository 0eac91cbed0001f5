package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"piaohao/client"
)

// The states of a refund beside the gateway's own.
const (
	noted   = "noted"   // stored here; whether the gateway has it is not known
	refused = "refused" // the gateway said no
)

// Whose idea a refund was.
const (
	ours    = "ours"
	console = "console" // made at the platform, past us
	surplus = "surplus" // money that came second or late: it was never the order's
)

const reason = "店主退款" // for the payer, who sees it at the platform

// Limits of an order's refunds.
const (
	maxNth   = 1000 // made here
	maxFound = 256  // shown
)

type refund struct {
	No        string // the shop's number at the gateway: the order's and its place
	Amount    int64  // fen
	Kind      string
	Status    string
	CreatedAt time.Time
}

// Moving reports whether its state may still change by itself.
func (r refund) Moving() bool {
	return r.Status == client.RefundPending || r.Status == client.RefundProcessing
}

const refundSchema = `
CREATE TABLE IF NOT EXISTS refunds (
	no TEXT PRIMARY KEY, order_no TEXT NOT NULL REFERENCES orders (no), amount INTEGER NOT NULL CHECK (amount > 0),
	kind TEXT NOT NULL, status TEXT NOT NULL, created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS refunds_order ON refunds (order_no);`

// progress orders the states: one that is further on is never overwritten, because events arrive in any order.
var progress = []string{
	noted, refused, client.RefundPending, client.RefundProcessing, client.RefundAbnormal, client.RefundFailed, client.RefundSucceeded,
}

func (s *Shop) refunds(ctx context.Context, orderNo string) ([]refund, error) {
	rows, err := s.db.QueryContext(ctx,
		`SELECT no, amount, kind, status, created_at FROM refunds WHERE order_no = ? ORDER BY created_at, no LIMIT ?`, orderNo, maxFound)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []refund
	for rows.Next() {
		var r refund
		var at int64
		if err := rows.Scan(&r.No, &r.Amount, &r.Kind, &r.Status, &at); err != nil {
			return nil, err
		}
		r.CreatedAt = time.UnixMilli(at)
		all = append(all, r)
	}
	return all, rows.Err()
}

// giveBack refunds a part of an order or all that is left. The form says which refund of the order it makes, so that
// a second click makes no second refund. The row comes first: whatever happens to the call, its number stays the same.
func (s *Shop) giveBack(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	o, ok := s.order(w, r)
	if !ok {
		return
	}
	nth, err := strconv.Atoi(r.PostFormValue("nth"))
	amount, isMoney := fen(r.PostFormValue("amount"))
	if err != nil || nth < 1 || nth > maxNth || !isMoney {
		s.reject(w, r, o, "金额请写成 12 或 12.50 这样的数字，至少 0.01 元。没有退款。")
		return
	}
	wish := refund{No: o.No + "-r" + strconv.Itoa(nth), Amount: amount, Kind: ours, Status: noted, CreatedAt: s.Now()}
	switch err := s.note(r.Context(), o.No, nth, wish); {
	case errors.Is(err, errSecondClick):
		http.Redirect(w, r, "/orders/"+o.No, http.StatusSeeOther)
	case errors.Is(err, errTooMuch):
		s.reject(w, r, o, "这个订单没有这么多钱可退。没有退款。")
	case err != nil:
		s.broken(w, r, err)
	default:
		s.send(w, r, o, wish)
	}
}

// sendAgain repeats a refund whose first call had no answer: the same number is the same refund.
func (s *Shop) sendAgain(w http.ResponseWriter, r *http.Request) {
	o, ok := s.order(w, r)
	if !ok {
		return
	}
	all, err := s.refunds(r.Context(), o.No)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	i := slices.IndexFunc(all, func(known refund) bool { return known.No == r.PathValue("refund") })
	if i < 0 || all[i].Status != noted {
		http.Redirect(w, r, "/orders/"+o.No, http.StatusSeeOther)
		return
	}
	s.send(w, r, o, all[i])
}

var (
	errSecondClick = errors.New("this refund is stored already")
	errTooMuch     = errors.New("more than what is left of the order")
)

// note stores a refund of ours as the order's nth, while the order has that much left.
func (s *Shop) note(ctx context.Context, orderNo string, nth int, r refund) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after the commit it does nothing
	o, err := load(ctx, tx, orderNo)
	if err != nil {
		return err
	}
	var have int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM refunds WHERE order_no = ? AND kind = ?`, orderNo, ours).Scan(&have); err != nil {
		return err
	}
	switch {
	case nth != have+1:
		return errSecondClick
	case r.Amount > o.Left():
		return errTooMuch
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO refunds (no, order_no, amount, kind, status, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
		r.No, orderNo, r.Amount, r.Kind, r.Status, r.CreatedAt.UnixMilli()); err != nil {
		return err
	}
	return tx.Commit()
}

// send asks the gateway for a refund that is stored. Only a clear no ends it here.
func (s *Shop) send(w http.ResponseWriter, r *http.Request, o order, wish refund) {
	told, err := s.api.CreateRefund(r.Context(), o.PaymentID, client.RefundParams{RefundNo: wish.No, Amount: wish.Amount, Reason: reason})
	switch {
	case err == nil && told.RefundNo == wish.No && told.Amount == wish.Amount:
		wish.Status = told.Status
	case err == nil:
		s.broken(w, r, errMismatch)
		return
	case slices.Contains([]string{
		client.CodePaymentNotPaid, client.CodeRefundConflict, client.CodeRefundTooMuch, client.CodeRefundLimit, client.CodeInvalid,
	}, codeOf(err)):
		wish.Status = refused
	}
	if failed := s.keep(r.Context(), s.db, o.No, wish); failed != nil {
		s.broken(w, r, failed)
		return
	}
	if err != nil {
		text := "还不知道退款有没有送到收银台。请稍后点“再送一次”，不会退两次。"
		if wish.Status == refused {
			text = "收银台没有接受这笔退款，钱没有退。"
		}
		s.Log.WarnContext(r.Context(), "the gateway took no refund", "order_no", o.No, "refund_no", wish.No, "err", err)
		s.again(w, r, o, http.StatusBadGateway, text)
		return
	}
	http.Redirect(w, r, "/orders/"+o.No, http.StatusSeeOther)
}

// execer is a database or a transaction.
type execer interface {
	querier
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// keep stores what is known of a refund, unless more is known already.
func (s *Shop) keep(ctx context.Context, tx execer, orderNo string, r refund) error {
	at := slices.Index(progress, r.Status)
	if at < 0 {
		return nil // a state of a later version
	}
	var was, of string
	var amount int64
	err := tx.QueryRowContext(ctx, `SELECT status, amount, order_no FROM refunds WHERE no = ?`, r.No).Scan(&was, &amount, &of)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		_, err = tx.ExecContext(ctx, `INSERT INTO refunds (no, order_no, amount, kind, status, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
			r.No, orderNo, r.Amount, r.Kind, r.Status, r.CreatedAt.UnixMilli())
		return err
	case err != nil:
		return err
	case of != orderNo || amount != r.Amount:
		return errMismatch
	case slices.Index(progress, was) >= at:
		return nil
	}
	_, err = tx.ExecContext(ctx, `UPDATE refunds SET status = ? WHERE no = ?`, r.Status, r.No)
	return err
}

// keepAll stores what a payment says of its refunds, those included that we did not ask for.
func (s *Shop) keepAll(ctx context.Context, tx execer, p client.Payment) error {
	for _, told := range p.Refunds {
		r := refund{No: told.RefundNo, Amount: told.Amount, Kind: ours, Status: told.Status, CreatedAt: told.CreatedAt}
		extra := slices.ContainsFunc(p.Attempts, func(a client.Attempt) bool { return a.ID == told.AttemptID && a.Surplus })
		switch {
		case told.Automatic || extra:
			r.Kind = surplus
		case told.External:
			r.Kind = console
		}
		if err := s.keep(ctx, tx, p.OrderNo, r); err != nil {
			return err
		}
	}
	return nil
}

// reject shows the order again, with what is wrong with the wish.
func (s *Shop) reject(w http.ResponseWriter, r *http.Request, o order, text string) {
	s.again(w, r, o, http.StatusBadRequest, text)
}

func (s *Shop) again(w http.ResponseWriter, r *http.Request, o order, status int, text string) {
	fresh, err := load(r.Context(), s.db, o.No)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	s.renderOrder(w, r, status, fresh, text)
}

func (s *Shop) renderOrder(w http.ResponseWriter, r *http.Request, status int, o order, problem string) {
	all, err := s.refunds(r.Context(), o.No)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	v := view{Order: o, Problem: problem, Refunds: all, Nth: 1, Moving: o.Status == waiting || o.Status == cancelling}
	for _, known := range all {
		if known.Kind == ours {
			v.Nth++
		}
		v.Moving = v.Moving || known.Moving()
	}
	s.render(w, r, status, "order.html", v)
}

// fen reads an amount as people write it, yuan with at most two decimals, without floating point.
func fen(text string) (int64, bool) {
	whole, cents, point := strings.Cut(strings.TrimSpace(text), ".")
	if whole == "" || len(cents) > 2 || point && cents == "" {
		return 0, false
	}
	for _, c := range whole + cents {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(whole+cents+strings.Repeat("0", 2-len(cents)), 10, 64)
	return n, err == nil && n > 0
}

// Left is what may still be refunded of an order, as far as we know; the gateway has the last word.
func (o order) Left() int64 {
	if o.Status != paid {
		return 0
	}
	return max(0, o.Amount-o.Promised)
}

// State is the order's for people: a paid order may be refunded, wholly or in part.
func (o order) State() string {
	switch {
	case o.Status != paid || o.Returned == 0:
		return o.Status
	case o.Returned >= o.Amount:
		return "refunded"
	}
	return "partly"
}

// sums are the columns of an order about its own money that went back, and that went or may go.
var sums = fmt.Sprintf(`,
	(SELECT COALESCE(SUM(amount), 0) FROM refunds WHERE order_no = orders.no AND kind <> '%[1]s' AND status = '%[2]s'),
	(SELECT COALESCE(SUM(amount), 0) FROM refunds WHERE order_no = orders.no AND kind <> '%[1]s' AND status NOT IN ('%[3]s', '%[4]s'))
	`, surplus, client.RefundSucceeded, client.RefundFailed, refused)
