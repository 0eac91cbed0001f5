package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"piaohao/client"
	"piaohao/internal/store/storetest"
)

// nodesRun is a killRun whose gateway is several nodes: addr is the way to a random one of them.
type nodesRun struct {
	*killRun
	nodes   nodesPlan
	running []*process // only the killer changes it after the start
	addrs   []string   // of the nodes
	dsn     string
	db      *pgxpool.Pool

	kills, refunded, back atomic.Int64
	mu                    sync.Mutex
	asked                 map[string]int64 // fen of each refund that was taken, by its number
}

func newNodesRun(ctx context.Context, t *testing.T, plan nodesPlan) *nodesRun {
	t.Helper()
	k := &killRun{t: t, plan: plan.killPlan, bin: killBinary(t), dir: t.ArtifactDir()}
	k.http = &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(k.http.CloseIdleConnections)
	r := &nodesRun{killRun: k, nodes: plan, dsn: storetest.Empty(t), running: make([]*process, plan.nodes), asked: map[string]int64{}}
	for range plan.nodes {
		r.addrs = append(r.addrs, freeAddr(t))
	}
	simAddr := freeAddr(t)
	k.simURL = "http://" + simAddr
	k.platform = newPlatformProxy(t, k.simURL)
	entrance := newEntrance(t, r.addrs)
	k.addr = strings.TrimPrefix(entrance, "http://")
	k.front = newFrontProxy(t, entrance)
	key := make([]byte, killSecretBytes)
	_, _ = rand.Read(key) // never fails
	k.sink = newSink(t, "whsec_"+base64.StdEncoding.EncodeToString(key))

	k.sim = startProcess(t, k.bin, "sim", filepath.Join(k.dir, "sim.log"), "SIM_ADDR="+simAddr, "DEMO_ADDR=off", "LOG_DIR=off",
		"SIM_PUBLIC_URL="+k.platform.url, "DATA_DIR="+filepath.Join(k.dir, "sim"))
	k.await(ctx, k.simURL+"/sim/faults", k.sim)
	k.post(ctx, k.simURL+"/sim/faults", map[string]any{
		"drop_percent": 30, "drop_forever": true, "double_percent": 20, "delay_ms_max": 1000,
	}, nil)
	for i := range r.running {
		r.startNode(ctx, i)
	}
	var err error
	if k.shop, err = client.New("http://"+k.addr, k.apiKey(), client.WithHTTPClient(k.http)); err != nil {
		t.Fatal(err)
	}
	if r.db, err = pgxpool.New(ctx, r.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.db.Close)
	for i := range plan.payments {
		b := &buyer{order: fmt.Sprintf("node-%05d", i), amount: 1 + int64(r.dice(1_000_000)), method: "wechat", watches: i*10%(plan.payments*10) < plan.watched*10}
		if i%2 == 1 {
			b.method = "alipay"
		}
		k.buyers = append(k.buyers, b)
	}
	return r
}

// startNode starts node i on data folder and port of its own; the first one's test key is the shop's.
func (r *nodesRun) startNode(ctx context.Context, i int) {
	dir := "data"
	if i > 0 {
		dir = fmt.Sprint("data", i)
	}
	r.running[i] = startProcess(r.t, r.bin, "serve", r.log(i), "DATABASE_URL="+r.dsn, "ALLOW_UNSAFE_DATABASE=1",
		"LISTEN_ADDR="+r.addrs[i], "SIM_ADDR=off", "SIM_PUBLIC_URL="+r.platform.url, "DEMO_ADDR=off", "LOG_DIR=off",
		"DATA_DIR="+filepath.Join(r.dir, dir), "PUBLIC_URL="+r.front.url, "WEBHOOK_URL="+r.sink.url, "WEBHOOK_SECRET="+r.sink.secret)
	r.await(ctx, "http://"+r.addrs[i]+"/payment", r.running[i])
}

func (r *nodesRun) log(i int) string { return filepath.Join(r.dir, fmt.Sprintf("node%d.log", i)) }

// newEntrance leads each request to a random node, alive or not, and returns its origin.
func newEntrance(t *testing.T, addrs []string) string {
	t.Helper()
	ways := make([]http.Handler, len(addrs))
	for i, addr := range addrs {
		ways[i] = reverseProxy(t, "http://"+addr)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ways[(&killRun{}).dice(len(ways))].ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (r *nodesRun) number(ctx context.Context, query string) (n int64) {
	if err := r.db.QueryRow(ctx, query).Scan(&n); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// settleRefunds waits until every refund has reached its end.
func (r *nodesRun) settleRefunds(ctx context.Context) {
	const open = `SELECT COUNT(*) FROM refunds WHERE status IN ('pending', 'processing') AND code <> '` + cannotRefund + `'`
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for r.number(ctx, open) > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("%d refunds have no end", r.number(context.WithoutCancel(ctx), open))
		}
	}
}

// booked is one paid order, as the platform and as we have it.
type booked struct {
	tx               string
	amount, refunded int64
}

// checkMoney compares the simulator's books with our rows, order by order, and with what the shop was told.
func (r *nodesRun) checkMoney(ctx context.Context) {
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
	theirs := map[string]booked{}
	for _, o := range books.Orders {
		if o.TransactionID != "" && o.State != "WAIT_BUYER_PAY" {
			theirs[o.OutTradeNo] = booked{o.TransactionID, o.Amount, o.Refunded}
		}
	}
	ours := map[string]booked{}
	rows, err := r.db.Query(ctx, `SELECT a.out_trade_no, a.transaction_id, a.amount, (SELECT CAST(COALESCE(SUM(f.amount), 0) AS BIGINT)
		FROM refunds f WHERE f.attempt_id = a.id AND f.status = 'succeeded') FROM attempts a WHERE a.status = 'paid'`)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var no string
		var b booked
		if err := rows.Scan(&no, &b.tx, &b.amount, &b.refunded); err != nil {
			r.t.Fatal(err)
		}
		ours[no] = b
		if theirs[no] != b {
			r.t.Errorf("%s: the platform has %+v, we have %+v", no, theirs[no], b)
		}
	}
	if err := rows.Err(); err != nil || len(ours) != len(theirs) || len(ours) != len(r.buyers) {
		r.t.Errorf("%d paid orders at the platform, %d here, %d buyers: %v", len(theirs), len(ours), len(r.buyers), err)
	}
	for _, b := range r.buyers {
		if o := ours[b.outTradeNo]; o.tx != b.transactionID || o.amount != b.amount {
			r.t.Errorf("%s: the payer paid %d fen as %s, we have %+v", b.order, b.amount, b.transactionID, o)
		}
	}
	r.checkRefunds(ctx)
}

