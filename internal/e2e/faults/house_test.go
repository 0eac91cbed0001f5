package faults_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"piaohao/client"
	"piaohao/internal/freeport"
)

// house is one installation of the gateway, with a web server before it, a shop and its webhook's endpoint.
type house struct {
	t        *testing.T
	town     *town
	dir      string
	addr     string
	env      []string
	database string   // of PostgreSQL, "" = SQLite
	under    []string // what runs the program at its first start, such as strace
	sink     *sink
	front    string // origin of the web server

	// gate is held for reading during each call until its outcome is noted, and for writing while the gateway is down.
	gate    sync.RWMutex
	process *process
	kills   int
	leaving bool
	data    func() string // where the data folder is to be found
	giveUp  func()        // ends the run at the first thing that is wrong

	mu     sync.Mutex
	acked  acked
	wrongs []error
}

// acked is what the gateway has told anybody.
type acked struct {
	payments map[string]string // ids by order number
	facts    map[string]string // by what it says, a query that counts the one row which proves it
	refused  int               // notices that were answered with failure
	notices  map[string]string // by the Request-Id of an answer that was a success: the platform's number in the notice
}

// newHouse builds it; nothing runs before open.
func newHouse(t *testing.T, w *town, database string) *house {
	t.Helper()
	h := &house{t: t, town: w, dir: t.TempDir(), addr: freeport.Addr(t), database: database, giveUp: func() {}}
	h.data = func() string { return h.dir }
	h.acked = acked{payments: map[string]string{}, facts: map[string]string{}, notices: map[string]string{}}
	h.sink = newSink(t, w.now, h.wrong)
	h.front = newFront(t, h)
	h.env = w.env("LISTEN_ADDR="+h.addr, "SIM_ADDR=off", "SIM_PUBLIC_URL="+w.url, "DEMO_ADDR=off", "LOG_DIR=off", "DATA_DIR="+h.dir,
		"PUBLIC_URL="+h.front, "WEBHOOK_URL="+h.sink.url, "WEBHOOK_SECRET="+sinkSecret, "ALLOW_UNSAFE_DATABASE=1")
	if database != "" {
		h.env = append(h.env, "DATABASE_URL="+database)
	}
	return h
}

func (h *house) log() string { return filepath.Join(h.dir, "gateway.log") }

// open starts the gateway with more settings, and keeps it running until the test ends: whenever it was killed, it looks
// at what was left behind and starts it again without these settings. What ends it otherwise is a failure.
func (h *house) open(ctx context.Context, more ...string) {
	h.gate.Lock()
	started := make(chan struct{})
	go func() {
		defer h.gate.Unlock()
		defer close(started)
		for h.start(ctx, more...) {
			more = nil
		}
	}()
	<-started
	go h.keep(ctx)
}

// start runs the program until it answers; true: it was killed before.
func (h *house) start(ctx context.Context, more ...string) (again bool) {
	h.process = startProcess(h.t, h.log(), slices.Concat(h.env, more), slices.Concat(h.under, []string{h.town.bin, "serve"})...)
	up, err := h.process.answers(ctx, h.town.http, "http://"+h.addr+"/payment")
	if err != nil {
		h.wrong(err)
	}
	return err == nil && !up && h.fell()
}

// fell notes that the gateway ended, and reports whether it was killed.
func (h *house) fell() bool {
	if !h.process.killed() {
		h.wrong(fmt.Errorf("the gateway ended by itself: %w\n%s", h.process.err, h.process.tail()))
		return false
	}
	h.kills++
	h.under = nil
	h.checkFallen()
	return true
}

func (h *house) keep(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-h.process.ended:
		case <-ctx.Done():
			return
		}
		h.gate.Lock()
		again := !h.leaving && h.fell()
		for again {
			again = h.start(ctx)
		}
		over := h.leaving || h.verdict() != nil
		h.gate.Unlock()
		if over {
			return
		}
	}
}

// close stops the gateway for good; one that was told to die may do so on its way down, and is stopped once more.
func (h *house) close() {
	h.gate.Lock()
	defer h.gate.Unlock()
	h.leaving = true
	err := h.process.stop()
	if h.process.killed() && h.fell() && !h.start(context.Background()) {
		err = h.process.stop()
	}
	if err != nil {
		h.wrong(fmt.Errorf("%w\n%s", err, h.process.tail()))
	}
}

// during runs f, which calls the gateway and notes the outcome, while the gateway is not being started.
func (h *house) during(f func()) {
	h.gate.RLock()
	defer h.gate.RUnlock()
	f()
}

