package gateway_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// pageOf is what the payer's page shows, and whether it may still change by itself.
func (w *world) pageOf(p pay.Payment) (gateway.Page, bool) {
	w.t.Helper()
	page, err := w.g.Page(w.t.Context(), gateway.PageInput{Token: p.Token})
	w.must(err)
	_, ended, err := w.g.Watching(w.t.Context(), p.Token)
	w.must(err)
	return page, !ended
}

func (w *world) wantPage(p pay.Payment, phase gateway.Phase, refund, surplus pay.Return, live bool) {
	w.t.Helper()
	page, moves := w.pageOf(p)
	if page.Phase != phase || moves != live {
		w.t.Fatalf("the page says %s and may change: %t; want %s and %t", page.Phase, moves, phase, live)
	}
	if diff := cmp.Diff([2]pay.Return{refund, surplus}, [2]pay.Return{page.Refund, page.Surplus}); diff != "" {
		w.t.Fatal(diff)
	}
}

// The payer's page follows a refund to its end: it stays live, and the tail tells it.
func TestPageFollowsRefunds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	whole := pay.Return{Total: 12800}
	w.wantPage(p, gateway.PhasePaid, whole, pay.Return{}, false)
	_, err := w.refund(p, "r1", 3000)
	w.must(err)
	w.wantPage(p, gateway.PhasePaid, pay.Return{Total: 12800, Going: 3000}, pay.Return{}, true)
	w.advance(0) // sent, and on its way
	w.wantPage(p, gateway.PhasePaid, pay.Return{Total: 12800, Going: 3000}, pay.Return{}, true)
	changed, stop, err := w.g.Subscribe(t.Context(), p.Token)
	w.must(err)
	defer stop()
	w.advance(time.Minute)
	select {
	case <-changed:
	default:
		t.Fatal("nobody told the page")
	}
	w.wantPage(p, gateway.PhasePaid, pay.Return{Total: 12800, Done: 3000}, pay.Return{}, false)
	_, err = w.refund(p, "r2", 9800)
	w.must(err)
	w.advance(0)
	w.advance(time.Minute)
	w.wantPage(p, gateway.PhaseRefunded, pay.Return{Total: 12800, Done: 12800}, pay.Return{}, false)
}

func TestA67PageOfLateMoney(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.qr.refunds = nil // it cannot be sent yet
	p := w.lateMoney("o")
	w.wantPage(p, gateway.PhaseLate, pay.Return{}, pay.Return{Total: 12800, Going: 12800}, true)
	if page, _ := w.pageOf(p); page.Attempt == nil || page.Attempt.TransactionID != "tx-o" {
		t.Errorf("the page is about %+v", page.Attempt)
	}
	w.qr.refunds = map[string]*refund{}
	w.advance(15 * time.Minute)
	w.advance(15 * time.Minute)
	w.wantPage(p, gateway.PhaseLate, pay.Return{}, pay.Return{Total: 12800, Done: 12800}, false)
}
