// Package bench measures the gateway beside what its parts cost bare, in the same run, and then holds every rule of the
// database that the run made against it: a fast run that breaks one has failed.
//
// The gateway is a process of its own, started over a copy of the same database at the same moment in every round; the
// floors are another one, so that neither pays for the callers, which are here. What is compared is CPU time for each
// operation: on a shared machine it says more than wall time.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"piaohao/internal/freeport"
)

// Sizes of a run.
const (
	slowPart    = 5     // one in so many operations where a private key is used for each
	earlier     = 20000 // payments that the database has before
	few         = 200   // notices that nobody else is beside, and pages
	idleFor     = 3 * time.Second
	restFor     = 10 * time.Minute // that nobody asks a platform about the fixtures
	webhookRate = 100              // notices a second
	share       = 0.7              // of the peak, at which latency is judged
)

// ladder are the shares of the peak of which the plot is made.
var ladder = []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1}

// Options of a run.
type Options struct {
	Program  string // this program, for its children
	Database string // "" = SQLite, or a postgres:// address whose user may make databases
	Unsafe   bool   // PostgreSQL may lose what it confirmed: its figures then stand for nothing
	Rounds   int    // medians are of this many
	Size     int    // operations of each kind in a round
	Rows     int64  // payments in the large database beside the usual one, 0 = there is none
	Watchers int    // pages that are open while notices arrive
	Told     func(what string, done, total int64)

	// Of tests, 0 and nil = as above.
	earlier int64
	few     int
	ladder  []float64
}

// bench is a run.
type bench struct {
	Options
	dir       string
	addr      string // the gateway's
	key       string // the default shop's
	at        time.Time
	town      *town
	databases *databases
	floors    *child
	fixture   map[string][]fixture // by way
	open      []payment            // that nobody pays
	samples   map[string][]float64 // of the rounds, by figure
	steps     []Step
}

// Run makes a whole run. The error says that there is no result, or which rules the run broke; the report comes with
// broken rules too.
func Run(ctx context.Context, o Options) (_ Report, err error) {
	o.earlier, o.few = cmp.Or(o.earlier, earlier), cmp.Or(o.few, few)
	if o.ladder == nil {
		o.ladder = ladder
	}
	if o.Rounds < 1 || o.Size < 2*o.few {
		return Report{}, fmt.Errorf("bench needs at least one round and %d operations", 2*o.few)
	}
	if _, err := ownCPU(); err != nil {
		return Report{}, err
	}
	b := &bench{Options: o, fixture: map[string][]fixture{}, samples: map[string][]float64{}}
	if b.dir, err = os.MkdirTemp("", "piaohao-bench-"); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.databases, err = openDatabases(b.dir, o.Database, o.Unsafe); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, b.databases.close()) }()
	if b.town, err = newTown(); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, b.town.close()) }()
	port, err := freeport.New()
	if err != nil {
		return Report{}, err
	}
	b.addr = "127.0.0.1:" + port
	if b.floors, err = b.startFloors(); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, b.floors.stop()) }()
	if err := b.measure(ctx); err != nil {
		return Report{}, err
	}
	return b.report(), nil
}

func (b *bench) measure(ctx context.Context) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for round := range b.Rounds {
		for _, part := range []struct {
			name string
			do   func(context.Context) error
		}{
			{"operations", b.operations}, {"alone", b.quiet}, {"webhooks", b.webhooks}, {"watchers", b.watched}, {"large", b.large},
		} {
			b.Told(fmt.Sprintf("round %d: %s", round+1, part.name), int64(round), int64(b.Rounds))
			if err := part.do(ctx); err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, part.name, err)
			}
		}
	}
	return b.climb(ctx)
}

// prepare makes the database that every round begins with: earlier payments, and for each way those whose notices are
// signed and not sent.
func (b *bench) prepare(ctx context.Context) error {
	const name = "fixture"
	if err := b.databases.create(ctx, name); err != nil {
		return err
	}
	g, err := b.startGateway(ctx, name)
	if err != nil {
		return err
	}
	if b.key, err = testKey(b.databases.folder(name)); err != nil {
		return errors.Join(err, g.stop())
	}
	if err := g.stop(); err != nil {
		return err
	}
	if err := b.databases.fill(ctx, name, 0, b.earlier, b.counted("earlier payments", b.earlier)); err != nil {
		return err
	}
	payments, codes := map[string][]payment{}, map[string][]string{}
	for _, way := range ways {
		if g, err = b.startGateway(ctx, name, wayOf(way)...); err != nil {
			return err
		}
		payments[way], codes[way], err = b.orders(ctx, way, b.Size, b.counted("payments by "+way, int64(b.Size)))
		if err = errors.Join(err, g.stop()); err != nil {
			return err
		}
	}
	if b.open, err = b.unpaid(ctx, name); err != nil {
		return err
	}
	for i, way := range slices.Backward(ways) { // the first one's notices are good for minutes only
		b.Told("notices by "+way, int64(len(ways)-1-i), int64(len(ways)))
		if b.fixture[way], err = b.pays(ctx, way, payments[way], codes[way]); err != nil {
			return err
		}
	}
	b.at = time.Now()
	if err := b.databases.rest(ctx, name, b.at.Add(restFor)); err != nil {
		return err
	}
	if b.Rows == 0 {
		return nil
	}
	if err := b.databases.restore(ctx, name, "many"); err != nil {
		return err
	}
	return b.databases.fill(ctx, "many", b.earlier, b.Rows, b.counted("more payments", b.Rows-b.earlier))
}

