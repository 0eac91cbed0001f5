package e2e_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"piaohao/client"
	"piaohao/internal/store"
)

// refundWorkers are how many refunds a shop asks for at once.
const refundWorkers = 16

// returns are the refunds that the shop asked for and was granted.
type returns struct {
	mu    sync.Mutex
	asked map[string]client.Refund // by refund_no, as the answer to the request had it
}

// refundAll returns random parts of six payments in ten.
func (r *killRun) refundAll(ctx context.Context) {
	r.returns.asked = map[string]client.Refund{}
	work := make(chan *buyer)
	var group sync.WaitGroup
	for range refundWorkers {
		group.Go(func() {
			for b := range work {
				r.refundSome(ctx, b)
			}
		})
	}
	for i, b := range r.buyers {
		if i < 2 || r.dice(10) < 6 { // the first two are one of each method
			work <- b
		}
	}
	close(work)
	group.Wait()
}

// refundSome asks for up to plan.refunds parts, and for one that exceeds what is left: it must be refused.
func (r *killRun) refundSome(ctx context.Context, b *buyer) {
	left := b.amount
	for i := range 1 + r.dice(r.plan.refunds) {
		part := 1 + int64(r.dice(int(left)))
		if r.refund(ctx, b, fmt.Sprintf("%s-r%d", b.order, i), part) {
			left -= part
		}
		if left == 0 {
			return
		}
	}
	if r.refund(ctx, b, b.order+"-beyond", left+1) {
		r.t.Errorf("%s of %d fen: a refund of %d was taken when %d were left", b.order, b.amount, left+1, left)
	}
}

// refund repeats the same request until it is answered; false: it was refused.
func (r *killRun) refund(ctx context.Context, b *buyer, no string, fen int64) bool {
	const tooMuch = "refund_too_much"
	for ctx.Err() == nil {
		f, err := r.shop.CreateRefund(ctx, b.payment, client.RefundParams{RefundNo: no, Amount: fen, Reason: "no tea"})
		if err == nil {
			r.returns.mu.Lock()
			r.returns.asked[no] = f
			r.returns.mu.Unlock()
			return true
		}
		var refusal *client.Error
		if errors.As(err, &refusal) && refusal.Status/100 != 5 {
			if refusal.Code != tooMuch {
				r.t.Errorf("refund %s: %v", no, err)
			}
			return false
		}
		r.pause(ctx, 300*time.Millisecond)
	}
	return false
}

// settleRefunds waits until every refund has succeeded, as the API says, and its webhook has been accepted.
func (r *killRun) settleRefunds(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for no, f := range r.returns.asked {
		for {
			if got, err := r.shop.GetRefund(ctx, f.ID); err == nil {
				f = got
			}
			if f.Status == client.RefundSucceeded && r.sink.toldOf(no) {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				r.t.Fatalf("refund %s is %s, webhook accepted: %v", no, f.Status, r.sink.toldOf(no))
			}
		}
	}
}

// booked is one paid order, as the platform and as we have it.
type booked struct {
	tx               string
	amount, refunded int64
}

// platformBooks are the paid orders in the simulator's books, by the number that we gave them.
func (r *killRun) platformBooks(ctx context.Context) map[string]booked {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.simURL+"/sim/books", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	var books struct {
		Orders []struct {
			OutTradeNo    string `json:"out_trade_no"`
			TransactionID string `json:"transaction_id"`
			State         string
			Amount        int64
			Refunded      int64
		}
	}
	if _, err := r.do(req, &books); err != nil {
		r.t.Fatal(err)
	}
	out := map[string]booked{}
	for _, o := range books.Orders {
		if o.TransactionID != "" && o.State != "WAIT_BUYER_PAY" {
			out[o.OutTradeNo] = booked{o.TransactionID, o.Amount, o.Refunded}
		}
	}
	return out
}

