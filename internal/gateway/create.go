package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/store"
	"piaohao/internal/view"
)

var orderNo = regexp.MustCompile(`^[0-9A-Za-z._|*@-]{1,64}$`)

// Create makes a payment, or finds the one that the order has: idempotent by (shop, order_no).
func (g *Gateway) Create(ctx context.Context, in CreateInput) (Result, error) {
	ctx = g.begin(ctx)
	r, err := g.create(ctx, in)
	done := "found"
	if r.Created {
		done = "created"
	}
	if orderNo.MatchString(in.OrderNo) {
		g.logShop(ctx, "create", done, r.View.ID, in.OrderNo, err)
	}
	return r, err
}

func (g *Gateway) create(ctx context.Context, in CreateInput) (Result, error) {
	w, err := g.checkCreate(&in)
	if err != nil {
		return Result{}, err
	}
	now := g.Now()
	p := pay.Payment{
		ID: g.NewID("pay"), Shop: in.Shop, OrderNo: in.OrderNo, Amount: in.Amount, Currency: in.Currency,
		Subject: in.Subject, Livemode: g.Livemode, Token: g.NewToken(), ReturnURL: in.ReturnURL,
		Metadata: metadataText(in.Metadata), ExpiresAt: now.Add(in.ExpiresIn),
	}
	var first *pay.Attempt
	if w != nil && !w.atGo {
		a := g.newAttempt(p, *w, in.ClientIP)
		first = &a
	}
	for range maxStale {
		c := pay.New(p, first, now, g.NewID)
		err := g.apply(ctx, c)
		if err == nil {
			v, err := g.answer(ctx, c.Payment, w, first, in.ClientIP)
			return Result{View: v, Created: true}, err
		}
		unknown := errors.Is(err, store.ErrUnknown)
		if !unknown && !errors.Is(err, store.ErrOrderTaken) {
			return Result{}, err
		}
		old, err := g.DB.PaymentByOrder(ctx, in.Shop, in.OrderNo)
		if unknown && errors.Is(err, store.ErrNotFound) {
			continue // it was not written
		}
		if err != nil {
			return Result{}, err
		}
		if unknown && old.ID == p.ID { // it was
			v, err := g.answer(ctx, old, w, first, in.ClientIP)
			return Result{View: v, Created: true}, err
		}
		if old.IsClosed() { // meanwhile: the order is free again
			if least := old.CreatedAt.Add(time.Millisecond); now.Before(least) {
				now = least // of an order's payments the newest is the one that was written last
			}
			continue
		}
		v, err := g.again(ctx, old, in, w)
		return Result{View: v}, err
	}
	return Result{}, &Error{Code: CodeBusy, Public: "too many changes of this order at once; try again"}
}

// again answers a create for an order that has an open or paid payment.
func (g *Gateway) again(ctx context.Context, p pay.Payment, in CreateInput, w *way) (view.Payment, error) {
	if p.Amount != in.Amount || p.Currency != in.Currency {
		return view.Payment{}, &Error{
			Code: CodeOrderConflict, Param: "amount",
			Public: "this order_no has a payment of another amount; close that payment first, or use a new order_no",
		}
	}
	if p.CanWithdraw(g.Now()) {
		out, err := g.decide(ctx, p, pay.Withdraw{})
		if err != nil {
			return view.Payment{}, err
		}
		p = out.payment
	}
	if errors.Is(p.CanOffer(g.Now()), pay.ErrClosing) {
		return view.Payment{}, &Error{
			Code: CodePaymentClosing, RetryAfter: time.Minute,
			Public: "the time of this order's payment ran out and it is being closed; try again when it is closed",
		}
	}
	return g.answer(ctx, p, w, nil, in.ClientIP)
}

// answer opens the chosen way, when there is one, and renders the payment. mine is the attempt that this request
// created and holds the claim of.
func (g *Gateway) answer(ctx context.Context, p pay.Payment, w *way, mine *pay.Attempt, clientIP string) (view.Payment, error) {
	if w == nil || p.Done() {
		return view.Of(p, g.cashierURL(p), nil), nil
	}
	if w.atGo {
		action := &view.Action{Type: string(pay.ShapeURL), URL: g.goURL(p, w.account.Info.Method)}
		return view.Of(p, g.cashierURL(p), action), nil
	}
	p, attemptID, err := g.choose(ctx, p, *w, mine, clientIP)
	if err != nil {
		return view.Payment{}, err
	}
	return view.Of(p, g.cashierURL(p), g.action(p, p.AttemptByID(attemptID))), nil
}

