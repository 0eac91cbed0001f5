package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"piaohao/client"
	"piaohao/internal/e2e"
	"piaohao/internal/freeport"
)

// killRun is one run: the processes, what stands between them, and what everybody saw.
type killRun struct {
	t    *testing.T
	plan killPlan
	wg   sync.WaitGroup

	bin, dir string
	sim      *process
	gateway  *process // only the killer changes it after the start
	simURL   string   // the simulator itself: payers pay there
	addr     string   // the gateway itself: the shop and the pages talk to it
	platform *platformProxy
	front    *frontProxy
	sink     *sink
	shop     *client.Client
	http     *http.Client

	buyers    []*buyer
	retries   atomic.Int64 // of the shop's creates
	visits    atomic.Int64 // of payers who had to follow a link again
	pagesOpen atomic.Int64
	returns   returns

	inFlight []int64 // per kill; only the killer writes
	down     []time.Duration
}

const killSecretBytes = 32

func newKillRun(ctx context.Context, t *testing.T, plan killPlan) *killRun {
	t.Helper()
	r := &killRun{t: t, plan: plan, bin: e2e.Program(), dir: t.ArtifactDir()}
	r.http = &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(r.http.CloseIdleConnections)
	simAddr := freeport.Addr(t)
	r.simURL, r.addr = "http://"+simAddr, freeport.Addr(t)
	r.platform = newPlatformProxy(t, r.simURL)
	r.front = newFrontProxy(t, "http://"+r.addr)
	key := make([]byte, killSecretBytes)
	_, _ = rand.Read(key) // never fails
	r.sink = newSink(t, "whsec_"+base64.StdEncoding.EncodeToString(key))

	r.sim = startProcess(t, r.bin, "sim", filepath.Join(r.dir, "sim.log"), "SIM_ADDR="+simAddr, "DEMO_ADDR=off", "LOG_DIR=off",
		"SIM_PUBLIC_URL="+r.platform.url, "DATA_DIR="+filepath.Join(r.dir, "sim"))
	r.await(ctx, r.simURL+"/sim/faults", r.sim)
	// A dropped notice is never tried again: only the gateway's own questions can find that payment.
	r.post(ctx, r.simURL+"/sim/faults", map[string]any{
		"drop_percent": 30, "drop_forever": true, "double_percent": 20, "delay_ms_max": 3000,
	}, nil)
	r.startGateway(ctx)
	t.Cleanup(func() { r.gateway.kill(t) })

	var err error
	if r.shop, err = client.New("http://"+r.addr, r.apiKey(), client.WithHTTPClient(r.http)); err != nil {
		t.Fatal(err)
	}
	for i := range plan.payments {
		b := &buyer{order: fmt.Sprintf("kill-%04d", i), amount: 1 + int64(r.dice(1_000_000)), method: "wechat", watches: i*10%(plan.payments*10) < plan.watched*10}
		if i%2 == 1 {
			b.method = "alipay"
		}
		r.buyers = append(r.buyers, b)
	}
	return r
}

func (r *killRun) dice(n int) int { return mathrand.IntN(n) }

// pause waits a random time up to most.
func (r *killRun) pause(ctx context.Context, most time.Duration) {
	timer := time.NewTimer(time.Duration(mathrand.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (r *killRun) startGateway(ctx context.Context) {
	r.gateway = startProcess(r.t, r.bin, "serve", filepath.Join(r.dir, "gateway.log"), "LISTEN_ADDR="+r.addr, "SIM_ADDR=off", "LOG_DIR=off",
		"SIM_PUBLIC_URL="+r.platform.url, "DEMO_ADDR=off", "DATA_DIR="+filepath.Join(r.dir, "data"), "PUBLIC_URL="+r.front.url,
		"WEBHOOK_URL="+r.sink.url, "WEBHOOK_SECRET="+r.sink.secret)
	r.await(ctx, "http://"+r.addr+"/payment", r.gateway)
}

// await waits until the process answers.
func (r *killRun) await(ctx context.Context, url string, p *process) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := r.get(ctx, url)
		if err == nil && resp.StatusCode == http.StatusOK {
			return
		}
		select {
		case <-tick.C:
		case <-p.ended:
			r.t.Errorf("the process ended by itself:\n%s", p.tail())
			return
		case <-ctx.Done():
			r.t.Errorf("no answer from %s: %v", url, ctx.Err())
			return
		}
	}
}

func (r *killRun) apiKey() string {
	text, err := os.ReadFile(filepath.Join(r.dir, "data", "test.keys"))
	if err != nil {
		r.t.Fatal(err)
	}
	var keys struct{ Default string }
	if err := json.Unmarshal(text, &keys); err != nil {
		r.t.Fatal(err)
	}
	return keys.Default
}

func (r *killRun) stop() {
	r.gateway.stop(r.t)
	r.sim.stop(r.t)
}

// get reads the whole answer, so that the connection is used again.
func (r *killRun) get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return r.do(req, nil)
}

