package gateway

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"piaohao/internal/pay"
	"piaohao/internal/store"
	"piaohao/internal/view"
)

// Bounds of a look-up.
const (
	maxFound  = 20 // payments of one number
	maxNumber = 64 // bytes of a number
	maxNearby = 20 // refused messages of an account beside an attempt
)

// Timeline is everything about one payment that its shop's operator may see: what was sent, received, decided and is due.
// It is built from names, codes and numbers, so that it holds no secret: no message, no key, no token of a page, no code or
// link that can be paid. Times are RFC 3339 in UTC with milliseconds, "" = not; amounts are fen.
type Timeline struct {
	Payment  PaymentFacts    `json:"payment"`
	Attempts []AttemptFacts  `json:"attempts"`
	Refunds  []RefundFacts   `json:"refunds"`
	Webhooks []DeliveryFacts `json:"webhooks"`
	Lines    []Line          `json:"timeline"` // in order of time
}

// PaymentFacts is the payment's row.
type PaymentFacts struct {
	ID          string `json:"id"`
	Shop        string `json:"shop"`
	OrderNo     string `json:"order_no"`
	Amount      int64  `json:"amount"`
	Currency    string `json:"currency"`
	Subject     string `json:"subject"`
	Status      string `json:"status"`
	Closing     bool   `json:"closing"`
	CloseReason string `json:"close_reason,omitempty"`
	Livemode    bool   `json:"livemode"`
	CreatedAt   string `json:"created_at"`
	ExpiresAt   string `json:"expires_at"`
	PaidAt      string `json:"paid_at,omitempty"`
	ClosedAt    string `json:"closed_at,omitempty"`
	WatchedTill string `json:"watched_until,omitempty"`
	Endpoint    bool   `json:"webhook_endpoint"` // the shop has one
}

// RefundFacts is a refund's row, with what it wants next.
type RefundFacts struct {
	view.Refund
	Account  string `json:"account"`
	SentAt   string `json:"sent_at,omitempty"`
	NextAct  string `json:"next_act,omitempty"` // "send", "ask"
	NextAt   string `json:"next_at,omitempty"`
	Tries    int64  `json:"tries"`
	Failures int64  `json:"failures"`
}

// AttemptFacts is an attempt's row, with what was last heard about it.
type AttemptFacts struct {
	ID            string  `json:"id"`
	OutTradeNo    string  `json:"out_trade_no"`
	TransactionID string  `json:"transaction_id,omitempty"`
	Account       string  `json:"account"`
	Channel       string  `json:"channel"`
	Method        string  `json:"method"`
	Product       string  `json:"product"`
	Variant       string  `json:"variant,omitempty"`
	AppID         string  `json:"app_id"`
	MerchantID    string  `json:"merchant_id"`
	Status        string  `json:"status"`
	Amount        int64   `json:"amount"`
	Refunded      int64   `json:"refunded"`
	Surplus       bool    `json:"surplus"`
	CreatedAt     string  `json:"created_at"`
	HandedOutAt   string  `json:"handed_out_at,omitempty"`
	ExpiresAt     string  `json:"expires_at"`
	PaidAt        string  `json:"paid_at,omitempty"`
	ClosedAt      string  `json:"closed_at,omitempty"`
	NotifyURL     string  `json:"notify_url"`                 // where the platform was told to send its notice
	Notice        *Heard  `json:"notice"`                     // the newest notice about it, null = none came
	Call          *Heard  `json:"call"`                       // our newest call about it
	Nearby        []Heard `json:"refused_nearby"`             // what its account refused in its time and names no attempt
	NextAct       string  `json:"next_act,omitempty"`         // "open", "query", "close", "" = nothing is due
	NextAt        string  `json:"next_at,omitempty"`          // when
	BusyUntil     string  `json:"being_done_until,omitempty"` // a node works on it, at most until then
	Tries         int64   `json:"tries"`
	Failures      int64   `json:"failures_in_a_row"`
}

// Heard is a message that came or went.
type Heard struct {
	Op      string `json:"op"`
	Outcome string `json:"outcome"`
	Code    string `json:"code"`
	FirstAt string `json:"first_at"`
	LastAt  string `json:"last_at"`
	Times   int64  `json:"times"`
}

// DeliveryFacts is how far an event is on its way to the shop.
type DeliveryFacts struct {
	EventID     string `json:"event_id"`
	Type        string `json:"type"`
	Endpoint    string `json:"endpoint"` // its origin: what follows may hold a secret of the shop's
	Tries       int64  `json:"tries"`
	DeliveredAt string `json:"delivered_at,omitempty"`
	NextAt      string `json:"next_at,omitempty"` // "" = delivered, or given up
	Error       string `json:"error,omitempty"`   // of the last try, as long as it is not delivered
}