// action renders what to do with a's payer; nil when a cannot be paid now.
func (g *Gateway) action(p pay.Payment, a *pay.Attempt) *view.Action {
	if a == nil || !p.CanHandOut(*a, g.Now()) || a.HandedOutAt.IsZero() {
		return nil
	}
	out := &view.Action{Type: string(a.Shape.Kind)}
	switch a.Shape.Kind {
	case pay.ShapeQR:
		out.Code = a.Shape.Text
	case pay.ShapeURL:
		out.URL = g.goURL(p, a.Method)
	case pay.ShapeForm:
		out.HTML = a.Shape.Text
	case pay.ShapeSDK:
		out.Params = json.RawMessage(a.Shape.Text)
	}
	return out
}

// way is one product of one account.
type way struct {
	account *Account
	product channel.Product
	atGo    bool // nothing is opened before the payer visits our go link
}

// wayOf finds the product that a shop asked for.
func (g *Gateway) wayOf(method, product string) (*way, error) {
	a := g.accountFor(method)
	if a == nil {
		return nil, &Error{Code: CodeMethodUnavailable, Param: "method", Public: "no account here offers this method"}
	}
	for _, p := range a.Info.Products {
		if product == "" || p.Name == product {
			return &way{account: a, product: p, atGo: product == "" && p.Shape == pay.ShapeURL}, nil
		}
	}
	return nil, &Error{Code: CodeMethodUnavailable, Param: "product", Public: "this method has no such product"}
}

func invalid(param, text string) error { return &Error{Code: CodeInvalid, Param: param, Public: text} }

func (g *Gateway) checkCreate(in *CreateInput) (*way, error) {
	if in.Currency == "" {
		in.Currency = pay.CNY
	}
	if in.ExpiresIn == 0 {
		in.ExpiresIn = DefaultExpiresIn
	}
	switch {
	case !orderNo.MatchString(in.OrderNo):
		return nil, invalid("order_no", "order_no must be 1 to 64 of the letters 0-9 A-Z a-z . _ | * @ -")
	case !in.Amount.Valid():
		return nil, invalid("amount", "amount must be 1 to 10,000,000,000 fen, a whole number")
	case in.Currency != pay.CNY:
		return nil, invalid("currency", "currency must be CNY")
	case strings.TrimSpace(in.Subject) == "" || !utf8.ValidString(in.Subject) || utf8.RuneCountInString(in.Subject) > MaxSubject:
		return nil, invalid("subject", "subject must be 1 to 256 characters")
	case in.ExpiresIn < MinExpiresIn || in.ExpiresIn > MaxExpiresIn || in.ExpiresIn%time.Second != 0:
		return nil, invalid("expires_in", "expires_in must be 120 to 86,400 whole seconds")
	case len(in.Metadata) > MaxMetadataKeys || len(metadataText(in.Metadata)) > MaxMetadataBytes:
		return nil, invalid("metadata", "metadata must have at most 20 keys and 2,048 bytes of JSON")
	case in.ReturnURL != "" && !g.returnAllowed(in.ReturnURL):
		return nil, invalid("return_url", "return_url must be an absolute http(s) URL of an origin listed in RETURN_URL_ORIGINS")
	case in.Method == "" && in.Product != "":
		return nil, invalid("product", "product needs a method")
	case in.Method == "":
		return nil, nil
	}
	return g.wayOf(in.Method, in.Product)
}

func metadataText(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	text, _ := json.Marshal(m) // a map of strings always marshals
	return string(text)
}

// returnAllowed compares the whole origin with the list (A87): what url.Parse reads as host is what browsers go to
// only when the text has none of the forms in which they differ.
func (g *Gateway) returnAllowed(text string) bool {
	if len(text) > MaxReturnURL || strings.ContainsAny(text, "\\\t\r\n ") {
		return false
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return false
	}
	if slices.Contains(g.ReturnOrigins, u.Scheme+"://"+u.Host) {
		return true
	}
	name := u.Hostname()
	return !g.Livemode && (name == "127.0.0.1" || name == "localhost" || name == "::1")
}
