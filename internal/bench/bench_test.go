package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"piaohao/internal/store"
	"piaohao/internal/store/storetest"
)

// TestMain makes this binary its own child, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == ChildVerb {
		if err := Child(context.Background(), os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	storetest.Stop()
	os.Exit(code)
}

// short is a run of a few seconds, whose figures say nothing.
func short(t *testing.T) Options {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	return Options{
		Program: program, Rounds: 1, Size: 40, Rows: 100, Watchers: 20, earlier: 50, few: 10, ladder: []float64{0.2, 0.5},
		Told: func(string, int64, int64) {},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	engines := []string{"SQLite"}
	if os.Getenv("PIAOHAO_SOAK") == "1" { // a server for each part of a run costs a minute
		engines = append(engines, "PostgreSQL")
	}
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			o := short(t)
			if engine == "PostgreSQL" {
				o.Database, o.Unsafe = storetest.Empty(t), true
			}
			r, err := Run(t.Context(), o)
			must(t, err)
			if r.Engine != engine || len(r.Ratios) != len(ratios)+1 || len(r.Limits) != len(limits) || len(r.Parts) != len(partNames) || len(r.Steps) != 2 {
				t.Errorf("report %+v", r)
			}
			figured(t, r)
			written(t, r)
		})
	}
}

// figured looks for figures that nobody took.
func figured(t *testing.T, r Report) {
	t.Helper()
	costs := r.Parts
	for _, x := range r.Ratios {
		costs = append(append(costs, x.Cost), x.Parts...)
		if !(x.Got > 0 && x.Speed > 0) {
			t.Errorf("%s has no figure: %+v", x.Name, x)
		}
	}
	for _, c := range costs {
		if !(c.CPU > 0 && c.Rate > 0) {
			t.Errorf("%s has no figure: %+v", c.Name, c)
		}
	}
	for _, l := range r.Limits {
		if l.Got == 0 {
			t.Errorf("%s has no figure", l.Name)
		}
	}
}

// TestDatabases: what a run begins with holds every rule, on both engines, and nothing is left of it.
func TestDatabases(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			address := ""
			if engine == "PostgreSQL" {
				address = storetest.Empty(t)
			}
			b := &bench{Options: Options{earlier: 30}}
			var err error
			b.databases, err = openDatabases(t.TempDir(), address, true)
			must(t, err)
			must(t, b.databases.create(t.Context(), "one"))
			_, err = store.Migrate(t.Context(), b.databases.options("one"))
			must(t, err)
			told := int64(0)
			must(t, b.databases.fill(t.Context(), "one", 0, 10, func(n int64) { told += n }))
			must(t, b.databases.fill(t.Context(), "one", 10, b.earlier, func(n int64) { told += n }))
			must(t, b.databases.restore(t.Context(), "one", "two"))
			must(t, b.verify(t.Context(), "two", expected{}))
			changes, err := changesOf(t.Context(), job{Kind: "create", Times: 20, DSN: b.databases.address("two")})
			must(t, err)
			m, err := commits(t.Context(), b.databases.address("two"), changes, 8)
			must(t, err)
			if told != b.earlier || m.CPU <= 0 || m.P50 <= 0 {
				t.Errorf("told of %d, commits took %+v", told, m)
			}
			must(t, b.verify(t.Context(), "two", expected{}))
			must(t, b.databases.restore(t.Context(), "one", "two"))
			db, err := b.databases.open("two")
			must(t, err)
			var n int64
			must(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM payments`).Scan(&n))
			must(t, db.Close())
			if n != b.earlier {
				t.Errorf("%d payments in a restored database", n)
			}
			must(t, b.databases.close())
			if engine == "PostgreSQL" {
				left(t, address)
			}
		})
	}
}

// written holds what a report leaves against it.
func written(t *testing.T, r Report) {
	t.Helper()
	dir, name := t.TempDir(), "figures"
	if r.Engine != "SQLite" {
		name = "figures-postgresql"
	}
	must(t, r.Write(dir))
	table, err := os.ReadFile(filepath.Join(dir, name+".md"))
	must(t, err)
	var text bytes.Buffer
	r.WriteText(&text)
	for _, x := range append(ratioNames(r), limitNames(r)...) {
		if !strings.Contains(string(table), "| "+x+" |") || !strings.Contains(text.String(), x) {
			t.Errorf("a table is without %s", x)
		}
	}
	picture, err := os.Open(filepath.Join(dir, name+".svg"))
	must(t, err)
	t.Cleanup(func() { must(t, picture.Close()) })
	lines := 0
	for d := xml.NewDecoder(picture); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != len(plotLines) {
		t.Errorf("the plot has %d lines", lines)
	}
	text.Reset()
	must(t, r.WriteJSON(&text))
	var again Report
	must(t, json.Unmarshal(text.Bytes(), &again))
	if len(again.Ratios) != len(r.Ratios) || again.Ratios[0].Parts[0] != r.Ratios[0].Parts[0] {
		t.Errorf("for programs: %s", text.String())
	}
}

func ratioNames(r Report) (names []string) {
	for _, x := range r.Ratios {
		names = append(names, x.Name)
	}
	return names
}

func limitNames(r Report) (names []string) {
	for _, x := range r.Limits {
		names = append(names, x.Name)
	}
	return names
}

// left looks for databases that a run did not take away.
func left(t *testing.T, address string) {
	t.Helper()
	d, err := openDatabases(t.TempDir(), address, true)
	must(t, err)
	d.prefix = ""
	name := address[strings.LastIndex(address, "/")+1 : strings.Index(address, "?")]
	db, err := d.open(name)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	var n int
	must(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pg_database WHERE datname LIKE 'piaohao_bench%'`).Scan(&n))
	if n != 0 {
		t.Errorf("%d databases are left", n)
	}
}

