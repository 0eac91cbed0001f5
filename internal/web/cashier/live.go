package cashier

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"piaohao/internal/gateway"
)

// Limits of live pages (A96). A stream or a poll reads our database and never calls a platform. An address may be a whole
// office, so that it is allowed more than a payment.
const (
	beat              = 10 * time.Second // a stream says its version at least this often
	maxStream         = 30 * time.Minute // then it ends and the browser connects anew
	streamsPerToken   = 20
	streamsPerAddress = 500
	streamsInAll      = 2000
	pollsPerToken     = 20   // a second
	pollsPerAddress   = 500  // a second
	pollsInAll        = 5000 // a second
	reconnectAfterMS  = 3000
)

// limits counts open streams and this second's polls, of each payment and each address.
type limits struct {
	mu      sync.Mutex
	streams tally
	polls   tally
	second  int64
}

// tally counts in all, by token and by address.
type tally struct {
	all           int
	token, client map[string]int
}

func (t *tally) full(token, client string, perToken, perClient, inAll int) bool {
	return t.all >= inAll || t.token[token] >= perToken || client != "" && t.client[client] >= perClient
}

func (t *tally) add(token, client string, n int) {
	if t.token == nil {
		t.token, t.client = map[string]int{}, map[string]int{}
	}
	t.all += n
	for key, counts := range map[string]map[string]int{token: t.token, client: t.client} {
		if counts[key] += n; counts[key] == 0 {
			delete(counts, key)
		}
	}
}

// enter takes a stream's place; leave must be called when ok.
func (l *limits) enter(token, client string) (leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams.full(token, client, streamsPerToken, streamsPerAddress, streamsInAll) {
		return nil, false
	}
	l.streams.add(token, client, 1)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.streams.add(token, client, -1)
	}, true
}

// poll reports whether one more poll fits into this second.
func (l *limits) poll(token, client string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Unix() != l.second {
		l.second, l.polls = now.Unix(), tally{}
	}
	if l.polls.full(token, client, pollsPerToken, pollsPerAddress, pollsInAll) {
		return false
	}
	l.polls.add(token, client, 1)
	return true
}

// pulse is what streams and polls say.
type pulse struct {
	Version int64 `json:"version"`
	Ended   bool  `json:"ended"`
}

func (h *cashier) watch(r *http.Request, token string) (pulse, error) {
	version, ended, err := h.Gateway.Watching(r.Context(), token)
	return pulse{Version: version, Ended: ended}, err
}

func (h *cashier) status(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	w.Header().Set("Content-Type", "application/json")
	token := r.PathValue("token")
	switch {
	case !validToken(token):
		h.notFound(w, r)
		return
	case r.Method == http.MethodHead:
		return
	case !h.limits.poll(token, h.ClientIP(r), h.Now()):
		tooMany(w)
		return
	}
	p, err := h.watch(r, token)
	if err != nil {
		h.noPulse(w, r, err)
		return
	}
	_ = json.NewEncoder(w).Encode(p) // two plain fields: only the connection can fail
}

// events streams the payment's version: at once, after each change, and each beat, which also keeps the payment
// watched. Every message is the same kind, so a browser that missed some has lost nothing.
func (h *cashier) events(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	if !validToken(token) {
		h.notFound(w, r)
		return
	}
	noStore(w)
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	leave, ok := h.limits.enter(token, h.ClientIP(r))
	if !ok {
		tooMany(w)
		return
	}
	defer leave()
	changed, stop, err := h.Gateway.Subscribe(r.Context(), token)
	if err != nil {
		h.noPulse(w, r, err)
		return
	}
	defer stop()
	p, err := h.watch(r, token)
	if err != nil {
		h.noPulse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold the stream back
	out := http.NewResponseController(w)
	// The server's deadlines would cut the stream; a writer without them needs none cleared.
	_ = out.SetWriteDeadline(time.Time{})
	_ = out.SetReadDeadline(time.Time{})
	fmt.Fprintf(w, "retry: %d\n", reconnectAfterMS)
	h.stream(w, r, out, p, changed)
}

// stream writes p and what follows it until the payment ends, the browser leaves, the server drains, or maxStream.
func (h *cashier) stream(w http.ResponseWriter, r *http.Request, out *http.ResponseController, p pulse, changed <-chan struct{}) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	end := time.NewTimer(maxStream)
	defer end.Stop()
	for {
		text, _ := json.Marshal(p) // two plain fields
		if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil {
			return
		}
		if err := out.Flush(); err != nil || p.Ended {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-h.Draining:
			return
		case <-end.C:
			return
		case _, open := <-changed:
			if !open {
				return
			}
		case <-ticker.C:
		}
		var err error
		if p, err = h.watch(r, r.PathValue("token")); err != nil {
			h.logError(r, err)
			return
		}
	}
}

func (h *cashier) noPulse(w http.ResponseWriter, r *http.Request, err error) {
	if codeOf(err) == gateway.CodeNotFound {
		h.notFound(w, r)
		return
	}
	h.logError(r, err)
	http.Error(w, "try again", http.StatusServiceUnavailable)
}

func tooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "3")
	http.Error(w, "too many; try again", http.StatusTooManyRequests)
}
