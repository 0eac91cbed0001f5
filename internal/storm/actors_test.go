package storm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
	"piaohao/internal/view"
)

// order is one order of the shop with what shop and payer hold of it.
type order struct {
	no      string
	amount  pay.Fen
	expires time.Duration
	ids     []string // payments
	tokens  []string // of cashier pages
	codes   []string // QR codes and links that a payer got, oldest first
	phone   bool
}

// action is something that a shop or payer does at a time.
type action struct {
	at   time.Time
	name string
	o    *order
	do   func(s *storm, n *node, o *order)
}

// deed is a kind of action and how often it is drawn.
type deed struct {
	name   string
	weight int
	do     func(s *storm, n *node, o *order)
}

var methods = []string{"wechat", "alipay", ""}

var deeds = []deed{
	{"create", 4, func(s *storm, n *node, o *order) { s.create(n, o, methods[s.rand.IntN(3)], "") }},
	{"create page", 1, func(s *storm, n *node, o *order) { s.create(n, o, "alipay", "page") }},
	{"create dearer", 1, func(s *storm, n *node, o *order) {
		dearer := o.amount + 1
		_, err := n.gateway.Create(context.Background(), gateway.CreateInput{
			Shop: shopID, OrderNo: o.no, Amount: dearer, Subject: "book", ExpiresIn: o.expires,
		})
		if err == nil {
			o.amount = dearer // the old one had closed: this is the order now
		}
		s.fine(err)
	}},
	{"close", 2, func(s *storm, n *node, o *order) {
		if len(o.ids) > 0 {
			_, err := n.gateway.ClosePayment(context.Background(), shopID, o.ids[len(o.ids)-1])
			s.fine(err)
		}
	}},
	{"poll", 2, func(s *storm, n *node, o *order) { s.poll(n, o) }},
	{"page", 3, func(s *storm, n *node, o *order) { s.page(n, o) }},
	{"go", 6, func(s *storm, n *node, o *order) { s.visit(n, o) }},
	{"back", 2, func(s *storm, n *node, o *order) {
		if t := s.token(o); t != "" {
			s.fine(n.gateway.Back(context.Background(), t))
		}
	}},
	{"watch", 2, func(s *storm, n *node, o *order) {
		if t := s.token(o); t != "" {
			_, _, err := n.gateway.Watching(context.Background(), t)
			s.fine(err)
		}
	}},
	{"arrive", 1, func(s *storm, n *node, o *order) {
		if t := s.token(o); t != "" {
			s.fine(n.gateway.Arrived(context.Background(), t))
		}
	}},
	{"pay newest", 4, func(s *storm, _ *node, o *order) {
		if len(o.codes) > 0 {
			s.pays(o.codes[len(o.codes)-1])
		}
	}},
	{"pay an old code", 2, func(s *storm, _ *node, o *order) {
		if len(o.codes) > 0 {
			s.pays(o.codes[s.rand.IntN(len(o.codes))])
		}
	}},
	{"refund", 4, func(s *storm, n *node, o *order) { s.refund(n, o) }},
	{"refund at the console", 1, func(s *storm, n *node, o *order) {
		if len(o.ids) == 0 {
			return
		}
		p, err := s.db.Payment(context.Background(), o.ids[s.rand.IntN(len(o.ids))])
		s.fine(err)
		for _, a := range p.Attempts {
			s.land.console(a.OutTradeNo)
		}
		s.dirty = true
	}},
	{"pay every code", 3, func(s *storm, _ *node, o *order) {
		for _, c := range o.codes {
			s.pays(c)
		}
	}},
}

// plan draws what the shop and its payers will do. Deeds come in bursts, so that they meet.
func (s *storm) plan() {
	var bag, hurry []deed
	for _, d := range deeds {
		if d.name == "go" || d.name == "back" {
			hurry = append(hurry, d)
		}
		for range d.weight {
			bag = append(bag, d)
		}
	}
	for i := range 1 + s.rand.IntN(3) {
		o := &order{
			no: fmt.Sprintf("order-%d", i), amount: pay.Fen(1 + s.rand.IntN(100_000)), phone: s.rand.IntN(2) == 0,
			expires: []time.Duration{2 * time.Minute, 5 * time.Minute, 30 * time.Minute}[s.rand.IntN(3)],
		}
		s.orders = append(s.orders, o)
		at := s.now().Add(s.between(0, 10*time.Second))
		s.act(at, "create", o, deeds[0].do)
		for range 1 + s.rand.IntN(5) { // bursts
			at = at.Add(s.between(0, []time.Duration{5 * time.Second, time.Minute, o.expires}[s.rand.IntN(3)]))
			from := bag
			if s.rand.IntN(4) == 0 { // an impatient payer
				from = hurry
			}
			if s.rand.IntN(3) == 0 { // the payer wants his money back
				for range 1 + s.rand.IntN(3) {
					s.act(at.Add(s.between(0, 2*o.expires)), "refund", o, func(s *storm, n *node, o *order) { s.refund(n, o) })
				}
			}
			for range 1 + s.rand.IntN(5) {
				d := from[s.rand.IntN(len(from))]
				s.act(at.Add(s.between(0, 100*time.Millisecond)), d.name, o, d.do)
				if s.rand.IntN(4) == 0 { // a double click
					s.act(at.Add(s.between(0, 100*time.Millisecond)), d.name, o, d.do)
				}
			}
		}
	}
}

