package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"piaohao/internal/channel/all"
	"piaohao/internal/config"
	"piaohao/internal/freeport"
	"piaohao/internal/node"
	"piaohao/internal/sim/alipaysim"
	sims "piaohao/internal/sim/all"
	"piaohao/internal/sim/wechatsim"
)

// Names on the wire of live mode: the user's, and the platforms' own.
const (
	payHost     = "pay.example.com"
	wechatHost  = "api.mch.weixin.qq.com"
	alipayHost  = "openapi.alipay.com"
	cashierHost = "excashier.alipay.com"
	// The host of Alipay's own sandbox.
	alipaySandboxHost = "openapi-sandbox.dl.alipaydev.com"

	// The merchant's numbers: any but those that the simulator keeps for itself.
	liveWeChatApp = "wx5f0c2e7a9d3b1864"
	liveMerchant  = "1652083947"
	liveAlipayApp = "2021004168305297"
	liveSeller    = "2088641937205186"
)

// liveTown is the gateway in live mode as its user runs it: settings from a .env file, real host names, TLS in front.
// Behind the platforms' names is a simulator that knows this merchant; the gateway is led there by the transport that it
// is handed, for no setting can do it.
type liveTown struct {
	t     *testing.T
	sim   *sims.Sim
	wire  *wire
	front *httptest.Server // answers to every name above
	shop  *http.Client     // reaches payHost
	dir   string
	addr  string // where the gateway listens
	stop  func() // ends the gateway
	key   string // the default shop's
}

// newLiveTown starts it with the settings that env makes of the merchant's credentials.
func newLiveTown(t *testing.T, o sims.Options, env func(sims.Credentials) string) *liveTown {
	t.Helper()
	w := newTownOf(t, o)
	w.serve(env(w.sim.Credentials()))
	w.key = w.newKey()
	return w
}

// newTownOf is the world without the gateway.
func newTownOf(t *testing.T, o sims.Options) *liveTown {
	t.Helper()
	w := &liveTown{t: t, dir: t.TempDir(), addr: freeport.Addr(t)}
	names := map[string]http.Handler{
		payHost: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: w.addr}),
	}
	// A proxy answers to the name that the browser asked for; the gateway must never depend on it (A97).
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if h, ok := names[r.Host]; ok {
			h.ServeHTTP(rw, r)
			return
		}
		http.Error(rw, "nobody has this name", http.StatusBadGateway)
	})
	w.shop = &http.Client{Transport: door{handler}}

	o.PublicURL, o.CashierURL = "https://"+alipayHost, "https://"+cashierHost
	o.WeChat.AppID, o.WeChat.MerchantID, o.Alipay.AppID, o.Alipay.SellerID = liveWeChatApp, liveMerchant, liveAlipayApp, liveSeller
	o.Wall, o.HTTP, o.Log = time.Now, w.shop, slog.New(slog.DiscardHandler)
	var err error
	w.sim, err = sims.New(o)
	w.must(err)
	for _, host := range []string{wechatHost, alipayHost, alipaySandboxHost, cashierHost} {
		names[host] = w.sim.Handler()
	}
	w.front = httptest.NewUnstartedServer(handler)
	roots := w.frontTLS(payHost, wechatHost, alipayHost, alipaySandboxHost, cashierHost)
	w.front.StartTLS()
	w.wire = &wire{to: w.front.Listener.Addr().String(), roots: roots, names: []string{wechatHost, alipayHost, alipaySandboxHost}}
	w.notices()
	return w
}

// frontTLS gives the front a certificate for names, by an authority that nobody else has, and asks whoever calls for his.
func (w *liveTown) frontTLS(names ...string) (roots *x509.CertPool) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "front"}, DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	w.must(err)
	cert, err := x509.ParseCertificate(der)
	w.must(err)
	w.front.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
	}
	roots = x509.NewCertPool()
	roots.AddCert(cert)
	return roots
}

