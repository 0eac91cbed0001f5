package storm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
	"piaohao/internal/store"
	"piaohao/internal/webhook"
)

// Bounds of one run. Reaching one is a failure: work without end.
const (
	maxTurns = 300_000
	maxHeal  = 200 * time.Hour // a webhook's last pauses alone are 24 h
	maxSkew  = 2 * time.Second // between two nodes; one that is farther from the database's clock stops claiming (internal/node)
)

// faults are percentages of what can go wrong, drawn for each seed. The zero value is fair weather.
type faults struct {
	limited, fails, lost float64 // of a call: a rate answer, no effect, effect without an answer
	declined, early      float64 // a signed no to an order; a close refused as too early
	dropped, doubled     float64 // of a try of a notice
	delayed              float64
	delay                time.Duration
	forged, wrong        float64 // of a try: its signature does not hold; it is signed and names another amount
	shopFails, shopLost  float64 // of a webhook
	short, spoilt        float64 // of a refund: the balance does not cover it; it ends otherwise than well
	ghost                float64 // of paying a closed order: the money goes through
	freeze               float64 // of a pause: the task stands still for up to a minute
	tick                 float64 // of a turn: the clock goes on although there is work
	kill, jump           float64 // of a turn: a node dies; the clock jumps by hours
	commit               float64 // of a commit: the database refuses it
	skew                 float64 // of a turn: a node's clock is set, within what nodes accept, forwards or back
}

// weather draws the faults of a seed: each kind is absent in some seeds and heavy in others.
func weather(r *rand.Rand) faults {
	some := func(most float64) float64 {
		if r.IntN(3) == 0 {
			return 0
		}
		return r.Float64() * most
	}
	return faults{
		limited: some(10), fails: some(25), lost: some(25), declined: some(8), early: some(30),
		dropped: some(70), doubled: some(30), delayed: some(60), delay: time.Duration(1+r.IntN(25*60)) * time.Minute,
		forged: some(10), wrong: some(10), shopFails: some(60), shopLost: some(30),
		short: some(30), spoilt: some(15), ghost: some(60),
		freeze: some(4), tick: some(20), kill: some(0.6), jump: some(0.05),
		commit: some(10), skew: some(2),
	}
}

// storm is one run.
type storm struct {
	seed   uint64
	rand   *rand.Rand
	faults faults
	land   land
	dsn    string
	db     *store.DB
	nodes  []*node

	tasks   []*running
	cur     *task
	settled time.Time // deadlines up to here have fired
	dirty   bool      // dues may have moved
	dues    dues

	actions  []*action
	orders   []*order
	codeLife time.Duration

	late    bool // the policy: late money pays a closed payment
	ids     int
	count   int
	steps   int
	sum     hash.Hash
	trace   io.Writer // nil: nobody reads it
	began   time.Time
	lied    bool // a signed notice named another amount
	heard   []delivery
	broken  []string
	seen    map[pay.EventType]int
	weather faults // as drawn; faults is zero once healed
}

// dues is when the database next wants each kind of step.
type dues struct{ attempt, refund, expiry, delivery time.Time }

// delivery is a webhook as the shop received it.
type delivery struct{ id, body string }

// node is one process: its gateway and sender, and how many of its steps run.
type node struct {
	name    string
	dead    bool
	gateway *gateway.Gateway
	sender  *webhook.Sender
	behind  bool          // its tail has something to read
	skew    time.Duration // of its clock
	busy    [5]int
}

// The steps of a node, and how many of each run at once. The tail has one goroutine.
const (
	stepAttempt = iota
	stepRefund
	stepExpiry
	stepDelivery
	stepTail
)

var atOnce = [...]int{stepAttempt: 2, stepRefund: 2, stepExpiry: 1, stepDelivery: 2, stepTail: 1}

const shopID, secretText = "shop", "whsec_c3Rvcm0tc3Rvcm0tc3Rvcm0tc3Rvcm0tc3Rvcm0="

// newStorm builds the system of a seed on the database at dsn. On the wire it meets the simulators.
func newStorm(seed uint64, dsn string, wire bool, trace io.Writer) (*storm, error) {
	s := &storm{
		seed: seed, dsn: dsn, rand: rand.New(rand.NewPCG(seed, 0)), sum: sha256.New(), trace: trace, dirty: true,
		seen: map[pay.EventType]int{},
	}
	s.weather = weather(s.rand)
	s.late = s.rand.IntN(3) == 0
	s.codeLife = []time.Duration{5 * time.Minute, 2 * time.Hour}[s.rand.IntN(2)]
	s.began = s.now()
	var err error
	commits.Store(dsn, s)
	s.db, err = store.Open(context.Background(), store.Options{
		DSN: dsn, Mode: "test", Now: s.clock, Log: slog.New(listener{s}), AllowUnsafe: true,
	})
	if err != nil {
		return nil, err
	}
	if wire {
		s.land, err = newWire(s)
	} else {
		s.land = newPlain(s)
	}
	if err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	for i := range 2 {
		s.nodes = append(s.nodes, s.newNode(i))
	}
	return s, s.furnish()
}

