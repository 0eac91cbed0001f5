// Package demo is a small shop that sells books and tea through the gateway: a plain customer of its public API, to be
// tried, read and copied. It knows the gateway by an address, a key and a webhook secret, and keeps its own orders.
//
// It has no log-in: whoever reaches it sees every order. It ships nothing.
package demo

import (
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"piaohao/client"
)

// Config is what New needs; every field but HTTP is required.
type Config struct {
	GatewayURL    string       // origin of the gateway's API
	Key           string       // sk_test_…
	WebhookSecret string       // whsec_…
	PublicURL     string       // origin of this shop as the payer's browser reaches it
	DBPath        string       // its own SQLite file; the folder exists
	HTTP          *http.Client // for the API; nil = the client's default
	Now           func() time.Time
	NewID         func(prefix string) string // for order numbers: unique, ≤ 64 of [0-9A-Za-z._|*@-]
	Log           *slog.Logger
}

// Shop is the running shop.
type Shop struct {
	Config
	api *client.Client
	db  *sql.DB
}

// New opens the shop's orders. It calls nobody.
func New(c Config) (*Shop, error) {
	if c.PublicURL == "" || c.WebhookSecret == "" {
		return nil, errors.New("demo: PublicURL and WebhookSecret are required")
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	var options []client.Option
	if c.HTTP != nil {
		options = append(options, client.WithHTTPClient(c.HTTP))
	}
	api, err := client.New(c.GatewayURL, c.Key, options...)
	if err != nil {
		return nil, err
	}
	db, err := open(c.DBPath)
	if err != nil {
		return nil, err
	}
	return &Shop{Config: c, api: api, db: db}, nil
}

// Close closes the shop's orders.
func (s *Shop) Close() error { return s.db.Close() }

// policy has no form-action on purpose: Chromium applies it to the redirect that answers a form too, and ours leads
// to the gateway or a platform.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'"

// Handler serves the shop's pages and its webhook.
func (s *Shop) Handler() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", s.home)
	pages.HandleFunc("GET /orders", s.list)
	pages.HandleFunc("POST /orders", s.buy)
	pages.HandleFunc("GET /orders/{no}", s.show)
	pages.HandleFunc("POST /orders/{no}/pay", s.payAgain)
	pages.HandleFunc("POST /orders/{no}/cancel", s.cancel)
	pages.HandleFunc("POST /orders/{no}/refund", s.giveBack)
	pages.HandleFunc("POST /orders/{no}/refund/{refund}", s.sendAgain)
	pages.HandleFunc("GET /shop.css", asset)
	pages.HandleFunc("GET /shop.svg", asset)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /webhook", s.webhook)
	mux.Handle("/", http.NewCrossOriginProtection().Handler(pages))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Referrer-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}
