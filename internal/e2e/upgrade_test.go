package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"piaohao/internal/store/storetest"
)

// next is a migration that the program of the next version could bring: it adds, and what it adds has a default.
const next = `-- +goose Up
ALTER TABLE payments ADD COLUMN next_note TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN next_note TEXT NOT NULL DEFAULT '';
CREATE INDEX payments_next ON payments (next_note) WHERE next_note <> '';
`

// nextBinary builds the program with one migration more.
func nextBinary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file, overlay := filepath.Join(dir, "next.sql"), filepath.Join(dir, "overlay.json")
	known, err := filepath.Glob("../store/migrations/postgres/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	at, err := filepath.Abs(fmt.Sprintf("../store/migrations/postgres/%05d_next.sql", len(known)+1))
	if err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{at: file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{file: []byte(next), overlay: list} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "piaohao")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", bin, "piaohao/cmd/piaohao").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// TestUpgrade replaces one of two nodes under load by the program of the next version, which changes the tables while the
// other one writes; then both work side by side, and the older one is killed and starts again on the newer tables. It
// covers I-24.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	plan := nodesPlan{nodes: 2}
	plan.killPlan = killPlan{payments: 30, refunds: 1, pace: 100 * time.Millisecond, pays: time.Second, limit: 3 * time.Minute}
	ctx, cancel := context.WithTimeout(t.Context(), plan.limit)
	defer cancel()
	newer := nextBinary(t)
	r := newNodesRun(ctx, t, plan, storetest.Empty(t))
	older := r.bin
	r.wg.Go(func() {
		r.someTold(ctx, plan.payments/5)
		r.running[1].stop(r.t)
		r.bin = newer
		r.startNode(ctx, 1)
		r.someTold(ctx, plan.payments/2)
		r.running[0].kill(r.t)
		r.bin = older
		r.startNode(ctx, 0)
	})
	r.load(ctx)
	r.settle(ctx)
	r.refundAll(ctx)
	r.settleRefunds(ctx)
	r.checkBooks(ctx)
	refunds, back := r.checkMoney(ctx, r.db)
	r.checkRows(r.db)
	var changed int
	if err := r.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM payments WHERE next_note = ''`).Scan(&changed); err != nil || changed != plan.payments {
		t.Errorf("the tables of the next version have %d payments: %v", changed, err)
	}
	r.drain()
	t.Logf("%d payments and %d refunds of %d fen over an upgrade", plan.payments, refunds, back)
}