// TestRunFails: a database in which a rule does not hold is no result.
func TestRunFails(t *testing.T) {
	t.Parallel()
	b := &bench{Options: Options{earlier: 19}}
	var err error
	b.databases, err = openDatabases(t.TempDir(), "", false)
	must(t, err)
	must(t, b.databases.create(t.Context(), "good"))
	db, err := store.Open(t.Context(), b.databases.options("good"))
	must(t, err)
	must(t, db.Close())
	must(t, b.databases.fill(t.Context(), "good", 0, b.earlier+1, func(int64) {}))
	b.tamper(t, "good", `UPDATE attempts SET out_trade_no = 'ours' WHERE id = (SELECT MAX(id) FROM attempts)`)
	paid := []fixture{{known: known{OutTradeNo: "ours"}, Transaction: "420000000000000000000000000020"}}
	must(t, b.verify(t.Context(), "good", expected{paid: paid}))
	const (
		one     = `(SELECT MIN(id) FROM payments)`
		refund  = `INSERT INTO refunds (id, payment_id, attempt_id, refund_no, amount, status, reason, automatic, external, created_at, tries, asked, failures, shop, account, out_refund_no) SELECT 'r', payment_id, id, 'r', 1, '%s', '', 0, 0, 1, 0, 0, 0, 'default', account, 'r' FROM attempts LIMIT 1`
		another = `INSERT INTO events (payment_id, seq, id, type, attempt_id, refund_id, at, livemode, shop, for_shops, pos) SELECT payment_id, 7, 'x', '%s', attempt_id, '', 1, 0, 'default', 0, 1000000 FROM events WHERE seq = 6 LIMIT 1`
	)
	for rule, harm := range map[string]string{
		"every notice that was sent paid one payment":                             `UPDATE payments SET status = 'open' WHERE id = ` + one,
		"no notice made an incident":                                              `INSERT INTO incidents (id, account, digest, kind, payment_id, attempt_id, detail, at) VALUES ('i', 'a', 'd', 'k', '', '', '', 1)`,
		"no money came twice":                                                     `UPDATE attempts SET surplus = 1 WHERE payment_id = ` + one,
		"no payment was closed":                                                   `UPDATE payments SET status = 'closed' WHERE id = ` + one,
		"every payment has its events, without a gap":                             `DELETE FROM events WHERE seq = 3`,
		"a payment begins with one payment.created":                               `UPDATE events SET type = 'payment.closing' WHERE seq = 1`,
		"a paid payment has one event that says so, and no other payment has one": fmt.Sprintf(another, "payment.paid"),
		"a closed payment has one payment.closed":                                 `UPDATE payments SET status = 'closed' WHERE id = ` + one,
		"a paid attempt has one attempt.paid, and no other attempt has one":       fmt.Sprintf(another, "attempt.paid"),
		"a paid attempt settles its payment or is surplus":                        `UPDATE payments SET paid_attempt = 'other' WHERE id = ` + one,
		"an attempt asks for its payment's money":                                 `UPDATE attempts SET amount = amount + 1 WHERE payment_id = ` + one,
		"an ended attempt wants no work":                                          `UPDATE attempts SET due_at = 1 WHERE payment_id = ` + one,
		"surplus has its automatic refund":                                        `UPDATE attempts SET surplus = 1 WHERE payment_id = ` + one,
		"a refund has one event that says how it came":                            fmt.Sprintf(refund, "failed"),
		"a succeeded refund of ours has one refund.succeeded":                     fmt.Sprintf(refund, "succeeded"),
		"events are numbered in their payment's order":                            `UPDATE events SET pos = pos - 1000 WHERE seq = 6`,
		"an event is its payment's shop's":                                        `UPDATE events SET shop = 'other' WHERE seq = 6`,
		"only events for shops are delivered":                                     `INSERT INTO deliveries (event_id, endpoint_id) SELECT id, 'e' FROM events WHERE seq = 1 LIMIT 1`,
		"is paid with":                                                            `UPDATE attempts SET transaction_id = 'other' WHERE out_trade_no = 'ours'`,
	} {
		t.Run(rule, func(t *testing.T) {
			name := fmt.Sprintf("broken%d", breaking.Add(1))
			must(t, b.databases.restore(t.Context(), "good", name))
			b.tamper(t, name, harm)
			if err := b.verify(t.Context(), name, expected{paid: paid}); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), rule) {
				t.Errorf("it came to %v", err)
			}
		})
	}
}

