package store

import (
	"errors"
	"testing"
)

func TestRevokedKeyIsForgotten(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx, hash := t.Context(), [32]byte{7}
		must(t, w.AddKey(ctx, Key{ID: "key_7", Shop: "shop", CreatedAt: start}, hash))
		for range 2 { // read, and remembered
			if shop, _, err := w.ShopByKey(ctx, hash); err != nil || shop.ID != "shop" {
				t.Fatal(shop, err)
			}
		}
		_, err := w.RevokeKey(ctx, "key_7", start, "person")
		must(t, err)
		if _, _, err := w.ShopByKey(ctx, hash); !errors.Is(err, ErrNotFound) {
			t.Errorf("a revoked key opens: %v", err)
		}
		if s, err := w.Shop(ctx, "shop"); err != nil || s.Name != "Shop" {
			t.Error(s, err)
		}
		must(t, w.UpsertShop(ctx, Shop{"shop", "Renamed"}))
		if s, err := w.Shop(ctx, "shop"); err != nil || s.Name != "Renamed" {
			t.Error(s, err)
		}
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	reads := 0
	read := func() (string, error) { reads++; return "row", nil }
	ask := func(m *memory, key any, read func() (string, error), want int) {
		t.Helper()
		if row, err := recall(m, key, read); err != nil || row != "row" || reads != want {
			t.Errorf("%q %v after %d reads, want %d", row, err, reads, want)
		}
	}
	m := &memory{}
	ask(m, "a", read, 1)
	ask(m, "a", read, 1)
	m.forget()
	ask(m, "a", read, 2)
	// A write that comes while a row is read: the row may be the old one.
	ask(m, "b", func() (string, error) { m.forget(); return read() }, 3)
	ask(m, "b", read, 4)
	if _, err := recall(m, "c", func() (string, error) { return "", ErrNotFound }); !errors.Is(err, ErrNotFound) || len(m.rows) != 1 {
		t.Errorf("%v, %d rows", err, len(m.rows))
	}
	for i := range 3 * maxRemembered {
		ask(m, i, read, 5+i)
	}
	if len(m.rows) > maxRemembered {
		t.Errorf("%d rows are remembered", len(m.rows))
	}
	ask(nil, "a", read, 5+3*maxRemembered)
	ask(nil, "a", read, 6+3*maxRemembered)
	(*memory)(nil).forget()
}
