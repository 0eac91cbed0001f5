// Package gateway holds the use cases: each loads a payment, lets pay.Decide decide, applies the Change, and only then
// tells anyone. Platforms are data and channels here; no name of one occurs.
package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/store"
	"piaohao/internal/view"
)

// Bounds of every use case.
const (
	maxStale = 8                // loads and decisions of one use case before it gives up
	lease    = 20 * time.Second // outlives the two platform calls that one claim may make
	inCall   = 8 * time.Second  // how long a request waits for a platform, or for the holder of a claim
)

// Account is one merchant number with its channel.
type Account struct {
	channel.Account
	Info      channel.Info
	Channel   channel.Channel
	NotifyURL string // told to the platform; "" = PublicURL and the platform's own path
	ReturnURL string // where payers of a payment without a return_url end; "" = our own page
	ReadOnly  bool   // its attempts are followed to their end; new ones go to another account of the method
	WalletURL string // test mode: prefix of the simulated wallet's address, the escaped code follows; "" in live mode
}

// Config is what a Gateway is made of.
type Config struct {
	DB        *store.DB
	Accounts  []Account // the first of a method that is not ReadOnly takes its new attempts
	PublicURL string    // origin that payers and platforms reach us under, no trailing slash
	Livemode  bool
	// ReturnOrigins are the origins a return_url may have; in test mode every loopback origin may too.
	ReturnOrigins []string
	// AcceptLate lets money for a closed payment pay it, unless its order has a newer payment; else it goes back.
	AcceptLate bool
	Now        func() time.Time
	NewID      func(prefix string) string // time-ordered
	NewToken   func() string              // ≥ 128 random bits, of [0-9a-z]
	Log        *slog.Logger
}

// Gateway is the use cases over one database. Safe for concurrent use; New starts nothing.
type Gateway struct {
	Config
	ids       []string // account ids, for claims
	byPath    map[string][]Account
	platforms []Platform
	watchers  watchers
	arrivals  arrivals
	hints     arrivals // by refund
	refusals  refusals
	exchanges exchanges
	merchants merchants
	tail      int64 // events up to this pos were told to watchers; only StepTail uses it
}

// New builds a Gateway.
func New(c Config) *Gateway {
	g := &Gateway{Config: c, byPath: map[string][]Account{}}
	for _, a := range c.Accounts {
		g.ids = append(g.ids, a.ID)
		for _, path := range notifyPaths(a) {
			g.byPath[path] = append(g.byPath[path], a)
		}
	}
	g.platforms = platformsOf(c.Accounts)
	return g
}

// notifyPaths are the guide's path, shared by the accounts of a platform, the one that is told to the platform, and one
// of the account alone.
func notifyPaths(a Account) []string {
	paths := []string{a.Info.NotifyPath}
	if u, err := url.Parse(a.NotifyURL); err == nil && u.Path != "" && u.Path != a.Info.NotifyPath {
		paths = append(paths, u.Path)
	}
	return append(paths, a.Info.NotifyPath+"/"+a.ID)
}

// Platforms is what the web layer mounts, one per method. The slice is the Gateway's.
func (g *Gateway) Platforms() []Platform { return g.platforms }

func platformsOf(accounts []Account) []Platform {
	var out []Platform
	index := map[string]int{}
	for _, a := range accounts {
		i, seen := index[a.Info.Method]
		if !seen {
			i = len(out)
			index[a.Info.Method] = i
			out = append(out, Platform{
				Method: a.Info.Method, BrowserMark: a.Info.BrowserMark, FormHosts: a.Info.FormHosts,
			})
		}
		for _, path := range notifyPaths(a) {
			if !slices.Contains(out[i].NotifyPaths, path) {
				out[i].NotifyPaths = append(out[i].NotifyPaths, path)
			}
		}
	}
	return out
}

func (g *Gateway) account(id string) *Account {
	for i := range g.Accounts {
		if g.Accounts[i].ID == id {
			return &g.Accounts[i]
		}
	}
	return nil
}

func (g *Gateway) accountFor(method string) *Account {
	for i := range g.Accounts {
		if g.Accounts[i].Info.Method == method && !g.Accounts[i].ReadOnly {
			return &g.Accounts[i]
		}
	}
	return nil
}

// errLostClaim says that another node has taken the claim over: what we learnt under it is not written.
var errLostClaim = errors.New("the claim was lost")

// outcome is what a decision came to.
type outcome struct {
	payment pay.Payment
	verdict pay.Verdict
	// incident is set with Quarantine, and not stored yet.
	incident *pay.Incident
}

