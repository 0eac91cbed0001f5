package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"piaohao/internal/e2e/totals"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// Histories: shops and payers at once, and what they were answered, held against one order as a single person would keep it
// in a book. Whatever overlapped must have an order in which the book gives the same answers (T2, I-10, I-12).

const orderAmount = 12800

// act is one operation on an order.
type act struct {
	op     string // create, get, close, refund, pay
	id     string // the payment that it names, of close, refund and pay
	no     int    // of a refund
	amount pay.Fen
}

// told is what it was answered.
type answer struct {
	code       gateway.Code
	id, status string
	isNew      bool
	refundable int64
}

// book is one order: its newest payment, and what was asked back of it, by number.
type book struct {
	id, status string // status: "", open, paid, closed
	amount     pay.Fen
	refunds    [4]pay.Fen
}

func (b book) rest() pay.Fen {
	rest := b.amount
	for _, r := range b.refunds {
		rest -= r
	}
	return rest
}

// noCode is what a payer finds who comes before the platform has the order: nothing to pay yet.
const noCode = gateway.Code("no code yet")

var bookkeeper = porcupine.Model{
	Init: func() any { return book{} },
	Step: func(state, in, out any) (bool, any) { return state.(book).step(in.(act), out.(answer)) },
}

func (b book) step(a act, t answer) (bool, any) {
	switch a.op {
	case "create":
		return b.create(a, t)
	case "get":
		if t.code == gateway.CodeNotFound {
			return b.status == "", b
		}
		paid := b.status == "paid"
		return t.code == "" && b.shows(t) && (!paid || t.refundable == int64(b.rest())), b
	case "refund":
		return b.refund(a, t)
	case "close":
		return b.close(a, t)
	case "pay": // acknowledged whatever became of it: late and second money goes back
		if t.code == noCode {
			return true, b
		}
		if a.id == b.id && b.status == "open" {
			b.status = "paid"
		}
		return t.code == "", b
	}
	return false, b
}

// shows reports whether an answer has the newest payment as it is.
func (b book) shows(t answer) bool { return t.id == b.id && t.status == b.status }

func (b book) create(a act, t answer) (bool, any) {
	live := b.status == "open" || b.status == "paid"
	switch {
	case t.code == gateway.CodeOrderConflict:
		return live && a.amount != b.amount, b
	case t.code == gateway.CodePaymentNotOpen, t.code == gateway.CodeTooManyAttempts: // it ended while the way was opened, or has its most
		return b.status != "", b
	case t.code != "":
		return false, b
	case t.isNew:
		return !live && t.id != b.id, book{id: t.id, status: "open", amount: a.amount}
	}
	return b.shows(t) && a.amount == b.amount, b
}

func (b book) close(a act, t answer) (bool, any) {
	switch {
	case a.id != b.id: // an older payment of the order: it had ended before this one began
		return true, b
	case t.code == gateway.CodePaymentNotOpen:
		return b.status == "paid", b
	case t.code != "":
		return false, b
	case t.status == "open": // withdrawn by a create, or not done yet
		return b.status == "open", b
	}
	ok := t.status == "closed" && (b.status == "open" || b.status == "closed")
	b.status = "closed"
	return ok, b
}

func (b book) refund(a act, t answer) (bool, any) {
	if a.id != b.id || b.status != "paid" {
		return t.code == gateway.CodePaymentNotPaid || t.code == gateway.CodeBusy, b
	}
	known := b.refunds[a.no]
	switch t.code {
	case gateway.CodeBusy:
		return true, b
	case gateway.CodeRefundConflict:
		return known != 0 && known != a.amount, b
	case gateway.CodeRefundTooMuch:
		return known == 0 && a.amount > b.rest(), b
	case "":
	default:
		return false, b
	}
	if known != 0 {
		return !t.isNew && known == a.amount, b
	}
	ok := t.isNew && a.amount <= b.rest()
	b.refunds[a.no] = a.amount
	return ok, b
}

// clients are shops and payers of one order on some nodes.
type clients struct {
	t       *testing.T
	nodes   []*world
	order   string
	clock   atomic.Int64 // of the history
	mu      sync.Mutex
	history []porcupine.Operation
	id      atomic.Value // of the payment that was seen last
}

func (c *clients) do(client int, w *world, a act) {
	begin := c.clock.Add(1)
	t := c.call(w, a)
	end := c.clock.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history = append(c.history, porcupine.Operation{ClientId: client, Input: a, Call: begin, Output: t, Return: end})
}

func (c *clients) call(w *world, a act) (t answer) {
	ctx := c.t.Context()
	switch a.op {
	case "create":
		r, err := w.g.Create(ctx, gateway.CreateInput{Shop: "shop", OrderNo: c.order, Amount: a.amount, Subject: "书", Method: "scan"})
		t = answer{code: c.code(err), id: r.View.ID, status: r.View.Status, isNew: r.Created}
	case "get":
		v, err := w.g.PaymentByOrder(ctx, "shop", c.order)
		t = answer{code: c.code(err), id: v.ID, status: v.Status, refundable: v.Refundable}
	case "close":
		v, err := w.g.ClosePayment(ctx, "shop", a.id)
		t = answer{code: c.code(err), id: v.ID, status: v.Status}
	case "refund":
		_, isNew, err := w.g.Refund(ctx, "shop", a.id, gateway.RefundInput{RefundNo: fmt.Sprintf("%s-%d", c.order, a.no), Amount: a.amount})
		t = answer{code: c.code(err), isNew: isNew}
	case "pay":
		p := w.load(a.id)
		last := p.Attempts[len(p.Attempts)-1]
		if w.qr.state(last.OutTradeNo) == pay.Absent { // no code yet
			t.code = noCode
			break
		}
		tx := "tx-" + last.OutTradeNo
		w.qr.pay(last.OutTradeNo, tx)
		if r := w.notice(w.qr, last, tx, nil); r.Body != "success" {
			t.code = "refused"
		}
	}
	if t.id != "" {
		c.id.Store(t.id)
	}
	return t
}

