package doctor_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/doctor"
)

// only lets one handler answer in the gateway's place, for paths that begin so.
func (w *world) only(path string, h http.HandlerFunc) {
	us := w.public
	w.public = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, path) {
			h(rw, r)
			return
		}
		us.ServeHTTP(rw, r)
	})
}

func says(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestOnlineAtOurAddress(t *testing.T) {
	t.Parallel()
	const page = "text/html; charset=utf-8"
	run(t, true, []broken{
		{"the domain adds www", func(w *world) {
			w.only("/", http.RedirectHandler("https://www.shop.test/x?token=canary", http.StatusMovedPermanently).ServeHTTP)
		}, bad, "redirected", "PUBLIC_URL", "www"},
		{"the proxy has nobody behind it", func(w *world) {
			w.only("/", says(502, page, "<h1>502 Bad Gateway</h1>"))
		}, bad, "bad_gateway", "PUBLIC_URL", "start piaohao"},
		{"another site has the domain", func(w *world) {
			w.only("/", says(200, page, "<h1>Welcome to nginx</h1>"))
		}, bad, "foreign_page", "PUBLIC_URL", "/payment/"},
		{"another program has the port", func(w *world) {
			w.only("/", says(200, "application/json", `{"service":"flask"}`))
		}, bad, "foreign_answer", "PUBLIC_URL", "stop the program"},
		{"a gateway in test mode answers", func(w *world) { w.public = gateway(false) }, bad, "other_mode", "PUBLIC_URL", "restart"},
		{"a firewall stops notices only", func(w *world) {
			w.only("/payment/wechat/", says(403, page, "<h1>Checking your browser</h1>"))
		}, bad, "foreign_page", "WECHAT_NOTIFY_URL", "checks for robots"},
		{"the old shop still takes notices", func(w *world) {
			w.only("/payment/alipay/", says(200, "text/plain", "success"))
		}, bad, "foreign_answer", "ALIPAY_NOTIFY_URL", "stop the program"},
		{"a notice address is redirected", func(w *world) {
			w.only("/payment/alipay/", http.RedirectHandler("/login", http.StatusFound).ServeHTTP)
		}, bad, "redirected", "ALIPAY_NOTIFY_URL", "final address"},
		{"another gateway's notices", func(w *world) {
			w.only("/payment/alipay/", says(404, "application/problem+json", `{}`))
		}, bad, "foreign_answer", "ALIPAY_NOTIFY_URL", "/payment/"},
	})
}

// overTLS puts a real server with the given certificates at the public address; trusted are the roots of the asker.
func (w *world) overTLS(t *testing.T, trusted *x509.CertPool, chain ...tls.Certificate) {
	t.Helper()
	s := httptest.NewUnstartedServer(w.public)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: chain, MinVersion: tls.VersionTLS12}
	if chain == nil {
		s.Start()
	} else {
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	to := s.Listener.Addr().String()
	w.in.Web = toServer(to, trusted)
}

// certificate makes one for the host, signed by parent (nil = by itself).
func certificate(t *testing.T, host string, until time.Time, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: until, BasicConstraintsValid: true, IsCA: parent == nil,
	}
	own, signer, by := key("tls "+host), key("tls "+host), tmpl
	if parent != nil {
		signer, by = parent.PrivateKey.(*rsa.PrivateKey), parent.Leaf
		tmpl.KeyUsage, tmpl.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by, &own.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own, Leaf: leaf}
}

func TestOnlineTLS(t *testing.T) {
	t.Parallel()
	const host = "pay.shop.test"
	year := time.Now().AddDate(1, 0, 0)
	root := certificate(t, "root.test", year, nil)
	roots := x509.NewCertPool()
	roots.AddCert(root.Leaf)
	for _, row := range []struct {
		name  string
		serve func(*testing.T, *world)
		level channel.Level // "" = nothing is wrong
		code  string
		cure  string
	}{
		{"a good certificate", func(t *testing.T, w *world) { w.overTLS(t, roots, certificate(t, host, year, &root)) }, "", "", ""},
		{"self-signed", func(t *testing.T, w *world) {
			w.overTLS(t, roots, certificate(t, host, year, nil))
		}, bad, "public_tls_untrusted", "public authority"},
		{"of another name", func(t *testing.T, w *world) {
			w.overTLS(t, roots, certificate(t, "www.shop.test", year, &root))
		}, bad, "public_tls_name", "exactly this host"},
		{"expired", func(t *testing.T, w *world) {
			w.overTLS(t, roots, certificate(t, host, time.Now().AddDate(0, 0, -1), &root))
		}, bad, "public_tls_expired", "renew"},
		{"without the chain", func(t *testing.T, w *world) {
			w.overTLS(t, x509.NewCertPool(), certificate(t, host, year, &root))
		}, bad, "public_tls_chain", "fullchain.pem"},
		{"ending in a week", func(t *testing.T, w *world) {
			w.now = time.Now()
			w.wall = w.now
			w.overTLS(t, roots, certificate(t, host, w.now.AddDate(0, 0, 7), &root))
		}, doubt, "tls_expiring", "renew"},
		{"no TLS on the port", func(t *testing.T, w *world) { w.overTLS(t, roots) }, bad, "public_tls_none", "TLS on that port"},
		{"nobody listens", func(t *testing.T, w *world) {
			s := httptest.NewServer(nil)
			s.Close()
			w.in.Web = toServer(s.Listener.Addr().String(), roots)
		}, bad, "public_unreachable", "server runs"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := good(t)
			w.in.Online = true
			row.serve(t, w)
			got := faults(w.examine(t))
			if row.level == "" {
				if len(got) > 0 {
					t.Errorf("faults: %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Level != row.level || got[0].Code != row.code || !strings.Contains(got[0].Cure, row.cure) {
				t.Errorf("got %+v, want %s with a cure of %q", got, row.code, row.cure)
			}
		})
	}
}

func TestHealthShowsNothingElse(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	doctor.Health(true).ServeHTTP(w, httptest.NewRequest(http.MethodGet, doctor.HealthPath, nil))
	if got := w.Body.String(); got != `{"service":"piaohao","livemode":true}` {
		t.Error(got)
	}
}

// toServer is a transport whose every connection goes to one address.
func toServer(address string, roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}
}