// settings are those of a .env file, beside what every test's process needs of its own.
func (w *liveTown) settings(env string, more ...string) config.Config {
	w.t.Helper()
	vars := map[string]string{"DATA_DIR": w.dir, "LOG_DIR": filepath.Join(w.dir, "logs"), "LISTEN_ADDR": w.addr}
	for i := 0; i < len(more); i += 2 {
		vars[more[i]] = more[i+1]
	}
	c, err := config.Load(config.Source{FileName: ".env", File: []byte(env), Env: vars, Now: time.Now}, all.Drivers)
	w.must(err)
	return c
}

// serve runs the gateway until stop, or until the test ends.
func (w *liveTown) serve(env string, more ...string) {
	w.t.Helper()
	logs := newRecord()
	n, err := node.New(w.t.Context(), w.settings(env, more...), node.Outside{Logs: logs, Platforms: w.wire.carry})
	w.must(err)
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(n.Run(ctx), n.Close()) }()
	w.stop = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		if w.t.Failed() {
			w.t.Logf("calls: %s\nlog:\n%s", strings.Join(w.wire.called(), "\n"), logs.String())
		}
	})
	w.t.Cleanup(w.stop)
}

// notices sends what the simulator has to tell, when it has it, until the test ends.
func (w *liveTown) notices() {
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var group sync.WaitGroup
	group.Go(func() { tell(ctx, w.t, w.sim) })
	w.t.Cleanup(func() {
		stop()
		group.Wait()
		w.front.Close()
		w.must(w.sim.Close())
	})
}

// tell sends what a simulator has to tell until ctx ends.
func tell(ctx context.Context, t *testing.T, sim *sims.Sim) {
	for ctx.Err() == nil {
		next, err := sim.Step(ctx)
		if err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
		wait := time.Minute
		if !next.IsZero() {
			wait = time.Until(next)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-sim.Woken():
		}
		timer.Stop()
	}
}

func (w *liveTown) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newKey is made as its user makes it: by the program, beside the running server.
func (w *liveTown) newKey() string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), program, "keys", "create", "--shop", "default")
	cmd.Env = []string{"DATA_DIR=" + w.dir, "PATH=/usr/bin:/bin"}
	cmd.Dir = w.t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("keys create: %v\n%s", err, out)
	}
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "sk_live_") {
			return word
		}
	}
	w.t.Fatalf("keys create printed no live key:\n%s", out)
	return ""
}

// testKey is the default shop's in test mode.
func (w *liveTown) testKey() string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "test.keys"))
	w.must(err)
	var keys struct {
		Default string `json:"default"`
	}
	w.must(json.Unmarshal(text, &keys))
	return keys.Default
}

// livePayment is what the tests read of an API answer.
type livePayment struct {
	ID         string `json:"id"`
	Status     string `json:"status"`
	Livemode   bool   `json:"livemode"`
	CashierURL string `json:"cashier_url"`
	Action     struct {
		Code string `json:"code"`
		URL  string `json:"url"`
	} `json:"action"`
}

func (w *liveTown) create(orderNo, method string) livePayment {
	w.t.Helper()
	body := fmt.Sprintf(`{"order_no":%q,"amount":12800,"subject":"明前龙井","method":%q}`, orderNo, method)
	return w.api(http.MethodPost, "/v1/payments", body)
}

func (w *liveTown) api(method, path, body string) livePayment {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+payHost+path, strings.NewReader(body))
	w.must(err)
	req.Header.Set("Authorization", "Bearer "+w.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.shop.Do(req)
	w.must(err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	w.must(err)
	var p livePayment
	if resp.StatusCode >= http.StatusBadRequest || json.Unmarshal(text, &p) != nil {
		w.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	return p
}

// waits until the shop is told that a payment is in a state.
func (w *liveTown) waits(id, status string) {
	w.t.Helper()
	tick, late := time.NewTicker(50*time.Millisecond), time.After(startWithin)
	defer tick.Stop()
	for {
		p := w.api(http.MethodGet, "/v1/payments/"+id, "")
		if p.Status == status {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			w.t.Fatalf("%s is %s, not %s", id, p.Status, status)
		}
	}
}

// status is what payHost answers to an empty request, and where it leads.
func (w *liveTown) status(method, path string) (status int, location string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+payHost+path, http.NoBody)
	w.must(err)
	resp, err := w.shop.Transport.RoundTrip(req)
	w.must(err)
	w.must(resp.Body.Close())
	return resp.StatusCode, resp.Header.Get("Location")
}

// scan is a payer's phone in front of a code.
func (w *liveTown) scan(code string) {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"code": code})
	w.must(err)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "https://"+alipayHost+"/sim/wallet/pay", bytes.NewReader(body))
	w.must(err)
	resp, err := w.shop.Do(req)
	w.must(err)
	defer func() { _ = resp.Body.Close() }()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		w.t.Fatalf("the wallet: %d %s", resp.StatusCode, text)
	}
}

