package store

import (
	"database/sql"
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"piaohao/internal/pay"
)

// What SQLite packs comes out as it went in, whatever a text holds.
func TestPackedRowsComeBack(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", ":memory:")
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	db.SetMaxOpenConns(1)
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.SampledFrom([]rune("\"\\,][}{\n\x01\u2028é商")), 0, 12, -1))
		a, b := texts.Draw(t, "a"), texts.Draw(t, "b")
		n, at, is := rapid.Int64().Draw(t, "n"), rapid.Int64Range(0, 1<<43).Draw(t, "at"), rapid.Bool().Draw(t, "is")
		var row []byte
		err := db.QueryRow(`SELECT json_array($1, $2, $3, $4, $5, $6, NULL, NULL)`, a, n, b, n, at, bit(is)).Scan(&row)
		if err != nil {
			t.Fatal(err)
		}
		var gotA, kept string
		var gotB text
		var gotN int64
		var gotM number
		var gotAt, never stamp
		var gotIs flag
		kept = "kept"
		if err := unpack(row, []any{&gotA, &gotN, &gotB, &gotM, &gotAt, &gotIs, &kept, &never}); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
		if gotA != a || string(gotB) != b || gotN != n || int64(gotM) != n || time.Time(gotAt).UnixMilli() != at || bool(gotIs) != is {
			t.Fatalf("%s: %q %d %q %d %v %v", row, gotA, gotN, gotB, gotM, time.Time(gotAt), gotIs)
		}
		if kept != "kept" || !time.Time(never).IsZero() {
			t.Fatalf("%s: null became %q, %v", row, kept, time.Time(never))
		}
	})
}

func TestBrokenRowsAreRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []string{
		``, `[`, `[]`, `[1`, `[1,`, `[1,2`, `[1,2]x`, `[1,2,3]`, `["a",2]`, `[1,"a]`, `[1,"a\"]`, `[1,]`, `[,2]`, `1,2]`, `[1.5,"a"]`, `[1,2]`, `[1,"\q"]`,
		`[null`, `[[1],"a"]`,
	} {
		var n number
		var s text
		if err := unpack([]byte(row), []any{&n, &s}); err == nil {
			t.Errorf("%q was read as %d, %q", row, n, s)
		}
	}
	if err := unpack([]byte(`[1]`), []any{new(float64)}); err == nil {
		t.Error("a column of a kind that nobody knows was read")
	}
}

// BenchmarkUnpack reads the row of a payment with one attempt; encoding/json, with the same kinds, is its rival.
func BenchmarkUnpack(b *testing.B) {
	w := benchWorld(b, "sqlite:"+b.TempDir()+"/test.db")
	c := w.creates(1)[0]
	must(b, w.Apply(b.Context(), c))
	var row []byte
	must(b, w.read(b.Context(), stmt{text: paymentByID.packed, args: []any{c.Payment.ID}, row: func(scan scan) error { return scan(&row) }}))
	var p pay.Payment
	var a pay.Attempt
	var hasRefunds flag
	dest := attemptDest(paymentDest(nil, &p, &hasRefunds), &a)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(b, unpack(row, dest))
		}
	})
	plain := make([]any, len(dest))
	for i, to := range dest {
		switch to.(type) {
		case *string, *text:
			plain[i] = new(string)
		default:
			plain[i] = new(int64)
		}
	}
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(b, json.Unmarshal(row, &plain))
		}
	})
}
