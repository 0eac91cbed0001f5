package httpx

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"piaohao/internal/gateway"
)

// state is what a request carries from RequestID to its log line.
type state struct {
	id  string
	zh  bool
	err error // the refusal or failure that was answered
}

type stateKey struct{}

func stateOf(ctx context.Context) *state {
	if s, ok := ctx.Value(stateKey{}).(*state); ok {
		return s
	}
	return &state{}
}

// RequestIDOf returns the id of the request of ctx, "" outside of RequestID.
func RequestIDOf(ctx context.Context) string { return stateOf(ctx).id }

// Wrap is what every handler of the process stands behind, once: RequestID, Log, Recover, LimitHeaders.
func Wrap(log *slog.Logger, now func() time.Time, next http.Handler) http.Handler {
	return RequestID(Log(log, now)(Recover(log)(LimitHeaders(next))))
}

// RequestID gives each request an id of ours (an id that a caller sends is not trusted) and answers it as the
// Request-Id header.
func RequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &state{id: "req_" + strings.ToLower(rand.Text()), zh: prefersChinese(r.Header.Get("Accept-Language"))}
		w.Header().Set("Request-Id", s.id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), stateKey{}, s)))
	})
}

const maxLanguages = 10 // entries of Accept-Language that are looked at

// prefersChinese reports whether zh stands above en; English when neither is named.
func prefersChinese(accept string) bool {
	zh, en := 0.0, 0.0
	for i, entry := range strings.Split(accept, ",") {
		if i == maxLanguages {
			break
		}
		tag, params, _ := strings.Cut(strings.TrimSpace(entry), ";")
		q := 1.0
		if text, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, _ = strconv.ParseFloat(text, 64)
		}
		switch lang, _, _ := strings.Cut(strings.ToLower(tag), "-"); lang {
		case "zh":
			zh = max(zh, q)
		case "en":
			en = max(en, q)
		}
	}
	return zh > en
}

// Log writes one line per request: method, route pattern, status, milliseconds, request id, and the code and cause
// of a refusal. Never the path, the query, a header or a body: they are the caller's text and may hold secrets.
func Log(log *slog.Logger, now func() time.Time) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start, rec := now(), record(w)
			defer func() { // also when a handler aborts
				log.LogAttrs(r.Context(), level(rec.status), "request", line(r, rec.status, now().Sub(start))...)
			}()
			next.ServeHTTP(rec, r)
			if rec.status == 0 {
				rec.status = http.StatusOK // what net/http answers for a handler that wrote nothing
			}
		})
	}
}

func level(status int) slog.Level {
	if status >= http.StatusInternalServerError {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func line(r *http.Request, status int, took time.Duration) []slog.Attr {
	s := stateOf(r.Context())
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("route", r.Pattern), slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.String("request_id", s.id),
	}
	e := gateway.Refusal(s.err)
	switch {
	case s.err == nil:
		return attrs
	case e == nil:
		return append(attrs, slog.String("code", string(gateway.CodeInternal)), slog.String("cause", s.err.Error()))
	case e.Cause != nil:
		return append(attrs, slog.String("code", string(e.Code)), slog.String("cause", e.Cause.Error()))
	}
	return append(attrs, slog.String("code", string(e.Code)))
}

// Recover turns a panic into a plain 500 and logs it once, with its stack. A reply that has begun is cut off.
func Recover(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := record(w)
			defer func() {
				v := recover()
				if v == nil {
					return
				}
				if v == http.ErrAbortHandler { //nolint:errorlint // net/http panics with this very value
					panic(v)
				}
				log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("panic", fmt.Sprint(v)),
					slog.String("request_id", RequestIDOf(r.Context())), slog.String("stack", string(debug.Stack())))
				if rec.status != 0 {
					panic(http.ErrAbortHandler)
				}
				WriteError(rec, r, &gateway.Error{Code: gateway.CodeInternal})
			}()
			next.ServeHTTP(rec, r)
		})
	}
}

// recorder remembers the status. http.ResponseController reaches the writer below through Unwrap.
type recorder struct {
	http.ResponseWriter
	status int // 0 = nothing written yet; stays 0 in the log of an aborted answer
}

func record(w http.ResponseWriter) *recorder {
	if rec, ok := w.(*recorder); ok {
		return rec
	}
	return &recorder{ResponseWriter: w}
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Secure sets the headers of an answer that is data, not a page.
func Secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}