// open is a tab of a browser that finds every name above at the front.
func (w *liveTown) open(d device) *tab {
	w.t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(w.front.URL, "https://"), ":")
	var rules []string
	for _, host := range []string{payHost, alipayHost, cashierHost} {
		rules = append(rules, "MAP "+host+":443 127.0.0.1:"+port)
	}
	ctx, stop, err := browserWith(
		chromedp.Flag("host-resolver-rules", strings.Join(rules, ",")), chromedp.Flag("ignore-certificate-errors", true))
	w.must(err)
	w.t.Cleanup(stop)
	x := newTab(w.t, ctx, d, chromedp.WithNewBrowserContext())
	x.known = []string{payHost, alipayHost, cashierHost}
	return x
}

// wire carries the gateway's calls to the platforms' names, by TLS that ends at the front, and writes down where they went.
type wire struct {
	to    string // address of the front
	roots *x509.CertPool
	names []string
	local string // address of a simulator on this machine, "" in live mode

	mu    sync.Mutex
	calls []string
}

// lane is the part of a wire on which one certificate is shown, or none.
type lane struct {
	*wire
	over  *http.Transport
	shown string // whose certificate, "" = none
}

// carry is what the gateway is handed.
func (w *wire) carry(shown ...tls.Certificate) http.RoundTripper {
	l := &lane{wire: w, over: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, w.to)
		},
		TLSClientConfig: &tls.Config{RootCAs: w.roots, Certificates: shown, MinVersion: tls.VersionTLS12},
	}}
	for _, cert := range shown {
		l.shown = cert.Leaf.Subject.CommonName
	}
	return l
}

// RoundTrip refuses every name that is no platform's.
func (l *lane) RoundTrip(req *http.Request) (*http.Response, error) {
	called := req.Method + " " + req.URL.Scheme + "://" + req.URL.Host + req.URL.Path
	if l.shown != "" {
		called += " as " + l.shown
	}
	l.mu.Lock()
	l.calls = append(l.calls, called)
	l.mu.Unlock()
	if l.local != "" && req.URL.Host == l.local {
		return http.DefaultTransport.RoundTrip(req)
	}
	if req.URL.Scheme != "https" || !strings.Contains(strings.Join(l.names, " "), req.URL.Host) {
		return nil, fmt.Errorf("%s is no platform's address", req.URL.Host)
	}
	return l.over.RoundTrip(req)
}

func (w *wire) called() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.calls...)
}

// door hands a request to a handler in this process.
type door struct{ to http.Handler }

// RoundTrip answers what the handler writes.
func (d door) RoundTrip(req *http.Request) (*http.Response, error) {
	in := req.Clone(req.Context())
	in.RequestURI = req.URL.RequestURI()
	in.Host, in.RemoteAddr = req.URL.Host, "192.0.2.7:50001"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	out := httptest.NewRecorder()
	d.to.ServeHTTP(out, in)
	resp := out.Result()
	resp.Request = req
	return resp, nil
}

// whom the simulated platforms serve in these tests.
func served(keys wechatsim.KeyMode, alipayCertificates bool) sims.Options {
	return sims.Options{WeChat: wechatsim.Options{Keys: keys}, Alipay: alipaysim.Options{Certificates: alipayCertificates}}
}