func (s *storm) act(at time.Time, name string, o *order, do func(*storm, *node, *order)) {
	a := &action{at: at, name: name, o: o, do: do}
	i, _ := slices.BinarySearchFunc(s.actions, a, func(x, y *action) int {
		if x.at.After(y.at) {
			return 1
		}
		return -1
	})
	s.actions = slices.Insert(s.actions, i, a)
}

// actionsDue adds the actions whose time has come to can, and returns when the next one comes.
func (s *storm) actionsDue(now time.Time, can *[]func()) time.Time {
	for _, a := range s.actions {
		if a.at.After(now) {
			return a.at
		}
		*can = append(*can, func() { s.begin(a) })
	}
	return time.Time{}
}

// begin is one request, on one of the nodes. One whose node dies is sometimes made again.
func (s *storm) begin(a *action) {
	i := slices.Index(s.actions, a)
	s.actions = slices.Delete(s.actions, i, i+1)
	n := s.nodes[s.rand.IntN(len(s.nodes))]
	answered := false
	s.start("req "+a.name+" "+a.o.no+" on "+n.name, n, func() {
		a.do(s, n, a.o)
		answered = true
	}, func() {
		s.stirred()
		if !answered && s.rand.IntN(2) == 0 {
			s.act(s.now().Add(s.between(0, 10*time.Second)), a.name, a.o, a.do)
		}
	})
}

// fine judges the answer to a shop or payer: a refusal with a code is one, everything else is a failure of ours.
func (s *storm) fine(err error) {
	var e *gateway.Error
	switch {
	case err == nil:
	case refusedCommit(err):
		s.note(s.cur.name, "no commit")
	case !errors.As(err, &e) || e.Code == gateway.CodeInternal || e.Code == gateway.CodeInvalid:
		s.breaks("I-19", "a request failed: %v", err)
	default:
		s.note(s.cur.name, "refused", string(e.Code))
	}
}

func (s *storm) create(n *node, o *order, method, product string) {
	r, err := n.gateway.Create(context.Background(), gateway.CreateInput{
		Shop: shopID, OrderNo: o.no, Amount: o.amount, Subject: "book", Method: method, Product: product, ExpiresIn: o.expires,
	})
	s.fine(err)
	if err == nil {
		s.got(n, o, r.View)
	}
}

// got is an answer about a payment that arrived at the shop.
func (s *storm) got(n *node, o *order, v view.Payment) {
	if pay.Fen(v.Amount) != o.amount && v.Status == string(pay.PaymentOpen) {
		s.note(s.cur.name, "another amount")
	}
	if !slices.Contains(o.ids, v.ID) {
		o.ids = append(o.ids, v.ID)
	}
	token := v.CashierURL[strings.LastIndex(v.CashierURL, "/")+1:]
	if !slices.Contains(o.tokens, token) {
		o.tokens = append(o.tokens, token)
	}
	if v.Action == nil {
		return
	}
	s.holds(o, v.Action.Code)
	if v.Action.URL != "" && s.rand.IntN(2) == 0 { // the shop redirects its payer
		s.visit(n, o)
	}
}

// holds is a code or link that came to a payer.
func (s *storm) holds(o *order, code string) {
	if code == "" {
		return
	}
	s.land.given(code)
	if slices.Contains(o.codes, code) {
		return
	}
	o.codes = append(o.codes, code)
	if s.faults != (faults{}) && s.rand.IntN(3) == 0 { // he pays while the others go on
		s.act(s.now().Add(s.between(0, 20*time.Second)), "pay at once", o, func(s *storm, _ *node, _ *order) { s.pays(code) })
	}
}

// token is the page that the payer has open: mostly of the newest payment.
func (s *storm) token(o *order) string {
	if len(o.tokens) == 0 {
		return ""
	}
	if s.rand.IntN(8) == 0 {
		return o.tokens[s.rand.IntN(len(o.tokens))]
	}
	return o.tokens[len(o.tokens)-1]
}

func (s *storm) poll(n *node, o *order) {
	if len(o.ids) == 0 {
		return
	}
	var v view.Payment
	var err error
	if s.rand.IntN(2) == 0 {
		v, err = n.gateway.Payment(context.Background(), shopID, o.ids[s.rand.IntN(len(o.ids))])
	} else {
		v, err = n.gateway.PaymentByOrder(context.Background(), shopID, o.no)
	}
	s.fine(err)
	if err == nil {
		s.got(n, o, v)
	}
}

func (s *storm) page(n *node, o *order) {
	t := s.token(o)
	if t == "" {
		return
	}
	page, err := n.gateway.Page(context.Background(), gateway.PageInput{
		Token: t, Method: methods[s.rand.IntN(3)], Device: gateway.Device{Phone: o.phone},
	})
	s.fine(err)
	s.holds(o, page.QR)
}

func (s *storm) visit(n *node, o *order) {
	t := s.token(o)
	if t == "" {
		return
	}
	leave, err := n.gateway.Go(context.Background(), gateway.PageInput{
		Token: t, Method: methods[s.rand.IntN(2)], Device: gateway.Device{Phone: o.phone},
	}, "203.0.113.7")
	s.fine(err)
	switch {
	case err != nil:
	case leave.ToProcess:
		s.page(n, o)
	default:
		s.holds(o, leave.URL)
	}
}

func (s *storm) pays(code string) {
	s.pause("pays")
	s.note(s.cur.name, s.land.pay(code))
	s.dirty = true
}
