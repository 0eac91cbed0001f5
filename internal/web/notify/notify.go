// Package notify is where the platforms' notices arrive. It reads the raw body within limits and hands everything to
// the gateway; it parses, verifies and decides nothing.
package notify

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"piaohao/internal/gateway"
)

// Limits of a notice (A55). Both platforms' notices have a few KiB and come at once.
const (
	maxBody  = 64 << 10 // bytes; more is answered 413
	readTime = 10 * time.Second
)

// Gateway is what notices need of the use cases. *gateway.Gateway satisfies it.
type Gateway interface {
	Notice(ctx context.Context, path string, header http.Header, rawQuery string, body []byte) gateway.Reply
	Platforms() []gateway.Platform
}

// Mount registers every notice path of g's platforms on mux. now is the wall clock.
func Mount(mux *http.ServeMux, g Gateway, now func() time.Time) {
	mounted := map[string]bool{} // two protocols of one platform may share the guide's path
	for _, p := range g.Platforms() {
		for _, path := range p.NotifyPaths {
			if mounted[path] {
				continue
			}
			mounted[path] = true
			pattern := "POST " + path
			if strings.HasSuffix(path, "/") {
				pattern += "{$}" // this path, not all below it
			}
			mux.Handle(pattern, handler{gateway: g, now: now})
		}
	}
}

type handler struct {
	gateway Gateway
	now     func() time.Time
}

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case len(r.Header.Values("Content-Encoding")) > 0: // A56: neither platform compresses
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	case r.URL.RawQuery != "" || r.URL.ForceQuery: // A52: neither platform adds one
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	body, status := h.read(w, r)
	if status != 0 {
		w.Header().Set("Connection", "close") // the rest of the body is not waited for
		w.WriteHeader(status)
		return
	}
	reply := h.gateway.Notice(r.Context(), r.URL.Path, r.Header, r.URL.RawQuery, body)
	w.Header().Set("Content-Type", reply.ContentType)
	w.WriteHeader(reply.Status)
	_, _ = io.WriteString(w, reply.Body) // only the connection can fail; the platform then sends again
}

// read returns the whole body, or the status to refuse with.
func (h handler) read(w http.ResponseWriter, r *http.Request) (body []byte, status int) {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(h.now().Add(readTime)) // a server without deadlines has its own limits
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	// A deadline that stays would cancel the request while the gateway still works on it.
	_ = conn.SetReadDeadline(time.Time{})
	if err == nil {
		return body, 0
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, http.StatusRequestEntityTooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, http.StatusRequestTimeout
	}
	return nil, http.StatusBadRequest
}