func (c *clients) code(err error) gateway.Code {
	if code := codeOf(err); code != "" || err == nil {
		return code
	}
	c.t.Error(err)
	return gateway.CodeInternal
}

// run is a few clients who each do some things at random.
func (c *clients) run(seed uint64, each int) {
	c.id.Store("")
	c.do(0, c.nodes[0], act{op: "create", amount: orderAmount})
	var all sync.WaitGroup
	for i := range 5 {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for range each {
				w := c.nodes[rnd.IntN(len(c.nodes))]
				a := act{op: "get", id: c.id.Load().(string), no: rnd.IntN(4), amount: orderAmount}
				switch n := rnd.IntN(100); {
				case n < 20:
					a.op = "create"
					if n < 3 {
						a.amount--
					}
				case n < 32:
					a.op = "close"
				case n < 40:
					a.op = "pay"
				case n < 70:
					a.op, a.amount = "refund", pay.Fen(1000*(1+rnd.IntN(9)))
				}
				c.do(i, w, a)
			}
		})
	}
	var nodes sync.WaitGroup
	for _, w := range c.nodes {
		nodes.Go(func() { w.telling(&all) }) // whoever waits for somebody else's close or code hears of it
	}
	nodes.Wait()
}

// accepted judges a history within a time.
func accepted(history []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(bookkeeper, history, time.Minute)
}

func TestI10HistoriesHaveAnOrder(t *testing.T) {
	t.Parallel()
	orders, each := 8, 8
	if os.Getenv("PIAOHAO_SOAK") != "" {
		orders, each = 3000, 12
	}
	a, b := twoNodes(t)
	for name, nodes := range map[string][]*world{"SQLite": {newWorld(t)}, "PostgreSQL, two nodes": {a, b}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			acts := 0
			answers := map[string]int{}
			for i := range orders {
				c := &clients{t: t, nodes: nodes, order: fmt.Sprintf("h%d", i)}
				c.run(uint64(i), each)
				acts += len(c.history)
				for _, o := range c.history {
					a, told := o.Input.(act), o.Output.(answer)
					answers[fmt.Sprintf("%s %s %t", a.op, told.code, told.isNew)]++
				}
				if result := accepted(c.history); result != porcupine.Ok {
					t.Fatalf("order %d: %s: no order of these acts gives these answers:\n%s", i, result, written(c.history))
				}
			}
			t.Log(answers)
			totals.Write(t, "histories on "+name, totals.Row{What: "histories, each in an order that one at a time could have", Found: orders},
				totals.Row{What: "acts", Found: acts})
			for _, want := range []string{"create  true", "create  false", "refund  true", "close  false", "pay  false"} {
				if answers[want] == 0 {
					t.Errorf("%q never happened: the histories prove little", want)
				}
			}
		})
	}
}

func written(history []porcupine.Operation) (text string) {
	for _, o := range history {
		text += fmt.Sprintf("%d–%d client %d: %+v → %+v\n", o.Call, o.Return, o.ClientId, o.Input, o.Output)
	}
	return text
}

// TestHistoriesAreSeenThrough: the judge can say no.
func TestHistoriesAreSeenThrough(t *testing.T) {
	t.Parallel()
	at := func(call int64, a act, out answer) porcupine.Operation {
		return porcupine.Operation{Input: a, Output: out, Call: call, Return: call + 1}
	}
	const id = "pay_1"
	begin := []porcupine.Operation{
		at(0, act{op: "create", amount: orderAmount}, answer{id: id, status: "open", isNew: true}),
		at(2, act{op: "pay", id: id}, answer{}),
		at(4, act{op: "get"}, answer{id: id, status: "paid", refundable: orderAmount}),
	}
	refund := func(call int64, no int, amount pay.Fen, isNew bool) porcupine.Operation {
		return at(call, act{op: "refund", id: id, no: no, amount: amount}, answer{isNew: isNew})
	}
	for name, row := range map[string]struct {
		more []porcupine.Operation
		want porcupine.CheckResult
	}{
		"as it should be":            {[]porcupine.Operation{refund(6, 0, 10000, true), refund(8, 0, 10000, false), refund(10, 1, 2800, true)}, porcupine.Ok},
		"a stale read":               {[]porcupine.Operation{at(6, act{op: "get"}, answer{id: id, status: "open"})}, porcupine.Illegal},
		"a stale rest":               {[]porcupine.Operation{refund(6, 0, 1000, true), at(8, act{op: "get"}, answer{id: id, status: "paid", refundable: orderAmount})}, porcupine.Illegal},
		"more refunded than came":    {[]porcupine.Operation{refund(6, 0, 10000, true), refund(8, 1, 2801, true)}, porcupine.Illegal},
		"one number refunded twice":  {[]porcupine.Operation{refund(6, 0, 1000, true), refund(8, 0, 1000, true)}, porcupine.Illegal},
		"a second payment":           {[]porcupine.Operation{at(6, act{op: "create", amount: orderAmount}, answer{id: "pay_2", status: "open", isNew: true})}, porcupine.Illegal},
		"a paid payment closed":      {[]porcupine.Operation{at(6, act{op: "close", id: id}, answer{id: id, status: "closed"})}, porcupine.Illegal},
		"another amount, same order": {[]porcupine.Operation{at(6, act{op: "create", amount: 1}, answer{id: id, status: "paid"})}, porcupine.Illegal},
	} {
		if got := accepted(append(slices.Clone(begin), row.more...)); got != row.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
