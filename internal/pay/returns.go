package pay

// Return is what became of a payer's money that was or is to be sent back, in fen. The three together are at most Total.
type Return struct {
	Total Fen // the money that it is about
	Done  Fen // went back
	Going Fen // is on its way, or will be sent by itself
	Stuck Fen // waits for a person
}

// Whole reports whether all of the money went back.
func (r Return) Whole() bool { return r.Total > 0 && r.Done == r.Total }

// Returning is what goes back of the money that settled the payment, because the shop or its console wanted it.
func (p Payment) Returning() Return {
	a := p.AttemptByID(p.PaidAttempt)
	if a == nil {
		return Return{}
	}
	r := p.returns(*a)
	// A failed refund leaves the money with the shop, who may try again under a new number or was told why not; only while
	// nothing came after it, and nobody took it back, it is still open between shop and payer.
	for i := len(p.Refunds) - 1; i >= 0; i-- {
		if last := p.Refunds[i]; last.AttemptID == a.ID {
			if last.Status == RefundFailed && last.Code != RefundCancelled {
				r.Stuck += min(last.Amount, r.Total-r.Done-r.Going-r.Stuck)
			}
			break
		}
	}
	return r
}

// Surplus is what goes back of money that came second or late. None of it is the shop's, so that what neither went back
// nor will go back by itself waits for a person.
func (p Payment) Surplus() Return {
	var sum Return
	for _, a := range p.Attempts {
		if !a.Surplus {
			continue
		}
		r := p.returns(a)
		sum.Total += r.Total
		sum.Done += r.Done
		sum.Going += r.Going
	}
	sum.Stuck = sum.Total - sum.Done - sum.Going
	return sum
}

// returns is what its refunds and its platform's sum say of a's money.
func (p Payment) returns(a Attempt) Return {
	r := Return{Total: a.Amount}
	done, flying, waiting := p.sums(a.ID)
	for _, refund := range p.Refunds {
		if refund.AttemptID == a.ID && refund.Status == RefundAbnormal {
			r.Stuck += refund.Amount
		}
	}
	r.Done = min(done+max(0, a.Refunded-done-flying), r.Total)
	r.Going = min(flying-r.Stuck+waiting, r.Total-r.Done)
	r.Stuck = min(r.Stuck, r.Total-r.Done-r.Going)
	return r
}

// Settling reports whether a payment may still change by itself: open, or with money on its way back.
func (p Payment) Settling() bool {
	return !p.Done() || p.Returning().Going > 0 || p.Surplus().Going > 0
}
