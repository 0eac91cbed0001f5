package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	oracle "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"piaohao/client"
	"piaohao/internal/secret"
	"piaohao/internal/store"
	"piaohao/internal/webhook"
)

var goodSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))

// memory is a DB that keeps deliveries in a map: the store's rules in their simplest form.
type memory struct {
	mu   sync.Mutex
	rows map[string]*row
	err  error
}

type row struct {
	store.Delivery
	due       time.Time // zero = nothing to do
	lease     time.Time
	delivered bool
	status    int
	excerpt   string
}

func (m *memory) ClaimDelivery(_ context.Context, now time.Time, lease time.Duration) (store.Delivery, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		r := m.rows[id]
		if !r.due.IsZero() && !r.due.After(now) && !r.lease.After(now) {
			r.lease = now.Add(lease)
			r.Tries++
			return r.Delivery, true, m.err
		}
	}
	return store.Delivery{}, false, m.err
}

func (m *memory) FinishDelivery(_ context.Context, d store.Delivery, delivered bool, next time.Time, status int, excerpt string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rows[d.ID]
	if r.Tries != d.Tries {
		return store.ErrStale
	}
	r.lease, r.due, r.delivered, r.status, r.excerpt = time.Time{}, next, delivered, status, excerpt
	if !delivered {
		r.Failures++
	}
	return nil
}

func (m *memory) NextDeliveryDue(context.Context) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var next time.Time
	for _, r := range m.rows {
		if at := later(r.due, r.lease); !r.due.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, m.err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// shop is an endpoint that keeps what it was sent.
type shop struct {
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request, body string)
	got    []sent
}

type sent struct {
	header http.Header
	body   string
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.got = append(s.got, sent{r.Header.Clone(), string(body)})
	s.mu.Unlock()
	s.answer(w, r, string(body))
}

func (s *shop) sent() []sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func status(code int) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(code) }
}

// bench is a sender with a clock of its own before one shop.
type bench struct {
	*webhook.Sender
	db   *memory
	shop *shop
	url  string
	now  time.Time
}

func newBench(t *testing.T, answer func(http.ResponseWriter, *http.Request, string)) *bench {
	t.Helper()
	b := &bench{db: &memory{rows: map[string]*row{}}, shop: &shop{answer: answer}, now: time.Unix(1_800_000_000, 0)}
	srv := httptest.NewServer(b.shop)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	b.Sender = &webhook.Sender{
		DB: b.db, HTTP: webhook.NewTransport(true), Now: func() time.Time { return b.now },
		Rand: func(int64) int64 { return 0 }, Log: slog.New(slog.DiscardHandler),
	}
	return b
}

func (b *bench) add(id, body string) *row {
	r := &row{due: b.now, Delivery: store.Delivery{
		ID: id, EventID: "evt_" + id, EndpointID: "whep_1", URL: b.url, Secret: secret.New(goodSecret), Body: []byte(body),
	}}
	b.db.rows[id] = r
	return r
}

// run steps until nothing is due any more, moving the clock to each next time, at most limit steps.
func (b *bench) run(t *testing.T, limit int) {
	t.Helper()
	for range limit {
		next, err := b.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if next.IsZero() {
			return
		}
		b.now = later(b.now, next)
	}
	t.Fatalf("still at work after %d steps", limit)
}

func TestDelivered(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.WriteHeader(http.StatusNoContent)
	})
	const body = `{"id":"evt_1", "type":"payment.paid"}` // the space must arrive
	r := b.add("1", body)
	next, err := b.Step(t.Context())
	if err != nil || !next.Equal(b.now) {
		t.Fatalf("%v %v", next, err)
	}
	if !r.delivered || r.status != 204 || len(b.shop.sent()) != 1 {
		t.Fatalf("%+v", r)
	}
	got := b.shop.sent()[0]
	h := got.header
	if got.body != body || h.Get("Webhook-Id") != "evt_1" || h.Get("Webhook-Timestamp") != "1800000000" ||
		h.Get("Content-Type") != "application/json" || h.Get("User-Agent") == "" || h.Get("Accept-Encoding") != "" {
		t.Errorf("%+v", got)
	}
	verify(t, got)
	if next, err := b.Step(t.Context()); err != nil || !next.IsZero() || len(b.shop.sent()) != 1 {
		t.Errorf("afterwards %v %v", next, err)
	}
}

