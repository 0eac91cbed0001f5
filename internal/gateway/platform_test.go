package gateway_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/gateway"
	"piaohao/internal/id"
	"piaohao/internal/pay"
	"piaohao/internal/store"
	"piaohao/internal/store/storetest"
)

// platform is a scripted platform behind the channel seam: orders by number, and a say in what each call answers.
type platform struct {
	method   string
	lazy     bool
	merchant string // "" = none is configured, and answers name none

	mu      sync.Mutex
	orders  map[string]*order
	refunds map[string]*refund // by their number
	expired bool               // what it takes to send refunds
	balance pay.Fen            // that refunds are taken from; 0 = enough
	calls   []string
	// before runs at the start of a call, after at its end; an error of theirs is the answer. After an "after" error
	// the effect stands: the answer was lost.
	before, after func(op, no string) error
}

type order struct {
	state pay.State
	a     pay.Attempt
	tx    string
}

type refund struct {
	no     string // of its order
	amount pay.Fen
	status pay.RefundStatus
}

// CanRefund is false for a platform that knows no refunds, and for an account whose certificate has expired.
func (p *platform) CanRefund() bool { return p.refunds != nil && !p.expired }

// Refund returns money once for each number, and never more than was paid.
func (p *platform) Refund(_ context.Context, a pay.Attempt, r pay.Refund) (out pay.Observation, err error) {
	var refusal error
	err = p.do("refund", r.OutRefundNo, func() {
		var sum pay.Fen
		for _, other := range p.refunds {
			if other.no == a.OutTradeNo {
				sum += other.amount
			}
		}
		switch known := p.refunds[r.OutRefundNo]; {
		case known != nil && known.amount != r.Amount:
			refusal = fail(channel.Declined)
		case known != nil:
		case sum+r.Amount > p.orders[a.OutTradeNo].a.Amount:
			refusal = fail(channel.Declined)
		case p.balance > 0 && p.balance < r.Amount:
			refusal = fail(channel.Short)
		default:
			p.refunds[r.OutRefundNo] = &refund{no: a.OutTradeNo, amount: r.Amount, status: pay.RefundProcessing}
		}
		out = p.saidRefund(a, r)
	})
	if err == nil {
		err = refusal
	}
	return out, err
}

// QueryRefund tells it; asking is what ends a refund that was accepted, as a bank does meanwhile.
func (p *platform) QueryRefund(_ context.Context, a pay.Attempt, r pay.Refund) (out pay.Observation, err error) {
	err = p.do("query_refund", r.OutRefundNo, func() {
		if known := p.refunds[r.OutRefundNo]; known != nil && known.status == pay.RefundProcessing {
			known.status = pay.RefundSucceeded
		}
		out = p.saidRefund(a, r)
	})
	return out, err
}

func (p *platform) saidRefund(a pay.Attempt, r pay.Refund) pay.Observation {
	out := p.said(a, p.orders[a.OutTradeNo])
	out.Refund = &pay.RefundFact{OutRefundNo: r.OutRefundNo, Amount: r.Amount, Status: pay.RefundPending}
	if known := p.refunds[r.OutRefundNo]; known != nil {
		out.Refund.Amount, out.Refund.Status = known.amount, known.status
	}
	return out
}

// note is the wire form of a notice: Sig "good" stands for a signature that holds.
type note struct {
	No, App, Mch, Currency, Tx, Sig string
	State                           pay.State
	Amount                          pay.Fen
	Refund                          *pay.RefundFact
}

func (p *platform) do(op, no string, effect func()) error {
	p.mu.Lock()
	p.calls = append(p.calls, op+" "+no)
	before, after := p.before, p.after
	p.mu.Unlock()
	if before != nil {
		if err := before(op, no); err != nil {
			return err
		}
	}
	p.mu.Lock()
	effect()
	p.mu.Unlock()
	if after != nil {
		return after(op, no)
	}
	return nil
}

func fail(kind channel.Kind) error { return &channel.Error{Kind: kind, Op: "call", Code: "SCRIPTED"} }

