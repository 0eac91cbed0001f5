package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of the load.
const (
	callers     = 64               // connections at once
	callTimeout = 30 * time.Second // of one request; a call that failed counts as one that took as long
	maxAnswer   = 1 << 20          // bytes
	digits      = 3                // significant, of a latency
)

// call is one request as it goes over the wire, and what its answer must be.
type call struct {
	raw    []byte
	status int
	body   string // the answer's body must have it
}

// newCall writes a request down.
func newCall(method, addr, path string, header http.Header, body []byte, status int, want string) call {
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		panic(err) // addresses and paths are ours
	}
	if header != nil {
		r.Header = header
	}
	var raw bytes.Buffer
	if err := r.Write(&raw); err != nil {
		panic(err) // into a buffer
	}
	return call{raw.Bytes(), status, want}
}

// line is one connection that is kept.
type line struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
	body bytes.Buffer // of the last answer
}

// do makes one call and returns the answer's header; body holds the rest of it until the next.
func (l *line) do(ctx context.Context, c call) (http.Header, error) {
	if l.conn == nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.addr)
		if err != nil {
			return nil, err
		}
		l.conn, l.in = conn, bufio.NewReader(conn)
	}
	header, err := l.exchange(c)
	if err != nil {
		l.close()
	}
	return header, err
}

func (l *line) exchange(c call) (http.Header, error) {
	if err := l.conn.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return nil, err
	}
	if _, err := l.conn.Write(c.raw); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // what counts was read
	l.body.Reset()
	if _, err := l.body.ReadFrom(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return nil, err
	}
	if resp.StatusCode != c.status || !bytes.Contains(l.body.Bytes(), []byte(c.body)) {
		request, _, _ := bytes.Cut(c.raw, []byte("\r\n"))
		return nil, fmt.Errorf("%s was answered %d %.200q", request, resp.StatusCode, l.body.Bytes())
	}
	return resp.Header, nil
}

func (l *line) close() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

// load is calls to make, each once.
type load struct {
	addr    string
	calls   []call
	callers int
	rate    float64 // calls per second at which they are meant to begin; 0: each caller makes the next when one has ended
	took    func(i int, header http.Header, body []byte) error
	done    func(n int64)
}

// outcome is what came of a load.
type outcome struct {
	calls   int
	failed  int64
	elapsed time.Duration
	latency *hdrhistogram.Histogram // µs from the moment at which a call was meant to begin
}

func (o outcome) rate() float64 { return float64(o.calls) / o.elapsed.Seconds() }

func (o outcome) ms(quantile float64) float64 {
	return float64(o.latency.ValueAtQuantile(quantile)) / 1000
}

func newLatency() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, callTimeout.Microseconds(), digits)
}

// run makes the calls. The error is the first call's that failed; the outcome counts all of them.
func (l load) run(ctx context.Context) (outcome, error) {
	out := outcome{calls: len(l.calls), latency: newLatency()}
	var next atomic.Int64
	var mu sync.Mutex
	var first error
	var wg sync.WaitGroup
	began := time.Now()
	for range l.callers {
		wg.Go(func() {
			mine, failed, err := l.caller(ctx, &next, began)
			mu.Lock()
			defer mu.Unlock()
			out.latency.Merge(mine)
			out.failed += failed
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	out.elapsed = time.Since(began)
	return out, errors.Join(first, ctx.Err())
}

// caller makes calls until none is left.
func (l load) caller(ctx context.Context, next *atomic.Int64, began time.Time) (*hdrhistogram.Histogram, int64, error) {
	latency, failed, first := newLatency(), int64(0), error(nil)
	to := line{addr: l.addr}
	defer to.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := next.Add(1) - 1; i < int64(len(l.calls)) && ctx.Err() == nil; i = next.Add(1) - 1 {
		start := time.Now()
		if l.rate > 0 {
			start = began.Add(time.Duration(float64(i) / l.rate * float64(time.Second)))
			if wait := time.Until(start); wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-ctx.Done():
					return latency, failed, first
				}
			}
		}
		header, err := to.do(ctx, l.calls[i])
		took := time.Since(start)
		if err == nil && l.took != nil {
			err = l.took(int(i), header, to.body.Bytes())
		}
		if err != nil {
			failed, took = failed+1, callTimeout
			if first == nil {
				first = err
			}
		}
		_ = latency.RecordValue(min(max(took.Microseconds(), 1), callTimeout.Microseconds())) // within its bounds
		if l.done != nil {
			l.done(1)
		}
	}
	return latency, failed, first
}