// ordered notes that a create was answered.
func (h *house) ordered(orderNo, id string) {
	h.mu.Lock()
	old := h.acked.payments[orderNo]
	h.acked.payments[orderNo] = id
	h.mu.Unlock()
	if old != "" && old != id {
		h.wrong(fmt.Errorf("%s has two payments, %s and %s", orderNo, old, id))
	}
	h.fact("payment "+id, `SELECT COUNT(*) FROM payments WHERE id = '`+id+`'`)
}

func (h *house) fact(what, query string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked.facts[what] = query
}

func (h *house) refusedNotices() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acked.refused
}

// wrong notes what must not be; verdict returns it.
func (h *house) wrong(err error) {
	h.giveUp()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrongs = append(h.wrongs, err)
}

func (h *house) verdict() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.wrongs...)
}

// shop is a client with the default shop's key, as it is in the data folder now.
func (h *house) shop() (*client.Client, error) {
	text, err := os.ReadFile(filepath.Join(h.data(), "test.keys"))
	if err != nil {
		return nil, err
	}
	var keys struct{ Default string }
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, err
	}
	return client.New("http://"+h.addr, keys.Default, client.WithHTTPClient(h.town.http))
}

// retry calls f until it reports true, with pauses between.
func retry(ctx context.Context, what string, f func() (done bool, err error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		done, err := f()
		if done {
			return err
		}
		if err != nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w, last %v", what, ctx.Err(), last) //nolint:errorlint // said beside it
		}
	}
}

// refused reports an answer that no repetition makes better.
func refused(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && e.Status/100 != 5
}

// newFront is the web server before the gateway. It notes which notices were answered with success.
func newFront(t *testing.T, h *house) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the simulator has ended
		}
		h.during(func() {
			resp, answer, err := h.forward(r, body)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			h.noticed(r.URL.Path, body, resp, answer)
			w.WriteHeader(resp.StatusCode)
			_, _ = w.Write(answer) // the simulator may have ended
		})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (h *house) forward(r *http.Request, body []byte) (resp *http.Response, answer []byte, err error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+h.addr+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header = r.Header.Clone()
	if resp, err = h.town.http.Do(req); err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err = io.ReadAll(resp.Body)
	return resp, answer, err
}

// noticed notes a notice that was answered with success.
func (h *house) noticed(path string, body []byte, resp *http.Response, answer []byte) {
	n, err := h.town.read(path, body, resp.StatusCode, answer)
	if err != nil {
		h.wrong(err)
	}
	if !n.success {
		h.mu.Lock()
		h.acked.refused++
		h.mu.Unlock()
		return
	}
	h.mu.Lock()
	h.acked.notices[resp.Header.Get("Request-Id")] = n.transaction
	h.mu.Unlock()
	if n.refund != "" {
		// Alipay's tells what went back of the trade; that the refund succeeded is in the answer to its own call, or is asked.
		h.fact("the notice about refund "+n.refund, `SELECT COUNT(*) FROM refunds r WHERE out_refund_no = '`+n.refund+`' AND (status = 'succeeded'
			OR EXISTS (SELECT 1 FROM attempts a WHERE a.id = r.attempt_id AND a.method = 'alipay' AND a.refunded = r.amount))`)
	}
	h.fact("the notice about "+n.transaction, `SELECT COUNT(*) FROM attempts WHERE status = 'paid' AND transaction_id = '`+n.transaction+`'`)
}

var sinkSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("the secret of a shop in tests 01"))

// sink is the shop's webhook endpoint.
type sink struct {
	url   string
	wrong func(error)

	mu     sync.Mutex
	bodies map[string][]byte   // by event id
	ids    map[string][]string // of events, by type and order number
}

func newSink(t *testing.T, now func() time.Time, wrong func(error)) *sink {
	t.Helper()
	s := &sink{wrong: wrong, bodies: map[string][]byte{}, ids: map[string][]string{}}
	door := http.NewServeMux() // a platform may still owe a notice to a house that had this port before: there is no such page
	door.HandleFunc("POST /webhook", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender was killed
		}
		e, err := client.VerifyWebhook(sinkSecret, r.Header, body, now())
		if err != nil {
			s.wrong(fmt.Errorf("webhook: %w\n%s", err, body))
			return
		}
		s.receive(e, body)
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	s.url = server.URL + "/webhook"
	return s
}

func (s *sink) receive(e client.Event, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.bodies[e.ID]
	if known && !bytes.Equal(old, body) {
		s.wrong(fmt.Errorf("event %s came with two bodies:\n%s\n%s", e.ID, old, body))
	}
	if !known {
		s.bodies[e.ID] = body
		what := e.Type + " " + e.Data.OrderNo
		s.ids[what] = append(s.ids[what], e.ID)
	}
}

// has reports whether the shop heard of an order's event of a type.
func (s *sink) has(eventType, orderNo string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids[eventType+" "+orderNo]) > 0
}
