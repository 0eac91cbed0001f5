package deploy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"piaohao/internal/channel/all"
	"piaohao/internal/config"
	"piaohao/internal/freeport"
	"piaohao/internal/node"
)

const name = "pay.example.com" // in both examples

// site is a gateway with a proxy in front of it.
type site struct {
	t      *testing.T
	dir    string // of proxy and gateway
	c      config.Config
	key    string // API key of the default shop
	https  string // address of the proxy
	http   string // where it sends people to https
	client *http.Client
}

// newSite starts a gateway in test mode that is told of the proxy as an operator would.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), https: freeport.Addr(t), http: freeport.Addr(t)}
	if err := os.Chmod(s.dir, 0o755); err != nil { // nginx' workers are another user
		t.Fatal(err)
	}
	var err error
	s.c, err = config.Load(config.Source{Env: map[string]string{
		"LISTEN_ADDR": freeport.Addr(t), "SIM_ADDR": freeport.Addr(t), "DEMO_ADDR": freeport.Addr(t),
		"PUBLIC_URL": "https://" + name, "DATA_DIR": filepath.Join(s.dir, "data"), "LOG_DIR": config.Off,
	}}, all.Drivers)
	if err != nil {
		t.Fatal(err)
	}
	s.c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	n, err := node.New(t.Context(), s.c, node.Outside{Logs: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(n.Run(ctx), n.Close()) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var keys struct{ Default string }
	text, err := os.ReadFile(filepath.Join(s.c.DataDir, "test.keys"))
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.key = keys.Default
	s.client = s.certificate()
	return s
}

// certificate writes one for the name, and returns a client that trusts it and finds every name at the proxy.
func (s *site) certificate() *http.Client {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	s.must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	s.must(err)
	s.write("fullchain.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.write("privkey.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	cert, err := x509.ParseCertificate(der)
	s.must(err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				to := s.https
				if strings.HasSuffix(addr, ":80") {
					to = s.http
				}
				return (&net.Dialer{}).DialContext(ctx, network, to)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) write(file, text string) {
	s.t.Helper()
	s.must(os.WriteFile(filepath.Join(s.dir, file), []byte(text), 0o600))
}

// edited is one of our files with some texts replaced; each must be there.
func (s *site) edited(file string, pairs ...string) string {
	s.t.Helper()
	text, err := os.ReadFile(file)
	s.must(err)
	for i := 0; i < len(pairs); i += 2 {
		if !bytes.Contains(text, []byte(pairs[i])) {
			s.t.Fatalf("%s has no %q", file, pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(string(text))
}

// serve runs a proxy until the test ends and waits until it answers.
func (s *site) serve(ctx context.Context, program string, args ...string) {
	s.t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, &out
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_DATA_HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	s.must(cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-ended:
			s.t.Fatalf("%s ended: %s", program, &out)
		case <-s.t.Context().Done():
			s.t.Fatalf("%s does not listen: %s", program, &out)
		case <-pause.C:
			if conn, err := net.Dial("tcp", s.https); err == nil {
				_ = conn.Close()
				return
			}
		}
	}
}

func nginx(t *testing.T, s *site) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.https)
	conf := s.edited("nginx.conf", "127.0.0.1:5000", s.c.ListenAddr, "listen 80;", "listen "+s.http+";", "listen 443 ", "listen 127.0.0.1:"+port+" ",
		"/etc/ssl/pay.example.com/", s.dir+"/")
	s.write("site.conf", conf)
	s.write("nginx.conf", `daemon off;
pid `+s.dir+`/nginx.pid;
error_log stderr;
events {}
http {
    access_log `+s.dir+`/access.log;
    client_body_temp_path `+s.dir+`/body;
    proxy_temp_path `+s.dir+`/proxy;
    fastcgi_temp_path `+s.dir+`/fastcgi;
    uwsgi_temp_path `+s.dir+`/uwsgi;
    scgi_temp_path `+s.dir+`/scgi;
    include `+s.dir+`/site.conf;
}
`)
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx"
	}
	s.serve(t.Context(), program, "-p", s.dir, "-e", "stderr", "-c", filepath.Join(s.dir, "nginx.conf"))
}

func caddy(t *testing.T, s *site) {
	t.Helper()
	_, httpsPort, _ := net.SplitHostPort(s.https)
	_, httpPort, _ := net.SplitHostPort(s.http)
	s.write("Caddyfile", "{\n\tadmin off\n\thttp_port "+httpPort+"\n\thttps_port "+httpsPort+"\n}\n"+
		s.edited("Caddyfile", "127.0.0.1:5000", s.c.ListenAddr, name+" {", name+" {\n\ttls "+s.dir+"/fullchain.pem "+s.dir+"/privkey.pem"))
	s.serve(t.Context(), "caddy", "run", "--config", filepath.Join(s.dir, "Caddyfile"))
}

// ask asks the proxy; an empty host is the right one.
func (s *site) ask(method, url, host, body string, header ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	s.must(err)
	if host != "" {
		req.Host = host
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(req)
	s.must(err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	s.must(err)
	return resp, string(text)
}

// create makes a payment as a shop on this machine does and returns its token; code is what to pay.
func (s *site) create(order, method string) (token, code string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.c.ListenAddr+"/v1/payments",
		strings.NewReader(`{"order_no":"`+order+`","amount":100,"subject":"s"`+method+`}`))
	s.must(err)
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	defer func() { _ = resp.Body.Close() }()
	var v struct {
		CashierURL string `json:"cashier_url"`
		Action     struct{ Code string }
	}
	s.must(json.NewDecoder(resp.Body).Decode(&v))
	token, ok := strings.CutPrefix(v.CashierURL, "https://"+name+"/payment/process/")
	if !ok {
		s.t.Fatalf("%d: cashier at %q", resp.StatusCode, v.CashierURL)
	}
	return token, v.Action.Code
}

func TestProxies(t *testing.T) {
	t.Parallel()
	for proxy, start := range map[string]func(*testing.T, *site){"nginx": nginx, "caddy": caddy} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			start(t, s)
			for _, row := range []struct {
				name string
				test func(t *testing.T, s *site)
			}{
				{"notices arrive", noticesArrive},
				{"events are not held back", eventsFlow},
				{"A97 a poisoned Host is harmless", hostIsHarmless},
				{"A17 X-Forwarded-For is the proxy's", forwardedFor},
				{"A101 nothing else is reachable", nothingElse},
				{"http leads to https", toHTTPS},
				{"a body has a limit", bodies},
			} {
				t.Run(row.name, func(t *testing.T) {
					inner := *s
					inner.t = t
					row.test(t, &inner)
				})
			}
			s.noTokens()
		})
	}
}

