package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOtherModeIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		must(t, w.Close())
		o := w.opts
		o.Mode = "live"
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "test database") || !strings.Contains(err.Error(), "live mode") {
			t.Errorf("test data opened as live: %v", err)
		}
		o.Mode = "both"
		if _, err := Open(t.Context(), o); err == nil {
			t.Error("a third mode was taken")
		}
		open(t, w.opts)
	})
}

func TestClockAndEngine(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		at, err := w.Clock(t.Context())
		if err != nil || at.Year() < 2024 || !strings.HasSuffix(t.Name(), "/"+w.Engine()) {
			t.Errorf("%v %v %s", at, err, w.Engine())
		}
	})
}

func TestAddressesThatNothingOpens(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"", "mysql://x", "/tmp/test.db", "postgres://user:hunter2@[::bad/db"} {
		_, err := Open(t.Context(), Options{DSN: dsn, Mode: "test"})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

// The cluster of the tests runs with fsync off: the one setting under which nothing may be stored.
func TestUnsafePostgresIsRefused(t *testing.T) {
	t.Parallel()
	o := Options{DSN: newPostgresDatabase(t), Mode: "test"}
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "fsync=off") {
		t.Errorf("fsync off: %v", err)
	}
	for _, row := range []struct {
		fsync, pages, commit string
		names                string // what the refusal names, "" = none
	}{
		{"on", "on", "on", ""},
		{"on", "on", "remote_apply", ""},
		{"off", "on", "on", "fsync=off"},
		{"on", "off", "on", "full_page_writes=off"},
		{"on", "on", "off", "synchronous_commit=off"},
		{"on", "on", "local", "synchronous_commit=local"},
		{"on", "on", "remote_write", "synchronous_commit=remote_write"},
	} {
		err := durable(row.fsync, row.pages, row.commit)
		if errors.Is(err, ErrUnsafe) != (row.names != "") || err != nil && !strings.Contains(err.Error(), row.names) {
			t.Errorf("%+v: %v", row, err)
		}
	}
}

type column struct {
	Table, Name, Type, Default string
	NotNull                    bool
}

// The tables are written twice; this is what keeps the two the same.
func TestSchemasAreTheSame(t *testing.T) {
	t.Parallel()
	lite, pg := newWorld(t, engines[0].dsn(t)), newWorld(t, engines[1].dsn(t))
	types := map[string]string{"bigint": "INTEGER", "text": "TEXT", "bytea": "BLOB"}
	columns := func(w *world, query string) []string {
		var out []string
		must(t, w.read(t.Context(), stmt{text: query, row: func(scan scan) error {
			var c column
			if err := scan(&c.Table, &c.Name, &c.Type, (*flag)(&c.NotNull), (*text)(&c.Default)); err != nil {
				return err
			}
			if name, ok := types[c.Type]; ok {
				c.Type = name
			}
			c.Default, _, _ = strings.Cut(c.Default, "::")
			out = append(out, fmt.Sprintf("%+v", c))
			return nil
		}}))
		slices.Sort(out)
		return out
	}
	got := columns(lite, `SELECT m.name, c.name, c.type, c."notnull", c.dflt_value FROM sqlite_schema m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%'`)
	want := columns(pg, `SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), CAST(data_type AS TEXT),
		CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END, CAST(column_default AS TEXT) FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%'`)
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 80 {
		t.Errorf("%d columns (-postgres +sqlite):\n%s", len(got), diff)
	}
	names := func(w *world, query string) []string {
		var out []string
		must(t, w.read(t.Context(), stmt{text: query, row: func(scan scan) error {
			var name, definition string
			err := scan(&name, &definition)
			out = append(out, name+": "+plain(definition))
			return err
		}}))
		slices.Sort(out)
		return out
	}
	got = names(lite, `SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`)
	want = names(pg, `SELECT CAST(indexname AS TEXT), indexdef FROM pg_indexes WHERE schemaname = 'public'
		AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key' AND indexname NOT LIKE 'goose%'`)
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 18 {
		t.Errorf("%d indexes (-postgres +sqlite):\n%s", len(got), diff)
	}
	got = names(lite, `SELECT name, '' FROM sqlite_schema WHERE type = 'trigger'`)
	want = names(pg, `SELECT CAST(tgname AS TEXT), '' FROM pg_trigger WHERE NOT tgisinternal`)
	if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
		t.Errorf("%d triggers (-postgres +sqlite):\n%s", len(got), diff)
	}
}

// plain writes an index definition in one way for both engines.
func plain(sql string) string {
	for _, r := range [][2]string{
		{"public.", ""}, {" USING btree", ""}, {"::text[]", ""}, {"::text", ""}, {"= ANY (ARRAY[", "IN ("}, {"])", ")"},
	} {
		sql = strings.ReplaceAll(sql, r[0], r[1])
	}
	head, where, _ := strings.Cut(sql, " WHERE ")
	return head + " | " + strings.NewReplacer("(", "", ")", "").Replace(where)
}

// An account that is bound to a merchant stays bound over starts that configure none, and a configured one wins.
func TestMerchantIsBoundOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx, row := t.Context(), AccountRow{ID: "a", Channel: "c", Method: "m", AppID: "app", RatePerSecond: 1}
		for _, step := range []struct{ configured, bind, want string }{
			{"", "", ""}, {"", "one", "one"}, {"", "two", "one"}, {"", "", "one"}, {"three", "", "three"}, {"", "two", "three"},
		} {
			row.MerchantID = step.configured
			must(t, w.UpsertAccount(ctx, row))
			got, err := w.Merchant(ctx, "a")
			if step.bind != "" {
				got, err = w.BindMerchant(ctx, "a", step.bind)
			}
			if err != nil || got != step.want {
				t.Fatalf("%+v: %q %v", step, got, err)
			}
		}
		if _, err := w.Merchant(ctx, "nobody"); !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
	})
}

func TestUnfinishedAttemptsByAccount(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		w.account("a", 1)
		w.account("b", 1)
		for i, accounts := range [][]string{{"a", "b"}, {"a"}, {"b"}} {
			c := w.newPayment(fmt.Sprint(i))
			for _, account := range accounts {
				w.addAttempt(&c, account, "p")
			}
			p := w.stored(c)
			if i == 2 {
				must(t, w.Apply(t.Context(), w.paid(p, 0, "tx")))
			}
		}
		got, err := w.Unfinished(t.Context())
		if diff := cmp.Diff(map[string]int{"acc": 2, "a": 2, "b": 2}, got); err != nil || diff != "" {
			t.Fatal(diff, err)
		}
	})
}
