package storm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"piaohao/internal/pay"
)

const allEvents = 100_000 // more than any run makes

// checkOpen looks at our books at the moment an order reaches a platform: its attempt was committed before, and no
// earlier number of the same way can still be paid (I-11).
func (s *storm) checkOpen(a pay.Attempt) {
	p, err := s.db.PaymentByOutTradeNo(context.Background(), a.Account, a.OutTradeNo)
	if err != nil {
		s.breaks("I-11", "number %s was ordered before it was stored: %v", a.OutTradeNo, err)
		return
	}
	for _, b := range p.Attempts {
		if b.OutTradeNo == a.OutTradeNo || b.Account != a.Account || b.Product != a.Product {
			continue
		}
		for _, e := range s.land.books() {
			if e.No == b.OutTradeNo && e.State == pay.Unpaid && !e.declined && e.PayBy.After(s.now()) {
				s.breaks("I-11", "number %s was ordered while %s of the same way can be paid", a.OutTradeNo, b.OutTradeNo)
			}
		}
	}
}

// checkAcked looks at our books at the moment a platform hears "success": the money is committed (I-05).
func (s *storm) checkAcked(account, no string) {
	p, err := s.db.PaymentByOutTradeNo(context.Background(), account, no)
	if err != nil {
		s.breaks("I-05", "number %s was acknowledged: %v", no, err)
		return
	}
	for _, a := range p.Attempts {
		if a.OutTradeNo == no && !a.IsPaid() {
			s.breaks("I-05", "number %s was acknowledged as paid and is %s", no, a.Status)
		}
	}
}

// ledger is our books, read when everything is over.
type ledger struct {
	ids      []string // payments in order of creation
	payments map[string]pay.Payment
	events   map[string][]pay.Event
}

func (s *storm) ledger() (ledger, error) {
	ctx := context.Background()
	l := ledger{payments: map[string]pay.Payment{}, events: map[string][]pay.Event{}}
	all, err := s.db.PlacesAfter(ctx, 0, allEvents)
	if err != nil {
		return l, err
	}
	placed := map[string]int{}
	for i, e := range all {
		if e.Pos != int64(i+1) {
			s.breaks("I-09", "event %d of %s has pos %d, want %d", e.Seq, e.PaymentID, e.Pos, i+1)
		}
		placed[e.PaymentID]++
		if placed[e.PaymentID] > 1 {
			continue
		}
		l.ids = append(l.ids, e.PaymentID)
		if l.payments[e.PaymentID], err = s.db.Payment(ctx, e.PaymentID); err != nil {
			return l, err
		}
		if l.events[e.PaymentID], err = s.db.Events(ctx, e.PaymentID); err != nil {
			return l, err
		}
	}
	for id, n := range placed {
		if n != len(l.events[id]) {
			s.breaks("I-09", "%d of %d events of %s have a place", n, len(l.events[id]), id)
		}
	}
	return l, nil
}

// check compares the platforms' books with ours, and ours with themselves.
func (s *storm) check() error {
	l, err := s.ledger()
	if err != nil {
		return err
	}
	byNo := map[string]pay.Attempt{}
	for _, id := range l.ids {
		p := l.payments[id]
		for _, v := range l.events[id] {
			s.seen[v.Type]++
			s.note("event", fmt.Sprintf("%s %d %s %s at %.3f", p.OrderNo, v.Seq, v.Type, v.AttemptID, v.At.Sub(s.began).Seconds()))
		}
		s.replay(p, l.events[id])
		s.over(p)
		for _, a := range p.Attempts {
			byNo[a.OutTradeNo] = a
			s.note("ours", fmt.Sprintf("%s %s %s %s %s surplus=%t tries=%d", p.OrderNo, p.ID, p.Status, a.OutTradeNo, a.Status, a.Surplus, a.Due.Tries))
		}
	}
	entries := map[string]*entry{}
	for _, e := range s.land.books() {
		entries[e.No] = e
		s.note("theirs", e.No, string(e.State), e.Tx)
		a, known := byNo[e.No]
		if !known {
			s.breaks("I-11", "the platform has an order %s that we do not know", e.No)
			continue
		}
		s.compare(l.payments[a.PaymentID], a, e)
	}
	for _, id := range l.ids {
		for _, a := range l.payments[id].Attempts {
			s.ended(a, entries[a.OutTradeNo], l.events[id])
		}
		s.heardAll(l.events[id])
	}
	return nil
}

// compare holds one order of the platform's books against ours (I-01, I-02, I-11).
func (s *storm) compare(p pay.Payment, a pay.Attempt, e *entry) {
	if e.Amount != a.Amount || a.Amount != p.Amount {
		s.breaks("I-11", "%s is an order of %d fen there, %d here", e.No, e.Amount, a.Amount)
	}
	if e.State != pay.Paid {
		return
	}
	switch {
	case !a.IsPaid():
		s.breaks("I-01", "%s is paid there and %s here", e.No, a.Status)
	case a.TransactionID != e.Tx:
		s.breaks("I-01", "%s is paid by %s there, %s here", e.No, e.Tx, a.TransactionID)
	case p.PaidAttempt == a.ID && a.Surplus:
		s.breaks("I-01", "%s settles its payment and is surplus", e.No)
	case p.PaidAttempt != a.ID && !a.Surplus:
		s.breaks("I-01", "%s is paid, neither settles its payment nor is surplus", e.No)
	}
	if a.Surplus {
		s.surplus(p, a)
	}
	s.refundsAgree(p, a, e)
}

