package gateway

import (
	"context"
	"errors"
	"log/slog"
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
	account := "" // that refused it
	in := channel.Inbound{Header: header, RawQuery: rawQuery, Body: body}
	reply := channel.Reply{Status: http.StatusNotFound, ContentType: "text/plain; charset=utf-8", Body: "no account here"}
	var refusal *channel.Error
	ctx = g.begin(ctx)
	for _, a := range g.byPath[path] {
		o, err := a.Channel.Read(in)
		if err == nil {
			return a.Channel.Ack(g.noticed(ctx, path, o, body))
		}
		// The answer is of the one that the message was meant for: another protocol may read success in a mere status.
		var e *channel.Error
		if errors.As(err, &e) && (refusal == nil || e.Kind == channel.Forged) {
			refusal, account, reply = e, a.ID, a.Channel.Ack(false)
		}
	}
	if refusal != nil {
		g.refuse(path, store.Exchange{
			Account: account, OutTradeNo: claimed(body), Outcome: string(refusal.Kind), Code: refusal.Code,
		}, refusal.Text)
	}
	return reply
}

// noticed decides on a verified notice and reports whether it may be answered with success.
func (g *Gateway) noticed(ctx context.Context, path string, o pay.Observation, body []byte) bool {
	heard := store.Exchange{
		Account: o.Account, OutTradeNo: o.OutTradeNo, Direction: store.In, Op: opNotice, Outcome: string(pay.Consistent),
	}
	if o.OutTradeNo == "" && o.State == pay.Unknown {
		g.Log.Info("notice about no order", "path", path, "account", o.Account)
		heard.Code = codeNoOrder
		g.record(heard)
		return true
	}
	if o.Hint {
		return g.hinted(ctx, path, o, heard)
	}
	p, err := g.DB.ToWrite().PaymentByOutTradeNo(ctx, o.Account, o.OutTradeNo)
	if errors.Is(err, store.ErrNotFound) {
		heard.Outcome, heard.Code = outcomeUnknownOrder, string(o.State)
		g.refuse(path, heard, "authentic, but no attempt here has this number")
		return false
	}
	if a := p.AttemptByNumber(o.OutTradeNo); a != nil {
		heard.AttemptID = a.ID
	}
	if err == nil {
		o, err = g.bindMerchant(ctx, p, o)
	}
	var out outcome
	if err == nil {
		out, err = g.observe(ctx, p, o, body)
	}
	if err != nil {
		g.logOp(ctx, slog.LevelError, "notice not stored", opNotice, outcomeNotStored, slog.String("payment", p.ID),
			slog.String("attempt", heard.AttemptID), slog.String("account", o.Account), slog.String("out_trade_no", o.OutTradeNo),
			slog.String("cause", err.Error()))
		heard.Outcome, heard.Code, heard.Refused = outcomeNotStored, string(o.State), true
		g.record(heard)
		return false
	}
	heard.Outcome, heard.Code = string(out.verdict), string(o.State)
	if out.incident != nil {
		heard.Code = out.incident.Kind
	}
	g.record(heard)
	return out.verdict != pay.Quarantine
}

// hinted takes a message of which nothing is proven (A13): the refunds of the attempt that it names, if there is one, are
// asked about now, as they would be later without it. It makes none be sent, and anybody can repeat it, so that it counts
// once per arrivalGap.
func (g *Gateway) hinted(ctx context.Context, path string, o pay.Observation, heard store.Exchange) bool {
	heard.Code = codeHint
	p, err := g.DB.ToWrite().PaymentByOutTradeNo(ctx, o.Account, o.OutTradeNo)
	if err == nil {
		a := p.AttemptByNumber(o.OutTradeNo)
		heard.AttemptID = a.ID
		for _, r := range p.Refunds {
			if err == nil && r.AttemptID == a.ID && pay.NextRefundAct(r) == pay.RefundAsk && g.hints.allow(r.ID, g.Now()) {
				err = g.DB.AskRefund(ctx, r.ID, g.Now())
			}
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		heard.OutTradeNo, heard.Code, err = "", codeNoOrder, nil // an unproven number is nothing to keep
	}
	if err != nil {
		g.Log.Error("hint not taken", "path", path, "payment", p.ID, "cause", err)
		heard.Outcome, heard.Refused = outcomeNotStored, true
	}
	g.record(heard)
	return err == nil
}

// refusalLogGap is the time in which refused notices make at most one log line.
const refusalLogGap = 10 * time.Second

const opNotice = "notice"

// refusals count the refused notices.
type refusals struct {
	mu     sync.Mutex
	count  int64
	logged time.Time
}

// add reports whether it is time for a log line.
func (s *refusals) add(now time.Time) (count int64, log bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	if now.Sub(s.logged) < refusalLogGap {
		return s.count, false
	}
	s.logged = now
	return s.count, true
}

// Refused returns how many notices were refused since the start. What they were is told by Incidents.
func (g *Gateway) Refused() int64 {
	g.refusals.mu.Lock()
	defer g.refusals.mu.Unlock()
	return g.refusals.count
}

// refuse notes a notice that was not accepted: never its content.
func (g *Gateway) refuse(path string, e store.Exchange, reason string) {
	e.Direction, e.Op, e.Refused = store.In, opNotice, true
	g.record(e)
	if count, log := g.refusals.add(g.Now()); log {
		g.Log.Warn("notice refused", "path", path, "account", e.Account, "kind", e.Outcome, "code", word(e.Code), "reason", reason,
			"refused_so_far", count)
	}
}
