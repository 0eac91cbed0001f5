package storm

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/alipay"
	"piaohao/internal/channel/wechatv3"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// entry is one order in a platform's books.
type entry struct {
	No, Tx     string
	State      pay.State // Unpaid, Paid or Closed
	Amount     pay.Fen
	PayBy      time.Time // zero: the books do not tell
	EndedAt    time.Time // when it was paid or closed
	Code       string    // the one code that pays it
	codeUntil  time.Time
	given      bool // Code was given to a payer
	request    string
	notify     string
	declined   bool
	refunds    []*returned // oldest first
	refundedAt time.Time   // when the last one was begun
}

// returned is a refund in a platform's books.
type returned struct {
	No      string
	Amount  pay.Fen
	Status  pay.RefundStatus
	At      time.Time // of its end, when Status is no end yet
	end     pay.RefundStatus
	console bool // made there, not by us
	told    bool // a notice that tells of its end was acknowledged
}

// sum is what went back, or may.
func (e *entry) sum() (sum pay.Fen) {
	for _, r := range e.refunds {
		if r.Status != pay.RefundFailed {
			sum += r.Amount
		}
	}
	return sum
}

// settle lets refunds end whose time has come.
func (e *entry) settle(now time.Time) {
	for _, r := range e.refunds {
		if r.Status == pay.RefundProcessing && !now.Before(r.At) {
			r.Status = r.end
		}
	}
}

// land is everything outside of us: both platforms and what carries messages.
type land interface {
	accounts(n *node) []gateway.Account
	pay(code string) string // what came of it: "paid", or why not
	given(code string)      // a payer has it now
	console(no string)      // somebody returns a part of an order's money at the platform's own console
	books() []*entry        // oldest first
	due() time.Time         // of the next notice; zero: none
	send()                  // the notice that is due
	calm()                  // no faults any more
}

// plain is both platforms behind the channel seam, without wire formats and signatures.
type plain struct {
	s       *storm
	qr      *platform
	link    *platform
	outbox  []*notice
	numbers int
}

type notice struct {
	p      *platform
	e      *entry
	state  pay.State
	refund *returned // that it is about, nil: about the order
	due    time.Time
	tries  int
	busy   bool
}

// noticeTable is like the platforms' own: dense first, then hours, about a day in all.
var noticeTable = []time.Duration{15 * time.Second, 3 * time.Minute, 20 * time.Minute, time.Hour, 6 * time.Hour, 15 * time.Hour}

// platform is one of them. It implements channel.Channel for both nodes.
type platform struct {
	land    *plain
	s       *storm
	info    channel.Info
	lazy    bool
	entries []*entry
	byNo    map[string]*entry
	links   map[string]pay.Attempt       // lazy: what a signed link says
	calls   map[string][]context.Context // under way, by number
}

func newPlain(s *storm) *plain {
	l := &plain{s: s}
	l.qr = &platform{land: l, s: s, info: wechatv3.Driver.Info, byNo: map[string]*entry{}, calls: map[string][]context.Context{}}
	l.qr.info.Refunds = pay.RefundLimits{Most: 50, Gap: time.Minute, Window: 365 * 24 * time.Hour}
	l.link = &platform{land: l, s: s, info: alipay.Driver.Info, lazy: true, byNo: map[string]*entry{}, calls: map[string][]context.Context{}, links: map[string]pay.Attempt{}}
	return l
}

func (l *plain) accounts(*node) []gateway.Account {
	var out []gateway.Account
	for _, p := range []*platform{l.qr, l.link} {
		out = append(out, gateway.Account{Account: p.account(), Info: p.info, Channel: p})
	}
	return out
}

func (l *plain) calm() {}

func (l *plain) books() []*entry {
	return append(append([]*entry{}, l.qr.entries...), l.link.entries...)
}

func (p *platform) account() channel.Account {
	return channel.Account{ID: p.info.Method + "-1", AppID: "app-" + p.info.Method, MerchantID: "mch-" + p.info.Method}
}

func oops(op string, kind channel.Kind, code string) *channel.Error {
	return &channel.Error{Kind: kind, Op: op, Code: code, Text: "scripted"}
}

