// Package node builds a whole process out of the rooms and runs it: servers, loops, waking, drain. It is the only
// place, next to the store's writer, that starts goroutines and reads the wall clock.
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/config"
	"piaohao/internal/gateway"
	"piaohao/internal/id"
	"piaohao/internal/logs"
	"piaohao/internal/store"
	"piaohao/internal/web/httpx"
	"piaohao/internal/webhook"
)

// Sizes of the machine room.
const (
	attemptLoops  = 4
	deliveryLoops = 4
	noticeLoops   = 4 // of the built-in simulator
	drainTime     = 10 * time.Second
	refreshGap    = time.Minute // between two fetches of a platform's keys
)

// server is one listener with its handler.
type server struct {
	name     string
	variable string // the setting that moves it
	listener net.Listener
	http     *http.Server
}

// Node is a built process; Run runs it.
type Node struct {
	config config.Config
	log    *slog.Logger
	logs   *logs.Logs // what log writes to
	now    func() time.Time
	// ownClock: now is not the wall's, so that no database's clock is held against it.
	ownClock bool
	ids      *id.Maker
	keys     testKeys // of test mode
	// platforms calls them; it follows no redirect.
	platforms *http.Client
	// certified makes one that shows a certificate.
	certified func(tls.Certificate) *http.Client
	db        *store.DB
	gateway   *gateway.Gateway
	sender    *webhook.Sender
	sim       simulator
	servers   []server
	closers   []func() error
	drain     chan struct{} // closed when the drain begins: live pages end
}

// simulator is what node needs of the simulator that it runs itself.
type simulator interface {
	Step(ctx context.Context) (time.Time, error)
	Woken() <-chan struct{}
}

// listen takes the port first, so that a taken one is the first thing a person hears of.
func (n *Node) listen(name, variable, addr string, h http.Handler) error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: port %s is taken by another program; stop that program, or set %s to another address", name, addr, variable)
	}
	if err != nil {
		return fmt.Errorf("%s: cannot listen on %s (set %s): %w", name, addr, variable, err)
	}
	n.closers = append(n.closers, func() error { return ignoreClosed(l.Close()) })
	n.servers = append(n.servers, server{name: name, variable: variable, listener: l, http: httpx.NewServer(h, n.log)})
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// dataDir makes the data folder, readable by its owner only, and proves that it can be written.
func dataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the data folder %s (set DATA_DIR to a folder that can be written): %w", dir, err)
	}
	probe := filepath.Join(dir, ".writable")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		return fmt.Errorf("cannot write in the data folder %s (set DATA_DIR to a folder that can be written): %w", dir, err)
	}
	return os.Remove(probe)
}

// Close lets go of everything that New took, newest first.
func (n *Node) Close() error {
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs = append(errs, n.closers[i]())
	}
	n.closers = nil
	return errors.Join(errs...)
}

// Run serves until ctx ends, then drains for at most drainTime: requests and steps under way finish.
func (n *Node) Run(ctx context.Context) error {
	live, stop := context.WithCancel(ctx)
	defer stop()
	// Steps and requests outlive the signal: they get a context that ends only with the drain.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	failed := make(chan error, len(n.servers))
	for _, s := range n.servers {
		s.http.BaseContext = func(net.Listener) context.Context { return work }
		go func() { failed <- s.http.Serve(s.listener) }()
	}
	l := &loops{now: n.now, log: n.log}
	if err := n.startLoops(live, work, l); err != nil {
		return err
	}
	var err error
	select {
	case <-ctx.Done():
		n.log.Info("stopping", "drain_s", drainTime.Seconds())
	case err = <-failed:
	}
	stop()
	close(n.drain)
	drained, done := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer done()
	for _, s := range n.servers {
		err = errors.Join(err, s.http.Shutdown(drained))
	}
	idle := make(chan struct{})
	go func() { l.wg.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-drained.Done():
		cut()
		<-idle
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// startLoops starts every stepper. live ends with the signal and stops the loops between two steps; work is what the
// steps themselves run under.
func (n *Node) startLoops(live, work context.Context, l *loops) error {
	under := func(do step) step {
		return func(context.Context) (time.Time, error) { return do(work) }
	}
	if n.sim != nil {
		l.run(live, noticeLoops, job{name: "simulator", bell: n.sim.Woken(), do: under(n.sim.Step)})
	}
	if n.gateway == nil {
		return nil
	}
	if err := n.gateway.StartTail(work); err != nil {
		return err
	}
	if !n.ownClock {
		l.always(live, "clock", clockEvery, under(l.watchClock(n.db.Clock)))
	}
	bells := n.db.Bells()
	l.run(live, attemptLoops, job{"attempts", bells.Attempts, under(n.gateway.NextAttempt), under(n.gateway.StepAttempt)})
	l.run(live, 1, job{"refunds", bells.Refunds, under(n.gateway.NextRefund), under(n.gateway.StepRefund)})
	l.run(live, 1, job{name: "expiry", do: under(n.gateway.StepExpiry)})
	l.run(live, deliveryLoops, job{"deliveries", bells.Deliveries, under(n.sender.Next), under(n.sender.Step)})
	l.always(live, "exchanges", exchangesEvery, under(n.gateway.StepExchanges))
	for _, a := range n.gateway.Accounts {
		if r, ok := a.Channel.(channel.Refresher); ok {
			l.wg.Go(func() { n.refresh(live, work, a.ID, r) })
		}
	}
	l.wg.Go(func() { n.tail(live, work) })
	return nil
}

// tail follows the events: woken by local commits, else each tailSleep.
func (n *Node) tail(live, work context.Context) {
	committed := n.db.Committed()
	for live.Err() == nil {
		told, err := n.gateway.StepTail(work)
		if err != nil {
			n.log.Error("tail failed", "cause", err)
			sleep(live, longestPause, nil)
			continue
		}
		if told == 0 {
			sleep(live, tailSleep, committed)
		}
	}
}

// refresh lets a channel fetch what it verifies with, when it says so and at the soonest after refreshGap.
func (n *Node) refresh(live, work context.Context, account string, r channel.Refresher) {
	for live.Err() == nil {
		next, err := r.Refresh(work)
		if err != nil {
			n.log.Error("the platform's keys could not be fetched", "account", account, "cause", err)
		}
		sleep(live, max(refreshGap, next.Sub(n.now())), nil)
	}
}
