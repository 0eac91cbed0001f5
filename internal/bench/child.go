package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"

	"piaohao/internal/channel/all"
	"piaohao/internal/config"
	"piaohao/internal/node"
)

// ChildVerb is the verb under which this program is its own child: the gateway that is measured, or the floors.
const ChildVerb = "bench-child"

// Bounds of a child.
const (
	startWithin = 30 * time.Second
	stopWithin  = 15 * time.Second // its drain included
	lookEvery   = time.Millisecond // while it starts
	quietFor    = 20 * time.Millisecond
	quietTries  = 250 // of quietFor
	quietCPU    = 200 * time.Microsecond
)

// childSpec is what a child is told, as JSON in its only argument.
type childSpec struct {
	Floor bool `json:"floor"` // else it is the gateway
	// At is where the gateway's clock starts, in Unix milliseconds: what was signed for that moment stays good.
	At int64 `json:"at"`
}

// Child runs one until stdin ends, which it does with the parent.
func Child(ctx context.Context, arg string, stdin io.Reader, stdout io.Writer) error {
	var spec childSpec
	if err := json.Unmarshal([]byte(arg), &spec); err != nil {
		return errors.New("this verb is for piaohao bench alone")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()
	if spec.Floor {
		return serveFloors(ctx, stdout)
	}
	return serveGateway(ctx, spec)
}

// serveGateway is piaohao serve with a clock of its own. It takes no real money.
func serveGateway(ctx context.Context, spec childSpec) error {
	c, err := config.Load(config.Source{Env: config.Environ(os.Environ()), Now: time.Now}, all.Drivers)
	if err != nil {
		return err
	}
	if c.Live {
		return errors.New("the settings are for real money")
	}
	began, at := time.Now(), time.UnixMilli(spec.At).UTC()
	n, err := node.New(ctx, c, node.Outside{Logs: os.Stderr, Now: func() time.Time { return at.Add(time.Since(began)) }})
	if err != nil {
		return err
	}
	return errors.Join(n.Run(ctx), n.Close())
}

// child is a running one.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan error
	addr  string // where it answers
	took  time.Duration
}

// startChild runs this program as a child with these settings and nothing else of the environment.
func (b *bench) startChild(spec childSpec, stdout io.Writer, env ...string) (*child, error) {
	arg, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(b.Program, ChildVerb, string(arg)) //nolint:gosec,noctx // this program itself; it ends with its stdin
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "ENV_FILE=" + config.Off}, env...)
	cmd.Dir = b.dir
	cmd.Stdout = stdout
	stderr, err := os.Create(b.dir + "/child.err")
	if err != nil {
		return nil, err
	}
	defer func() { _ = stderr.Close() }() // the child has its own
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a process of our own: %w", err)
	}
	c := &child{cmd: cmd, stdin: stdin, ended: make(chan error, 1)}
	go func() { c.ended <- cmd.Wait() }()
	return c, nil
}

// startFloors runs the floors; they say where they listen.
func (b *bench) startFloors() (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // one line was all
	c, err := b.startChild(childSpec{Floor: true}, w)
	_ = w.Close() // the child has its own
	if err != nil {
		return nil, err
	}
	addr, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the floors did not start: %s", b.lastWords()), c.stop())
	}
	c.addr = addr[:len(addr)-1]
	return c, nil
}

// startGateway runs the gateway over a database, at the moment of the fixtures, and waits for its first answer.
func (b *bench) startGateway(ctx context.Context, name string, more ...string) (*child, error) {
	spec := childSpec{At: b.at.UnixMilli()}
	if b.at.IsZero() {
		spec.At = time.Now().UnixMilli()
	}
	env := append(b.databases.settings(name),
		"LISTEN_ADDR="+b.addr, "PUBLIC_URL=http://"+b.addr, "SIM_ADDR=off", "SIM_PUBLIC_URL="+b.town.url, "DEMO_ADDR=off",
		"LOG_DIR="+b.databases.folder(name)+"/logs")
	began := time.Now()
	c, err := b.startChild(spec, nil, append(env, more...)...)
	if err != nil {
		return nil, err
	}
	c.addr = b.addr
	if err := c.answers(ctx, "/payment/health"); err != nil {
		return nil, errors.Join(fmt.Errorf("the gateway did not start: %w: %s", err, b.lastWords()), c.stop())
	}
	c.took = time.Since(began)
	return c, nil
}

// lastWords is what the newest child wrote.
func (b *bench) lastWords() string {
	text, _ := os.ReadFile(b.dir + "/child.err")
	return string(text[max(0, len(text)-1000):])
}

// answers waits for the first answer.
func (c *child) answers(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	first := newCall(http.MethodGet, c.addr, path, nil, nil, http.StatusOK, "")
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		l := line{addr: c.addr}
		_, err := l.do(ctx, first)
		l.close()
		if err == nil {
			return nil
		}
		select {
		case ended := <-c.ended:
			c.ended <- ended
			return fmt.Errorf("it ended: %w", cmpErr(ended))
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("without an error")
	}
	return err
}

// stop ends the child and waits for it.
func (c *child) stop() error {
	_ = c.stdin.Close()
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case err := <-c.ended:
		return err
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		return errors.Join(errors.New("a child did not stop in time"), <-c.ended)
	}
}

// cpu is the CPU time that the child has used so far.
func (c *child) cpu() (time.Duration, error) { return cpuOf(c.cmd.Process.Pid) }

// settle waits until the child has finished what the last calls left it to do, and returns its CPU time.
func (c *child) settle(ctx context.Context) (time.Duration, error) {
	tick := time.NewTicker(quietFor)
	defer tick.Stop()
	before, err := c.cpu()
	for range quietTries {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
		now, cpuErr := c.cpu()
		if err = errors.Join(err, cpuErr); err != nil || now-before < quietCPU {
			return now, err
		}
		before = now
	}
	return before, err
}