// checkMoney compares the simulator's books with our rows, order by order, with what each payer was told, and with what
// the shop's requests were answered. It returns how many refunds succeeded, and their fen.
func (r *killRun) checkMoney(ctx context.Context, db *sql.DB) (n int, back int64) {
	theirs, ours := r.platformBooks(ctx), map[string]booked{}
	err := eachRow(db, `SELECT a.out_trade_no, a.transaction_id, a.amount, (SELECT CAST(COALESCE(SUM(f.amount), 0) AS BIGINT)
		FROM refunds f WHERE f.attempt_id = a.id AND f.status = 'succeeded') FROM attempts a WHERE a.status = 'paid'`, func(rows *sql.Rows) error {
		var no string
		var b booked
		if err := rows.Scan(&no, &b.tx, &b.amount, &b.refunded); err != nil {
			return err
		}
		ours[no] = b
		if theirs[no] != b {
			r.t.Errorf("%s: the platform has %+v, we have %+v", no, theirs[no], b)
		}
		return nil
	})
	if err != nil || len(ours) != len(theirs) || len(ours) != len(r.buyers) {
		r.t.Errorf("%d paid orders at the platform, %d here, %d buyers: %v", len(theirs), len(ours), len(r.buyers), err)
	}
	for _, b := range r.buyers {
		if o := ours[b.outTradeNo]; o.tx != b.transactionID || o.amount != b.amount {
			r.t.Errorf("%s: the payer paid %d fen as %s, we have %+v", b.order, b.amount, b.transactionID, o)
		}
	}
	err = eachRow(db, `SELECT refund_no, amount, status FROM refunds`, func(rows *sql.Rows) error {
		var no, status string
		var fen int64
		if err := rows.Scan(&no, &fen, &status); err != nil {
			return err
		}
		n++
		back += fen
		if r.returns.asked[no].Amount != fen || status != client.RefundSucceeded {
			r.t.Errorf("refund %s of %d fen is %s, and the shop asked for %d", no, fen, status, r.returns.asked[no].Amount)
		}
		return nil
	})
	if err != nil || n != len(r.returns.asked) {
		r.t.Errorf("%d refunds, and the shop has %d: %v", n, len(r.returns.asked), err)
	}
	return n, back
}

// eachRow reads the rows of a query.
func eachRow(db *sql.DB, query string, read func(*sql.Rows) error) error {
	rows, err := db.Query(query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// checkRows holds every rule of the store against the rows, once all is settled, and what these runs demand beside.
func (r *killRun) checkRows(db *sql.DB) {
	err := store.Verify(context.Background(), db, map[string]string{
		"every payment is paid":    `SELECT COUNT(*) FROM payments WHERE status <> 'paid'`,
		"no attempt is at work":    `SELECT COUNT(*) FROM attempts WHERE due_at IS NOT NULL`,
		"no money came twice":      `SELECT COUNT(*) FROM attempts WHERE surplus = 1`,
		"nothing needs a person":   `SELECT COUNT(*) FROM incidents`,
		"no delivery was given up": `SELECT COUNT(*) FROM deliveries WHERE due_at IS NULL AND delivered_at IS NULL`,
		"every event for shops has its one delivery": `SELECT COUNT(*) FROM events e WHERE for_shops = 1 AND 1 <>
			(SELECT COUNT(*) FROM deliveries d WHERE d.event_id = e.id)`,
	})
	if err != nil {
		r.t.Error(err)
	}
	var n int
	if err := db.QueryRow(`SELECT COUNT(*) FROM payments`).Scan(&n); err != nil || n != len(r.buyers) {
		r.t.Errorf("%d payments, want %d (%v)", n, len(r.buyers), err)
	}
}

// checkLog reads a process's log for what must not be there.
func (r *killRun) checkLog(p *process) {
	for line := range strings.Lines(string(p.text())) {
		if strings.Contains(line, "level=ERROR") || strings.HasPrefix(line, "panic") {
			r.t.Errorf("%s has %s", p.log, line)
		}
	}
}
