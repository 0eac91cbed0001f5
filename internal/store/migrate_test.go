package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/store/storetest"
)

// empties are databases without any table.
var empties = map[string]func(t testing.TB) string{
	"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
	"postgres": storetest.Empty,
}

// onEmpty runs test on a database without tables of each engine.
func onEmpty(t *testing.T, test func(t *testing.T, o Options)) {
	t.Helper()
	t.Parallel()
	for name, dsn := range empties {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &clock{now: start}
			test(t, Options{DSN: dsn(t), Mode: "test", Now: c.Now, Log: slog.New(slog.DiscardHandler), AllowUnsafe: true})
		})
	}
}

// program is a program whose newest migration is that version: ours without some, or with synthetic ones that add.
func program(t *testing.T, newest int, more ...string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	for _, engine := range []string{"sqlite", "postgres"} {
		all, err := tables{engine: engine, files: filesOf(Options{})}.known()
		must(t, err)
		for _, m := range all {
			if int(m.version) <= newest {
				files[engine+"/"+m.name] = &fstest.MapFile{Data: []byte(m.text)}
			}
		}
		for i, text := range more {
			files[fmt.Sprintf("%s/%05d_more.sql", engine, newest+1+i)] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return files
}

// ours is the newest version of this program.
func ours(t *testing.T) int {
	t.Helper()
	s, err := tables{engine: "sqlite", files: filesOf(Options{})}.against(0)
	must(t, err)
	return int(s.Wants)
}

const additive = "ALTER TABLE payments ADD COLUMN colour TEXT NOT NULL DEFAULT 'none';\nALTER TABLE events ADD COLUMN note TEXT;"

// raw runs statements past all methods on the tables as they are.
func raw(t *testing.T, o Options, statements ...string) {
	t.Helper()
	_, err := withTables(t.Context(), o, func(tb tables) (s Schema, err error) {
		for _, text := range statements {
			if _, err := tb.db.ExecContext(t.Context(), text); err != nil {
				return s, fmt.Errorf("%s: %w", text, err)
			}
		}
		return s, nil
	})
	must(t, err)
}

// secondVersion are rows as version 2 of the tables had them: a paid payment with a second, paid attempt whose money was to
// go back, an open payment, and an API key.
var secondVersion = []string{
	`INSERT INTO meta (name, value) VALUES ('mode', 'test')`,
	`INSERT INTO shops (id, name) VALUES ('tea', '茶')`,
	`INSERT INTO api_keys (hash, shop, livemode) VALUES (%[1]s, 'tea', 0)`,
	`INSERT INTO accounts (id, channel, method, app_id, merchant_id, livemode, rate_per_second) VALUES ('acc', 'c', 'm', 'app', 'mch', 0, 20)`,
	`INSERT INTO payments (id, shop, order_no, amount, currency, subject, status, livemode, token, return_url, metadata, created_at,
		expires_at, close_reason, paid_at, paid_attempt, seq) VALUES
		('pay_1', 'tea', 'o1', 12800, 'CNY', '茶', 'paid', 0, 't1', '', '{}', 1000, 2000, '', 1500, 'att_1', 2),
		('pay_2', 'tea', 'o2', 300, 'CNY', '茶', 'open', 0, 't2', '', '{}', 1000, 2000, '', NULL, '', 1)`,
	`INSERT INTO attempts (id, payment_id, out_trade_no, method, product, status, amount, currency, account, channel, app_id, merchant_id,
		subject, notify_url, return_url, client_ip, expires_at, created_at, lazy, shape_kind, shape_text, transaction_id, paid_at,
		refunded, surplus, due_at, tries, asked, failures, variant) VALUES
		('att_1', 'pay_1', 'n1', 'm', 'p', 'paid', 12800, 'CNY', 'acc', 'c', 'app', 'mch', '茶', '', '', '', 2000, 1000, 0, '', '', 'tx1', 1500, 0, 0, NULL, 1, 0, 0, ''),
		('att_2', 'pay_1', 'n2', 'm', 'p', 'paid', 12800, 'CNY', 'acc', 'c', 'app', 'mch', '茶', '', '', '', 2000, 1001, 0, '', '', 'tx2', 1600, 0, 1, NULL, 1, 0, 0, ''),
		('att_3', 'pay_2', 'n3', 'm', 'p', 'open', 300, 'CNY', 'acc', 'c', 'app', 'mch', '茶', '', '', '', 2000, 1000, 0, '', '', NULL, NULL, 0, 0, 1100, 1, 0, 0, 'v')`,
	`INSERT INTO refunds (id, payment_id, attempt_id, refund_no, amount, status, reason, automatic, external, created_at, tries, asked,
		failures) VALUES ('rfd_1', 'pay_1', 'att_2', 'auto1', 12800, 'pending', 'surplus', 1, 0, 1700, 0, 0, 0)`,
	`INSERT INTO events (payment_id, seq, id, type, attempt_id, refund_id, at, livemode, shop, for_shops, body, pos) VALUES
		('pay_1', 1, 'evt_1', 'payment.created', '', '', 1000, 0, 'tea', 0, NULL, 1), ('pay_1', 2, 'evt_2', 'payment.paid', '', '', 1500, 0, 'tea', 0, NULL, 2),
		('pay_2', 1, 'evt_3', 'payment.created', '', '', 1000, 0, 'tea', 0, NULL, 3)`,
}

func fillSecondVersion(t *testing.T, o Options) {
	t.Helper()
	o.files = program(t, 2)
	_, err := Migrate(t.Context(), o)
	must(t, err)
	hash := map[bool]string{true: `x'` + oldHash + `'`, false: `'\x` + oldHash + `'`}[strings.HasPrefix(o.DSN, "sqlite")]
	statements := make([]string, len(secondVersion))
	for i, text := range secondVersion {
		statements[i] = strings.ReplaceAll(text, "%[1]s", hash)
	}
	raw(t, o, statements...)
}

const oldHash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// I-24: a database that version 2 filled is brought up to date, and what 00003 and 00004 fill in is right.
func TestI24OldRowsAreBroughtUpToDate(t *testing.T) {
	onEmpty(t, func(t *testing.T, o Options) {
		fillSecondVersion(t, o)
		s, err := ReadSchema(t.Context(), o)
		if err != nil || s.Has != 2 || int(s.Wants) != ours(t) || len(s.Pending) != ours(t)-2 || s.Pending[0] != "00003_operations.sql" {
			t.Fatalf("%+v %v", s, err)
		}
		db := open(t, o)
		keys, err := db.Keys(t.Context())
		if diff := cmp.Diff([]Key{{ID: "key_" + oldHash[:26], Shop: "tea"}}, keys); err != nil || diff != "" {
			t.Fatal(diff, err)
		}
		hash, err := hex.DecodeString(oldHash)
		must(t, err)
		if shop, live, err := db.ShopByKey(t.Context(), [32]byte(hash)); err != nil || live || shop.ID != "tea" {
			t.Errorf("the old key: %+v %v", shop, err)
		}
		p, err := db.Payment(t.Context(), "pay_1")
		must(t, err)
		r := p.Refunds[0]
		if r.Shop != "tea" || r.Account != "acc" || r.RefundNo != "auto1" || r.OutRefundNo != "auto1" || r.Amount != 12800 || !r.Automatic ||
			r.Quiet || !r.Due.At.Equal(time.UnixMilli(1700)) || p.Late || p.Refundable() != 12800 {
			t.Errorf("%+v", r)
		}
		// The old rows work: the refund is claimed, the old attempt is asked about.
		if c, ok, err := db.ClaimRefund(t.Context(), []string{"acc"}, o.Now(), lease); err != nil || !ok || c.RefundID != "rfd_1" {
			t.Errorf("%+v %v %v", c, ok, err)
		}
		if c, ok, err := db.ClaimAttempt(t.Context(), []string{"acc"}, o.Now(), lease); err != nil || !ok || c.AttemptID != "att_3" {
			t.Errorf("%+v %v %v", c, ok, err)
		}
	})
}

// A migration that loses or invents anything is undone, whole, and names what is wrong.
func TestMigrationsAreChecked(t *testing.T) {
	t.Parallel()
	// The checks are the same texts on both engines: three rows prove that PostgreSQL undoes as SQLite does.
	both := map[string]bool{"a deleted event": true, "broken before": true, "an SQL error after a change": true}
	for _, row := range []struct{ name, before, migration, names string }{
		{"a deleted event", ``, `DELETE FROM events WHERE id = 'evt_3'`, "events had 3 rows"},
		{"money of another amount", ``, `DROP TRIGGER attempts_identity ON attempts; UPDATE attempts SET amount = amount - 1 WHERE id = 'att_2'`, "attempts had 3 rows with 25900 fen"},
		{"a refund forgotten", ``, `DELETE FROM refunds`, "refunds had 1 rows with 12800 fen"},
		{"a delivery forgotten", `INSERT INTO deliveries (event_id, endpoint_id) VALUES ('evt_1', 'w')`, `DELETE FROM deliveries`, "deliveries had 1 rows"},
		{"a settling attempt exchanged", ``, `DROP TRIGGER payments_paid_once ON payments; UPDATE payments SET paid_attempt = 'att_3' WHERE id = 'pay_1'`, "paid attempt that settled it"},
		{"a gap in the events", ``, `UPDATE payments SET seq = 7 WHERE id = 'pay_2'`, "without a gap"},
		{"refunds beyond the money", ``, `DROP TRIGGER refunds_identity ON refunds; UPDATE refunds SET amount = 12801`, "refunds had 1 rows"},
		{"broken before", `UPDATE payments SET seq = 7 WHERE id = 'pay_2'`, additive, "was not begun"},
		{"refunds beyond the money before", `INSERT INTO refunds (id, payment_id, attempt_id, refund_no, amount, status, reason, automatic,
			external, created_at, tries, asked, failures) VALUES ('rfd_2', 'pay_1', 'att_2', 'r2', 1, 'pending', '', 0, 0, 1, 0, 0, 0)`, additive, "never exceed"},
		{"keys without the ids that 00003 gives", ``, `ALTER TABLE api_keys ADD COLUMN id TEXT NOT NULL DEFAULT ''`, "every API key has an id"},
		{"an SQL error after a change", ``, additive + `; SELECT nothing FROM nowhere`, "00003_more.sql"},
	} {
		t.Run(row.name, func(t *testing.T) {
			onEmpty(t, func(t *testing.T, o Options) {
				if strings.HasPrefix(o.DSN, "postgres") && !both[row.name] {
					return
				}
				fillSecondVersion(t, o)
				if row.before != "" {
					raw(t, o, row.before)
				}
				o.files = program(t, 2, withTrigger(row.migration, o))
				if _, err := Migrate(t.Context(), o); err == nil || !strings.Contains(err.Error(), row.names) {
					t.Fatalf("%v", err)
				}
				if s, err := ReadSchema(t.Context(), o); err != nil || s.Has != 2 || len(s.Pending) != 1 {
					t.Errorf("not undone: %+v %v", s, err)
				}
			})
		})
	}
}

// withTrigger writes DROP TRIGGER in the engine's way: SQLite names no table.
func withTrigger(text string, o Options) string {
	if strings.HasPrefix(o.DSN, "sqlite") {
		return regexp.MustCompile(`(DROP TRIGGER \w+) ON \w+`).ReplaceAllString(text, "$1")
	}
	return text
}

// I-24: a program of the version before goes on beside its successor, and no older one starts.
func TestI24NeighboursWorkSideBySide(t *testing.T) {
	onEmpty(t, func(t *testing.T, o Options) {
		newer := o
		newer.files = program(t, ours(t), additive)
		if o.DSN[:6] == "sqlite" { // one process at a time: the older one starts after the newer one
			_, err := Migrate(t.Context(), newer)
			must(t, err)
			sideBySide(t, open(t, o), nil, o)
		} else {
			old := open(t, o)
			sideBySide(t, old, open(t, newer), o)
			must(t, old.Close())
			sideBySide(t, open(t, o), open(t, newer), o) // and it starts again
		}
	})
}

const additive2 = "ALTER TABLE payments ADD COLUMN shape TEXT NOT NULL DEFAULT 'round';"

// sideBySide lets two handles work on the same rows in turns; newer nil = the older one alone.
func sideBySide(t *testing.T, older, newer *DB, o Options) {
	t.Helper()
	c := &clock{now: o.Now()}
	w := &world{DB: older, t: t, opts: o, clock: c, ids: &sideIDs}
	must(t, w.UpsertShop(t.Context(), Shop{"shop", "Shop"}))
	w.account("acc", 1000)
	hands := []*DB{older, older}
	if newer != nil {
		hands[1] = newer
	}
	for i, by := range hands {
		w.DB = hands[1-i]
		p := w.stored(w.newPayment(w.id("order")))
		w.DB = by
		p = w.stored(w.paid(p, 0, w.id("tx")))
		p = w.stored(w.wantRefund(p, w.id("r")))
		if cl, ok := w.claimRefund(hands[1-i]); !ok || cl.RefundID != p.Refunds[0].ID {
			t.Errorf("%+v %v", cl, ok)
		}
		if n, err := by.FanOut(t.Context(), 100); err != nil || n == 0 {
			t.Error(n, err)
		}
	}
}

var sideIDs atomic.Int64

func TestTwoVersionsAheadIsRefused(t *testing.T) {
	onEmpty(t, func(t *testing.T, o Options) {
		newest := o
		newest.files = program(t, ours(t), additive, additive2)
		_, err := Migrate(t.Context(), newest)
		must(t, err)
		for name, err := range map[string]error{
			"open":    second(Open(t.Context(), o)),
			"migrate": second(Migrate(t.Context(), o)),
			"read":    second(ReadSchema(t.Context(), o)),
		} {
			if !errors.Is(err, ErrTooNew) || !strings.Contains(err.Error(), fmt.Sprint("version ", ours(t)+2)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// A database of the other mode is refused before its tables are touched.
func TestOtherModeIsNotMigrated(t *testing.T) {
	onEmpty(t, func(t *testing.T, o Options) {
		fillSecondVersion(t, o)
		live := o
		live.Mode = "live"
		if _, err := Migrate(t.Context(), live); err == nil || !strings.Contains(err.Error(), "test database") {
			t.Error(err)
		}
		if s, err := ReadSchema(t.Context(), o); err != nil || s.Has != 2 {
			t.Errorf("%+v %v", s, err)
		}
	})
}

// Many nodes start at once: one of them migrates, and all of them serve.
func TestManyNodesStartAtOnce(t *testing.T) {
	t.Parallel()
	o := Options{DSN: storetest.Empty(t), Mode: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler), AllowUnsafe: true}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			db, err := Open(context.Background(), o)
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// Looking at a database that is not there makes none.
func TestReadSchemaMakesNoFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x", "test.db")
	s, err := ReadSchema(t.Context(), Options{DSN: "sqlite:" + path, Mode: "test", Now: time.Now})
	if err != nil || s.Has != 0 || len(s.Pending) != int(s.Wants) {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the folder was made")
	}
}
