package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/pay"
	"piaohao/internal/store/storetest"
)

// filled makes a SQLite database of n payments, each third open, the others paid and half of these refunded in part, and
// closes it.
func filled(t *testing.T, n int) *world {
	t.Helper()
	w := newWorld(t, engines[0].dsn(t))
	ctx := t.Context()
	must(t, w.UpsertEndpoint(ctx, Endpoint{ID: "whep", Shop: "shop", URL: "https://shop.example/"}))
	must(t, w.UpsertAccount(ctx, AccountRow{ID: "free", Channel: "c", Method: "m", RatePerSecond: 1}))
	_, err := w.BindMerchant(ctx, "free", "bound")
	must(t, err)
	must(t, w.UpsertKey(ctx, "shop", [32]byte{1, 2, 255}, false))
	_, err = w.RecordIncident(ctx, pay.Incident{ID: "inc", Account: "acc", Digest: "d", Kind: "k", Raw: []byte{0, 255, 10}, At: w.clock.Now()})
	must(t, err)
	var group sync.WaitGroup
	for worker := range 50 { // callers at once share a commit
		group.Go(func() {
			for i := worker; i < n; i += 50 {
				w.life(i)
			}
		})
	}
	group.Wait()
	for moved := 1; moved > 0; {
		moved, err = w.FanOut(ctx, 1000)
		must(t, err)
	}
	must(t, w.Close())
	return w
}

func (w *world) life(i int) {
	c := w.newPayment(fmt.Sprint("o", i))
	w.apply(c)
	if i%3 == 0 {
		return
	}
	paid := w.paid(c.Payment, 0, fmt.Sprint("tx", i))
	w.apply(paid)
	if i%3 == 1 {
		w.apply(w.wantRefund(paid.Payment, fmt.Sprint("r", i)))
	}
}

func (w *world) apply(c pay.Change) {
	if err := w.Apply(w.t.Context(), c); err != nil {
		w.t.Error(err)
	}
}

func quiet(string, int64, int64) {}

func (w *world) target(dsn string) Options {
	o := w.opts
	o.DSN = dsn
	return o
}

func TestCopy(t *testing.T) {
	t.Parallel()
	const n = 1200 // so that it tells more than once
	w := filled(t, n)
	to := w.target(storetest.Empty(t))
	last := map[string]int64{}
	got, err := Copy(t.Context(), w.opts, to, func(table string, done, total int64) {
		if done < last[table] || done > total {
			t.Errorf("%s: %d of %d after %d", table, done, total, last[table])
		}
		last[table] = done
	})
	must(t, err)
	rows := map[string]Copied{}
	for _, c := range got {
		rows[c.Table] = c
		if last[c.Table] != c.Rows {
			t.Errorf("%+v, told of %d", c, last[c.Table])
		}
	}
	for table, want := range map[string]Copied{
		"payments": {"payments", n, 100 * n}, "attempts": {"attempts", n, 100 * n}, "refunds": {"refunds", n / 3, 40 * n / 3},
		"events": {"events", n + n/3*2*2 + n/3, 0}, "meta": {"meta", 1, 0}, "shops": {"shops", 1, 0}, "accounts": {"accounts", 2, 0},
	} {
		if rows[table] != want {
			t.Errorf("%+v, want %+v", rows[table], want)
		}
	}
	lite, pg := open(t, w.opts), open(t, to)
	for _, i := range []int{0, 1, 2, n - 1} {
		a, err := lite.PaymentByOrder(t.Context(), "shop", fmt.Sprint("o", i))
		must(t, err)
		b, err := pg.PaymentByOrder(t.Context(), "shop", fmt.Sprint("o", i))
		if diff := cmp.Diff(a, b); err != nil || diff != "" {
			t.Error(diff, err)
		}
	}
	if m, err := pg.Merchant(t.Context(), "free"); err != nil || m != "bound" {
		t.Errorf("bound to %q %v", m, err)
	}
	if s, _, err := pg.ShopByKey(t.Context(), [32]byte{1, 2, 255}); err != nil || s.ID != "shop" {
		t.Error(s, err)
	}
	goesOn(t, w, lite, pg)
}

