package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"piaohao/internal/channel"
)

// Bounds of one connection.
const (
	dialTimeout = 4 * time.Second
	tlsTimeout  = 4 * time.Second
)

// network is the way out: TLS is verified, and no proxy is taken from the environment (A88).
func network() http.RoundTripper {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: tlsTimeout, ResponseHeaderTimeout: channel.CallTimeout, DisableKeepAlives: true,
	}
}

// recorder carries requests and remembers the last answer: its body, and how far its Date is from our clock. For one
// caller at a time.
type recorder struct {
	over   http.RoundTripper
	now    func() time.Time
	status int
	body   []byte
	skew   time.Duration // ours minus theirs
	dated  bool
}

// RoundTrip hands the answer on untouched.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	start := r.now()
	res, err := r.over.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		r.skew, r.dated = skewOf(start, r.now(), date), true
	}
	r.status = res.StatusCode
	r.body, err = io.ReadAll(io.LimitReader(res.Body, channel.MaxBody))
	var rest io.Reader = res.Body
	if err != nil { // the caller meets the same end
		rest = broken{err}
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(r.body), rest), res.Body}
	return res, nil
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// failure is why no answer came.
type failure struct{ code, text, cure string }

// connection says why no answer came, if err is of the connection: nothing else is known of it.
func connection(err error) (failure, bool) {
	var dns *net.DNSError
	var slow net.Error
	var plain tls.RecordHeaderError
	switch {
	case err == nil:
	case errors.As(err, &dns):
		return failure{"dns", "the name has no address (DNS)", "check the spelling of the host, and this machine's resolver (/etc/resolv.conf)"}, true
	case errors.As(err, &plain), errors.Is(err, http.ErrSchemeMismatch):
		return failure{"tls_none", "no TLS answers there", "let the proxy listen with TLS on that port, and check that the port is right"}, true
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return failure{"timeout", "no answer in time", "open the port in the firewall and in the provider's security group"}, true
	}
	if f, bad := certificate(err); bad {
		return f, true
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return failure{"unreachable", "no connection", "check that the server runs, and that firewalls let this machine out to it"}, true
	}
	return failure{"unreachable", "no answer", "check the connection, and try again"}, false
}

// certificate says what is wrong with the peer's certificate.
func certificate(err error) (failure, bool) {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &name):
		return failure{"tls_name", "the certificate is for another name", "get a certificate for exactly this host"}, true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return failure{"tls_expired", "the certificate has expired, or this clock is wrong", "renew it, and let that happen by itself (certbot renew, or Caddy)"}, true
	case errors.As(err, &unknown):
		if incomplete(err) {
			return failure{
				"tls_chain", "the server sends its certificate without the ones between it and the root: browsers cope, platforms do not",
				"configure the full chain (fullchain.pem, not cert.pem)",
			}, true
		}
		return failure{"tls_untrusted", "nobody trusts who signed the certificate (self-signed?)", "use a certificate of a public authority, for example Let's Encrypt"}, true
	}
	var other *tls.CertificateVerificationError
	if errors.As(err, &other) || errors.As(err, &invalid) {
		return failure{"tls_untrusted", "the certificate does not verify", "use a certificate of a public authority, for example Let's Encrypt"}, true
	}
	return failure{}, false
}

// incomplete reports whether a lone certificate came that somebody else signed.
func incomplete(err error) bool {
	var v *tls.CertificateVerificationError
	if !errors.As(err, &v) || len(v.UnverifiedCertificates) != 1 {
		return false
	}
	leaf := v.UnverifiedCertificates[0]
	return !bytes.Equal(leaf.RawIssuer, leaf.RawSubject)
}
