package httpx

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"piaohao/internal/gateway"
)

// Limits of every request.
const (
	ReadHeaderTimeout = 5 * time.Second
	ReadTimeout       = 10 * time.Second // headers and body; a slow body is a 408
	WriteTimeout      = 30 * time.Second // a handler may wait 8 s for a platform; live streams lift it
	IdleTimeout       = 120 * time.Second
	MaxHeaderBytes    = 32 << 10
	MaxHeaders        = 100      // fields; more is a 431
	MaxBody           = 64 << 10 // bytes; more is a 413

	maxForwarded = 20 // entries of X-Forwarded-For that are looked at
)

// NewServer is an http.Server with the limits above.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: ReadHeaderTimeout,
		ReadTimeout:       ReadTimeout,
		WriteTimeout:      WriteTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// LimitHeaders refuses a request with more than MaxHeaders header fields.
func LimitHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := 0
		for _, values := range r.Header {
			n += len(values)
		}
		if n > MaxHeaders {
			WriteError(w, r, &gateway.Error{Code: CodeTooManyHeaders, Public: "Send at most 100 header fields."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Limit caps bodies at limit bytes: a longer Content-Length is refused before the handler runs, a longer body when
// it is read (see ReadBody).
func Limit(limit int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > limit {
				WriteError(w, r, errTooLarge(nil))
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, limit)
			next.ServeHTTP(w, r)
		})
	}
}

func errTooLarge(cause error) error {
	return &gateway.Error{Code: gateway.CodeTooLarge, Public: "The body is too large.", Cause: cause}
}

// ReadBody reads the body whole, as it is on the wire; stand behind Limit. Errors, all *gateway.Error: an encoded
// body (CodeUnsupportedMedia), too long (CodeTooLarge), too slow (CodeTimeout), broken off (CodeInvalid).
func ReadBody(r *http.Request) ([]byte, error) {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, &gateway.Error{Code: CodeUnsupportedMedia, Public: "Send the body without Content-Encoding."}
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		return body, nil
	}
	var long *http.MaxBytesError
	var slow net.Error
	switch {
	case errors.As(err, &long):
		return nil, errTooLarge(err)
	case errors.As(err, &slow) && slow.Timeout():
		return nil, &gateway.Error{Code: CodeTimeout, Public: "The body came too slowly.", Cause: err}
	}
	return nil, &gateway.Error{Code: gateway.CodeInvalid, Public: "The body broke off.", Cause: err}
}

// ClientIP is the address of the caller. X-Forwarded-For counts only when the connection comes from a trusted
// proxy, and is then read from the right past further trusted ones. "" when it cannot be known.
func ClientIP(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	ip := peer.Addr().Unmap().WithZone("")
	if !contains(trusted, ip) {
		return ip.String()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= max(0, len(hops)-maxForwarded); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		ip = hop.Unmap().WithZone("")
		if !contains(trusted, ip) {
			break
		}
	}
	return ip.String()
}

func contains(prefixes []netip.Prefix, ip netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