func (r *killRun) do(req *http.Request, out any) (*http.Response, error) {
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(body, out)
	}
	return resp, err
}

// post talks to the simulator, which nobody kills: everything but 200 fails the test.
func (r *killRun) post(ctx context.Context, url string, in map[string]any, out any) {
	body, err := json.Marshal(in)
	if err != nil {
		r.t.Error(err)
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		r.t.Error(err)
		return
	}
	var answer json.RawMessage
	resp, err := r.do(req, &answer)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d %s", resp.StatusCode, answer)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	if err != nil {
		r.t.Errorf("%s %v: %v", url, in, err)
	}
}

// process is a running program of ours.
type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error // after ended
}

func startProcess(t *testing.T, bin, verb, log string, env ...string) *process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	p := &process{cmd: exec.Command(bin, verb), log: log, ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() { p.kill(t) })
	return p
}

// kill is kill -9; an ended process stays as it is.
func (p *process) kill(t *testing.T) {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-p.ended
}

// stop asks the process to end and expects a clean end.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-p.ended
	if p.err != nil {
		t.Errorf("%s: %v\n%s", p.cmd, p.err, p.tail())
	}
}

// text is the log.
func (p *process) text() []byte {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

// tail is the end of the log.
func (p *process) tail() []byte {
	text := p.text()
	return text[max(0, len(text)-2000):]
}

// The platform answers within leastLatency … leastLatency+moreLatency: half of it passes before a call takes effect
// and half after, so that a kill can fall on either side.
const (
	leastLatency = 30 * time.Millisecond
	moreLatency  = 170 * time.Millisecond
)

// platformProxy is the way between the gateway and the platforms. What was sent arrives, whether or not its sender
// lives to see the answer.
type platformProxy struct {
	url      string
	inFlight atomic.Int64  // calls sent whose sender still waits for the answer
	calls    atomic.Int64  //
	called   chan struct{} // a call has just been sent; read by the killer
}

func newPlatformProxy(t *testing.T, target string) *platformProxy {
	t.Helper()
	p := &platformProxy{called: make(chan struct{})}
	forward := reverseProxy(t, target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/gateway.do" && !strings.HasPrefix(r.URL.Path, "/v3/") {
			forward.ServeHTTP(w, r)
			return
		}
		p.calls.Add(1)
		p.inFlight.Add(1)
		context.AfterFunc(r.Context(), func() { p.inFlight.Add(-1) }) // answered, or its sender is gone
		select {
		case p.called <- struct{}{}:
		default:
		}
		half := (leastLatency + time.Duration(mathrand.Int64N(int64(moreLatency)))) / 2
		<-time.After(half)
		forward.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
		<-time.After(half)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func reverseProxy(t *testing.T, target string) *httputil.ReverseProxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { // the other side is down
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

// frontProxy is the web server before the gateway, where notices and payers arrive. It counts the notices.
type frontProxy struct {
	url string

	mu    sync.Mutex
	tries int
	acked map[string]int // successes told, by the notice's id
	told  []string       // out_trade_no of each payment whose notice was told success, where it can be read
	came  map[string]int // tries, by the notice's id
}

func newFrontProxy(t *testing.T, target string) *frontProxy {
	t.Helper()
	f := &frontProxy{acked: map[string]int{}, came: map[string]int{}}
	forward := reverseProxy(t, target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			forward.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		forward.ServeHTTP(answer, r)
		f.count(body, answer.Code, answer.Body.String())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// count notes a notice: WeChat's is JSON with an id and wants a 2xx, Alipay's a form with a notify_id and wants the
// word success.
func (f *frontProxy) count(body []byte, status int, reply string) {
	var notice struct{ ID string }
	ok := status/100 == 2
	var orders []string
	if json.Unmarshal(body, &notice) != nil {
		form, _ := url.ParseQuery(string(body))
		notice.ID, ok = form.Get("notify_id"), reply == "success"
		if form.Get("trade_status") == "TRADE_SUCCESS" {
			orders = form["out_trade_no"]
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	f.came[notice.ID]++
	if ok {
		f.acked[notice.ID]++
		f.told = append(f.told, orders...)
	}
}