func verify(t *testing.T, s sent) {
	t.Helper()
	wh, err := oracle.NewWebhook(goodSecret)
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.VerifyIgnoringTimestamp([]byte(s.body), s.header); err != nil {
		t.Error(err)
	}
	stamp, err := strconv.ParseInt(s.header.Get("Webhook-Timestamp"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	e, err := client.VerifyWebhook(goodSecret, s.header, []byte(s.body), time.Unix(stamp, 0))
	if err != nil || e.ID != s.header.Get("Webhook-Id") {
		t.Errorf("our SDK: %+v %v", e, err)
	}
}

// The same id and body each time, a fresh timestamp and signature, over more than 72 hours, then given up.
func TestI09Retries(t *testing.T) {
	t.Parallel()
	b := newBench(t, status(500))
	const body = `{"id":"evt_1","type":"payment.paid"}`
	r := b.add("1", body)
	start := b.now
	b.run(t, 50)
	var at []string
	for _, s := range b.shop.sent() {
		verify(t, s)
		if s.header.Get("Webhook-Id") != "evt_1" || s.body != body {
			t.Errorf("%+v", s)
		}
		at = append(at, s.header.Get("Webhook-Timestamp"))
	}
	var want []string
	for sum, i := int64(0), 0; i < 10; i++ {
		sum += []int64{0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400}[i]
		want = append(want, fmt.Sprint(start.Unix()+sum))
	}
	if !slices.Equal(at, want) {
		t.Errorf("tried at %v, want %v", at, want)
	}
	if got := b.now.Sub(start); got < 72*time.Hour {
		t.Errorf("given up after %v", got)
	}
	if r.delivered || !r.due.IsZero() || r.status != 500 || r.Failures != 10 {
		t.Errorf("%+v", r)
	}
}

// One event that its shop cannot digest holds up no other.
func TestOneBadEventBlocksNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		if body == "bad" {
			w.WriteHeader(500)
		}
	})
	b.add("0", "bad")
	for _, id := range []string{"1", "2", "3"} {
		b.add(id, "good")
	}
	start := b.now
	for range 4 {
		if _, err := b.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"1", "2", "3"} {
		if !b.db.rows[id].delivered {
			t.Errorf("%s waits behind the bad one", id)
		}
	}
	if next, err := b.Step(t.Context()); err != nil || next.Sub(start) != 5*time.Second {
		t.Errorf("next %v %v", next.Sub(start), err)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const gone, done = -1, -2
	for _, row := range []struct {
		name    string
		answer  func(http.ResponseWriter, *http.Request, string)
		next    time.Duration // or gone, done
		status  int
		excerpt string
	}{
		{"200", status(200), done, 200, ""},
		{"299", status(299), done, 299, ""},
		{"A83 301", func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "/moved", http.StatusMovedPermanently)
		}, 5 * time.Second, 301, ""},
		{"A83 307 to inside", func(w http.ResponseWriter, r *http.Request, _ string) {
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data")
			w.WriteHeader(307)
		}, 5 * time.Second, 307, ""},
		{"304", status(304), 5 * time.Second, 304, ""},
		{"404", status(404), 5 * time.Second, 404, ""},
		{"410 gives up", status(410), gone, 410, ""},
		{"429 with Retry-After", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(429)
		}, 90 * time.Second, 429, ""},
		{"503 with an endless Retry-After", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Retry-After", "999999999")
			w.WriteHeader(503)
		}, 24 * time.Hour, 503, ""},
		{"A86 endless answer", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, strings.Repeat("茶", 10<<10))
		}, 5 * time.Second, 500, strings.Repeat("茶", 341) + "?"},
		{"A86 control characters", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, "a\r\nb\x1b[31m\x00\xffc")
		}, 5 * time.Second, 400, "a  b [31m ?c"},
		{"cut off", func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) }, 5 * time.Second, 0, "no connection"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, row.answer)
			r := b.add("1", "{}")
			if _, err := b.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := b.now.Add(row.next)
			if row.next == gone || row.next == done {
				want = time.Time{}
			}
			if r.delivered != (row.next == done) || !r.due.Equal(want) || r.status != row.status || len(b.shop.sent()) != 1 {
				t.Errorf("delivered %v, status %d, due %v, %d requests", r.delivered, r.status, r.due, len(b.shop.sent()))
			}
			if row.excerpt != "" && r.excerpt != row.excerpt || len(r.excerpt) > 1<<10 {
				t.Errorf("excerpt %q", r.excerpt)
			}
		})
	}
}

