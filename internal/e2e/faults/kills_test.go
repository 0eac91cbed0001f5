package faults_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/e2e/totals"
	"piaohao/internal/store/storetest"
)

var every = flag.Int("faults.every", 0, "kill at every n-th point; 0: at two of each flow, or at all with PIAOHAO_SOAK=1")

const (
	lifeWithin = 90 * time.Second // of one installation, on a busy machine: some leases and one start
	fast       = 5                // the clock's speed: a lease of 20 s is over in 4
	atOnce     = 6                // installations
)

// TestKillAtEveryOperation kills the gateway before and after each operation of its database, one after the other, from
// the first statement of the first start to the webhook of the refund, and starts it again. At the moment of the kill
// everything acknowledged is in the database and nothing by half; in the end the payment is paid, its refund succeeded,
// each is told once, and the platform's books have the same (I-01, I-05, I-06, I-08, I-09, I-11).
func TestKillAtEveryOperation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newTown(ctx, t, hooked, fast)
	k := &killer{town: w}
	k.walk(ctx, t, "sqlite", "wechat")
	k.walk(ctx, t, "postgres", "alipay")
	if soak {
		k.walk(ctx, t, "sqlite", "alipay")
		k.walk(ctx, t, "postgres", "wechat")
	}
	k.compareBooks(ctx, t)
	totals.Write(t, "operations", k.rows()...)
}

// killer walks through the points of whole flows.
type killer struct {
	town *town

	mu        sync.Mutex
	purchases []*purchase
	kills     int
	missed    int // flows without a kill
	points    []totals.Row
}

// walk counts the points of a flow and then runs one for each of them, or for some in the short form.
func (k *killer) walk(ctx context.Context, t *testing.T, engine, method string) {
	counted := filepath.Join(t.TempDir(), "count")
	k.life(ctx, t, engine, method, "FAULT_COUNT="+counted)
	n := must[int](t)(strconv.Atoi(string(must[[]byte](t)(os.ReadFile(counted)))))
	k.points = append(k.points, totals.Row{What: "points in a flow, " + engine + ", " + method, Found: n})
	step := *every
	switch {
	case step > 0:
	case soak:
		step = 1
	default:
		step = n/2 + 1
	}
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for point := 1 + (n/4)%step; point <= n; point += step {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			t.Run(fmt.Sprintf("%s %s point %d of %d", engine, method, point, n), func(t *testing.T) {
				k.life(ctx, t, engine, method, "FAULT_POINT="+strconv.Itoa(point))
			})
		})
	}
	all.Wait()
}

// life is one installation from its first start to the end of a refunded payment.
func (k *killer) life(ctx context.Context, t *testing.T, engine, method string, setting string) {
	k.serve(ctx, t, newHouse(t, k.town, databaseOf(t, engine)), method, setting)
}

func (k *killer) serve(ctx context.Context, t *testing.T, h *house, method string, settings ...string) {
	k.mu.Lock()
	p := &purchase{orderNo: fmt.Sprintf("point-%05d", len(k.purchases)), method: method, amount: 1000 + int64(len(k.purchases)), refunded: 300}
	k.purchases = append(k.purchases, p)
	k.mu.Unlock()
	if err := h.live(ctx, p, settings...); err != nil {
		t.Errorf("%v\n%s", err, h.process.tail())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kills += h.kills
	if h.kills == 0 {
		k.missed++
	}
}

// unharmed is how many flows came to their end without a kill.
func (k *killer) unharmed() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.missed
}

func (k *killer) compareBooks(ctx context.Context, t *testing.T) {
	books := k.town.books(ctx)
	for _, p := range k.purchases {
		if err := p.checkBooks(books); err != nil {
			t.Error(err)
		}
	}
	if k.kills == 0 {
		t.Error("nothing was killed")
	}
}

// live opens the house, serves one customer, closes it, and returns everything that was wrong.
func (h *house) live(ctx context.Context, p *purchase, settings ...string) error {
	ctx, cancel := context.WithTimeout(ctx, lifeWithin)
	defer cancel()
	h.giveUp = cancel
	h.open(ctx, settings...)
	if err := h.run(ctx, p); err != nil {
		h.wrong(err)
	}
	h.close()
	h.checkSettled()
	h.checkHeard()
	return h.verdict()
}

// mostWrites bounds the walk over the writes of one thread: a flow has a few hundred.
const mostWrites = 2000

// TestKillAtEveryWrite kills the program at the N-th write of one of its threads, whatever file or socket it goes to, from
// the first start on; strace counts each thread's for itself, so that N walks until a flow comes to its end unharmed.
// What must hold is that of TestKillAtEveryOperation (I-06).
func TestKillAtEveryWrite(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	k := &killer{town: newTown(ctx, t, hooked, fast)}
	walk := []int{2, 60} // the first of them is that of the test keys
	if soak {
		walk = nil
		for n := 1; n <= mostWrites; n++ {
			walk = append(walk, n)
		}
	}
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, n := range walk {
		places <- struct{}{}
		if k.unharmed() >= 3*atOnce {
			break // no thread writes so often
		}
		all.Go(func() {
			defer func() { <-places }()
			t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) {
				h := newHouse(t, k.town, "")
				h.under = []string{
					"strace", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=write,pwrite64",
					"-e", fmt.Sprintf("inject=write,pwrite64:signal=KILL:when=%d", n),
				}
				k.serve(ctx, t, h, []string{"wechat", "alipay"}[i%2])
			})
		})
	}
	all.Wait()
	k.compareBooks(ctx, t)
	totals.Write(t, "writes killed", totals.Row{What: "kills, each at another write of a thread", Found: k.kills},
		totals.Row{What: "flows, each ended paid and refunded, with the platform's books in agreement", Found: len(k.purchases)})
}

// TestKillsSee plants a mistake: the parts of a Change become durable one after the other. A kill between two of them must
// be seen.
func TestKillsSee(t *testing.T) {
	t.Parallel()
	w := newTown(t.Context(), t, hooked, fast)
	for at, seen := range map[string]bool{"": false, "after INSERT INTO events": true} {
		h := newHouse(t, w, "")
		err := h.live(t.Context(), &purchase{orderNo: "halves", method: "wechat", amount: 1000, refunded: 300}, "FAULT_WRONG=halves", "FAULT_AT="+at)
		if (err != nil) != seen || seen && !strings.Contains(err.Error(), "gap in their events") {
			t.Errorf("killed %q: %v", at, err)
		}
	}
}

// databaseOf is an empty one of PostgreSQL, or "" for SQLite.
func databaseOf(t *testing.T, engine string) string {
	if engine == "sqlite" {
		return ""
	}
	database := storetest.Empty(t)
	t.Cleanup(func() { dropDatabase(t, database) })
	return database
}

func (k *killer) rows() []totals.Row {
	return append(k.points, totals.Row{What: "kills, each with everything acknowledged there at that moment", Found: k.kills},
		totals.Row{What: "flows without a kill: those that counted, and those that polled less than they", Found: k.missed},
		totals.Row{What: "flows, each ended paid and refunded, with the platform's books in agreement", Found: len(k.purchases)})
}

// dropDatabase keeps the cluster small in the long form.
func dropDatabase(t *testing.T, database string) {
	u := must[*url.URL](t)(url.Parse(database))
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	db := must[*sql.DB](t)(sql.Open("pgx", u.String()))
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(context.Background(), `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
		t.Error(err)
	}
}
