// Package alipaysim simulates Alipay's open platform: the V2 gateway, the
// cashier that a payer is sent to, and the asynchronous notices. It is strict
// where the platform is strict, so that a client that works here is not
// refused there, and it keeps the platform's awkward habits: orders that do
// not exist until the payer opens them, HTTP 200 for errors, signatures over
// raw text, a malformed Content-Type on notices.
//
// It is written from the platform's documents alone and shares no code with
// the gateway's own client: each is a check on the other.
//
// It covers page.pay, wap.pay, query, close, refund, refund query, notices and the return link of an
// app in public-key mode or in certificate mode. Where the documents are silent, a comment says what
// was chosen.
package alipaysim

import (
	"cmp"
	"crypto/rsa"
	"net/http"
	"sync/atomic"

	"piaohao/internal/sim/simkit"
)

// The simulator's one merchant. The numbers are reserved for it.
const (
	AppID    = "2021000000005001"
	SellerID = "2088000000005001"

	sellerEmail  = "shop-5001@example.com"
	sellerName   = "模拟商户"
	buyerID      = "2088000000009001"
	buyerLogonID = "159****0001"
)

// Sim is the simulated platform. It is safe for concurrent use.
type Sim struct {
	kit         *simkit.Kit
	appKey      *rsa.PrivateKey // signs the merchant's requests; kept here only to be handed out
	platformKey *rsa.PrivateKey
	// certificates is nil in public-key mode.
	certificates *certificates
	credentials  Credentials
	faults       atomic.Pointer[Faults]
	refusals     refusalLog
}

var _ simkit.Platform = (*Sim)(nil)

// Credentials is what a merchant takes from the open platform's console. Keys
// are PEM: PKCS#8 and SPKI.
type Credentials struct {
	GatewayURL      string `json:"gateway_url"`
	AppID           string `json:"app_id"`
	SellerID        string `json:"seller_id"`
	AppPrivateKey   string `json:"app_private_key"`
	AlipayPublicKey string `json:"alipay_public_key"`

	// In certificate mode; "" otherwise.
	AppCert        string `json:"app_cert,omitempty"`
	AlipayCert     string `json:"alipay_cert,omitempty"` // with its issuer's behind
	AlipayRootCert string `json:"alipay_root_cert,omitempty"`
}

// Options say which merchant the platform knows; the zero value is the simulator's reserved one in public-key mode.
type Options struct {
	AppID    string // "" = AppID
	SellerID string // "" = SellerID
	// Certificates sets the app to certificate mode: requests name its certificate and the roots that it trusts, replies
	// the certificate that they are signed under.
	Certificates bool
}

// New makes or loads the keys and registers the notices with the kit.
func New(kit *simkit.Kit, o Options) (*Sim, error) {
	s := &Sim{kit: kit}
	s.SetFaults(Faults{})
	var err error
	if s.appKey, err = kit.Key("alipay_app"); err != nil {
		return nil, err
	}
	if s.platformKey, err = kit.Key("alipay_platform"); err != nil {
		return nil, err
	}
	s.credentials = Credentials{GatewayURL: kit.PublicURL + "/gateway.do", AppID: cmp.Or(o.AppID, AppID), SellerID: cmp.Or(o.SellerID, SellerID)}
	if s.credentials.AppPrivateKey, err = simkit.PrivatePEM(s.appKey); err != nil {
		return nil, err
	}
	if s.credentials.AlipayPublicKey, err = simkit.PublicPEM(&s.platformKey.PublicKey); err != nil {
		return nil, err
	}
	if o.Certificates {
		c, err := newCertificates(kit, s.credentials.AppID, &s.appKey.PublicKey, &s.platformKey.PublicKey)
		if err != nil {
			return nil, err
		}
		s.certificates = c
		s.credentials.AppCert, s.credentials.AlipayCert, s.credentials.AlipayRootCert = c.app, c.alipay, c.root
	}
	kit.Notices.Register(s.Name(), postman{s})
	return s, s.openLedger()
}

// openLedger sums what was paid in books that were begun before there were refunds.
func (s *Sim) openLedger() error {
	trades, err := simkit.List[trade](s.kit.Books, kindTrade)
	if err != nil {
		return err
	}
	var paid int64
	for _, t := range trades {
		if !t.Paid.IsZero() {
			paid += t.Order.Fen
		}
	}
	return s.kit.OpenLedger(s.Name(), paid)
}

// Name is the platform's name in the kit's books.
func (s *Sim) Name() string { return "alipay" }

// Credentials are the merchant's.
func (s *Sim) Credentials() Credentials { return s.credentials }

// Mount adds the gateway, the cashier, and the simulator's own settings.
func (s *Sim) Mount(mux *http.ServeMux) {
	mux.HandleFunc("/gateway.do", s.serveGateway)
	mux.HandleFunc("GET "+cashierPath+"{visit}", s.serveCashier)
	mux.HandleFunc("POST "+cashierPath+"{visit}/{act}", s.serveAct)
	mux.HandleFunc("GET /sim/alipay/errors", s.serveRefusals)
	mux.HandleFunc("GET /sim/alipay/faults", s.serveFaults)
	mux.HandleFunc("POST /sim/alipay/faults", s.serveFaults)
}
