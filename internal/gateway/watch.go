package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"piaohao/internal/pay"
)

// Bounds of watching.
const (
	watchFor    = 30 * time.Second // how long a look at a page counts; written at most every 15 s (store)
	tailBatch   = 256              // events told or fanned out in one step
	arrivalGap  = 3 * time.Second  // a payer's arrival or a hint asks the platform at most this often
	maxArrivals = 10_000           // remembered arrivals
)

// watchers are the pages that wait for a payment to change.
type watchers struct {
	mu   sync.Mutex
	byID map[string]map[chan struct{}]struct{}
}

func (w *watchers) add(paymentID string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = map[string]map[chan struct{}]struct{}{}
	}
	if w.byID[paymentID] == nil {
		w.byID[paymentID] = map[chan struct{}]struct{}{}
	}
	w.byID[paymentID][c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byID[paymentID], c)
		if len(w.byID[paymentID]) == 0 {
			delete(w.byID, paymentID)
		}
	}
}

func (w *watchers) tell(paymentID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.byID[paymentID] {
		select {
		case c <- struct{}{}:
		default: // it has not looked since the last signal
		}
	}
}

// Subscribe signals after each committed change of the payment with this token, made on any node. Call stop.
func (g *Gateway) Subscribe(ctx context.Context, token string) (changed <-chan struct{}, stop func(), err error) {
	p, err := g.DB.PaymentByToken(ctx, token)
	if err != nil {
		return nil, nil, notFound(err)
	}
	changed, stop = g.watchers.add(p.ID)
	return changed, stop, nil
}

// StartTail makes StepTail begin at the newest event: who subscribes later reads the state anyway.
func (g *Gateway) StartTail(ctx context.Context) error {
	pos, err := g.DB.LastPos(ctx)
	g.tail = pos
	return err
}

// StepTail passes new events on: to shops, as deliveries, and to the pages that wait for them. It returns how many it
// handled; 0 means that there is nothing left. One goroutine calls it.
func (g *Gateway) StepTail(ctx context.Context) (int, error) {
	passed, err := g.DB.FanOut(ctx, tailBatch)
	places, failed := g.DB.PlacesAfter(ctx, g.tail, tailBatch) // pages hear of what is numbered, whatever became of the rest
	for _, p := range places {
		g.watchers.tell(p.PaymentID)
		g.tail = p.Pos
	}
	return max(len(places), passed), errors.Join(err, failed)
}

// Watching says that a payer's page looks at the payment; version grows with each change. It has ended when nothing more
// will change by itself: no attempt is followed, and no money is on its way back.
func (g *Gateway) Watching(ctx context.Context, token string) (version int64, ended bool, err error) {
	p, err := g.DB.PaymentByToken(ctx, token)
	if err != nil {
		return 0, false, notFound(err)
	}
	if err := g.Watched(ctx, p); err != nil {
		return 0, false, err
	}
	return p.Seq, !p.Settling(), nil
}

// Watched is Watching for who has just loaded p.
func (g *Gateway) Watched(ctx context.Context, p pay.Payment) error {
	if p.Done() {
		return nil
	}
	return g.DB.Watch(ctx, p, g.Now().Add(watchFor))
}

// arrivals bound how often what proves nothing makes us ask a platform: a payer who comes back, an unsigned notice.
type arrivals struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

func (s *arrivals) allow(token string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.seen[token]; ok && now.Sub(last) < arrivalGap {
		return false
	}
	if s.seen == nil || len(s.seen) >= maxArrivals {
		s.seen = map[string]time.Time{} // forgetting costs at most one early query each
	}
	s.seen[token] = now
	return true
}

// Arrived says that the payer came back from a platform: what became of the live attempts is asked at once, at most
// one time per arrivalGap. It calls no platform itself.
func (g *Gateway) Arrived(ctx context.Context, token string) error {
	now := g.Now()
	if !g.arrivals.allow(token, now) {
		return nil
	}
	p, err := g.DB.PaymentByToken(ctx, token)
	if err != nil {
		return notFound(err)
	}
	for _, a := range p.Attempts {
		if !a.Live() || a.HandedOutAt.IsZero() {
			continue
		}
		if err := g.DB.AskAttempt(ctx, a.ID, now); err != nil {
			return err
		}
	}
	return nil
}