// unpaid makes payments whose pages are looked at: whoever looks makes us ask the platform, and these are open there.
func (b *bench) unpaid(ctx context.Context, name string) ([]payment, error) {
	g, err := b.startGateway(ctx, name)
	if err != nil {
		return nil, err
	}
	payments, took := made(b.few)
	_, err = load{addr: b.addr, calls: b.creates("unpaid", "wechat", b.few), callers: fixtureCallers, took: took}.run(ctx)
	return payments, errors.Join(err, g.stop())
}

// counted shows how far something is.
func (b *bench) counted(what string, total int64) func(int64) {
	var done atomicCount
	return func(n int64) { b.Told(what, done.add(n), total) }
}

// warmed is over with a gateway that has already taken some notices: its connections are open and its statements known.
func (b *bench) warmed(ctx context.Context, from string, env []string, do func(g *child) (expected, error)) error {
	first := b.fixture[alipay][b.few : 2*b.few]
	return b.over(ctx, from, env, func(g *child) (expected, error) {
		if _, err := (load{addr: b.addr, calls: b.notices(first), callers: callers}).run(ctx); err != nil {
			return expected{}, fmt.Errorf("warming up: %w", err)
		}
		if _, err := g.settle(ctx); err != nil { // their webhooks are on their way
			return expected{}, err
		}
		want, err := do(g)
		want.paid = slices.Concat(want.paid, first)
		return want, err
	})
}

// over restores a database, runs the gateway over it, and afterwards holds every rule against it.
func (b *bench) over(ctx context.Context, from string, env []string, do func(g *child) (expected, error)) error {
	const name = "work"
	if err := b.databases.restore(ctx, from, name); err != nil {
		return err
	}
	g, err := b.startGateway(ctx, name, env...)
	if err != nil {
		return err
	}
	want, err := do(g)
	_, settled := g.settle(ctx)
	if err := errors.Join(err, settled, g.stop()); err != nil {
		return fmt.Errorf("%w\n%s", err, b.lastWords())
	}
	return b.verify(ctx, name, want)
}

// add keeps a sample of a figure.
func (b *bench) add(name string, value float64) { b.samples[name] = append(b.samples[name], value) }

// used runs a load and keeps what it cost the child, in µs of CPU for each call, and how many calls it took a second.
func (b *bench) used(ctx context.Context, name string, c *child, l load) error {
	before, err := c.settle(ctx)
	if err != nil {
		return err
	}
	l.addr = c.addr
	if l.callers == 0 {
		l.callers = callers
	}
	out, err := l.run(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	after, err := c.settle(ctx)
	b.add(name, float64((after-before).Nanoseconds())/1000/float64(out.calls))
	b.add(name+" rate", out.rate())
	return err
}

// beside measures a load at the gateway and the same calls at a bare handler that answers the same.
func (b *bench) beside(ctx context.Context, name string, g *child, l load, bare answer) error {
	if err := b.used(ctx, name, g, l); err != nil {
		return err
	}
	first := line{addr: g.addr}
	defer first.close()
	if bare.Body == "" && bare.Status == 0 { // what the gateway answers to the same call
		header, err := first.do(ctx, l.calls[0])
		if err != nil {
			return err
		}
		bare.Status, bare.Type, bare.Body = l.calls[0].status, header.Get("Content-Type"), first.body.String()
	}
	if err := b.floors.ask(ctx, "/floor/answer", bare, nil); err != nil {
		return err
	}
	calls := slices.Clone(l.calls)
	for i := range calls {
		calls[i].body = ""
	}
	return b.used(ctx, "bare "+name, b.floors, load{calls: calls})
}

// did asks the floors for a job and keeps what it cost.
func (b *bench) did(ctx context.Context, name string, j job) (measured, error) {
	var m measured
	if err := b.floors.ask(ctx, "/floor/job", j, &m); err != nil {
		return m, fmt.Errorf("%s: %w", name, err)
	}
	b.add(name, float64(m.CPU.Nanoseconds())/1000/float64(j.Times))
	b.add(name+" rate", float64(j.Times)/m.Wall.Seconds())
	return m, nil
}

// median is of the rounds' samples.
func (b *bench) median(name string) float64 { return median(b.samples[name]) }

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if len(v) == 0 {
		return 0
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