// Line is one thing that happened or is due.
type Line struct {
	At      string `json:"at"`
	Until   string `json:"until,omitempty"` // of the last, when it stands for several
	Times   int64  `json:"times"`
	Kind    string `json:"kind"` // "event", "sent", "received", "incident", "webhook", "due"
	What    string `json:"what"`
	Attempt string `json:"attempt_id,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// The kinds of lines.
const (
	LineEvent    = "event"
	LineSent     = "sent"
	LineReceived = "received"
	LineIncident = "incident"
	LineWebhook  = "webhook"
	LineDue      = "due"
)

// Timelines finds payments by any number, the newest first, at most 20: the id of a payment, attempt, refund, event or
// incident, an attempt's number, ours or the platform's, or the order number of any shop. CodeNotFound: there is none.
func (g *Gateway) Timelines(ctx context.Context, number string) ([]Timeline, error) {
	missing := &Error{Code: CodeNotFound, Public: "no payment, attempt, order, transaction, event or incident has this number"}
	if number == "" || len(number) > maxNumber {
		return nil, missing
	}
	g.settleExchanges(ctx)
	ids, err := g.DB.PaymentIDs(ctx, number, maxFound)
	if err != nil {
		return nil, err
	}
	var all []Timeline
	for _, id := range ids {
		t, err := g.timeline(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, missing
	}
	return all, nil
}

// settleExchanges stores what is still in memory, so that who looks sees all of it.
func (g *Gateway) settleExchanges(ctx context.Context) {
	if err := g.StoreExchanges(ctx); err != nil {
		g.Log.Error("exchanges not stored", "cause", err)
	}
}

func (g *Gateway) timeline(ctx context.Context, id string) (Timeline, error) {
	p, err := g.DB.Payment(ctx, id)
	if err != nil {
		return Timeline{}, notFound(err)
	}
	events, err := g.DB.Events(ctx, id)
	if err != nil {
		return Timeline{}, err
	}
	exchanges, err := g.DB.Exchanges(ctx, id)
	if err != nil {
		return Timeline{}, err
	}
	incidents, err := g.DB.Incidents(ctx, id)
	if err != nil {
		return Timeline{}, err
	}
	deliveries, err := g.DB.Deliveries(ctx, id)
	if err != nil {
		return Timeline{}, err
	}
	t := Timeline{Payment: paymentFacts(p), Attempts: []AttemptFacts{}, Refunds: []RefundFacts{}, Webhooks: []DeliveryFacts{}}
	if t.Payment.Endpoint, err = g.DB.HasEndpoint(ctx, p.Shop); err != nil {
		return Timeline{}, err
	}
	var lines chronicle
	for _, e := range events {
		lines.add(e.At, Line{Kind: LineEvent, What: string(e.Type), Attempt: e.AttemptID, Detail: strings.TrimSpace(e.ID + " " + e.ActedBy)})
	}
	for _, e := range exchanges {
		lines.exchange(e)
	}
	for _, i := range incidents {
		lines.add(i.At, Line{Kind: LineIncident, What: i.Kind, Attempt: i.AttemptID, Times: i.Times, Detail: i.ID + " " + i.Detail})
	}
	for _, d := range deliveries {
		t.Webhooks = append(t.Webhooks, deliveryFacts(d))
		lines.delivery(d, t.Webhooks[len(t.Webhooks)-1])
	}
	for _, a := range p.Attempts {
		f, err := g.attemptFacts(ctx, p, a, exchanges)
		if err != nil {
			return Timeline{}, err
		}
		t.Attempts = append(t.Attempts, f)
		if f.NextAt != "" {
			lines.add(a.Due.At, Line{Kind: LineDue, What: f.NextAct, Attempt: a.ID})
		}
	}
	for _, r := range p.Refunds {
		f := refundFacts(r)
		t.Refunds = append(t.Refunds, f)
		if f.NextAt != "" {
			lines.add(r.Due.At, Line{Kind: LineDue, What: f.NextAct + " refund", Attempt: r.AttemptID, Detail: r.ID})
		}
	}
	if !p.Done() && !p.Closing() {
		lines.add(p.ExpiresAt, Line{Kind: LineDue, What: "expire"})
	}
	t.Lines = lines.sorted()
	return t, nil
}

func refundFacts(r pay.Refund) RefundFacts {
	f := RefundFacts{
		Refund: view.OfRefund(r), Account: r.Account, SentAt: view.Time(r.SentAt), Tries: r.Due.Tries, Failures: r.Due.Failures,
	}
	if act := pay.NextRefundAct(r); act != pay.RefundNothing && !r.Due.At.IsZero() {
		f.NextAct, f.NextAt = string(act), view.Time(r.Due.At)
	}
	return f
}

func paymentFacts(p pay.Payment) PaymentFacts {
	return PaymentFacts{
		ID: p.ID, Shop: p.Shop, OrderNo: p.OrderNo, Amount: int64(p.Amount), Currency: p.Currency, Subject: p.Subject,
		Status: string(p.Status), Closing: p.Closing(), CloseReason: string(p.CloseReason), Livemode: p.Livemode,
		CreatedAt: view.Time(p.CreatedAt), ExpiresAt: view.Time(p.ExpiresAt), PaidAt: view.Time(p.PaidAt),
		ClosedAt: view.Time(p.ClosedAt), WatchedTill: view.Time(p.WatchedUntil),
	}
}

func (g *Gateway) attemptFacts(ctx context.Context, p pay.Payment, a pay.Attempt, exchanges []store.Exchange) (AttemptFacts, error) {
	f := AttemptFacts{
		ID: a.ID, OutTradeNo: a.OutTradeNo, TransactionID: a.TransactionID, Account: a.Account, Channel: a.Channel,
		Method: a.Method, Product: a.Product, Variant: a.Variant, AppID: a.AppID, MerchantID: a.MerchantID,
		Status: string(a.Status), Amount: int64(a.Amount), Refunded: int64(a.Refunded), Surplus: a.Surplus,
		CreatedAt: view.Time(a.CreatedAt), HandedOutAt: view.Time(a.HandedOutAt), ExpiresAt: view.Time(a.ExpiresAt),
		PaidAt: view.Time(a.PaidAt), ClosedAt: view.Time(a.ClosedAt), NotifyURL: a.NotifyURL, Nearby: []Heard{},
		Tries: a.Due.Tries, Failures: a.Due.Failures,
	}
	if act := pay.NextAct(p, a); act != pay.ActNone && !a.Due.At.IsZero() {
		f.NextAct, f.NextAt = string(act), view.Time(a.Due.At)
	}
	if a.Due.LeaseUntil.After(g.Now()) {
		f.BusyUntil = view.Time(a.Due.LeaseUntil)
	}
	var notice, call store.Exchange
	for _, e := range exchanges {
		switch {
		case e.AttemptID != a.ID:
		case e.Op == opNotice && !e.LastAt.Before(notice.LastAt):
			notice, f.Notice = e, heard(e)
		case e.Direction == store.Out && !e.LastAt.Before(call.LastAt):
			call, f.Call = e, heard(e)
		}
	}
	nearby, err := g.DB.RefusedBetween(ctx, a.Account, a.CreatedAt, a.ExpiresAt.Add(time.Hour), maxNearby)
	for _, e := range nearby {
		f.Nearby = append(f.Nearby, *heard(e))
	}
	return f, err
}

func heard(e store.Exchange) *Heard {
	return &Heard{
		Op: e.Op, Outcome: e.Outcome, Code: e.Code, FirstAt: view.Time(e.FirstAt), LastAt: view.Time(e.LastAt), Times: e.Times,
	}
}

func deliveryFacts(d store.DeliveryState) DeliveryFacts {
	f := DeliveryFacts{
		EventID: d.EventID, Type: string(d.Type), Endpoint: origin(d.URL), Tries: d.Tries,
		DeliveredAt: view.Time(d.DeliveredAt), NextAt: view.Time(d.Due),
	}
	switch {
	case !d.DeliveredAt.IsZero() || d.Tries == 0:
	case d.Status == 0:
		f.Error = d.Excerpt // without an answer these are words of ours
	default:
		f.Error = "HTTP " + strconv.Itoa(d.Status)
	}
	return f
}

// origin is the part of a URL that holds nothing to hide.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// chronicle gathers lines with the moments that they are sorted by.
type chronicle struct {
	lines []Line
	at    []time.Time
}

func (c *chronicle) add(at time.Time, l Line) {
	l.At, l.Times = view.Time(at), max(l.Times, 1)
	c.lines, c.at = append(c.lines, l), append(c.at, at)
}

func (c *chronicle) exchange(e store.Exchange) {
	l := Line{Kind: LineSent, What: e.Op, Attempt: e.AttemptID, Times: e.Times, Detail: e.Outcome}
	if e.Direction == store.In {
		l.Kind = LineReceived
	}
	if e.Code != "" {
		l.Detail += " " + e.Code
	}
	if e.RequestID != "" {
		l.Detail += " request " + e.RequestID
	}
	if e.Times > 1 {
		l.Until = view.Time(e.LastAt)
	}
	c.add(e.FirstAt, l)
}

func (c *chronicle) delivery(d store.DeliveryState, f DeliveryFacts) {
	l := Line{Kind: LineWebhook, What: f.Type, Times: f.Tries, Detail: f.EventID + " → " + cmp.Or(f.Endpoint, "endpoint removed")}
	switch {
	case f.DeliveredAt != "":
		c.add(d.DeliveredAt, l)
	case f.NextAt != "":
		l.Kind = LineDue
		l.What = "webhook " + l.What
		if f.Error != "" {
			l.Detail += ", last: " + f.Error
		}
		c.add(d.Due, l)
	}
}

// sorted keeps the order of what happened in the same millisecond: decisions before messages.
func (c *chronicle) sorted() []Line {
	order := make([]int, len(c.lines))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return c.at[a].Compare(c.at[b]) })
	out := make([]Line, len(order))
	for i, from := range order {
		out[i] = c.lines[from]
	}
	return out
}
