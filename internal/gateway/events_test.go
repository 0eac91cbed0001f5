package gateway_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"piaohao/internal/gateway"
	"piaohao/internal/view"
)

// orders are those that a shop's events are about, read in pages of a size, to the end.
func (w *world) orders(shop string, size int) (all []string) {
	w.t.Helper()
	for after, more := int64(0), true; more; {
		page, err := w.g.Events(w.t.Context(), shop, after, size)
		w.must(err)
		if len(page.Data) > size || page.HasMore && len(page.Data) < size {
			w.t.Fatalf("a page of %d has %d, and more: %t", size, len(page.Data), page.HasMore)
		}
		for _, placed := range page.Data {
			var e view.Event
			w.must(json.Unmarshal(placed.Event, &e))
			all, after = append(all, e.Data.OrderNo+" "+e.Type), placed.Pos
		}
		more = page.HasMore
	}
	return all
}

// I-20: a shop that follows its events page by page sees all of them in their order, and nobody else's.
func TestA95EventsOfAnotherShopAreNotListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mine, theirs []string
	for i := range 3 {
		own, other := fmt.Sprint("mine-", i), fmt.Sprint("theirs-", i)
		w.paid(own)
		_, err := w.g.Create(t.Context(), gateway.CreateInput{Shop: "other", OrderNo: other, Amount: 5, Subject: "s", Method: "scan"})
		w.must(err)
		mine, theirs = append(mine, own+" payment.created", own+" payment.paid"), append(theirs, other+" payment.created")
	}
	w.must(w.tail())
	for size := range len(mine) + 1 {
		for shop, want := range map[string][]string{"shop": mine, "other": theirs, "nobody": nil} {
			if got := w.orders(shop, size+1); !slices.Equal(got, want) {
				t.Errorf("A95 %s in pages of %d reads %q", shop, size+1, got)
			}
		}
	}
}

// The tail tells a page of every change, those that are one event behind the last one it saw among them.
func TestTailSkipsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	w.must(w.tail())
	changed, stop, err := w.g.Subscribe(t.Context(), p.Token)
	w.must(err)
	defer stop()
	for i := range 3 {
		_, err := w.refund(p, fmt.Sprint("r", i), 100)
		w.must(err)
		w.must(w.tail())
		select {
		case <-changed:
		default:
			t.Errorf("nobody told the page of refund %d", i)
		}
	}
}
