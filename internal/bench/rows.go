package bench

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"piaohao/internal/id"
	"piaohao/internal/pay"
	"piaohao/internal/store"
	"piaohao/internal/view"
)

// changesOf are the statements of the Changes that a job is about, as the store would run them: creates of new payments,
// or what a paid notice makes of those that are known.
func changesOf(ctx context.Context, j job) ([][]store.Statement, error) {
	db, err := store.Open(ctx, store.Options{
		DSN: j.DSN, Mode: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler), AllowUnsafe: true,
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // it was only read
	ids := id.New(time.Now)
	out := make([][]store.Statement, 0, j.Times)
	for i := range j.Times {
		var c pay.Change
		switch j.Kind {
		case "create":
			c = newPayment(ids, i)
		case "notice":
			if c, err = paidChange(ctx, db, ids, j.Known[i]); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("no job is called %q", j.Kind)
		}
		if err := withBodies(&c); err != nil {
			return nil, err
		}
		out = append(out, db.Statements(c))
	}
	return out, nil
}

func newPayment(ids *id.Maker, i int) pay.Change {
	now := time.Now().UTC()
	return pay.New(pay.Payment{
		ID: ids.ID("pay"), Shop: "default", OrderNo: fmt.Sprintf("floor-%d", i), Amount: amount, Currency: pay.CNY, Subject: subject,
		Token: id.Token(), Metadata: "{}", ExpiresAt: now.Add(time.Hour),
	}, nil, now, ids.ID)
}

// paidChange is what a platform's word that an attempt is paid comes to.
func paidChange(ctx context.Context, db *store.DB, ids *id.Maker, k known) (pay.Change, error) {
	p, err := db.PaymentByOutTradeNo(ctx, k.Account, k.OutTradeNo)
	if err != nil {
		return pay.Change{}, fmt.Errorf("%s: %w", k.OutTradeNo, err)
	}
	a := p.AttemptByNumber(k.OutTradeNo)
	c, verdict := pay.Decide(p, pay.Observation{
		Source: pay.FromNotice, Channel: a.Channel, Account: a.Account, AppID: a.AppID, MerchantID: a.MerchantID, Variant: a.Variant,
		OutTradeNo: a.OutTradeNo, State: pay.Paid, Amount: a.Amount, Currency: a.Currency, TransactionID: "floor" + a.OutTradeNo,
		PaidAt: time.Now().UTC().Truncate(time.Second),
	}, time.Now().UTC(), ids.ID)
	if verdict != pay.Applied {
		return c, fmt.Errorf("%s: the floor's notice is %s", k.OutTradeNo, verdict)
	}
	return c, nil
}

// withBodies gives the public events the body that the gateway would.
func withBodies(c *pay.Change) error {
	for i := range c.Events {
		e := &c.Events[i]
		if !e.Type.Public() {
			continue
		}
		var err error
		if e.Body, err = view.EventBody(*e, view.Of(c.Payment, "http://127.0.0.1:5000/payment/process/"+c.Payment.Token, nil)); err != nil {
			return err
		}
	}
	return nil
}

// filling is one statement that adds payments of earlier days, all of them paid, in words that both engines know. $1 is how
// many there are so far, $2 how many there shall be; BYTES stands for the engine's type of bytes.
type filling struct {
	text   string
	events bool // $3 is the newest event's place, $4 a body
}

const (
	fillCount = `WITH RECURSIVE n(i) AS (SELECT CAST($1 AS BIGINT) + 1 UNION ALL SELECT i + 1 FROM n WHERE i < CAST($2 AS BIGINT))`
	fillAt    = `(1790000000000 + i * 1000)` // when one was made: one a second, up to a day that has passed
)

var fillings = []filling{
	{text: `INSERT INTO payments (id, shop, order_no, amount, currency, subject, livemode, token, return_url, metadata, created_at,
		expires_at, status, close_reason, paid_at, paid_attempt, seq) ` + fillCount + `
	SELECT ` + fillID("pay_") + `, 'default', 'earlier-' || CAST(i AS TEXT), 12800, 'CNY', '` + subject + `', 0,
		'earlier0000000000000000' || CAST(i * 48271 % 2147483647 AS TEXT), '', '{}', ` + fillAt + `, ` + fillAt + ` + 1800000, 'paid', '',
		` + fillAt + ` + 20000, ` + fillID("att_") + `, 6 FROM n`},
	{text: `INSERT INTO attempts (id, payment_id, out_trade_no, method, product, status, amount, currency, account, channel, app_id,
		merchant_id, subject, notify_url, return_url, client_ip, expires_at, created_at, lazy, shape_kind, shape_text, shape_until,
		handed_out_at, transaction_id, paid_at, refunded, surplus, tries, asked, failures) ` + fillCount + `
	SELECT ` + fillID("att_") + `, ` + fillID("pay_") + `, ` + fillID("") + `, 'wechat', 'native', 'paid', 12800, 'CNY', 'wechat-sim',
		'wechatv3', 'wx0000000000000000', '1900000000', '` + subject + `', 'http://127.0.0.1:5000/payment/wechat/notify', '', '127.0.0.1',
		` + fillAt + ` + 1800000, ` + fillAt + `, 0, 'qr', 'weixin://wxpay/bizpayurl?pr=' || ` + fillID("") + `, ` + fillAt + ` + 1800000,
		` + fillAt + `, '4200' || ` + fillID("") + `, ` + fillAt + ` + 20000, 0, 0, 1, 1, 0 FROM n`},
	{text: `INSERT INTO events (payment_id, seq, id, type, attempt_id, refund_id, at, livemode, shop, for_shops, body, pos) ` + fillCount + `,
		t(seq, type) AS (VALUES (1, 'payment.created'), (2, 'attempt.created'), (3, 'attempt.opened'), (4, 'attempt.handed_out'),
			(5, 'attempt.paid'), (6, 'payment.paid'))
	SELECT ` + fillID("pay_") + `, seq, ` + fillID("evt_") + ` || CAST(seq AS TEXT), type, CASE WHEN seq = 1 THEN '' ELSE ` + fillID("att_") + ` END, '',
		` + fillAt + `, 0, 'default', CASE WHEN seq = 6 THEN 1 ELSE 0 END, CASE WHEN seq IN (1, 6) THEN CAST($4 AS BYTES) ELSE NULL END,
		CAST($3 AS BIGINT) + (i - CAST($1 AS BIGINT) - 1) * 6 + seq FROM n, t`, events: true},
}

// passEvents lets nobody be told of the earlier payments' events.
const passEvents = `UPDATE tails SET cursor = (SELECT COALESCE(MAX(pos), 0) FROM events)`

// fillID is an id that comes before all that are made now.
func fillID(prefix string) string {
	return `'` + prefix + `000000000000000' || substr(CAST(100000000000 + i AS TEXT), 2)`
}