func TestNothingLeavesUnsignedOrInside(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		change  func(*bench, *store.Delivery)
		excerpt string
	}{
		{"A05 empty secret", func(_ *bench, d *store.Delivery) { d.Secret = secret.Text{} }, "not sent: the endpoint's secret is unusable"},
		{"A05 short secret", func(_ *bench, d *store.Delivery) { d.Secret = secret.New("whsec_AAAA") }, "not sent: the endpoint's secret is unusable"},
		{"A80 loopback in live mode", func(b *bench, _ *store.Delivery) { b.HTTP = webhook.NewTransport(false) }, "not sent: the endpoint's address is not a public one"},
		{"A80 metadata", func(_ *bench, d *store.Delivery) { d.URL = "https://169.254.169.254/" }, "not sent: the endpoint's address is not a public one"},
		{"A85 file", func(_ *bench, d *store.Delivery) { d.URL = "file:///etc/passwd" }, "not sent: the endpoint's URL is unusable"},
		{"broken URL", func(_ *bench, d *store.Delivery) { d.URL = "http://[::1" }, "not sent: the endpoint's URL is unusable"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, status(200))
			r := b.add("1", "{}")
			row.change(b, &r.Delivery)
			if _, err := b.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r.delivered || len(b.shop.sent()) != 0 || r.excerpt != row.excerpt || r.due.IsZero() {
				t.Errorf("%+v, %d requests", r, len(b.shop.sent()))
			}
		})
	}
}

type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, ok := r.Context().Deadline(); !ok {
		return nil, errors.New("no deadline")
	}
	return nil, context.DeadlineExceeded
}

func TestSilence(t *testing.T) {
	t.Parallel()
	b := newBench(t, status(200))
	b.HTTP = silent{}
	r := b.add("1", "{}")
	if _, err := b.Step(t.Context()); err != nil || r.excerpt != "no answer within 15 seconds" {
		t.Errorf("%+v %v", r, err)
	}
}

// A node that stops finishes what it has claimed, so that no row waits for its lease.
func TestStopFinishesTheClaimed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	b := newBench(t, func(w http.ResponseWriter, _ *http.Request, _ string) { cancel() })
	r := b.add("1", "{}")
	if _, err := b.Step(ctx); err != nil || !r.delivered {
		t.Errorf("%+v %v", r, err)
	}
}

// A sender whose lease ran out while its shop dawdled changes nothing and does not fail.
func TestA75LateFinishIsNoError(t *testing.T) {
	t.Parallel()
	var b *bench
	b = newBench(t, func(http.ResponseWriter, *http.Request, string) {
		b.db.mu.Lock()
		b.db.rows["1"].Tries++ // another node claims it
		b.db.mu.Unlock()
	})
	r := b.add("1", "{}")
	if _, err := b.Step(t.Context()); err != nil || r.delivered {
		t.Errorf("%+v %v", r, err)
	}
}

// What is due but cannot be claimed is looked at again after a pause, not in a hot loop.
func TestTakenSlotsAreNoHotLoop(t *testing.T) {
	t.Parallel()
	b := newBench(t, status(200))
	b.DB = taken{b.db}
	b.add("1", "{}")
	if next, err := b.Step(t.Context()); err != nil || next.Sub(b.now) != time.Second {
		t.Errorf("next %v %v", next, err)
	}
	b.db.err = errors.New("database is away")
	if _, err := b.Step(t.Context()); !errors.Is(err, b.db.err) {
		t.Errorf("%v", err)
	}
}

type taken struct{ *memory }

func (taken) ClaimDelivery(context.Context, time.Time, time.Duration) (store.Delivery, bool, error) {
	return store.Delivery{}, false, nil
}

func TestEveryTryIsOneLine(t *testing.T) {
	t.Parallel()
	answer := http.StatusInternalServerError
	var b *bench
	b = newBench(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		b.now = b.now.Add(40 * time.Millisecond)
		w.WriteHeader(answer)
		_, _ = io.WriteString(w, "canary of the shop")
	})
	var out strings.Builder
	b.Log = slog.New(slog.NewJSONHandler(&out, nil))
	b.add("1", "{}").PaymentID = "pay_1"
	for _, status := range []int{http.StatusInternalServerError, http.StatusOK} {
		answer = status
		if _, err := b.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		next, err := b.Step(t.Context()) // says when the next try is due
		if err != nil {
			t.Fatal(err)
		}
		b.now = later(b.now, next)
	}
	b.add("2", "{}").PaymentID = "pay_2"
	answer = http.StatusGone
	if _, err := b.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(m["level"], m["op"], m["outcome"], m["payment"], m["event"], m["endpoint"], m["status"], m["try"], m["duration_ms"]))
	}
	want := []string{
		"WARN deliver failed pay_1 evt_1 whep_1 500 1 40", "INFO deliver delivered pay_1 evt_1 whep_1 200 2 40",
		"WARN deliver given_up pay_2 evt_2 whep_1 410 1 40",
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], " ", "")
	}
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], " ", "")
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if strings.Contains(out.String(), "canary") {
		t.Errorf("the shop's text is in the log: %s", out.String())
	}
}
