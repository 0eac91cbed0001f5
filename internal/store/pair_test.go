package store

import (
	"errors"
	"testing"
	"time"

	"piaohao/internal/pay"
	"piaohao/internal/store/storetest"
)

// While the standby is away no commit is durable: it is unknown to its caller and nobody sees it, until the standby has it.
// Were the wait for it cancelled, the payment would read as paid here and be gone after a failover.
func TestI16StandbyAway(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	w := newWorld(t, pair.DSN())
	p := w.stored(w.newPayment("o"))
	other := w.node()
	pair.Standby.Pause(t)
	if err := w.Apply(t.Context(), w.paid(p, 0, "tx")); !errors.Is(err, ErrUnknown) {
		t.Fatalf("without the standby: %v", err)
	}
	for _, node := range []*DB{w.DB, other} {
		if got, err := node.Payment(t.Context(), p.ID); err != nil || got.IsPaid() {
			t.Errorf("seen before the standby has it: %v, %v", got.Status, err)
		}
	}
	pair.Standby.Resume(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for got := (pay.Payment{}); !got.IsPaid(); <-tick.C {
		var err error
		if got, err = other.Payment(t.Context(), p.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Apply(t.Context(), w.paid(p, 0, "tx")); !errors.Is(err, ErrStale) {
		t.Errorf("again: %v", err)
	}
}