func (s *storm) newNode(i int) *node {
	n := &node{name: fmt.Sprintf("node%d", i), behind: true}
	log := slog.New(listener{s})
	n.gateway = gateway.New(gateway.Config{
		DB: s.db, Accounts: s.land.accounts(n), PublicURL: "http://gateway.test", Now: s.clock, NewID: s.id,
		NewToken: func() string { return s.id("token") }, Log: log, AcceptLate: s.late,
	})
	n.sender = &webhook.Sender{DB: s.db, HTTP: shopDoor{s}, Now: s.clock, Rand: s.rand.Int64N, Log: log}
	return n
}

// furnish writes accounts, shop and endpoint as a node does at its start.
func (s *storm) furnish() error {
	ctx := context.Background()
	rate := []int{1000, 1000, 2}[s.rand.IntN(3)]
	var errs []error
	for _, a := range s.nodes[0].gateway.Accounts {
		errs = append(errs, s.db.UpsertAccount(ctx, store.AccountRow{
			ID: a.ID, Channel: a.Info.Channel, Method: a.Info.Method, AppID: a.AppID, MerchantID: a.MerchantID, RatePerSecond: rate,
		}))
	}
	return errors.Join(append(errs,
		s.db.UpsertShop(ctx, store.Shop{ID: shopID, Name: shopID}),
		s.db.UpsertEndpoint(ctx, store.Endpoint{ID: "whep_1", Shop: shopID, URL: "http://shop.test/hook", Secret: secret.New(secretText)}),
	)...)
}

// id makes ids in order: 26 letters like the real ones.
func (s *storm) id(prefix string) string {
	s.ids++
	text := fmt.Sprintf("%026d", s.ids)
	if prefix == "" {
		return text
	}
	return prefix + "_" + text
}

// run lets the storm rage until everybody has done what he wanted to, then heals it and waits until nothing is due.
func (s *storm) run() {
	s.plan()
	s.faults = s.weather
	for range maxTurns {
		if len(s.actions) == 0 && !s.requests() {
			break
		}
		if s.chance(s.faults.kill) {
			s.kill(s.rand.IntN(len(s.nodes)))
		}
		if s.chance(s.faults.jump) {
			s.sleep(s.between(time.Minute, 26*time.Hour))
			s.note("clock", "jumped")
		}
		if s.chance(s.faults.skew) { // half of it each way: two nodes differ by no more than a node accepts
			s.nodes[s.rand.IntN(len(s.nodes))].skew = s.between(-maxSkew/2, maxSkew/2)
		}
		if !s.turn() {
			break
		}
	}
	s.faults = faults{}
	for _, n := range s.nodes {
		n.skew = 0
	}
	s.land.calm()
	for _, t := range s.tasks {
		t.frozen = time.Time{}
	}
	s.note("weather", "clears")
	healed := s.now()
	for range maxTurns {
		if !s.turn() {
			return
		}
		if s.now().Sub(healed) > maxHeal {
			break
		}
	}
	s.breaks("I-08", "still something due after %v and %d steps", s.now().Sub(healed), s.steps)
}

// requests reports whether a shop or payer still waits for an answer.
func (s *storm) requests() bool {
	for _, t := range s.tasks {
		if strings.HasPrefix(t.name, "req ") {
			return true
		}
	}
	return false
}

// stop ends what is left of a run that broke off, and closes the database.
func (s *storm) stop() error {
	for i := range s.nodes {
		s.kill(i)
	}
	for len(s.tasks) > 0 {
		s.resume(s.tasks[0])
	}
	commits.Delete(s.dsn)
	return s.db.Close()
}

// stepsDue adds the steps that a node or a platform could do now to can, and returns when there will be another.
func (s *storm) stepsDue(now time.Time, can *[]func()) (next time.Time) {
	if s.dirty && (len(*can) == 0 || s.chance(30)) { // an old look only costs steps that find nothing
		s.look()
	}
	for kind, due := range []time.Time{stepAttempt: s.dues.attempt, stepRefund: s.dues.refund, stepExpiry: s.dues.expiry, stepDelivery: s.dues.delivery} {
		if due.IsZero() || due.After(now) {
			next = sooner(next, due)
			continue
		}
		for _, n := range s.nodes {
			if n.busy[kind] < atOnce[kind] {
				*can = append(*can, func() { s.step(n, kind) })
			}
		}
	}
	for _, n := range s.nodes {
		if n.behind && n.busy[stepTail] == 0 && (len(*can) == 0 || s.chance(20)) {
			*can = append(*can, func() { s.step(n, stepTail) })
		}
	}
	if due := s.land.due(); due.After(now) {
		next = sooner(next, due)
	} else if !due.IsZero() {
		*can = append(*can, func() { s.start("notice", nil, s.land.send, s.stirred) })
	}
	return next
}