// goesOn works on the copy where the source stood: due rows, the tail, the order of events.
func goesOn(t *testing.T, w *world, lite, pg *DB) {
	t.Helper()
	before, err := lite.LastPos(t.Context())
	must(t, err)
	w.DB, w.opts.DSN = pg, "postgres"
	w.clock.advance(time.Minute)
	a, ok, err := pg.ClaimAttempt(t.Context(), []string{"acc"}, w.clock.Now(), lease)
	if err != nil || !ok {
		t.Fatalf("no due attempt: %v", err)
	}
	r, ok := w.claimRefund(pg)
	if !ok {
		t.Fatal("no due refund")
	}
	p := w.loaded(a.PaymentID)
	must(t, pg.Apply(t.Context(), w.paid(p, 0, "tx-on-the-copy")))
	if n, err := pg.FanOut(t.Context(), 10_000); err != nil || n != 2 {
		t.Errorf("%d events passed on, want the two new ones: %v", n, err)
	}
	if last, err := pg.LastPos(t.Context()); err != nil || last != before+2 {
		t.Errorf("the order of events goes on at %d after %d", last, before)
	}
	must(t, pg.Release(t.Context(), r, time.Time{}, false))
	w.loaded(r.PaymentID)
}

func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	w := filled(t, 30)
	live := func(o Options) Options { o.Mode = "live"; return o }
	used := w.target(storetest.Empty(t))
	db := open(t, used)
	must(t, db.UpsertShop(t.Context(), Shop{"other", "Other"}))
	liveTarget := live(w.target(storetest.Empty(t)))
	must(t, open(t, liveTarget).Ping(t))
	newer := w.target(storetest.Empty(t))
	newer.files = program(t, ours(t), additive)
	_, err := Migrate(t.Context(), newer)
	must(t, err)
	newer.files = nil
	running := newWorld(t, engines[0].dsn(t))
	empty := storetest.Empty(t)
	for _, row := range []struct {
		name     string
		from, to Options
		is       error
		says     string
	}{
		{"a target with rows", w.opts, used, ErrNotEmpty, "shops"},
		{"a source that a server has open", running.opts, w.target(empty), ErrInUse, "stop it first"},
		{"a target of the other mode", w.opts, liveMeta(liveTarget), nil, "live database"},
		{"a source of the other mode", live(w.opts), live(w.target(empty)), nil, "test database"},
		{"a target of another version", w.opts, newer, nil, "version"},
		{"from PostgreSQL", used, w.target(empty), nil, "from SQLite to PostgreSQL"},
		{"to SQLite", w.opts, w.opts, nil, "from SQLite to PostgreSQL"},
	} {
		_, err := Copy(t.Context(), row.from, row.to, quiet)
		if err == nil || row.is != nil && !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	// Nothing is left behind by those that were refused: the copy into the same database goes through.
	if _, err := Copy(t.Context(), w.opts, w.target(empty), quiet); err != nil {
		t.Error(err)
	}
	if _, err := Copy(t.Context(), w.opts, w.target(empty), quiet); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("twice: %v", err)
	}
}

// liveMeta gives the target's options of test mode: its database says live.
func liveMeta(o Options) Options { o.Mode = "test"; return o }

// Ping is for a database that only has to exist.
func (db *DB) Ping(t *testing.T) error { _, err := db.Clock(t.Context()); return err }

// A copy that ends half-way, or that differs in one value, leaves the target empty.
func TestCopyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := filled(t, 60)
	for name, meddle := range map[string]string{
		"a payment of another amount": `BEGIN IF NEW.order_no = 'o7' THEN NEW.amount := 101; END IF; RETURN NEW; END`,
		"another letter":              `BEGIN IF NEW.order_no = 'o8' THEN NEW.subject := '荼'; END IF; RETURN NEW; END`,
		"a lost row":                  `BEGIN IF NEW.order_no = 'o9' THEN RETURN NULL; END IF; RETURN NEW; END`,
		"an error half-way":           `BEGIN IF NEW.order_no = 'o50' THEN RAISE EXCEPTION 'disk full'; END IF; RETURN NEW; END`,
	} {
		t.Run(name, func(t *testing.T) {
			to := w.target(storetest.Empty(t))
			_, err := Migrate(t.Context(), to)
			must(t, err)
			raw(t, to, `CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ `+meddle+` $$`,
				`CREATE TRIGGER meddle BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION meddle()`)
			if _, err := Copy(t.Context(), w.opts, to, quiet); err == nil {
				t.Fatal("taken for a copy")
			}
			raw(t, to, `DROP TRIGGER meddle ON payments`)
			if _, err := Copy(t.Context(), w.opts, to, quiet); err != nil {
				t.Errorf("after it: %v", err)
			}
		})
	}
}
