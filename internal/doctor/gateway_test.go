package doctor_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"piaohao/internal/freeport"
	"piaohao/internal/node"
	"piaohao/internal/secret"
)

// The real thing: a gateway in live mode, led to the simulator, and doctor beside it. In another mode it is told apart.
func TestARunningGateway(t *testing.T) {
	t.Parallel()
	w := good(t)
	w.in.Online = true
	c := w.in.Config
	c.DataDir, c.LogDir = t.TempDir(), t.TempDir()
	c.Database = secret.New("sqlite:" + filepath.Join(c.DataDir, "live.db"))
	c.ListenAddr = freeport.Addr(t)
	ctx, stop := context.WithCancel(t.Context())
	n, err := node.New(ctx, c, node.Outside{
		Logs: io.Discard, Platforms: func(...tls.Certificate) http.RoundTripper { return w.in.Platforms },
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	w.in.Web = tripper(func(r *http.Request) (*http.Response, error) {
		inner := r.Clone(r.Context())
		inner.URL.Scheme, inner.URL.Host, inner.Host = "http", c.ListenAddr, r.URL.Host
		return http.DefaultTransport.RoundTrip(inner)
	})
	r := w.examine(t)
	if got := faults(r); len(got) > 0 || !has(r, "public_answers") {
		t.Errorf("%+v", got)
	}
	for _, a := range r.Accounts {
		if got := findings(a); !contains(got, "notify_answers") || !contains(got, "proven") {
			t.Errorf("%s: %s", a.ID, got)
		}
	}
}
