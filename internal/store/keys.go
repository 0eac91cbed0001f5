package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// Key is an API key as it is known here: never the key itself.
type Key struct {
	ID, Shop  string // ID is key_…
	Name      string // what its maker calls it, may be ""
	Hint      string // its last characters, "" for keys of older versions
	Livemode  bool
	CreatedAt time.Time // zero for keys of older versions
	CreatedBy string    // who made it
	RevokedAt time.Time // zero = it works
	RevokedBy string
}

const keyColumns = "id, shop, name, hint, livemode, created_at, created_by, revoked_at, revoked_by"

var (
	addKey    = insert("api_keys", "hash, "+keyColumns)
	upsertKey = addKey + " ON CONFLICT (hash) DO NOTHING"
	revokeKey = `UPDATE api_keys SET revoked_at = $2, revoked_by = $3 WHERE id = $1 AND revoked_at IS NULL`
)

func (k Key) args(hash [32]byte) []any {
	return []any{
		hash[:], k.ID, k.Shop, k.Name, k.Hint, bit(k.Livemode), millis(k.CreatedAt), k.CreatedBy, millis(k.RevokedAt), k.RevokedBy,
	}
}

// UpsertKey stores the SHA-256 of an API key that stands in a file. A key that exists keeps all it has, and a revoked one
// stays revoked.
func (db *DB) UpsertKey(ctx context.Context, shop string, hash [32]byte, livemode bool) error {
	k := Key{ID: "key_" + hex.EncodeToString(hash[:])[:26], Shop: shop, Livemode: livemode, CreatedAt: db.now()}
	return db.upsert(ctx, "an API key", stmt{text: upsertKey, args: k.args(hash)})
}

// AddKey stores the SHA-256 of a new API key.
func (db *DB) AddKey(ctx context.Context, k Key, hash [32]byte) error {
	return db.upsert(ctx, "an API key", stmt{text: addKey, args: k.args(hash)})
}

// RevokeKey makes a key refused from now on and returns it; one that is revoked stays as it is. ErrNotFound: no such key.
func (db *DB) RevokeKey(ctx context.Context, id string, now time.Time, by string) (k Key, err error) {
	if err := db.upsert(ctx, "a revocation", stmt{text: revokeKey, args: []any{id, millis(now), by}}); err != nil {
		return k, err
	}
	err = db.found(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE id = $1`, []any{id}, k.dest()...)
	return k, err
}

// Keys returns all keys, the newest first, at most maxRead.
func (db *DB) Keys(ctx context.Context) ([]Key, error) {
	var all []Key
	err := db.read(ctx, stmt{
		text: `SELECT ` + keyColumns + ` FROM api_keys ORDER BY COALESCE(created_at, 0) DESC, id DESC LIMIT $1`,
		args: []any{int64(maxRead)},
		row: func(scan scan) error {
			var k Key
			err := scan(k.dest()...)
			all = append(all, k)
			return err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("store: reading API keys: %w", err)
	}
	return all, nil
}

func (k *Key) dest() []any {
	return []any{
		&k.ID, &k.Shop, &k.Name, &k.Hint, (*flag)(&k.Livemode), (*stamp)(&k.CreatedAt), &k.CreatedBy, (*stamp)(&k.RevokedAt),
		&k.RevokedBy,
	}
}

// owner is whom an API key belongs to.
type owner struct {
	shop     Shop
	livemode bool
}

// ShopByKey finds the shop of an API key by the key's SHA-256. ErrNotFound: no such key, or a revoked one. A revocation
// counts at once on every node.
func (db *DB) ShopByKey(ctx context.Context, hash [32]byte) (shop Shop, livemode bool, err error) {
	o, err := recall(db.memory, hash, func() (o owner, err error) {
		err = db.found(ctx, `SELECT s.id, s.name, k.livemode FROM api_keys k JOIN shops s ON s.id = k.shop
			WHERE k.hash = $1 AND k.revoked_at IS NULL`, []any{hash[:]}, &o.shop.ID, &o.shop.Name, (*flag)(&o.livemode))
		return o, err
	})
	return o.shop, o.livemode, err
}
