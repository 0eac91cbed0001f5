// Package wechatsim is WeChat Pay for one merchant, by APIv3 and by the older APIv2, as strict as the platform: it
// verifies raw bytes, refuses what the documents do not name, signs every 2xx answer and sends signed, encrypted notices.
// Files that begin with v2 are APIv2's; orders and wallet are common.
//
// Comments cite the pages of the official merchant documentation by their titles; docs/sources.md says where they are.
// Products other than native are refused with NO_AUTH; a merchant has the permissions that it has.
//
// Signatures and the Date header carry wall time. Deadlines, code lifetimes, success_time and the retry table run on
// the simulator's business clock. The books' own lock orders all state changes; nothing is signed under it.
package wechatsim

import (
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"fmt"
	"net/http"
	"sync"

	"piaohao/internal/sim/simkit"
)

// The simulator's reserved merchant. A live gateway refuses these numbers.
const (
	AppID      = "wx0000000000005001"
	MerchantID = "1900005001"
)

// publicKeyForm makes the id of the platform's public key, which holds the merchant's number.
const publicKeyForm = "PUB_KEY_ID_0%s00000000000000000000001"

// Names of keys in simkit.Options.Keys.
const (
	MerchantKey = "wechat.merchant"
	PlatformKey = "wechat.platform" // in public-key mode
	CAKey       = "wechat.ca"       // issues certificates
)

const platformName = "wechat"

// Sim is the platform. It implements simkit.Platform.
type Sim struct {
	kit         *simkit.Kit
	mode        KeyMode
	credentials Credentials

	merchantCert []byte          // DER
	merchant     *rsa.PublicKey  // verifies requests
	platform     *rsa.PrivateKey // signs answers and notices, in public-key mode
	seal         cipher.AEAD     // encrypts notices and certificates under the APIv3 key

	rotating     sync.Mutex // one rotation at a time
	mu           sync.Mutex
	certificates []platformCertificate // all there ever were, oldest first
}

// Credentials is what a merchant of this platform is given.
type Credentials struct {
	BaseURL     string `json:"base_url"`
	AppID       string `json:"appid"`
	MerchantID  string `json:"mchid"`
	SerialNo    string `json:"serial_no"`     // of the merchant's API certificate, 40 hex
	PrivateKey  string `json:"private_key"`   // the merchant's, PKCS#8 PEM
	APIv3Key    string `json:"api_v3_key"`    // 32 ASCII characters
	MchKey      string `json:"mch_key"`       // of APIv2, 32 ASCII characters
	MchCert     string `json:"mch_cert"`      // the merchant's API certificate, PEM
	MchP12      string `json:"mch_p12"`       // the same with its key: PKCS#12 under the merchant's number, Base64
	PublicKeyID string `json:"public_key_id"` // of the platform's key; "" in CertificateMode
	PublicKey   string `json:"public_key"`    // the platform's, SPKI PEM; "" in CertificateMode
	// SecureURL is the origin that serves everything over TLS and is the only one to serve /secapi; SecureCA its authority,
	// PEM. "" = there is none.
	SecureURL string `json:"secure_url,omitempty"`
	SecureCA  string `json:"secure_ca,omitempty"`

	// PlatformCerts are the platform certificates listed at this moment, PEM, the one that signs first; "" in PublicKeyMode.
	PlatformCerts string `json:"platform_certs,omitempty"`
}

// Options say which merchant the platform knows; the zero value is the simulator's reserved one in public-key mode.
type Options struct {
	AppID      string // "" = AppID
	MerchantID string // "" = MerchantID
	Keys       KeyMode
}

