package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/store"
	"piaohao/internal/view"
)

// Bounds of what an operator asks for.
const (
	MaxTroubles = 2000 // of one answer
	hintLength  = 4    // last characters of a key that are kept in clear
	maxKeyName  = 64   // characters
)

// Trouble is something that a person should look at: a refused message, or an incident.
type Trouble struct {
	FirstAt    string `json:"first_at"`
	LastAt     string `json:"last_at"`
	Times      int64  `json:"times"`
	Account    string `json:"account"`
	What       string `json:"what"`    // "notice", "return", "incident"
	Outcome    string `json:"outcome"` // "forged", "foreign", "unknown_order", "not_stored"; of incidents "quarantine"
	Code       string `json:"code"`    // which check refused it, or the incident's kind
	OutTradeNo string `json:"out_trade_no,omitempty"`
	PaymentID  string `json:"payment_id,omitempty"`
	AttemptID  string `json:"attempt_id,omitempty"`
	IncidentID string `json:"incident_id,omitempty"`
	Detail     string `json:"detail,omitempty"`
}

// Incidents are the newest refused messages and incidents of all accounts, the newest first.
func (g *Gateway) Incidents(ctx context.Context, limit int) ([]Trouble, error) {
	limit = min(max(limit, 1), MaxTroubles)
	g.settleExchanges(ctx)
	refused, err := g.DB.Refused(ctx, limit)
	if err != nil {
		return nil, err
	}
	incidents, err := g.DB.NewestIncidents(ctx, limit)
	if err != nil {
		return nil, err
	}
	all := make([]Trouble, 0, len(refused)+len(incidents))
	for _, e := range refused {
		all = append(all, Trouble{
			FirstAt: view.Time(e.FirstAt), LastAt: view.Time(e.LastAt), Times: e.Times, Account: e.Account, What: e.Op,
			Outcome: e.Outcome, Code: e.Code, OutTradeNo: e.OutTradeNo, AttemptID: e.AttemptID,
		})
	}
	for _, i := range incidents {
		at := view.Time(i.At)
		all = append(all, Trouble{
			FirstAt: at, LastAt: at, Times: i.Times, Account: i.Account, What: "incident", Outcome: "quarantine", Code: i.Kind,
			PaymentID: i.PaymentID, AttemptID: i.AttemptID, IncidentID: i.ID, Detail: i.Detail,
		})
	}
	// The texts of times sort as the times do.
	slices.SortStableFunc(all, func(a, b Trouble) int { return cmp.Compare(b.LastAt, a.LastAt) })
	return all[:min(limit, len(all))], nil
}

// Key is an API key as operators see it: never the key itself.
type Key struct {
	ID        string `json:"id"`
	Shop      string `json:"shop"`
	Name      string `json:"name"`
	Hint      string `json:"hint"` // its last characters
	Livemode  bool   `json:"livemode"`
	CreatedAt string `json:"created_at"`
	CreatedBy string `json:"created_by"`
	RevokedAt string `json:"revoked_at"` // "" = it works
	RevokedBy string `json:"revoked_by"`
}

// NewKey is a key at the only moment at which it can be seen.
type NewKey struct {
	Key
	Secret string `json:"secret"`
}

// Keys are all API keys, the newest first.
func (g *Gateway) Keys(ctx context.Context) ([]Key, error) {
	rows, err := g.DB.Keys(ctx)
	all := make([]Key, len(rows))
	for i, k := range rows {
		all[i] = keyOf(k)
	}
	return all, err
}

func keyOf(k store.Key) Key {
	return Key{
		ID: k.ID, Shop: k.Shop, Name: k.Name, Hint: k.Hint, Livemode: k.Livemode, CreatedAt: view.Time(k.CreatedAt),
		CreatedBy: k.CreatedBy, RevokedAt: view.Time(k.RevokedAt), RevokedBy: k.RevokedBy,
	}
}

// CreateKey makes an API key of a shop for by, who is written down. Only its SHA-256 is stored: the answer is the only
// time that it can be read. CodeInvalid names the shops when there is no such shop.
func (g *Gateway) CreateKey(ctx context.Context, by, shop, name string) (NewKey, error) {
	if utf8.RuneCountInString(name) > maxKeyName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return NewKey{}, invalid("name", "a key's name has at most 64 characters and no control characters")
	}
	if err := g.knownShop(ctx, shop); err != nil {
		return NewKey{}, err
	}
	prefix := TestKeyPrefix
	if g.Livemode {
		prefix = LiveKeyPrefix
	}
	text := prefix + g.NewToken() + g.NewToken() // ≥ 256 random bits
	k := store.Key{
		ID: g.NewID("key"), Shop: shop, Name: name, Hint: text[len(text)-hintLength:], Livemode: g.Livemode,
		CreatedAt: g.Now(), CreatedBy: by,
	}
	if err := g.DB.AddKey(ctx, k, sha256.Sum256([]byte(text))); err != nil {
		return NewKey{}, err
	}
	g.Log.Info("API key created", "key", k.ID, "shop", shop, "name", name, "by", by)
	return NewKey{Key: keyOf(k), Secret: text}, nil
}

func (g *Gateway) knownShop(ctx context.Context, shop string) error {
	_, err := g.DB.Shop(ctx, shop)
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	shops, err := g.DB.Shops(ctx)
	if err != nil {
		return err
	}
	ids := make([]string, len(shops))
	for i, s := range shops {
		ids[i] = s.ID
	}
	return invalid("shop", "there is no such shop; the shops are: "+strings.Join(ids, ", "))
}

// RevokeKey makes a key refused from now on, on every node, for by, who is written down. Once is enough. CodeNotFound: no
// such key.
func (g *Gateway) RevokeKey(ctx context.Context, by, id string) (Key, error) {
	k, err := g.DB.RevokeKey(ctx, id, g.Now(), by)
	if errors.Is(err, store.ErrNotFound) {
		return Key{}, &Error{Code: CodeNotFound, Public: "there is no such key; piaohao keys list shows their ids", Cause: err}
	}
	if err != nil {
		return Key{}, err
	}
	g.Log.Info("API key revoked", "key", k.ID, "shop", k.Shop, "by", by)
	return keyOf(k), nil
}
