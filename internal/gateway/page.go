package gateway

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/store"
)

// PageInput is what a payer's request says of itself.
type PageInput struct {
	Token  string
	Method string // the method the payer chose last, "" when the page does not know
	Device Device
}

// Page is what a payer's page shows. It never calls a platform; a shape that it shows is handed out first.
func (g *Gateway) Page(ctx context.Context, in PageInput) (Page, error) {
	p, err := g.DB.PaymentByToken(ctx, in.Token)
	if err != nil {
		return Page{}, notFound(err)
	}
	a := g.chosen(p, in.Method)
	if a != nil && p.CanHandOut(*a, g.Now()) {
		id := a.ID
		if p, err = g.handOut(ctx, p, *a); err != nil {
			return Page{}, err
		}
		a = p.AttemptByID(id)
	}
	shop, err := g.DB.Shop(ctx, p.Shop)
	if err != nil {
		return Page{}, err
	}
	page := Page{ShopName: shop.Name, Payment: p, Version: p.Seq, ReturnURL: g.returnLink(p)}
	page.Phase, page.Attempt = g.phase(p, a)
	page.Refund, page.Surplus = p.Returning(), p.Surplus()
	if page.Phase == PhaseScan {
		page.QR = a.Shape.Text
		if w := g.account(a.Account).WalletURL; w != "" {
			page.WalletURL = w + url.QueryEscape(page.QR)
		}
	}
	if p.CanOffer(g.Now()) == nil {
		page.Choices = g.choices(in.Device)
	}
	return page, nil
}

// chosen is the live attempt of the method the payer chose last, else the newest.
func (g *Gateway) chosen(p pay.Payment, method string) *pay.Attempt {
	for i := len(p.Attempts) - 1; i >= 0; i-- {
		if a := &p.Attempts[i]; a.Method == method && a.Live() && a.CloseWantedAt.IsZero() {
			return a
		}
	}
	return g.current(p)
}

func (g *Gateway) phase(p pay.Payment, a *pay.Attempt) (Phase, *pay.Attempt) {
	switch {
	case p.IsPaid() && p.Returning().Whole():
		return PhaseRefunded, p.AttemptByID(p.PaidAttempt)
	case p.IsPaid() && p.HasSurplus():
		return PhaseTwice, p.AttemptByID(p.PaidAttempt)
	case p.IsPaid():
		return PhasePaid, p.AttemptByID(p.PaidAttempt)
	case p.IsClosed() && p.HasSurplus():
		return PhaseLate, p.LastSurplus()
	case p.IsClosed() && p.CloseReason == pay.Expired:
		return PhaseExpired, nil
	case p.IsClosed():
		return PhaseClosed, nil
	case p.CanOffer(g.Now()) != nil:
		return PhaseConfirming, a
	case a != nil && a.Usable(g.Now()) && a.Shape.Kind == pay.ShapeQR:
		return PhaseScan, a
	case a != nil && a.Usable(g.Now()):
		return PhaseLeave, a
	case a != nil && a.Opening() && !a.Lazy:
		return PhaseOpening, a
	}
	if n := len(p.Attempts); n > 0 && p.Attempts[n-1].IsRefused() {
		return PhaseRefused, &p.Attempts[n-1]
	}
	return PhaseChoose, nil
}

// choices are the methods offered on a device: its own platform's first, then as configured.
func (g *Gateway) choices(d Device) []Choice {
	var out []Choice
	for _, platform := range g.Platforms() {
		account := g.accountFor(platform.Method)
		if account == nil {
			continue // what is there is only followed to its end
		}
		product := fit(account.Info, d)
		c := Choice{Method: platform.Method, Redirect: product.Shape == pay.ShapeURL, Hint: HintScan}
		switch {
		case d.Browser != "" && d.Browser != platform.Method && c.Redirect:
			c.Hint = HintOpenBrowser
		case d.Browser != "" && d.Browser != platform.Method:
			continue // a code of one platform cannot be scanned inside the other's browser
		case c.Redirect:
			c.Hint = HintGo
		case d.Phone:
			c.Hint = HintOtherDevice
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b Choice) int { return rank(a, d) - rank(b, d) })
	return out
}

func rank(c Choice, d Device) int {
	switch {
	case c.Method == d.Browser:
		return 0
	case d.Phone && c.Redirect && c.Hint == HintGo:
		return 1
	}
	return 2
}

