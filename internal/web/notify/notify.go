// Package notify is where the platforms' notices arrive. It reads the raw body within limits and hands everything to
// the gateway; it parses, verifies and decides nothing.
package notify

import (
	"context"
	"io"
	"net/http"
	"strings"

	"piaohao/internal/gateway"
	"piaohao/internal/web/httpx"
)

// Gateway is what notices need of the use cases. *gateway.Gateway satisfies it.
type Gateway interface {
	Notice(ctx context.Context, path string, header http.Header, rawQuery string, body []byte) gateway.Reply
	Platforms() []gateway.Platform
}

// Mount registers every notice path of g's platforms on mux. The server's ReadTimeout is the limit of a slow body.
func Mount(mux *http.ServeMux, g Gateway) {
	receive := httpx.Limit(httpx.MaxBody)(handler{g})
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
			mux.Handle(pattern, receive)
		}
	}
}

type handler struct{ gateway Gateway }

// ServeHTTP answers what the gateway says. What it refuses before (A52, A55, A56) is no success either, so the
// platform sends it again.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		httpx.WriteError(w, r, &gateway.Error{Code: gateway.CodeInvalid, Public: "A notice has no query string."})
		return
	}
	body, err := httpx.ReadBody(r)
	if err != nil {
		httpx.WriteError(w, r, err)
		return
	}
	reply := h.gateway.Notice(r.Context(), r.URL.Path, r.Header, r.URL.RawQuery, body)
	w.Header().Set("Content-Type", reply.ContentType)
	w.WriteHeader(reply.Status)
	_, _ = io.WriteString(w, reply.Body) // only the connection can fail; the platform then sends again
}