var breaking atomic.Int64

// tamper changes a database as no program of ours could.
func (b *bench) tamper(t *testing.T, name string, texts ...string) {
	t.Helper()
	db, err := b.databases.open(name)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	for _, trigger := range []string{
		"payments_identity", "payments_paid_once", "payments_status", "attempts_identity", "attempts_paid_once", "attempts_status",
	} {
		texts = append([]string{"DROP TRIGGER IF EXISTS " + trigger}, texts...)
	}
	for _, text := range append([]string{"PRAGMA foreign_keys = 0"}, texts...) {
		_, err := db.ExecContext(t.Context(), text)
		must(t, err)
	}
}

// TestLoadCountsFromTheIntendedStart: who waits for one slow answer has sent the others late, and each of them says so.
func TestLoadCountsFromTheIntendedStart(t *testing.T) {
	t.Parallel()
	const pause = 200 * time.Millisecond
	var first atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !first.Swap(true) {
			<-time.NewTimer(pause).C
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(server.Close)
	addr := strings.TrimPrefix(server.URL, "http://")
	calls := make([]call, 20)
	for i := range calls {
		calls[i] = newCall("GET", addr, "/", nil, nil, http.StatusOK, "ok")
	}
	out, err := load{addr: addr, calls: calls, callers: 1, rate: 1000}.run(t.Context())
	must(t, err)
	if out.failed != 0 || out.latency.TotalCount() != 20 || out.ms(50) < 150 {
		t.Errorf("half of the calls took %.1f ms, %d failed", out.ms(50), out.failed)
	}
	for i := range calls {
		calls[i].body = "no"
	}
	out, err = load{addr: addr, calls: calls, callers: 2}.run(t.Context())
	if err == nil || out.failed != 20 || out.ms(1) < float64(callTimeout.Milliseconds())*0.99 {
		t.Errorf("wrong answers: %d failed, the quickest took %.1f ms: %v", out.failed, out.ms(1), err)
	}
}