// fit is the first product of a platform that suits the device.
func fit(info channel.Info, d Device) channel.Product {
	for _, p := range info.Products {
		if (d.Phone && p.Phone) || (!d.Phone && p.Desktop) {
			return p
		}
	}
	return info.Products[0]
}

// Go is a payer's choice of a method: it opens or reuses an attempt and says where to go.
func (g *Gateway) Go(ctx context.Context, in PageInput, clientIP string) (Leave, error) {
	p, err := g.DB.ToWrite().PaymentByToken(ctx, in.Token)
	if err != nil {
		return Leave{}, notFound(err)
	}
	account := g.accountFor(in.Method)
	if account == nil {
		return Leave{}, &Error{Code: CodeNotFound, Public: "no such method"}
	}
	w := way{account: account, product: fit(account.Info, in.Device)}
	if a := g.unseen(p, account.ID); a != nil {
		w.product.Name = a.Product // the shop named it
	}
	foreign := in.Device.Browser != "" && in.Device.Browser != in.Method
	if g.offers(p, w) != nil || foreign {
		return Leave{ToProcess: true}, nil //nolint:nilerr // the page says what is going on
	}
	p, id, err := g.choose(ctx, p, w, nil, clientIP)
	if err != nil {
		return Leave{}, err
	}
	a := p.AttemptByID(id)
	if a == nil || !p.CanHandOut(*a, g.Now()) || a.Shape.Kind != pay.ShapeURL {
		return Leave{ToProcess: true}, nil
	}
	return Leave{URL: a.Shape.Text}, nil
}

// unseen is a live attempt of the account whose link nobody has had yet.
func (g *Gateway) unseen(p pay.Payment, account string) *pay.Attempt {
	for i := range p.Attempts {
		if a := &p.Attempts[i]; a.Live() && a.Lazy && a.Account == account && a.HandedOutAt.IsZero() {
			return a
		}
	}
	return nil
}

// Back is the payer's way back to the choices: the attempts are closed, the payment stays. It calls no platform.
func (g *Gateway) Back(ctx context.Context, token string) error {
	p, err := g.DB.PaymentByToken(ctx, token)
	if err != nil {
		return notFound(err)
	}
	_, err = g.decide(ctx, p, pay.Back{})
	return err
}

// Returned finds the payment of a platform's signed way back, and asks about it at once. It proves nothing of money.
func (g *Gateway) Returned(ctx context.Context, rawQuery string) (token string, err error) {
	ctx = g.begin(ctx)
	for _, account := range g.Accounts {
		r, ok := account.Channel.(channel.Returner)
		if !ok {
			continue
		}
		back := store.Exchange{Account: account.ID, Direction: store.In, Op: "return", Outcome: outcomeAccepted}
		outTradeNo, err := r.Return(rawQuery)
		if err != nil {
			var e *channel.Error
			if errors.As(err, &e) && e.Kind == channel.Forged {
				back.Outcome, back.Code, back.Refused = string(e.Kind), e.Code, true
				g.record(back)
			}
			continue
		}
		p, err := g.DB.PaymentByOutTradeNo(ctx, account.ID, outTradeNo)
		if err == nil {
			g.logReturn(ctx, p, account.ID, outTradeNo)
		}
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		back.OutTradeNo = outTradeNo
		g.record(back)
		return p.Token, g.Arrived(ctx, p.Token)
	}
	return "", &Error{Code: CodeNotFound, Public: "no such payment"}
}

// returnLink is the shop's return_url, else that of the account which the payer used, with the numbers the shop needs,
// and no status: a link proves nothing.
func (g *Gateway) returnLink(p pay.Payment) string {
	to := p.ReturnURL
	if n := len(p.Attempts); to == "" && n > 0 {
		used := p.AttemptByID(cmp.Or(p.PaidAttempt, p.Attempts[n-1].ID))
		if account := g.account(used.Account); account != nil {
			to = account.ReturnURL
		}
	}
	u, err := url.Parse(to)
	if to == "" || err != nil {
		return ""
	}
	q := u.Query()
	q.Set("payment_id", p.ID)
	q.Set("order_no", p.OrderNo)
	u.RawQuery = q.Encode()
	return u.String()
}
