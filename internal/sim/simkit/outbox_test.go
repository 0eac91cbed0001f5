package simkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// receiver answers notices and tells what it got.
type receiver struct {
	mu     sync.Mutex
	status int
	got    []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, req.Header.Get("Probe")+string(body))
	w.WriteHeader(r.status)
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

type postman struct{}

func (postman) Retries() []time.Duration { return []time.Duration{15 * time.Second, time.Minute} }
func (postman) Write(n Notice, probe bool) (http.Header, []byte, error) {
	h := http.Header{}
	if probe {
		h.Set("Probe", "probe-")
	}
	return h, []byte(n.ID), nil
}
func (postman) Acknowledged(status int, _ []byte) bool { return status == http.StatusOK }

type post struct {
	kit  *Kit
	wall *wallClock
	to   *receiver
	url  string
}

func newPost(t *testing.T, dir string, status int) *post {
	t.Helper()
	p := &post{wall: newWall(), to: &receiver{status: status}}
	server := httptest.NewServer(p.to)
	t.Cleanup(server.Close)
	p.url = server.URL
	p.kit = newKit(t, dir, p.wall)
	p.kit.Notices.Register("x", postman{})
	return p
}

func (p *post) add(t *testing.T, id string) {
	t.Helper()
	err := p.kit.Books.Do(func(tx *Tx) error {
		return p.kit.Notices.Add(tx, Notice{ID: id, Platform: "x", URL: p.url, Content: []byte(`{}`)})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *post) step(t *testing.T) time.Time {
	t.Helper()
	next, err := p.kit.Notices.Step(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestOutboxFollowsItsTable(t *testing.T) {
	t.Parallel()
	p := newPost(t, "", http.StatusInternalServerError)
	p.add(t, "n1")
	select {
	case <-p.kit.Woken():
	default:
		t.Error("a new notice woke nobody")
	}
	for try, gap := range []time.Duration{15 * time.Second, time.Minute} {
		next := p.step(t)
		if got := next.Sub(p.wall.Now()); got != gap {
			t.Fatalf("after try %d the next is due in %s, want %s", try+1, got, gap)
		}
		p.wall.Move(gap - time.Millisecond)
		p.step(t)
		if p.to.count() != try+1 {
			t.Fatalf("a try came a millisecond early")
		}
		p.wall.Move(time.Millisecond)
	}
	if next := p.step(t); !next.IsZero() || p.to.count() != 3 || p.kit.Notices.Pending() != 0 {
		t.Errorf("after the table: next %s, %d tries, %d pending", next, p.to.count(), p.kit.Notices.Pending())
	}
}

func TestOutboxFinishesWhatIsAcknowledged(t *testing.T) {
	t.Parallel()
	p := newPost(t, "", http.StatusOK)
	p.add(t, "n1")
	p.add(t, "n1") // already waiting
	p.add(t, "n2")
	p.step(t)
	if next := p.step(t); !next.IsZero() || fmt.Sprint(p.to.got) != "[n1 n2]" || p.kit.Notices.Pending() != 0 {
		t.Errorf("next %s, got %v, pending %d", next, p.to.got, p.kit.Notices.Pending())
	}
}

func TestOutboxDoesNotFollowRedirects(t *testing.T) {
	t.Parallel()
	p := newPost(t, "", http.StatusOK)
	redirect := httptest.NewServer(http.RedirectHandler(p.url, http.StatusTemporaryRedirect))
	defer redirect.Close()
	p.url = redirect.URL
	p.add(t, "n1")
	p.step(t)
	if p.to.count() != 0 || p.kit.Notices.Pending() != 1 {
		t.Errorf("%d notices followed the redirect, %d pending", p.to.count(), p.kit.Notices.Pending())
	}
}

func TestOutboxSurvivesAReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := newPost(t, dir, http.StatusInternalServerError)
	p.add(t, "n1")
	p.step(t)
	_ = p.kit.Close()
	p.kit = newKit(t, dir, p.wall)
	p.kit.Notices.Register("x", postman{})
	if next := p.step(t); next.Sub(p.wall.Now()) != 15*time.Second || p.to.count() != 1 {
		t.Fatalf("after reopen: next %s, %d tries", next, p.to.count())
	}
	p.wall.Move(15 * time.Second)
	p.to.status = http.StatusOK
	p.step(t)
	_ = p.kit.Close()
	if left := newKit(t, dir, p.wall).Notices.Pending(); left != 0 {
		t.Errorf("%d notices left after the acknowledged one", left)
	}
}

func TestOutboxFaults(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		set     FaultSettings
		got     string
		pending int
	}{
		{"dropped this try", FaultSettings{DropPercent: 100}, "[]", 1},
		{"dropped for good", FaultSettings{DropPercent: 100, DropForever: true}, "[]", 0},
		{"doubled", FaultSettings{DoublePercent: 100}, "[n1 n1]", 0},
		{"a probe comes again, even if it was acknowledged", FaultSettings{ProbeNoticePercent: 100}, "[probe-n1]", 1},
		{"delayed", FaultSettings{DelayMSMax: maxDelayMS}, "[]", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t, "", http.StatusOK)
			if err := p.kit.Faults.Set(row.set); err != nil {
				t.Fatal(err)
			}
			p.add(t, "n1")
			p.step(t)
			if fmt.Sprint(p.to.got) != row.got || p.kit.Notices.Pending() != row.pending {
				t.Errorf("got %v, %d pending; want %s, %d", p.to.got, p.kit.Notices.Pending(), row.got, row.pending)
			}
		})
	}
}

func TestOutboxStoppingIsNoTry(t *testing.T) {
	t.Parallel()
	p := newPost(t, "", http.StatusOK)
	p.add(t, "n1")
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := p.kit.Notices.Step(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	p.step(t)
	if p.to.count() != 1 || p.kit.Notices.Pending() != 0 {
		t.Errorf("%d tries, %d pending", p.to.count(), p.kit.Notices.Pending())
	}
}

func TestOutboxManySteppersSendEachOnce(t *testing.T) {
	t.Parallel()
	p := newPost(t, "", http.StatusOK)
	const notices = 200
	var all sync.WaitGroup
	for i := range notices {
		all.Go(func() { p.add(t, fmt.Sprint(i)) })
	}
	all.Wait()
	for range 8 {
		all.Go(func() {
			for range notices / 8 {
				if _, err := p.kit.Notices.Step(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if p.to.count() != notices || p.kit.Notices.Pending() != 0 {
		t.Errorf("%d sent, %d pending", p.to.count(), p.kit.Notices.Pending())
	}
}
