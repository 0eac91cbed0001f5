package e2e_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // to read what is left behind
)

// checkBooks compares the platform's books, what payers were told, and the shop's API: the same numbers and amounts.
func (r *killRun) checkBooks(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.simURL+"/sim/books", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	type order struct {
		OutTradeNo    string `json:"out_trade_no"`
		TransactionID string `json:"transaction_id"`
		State         string `json:"state"`
		Amount        int64  `json:"amount"`
		Refunded      int64  `json:"refunded"`
	}
	var books struct{ Orders []order }
	if _, err := r.do(req, &books); err != nil {
		r.t.Fatal(err)
	}
	paid := map[string]order{}
	for _, o := range books.Orders {
		if o.TransactionID == "" || o.State != "SUCCESS" && o.State != "TRADE_SUCCESS" {
			continue
		}
		paid[o.OutTradeNo] = o
		if o.Refunded != 0 {
			r.t.Errorf("%+v was refunded", o)
		}
	}
	if len(paid) != len(r.buyers) {
		r.t.Errorf("%d orders are paid at the platform, want %d", len(paid), len(r.buyers))
	}
	for _, b := range r.buyers {
		o := paid[b.outTradeNo]
		if o.TransactionID != b.transactionID || o.Amount != b.amount {
			r.t.Errorf("%s of %d fen: the platform has %+v", b.order, b.amount, o)
		}
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

// checkDatabase reads what the stopped gateway left behind.
func (r *killRun) checkDatabase() {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.dir, "data", "test.db")+"?mode=ro")
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, row := range []struct{ what, query, want string }{
		{"database", `PRAGMA integrity_check`, "ok"},
		{"rows without their parent", `SELECT COUNT(*) FROM pragma_foreign_key_check`, "0"},
		{"payments", `SELECT COUNT(*) FROM payments`, fmt.Sprint(len(r.buyers))},
		{"payments not paid", `SELECT COUNT(*) FROM payments WHERE status <> 'paid'`, "0"},
		{"payments with another number of payment.paid than one", `SELECT COUNT(*) FROM payments p WHERE 1 <>
			(SELECT COUNT(*) FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.paid')`, "0"},
		{"payments with a gap in their events", `SELECT COUNT(*) FROM payments p WHERE p.seq <>
			(SELECT COUNT(*) FROM events e WHERE e.payment_id = p.id) OR p.seq <> (SELECT MAX(seq) FROM events e WHERE e.payment_id = p.id)`, "0"},
		{"payments with another number of paid attempts than one", `SELECT COUNT(*) FROM payments p WHERE 1 <>
			(SELECT COUNT(*) FROM attempts a WHERE a.payment_id = p.id AND a.status = 'paid')`, "0"},
		{"attempts paid without their payment", `SELECT COUNT(*) FROM attempts a JOIN payments p ON p.id = a.payment_id
			WHERE a.status = 'paid' AND p.paid_attempt <> a.id`, "0"},
		{"attempts still at work", `SELECT COUNT(*) FROM attempts WHERE due_at IS NOT NULL`, "0"},
		{"surplus attempts", `SELECT COUNT(*) FROM attempts WHERE surplus = 1`, "0"},
		{"refunds", `SELECT COUNT(*) FROM refunds`, "0"},
		{"incidents", `SELECT COUNT(*) FROM incidents`, "0"},
		{"events for shops without their one delivery", `SELECT COUNT(*) FROM events e WHERE for_shops = 1 AND 1 <>
			(SELECT COUNT(*) FROM deliveries d WHERE d.event_id = e.id)`, "0"},
		{"deliveries given up", `SELECT COUNT(*) FROM deliveries WHERE due_at IS NULL AND delivered_at IS NULL`, "0"},
	} {
		var got string
		if err := db.QueryRow(row.query).Scan(&got); err != nil || got != row.want {
			r.t.Errorf("%s: %s, want %s (%v)", row.what, got, row.want, err)
		}
	}
	if err := r.checkEvents(db); err != nil {
		r.t.Error(err)
	}
}

// checkEvents compares the stored events with what the sink got, and the pages' ends with the events' times.
func (r *killRun) checkEvents(db *sql.DB) error {
	rows, err := db.Query(`SELECT p.order_no, e.id, e.body, e.at FROM events e JOIN payments p ON p.id = e.payment_id WHERE e.type = 'payment.paid'`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	at := map[string]time.Time{}
	for rows.Next() {
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
	}
	for _, b := range r.buyers {
		if late := b.endedAt.Sub(at[b.order]); b.watches && late > stale {
			r.t.Errorf("the page of %s showed an old state for %s", b.order, late)
		}
	}
	return rows.Err()
}

// report prints the run's totals and checks that the kills hit what they should.
func (r *killRun) report(took time.Duration) {
	hit := 0
	for _, n := range r.inFlight {
		if n > 0 {
			hit++
		}
	}
	if len(r.inFlight) != r.plan.kills || hit*2 < r.plan.kills {
		r.t.Errorf("%d of %d kills had a platform call in flight, want at least half of %d", hit, len(r.inFlight), r.plan.kills)
	}
	lost, again := len(r.buyers)-len(r.front.came), 0
	for _, n := range r.front.acked {
		again += n - 1
	}
	down := time.Duration(0)
	if len(r.down) > 0 {
		down = slices.Max(r.down)
	}
	log, err := os.ReadFile(filepath.Join(r.dir, "gateway.log"))
	if err != nil {
		r.t.Error(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "level=ERROR") || strings.HasPrefix(line, "panic") {
			r.t.Errorf("the gateway's log has %s", line)
		}
	}
	r.t.Logf("%d payments in %.1f s: %d kills, %d with platform calls in flight (%d in all), serving again after at most %d ms",
		len(r.buyers), took.Seconds(), len(r.inFlight), hit, sum(r.inFlight), down.Milliseconds())
	r.t.Logf("notices: %d never came, %d tries of %d others, %d acknowledged once more", lost, r.front.tries, len(r.front.came), again)
	r.t.Logf("%d platform calls; webhooks: %d deliveries of %d events, %d failed on purpose; creates repeated %d times, links %d times; %d pages watched",
		r.platform.calls.Load(), r.sink.came, len(r.sink.bodies), len(r.sink.failed), r.retries.Load(), r.visits.Load(), r.plan.watched)
}

func sum(all []int64) (n int64) {
	for _, x := range all {
		n += x
	}
	return n
}