const (
	origin   = "https://" + name
	patience = 20 * time.Second // with a proxy that holds the stream back
)

func noticesArrive(t *testing.T, s *site) {
	direct, err := http.Post("http://"+s.c.ListenAddr+"/payment/wechat/notify", "application/json", strings.NewReader("{}"))
	s.must(err)
	defer func() { _ = direct.Body.Close() }()
	want, err := io.ReadAll(direct.Body)
	s.must(err)
	resp, got := s.ask("POST", origin+"/payment/wechat/notify", "", "{}", "Content-Type", "application/json")
	if resp.StatusCode != direct.StatusCode || got != string(want) || resp.StatusCode == http.StatusNotFound {
		t.Errorf("%d %q, want the gateway's %d %q", resp.StatusCode, got, direct.StatusCode, want)
	}
}

func eventsFlow(t *testing.T, s *site) {
	token, code := s.create("events", `,"method":"wechat"`)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/payment/events/"+token, nil)
	s.must(err)
	resp, err := s.client.Do(req)
	s.must(err)
	defer func() { _ = resp.Body.Close() }()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" || resp.ProtoMajor != 2 {
		t.Fatalf("%d %q over HTTP/%d", resp.StatusCode, got, resp.ProtoMajor)
	}
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if text, is := strings.CutPrefix(lines.Text(), "data: "); is {
				return text
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
	first := next() // while the stream is open: a proxy that gathers would wait for more
	if strings.Contains(first, `"ended":true`) {
		t.Fatalf("over already: %s", first)
	}
	paid, err := http.Post(s.c.SimURL+"/sim/wallet/pay", "application/json", strings.NewReader(`{"code":"`+code+`"}`))
	s.must(err)
	_ = paid.Body.Close()
	for text := first; !strings.Contains(text, `"ended":true`); text = next() { //nolint:revive // the body is the step
	}
}