// look asks the database what is due when.
func (s *storm) look() {
	var errs [4]error
	ctx, accounts := context.Background(), []string{}
	for _, a := range s.nodes[0].gateway.Accounts {
		accounts = append(accounts, a.ID)
	}
	s.dues.attempt, errs[0] = s.db.NextAttemptDue(ctx, accounts)
	s.dues.expiry, errs[1] = s.db.NextExpiry(ctx)
	s.dues.delivery, errs[2] = s.db.NextDeliveryDue(ctx)
	s.dues.refund, errs[3] = s.db.NextRefundDue(ctx, accounts)
	if err := errors.Join(errs[:]...); err != nil {
		s.breaks("I-19", "looking for work: %v", err)
	}
	s.dirty = false
}

// stirred says that something may have been committed.
func (s *storm) stirred() {
	s.dirty = true
	for _, n := range s.nodes {
		n.behind = true
	}
}

func (s *storm) step(n *node, kind int) {
	name := [...]string{"attempt", "refund", "expiry", "delivery", "tail"}[kind] + " " + n.name
	n.busy[kind]++
	idle := false
	s.start(name, n, func() {
		ctx, count := context.Background(), 1
		var err error
		switch kind {
		case stepAttempt:
			_, err = n.gateway.StepAttempt(ctx)
		case stepRefund:
			_, err = n.gateway.StepRefund(ctx)
		case stepExpiry:
			_, err = n.gateway.StepExpiry(ctx)
		case stepDelivery:
			_, err = n.sender.Step(ctx)
		case stepTail:
			count, err = n.gateway.StepTail(ctx)
		}
		if err != nil && !refusedCommit(err) {
			s.breaks("I-19", "%s: %v", name, err)
		}
		idle = count == 0
	}, func() {
		n.busy[kind]--
		if kind == stepTail {
			s.dirty, n.behind = true, !idle
			return
		}
		s.stirred()
	})
}

// deliverNotice carries a platform's notice to a node; ok is false when no answer came back.
func (s *storm) deliverNotice(path string, header http.Header, body []byte) (reply channel.Reply, ok bool) {
	s.pause("notice goes")
	n := s.nodes[s.rand.IntN(len(s.nodes))]
	lived := s.on(n, func() {
		reply = n.gateway.Notice(context.Background(), path, header, "", body)
		s.note("notice on "+n.name, string(body[:min(len(body), 60)]), reply.Body)
	})
	return reply, lived && !s.chance(s.faults.dropped/4) // its answer can be lost too
}

// shopDoor is the shop's webhook endpoint.
type shopDoor struct{ s *storm }

// RoundTrip implements http.RoundTripper.
func (d shopDoor) RoundTrip(r *http.Request) (*http.Response, error) {
	s := d.s
	s.pause("webhook goes")
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if s.chance(s.faults.shopFails) {
		status = http.StatusInternalServerError
	} else {
		s.heard = append(s.heard, delivery{r.Header.Get("Webhook-Id"), string(body)})
	}
	s.pause("webhook comes")
	if s.chance(s.faults.shopLost) {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
}

// listener hears what the system logs: an error that nothing in the storm explains is a finding.
type listener struct{ s *storm }

func (listener) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (h listener) WithAttrs([]slog.Attr) slog.Handler         { return h }
func (h listener) WithGroup(string) slog.Handler              { return h }
func (h listener) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	if h.s.lied && strings.Contains(text, pay.IncidentAmount) || strings.Contains(text, commitHookText) {
		return nil
	}
	h.s.breaks("I-19", "logged: %s", text)
	return nil
}

// note is a line of the trace.
func (s *storm) note(who string, what ...string) {
	line := fmt.Sprintf("%11.3f %s: %s\n", s.now().Sub(s.began).Seconds(), who, strings.Join(what, " "))
	_, _ = io.WriteString(s.sum, line) // a hash never fails
	if s.trace != nil {
		_, _ = io.WriteString(s.trace, line)
	}
}

// breaks records a broken invariant.
func (s *storm) breaks(id, format string, args ...any) {
	text := id + " " + fmt.Sprintf(format, args...)
	s.note("BROKEN", text)
	s.broken = append(s.broken, text)
}

// digest is one text for everything that happened.
func (s *storm) digest() string { return hex.EncodeToString(s.sum.Sum(nil)) }
