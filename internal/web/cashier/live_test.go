package cashier_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/web/cashier"
	"piaohao/internal/web/httpx"
)

// stream is a live connection inside a synctest bubble.
type stream struct {
	mu     sync.Mutex
	text   strings.Builder
	header http.Header
	status int
	cut    [2]time.Time // write and read deadline; a server sets them
	ended  chan struct{}
}

func (s *stream) Header() http.Header { return s.header }
func (s *stream) WriteHeader(c int)   { s.status = c }
func (s *stream) Flush()              {}
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.cut[0] = t
	return nil
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.cut[1] = t
	return nil
}

func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *stream) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(strings.TrimSpace(s.text.String()), "\n\n")
}

func (s *stream) open() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// pass lets time go by on the bubble's clock: no real time passes.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func connect(h http.Handler) (s *stream, hangUp func()) {
	ctx, cancel := context.WithCancel(context.Background())
	s = &stream{header: http.Header{}, cut: [2]time.Time{now, now}, ended: make(chan struct{})}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/payment/events/"+token, nil)
	go func() {
		defer close(s.ended)
		h.ServeHTTP(s, r)
	}()
	return s, cancel
}

func TestStream(t *testing.T) {
	t.Parallel()
	const first = "retry: 3000\ndata: {\"version\":7,\"ended\":false}"
	t.Run("says its version at once, each beat, and after a change", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := newFake(gateway.PhaseScan)
			f.changed = make(chan struct{}, 1)
			s, hangUp := connect(cashier.New(config(f)))
			synctest.Wait()
			if got := s.messages(); len(got) != 1 || got[0] != first {
				t.Fatalf("at once: %q", got)
			}
			if s.cut != [2]time.Time{} {
				t.Error("the server's deadlines will cut the stream")
			}
			pass(15 * time.Second)
			if got := s.messages(); len(got) != 2 {
				t.Fatalf("no heartbeat within 15 s: %q", got)
			}
			f.set(8, false)
			f.changed <- struct{}{}
			synctest.Wait()
			if got := s.messages(); len(got) != 3 || got[2] != `data: {"version":8,"ended":false}` {
				t.Fatalf("after a change: %q", got)
			}
			hangUp()
			<-s.ended
			if f.stopped != 1 {
				t.Error("the subscription outlives the stream")
			}
		})
	})
	t.Run("ends with the payment", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := newFake(gateway.PhaseScan)
			f.changed = make(chan struct{}, 1)
			s, hangUp := connect(cashier.New(config(f)))
			defer hangUp()
			synctest.Wait()
			f.set(9, true)
			f.changed <- struct{}{}
			<-s.ended
			if got := s.messages(); got[len(got)-1] != `data: {"version":9,"ended":true}` {
				t.Fatalf("last: %q", got)
			}
		})
	})
	t.Run("ends when the server drains", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c, draining := config(newFake(gateway.PhaseScan)), make(chan struct{})
			c.Draining = draining
			s, hangUp := connect(cashier.New(c))
			defer hangUp()
			synctest.Wait()
			close(draining)
			synctest.Wait()
			if s.open() {
				t.Fatal("still open")
			}
		})
	})
	t.Run("ends after half an hour", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, hangUp := connect(cashier.New(config(newFake(gateway.PhaseScan))))
			defer hangUp()
			pass(31 * time.Minute)
			if s.open() {
				t.Fatal("still open")
			}
		})
	})
	t.Run("ends when the database is away", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := newFake(gateway.PhaseScan)
			f.err = &gateway.Error{Code: gateway.CodeBusy}
			s, hangUp := connect(cashier.New(config(f)))
			defer hangUp()
			<-s.ended
			if s.status != http.StatusServiceUnavailable {
				t.Fatalf("status %d", s.status)
			}
		})
	})
}

func TestA96StreamsPerToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := cashier.New(config(newFake(gateway.PhaseScan)))
		var hangUps []func()
		var streams []*stream
		for range 20 {
			s, hangUp := connect(h)
			streams, hangUps = append(streams, s), append(hangUps, hangUp)
		}
		synctest.Wait()
		refused, hangUp := connect(h)
		<-refused.ended
		hangUp()
		if refused.status != http.StatusTooManyRequests || refused.header.Get("Retry-After") == "" {
			t.Fatalf("A96 stream 21: status %d", refused.status)
		}
		hangUps[0]()
		<-streams[0].ended
		again, hangUp := connect(h)
		synctest.Wait()
		if !again.open() || again.status >= 400 {
			t.Fatal("A96: a place that was left is not given again")
		}
		for _, end := range append(hangUps, hangUp) {
			end()
		}
		synctest.Wait()
	})
}

func TestA96PollsPerAddress(t *testing.T) {
	t.Parallel()
	c := config(newFake(gateway.PhaseScan))
	address := "192.0.2.1"
	c.ClientIP = func(*http.Request) string { return address }
	h := cashier.New(c)
	poll := func(n int) int {
		return serve(h, request{path: fmt.Sprintf("/payment/status/%032d", n)}).StatusCode
	}
	for n := range 500 {
		if got := poll(n); got != http.StatusNotFound { // every token is another, and none of them is known
			t.Fatalf("A96 poll %d: status %d", n, got)
		}
	}
	if got := poll(501); got != http.StatusTooManyRequests {
		t.Fatalf("A96 poll 501 of one address: status %d", got)
	}
	address = "192.0.2.2"
	if got := poll(502); got != http.StatusNotFound {
		t.Fatalf("A96 another address: status %d", got)
	}
}

func TestA96Polls(t *testing.T) {
	t.Parallel()
	f := newFake(gateway.PhaseScan)
	c := config(f)
	clock := now
	c.Now = func() time.Time { return clock }
	h := cashier.New(c)
	answers := map[int]int{}
	for range 100 {
		answers[serve(h, request{path: "/payment/status/" + token}).StatusCode]++
	}
	if answers[http.StatusOK] != 20 || answers[http.StatusTooManyRequests] != 80 {
		t.Fatalf("A96 100 polls in a second: %v", answers)
	}
	for _, name := range []string{"Page", "Go", "Arrived", "Returned", "Back"} {
		if f.count(name) != 0 {
			t.Errorf("A96: a poll called %s", name)
		}
	}
	clock = clock.Add(time.Second)
	res := serve(h, request{path: "/payment/status/" + token})
	wantStatus(t, res, http.StatusOK)
	if got := bodyOf(t, res); got != "{\"version\":7,\"ended\":false}\n" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("poll says %q", got)
	}
}

// A real connection: no message waits in a buffer, and the server's deadlines do not cut it.
func TestStreamOverTheWire(t *testing.T) {
	t.Parallel()
	f := newFake(gateway.PhaseScan)
	s := httptest.NewUnstartedServer(nil)
	s.Config = httpx.NewServer(cashier.New(config(f)), config(f).Log)
	s.Config.ReadTimeout, s.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	s.Start()
	defer s.Close()
	res, err := http.Get(s.URL + "/payment/events/" + token)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	buffer := make([]byte, 256)
	if n, err := res.Body.Read(buffer); err != nil || !strings.Contains(string(buffer[:n]), `"version":7`) {
		t.Fatalf("first message %q: %v", buffer[:n], err)
	}
	<-time.After(150 * time.Millisecond) // past the deadlines that would cut it
	f.set(8, true)
	f.changed <- struct{}{}
	if n, _ := res.Body.Read(buffer); !strings.Contains(string(buffer[:n]), `"version":8,"ended":true`) {
		t.Fatalf("second message %q", buffer[:n])
	}
}
