package e2e_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // to read what the nodes wrote

	"piaohao/client"
	"piaohao/internal/e2e"
	"piaohao/internal/freeport"
)

// nodesRun is a killRun whose gateway is several nodes: addr is the way to a random one of them.
type nodesRun struct {
	*killRun
	nodes   nodesPlan
	running []*process // only the killer changes it after the start
	addrs   []string   // of the nodes
	dsn     string
	db      *sql.DB
	kills   atomic.Int64
}

// newNodesRun starts the simulator and the nodes on the database at dsn.
func newNodesRun(ctx context.Context, t *testing.T, plan nodesPlan, dsn string) *nodesRun {
	t.Helper()
	k := &killRun{t: t, plan: plan.killPlan, bin: e2e.Program(), dir: t.ArtifactDir()}
	k.http = &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(k.http.CloseIdleConnections)
	r := &nodesRun{killRun: k, nodes: plan, dsn: dsn, running: make([]*process, plan.nodes)}
	for range plan.nodes {
		r.addrs = append(r.addrs, freeport.Addr(t))
	}
	simAddr := freeport.Addr(t)
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
	if r.db, err = sql.Open("pgx", r.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.db.Close() })
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
	for _, p := range r.running {
		r.checkLog(p)
	}
}

// drainWithin is what a stop may take, with some time for a busy machine.
const drainWithin = 11 * time.Second