func (p *platform) Open(_ context.Context, a pay.Attempt) (pay.Shape, error) {
	if p.lazy {
		return pay.Shape{Kind: pay.ShapeURL, Text: "https://platform.example/pay?no=" + a.OutTradeNo}, nil
	}
	var refusal error
	err := p.do("open", a.OutTradeNo, func() {
		o := p.orders[a.OutTradeNo]
		switch {
		case o == nil:
			p.orders[a.OutTradeNo] = &order{state: pay.Unpaid, a: a}
		case o.state == pay.Paid:
			refusal = fail(channel.AlreadyPaid)
		case o.state == pay.Closed:
			refusal = fail(channel.AlreadyClosed)
		case o.a.Subject != a.Subject || o.a.NotifyURL != a.NotifyURL || !o.a.ExpiresAt.Equal(a.ExpiresAt):
			refusal = fail(channel.Declined) // the same number with other parameters
		}
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return pay.Shape{}, err
	}
	return pay.Shape{Kind: pay.ShapeQR, Text: "code://" + a.OutTradeNo, Until: a.CreatedAt.Add(2 * time.Hour)}, nil
}

func (p *platform) said(a pay.Attempt, o *order) pay.Observation {
	out := pay.Observation{
		Channel: p.method, Account: p.method + "-1", AppID: "app", MerchantID: p.merchant, OutTradeNo: a.OutTradeNo, State: pay.Absent,
	}
	if o != nil {
		out.State = o.state
	}
	if out.State == pay.Paid {
		out.Amount, out.Currency, out.TransactionID, out.PaidAt = o.a.Amount, o.a.Currency, o.tx, o.a.CreatedAt.Add(time.Second)
	}
	return out
}

func (p *platform) Query(_ context.Context, a pay.Attempt) (out pay.Observation, err error) {
	err = p.do("query", a.OutTradeNo, func() { out = p.said(a, p.orders[a.OutTradeNo]) })
	out.Source = pay.FromQuery
	return out, err
}

func (p *platform) Close(_ context.Context, a pay.Attempt) (out pay.Observation, err error) {
	var refusal error
	err = p.do("close", a.OutTradeNo, func() {
		o := p.orders[a.OutTradeNo]
		switch {
		case o == nil:
		case o.state == pay.Paid:
			refusal = fail(channel.AlreadyPaid)
		default:
			o.state = pay.Closed
		}
		out = p.said(a, o)
	})
	out.Source = pay.FromClose
	if err == nil {
		err = refusal
	}
	return out, err
}

func (p *platform) Read(in channel.Inbound) (pay.Observation, error) {
	var n note
	err := json.Unmarshal(in.Body, &n)
	if err == nil && n.Sig == "none" { // of a kind that nobody signs
		return pay.Observation{
			Source: pay.FromNotice, Channel: p.method, Account: p.method + "-1", AppID: n.App, MerchantID: n.Mch, OutTradeNo: n.No,
			State: pay.Unknown, Hint: true,
		}, nil
	}
	if err != nil || n.Sig != "good" {
		return pay.Observation{}, &channel.Error{Kind: channel.Forged, Op: "read", Code: "signature"}
	}
	return pay.Observation{
		Source: pay.FromNotice, Channel: p.method, Account: p.method + "-1", AppID: n.App, MerchantID: n.Mch,
		OutTradeNo: n.No, State: n.State, Amount: n.Amount, Currency: n.Currency, TransactionID: n.Tx, Refund: n.Refund,
	}, nil
}

func (p *platform) Ack(ok bool) channel.Reply {
	if ok {
		return channel.Reply{Status: http.StatusOK, Body: "success"}
	}
	return channel.Reply{Status: http.StatusInternalServerError, Body: "fail"}
}

func (p *platform) Return(rawQuery string) (string, error) {
	if len(rawQuery) < 10 || rawQuery[:10] != "signed&no=" {
		return "", fail(channel.Forged)
	}
	return rawQuery[10:], nil
}

// pay settles an order at the platform, as a payer with a code does.
func (p *platform) pay(no, tx string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.orders[no].state, p.orders[no].tx = pay.Paid, tx
}

func (p *platform) state(no string) pay.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.orders[no]; o != nil {
		return o.state
	}
	return pay.Absent
}

func (p *platform) called() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.calls...)
}

