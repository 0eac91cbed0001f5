package wechatsim

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"piaohao/internal/sim/simkit"
)

// KeyMode says with which keys the platform signs for the merchant.
type KeyMode int

// The modes (签名验证, 微信支付公钥).
const (
	// PublicKeyMode is that of merchants who joined since 2024: one key without end, and no platform certificates.
	PublicKeyMode KeyMode = iota
	// CertificateMode is that of older merchants: platform certificates, which are fetched and change now and then.
	CertificateMode
	// BothMode is a merchant on the way from certificates to the key: the key signs answers to calls that name it in
	// Wechatpay-Serial, a certificate all other answers; notices come under either.
	BothMode
)

const (
	certificateKind  = "wechat.certificate"
	certificateName  = "wechat.certificate." // of the n-th key in simkit.Options.Keys, from 1
	certificateLife  = 5 * 365 * 24 * time.Hour
	caLife           = 20 * 365 * 24 * time.Hour
	clockTolerance   = time.Hour      // certificates hold for receivers whose clock is a little late
	shortestOverlap  = 0              // of a rotation
	usualOverlap     = 24 * time.Hour // a new certificate is listed at least so long before it signs
	longestOverlap   = 10 * 24 * time.Hour
	maxCertificates  = 100 // rotations of one simulator
	certificatesPath = "/v3/certificates"
)

// signer is one key that the platform signs with, and its name in Wechatpay-Serial.
type signer struct {
	id  string
	key *rsa.PrivateKey
}

// platformCertificate is published when it is made, signs from a later moment of business time on, and is over when the
// next one signs.
type platformCertificate struct {
	Serial    string    `json:"serial"` // 40 hex
	DER       []byte    `json:"der"`
	SignsFrom time.Time `json:"signs_from"`

	key *rsa.PrivateKey
}

// tenpay is the name of all certificates' issuer.
var tenpay = pkix.Name{
	Country: []string{"CN"}, Organization: []string{"Tenpay.com"}, OrganizationalUnit: []string{"Tenpay.com CA Center"},
	CommonName: "Tenpay.com Root CA (simulated)",
}

// newSerial returns 20 bytes as 40 hex digits. A first nibble of 1 … 7 keeps it 40 digits long in every tool (wechatpy
// drops a leading zero) and positive in DER.
func newSerial(kit *simkit.Kit, name string) (string, error) {
	first, err := kit.KeptText(name+".first", "1234567", 1)
	if err != nil {
		return "", err
	}
	rest, err := kit.KeptText(name+".rest", simkit.UpperHex, 39)
	return first + rest, err
}

// issue makes a certificate of the platform's authority over the key.
func issue(kit *simkit.Kit, serial string, subject pkix.Name, key *rsa.PublicKey) ([]byte, error) {
	number, ok := new(big.Int).SetString(serial, 16)
	if !ok {
		return nil, fmt.Errorf("wechatsim: serial %q is not hex", serial)
	}
	caKey, err := kit.Key(CAKey)
	if err != nil {
		return nil, err
	}
	now := kit.Wall().UTC().Truncate(time.Second)
	made, err := simkit.Issue(&x509.Certificate{
		SerialNumber: number, Subject: subject, NotBefore: now.Add(-clockTolerance), NotAfter: now.Add(certificateLife),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageDataEncipherment,
	}, key, newAuthority(kit), caKey)
	if err != nil {
		return nil, err
	}
	return made.Raw, nil
}

