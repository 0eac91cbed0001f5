package store

import (
	"context"
	"fmt"

	"piaohao/internal/secret"
)

// Shop is a merchant's program.
type Shop struct{ ID, Name string }

// Endpoint is where a shop wants its webhooks.
type Endpoint struct {
	ID, Shop, URL string
	Secret        secret.Text
}

// AccountRow is a merchant number, its place in the rate and back-off of all nodes. Its keys are not stored.
type AccountRow struct {
	ID, Channel, Method, AppID, MerchantID string

	Livemode      bool
	RatePerSecond int // calls per second, ≥ 1
}

// upsert writes what is set up rather than paid.
func (db *DB) upsert(ctx context.Context, what string, batch ...stmt) error {
	defer db.memory.forget()
	if err := db.write(ctx, batch...); err != nil {
		return fmt.Errorf("store: saving %s: %w", what, err)
	}
	return nil
}

// UpsertShop stores a shop or renames it.
func (db *DB) UpsertShop(ctx context.Context, s Shop) error {
	return db.upsert(ctx, "a shop", stmt{
		text: `INSERT INTO shops (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name`,
		args: []any{s.ID, s.Name},
	})
}

// Shop loads a shop by its id.
func (db *DB) Shop(ctx context.Context, id string) (Shop, error) {
	return recall(db.memory, id, func() (s Shop, err error) {
		err = db.found(ctx, `SELECT id, name FROM shops WHERE id = $1`, []any{id}, &s.ID, &s.Name)
		return s, err
	})
}

// Shops returns all shops in order of their ids, at most maxRead.
func (db *DB) Shops(ctx context.Context) ([]Shop, error) {
	var all []Shop
	err := db.read(ctx, stmt{text: `SELECT id, name FROM shops ORDER BY id LIMIT $1`, args: []any{int64(maxRead)}, row: func(scan scan) error {
		var s Shop
		err := scan(&s.ID, &s.Name)
		all = append(all, s)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("store: reading shops: %w", err)
	}
	return all, nil
}

// UpsertEndpoint stores the shop's one endpoint. A changed URL or secret applies to pending deliveries too; the
// stored id stays, for they name it.
func (db *DB) UpsertEndpoint(ctx context.Context, e Endpoint) error {
	return db.upsert(ctx, "an endpoint", stmt{
		text: `INSERT INTO endpoints (id, shop, url, secret) VALUES ($1, $2, $3, $4)
			ON CONFLICT (shop) DO UPDATE SET url = excluded.url, secret = excluded.secret`,
		args: []any{e.ID, e.Shop, e.URL, e.Secret.Reveal()},
	})
}

// HasEndpoint says whether the shop hears of its events.
func (db *DB) HasEndpoint(ctx context.Context, shop string) (bool, error) {
	var n number
	err := db.found(ctx, `SELECT COUNT(*) FROM endpoints WHERE shop = $1`, []any{shop}, &n)
	return n > 0, err
}

// RemoveEndpoint forgets the shop's endpoint and gives up what was still to be delivered to it.
func (db *DB) RemoveEndpoint(ctx context.Context, shop string) error {
	return db.upsert(ctx, "the removal of an endpoint",
		stmt{text: `UPDATE deliveries SET due_at = NULL WHERE due_at IS NOT NULL
			AND endpoint_id = (SELECT id FROM endpoints WHERE shop = $1)`, args: []any{shop}},
		stmt{text: `DELETE FROM endpoints WHERE shop = $1`, args: []any{shop}})
}

// UpsertAccount stores what is configured for an account; its bucket and back-off stay, and so does the merchant that it
// was bound to when none is configured.
func (db *DB) UpsertAccount(ctx context.Context, a AccountRow) error {
	return db.upsert(ctx, "an account", stmt{
		text: `INSERT INTO accounts (id, channel, method, app_id, merchant_id, livemode, rate_per_second)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET channel = excluded.channel,
			method = excluded.method, app_id = excluded.app_id,
			merchant_id = CASE excluded.merchant_id WHEN '' THEN accounts.merchant_id ELSE excluded.merchant_id END,
			livemode = excluded.livemode, rate_per_second = excluded.rate_per_second`,
		args: []any{a.ID, a.Channel, a.Method, a.AppID, a.MerchantID, bit(a.Livemode), int64(a.RatePerSecond)},
	})
}

// Merchant is the merchant number that an account has or was bound to, "" while there is none.
func (db *DB) Merchant(ctx context.Context, account string) (merchantID string, err error) {
	err = db.found(ctx, `SELECT merchant_id FROM accounts WHERE id = $1`, []any{account}, &merchantID)
	return merchantID, err
}

// BindMerchant gives an account its merchant number unless it has one, and returns the one that it has now.
func (db *DB) BindMerchant(ctx context.Context, account, merchantID string) (bound string, err error) {
	if err := db.upsert(ctx, "a merchant number", stmt{
		text: `UPDATE accounts SET merchant_id = $2 WHERE id = $1 AND merchant_id = ''`, args: []any{account, merchantID},
	}); err != nil {
		return "", err
	}
	return db.Merchant(ctx, account)
}

// Unfinished counts the attempts of each account that may still be paid.
func (db *DB) Unfinished(ctx context.Context) (attempts map[string]int, err error) {
	attempts = map[string]int{}
	err = db.read(ctx, stmt{
		text: `SELECT account, COUNT(*) FROM attempts WHERE status IN ('opening', 'open') GROUP BY account`,
		row: func(scan scan) error {
			var account string
			var n number
			err := scan(&account, &n)
			attempts[account] = int(n)
			return err
		},
	})
	return attempts, err
}
