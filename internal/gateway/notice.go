package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/store"
)

// Notice takes a platform's notice and says what to answer: success only for what is applied, a duplicate, or
// consistent, and only after the commit. Everything else is sent again by the platform, so it heals once mended.
func (g *Gateway) Notice(ctx context.Context, path string, header http.Header, rawQuery string, body []byte) channel.Reply {
	in := channel.Inbound{Header: header, RawQuery: rawQuery, Body: body}
	reply := channel.Reply{Status: http.StatusNotFound, ContentType: "text/plain; charset=utf-8", Body: "no account here"}
	var refusal *channel.Error
	ctx = g.begin(ctx)
	for _, a := range g.byPath[path] {
		o, err := a.Channel.Read(in)
		if err == nil {
			return a.Channel.Ack(g.noticed(ctx, path, o, body))
		}
		reply = a.Channel.Ack(false)
		var e *channel.Error
		if errors.As(err, &e) && (refusal == nil || e.Kind == channel.Forged) {
			refusal = e
		}
	}
	if refusal != nil {
		g.refuse(path, string(refusal.Kind), refusal.Code, refusal.Text)
	}
	return reply
}

// noticed decides on a verified notice and reports whether it may be answered with success.
func (g *Gateway) noticed(ctx context.Context, path string, o pay.Observation, body []byte) bool {
	if o.OutTradeNo == "" && o.State == pay.Unknown {
		g.Log.Info("notice about no order", "path", path, "account", o.Account)
		return true
	}
	p, err := g.DB.PaymentByOutTradeNo(ctx, o.Account, o.OutTradeNo)
	if errors.Is(err, store.ErrNotFound) {
		g.refuse(path, "unknown_order", o.OutTradeNo, "authentic, but no attempt here has this number")
		return false
	}
	if err != nil {
		g.Log.Error("notice not stored", "path", path, "cause", err)
		return false
	}
	if o, err = g.bindMerchant(ctx, p, o); err != nil {
		g.Log.Error("notice not stored", "path", path, "payment", p.ID, "cause", err)
		return false
	}
	out, err := g.observe(ctx, p, o, body)
	if err != nil {
		g.Log.Error("notice not stored", "path", path, "payment", p.ID, "cause", err)
		return false
	}
	return out.verdict != pay.Quarantine
}

// Bounds of what is kept about refused notices.
const (
	maxRefusals   = 1000
	refusalLogGap = 10 * time.Second // at most one log line in this time
)

// Refusal is one refused notice, without its content.
type Refusal struct {
	At     time.Time
	Path   string
	Kind   string // "forged", "foreign", "unknown_order"
	Code   string // which check refused it
	Reason string
}

// Refusals are the newest refused notices, in memory: forgeries are never stored.
type Refusals struct {
	mu     sync.Mutex
	ring   []Refusal
	next   int
	count  int64
	logged time.Time
}

// add keeps r and reports whether it is time for a log line.
func (s *Refusals) add(r Refusal) (count int64, log bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	if len(s.ring) < maxRefusals {
		s.ring = append(s.ring, r)
	} else {
		s.ring[s.next] = r
		s.next = (s.next + 1) % maxRefusals
	}
	if r.At.Sub(s.logged) < refusalLogGap {
		return s.count, false
	}
	s.logged = r.At
	return s.count, true
}

// Refused returns how many notices were refused since the start, and the newest of them, oldest first.
func (g *Gateway) Refused() (int64, []Refusal) {
	s := &g.refusals
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, append(append([]Refusal{}, s.ring[s.next:]...), s.ring[:s.next]...)
}

func (g *Gateway) refuse(path, kind, code, reason string) {
	r := Refusal{At: g.Now(), Path: path, Kind: kind, Code: code, Reason: reason}
	if count, log := g.refusals.add(r); log {
		g.Log.Warn("notice refused", "path", path, "kind", kind, "code", code, "reason", reason, "refused_so_far", count)
	}
}