// decide runs Decide → Apply on p, loading it again when somebody else was faster.
func (g *Gateway) decide(ctx context.Context, p pay.Payment, in pay.Input) (outcome, error) {
	for range maxStale {
		c, verdict := pay.Decide(p, in, g.Now(), g.NewID)
		if verdict != pay.Applied {
			out := outcome{payment: p, verdict: verdict}
			if len(c.Incidents) > 0 {
				out.incident = &c.Incidents[0]
			}
			return out, nil
		}
		err := g.apply(ctx, c)
		if err == nil {
			return outcome{payment: c.Payment, verdict: verdict}, nil
		}
		if o, late := in.(pay.Observation); late && o.AcceptLate && errors.Is(err, store.ErrOrderTaken) {
			o.AcceptLate = false // a newer payment of the order came between
			in = o
			continue
		}
		if errors.Is(err, store.ErrTransactionUsed) {
			return g.numberTaken(p, in), nil
		}
		// Whether it was written is in the database: what was decided already is then a duplicate.
		if !errors.Is(err, store.ErrStale) && !errors.Is(err, store.ErrUnknown) {
			return outcome{}, err
		}
		if p, err = g.DB.ToWrite().Payment(ctx, p.ID); err != nil {
			return outcome{}, err
		}
		if c.Fence != nil && !holds(p, *c.Fence) {
			return outcome{}, errLostClaim
		}
	}
	return outcome{}, &Error{Code: CodeBusy, Public: "too many changes at once; try again"}
}

// holds reports whether a fence's claim is still the newest of its row.
func holds(p pay.Payment, f pay.Fence) bool {
	if f.RefundID != "" {
		r := p.RefundByID(f.RefundID)
		return r != nil && r.Due.Tries == f.Tries
	}
	a := p.AttemptByID(f.AttemptID)
	return a != nil && a.Due.Tries == f.Tries
}

func (g *Gateway) apply(ctx context.Context, c pay.Change) error {
	var body view.Payment
	for i := range c.Events {
		e := &c.Events[i]
		e.ActedBy = operatorOf(ctx)
		if !e.Type.Public() {
			continue
		}
		if body.ID == "" {
			body = view.Of(c.Payment, g.cashierURL(c.Payment), nil)
		}
		text, err := view.EventBody(*e, body)
		if err != nil {
			return fmt.Errorf("event body: %w", err)
		}
		e.Body = text
	}
	return g.DB.Apply(ctx, c)
}

func (g *Gateway) numberTaken(p pay.Payment, in pay.Input) outcome {
	o, _ := in.(pay.Observation)
	return outcome{payment: p, verdict: pay.Quarantine, incident: &pay.Incident{
		ID: g.NewID("inc"), Account: o.Account, Kind: pay.IncidentNumberTaken, PaymentID: p.ID, At: g.Now(),
		Detail: "transaction " + o.TransactionID + " paid an attempt of another payment already",
	}}
}

// observe decides on what a platform said. raw is the message as it came, or nil when we asked.
func (g *Gateway) observe(ctx context.Context, p pay.Payment, o pay.Observation, raw []byte) (outcome, error) {
	if g.AcceptLate && o.State == pay.Paid && !p.IsPaid() {
		newest, err := g.DB.PaymentByOrder(ctx, p.Shop, p.OrderNo)
		if err != nil {
			return outcome{}, err
		}
		o.AcceptLate = newest.ID == p.ID
	}
	out, err := g.decide(ctx, p, o)
	if err != nil {
		return out, err
	}
	if out.verdict == pay.Quarantine {
		out.incident.Raw = raw
		out.incident.Digest = digest(out.incident, o, raw)
		isNew, err := g.DB.RecordIncident(ctx, *out.incident)
		if err != nil {
			return out, err
		}
		g.logQuarantined(ctx, o, out, isNew)
		return out, nil
	}
	g.logObserved(ctx, o, out)
	return out, nil
}

// digest makes a repeated message one incident; without a message the facts stand for it.
func digest(i *pay.Incident, o pay.Observation, raw []byte) string {
	if raw == nil {
		raw = fmt.Appendf(nil, "%s|%s|%s|%d|%s|%s", i.Kind, o.OutTradeNo, o.State, o.Amount, o.Currency, o.TransactionID)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func (g *Gateway) cashierURL(p pay.Payment) string {
	return g.PublicURL + "/payment/process/" + p.Token
}

func (g *Gateway) goURL(p pay.Payment, method string) string {
	return g.PublicURL + "/payment/go/" + p.Token + "/" + method
}

// notFound is the one answer to everything that is not there or not yours.
func notFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return &Error{Code: CodeNotFound, Public: "no such payment", Cause: err}
	}
	return err
}
