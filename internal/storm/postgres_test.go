package storm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"piaohao/internal/e2e/totals"
	"piaohao/internal/store"
	"piaohao/internal/store/storetest"
)

// Seeds on PostgreSQL: each costs a database of its own and real round trips.
const (
	postgresSeeds     = 5
	postgresSoakSeeds = 1000
)

func TestMain(m *testing.M) {
	code := m.Run()
	storetest.Stop()
	os.Exit(code)
}

// The same storms on PostgreSQL: other locks, other numbering of events, commits that are one round trip.
func TestStormOnPostgres(t *testing.T) {
	t.Parallel()
	const template = "storm_tables"
	dsn, err := storetest.Named(template)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(context.Background(), store.Options{DSN: dsn, Mode: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler), AllowUnsafe: true})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	count := postgresSeeds
	if os.Getenv("PIAOHAO_SOAK") != "" {
		count = postgresSoakSeeds
	}
	var sum outcome
	for seed := 1; seed <= count; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { //nolint:paralleltest // its database goes before the next one comes
			o := rage(t, uint64(seed), storetest.CopyOf(t, template), nil)
			if len(o.broken) > 0 {
				t.Errorf("%q", o.broken)
			}
			sum.steps += o.steps
			sum.hours += o.hours
		})
	}
	totals.Write(t, "storm on PostgreSQL", totals.Row{What: "seeds, each with every invariant kept", Found: count},
		totals.Row{What: "steps", Found: sum.steps}, totals.Row{What: "virtual hours", Found: int(sum.hours)})
}