// call is one call to the platform with what can befall it. effect's error is the platform's answer.
func (p *platform) call(ctx context.Context, op, no string, effect func() error) error {
	s, f := p.s, p.s.faults
	for _, other := range p.calls[no] {
		if other.Err() == nil {
			s.breaks("I-12", "two calls about %s at once", no)
		}
	}
	p.calls[no] = append(p.calls[no], ctx)
	defer func() { p.calls[no] = slices.DeleteFunc(p.calls[no], func(c context.Context) bool { return c == ctx }) }()
	s.pause(op + " goes " + no)
	switch {
	case ctx.Err() != nil:
		return oops(op, channel.Unknown, "timeout")
	case s.chance(f.limited):
		e := oops(op, channel.Limited, "TOO_OFTEN")
		e.RetryAfter = s.between(0, 10*time.Second)
		return e
	case s.chance(f.fails):
		return oops(op, channel.Unknown, "5xx")
	}
	err := effect()
	s.note(op, no, said(err))
	s.pause(op + " comes " + no)
	if ctx.Err() != nil || s.chance(f.lost) {
		return oops(op, channel.Unknown, "answer lost")
	}
	return err
}

func said(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

// Open implements channel.Channel.
func (p *platform) Open(ctx context.Context, a pay.Attempt) (pay.Shape, error) {
	if p.lazy {
		p.links[a.OutTradeNo] = a
		return pay.Shape{Kind: pay.ShapeURL, Text: "link:" + a.OutTradeNo, Until: a.ExpiresAt}, nil
	}
	var shape pay.Shape
	err := p.call(ctx, "open", a.OutTradeNo, func() error {
		p.s.checkOpen(a)
		e, now := p.byNo[a.OutTradeNo], p.s.now()
		request := fmt.Sprint(a.OutTradeNo, a.Amount, a.Currency, a.Subject, a.NotifyURL, a.ExpiresAt.UnixMilli())
		if e == nil {
			e = p.add(a)
			e.request, e.declined = request, p.s.chance(p.s.faults.declined)
		}
		switch {
		case e.declined:
			return oops("open", channel.Declined, "NO_AUTH")
		case e.request != request:
			p.s.breaks("I-11", "number %s ordered again with other parameters", e.No)
			return oops("open", channel.Declined, "REENTRY")
		case e.State == pay.Paid:
			return oops("open", channel.AlreadyPaid, "ORDERPAID")
		case e.State == pay.Closed:
			return oops("open", channel.AlreadyClosed, "ORDER_CLOSED")
		case !now.Before(e.PayBy):
			return oops("open", channel.Declined, "EXPIRED")
		case e.given && now.Before(e.codeUntil):
			p.s.breaks("I-12", "a code on somebody's screen was voided by another open of %s", e.No)
		}
		p.land.numbers++
		e.Code, e.given, e.codeUntil = fmt.Sprintf("code:%s:%d", e.No, p.land.numbers), false, now.Add(p.s.codeLife)
		shape = pay.Shape{Kind: pay.ShapeQR, Text: e.Code, Until: e.codeUntil}
		return nil
	})
	return shape, err
}

func (p *platform) add(a pay.Attempt) *entry {
	e := &entry{No: a.OutTradeNo, State: pay.Unpaid, Amount: a.Amount, PayBy: a.ExpiresAt, notify: a.NotifyURL}
	p.byNo[e.No] = e
	p.entries = append(p.entries, e)
	return e
}

// touch lets an order of the lazy platform close by itself at its deadline.
func (p *platform) touch(e *entry) {
	if p.lazy && e.State == pay.Unpaid && !p.s.now().Before(e.PayBy) {
		e.State, e.EndedAt = pay.Closed, e.PayBy
	}
}

func (p *platform) says(no string, from pay.Source) pay.Observation {
	account := p.account()
	o := pay.Observation{
		Source: from, Channel: p.info.Channel, Account: account.ID, AppID: account.AppID, MerchantID: account.MerchantID,
		OutTradeNo: no, State: pay.Absent,
	}
	e := p.byNo[no]
	if e == nil || e.declined {
		return o
	}
	p.touch(e)
	o.State = e.State
	if e.State == pay.Paid {
		o.Amount, o.Currency, o.TransactionID, o.PaidAt = e.Amount, pay.CNY, e.Tx, e.EndedAt
		if p.lazy { // this platform tells the sum, the other one each refund by its number
			e.settle(p.s.now())
			o.Refunded = e.gone()
		}
	}
	return o
}

// gone is what went back for certain.
func (e *entry) gone() (sum pay.Fen) {
	for _, r := range e.refunds {
		if r.Status == pay.RefundSucceeded {
			sum += r.Amount
		}
	}
	return sum
}

// Query implements channel.Channel.
func (p *platform) Query(ctx context.Context, a pay.Attempt) (o pay.Observation, err error) {
	err = p.call(ctx, "query", a.OutTradeNo, func() error {
		o = p.says(a.OutTradeNo, pay.FromQuery)
		return nil
	})
	return o, err
}

// Close implements channel.Channel.
func (p *platform) Close(ctx context.Context, a pay.Attempt) (o pay.Observation, err error) {
	err = p.call(ctx, "close", a.OutTradeNo, func() error {
		e := p.byNo[a.OutTradeNo]
		if e != nil {
			p.touch(e)
		}
		switch {
		case e == nil || e.declined:
		case e.State == pay.Paid:
			return oops("close", channel.AlreadyPaid, "ORDERPAID")
		case e.State == pay.Closed && p.lazy:
			return oops("close", channel.AlreadyClosed, "TRADE_STATUS_ERROR")
		case p.s.chance(p.s.faults.early):
			return oops("close", channel.TooEarly, "TOO_EARLY")
		case e.State == pay.Unpaid:
			e.State, e.EndedAt = pay.Closed, p.s.now()
			if code := e.Code; code != "" && p.s.chance(p.s.faults.ghost) { // his payment was on its way
				p.s.act(p.s.now().Add(p.s.between(0, 20*time.Second)), "pays what was just closed", p.s.orders[0], func(s *storm, _ *node, _ *order) { s.pays(code) })
			}
			if p.lazy && p.s.chance(30) {
				p.land.post(p, e, pay.Closed)
			}
		}
		o = p.says(a.OutTradeNo, pay.FromClose)
		return nil
	})
	return o, err
}

// pay is a payer who scans a code or follows a link, and pays.
func (l *plain) pay(code string) string {
	p, e := l.qr, (*entry)(nil)
	if no, ok := strings.CutPrefix(code, "link:"); ok {
		p = l.link
		if e = p.byNo[no]; e == nil {
			if a := p.links[no]; l.s.now().Before(a.ExpiresAt) {
				e = p.add(a)
			} else {
				return "expired"
			}
		}
		if l.s.chance(25) {
			return "opened only" // he logs in, and turns away
		}
	} else {
		e = p.byNo[strings.Split(code, ":")[1]]
		if e.Code != code || !l.s.now().Before(e.codeUntil) {
			return "voided"
		}
	}
	p.touch(e)
	ghost := e.State == pay.Closed && l.s.now().Before(e.EndedAt.Add(time.Minute)) && l.s.chance(l.s.faults.ghost)
	if !ghost && (e.State != pay.Unpaid || !l.s.now().Before(e.PayBy)) {
		return "not payable: " + string(e.State)
	}
	l.numbers++
	e.State, e.Tx, e.EndedAt = pay.Paid, fmt.Sprintf("tx%012d", l.numbers), l.s.now()
	l.post(p, e, pay.Paid)
	return "paid"
}

func (l *plain) given(code string) {
	parts := strings.Split(code, ":")
	if parts[0] != "code" {
		return
	}
	e := l.qr.byNo[parts[1]]
	if e.Code != code {
		l.s.breaks("I-12", "payer was given %s, which another open of its order had voided", code)
		return
	}
	e.given = true
}

func (l *plain) post(p *platform, e *entry, state pay.State) {
	l.enqueue(&notice{p: p, e: e, state: state})
}

func (l *plain) enqueue(n *notice) {
	n.due = l.s.now()
	if l.s.chance(l.s.faults.delayed) {
		n.due = n.due.Add(l.s.between(0, l.s.faults.delay))
	}
	l.outbox = append(l.outbox, n)
}

func (l *plain) earliest() *notice {
	var first *notice
	for _, n := range l.outbox {
		if !n.busy && (first == nil || n.due.Before(first.due)) {
			first = n
		}
	}
	return first
}

func (l *plain) due() time.Time {
	if n := l.earliest(); n != nil {
		return n.due
	}
	return time.Time{}
}

// note is the wire form of a notice. Sig stands for a signature: "good" holds.
type note struct {
	No, Tx, Sig string
	Refund      *pay.RefundFact
	Refunded    pay.Fen
	State       pay.State
	Amount      pay.Fen
	At          time.Time
}

func (l *plain) send() {
	n := l.earliest()
	if n == nil || n.due.After(l.s.now()) {
		return
	}
	n.busy = true
	acked, f := false, l.s.faults
	if !l.s.chance(f.dropped) {
		acked = l.deliver(n)
		if l.s.chance(f.doubled) {
			acked = l.deliver(n) || acked
		}
	}
	n.busy = false
	if !acked && n.tries < len(noticeTable) {
		n.due = l.s.now().Add(noticeTable[n.tries])
		n.tries++
		return
	}
	for i := range l.outbox {
		if l.outbox[i] == n {
			l.outbox = append(l.outbox[:i], l.outbox[i+1:]...)
			return
		}
	}
}

// deliver sends one try and judges the answer.
func (l *plain) deliver(n *notice) (acked bool) {
	text := note{No: n.e.No, Tx: n.e.Tx, Sig: "good", State: n.state, At: n.e.EndedAt}
	if n.state == pay.Paid {
		text.Amount = n.e.Amount
		if n.p.lazy {
			n.e.settle(l.s.now())
			text.Refunded = n.e.gone()
		}
	}
	if n.refund != nil {
		text.State, text.Refund = pay.Unknown, &pay.RefundFact{OutRefundNo: n.refund.No, Amount: n.refund.Amount, Status: n.refund.Status, At: n.refund.At}
	}
	lie := ""
	switch {
	case l.s.chance(l.s.faults.forged):
		text.Sig, lie = "bad", "forged"
	case n.state == pay.Paid && n.refund == nil && l.s.chance(l.s.faults.wrong):
		text.Amount, lie = text.Amount+1, "of another amount"
		l.s.lied = true
	}
	body, _ := json.Marshal(text) // its fields always marshal
	reply, ok := l.s.deliverNotice(n.p.info.NotifyPath, http.Header{}, body)
	acked = ok && reply.Status == http.StatusOK
	if acked && lie != "" {
		l.s.breaks("I-02", "a notice %s was accepted: %s", lie, body)
	}
	if acked && lie == "" {
		n.tells()
	}
	if acked && n.state == pay.Paid && n.refund == nil && lie == "" {
		l.s.checkAcked(n.p.account().ID, n.e.No)
	}
	return acked && lie == ""
}

// Read implements channel.Channel.
func (p *platform) Read(in channel.Inbound) (pay.Observation, error) {
	var n note
	if err := json.Unmarshal(in.Body, &n); err != nil || n.Sig != "good" {
		return pay.Observation{}, oops("read", channel.Forged, "signature")
	}
	account := p.account()
	o := pay.Observation{
		Source: pay.FromNotice, Channel: p.info.Channel, Account: account.ID, AppID: account.AppID,
		MerchantID: account.MerchantID, OutTradeNo: n.No, State: n.State,
	}
	if n.State == pay.Paid {
		o.Amount, o.Currency, o.TransactionID, o.PaidAt, o.Refunded = n.Amount, pay.CNY, n.Tx, n.At, n.Refunded
	}
	o.Refund = n.Refund
	return o, nil
}

// Ack implements channel.Channel.
func (p *platform) Ack(accepted bool) channel.Reply {
	if accepted {
		return channel.Reply{Status: http.StatusOK, Body: "success"}
	}
	return channel.Reply{Status: http.StatusInternalServerError, Body: "fail"}
}
