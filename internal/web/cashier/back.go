package cashier

import (
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// back is what a page says of money that goes back to the payer.
type back struct {
	State string // "stuck", "going" or "returned": the one that matters most
	Text  string // "" where the page's own text says it
	Sums  []backSum
}

// backSum is one line: what became of how much.
type backSum struct{ Label, Amount string }

// stateOf is what matters most of r: that somebody must act, then that more is to come. "" = nothing goes back.
func stateOf(r pay.Return) string {
	switch {
	case r.Stuck > 0:
		return "stuck"
	case r.Going > 0:
		return "going"
	case r.Done > 0:
		return "returned"
	}
	return ""
}

// Backs are the page's words on money that goes back: the payment's own, and what came second or late.
func (s *screen) Backs() []back {
	var backs []back
	if b := s.back("refund", s.Page.Refund); b.State != "" {
		if s.Page.Phase == gateway.PhaseRefunded {
			b.Text = s.T("refund.whole")
		}
		backs = append(backs, b)
	}
	if b := s.back("surplus", s.Page.Surplus); b.State != "" {
		if s.Page.Phase == gateway.PhaseLate {
			b.Text = ""
		}
		backs = append(backs, b)
	}
	return backs
}

func (s *screen) back(kind string, r pay.Return) back {
	b := back{State: stateOf(r)}
	if b.State == "" {
		return b
	}
	b.Text = s.T(kind + "." + b.State)
	for _, sum := range []struct {
		label  string
		amount pay.Fen
	}{{"sum.returned", r.Done}, {"sum.going", r.Going}, {"sum.stuck", r.Stuck}} {
		if sum.amount > 0 {
			b.Sums = append(b.Sums, backSum{Label: s.T(sum.label), Amount: yuan(sum.amount)})
		}
	}
	return b
}