func hostIsHarmless(t *testing.T, s *site) {
	token, _ := s.create("host", `,"method":"alipay"`)
	for _, path := range []string{"/payment/process/" + token, "/payment/go/" + token + "/alipay", "/payment/success/" + token, "/payment"} {
		resp, text := s.ask("GET", origin+path, "evil.example", "", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http",
			"Forwarded", "host=evil.example", "X-Original-Url", "/v1/payments")
		if strings.Contains(text, "evil.example") || strings.Contains(resp.Header.Get("Location"), "evil.example") {
			t.Errorf("%s: %d %q %s", path, resp.StatusCode, resp.Header.Get("Location"), text)
		}
	}
}

func forwardedFor(t *testing.T, s *site) {
	token, _ := s.create("forwarded", "")
	s.ask("GET", origin+"/payment/go/"+token+"/wechat", "", "", "X-Forwarded-For", "198.51.100.66", "X-Real-Ip", "198.51.100.66")
	other, _ := s.create("direct", "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.c.ListenAddr+"/payment/go/"+other+"/wechat", nil)
	s.must(err)
	req.Header.Set("X-Forwarded-For", "203.0.113.9") // as our proxy would
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	_ = resp.Body.Close()
	for order, want := range map[string]string{"forwarded": "127.0.0.1", "direct": "203.0.113.9"} {
		if got := s.clientIP(order); got != want {
			t.Errorf("%s: the payer's address is %q, want %q", order, got, want)
		}
	}
}

// clientIP is what the gateway wrote down of an order's payer.
func (s *site) clientIP(order string) string {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.c.DataDir, "test.db")+"?mode=ro")
	s.must(err)
	defer func() { _ = db.Close() }()
	var ip string
	s.must(db.QueryRowContext(s.t.Context(),
		"SELECT client_ip FROM attempts a JOIN payments p ON p.id = a.payment_id WHERE p.order_no = ?", order).Scan(&ip))
	return ip
}

func nothingElse(t *testing.T, s *site) {
	for _, path := range []string{
		"/", "/v1/payments", "/v1/openapi.json", "/V1/payments", "//v1/payments", "/payment/../v1/payments", "/payment/%2e%2e/v1/payments",
		"/payment/..%2fv1/payments", "/.env", "/payment/.env", "/.git/config", "/debug/pprof/", "/data/test.db", "/payment/test.db.bak", "/sim/credentials",
	} {
		resp, text := s.ask("GET", origin+path, "", "", "Authorization", "Bearer "+s.key)
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode/100 != 3 && resp.StatusCode != http.StatusBadRequest ||
			strings.Contains(text, "order_no") || strings.Contains(text, `"openapi"`) || strings.Contains(resp.Header.Get("Location"), "/v1/") {
			t.Errorf("%s: %d to %q: %s", path, resp.StatusCode, resp.Header.Get("Location"), text)
		}
	}
}

func toHTTPS(t *testing.T, s *site) {
	resp, _ := s.ask("GET", "http://"+name+"/payment/success?x=1", "", "")
	if resp.StatusCode/100 != 3 || resp.Header.Get("Location") != origin+"/payment/success?x=1" {
		t.Errorf("%d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
}

func bodies(t *testing.T, s *site) {
	resp, _ := s.ask("POST", origin+"/payment/wechat/notify", "", strings.Repeat("x", 64<<10+1))
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("64 KiB and a byte: %d", resp.StatusCode)
	}
}

// noTokens looks for the tokens of payers' pages in everything that the proxy wrote.
func (s *site) noTokens() {
	s.t.Helper()
	token, _ := s.create("events", `,"method":"wechat"`) // the payment of before
	files := 0
	s.must(filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, s.c.DataDir) {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(token)) {
			s.t.Errorf("A98 the key of a payer's page is in %s", path)
		}
		files++
		return err
	}))
	if files < 3 {
		s.t.Errorf("looked at %d files only", files)
	}
}
