package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	maxURL            = 2048 // bytes
	dialTimeout       = 5 * time.Second
	handshakeTimeout  = 5 * time.Second
	idleTimeout       = 30 * time.Second
	maxIdlePerHost    = 4
	maxResponseHeader = 16 << 10 // bytes
)

// ports are where an https endpoint may listen.
var ports = []string{"", "443", "4443", "8443", "9443"}

// denied is everything that is not a public unicast host: the IANA IPv4 and IPv6 special-purpose address
// registries, multicast, all of IPv6 outside 2000::/3, and one address that clouds answer themselves. The
// predicates of net/netip miss many of these.
var denied = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32", // Azure's host agent
	"::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// Why an endpoint is refused.
var (
	ErrAddress = errors.New("webhook address is not a public one")
	ErrURL     = errors.New("unusable webhook URL")
)

// checkAddr is the guard: every address is held against it right before the connection is made.
func checkAddr(ip netip.Addr, allowLoopback bool) error {
	if ip.Zone() != "" {
		return ErrAddress
	}
	ip = ip.Unmap()
	if allowLoopback && ip.IsLoopback() {
		return nil
	}
	for _, p := range denied {
		if p.Contains(ip) {
			return ErrAddress
		}
	}
	return nil
}

// CheckURL reports whether raw may be an endpoint: https on a usual port of a public host, without user name or
// fragment; with allowLoopback (test mode) also http and any port of this machine. Ask before saving one. A name is
// not looked up here: what it resolves to is checked at each connection. Errors: ErrURL, ErrAddress.
func CheckURL(raw string, allowLoopback bool) error {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%w: it must look like https://shop.example.com/path", ErrURL)
	}
	return checkParsed(u, allowLoopback)
}

func checkParsed(u *url.URL, allowLoopback bool) error {
	host := u.Hostname()
	local, err := checkHost(host, allowLoopback)
	if err != nil {
		return err
	}
	if local {
		if u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%w: it must begin with http:// or https://", ErrURL)
		}
		return nil
	}
	if u.Scheme != "https" {
		return fmt.Errorf("%w: it must begin with https://", ErrURL)
	}
	if !slices.Contains(ports, u.Port()) {
		return fmt.Errorf("%w: it must use port 443, 4443, 8443 or 9443", ErrURL)
	}
	return nil
}

// checkHost reports whether host is this machine by name or number, and an error when it may not be called.
func checkHost(host string, allowLoopback bool) (local bool, err error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback(), checkAddr(ip, allowLoopback)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		if !allowLoopback {
			return true, ErrAddress
		}
		return true, nil
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false, fmt.Errorf("%w: it must name its host in ASCII letters (punycode for other scripts)", ErrURL)
		}
	}
	// A name without a dot means whatever the search domain makes of it; one that ends in a number ("127.1",
	// "0x7f000001") is an address in disguise.
	dot := strings.LastIndexByte(name, '.')
	if dot < 1 || dot == len(name)-1 || name[dot+1] >= '0' && name[dot+1] <= '9' {
		return false, fmt.Errorf("%w: it must name a whole public host, as in shop.example.com", ErrURL)
	}
	return false, nil
}

// NewTransport returns the way to endpoints: each URL is checked again at each try, each address right before the
// connection is made; no proxy of the environment and no DNS search domain is followed. A RoundTripper follows no
// redirects by nature.
func NewTransport(allowLoopback bool) http.RoundTripper {
	dialer := newDialer(allowLoopback)
	return &guard{allowLoopback: allowLoopback, next: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, rooted(address))
		},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		TLSHandshakeTimeout:    handshakeTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxResponseHeaderBytes: maxResponseHeader,
	}}
}

// newDialer refuses an address after its name was resolved and before anything is sent to it, so a name that
// changes its mind between a check and a connection gains nothing.
func newDialer(allowLoopback bool) *net.Dialer {
	return &net.Dialer{
		Timeout: dialTimeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return ErrAddress
			}
			return checkAddr(to.Addr(), allowLoopback)
		},
	}
}

// rooted ends a host name with the root's dot, so that no search domain is tried.
func rooted(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.HasSuffix(host, ".") || !strings.Contains(host, ".") {
		return address // "localhost", or malformed
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return address
	}
	return net.JoinHostPort(host+".", port)
}

type guard struct {
	allowLoopback bool
	next          http.RoundTripper
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkParsed(r.URL, g.allowLoopback); err != nil {
		return nil, err
	}
	return g.next.RoundTrip(r)
}
