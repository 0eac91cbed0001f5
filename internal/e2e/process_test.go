package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"piaohao/internal/freeport"
	"piaohao/internal/store/storetest"
)

const (
	startWithin = 30 * time.Second // on a busy machine; alone it takes one
	stopWithin  = 10 * time.Second // what a drain may take at most
)

var update = flag.Bool("update", false, "write the pictures of docs/images anew")

// program is the built binary.
var program string

// atOnce are the tests that run at once, unless -parallel says otherwise: most wait for a lease or for a process.
const atOnce = "6"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "piaohao-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "piaohao")
	build := exec.Command("go", "build", "-o", program, "piaohao/cmd/piaohao")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	defer stopBrowser()
	defer storetest.Stop()
	return m.Run()
}

// Program is the built binary, for the tests of the other package in this folder.
func Program() string { return program }

// process is the running binary. Its simulator and that one's cashier are two origins, both unlike the gateway's.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	ended  chan error
	stdout *record
	stderr *record

	gateway, sim, cashier, shop string // origins
	dir                         string // DATA_DIR
	key                         string // the default shop's, "" of a lone simulator
}

// settings are those of a process on free ports; later ones win.
func (p *process) settings(more ...string) []string {
	ports := []string{freeport.Port(p.t), freeport.Port(p.t), freeport.Port(p.t)}
	p.gateway = "http://127.0.0.1:" + ports[0]
	p.sim = "http://localhost:" + ports[1]
	p.cashier = "http://cashier.localhost:" + ports[1] // browsers know *.localhost without DNS
	p.shop = "http://127.0.0.1:" + ports[2]
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "DATA_DIR=" + p.dir,
		"LISTEN_ADDR=127.0.0.1:" + ports[0], "SIM_ADDR=127.0.0.1:" + ports[1], "DEMO_ADDR=127.0.0.1:" + ports[2],
		"SIM_PUBLIC_URL=" + p.sim, "SIM_CASHIER_URL=" + p.cashier,
	}, more...)
}

var (
	greetedServe = regexp.MustCompile(`Test key +(sk_test_\S+)\n(?s:.*)curl -s .*\n`)
	greetedSim   = regexp.MustCompile(`(Credentials) .*\n`)
)

// start runs a verb of the program in a data folder of its own and returns when it has greeted. The test stops it.
func start(t *testing.T, verb string, more ...string) *process {
	t.Helper()
	p := launch(t, verb, more...)
	greeting := greetedServe
	if verb == "sim" {
		greeting = greetedSim
	}
	select {
	case <-p.stdout.has(greeting):
	case err := <-p.ended:
		t.Fatalf("%s ended: %v\n%s", verb, err, p.stderr)
	case <-time.After(startWithin):
		t.Fatalf("%s did not greet within %s\n%s%s", verb, startWithin, p.stdout, p.stderr)
	}
	if verb == "serve" {
		p.key = greetedServe.FindStringSubmatch(p.stdout.String())[1]
	}
	t.Cleanup(p.stop)
	return p
}

// launch runs a verb and waits for nothing.
func launch(t *testing.T, verb string, more ...string) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir(), ended: make(chan error, 1), stdout: newRecord(), stderr: newRecord()}
	p.cmd = exec.Command(program, verb)
	p.cmd.Env = p.settings(more...)
	p.cmd.Dir = p.dir
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p
}

// launchOnly runs the program in a folder, with nothing but these variables, and waits for nothing.
func launchOnly(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, ended: make(chan error, 1), stdout: newRecord(), stderr: newRecord()}
	p.cmd = exec.Command(program)
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = env, dir, p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p
}

// stop asks the process to end, as a service manager does, and holds it to its word.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Errorf("SIGTERM: %v", err)
	}
	select {
	case err := <-p.ended:
		if err != nil {
			p.t.Errorf("after SIGTERM: %v\n%s", err, p.stderr)
		}
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		p.t.Errorf("still running %s after SIGTERM\n%s", stopWithin, p.stderr)
	}
}

// call is one request, by which no redirect is followed; header is name, value, and so on.
func call(t *testing.T, method, url, body string, header ...string) (status int, answer string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// record keeps what a process writes and tells who waits for a text.
type record struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed at the next write
}

func newRecord() *record { return &record{changed: make(chan struct{})} }

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// has is closed once the text matches.
func (r *record) has(pattern *regexp.Regexp) <-chan struct{} {
	found := make(chan struct{})
	go func() {
		for {
			r.mu.Lock()
			match, changed := pattern.MatchString(r.text.String()), r.changed
			r.mu.Unlock()
			if match {
				close(found)
				return
			}
			<-changed
		}
	}()
	return found
}
