package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"
)

type atomicCount struct{ n atomic.Int64 }

func (c *atomicCount) add(n int64) int64 { return c.n.Add(n) }

// operations measures each kind of operation at saturation, each beside its floors.
func (b *bench) operations(ctx context.Context) error {
	err := b.over(ctx, "fixture", nil, func(g *child) (expected, error) {
		want := expected{}
		b.add("start", float64(g.took.Microseconds())/1000)
		if err := b.idle(ctx, g); err != nil {
			return want, err
		}
		if err := b.status(ctx, g); err != nil {
			return want, err
		}
		for _, way := range ways {
			calls := b.notices(b.fixture[way])
			pattern := "POST " + b.fixture[way][0].letter.path
			if err := b.beside(ctx, "notice "+way, g, load{calls: calls}, answer{Pattern: pattern}); err != nil {
				return want, err
			}
			want.paid = append(want.paid, b.fixture[way]...)
		}
		if err := b.writes(ctx, g); err != nil {
			return want, err
		}
		if err := b.pages(ctx, g); err != nil {
			return want, err
		}
		peak, err := peakMemory(g.cmd.Process.Pid)
		b.add("memory", float64(peak)/(1<<20))
		return want, err
	})
	if err != nil {
		return err
	}
	return b.parts(ctx)
}

// idle is what the gateway costs while nothing happens.
func (b *bench) idle(ctx context.Context, g *child) error {
	before, err := g.settle(ctx)
	if err != nil {
		return err
	}
	timer := time.NewTimer(idleFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := g.cpu()
	b.add("idle", 100*(after-before).Seconds()/idleFor.Seconds())
	return err
}

// status is measured before anything is paid.
func (b *bench) status(ctx context.Context, g *child) error {
	calls := make([]call, b.Size)
	for i := range calls {
		id := b.open[i%len(b.open)].ID
		calls[i] = newCall(http.MethodGet, b.addr, "/v1/payments/"+id, b.asShop(), nil, http.StatusOK, id)
	}
	return b.beside(ctx, "status", g, load{calls: calls}, answer{Pattern: "GET /v1/payments/{id}"})
}

// pages is measured last: their payers are looked after from then on.
func (b *bench) pages(ctx context.Context, g *child) error {
	calls := make([]call, b.Size)
	for i := range calls {
		calls[i] = newCall(http.MethodGet, b.addr, pathOf(b.open[i%len(b.open)].CashierURL), nil, nil, http.StatusOK, "</html>")
	}
	return b.beside(ctx, "page", g, load{calls: calls}, answer{Pattern: "GET /payment/process/{token}", Template: true})
}

func (b *bench) writes(ctx context.Context, g *child) error {
	payments, took := made(b.Size)
	create := answer{Pattern: "POST /v1/payments", Type: "application/json", Status: http.StatusCreated}
	calls := b.creates("alipay", "alipay", b.Size)
	create.Body = b.bodyOf(ctx, g, calls[0]) // the first create is answered again with 200
	l := load{calls: calls[1:], took: func(i int, h http.Header, body []byte) error { return took(i+1, h, body) }}
	if err := b.beside(ctx, "create", g, l, create); err != nil {
		return err
	}
	slow := b.Size / slowPart
	if err := b.used(ctx, "create wechat", g, load{calls: b.creates("wechat", "wechat", slow)}); err != nil {
		return err
	}
	return b.used(ctx, "visit", g, load{calls: b.goLinks(payments[1 : slow+1])})
}

// bodyOf is what a call is answered; a call that fails is found by who makes it again.
func (b *bench) bodyOf(ctx context.Context, g *child, c call) string {
	l := line{addr: g.addr}
	defer l.close()
	if _, err := l.do(ctx, c); err != nil {
		return ""
	}
	return l.body.String()
}

// parts measures what operations are made of.
func (b *bench) parts(ctx context.Context) error {
	if err := b.databases.restore(ctx, "fixture", "floor"); err != nil {
		return err
	}
	dsn := b.databases.address("floor")
	var all []known
	for _, f := range b.fixture[v3] {
		all = append(all, f.known)
	}
	many, few := all[b.few:], all[:b.few]
	for _, j := range []struct {
		name string
		job  job
	}{
		{"sign", job{Kind: "sign", Times: max(b.Size/slowPart/2, 1)}},
		{"verify", job{Kind: "verify", Times: b.Size}},
		{"commit create", job{Kind: "create", Times: b.Size, DSN: dsn, Group: callers}},
		{"commit notice", job{Kind: "notice", Times: len(many), DSN: dsn, Group: callers, Known: many}},
	} {
		if _, err := b.did(ctx, j.name, j.job); err != nil {
			return err
		}
	}
	m, err := b.did(ctx, "commit alone", job{Kind: "notice", Times: len(few), DSN: dsn, Group: 1, Known: few})
	b.add("commit p50", float64(m.P50.Microseconds())/1000)
	return err
}

// quiet measures latency: of a notice that is alone, and at a share of the peak.
func (b *bench) quiet(ctx context.Context) error {
	return b.warmed(ctx, "fixture", nil, func(*child) (expected, error) {
		calls := b.notices(b.fixture[v3])
		out, err := load{addr: b.addr, calls: calls[:b.few], callers: 1}.run(ctx)
		if err != nil {
			return expected{}, err
		}
		b.add("notice p50", out.ms(50))
		b.add("notice to commit", out.ms(50)/max(b.last("commit p50"), 0.001))
		rate := share * b.last("notice "+v3+" rate")
		out, err = load{addr: b.addr, calls: calls[b.few:], callers: callers, rate: rate}.run(ctx)
		b.add("p99", out.ms(99))
		return expected{paid: b.fixture[v3]}, err
	})
}

// last is the newest sample of a figure.
func (b *bench) last(name string) float64 {
	s := b.samples[name]
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1]
}