func (p *platform) script(before, after func(op, no string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before, p.after = before, after
}

// world is a gateway over a real database, two scripted platforms and a clock that tests move.
type world struct {
	t    *testing.T
	g    *gateway.Gateway
	db   *store.DB
	qr   *platform // method "scan": a code at once
	link *platform // method "visit": lazy, a redirect
	now  atomic.Int64
	path string // of the database

	config gateway.Config // for another node on the same database
	opts   store.Options  // for another process on the same PostgreSQL
}

// newWorld makes the world; edit may change its accounts.
func newWorld(t *testing.T, edit ...func(accounts []gateway.Account) []gateway.Account) *world {
	t.Helper()
	dsn := storetest.NewLite(t, func(dsn string) error {
		db, err := store.Open(context.Background(), store.Options{DSN: dsn, Mode: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		return db.Close()
	})
	w := newWorldOn(t, dsn, edit...)
	w.path = strings.TrimPrefix(dsn, "sqlite:")
	return w
}

// newWorldOn makes the world on a database of any engine.
func newWorldOn(t *testing.T, dsn string, edit ...func(accounts []gateway.Account) []gateway.Account) *world {
	t.Helper()
	w := &world{t: t}
	w.now.Store(time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC).UnixMilli())
	ids := id.New(time.Now)
	w.opts = store.Options{DSN: dsn, Mode: "test", Now: w.clock, Log: slog.New(slog.DiscardHandler), AllowUnsafe: true}
	db, err := store.Open(t.Context(), w.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.db = db
	w.qr = &platform{method: "scan", merchant: "mch", orders: map[string]*order{}, refunds: map[string]*refund{}}
	w.link = &platform{method: "visit", lazy: true, merchant: "mch", orders: map[string]*order{}}
	accounts := []gateway.Account{
		w.account(w.qr, channel.Product{Name: "code", Shape: pay.ShapeQR, Phone: true, Desktop: true, Lifetime: 2 * time.Hour}),
		w.account(w.link, channel.Product{Name: "page", Shape: pay.ShapeURL, Lazy: true, Desktop: true},
			channel.Product{Name: "wap", Shape: pay.ShapeURL, Lazy: true, Phone: true}),
	}
	for _, f := range edit {
		accounts = f(accounts)
	}
	w.config = gateway.Config{
		DB: db, Accounts: accounts, PublicURL: "https://pay.example", ReturnOrigins: []string{"https://shop.example"},
		Now: w.clock, NewID: ids.ID, NewToken: id.Token, Log: slog.New(slog.DiscardHandler),
	}
	w.g = gateway.New(w.config)
	for _, s := range []string{"shop", "other"} {
		w.must(db.UpsertShop(t.Context(), store.Shop{ID: s, Name: s}))
	}
	for _, a := range accounts {
		w.must(db.UpsertAccount(t.Context(), store.AccountRow{
			ID: a.ID, Channel: a.Info.Channel, Method: a.Info.Method, AppID: a.AppID, MerchantID: a.MerchantID, RatePerSecond: 1000,
		}))
	}
	return w
}

func (w *world) account(p *platform, products ...channel.Product) gateway.Account {
	return gateway.Account{
		Account: channel.Account{ID: p.method + "-1", AppID: "app", MerchantID: "mch"}, Channel: p,
		Info: channel.Info{
			Channel: p.method, Method: p.method, NotifyPath: "/payment/" + p.method + "/notify", Products: products,
			Refunds: pay.RefundLimits{Most: 50, Gap: time.Minute, Window: 365 * 24 * time.Hour},
		},
	}
}

func (w *world) clock() time.Time { return time.UnixMilli(w.now.Load()).UTC() }

// advance moves the clock and works until nothing is due.
func (w *world) advance(d time.Duration) {
	w.t.Helper()
	w.now.Add(d.Milliseconds())
	for range 1000 {
		due := false
		for _, step := range []func(context.Context) (time.Time, error){w.g.StepExpiry, w.g.StepAttempt, w.g.StepRefund} {
			next, err := step(w.t.Context())
			w.must(err)
			due = due || (!next.IsZero() && !next.After(w.clock()))
		}
		if !due {
			w.must(w.tail())
			return
		}
	}
	w.t.Fatal("work without end")
}

func (w *world) tail() error {
	for range 1000 {
		n, err := w.g.StepTail(w.t.Context())
		if err != nil || n == 0 {
			return err
		}
	}
	return fmt.Errorf("tail without end")
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// create makes a payment of 128 yuan by a method ("" = none) and returns it as stored.
func (w *world) create(order, method string) pay.Payment {
	w.t.Helper()
	r, err := w.g.Create(w.t.Context(), gateway.CreateInput{Shop: "shop", OrderNo: order, Amount: 12800, Subject: "书", Method: method})
	w.must(err)
	return w.load(r.View.ID)
}

func (w *world) load(id string) pay.Payment {
	w.t.Helper()
	p, err := w.db.Payment(w.t.Context(), id)
	w.must(err)
	return p
}

// notice sends a notice about p's first attempt, edited, and returns the answer.
func (w *world) notice(p *platform, a pay.Attempt, tx string, edit func(*note)) channel.Reply {
	w.t.Helper()
	n := note{No: a.OutTradeNo, App: "app", Mch: "mch", Currency: "CNY", Tx: tx, Sig: "good", State: pay.Paid, Amount: a.Amount}
	if edit != nil {
		edit(&n)
	}
	body, err := json.Marshal(n)
	w.must(err)
	return w.g.Notice(w.t.Context(), "/payment/"+p.method+"/notify", http.Header{}, "", body)
}

// events counts the events of p by type.
func (w *world) events(p pay.Payment) map[pay.EventType]int {
	w.t.Helper()
	w.must(w.tail())
	all, err := w.db.Events(w.t.Context(), p.ID)
	w.must(err)
	out := map[pay.EventType]int{}
	for _, e := range all {
		out[e.Type]++
	}
	return out
}

// telling does the node's part, telling those who wait of every event, until the group is done.
func (w *world) telling(group *sync.WaitGroup) {
	w.t.Helper()
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	for {
		w.must(w.tail())
		select {
		case <-done:
			return
		default:
			runtime.Gosched()
		}
	}
}

// incidents counts what was quarantined or needs a person, as stored, by kind.
func (w *world) incidents() map[string]int {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.path+"?mode=ro")
	w.must(err)
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(w.t.Context(), "SELECT kind, COUNT(*) FROM incidents GROUP BY kind")
	w.must(err)
	defer func() { _ = rows.Close() }()
	out := map[string]int{}
	for rows.Next() {
		var kind string
		var n int
		w.must(rows.Scan(&kind, &n))
		out[kind] = n
	}
	w.must(rows.Err())
	return out
}