// surplus looks for the one automatic refund and the incident of money that came second or late (I-01, I-13).
func (s *storm) surplus(p pay.Payment, a pay.Attempt) {
	refunds := 0
	for _, r := range p.Refunds {
		if r.AttemptID == a.ID && r.Automatic && r.Amount == a.Amount && r.Ended() {
			refunds++
		}
	}
	if refunds != 1 {
		s.breaks("I-01", "%s is surplus with %d automatic refunds", a.OutTradeNo, refunds)
	}
	kind := pay.IncidentSurplus
	if p.IsClosed() {
		kind = pay.IncidentLate
	}
	isNew, err := s.db.RecordIncident(context.Background(), pay.Incident{ID: "inc_probe_" + a.ID, Account: a.Account, Digest: kind + ":" + a.ID, At: s.now()})
	if err != nil || isNew {
		s.breaks("I-01", "%s is surplus without an incident (%v)", a.OutTradeNo, err)
	}
}

// over looks at a payment by itself: it has ended, and nothing of it wants work (I-08, I-13).
func (s *storm) over(p pay.Payment) {
	if !p.Done() {
		s.breaks("I-08", "payment %s is still open", p.ID)
	}
	for _, a := range p.Attempts {
		if a.Live() || !a.Due.At.IsZero() {
			s.breaks("I-08", "attempt %s is %s, due %v, in a payment that has ended", a.ID, a.Status, a.Due.At)
		}
	}
	if a := p.AttemptByID(p.PaidAttempt); p.IsPaid() && (a == nil || !a.IsPaid()) {
		s.breaks("I-02", "payment %s is paid by no attempt", p.ID)
	}
}

// skewed is how far an event's time, which is its node's, may lie before the real one.
func (s *storm) skewed() time.Duration {
	if s.weather.skew > 0 {
		return maxSkew / 2
	}
	return 0
}

// ended holds one of our attempts against the platform's books: nothing is paid here that is not paid there (I-02),
// and nothing was closed here before it was closed there (I-13, A68).
func (s *storm) ended(a pay.Attempt, e *entry, events []pay.Event) {
	if a.IsPaid() && (e == nil || e.State != pay.Paid || e.Tx != a.TransactionID || e.Amount != a.Amount) {
		s.breaks("I-02", "attempt %s is paid here and not there: %+v", a.OutTradeNo, e)
	}
	var closed time.Time
	for _, v := range events {
		if v.AttemptID == a.ID && v.Type == pay.EventAttemptClosed {
			closed = v.At
		}
	}
	switch {
	case closed.IsZero() || a.IsPaid():
	case e == nil && a.Lazy && !a.HandedOutAt.IsZero() && closed.Before(a.ExpiresAt.Add(pay.AbsentGrace)):
		s.breaks("I-13", "the link of %s could be paid until %v and was closed here at %v", a.OutTradeNo, a.ExpiresAt, closed)
	case e == nil || e.declined || e.State == pay.Paid: // compare speaks of the paid ones
	case e.State != pay.Closed:
		s.breaks("I-13", "%s is closed here and %s there", a.OutTradeNo, e.State)
	case e.EndedAt.After(closed.Add(s.skewed())):
		s.breaks("I-13", "%s was closed here at %v, there at %v", a.OutTradeNo, closed, e.EndedAt)
	}
}

// heardAll looks for each public event at the shop: delivered, always with one id and one body (I-09).
func (s *storm) heardAll(events []pay.Event) {
	for _, v := range events {
		if !v.Type.ForShops() {
			continue
		}
		count := 0
		for _, d := range s.heard {
			if d.id != v.ID {
				continue
			}
			count++
			if d.body != string(v.Body) {
				s.breaks("I-09", "event %s was delivered with another body", v.ID)
			}
		}
		if count == 0 {
			s.breaks("I-09", "event %s %s was never delivered", v.ID, v.Type)
		}
	}
}

// story is what the events of a payment tell, from nothing.
type story struct {
	status   pay.PaymentStatus
	closing  bool
	paid     int
	attempts map[string]*chapter
	refunds  int
	console  map[string]bool // refunds made at a platform's console, by id
	late     bool            // late money was accepted
}

type chapter struct {
	status  pay.AttemptStatus
	opened  time.Time
	handed  bool
	surplus bool
	leaving bool
}