// webhooks measures how long after the commit a webhook leaves: from the platform having our answer until the shop has it.
func (b *bench) webhooks(ctx context.Context) error {
	s, err := newSink()
	if err != nil {
		return err
	}
	defer s.close()
	fixtures := b.fixture[alipay][:b.few]
	return b.warmed(ctx, "fixture", []string{"WEBHOOK_URL=" + s.url, "WEBHOOK_SECRET=" + sinkSecret}, func(*child) (expected, error) {
		answered := make([]time.Time, len(fixtures))
		_, err := load{addr: b.addr, calls: b.notices(fixtures), callers: callers, rate: webhookRate, took: func(i int, _ http.Header, _ []byte) error {
			answered[i] = time.Now()
			return nil
		}}.run(ctx)
		if err != nil {
			return expected{}, err
		}
		late, err := s.after(ctx, fixtures, answered)
		b.add("webhook", late)
		return expected{paid: fixtures}, err
	})
}

// watched measures what notices cost while pages wait for them.
func (b *bench) watched(ctx context.Context) error {
	fixtures := b.fixture[v3]
	return b.over(ctx, "fixture", nil, func(g *child) (expected, error) {
		leave, err := watch(ctx, b.addr, fixtures, b.Watchers)
		if err != nil {
			return expected{}, err
		}
		defer leave()
		err = b.used(ctx, "watched notice", g, load{calls: b.notices(fixtures)})
		b.add("watchers", 100*(b.last("watched notice")/b.last("notice "+v3)-1))
		return expected{paid: fixtures}, err
	})
}

// watch opens pages' streams, each from an address of its own, and waits until each has said something.
func watch(ctx context.Context, addr string, fixtures []fixture, n int) (leave func(), err error) {
	var mu sync.Mutex
	var conns []net.Conn
	var reading sync.WaitGroup
	leave = func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
		reading.Wait()
	}
	_, err = together(n, fixtureCallers, func(i int) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		mu.Lock()
		conns = append(conns, conn)
		mu.Unlock()
		from := http.Header{"X-Forwarded-For": {fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)}}
		c := newCall(http.MethodGet, addr, "/payment/events/"+path.Base(fixtures[i%len(fixtures)].Page), from, nil, http.StatusOK, "")
		if _, err := conn.Write(c.raw); err != nil {
			return err
		}
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		stream := bufio.NewReader(resp.Body) // the connection's end is its end
		if _, err := stream.ReadString('\n'); err != nil || resp.StatusCode != http.StatusOK {
			return errors.Join(fmt.Errorf("a page's stream was answered %s", resp.Status), err, resp.Body.Close())
		}
		reading.Go(func() {
			_, _ = io.Copy(io.Discard, stream) // until we leave
			_ = resp.Body.Close()
		})
		return nil
	})
	if err != nil {
		leave()
	}
	return leave, err
}

// large measures notices in a database of many payments.
func (b *bench) large(ctx context.Context) error {
	if b.Rows == 0 {
		return nil
	}
	fixtures := b.fixture[v3]
	return b.over(ctx, "many", nil, func(g *child) (expected, error) {
		err := b.used(ctx, "notice of many", g, load{calls: b.notices(fixtures)})
		return expected{paid: fixtures, many: true}, err
	})
}

// climb goes up the ladder, which makes the plot.
func (b *bench) climb(ctx context.Context) error {
	peak := b.median("notice " + v3 + " rate")
	fixtures := b.fixture[v3]
	for i, part := range b.ladder {
		b.Told("plot", int64(i), int64(len(b.ladder)))
		rate := part * peak
		n := min(len(fixtures), max(int(rate*rungSeconds), b.few))
		err := b.warmed(ctx, "fixture", nil, func(*child) (expected, error) {
			out, err := load{addr: b.addr, calls: b.notices(fixtures[:n]), callers: callers, rate: rate}.run(ctx)
			b.steps = append(b.steps, Step{
				Offered: rate, Got: out.rate(), P50: out.ms(50), P99: out.ms(99), P999: out.ms(99.9), Max: float64(out.latency.Max()) / 1000,
			})
			return expected{sent: n}, err
		})
		if err != nil {
			return fmt.Errorf("plot at %.0f notices a second: %w", rate, err)
		}
	}
	return nil
}

const rungSeconds = 2
