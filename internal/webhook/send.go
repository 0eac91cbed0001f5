package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/store"
)

const (
	timeout = 15 * time.Second // of one try, connecting and reading included
	lease   = 45 * time.Second // longer than a try and its release
	idle    = time.Second      // before looking again when what is due is not to be had: an endpoint's slots are taken

	maxExcerpt = 1 << 10 // bytes of an answer that are read and kept
	userAgent  = "Piaohao-Webhook/1"
)

// DB is what the sender needs of the store; *store.DB is one.
type DB interface {
	ClaimDelivery(ctx context.Context, now time.Time, lease time.Duration) (store.Delivery, bool, error)
	FinishDelivery(ctx context.Context, d store.Delivery, delivered bool, next time.Time, status int, excerpt string) error
	NextDeliveryDue(ctx context.Context) (time.Time, error)
}

// Sender makes deliveries. It holds nothing between two Steps, so any number of goroutines and nodes may run it.
type Sender struct {
	DB   DB
	HTTP http.RoundTripper   // NewTransport's: a RoundTripper follows no redirects
	Now  func() time.Time    // wall time: it is signed
	Rand func(n int64) int64 // uniform in 0…n-1, for jitter
	Log  *slog.Logger
}

// Next says when Step has something to do: the zero time when nothing is known.
func (s *Sender) Next(ctx context.Context) (time.Time, error) { return s.DB.NextDeliveryDue(ctx) }

// Step makes one delivery and returns when to call again: at once after a delivery, else when the next one is due
// (the zero time: none is). A delivery once claimed is finished even when ctx ends meanwhile, at most 15 s later.
func (s *Sender) Step(ctx context.Context) (next time.Time, err error) {
	now := s.Now()
	d, ok, err := s.DB.ClaimDelivery(ctx, now, lease)
	if err != nil {
		return time.Time{}, err
	}
	if ok {
		return now, s.deliver(context.WithoutCancel(ctx), d)
	}
	due, err := s.DB.NextDeliveryDue(ctx)
	if err != nil || due.IsZero() || due.After(now) {
		return due, err
	}
	return now.Add(idle), nil
}

// deliver tries d once and writes down what came of it.
func (s *Sender) deliver(ctx context.Context, d store.Delivery) error {
	began := s.Now()
	r := s.post(ctx, d)
	if r.status >= 200 && r.status <= 299 {
		s.log(ctx, slog.LevelInfo, "webhook delivered", "delivered", d, r, began)
		return s.finish(ctx, d, true, time.Time{}, r)
	}
	var next time.Time // given up
	wait, again := pause(d.Failures+1, r.retryAfter, s.Rand)
	if again = again && r.status != http.StatusGone; again {
		next = s.Now().Add(wait)
	}
	outcome := "failed"
	if !again {
		outcome = "given_up"
	}
	s.log(ctx, slog.LevelWarn, "webhook not delivered", outcome, d, r, began)
	return s.finish(ctx, d, false, next, r)
}

// log writes the line of one try, with the names that every operation on a payment has (docs/production.md). What the
// endpoint answered stays out: it is the shop's text.
func (s *Sender) log(ctx context.Context, level slog.Level, text, outcome string, d store.Delivery, r result, began time.Time) {
	s.Log.LogAttrs(ctx, level, text, slog.String("op", "deliver"), slog.String("outcome", outcome),
		slog.String("payment", d.PaymentID), slog.String("event", d.EventID), slog.String("endpoint", d.EndpointID),
		slog.Int("status", r.status), slog.Int64("try", d.Tries), slog.Int64("duration_ms", s.Now().Sub(began).Milliseconds()))
}

// finish gives d back. That the lease had run out and another node holds it is no failure of ours: the shop sees the
// event twice, under one id.
func (s *Sender) finish(ctx context.Context, d store.Delivery, delivered bool, next time.Time, r result) error {
	err := s.DB.FinishDelivery(ctx, d, delivered, next, r.status, r.excerpt)
	if errors.Is(err, store.ErrStale) {
		return nil
	}
	return err
}

// result is what an endpoint answered; status 0 means it did not, and excerpt says why in a few fixed words.
type result struct {
	status     int
	excerpt    string
	retryAfter time.Duration
}

func (s *Sender) post(ctx context.Context, d store.Delivery) result {
	keys, err := signingKeys(d.Secret)
	if err != nil {
		return result{excerpt: "not sent: the endpoint's secret is unusable"}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return result{excerpt: "not sent: the endpoint's URL is unusable"}
	}
	now := s.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Webhook-Id", d.EventID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", sign(keys, d.EventID, now, d.Body))
	resp, err := s.HTTP.RoundTrip(req)
	if err != nil {
		return result{excerpt: reason(err)}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxExcerpt)) // a cut answer still has its status
	return result{status: resp.StatusCode, excerpt: plain(text), retryAfter: retryAfter(resp.Header, now)}
}

// reason says in fixed words why nothing came back: what a shop may learn of our network is no more than that.
func reason(err error) string {
	switch {
	case errors.Is(err, ErrAddress):
		return "not sent: the endpoint's address is not a public one"
	case errors.Is(err, ErrURL):
		return "not sent: the endpoint's URL is unusable"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within 15 seconds"
	}
	return "no connection"
}

// plain makes text that any page or log can show: UTF-8 without control characters, at most maxExcerpt bytes.
func plain(text []byte) string {
	s := strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(string(text), "?"))
	for len(s) > maxExcerpt {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
