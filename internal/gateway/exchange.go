package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/store"
)

// Bounds of what is remembered of exchanges until it is stored.
const (
	exchangeEvery = time.Second // how often they are stored: a flood costs a commit or two in this time
	maxExchanges  = 8192        // different ones in that time
	maxStrange    = 256         // of them, refused messages: anybody can send one
	maxWord       = 64          // bytes of a code, number or request id
)

// The outcomes of exchanges, beside the kinds of channel errors and the verdicts. They are stored: append-only.
const (
	outcomeAnswered     = "answered"      // the platform answered our call; the code is the state or shape that it gave
	outcomeSigned       = "signed"        // a link was signed here; nobody was called
	outcomeAccepted     = "accepted"      // a payer came back with the platform's signature
	outcomeUnknownOrder = "unknown_order" // authentic, and no attempt here has its number
	outcomeNotStored    = "not_stored"    // authentic, and the database failed: the platform sends it again
	codeNoOrder         = "no_order"      // a notice that is about no order
	codeHint            = "hint"          // a notice that nobody signed: what it names is asked about
)

// exchanges are those that StepExchanges has not stored yet. They are kept apart from the Changes so that no payment waits
// for them and no flood costs a commit each; a crash loses those of the last second, and the events still tell what was
// decided.
type exchanges struct {
	mu      sync.Mutex
	index   map[store.Exchange]int // by what makes two equal
	list    []store.Exchange
	strange int
	dropped int64
	stored  time.Time // when they were last stored
}

// add counts e, unless the bounds are reached.
func (s *exchanges) add(e store.Exchange) {
	key := store.Exchange{
		Account: e.Account, AttemptID: e.AttemptID, OutTradeNo: e.OutTradeNo, Direction: e.Direction, Op: e.Op,
		Outcome: e.Outcome, Code: e.Code, Refused: e.Refused,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, known := s.index[key]; known {
		old := &s.list[i]
		old.Times += e.Times
		if e.FirstAt.Before(old.FirstAt) {
			old.FirstAt = e.FirstAt
		}
		if e.LastAt.After(old.LastAt) {
			old.LastAt = e.LastAt
		}
		if e.RequestID != "" {
			old.RequestID = e.RequestID
		}
		return
	}
	if len(s.list) >= maxExchanges || e.Refused && s.strange >= maxStrange {
		s.dropped += e.Times
		return
	}
	if e.Refused {
		s.strange++
	}
	if s.index == nil {
		s.index = map[store.Exchange]int{}
	}
	s.index[key] = len(s.list)
	s.list = append(s.list, e)
}

// take empties it.
func (s *exchanges) take(now time.Time) (all []store.Exchange, dropped int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, dropped = s.list, s.dropped
	s.index, s.list, s.strange, s.dropped, s.stored = nil, nil, 0, 0, now
	return all, dropped
}

func (s *exchanges) next() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored.Add(exchangeEvery)
}

// StepExchanges stores what was exchanged with platforms, at most once per exchangeEvery, and returns when to come again.
func (g *Gateway) StepExchanges(ctx context.Context) (time.Time, error) {
	if next := g.exchanges.next(); g.Now().Before(next) {
		return next, nil
	}
	err := g.StoreExchanges(ctx)
	return g.exchanges.next(), err
}

// StoreExchanges stores them now: at the end of a process. What could not be stored is kept for the next time.
func (g *Gateway) StoreExchanges(ctx context.Context) error {
	all, dropped := g.exchanges.take(g.Now())
	if dropped > 0 {
		g.Log.Warn("exchanges not recorded: too many at once", "count", dropped)
	}
	for i := range all {
		all[i].ID = g.NewID("exc")
	}
	stored, err := g.DB.RecordExchanges(ctx, all)
	for _, e := range all[stored:] {
		g.exchanges.add(e)
	}
	return err
}

// record notes an exchange of this moment. Its texts may come from anybody.
func (g *Gateway) record(e store.Exchange) {
	e.FirstAt = g.Now()
	e.LastAt, e.Times = e.FirstAt, 1
	e.OutTradeNo, e.Code, e.RequestID = word(e.OutTradeNo), word(e.Code), word(e.RequestID)
	g.exchanges.add(e)
}

// recordCall notes a call about a; told is what its answer said.
func (g *Gateway) recordCall(ctx context.Context, op string, a pay.Attempt, told string, err error) {
	out := store.Exchange{
		Account: a.Account, AttemptID: a.ID, OutTradeNo: a.OutTradeNo, Direction: store.Out, Op: op,
		Outcome: outcomeAnswered, Code: told, RequestID: g.operationOf(ctx).trace.RequestID,
	}
	if op == "open" && a.Lazy {
		out.Outcome = outcomeSigned
	}
	var e *channel.Error
	if errors.As(err, &e) {
		out.Outcome, out.Code, out.RequestID = string(e.Kind), e.Code, cmp.Or(e.RequestID, out.RequestID)
	} else if err != nil {
		out.Outcome, out.Code = string(channel.Unknown), ""
	}
	g.record(out)
}

// word is text if it is a plain word of at most maxWord bytes, else "": it reaches terminals, tables and logs.
func word(text string) string {
	if len(text) > maxWord || len(text) != len(plain(text)) {
		return ""
	}
	return text
}

// plain is the beginning of text that consists of the letters that order numbers and codes are made of.
func plain[T string | []byte](text T) T {
	for i := range len(text) {
		c := text[i]
		letter := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (c == 0 || bytes.IndexByte([]byte("_-|*@.:"), c) < 0) {
			return text[:i]
		}
	}
	return text
}

// claimed is the order number that a refused message says it is about, "" = none can be read. It is a hint for people and
// decides nothing: form, XML and JSON alike write the name, a few signs, then the number.
func claimed(body []byte) string {
	const most = 32 // signs between name and number
	_, rest, found := bytes.Cut(body, []byte("out_trade_no"))
	if !found {
		return ""
	}
	rest = rest[:min(len(rest), most+maxWord+1)]
	rest = bytes.TrimPrefix(bytes.TrimLeft(rest, "\"'=:> \t\r\n"), []byte("<![CDATA["))
	number := plain(rest)
	return word(string(number))
}