// replay tells the story of a payment from its events' types alone and compares its end with the rows: every change
// has its event and every event its change (I-08); the edges are those allowed (I-03, I-13); nobody opened an attempt
// whose shape was good (I-12).
func (s *storm) replay(p pay.Payment, events []pay.Event) {
	st := story{attempts: map[string]*chapter{}, console: map[string]bool{}}
	for i, v := range events {
		if v.Seq != int64(i+1) {
			s.breaks("I-09", "payment %s: event %d has sequence number %d", p.ID, i+1, v.Seq)
		}
		st.late = p.Late
		if err := s.tell(&st, v); err != nil {
			s.breaks("I-13", "payment %s: event %d %s: %v", p.ID, v.Seq, v.Type, err)
		}
	}
	if p.Seq != int64(len(events)) {
		s.breaks("I-08", "payment %s has %d events and sequence number %d", p.ID, len(events), p.Seq)
	}
	if st.status != p.Status || st.paid > 1 || st.refunds != len(p.Refunds) || len(st.attempts) != len(p.Attempts) || st.closing != !p.CloseWantedAt.IsZero() {
		s.breaks("I-08", "payment %s: its events tell %+v, its row %s, %d refunds, %d attempts, close wanted %v",
			p.ID, st, p.Status, len(p.Refunds), len(p.Attempts), p.CloseWantedAt)
	}
	for _, a := range p.Attempts {
		c := st.attempts[a.ID]
		if c == nil || c.status != a.Status || c.surplus != a.Surplus || c.handed != !a.HandedOutAt.IsZero() || c.leaving != !a.CloseWantedAt.IsZero() {
			s.breaks("I-08", "attempt %s: its events tell %+v, its row %s surplus=%t handed=%v leaving=%v",
				a.ID, c, a.Status, a.Surplus, a.HandedOutAt, a.CloseWantedAt)
		}
	}
}

var errEdge = errors.New("not from this state")

// must is errEdge unless the edge is allowed.
func must(allowed bool) error {
	if !allowed {
		return errEdge
	}
	return nil
}

func (s *storm) tell(st *story, v pay.Event) error {
	c := st.attempts[v.AttemptID]
	if c == nil {
		c = &chapter{}
	}
	live := c.status == pay.AttemptOpening || c.status == pay.AttemptOpen
	open := st.status == pay.PaymentOpen
	switch v.Type {
	case pay.EventPaymentCreated:
		defer func() { st.status = pay.PaymentOpen }()
		return must(v.Seq == 1)
	case pay.EventPaymentClosing:
		defer func() { st.closing = true }()
		return must(open && !st.closing)
	case pay.EventPaymentReopened:
		st.closing = false
		return must(open)
	case pay.EventPaymentPaid:
		st.paid++
		st.status = pay.PaymentPaid
		return must(open && c.status == pay.AttemptPaid)
	case pay.EventPaymentClosed:
		st.status = pay.PaymentClosed
		return must(open && st.closing)
	case pay.EventLatePaid:
		if st.late && st.paid == 0 {
			st.paid, st.status = 1, pay.PaymentPaid
			return must(c.status == pay.AttemptPaid)
		}
		c.surplus = true
		return must(!open && c.status == pay.AttemptPaid)
	case pay.EventSurplus:
		c.surplus = true
		return must(!open && c.status == pay.AttemptPaid)
	case pay.EventAttemptCreated:
		st.attempts[v.AttemptID] = &chapter{status: pay.AttemptOpening}
		return must(open)
	case pay.EventAttemptOpened:
		if c.status == pay.AttemptOpen && v.At.Before(c.opened.Add(s.codeLife-2*time.Minute)) {
			s.breaks("I-12", "attempt %s was opened at %v and again at %v", v.AttemptID, c.opened, v.At)
		}
		c.opened, c.status = v.At, pay.AttemptOpen
		return must(live)
	case pay.EventAttemptHandedOut:
		c.handed = true
		return must(c.status == pay.AttemptOpen)
	case pay.EventAttemptClosing:
		c.leaving = true
		return must(live)
	case pay.EventAttemptResumed:
		c.leaving = false
		return must(live)
	case pay.EventAttemptPaid:
		defer func() { c.status = pay.AttemptPaid }()
		return must(c.status != pay.AttemptPaid)
	case pay.EventAttemptClosed:
		defer func() { c.status = pay.AttemptClosed }()
		return must(live || c.status == pay.AttemptRefused)
	case pay.EventAttemptRefused:
		c.status = pay.AttemptRefused
		return must(live)
	case pay.EventRefundCreated:
		st.refunds++
		return must(c.status == pay.AttemptPaid)
	case pay.EventRefundExternal:
		st.refunds++
		st.console[v.RefundID] = true
		return nil // it may be told before the payment is, and so may its end
	case pay.EventRefundChanged, pay.EventRefundSucceeded, pay.EventRefundFailed, pay.EventRefundAbnormal, pay.EventAttemptRefunded:
		return must(c.status == pay.AttemptPaid || st.console[v.RefundID])
	}
	return fmt.Errorf("no such change in a storm")
}
