package e2e_test

import (
	"bytes"
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"time"

	_ "modernc.org/sqlite" // to read what is left behind

	"piaohao/internal/e2e/totals"
)

// checkBooks compares what payers were told with the shop's API: the same numbers and amounts.
func (r *killRun) checkBooks(ctx context.Context) {
	for _, b := range r.buyers {
		p, err := r.shop.FindPayment(ctx, b.order)
		if err != nil {
			r.t.Error(err)
			continue
		}
		if !p.IsPaid() || p.ID != b.payment || p.Amount != b.amount {
			r.t.Errorf("%s of %d fen: %s is %s with %d fen", b.order, b.amount, p.ID, p.Status, p.Amount)
		}
		var numbers []string
		for _, a := range p.Attempts {
			if a.Status == "paid" {
				numbers = append(numbers, a.OutTradeNo+" "+a.TransactionID)
			}
		}
		if want := b.outTradeNo + " " + b.transactionID; !slices.Equal(numbers, []string{want}) {
			r.t.Errorf("%s was paid by %q, want %q", b.order, numbers, want)
		}
	}
}

// files opens the gateway's database beside it, to read.
func (r *killRun) files() *sql.DB {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.dir, "data", "test.db")+"?mode=ro")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = db.Close() })
	return db
}

// checkDatabase reads what the stopped gateway left behind.
func (r *killRun) checkDatabase(db *sql.DB) {
	for _, row := range []struct{ what, query, want string }{
		{"database", `PRAGMA integrity_check`, "ok"},
		{"rows without their parent", `SELECT COUNT(*) FROM pragma_foreign_key_check`, "0"},
	} {
		var got string
		if err := db.QueryRow(row.query).Scan(&got); err != nil || got != row.want {
			r.t.Errorf("%s: %s, want %s (%v)", row.what, got, row.want, err)
		}
	}
	r.checkRows(db)
	if err := r.checkEvents(db); err != nil {
		r.t.Error(err)
	}
}

// checkEvents compares the stored events with what the sink got, and the pages' ends with the events' times.
func (r *killRun) checkEvents(db *sql.DB) error {
	at := map[string]time.Time{}
	err := eachRow(db, `SELECT p.order_no, e.id, e.body, e.at FROM events e JOIN payments p ON p.id = e.payment_id
		WHERE e.type = 'payment.paid'`, func(rows *sql.Rows) error {
		var order, id string
		var body []byte
		var ms int64
		if err := rows.Scan(&order, &id, &body, &ms); err != nil {
			return err
		}
		at[order] = time.UnixMilli(ms)
		if r.sink.paid[order] != id || !bytes.Equal(r.sink.bodies[id], body) {
			r.t.Errorf("%s: the shop got %s with\n%s\nstored is %s with\n%s", order, r.sink.paid[order], r.sink.bodies[r.sink.paid[order]], id, body)
		}
		return nil
	})
	for _, b := range r.buyers {
		if late := b.endedAt.Sub(at[b.order]); b.watches && late > stale {
			r.t.Errorf("the page of %s showed an old state for %s", b.order, late)
		}
	}
	return err
}

// report prints the run's totals and checks that the kills hit what they should.
func (r *killRun) report(took time.Duration, refunds int, back int64) {
	hit := 0
	for _, n := range r.inFlight {
		if n > 0 {
			hit++
		}
	}
	if want := r.plan.kills + r.plan.refundKills; len(r.inFlight) != want || hit*2 < want {
		r.t.Errorf("%d of %d kills had a platform call in flight, want at least half of %d", hit, len(r.inFlight), want)
	}
	again := 0
	for _, n := range r.front.acked {
		again += n - 1
	}
	down := time.Duration(0)
	if len(r.down) > 0 {
		down = slices.Max(r.down)
	}
	r.checkLog(r.gateway)
	totals.Write(r.t, "kill", totals.Row{What: "payments", Found: len(r.buyers)},
		totals.Row{What: "refunds", Found: refunds}, totals.Row{What: "fen refunded", Found: back},
		totals.Row{What: "seconds", Found: int(took.Seconds())},
		totals.Row{What: "kills", Found: len(r.inFlight)},
		totals.Row{What: "of which with platform calls in flight", Found: hit},
		totals.Row{What: "these calls", Found: sum(r.inFlight)},
		totals.Row{What: "milliseconds until it served again, at most", Found: down.Milliseconds()},
		totals.Row{What: "notices that came", Found: len(r.front.came)}, totals.Row{What: "their tries", Found: r.front.tries},
		totals.Row{What: "acknowledged once more", Found: again},
		totals.Row{What: "platform calls", Found: r.platform.calls.Load()},
		totals.Row{What: "webhooks sent", Found: r.sink.came}, totals.Row{What: "events in them", Found: len(r.sink.bodies)},
		totals.Row{What: "failed on purpose", Found: len(r.sink.failed)},
		totals.Row{What: "creates repeated by the shop", Found: r.retries.Load()},
		totals.Row{What: "links followed again", Found: r.visits.Load()},
		totals.Row{What: "pages watched, none left on an old state", Found: r.plan.watched})
}

func sum(all []int64) (n int64) {
	for _, x := range all {
		n += x
	}
	return n
}