// newAuthority is the issuer of all certificates, from this moment on.
func newAuthority(kit *simkit.Kit) *x509.Certificate {
	now := kit.Wall().UTC().Truncate(time.Second)
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: tenpay, NotBefore: now.Add(-clockTolerance), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// issueMerchant adds the merchant's API certificate, as PEM and with its key as PKCS#12 under the merchant's number.
func issueMerchant(kit *simkit.Kit, c *Credentials, key *rsa.PrivateKey) error {
	der, err := kit.KeptBytes("wechat.mch_cert."+c.MerchantID, func() ([]byte, error) {
		return issue(kit, c.SerialNo, pkix.Name{
			Country: []string{"CN"}, Organization: []string{"微信商户系统"}, OrganizationalUnit: []string{"模拟微信商户"}, CommonName: c.MerchantID,
		}, &key.PublicKey)
	})
	if err != nil {
		return err
	}
	p12, err := kit.KeptBytes("wechat.mch_p12."+c.MerchantID, func() ([]byte, error) {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		// The platform's own old ciphers. One iteration: nothing is secret here, and every simulator makes one.
		return pkcs12.LegacyRC2.WithRand(kit.Random).WithIterations(1).Encode(key, certificate, nil, c.MerchantID)
	})
	c.MchCert, c.MchP12 = simkit.CertificatesPEM(der), base64.StdEncoding.EncodeToString(p12)
	return err
}

// openCertificates reads the platform's certificates, or makes the first.
func (s *Sim) openCertificates() error {
	if s.mode == PublicKeyMode {
		return nil
	}
	kept, err := simkit.List[platformCertificate](s.kit.Books, certificateKind)
	if err != nil {
		return err
	}
	for i := range kept {
		if kept[i].key, err = s.kit.Key(certificateName + strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	s.certificates = kept
	if len(kept) == 0 {
		_, err = s.publish(0)
	}
	return err
}

// publish makes a certificate that signs after the overlap. The caller holds rotating, or is New.
func (s *Sim) publish(overlap time.Duration) (platformCertificate, error) {
	number := strconv.Itoa(len(s.certificates) + 1)
	key, err := s.kit.Key(certificateName + number)
	if err != nil {
		return platformCertificate{}, err
	}
	made := platformCertificate{SignsFrom: s.kit.Clock.Now().Add(overlap), key: key}
	if made.Serial, err = newSerial(s.kit, certificateName+number); err != nil {
		return made, err
	}
	subject := tenpay
	subject.CommonName = "Tenpay.com sign (simulated)"
	if made.DER, err = issue(s.kit, made.Serial, subject, &key.PublicKey); err != nil {
		return made, err
	}
	if err := s.kit.Books.Do(func(tx *simkit.Tx) error { return tx.Put(certificateKind, number, made) }); err != nil {
		return made, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificates = append(slices.Clip(s.certificates), made) // readers keep the slice that they hold
	return made, nil
}

// Errors of Rotate.
var (
	ErrNoCertificates = errors.New("a merchant in public-key mode has no platform certificates")
	ErrRotating       = errors.New("a rotation is under way")
	ErrOverlap        = fmt.Errorf("overlap must lie between 0s and %s", longestOverlap)
)

// Rotate publishes a new platform certificate now. It signs once the overlap (of business time) is over; from then on the
// old one never signs again. One rotation at a time. It returns the new serial.
func (s *Sim) Rotate(overlap time.Duration) (string, error) {
	s.rotating.Lock()
	defer s.rotating.Unlock()
	switch {
	case s.mode == PublicKeyMode:
		return "", ErrNoCertificates
	case overlap < shortestOverlap || overlap > longestOverlap:
		return "", ErrOverlap
	case len(s.published()) > 1:
		return "", ErrRotating
	case len(s.certificates) >= maxCertificates:
		return "", fmt.Errorf("wechatsim: %d platform certificates are the most there can be", maxCertificates)
	}
	made, err := s.publish(overlap)
	return made.Serial, err
}

// published are the certificates that GET /v3/certificates lists: the one that signs, and its successor if there is one.
func (s *Sim) published() []platformCertificate {
	s.mu.Lock()
	all := s.certificates
	s.mu.Unlock()
	now := s.kit.Clock.Now()
	from := 0
	for i, c := range all {
		if !c.SignsFrom.After(now) {
			from = i
		}
	}
	return all[from:]
}

// knows tells whether a caller may name this key in Wechatpay-Serial. A certificate that is over may be: the platform
// then signs with the one of today.
func (s *Sim) knows(serial string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return serial == s.credentials.PublicKeyID || // "" where there is none
		slices.ContainsFunc(s.certificates, func(c platformCertificate) bool { return c.Serial == serial })
}

// answerSigner is the key for an answer to a call that named a key, or "" = none (微信支付公钥).
func (s *Sim) answerSigner(named string) signer {
	if s.mode == PublicKeyMode || s.mode == BothMode && named == s.credentials.PublicKeyID {
		return signer{s.credentials.PublicKeyID, s.platform}
	}
	c := s.published()[0]
	return signer{c.Serial, c.key}
}

// noticeSigner is the key for one try of a notice. While a merchant changes over, the platform chooses freely.
func (s *Sim) noticeSigner(n simkit.Notice) signer {
	dice := sha256.Sum256([]byte(n.ID + strconv.Itoa(n.Tries)))
	if dice[0]%2 == 0 {
		return s.answerSigner(s.credentials.PublicKeyID)
	}
	return s.answerSigner("")
}

// certificateObject is one platform certificate as it is listed (下载平台证书).
type certificateObject struct {
	SerialNo      string `json:"serial_no"`
	EffectiveTime string `json:"effective_time"`
	ExpireTime    string `json:"expire_time"`
	Encrypted     sealed `json:"encrypt_certificate"`
}

type sealed struct {
	Algorithm      string `json:"algorithm"`
	Nonce          string `json:"nonce"`
	AssociatedData string `json:"associated_data"`
	Ciphertext     string `json:"ciphertext"`
}

// serveCertificates is GET /v3/certificates, each one sealed under the APIv3 key.
func (s *Sim) serveCertificates(c call) (answer, *apiError, error) {
	values, err := url.ParseQuery(c.query)
	if err != nil {
		return answer{}, paramError("query", "", c.query, "查询参数格式错误"), nil
	}
	for name, given := range values {
		if name != "algorithm_type" || len(given) != 1 {
			return answer{}, extraParam("query", name), nil
		}
		if given[0] != "RSA" && given[0] != "ALL" {
			return answer{}, paramError("query", name, given[0], "商户的证书算法为RSA"), nil
		}
	}
	if s.mode == PublicKeyMode {
		return answer{}, errNoCertificates, nil
	}
	var list []certificateObject
	for _, published := range s.published() {
		parsed, err := x509.ParseCertificate(published.DER)
		if err != nil {
			return answer{}, nil, err
		}
		resource, err := s.encrypt([]byte(simkit.CertificatesPEM(published.DER)), "certificate")
		if err != nil {
			return answer{}, nil, err
		}
		list = append(list, certificateObject{
			SerialNo: published.Serial, EffectiveTime: parsed.NotBefore.In(beijing).Format(timeForm),
			ExpireTime: parsed.NotAfter.In(beijing).Format(timeForm), Encrypted: resource,
		})
	}
	return answer{status: http.StatusOK, body: map[string]any{"data": list}}, nil, nil
}

const maxRotateBody = 1 << 10

// serveRotate is POST /sim/wechat/rotate: {"overlap": a Go duration}, or an empty body for a day.
func (s *Sim) serveRotate(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Overlap string `json:"overlap"`
	}
	d := json.NewDecoder(io.LimitReader(r.Body, maxRotateBody))
	d.DisallowUnknownFields()
	err := d.Decode(&ask)
	overlap := usualOverlap
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil && ask.Overlap != "" {
		overlap, err = time.ParseDuration(ask.Overlap)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrOverlap, err)
	}
	var serial string
	if err == nil {
		serial, err = s.Rotate(overlap)
	}
	switch {
	case err == nil:
		writeControl(w, http.StatusOK, map[string]string{"serial_no": serial})
	case errors.Is(err, ErrOverlap):
		writeControl(w, http.StatusBadRequest, map[string]string{"reason": "invalid", "message": err.Error()})
	case errors.Is(err, ErrNoCertificates), errors.Is(err, ErrRotating):
		writeControl(w, http.StatusConflict, map[string]string{"reason": "not_now", "message": err.Error()})
	default:
		s.fail(w, err)
	}
}

func writeControl(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a failed write is the caller's hang-up
}
