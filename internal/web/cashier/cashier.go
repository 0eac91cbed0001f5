// Package cashier is the payer's face: server-rendered pages under /payment/ that show a payment, lead to a method
// and say what became of the money. It decides nothing: every page shows a gateway.Page.
//
// The pages work without JavaScript, load nothing from elsewhere, and use no Host header: all links are paths.
package cashier

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// Gateway is what the pages need of the use cases. *gateway.Gateway satisfies it.
type Gateway interface {
	Page(ctx context.Context, in gateway.PageInput) (gateway.Page, error)
	Go(ctx context.Context, in gateway.PageInput, clientIP string) (gateway.Leave, error)
	Back(ctx context.Context, token string) error
	Watching(ctx context.Context, token string) (version int64, ended bool, err error)
	Watched(ctx context.Context, p pay.Payment) error
	Subscribe(ctx context.Context, token string) (changed <-chan struct{}, stop func(), err error)
	Returned(ctx context.Context, rawQuery string) (token string, err error)
	Arrived(ctx context.Context, token string) error
}

// Config is what New needs; every field but Draining is required.
type Config struct {
	Gateway   Gateway
	Platforms []gateway.Platform
	Livemode  bool // false: every page says that no money moves
	Log       *slog.Logger
	Now       func() time.Time
	ClientIP  func(*http.Request) string // the payer's address as the platforms are told it
	Draining  <-chan struct{}            // closed when the server drains: live streams end; nil = never
}

type cashier struct {
	Config
	limits limits
	codes  codes
}

// New returns the handler of /payment and of everything below /payment/ that no notice path claims.
func New(c Config) http.Handler {
	h := &cashier{Config: c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /payment", h.front)
	mux.HandleFunc("GET /payment/{$}", h.front)
	mux.HandleFunc("GET /payment/process/{token}", h.process)
	mux.HandleFunc("GET /payment/go/{token}/{method}", h.leave)
	mux.HandleFunc("POST /payment/cancel/{token}", h.back)
	mux.HandleFunc("GET /payment/success", h.returned)
	mux.HandleFunc("GET /payment/success/{token}", h.success)
	mux.HandleFunc("GET /payment/events/{token}", h.events)
	mux.HandleFunc("GET /payment/status/{token}", h.status)
	mux.HandleFunc("GET /payment/assets/{file}", h.asset)
	mux.HandleFunc("/payment/", h.notFound)
	return mux
}