// checkRefunds holds our rows against what the shop's requests were answered.
func (r *nodesRun) checkRefunds(ctx context.Context) {
	rows, err := r.db.Query(ctx, `SELECT refund_no, amount, status FROM refunds`)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var no, status string
		var fen int64
		if err := rows.Scan(&no, &fen, &status); err != nil {
			r.t.Fatal(err)
		}
		n++
		if r.asked[no] != fen || status != "succeeded" && !strings.HasPrefix(no, "probe-") {
			r.t.Errorf("refund %s of %d fen is %s, and the shop asked for %d", no, fen, status, r.asked[no])
		}
		if status == "succeeded" {
			r.refunded.Add(1)
			r.back.Add(fen)
		}
	}
	if err := rows.Err(); err != nil || n != len(r.asked) {
		r.t.Errorf("%d refunds, and the shop has %d: %v", n, len(r.asked), err)
	}
}

// checkRows counts what must not be there.
func (r *nodesRun) checkRows(ctx context.Context) {
	for what, query := range map[string]string{
		"payments not paid": `SELECT COUNT(*) FROM payments WHERE status <> 'paid'`,
		"payments with another number of payment.paid than one": `SELECT COUNT(*) FROM payments p WHERE 1 <>
			(SELECT COUNT(*) FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.paid')`,
		"payments with a gap in their events": `SELECT COUNT(*) FROM payments p WHERE p.seq <>
			(SELECT COUNT(*) FROM events e WHERE e.payment_id = p.id) OR p.seq <> (SELECT MAX(seq) FROM events e WHERE e.payment_id = p.id)`,
		"payments with another number of paid attempts than one": `SELECT COUNT(*) FROM payments p WHERE 1 <>
			(SELECT COUNT(*) FROM attempts a WHERE a.payment_id = p.id AND a.status = 'paid')`,
		"refunds with another number of refund.created than one": `SELECT COUNT(*) FROM refunds f WHERE 1 <>
			(SELECT COUNT(*) FROM events e WHERE e.refund_id = f.id AND e.type = 'refund.created')`,
		"succeeded refunds with another number of refund.succeeded than one": `SELECT COUNT(*) FROM refunds f WHERE f.status = 'succeeded'
			AND 1 <> (SELECT COUNT(*) FROM events e WHERE e.refund_id = f.id AND e.type = 'refund.succeeded')`,
		"attempts with more refunds than money": `SELECT COUNT(*) FROM attempts a WHERE a.amount < (SELECT COALESCE(SUM(f.amount), 0)
			FROM refunds f WHERE f.attempt_id = a.id AND f.status IN ('pending', 'processing', 'succeeded'))`,
		"attempts still at work":                      `SELECT COUNT(*) FROM attempts WHERE due_at IS NOT NULL`,
		"surplus attempts":                            `SELECT COUNT(*) FROM attempts WHERE surplus = 1`,
		"incidents about something else than refunds": `SELECT COUNT(*) FROM incidents WHERE kind NOT LIKE 'refund%'`,
		"events in no place of the order": `SELECT COUNT(*) FROM (SELECT pos, LAG(pos) OVER (PARTITION BY payment_id ORDER BY seq) AS before
			FROM events WHERE pos IS NOT NULL) t WHERE before >= pos`,
	} {
		if n := r.number(ctx, query); n != 0 {
			r.t.Errorf("%d %s", n, what)
		}
	}
}

// drain stops the nodes as a service manager does and reads their logs.
func (r *nodesRun) drain() {
	var group sync.WaitGroup
	for i, p := range r.running {
		group.Go(func() {
			start := time.Now()
			p.stop(r.t)
			if took := time.Since(start); took > drainWithin {
				r.t.Errorf("node %d took %s to stop", i, took)
			}
		})
	}
	group.Wait()
	r.sim.stop(r.t)
	for i := range r.running {
		text, err := os.ReadFile(r.log(i))
		if err != nil {
			r.t.Error(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "level=ERROR") || strings.HasPrefix(line, "panic") {
				r.t.Errorf("node %d's log has %s", i, line)
			}
		}
	}
}

// drainWithin is what a stop may take, with some time for a busy machine.
const drainWithin = 11 * time.Second