// New makes the platform on the kit's books, with new keys where there are none yet.
func New(kit *simkit.Kit, o Options) (*Sim, error) {
	o.AppID, o.MerchantID = cmp.Or(o.AppID, AppID), cmp.Or(o.MerchantID, MerchantID)
	merchant, err := kit.Key(MerchantKey)
	if err != nil {
		return nil, err
	}
	platform, err := kit.Key(PlatformKey)
	if err != nil {
		return nil, err
	}
	s := &Sim{kit: kit, mode: o.Keys, merchant: &merchant.PublicKey, platform: platform}
	if s.credentials, err = newCredentials(kit, o, merchant, platform); err != nil {
		return nil, err
	}
	if s.merchantCert, err = merchantCertificate(s.credentials); err != nil {
		return nil, err
	}
	if s.seal, err = newSeal(s.credentials.APIv3Key); err != nil {
		return nil, err
	}
	if err := s.openCertificates(); err != nil {
		return nil, err
	}
	kit.Notices.Register(platformName, postman{s})
	kit.Notices.Register(v2PostmanName, v2Postman{s})
	kit.Notices.Register(refundPostmanName, refundPostman{postman{s}})
	kit.Notices.Register(v2RefundPostmanName, v2RefundPostman{v2Postman{s}})
	return s, s.openLedger()
}

// openLedger sums what was paid in books that were begun before there were refunds.
func (s *Sim) openLedger() error {
	kept, err := simkit.List[order](s.kit.Books, orderKind)
	if err != nil {
		return err
	}
	var paid int64
	for _, o := range kept {
		if o.isPaid() {
			paid += o.Total
		}
	}
	return s.kit.OpenLedger(platformName, paid)
}

func newCredentials(kit *simkit.Kit, o Options, merchant, platform *rsa.PrivateKey) (Credentials, error) {
	serial, err := newSerial(kit, "wechat.serial_no")
	if err != nil {
		return Credentials{}, err
	}
	apiKey, err := kit.KeptText("wechat.api_v3_key", simkit.AlphaNum, 32)
	if err != nil {
		return Credentials{}, err
	}
	mchKey, err := kit.KeptText("wechat.mch_key", simkit.AlphaNum, 32)
	if err != nil {
		return Credentials{}, err
	}
	private, err := simkit.PrivatePEM(merchant)
	if err != nil {
		return Credentials{}, err
	}
	c := Credentials{
		BaseURL: kit.PublicURL, AppID: o.AppID, MerchantID: o.MerchantID, SerialNo: serial, PrivateKey: private,
		APIv3Key: apiKey, MchKey: mchKey,
	}
	if o.Keys != CertificateMode {
		c.PublicKeyID = fmt.Sprintf(publicKeyForm, o.MerchantID)
		if c.PublicKey, err = simkit.PublicPEM(&platform.PublicKey); err != nil {
			return Credentials{}, err
		}
	}
	return c, issueMerchant(kit, &c, merchant)
}

func newSeal(apiKey string) (cipher.AEAD, error) {
	block, err := aes.NewCipher([]byte(apiKey))
	if err != nil {
		return nil, fmt.Errorf("wechatsim: APIv3 key: %w", err)
	}
	return cipher.NewGCM(block)
}

// Name is the platform's name in books and wallet.
func (s *Sim) Name() string { return platformName }

// Credentials returns what the merchant configures.
func (s *Sim) Credentials() Credentials {
	c := s.credentials
	if s.mode == PublicKeyMode {
		return c
	}
	for _, published := range s.published() {
		c.PlatformCerts += simkit.CertificatesPEM(published.DER)
	}
	return c
}

// Mount adds the platform's paths.
func (s *Sim) Mount(mux *http.ServeMux) {
	mux.Handle("/v3/", s)
	for path, serve := range map[string]v2Interface{
		"/pay/unifiedorder": s.v2Order, "/pay/orderquery": s.v2Query, "/pay/closeorder": s.v2Close,
		v2RefundQueryPath: s.v2RefundQuery,
	} {
		mux.HandleFunc(path, s.v2Handler(serve))
	}
	mux.HandleFunc(v2RefundPath, s.secure(s.v2Handler(s.v2Refund)))
	mux.HandleFunc(securePaths, s.secure(http.NotFound))
	mux.HandleFunc("POST /sim/wechat/rotate", s.serveRotate)
}

func (s *Sim) v2Handler(serve v2Interface) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { s.serveV2(w, r, serve) }
}
