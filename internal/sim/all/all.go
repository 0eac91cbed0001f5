// Package all is the simulator as one server: both platforms at the root of one address, and under /sim/ the payer's
// wallet, the books for checkers, the merchant's credentials, faults and the clock.
//
//	GET  /sim               index page
//	GET  /sim/credentials   what a merchant configures, of both platforms
//	GET  /sim/wallet?code=  the payer's phone; POST with code and result acts
//	POST /sim/wallet/pay    {"code", "payer"?, "result"?} the same for programs
//	GET  /sim/books         all orders with their refunds, and the merchant's ledger at each platform
//	POST /sim/balance       {"platform"?, "balance_fen"} what the merchant has there from now on; without platform at both
//	POST /sim/wechat/refund {"code", "amount"?} the merchant's own console: code as in the wallet or the order's number,
//	POST /sim/alipay/refund amount in fen, default all that is left
//	GET, POST /sim/faults   simkit.FaultSettings; a POST replaces all of them
//	GET, POST /sim/clock    POST {"advance":"15m"} and/or {"scale":60}
//
//	POST /sim/wechat/rotate {"overlap":"24h"} a new platform certificate, which signs once the overlap is over
//
// A platform may add its own under /sim/<its name>/.
package all

import (
	"context"
	"crypto/rsa"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"piaohao/internal/sim/alipaysim"
	"piaohao/internal/sim/simkit"
	"piaohao/internal/sim/wechatsim"
)

// Options is what the simulator is built from; the zero values of WeChat and Alipay are its reserved merchants.
type Options struct {
	PublicURL  string                     // origin of platform paths and wallet
	CashierURL string                     // origin of Alipay's cashier pages; "" = PublicURL
	Dir        string                     // where books and keys are kept; "" = memory only
	Wall       func() time.Time           // required
	HTTP       *http.Client               // sends notices; redirects are switched off on a copy of it
	Random     io.Reader                  // nonces, numbers, codes; nil = crypto/rand
	Seed       uint64                     // of the faults
	Keys       map[string]*rsa.PrivateKey // keys to use in place of made ones: many simulators in one process share them
	Log        *slog.Logger               // required
	// SecureAddr is where WeChat's own TLS listens, host and port, port 0 = a free one; "" = nowhere. It is the only
	// place that serves refunds by APIv2. New listens; Secure is served by whoever serves Handler.
	SecureAddr string

	WeChat wechatsim.Options
	Alipay alipaysim.Options
}

func (o Options) kit() simkit.Options {
	return simkit.Options{
		PublicURL: o.PublicURL, CashierURL: o.CashierURL, Dir: o.Dir, Wall: o.Wall, HTTP: o.HTTP, Random: o.Random,
		Seed: o.Seed, Keys: o.Keys, Log: o.Log,
	}
}

// Credentials is what a merchant of both platforms configures.
type Credentials struct {
	WeChat wechatsim.Credentials `json:"wechat"`
	Alipay alipaysim.Credentials `json:"alipay"`
}

// Sim is both platforms on one kit.
type Sim struct {
	kit       *simkit.Kit
	wechat    *wechatsim.Sim
	alipay    *alipaysim.Sim
	platforms []simkit.Platform
	mux       *http.ServeMux
	secure    net.Listener // nil = none
}

// New opens the books and builds both platforms. At the first start of a directory it makes five RSA keys (about 0.5 s), and
// one more for each certificate of WeChat's and two for Alipay's where these modes are chosen.
func New(o Options) (*Sim, error) {
	kit, err := simkit.New(o.kit())
	if err != nil {
		return nil, err
	}
	wechat, err := wechatsim.New(kit, o.WeChat)
	if err != nil {
		return nil, errors.Join(err, kit.Close())
	}
	alipay, err := alipaysim.New(kit, o.Alipay)
	if err != nil {
		return nil, errors.Join(err, kit.Close())
	}
	s := &Sim{
		kit: kit, wechat: wechat, alipay: alipay, platforms: []simkit.Platform{wechat, alipay}, mux: http.NewServeMux(),
	}
	for _, p := range s.platforms {
		p.Mount(s.mux)
	}
	s.mountControl()
	if o.SecureAddr != "" {
		if s.secure, err = wechat.Listen(o.SecureAddr); err != nil {
			return nil, errors.Join(err, kit.Close())
		}
	}
	return s, nil
}

// Handler serves everything, on the plain listener as on Secure.
func (s *Sim) Handler() http.Handler { return s.mux }

// Secure is the TLS listener of Options.SecureAddr, nil = none. Close ends it, too.
func (s *Sim) Secure() net.Listener { return s.secure }

// Step sends the notice that is due longest, if one is due, and returns the wall time of the next; zero = none.
func (s *Sim) Step(ctx context.Context) (time.Time, error) { return s.kit.Notices.Step(ctx) }

// Woken receives after something became due sooner than Step last said. For the one consumer that runs Step.
func (s *Sim) Woken() <-chan struct{} { return s.kit.Woken() }

// Credentials returns what a merchant configures.
func (s *Sim) Credentials() Credentials {
	return Credentials{WeChat: s.wechat.Credentials(), Alipay: s.alipay.Credentials()}
}

// WeChat is the one platform, for what programs alone do to it.
func (s *Sim) WeChat() *wechatsim.Sim { return s.wechat }

// Close ends the TLS listener, if it still listens, and syncs and closes the books, after the last call and Step.
func (s *Sim) Close() error {
	if s.secure == nil {
		return s.kit.Close()
	}
	err := s.secure.Close()
	if errors.Is(err, net.ErrClosed) { // by who served it
		err = nil
	}
	return errors.Join(err, s.kit.Close())
}

// at returns the one platform that knows the code or number: simkit.ErrUnknown, or a *simkit.Refusal when both do.
func (s *Sim) at(code string) (simkit.Platform, error) {
	var known simkit.Platform
	unknown := simkit.ErrUnknown
	for _, p := range s.platforms {
		_, err := p.Find(code)
		var refusal *simkit.Refusal
		switch {
		case errors.Is(err, simkit.ErrUnknown):
			if err != simkit.ErrUnknown { //nolint:errorlint // wrapped is what says why
				unknown = err // this one says why
			}
			continue
		case err != nil && !errors.As(err, &refusal):
			return nil, err
		case known != nil:
			return nil, &simkit.Refusal{Reason: simkit.ReasonAmbiguous}
		}
		known = p
	}
	if known == nil {
		return nil, unknown
	}
	return known, nil
}

// act lets a payer pay or turn away.
func (s *Sim) act(code, payer, result string) (simkit.Order, error) {
	p, err := s.at(code)
	if err != nil {
		return simkit.Order{}, err
	}
	if result == simkit.ResultPay {
		return p.Pay(code, payer)
	}
	return p.Refuse(code, payer)
}
