package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"piaohao/internal/web/httpx"
)

// sinkSecret signs the webhooks of a run; nobody verifies them, the shops' SDK is tested elsewhere.
const sinkSecret = "whsec_cGlhb2hhbyBiZW5jaCBhbmQgbm8gb25lIGVsc2U="

// heardWithin is how long the last webhook may take to come.
const heardWithin = 10 * time.Second

// sink is a shop's endpoint that notes when it hears of which payment.
type sink struct {
	url    string
	server *http.Server
	mu     sync.Mutex
	heard  map[string]time.Time // by payment
	more   chan struct{}        // closed when the next one is heard
}

func newSink() (*sink, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + l.Addr().String() + "/webhook", heard: map[string]time.Time{}, more: make(chan struct{})}
	s.server = &http.Server{Handler: http.HandlerFunc(s.hear), ReadHeaderTimeout: floorHeader}
	go func() { _ = s.server.Serve(l) }() // until close
	return s, nil
}

func (s *sink) close() { _ = s.server.Close() }

func (s *sink) hear(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	var event struct{ Data struct{ ID string } }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, httpx.MaxBody)).Decode(&event); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.heard[event.Data.ID]; !known {
		s.heard[event.Data.ID] = now
	}
	close(s.more)
	s.more = make(chan struct{})
}

// after waits until every payment was heard of, and returns the 99th percentile of how many ms later than the answer to its
// notice that was.
func (s *sink) after(ctx context.Context, fixtures []fixture, answered []time.Time) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, heardWithin)
	defer cancel()
	late := newLatency()
	for i, f := range fixtures {
		for {
			s.mu.Lock()
			at, known := s.heard[f.ID]
			more := s.more
			s.mu.Unlock()
			if known {
				_ = late.RecordValue(max(at.Sub(answered[i]).Microseconds(), 1)) // within its bounds
				break
			}
			select {
			case <-more:
			case <-ctx.Done():
				return 0, fmt.Errorf("the shop was never told of payment %s: %w", f.ID, ctx.Err())
			}
		}
	}
	return float64(late.ValueAtQuantile(99)) / 1000, nil
}
