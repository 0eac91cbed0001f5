// Package keys reads key texts in every form in which people paste them: PEM whatever its label, with real or written-out
// line ends or none; bare base64 of PKCS#8, PKCS#1 or SubjectPublicKeyInfo; certificates and bundles of them; PKCS#12
// files as base64. It says what it found. No error and no Form ever repeats content.
package keys

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// MinBits is the shortest RSA key that both platforms take (APIv3 接口规则; opendocs, signing: RSA2).
const MinBits = 2048

// maxCertificates bounds a bundle: the platforms' root bundle holds four.
const maxCertificates = 32

// Errors of Parse and P12. Each is a whole public text.
var (
	ErrEmpty       = errors.New("is empty")
	ErrUnreadable  = errors.New("is neither PEM nor base64")
	ErrUnknown     = errors.New("is no key and no certificate that we know")
	ErrNotRSA      = errors.New("is not an RSA key")
	ErrShort       = errors.New("is shorter than 2048 bits")
	ErrEncrypted   = errors.New("is encrypted with a passphrase; write it without one")
	ErrMany        = errors.New("holds more than one key")
	ErrP12Password = errors.New("does not open with the merchant number as its password")
)

// Kind is what a text turned out to be.
type Kind string

// The kinds.
const (
	Private     Kind = "private key"
	Public      Kind = "public key"
	Certificate Kind = "certificate"
)

// Found is what a text holds. Public is set with every kind: of a private key its pair, of a certificate the subject's.
type Found struct {
	Kind    Kind
	Form    string // "PEM, PKCS#8", "base64, PKCS#1", …: for people
	Private *rsa.PrivateKey
	Public  *rsa.PublicKey
	// Certificates of the text in order, those left out that hold no RSA key. The first is the subject's.
	Certificates []*x509.Certificate
}

// Parse says what text is. A text of several certificates is one Found; of several keys, ErrMany.
func Parse(text string) (Found, error) {
	blocks, pemForm, err := split(text)
	if err != nil {
		return Found{}, err
	}
	form := "base64"
	if pemForm {
		form = "PEM"
	}
	var found Found
	for _, b := range blocks {
		f, err := parseBlock(b)
		if errors.Is(err, ErrNotRSA) && len(blocks) > 1 {
			continue // a bundle may hold certificates of curves
		}
		if err != nil {
			return Found{}, err
		}
		f.Form = form + f.Form
		switch {
		case found.Kind == "":
			found = f
		case found.Kind == Certificate && f.Kind == Certificate:
			found.Certificates = append(found.Certificates, f.Certificates...)
		default:
			return Found{}, ErrMany
		}
	}
	switch {
	case found.Kind == "":
		return Found{}, ErrNotRSA
	case found.Public.N.BitLen() < MinBits:
		return Found{}, ErrShort
	}
	return found, nil
}

// P12 opens a PKCS#12 file given as base64: a private key and the certificate of its pair.
func P12(text, password string) (*rsa.PrivateKey, *x509.Certificate, error) {
	raw, ok := decode(text)
	if !ok {
		return nil, nil, ErrUnreadable
	}
	key, cert, _, err := pkcs12.DecodeChain(raw, password)
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, nil, ErrP12Password
	}
	if err != nil {
		return nil, nil, ErrUnknown
	}
	private, ok := key.(*rsa.PrivateKey)
	switch {
	case !ok || cert == nil:
		return nil, nil, ErrNotRSA
	case private.N.BitLen() < MinBits:
		return nil, nil, ErrShort
	}
	return private, cert, nil
}

// block is the DER bytes of one PEM block, or of bare base64, whose label is then "".
type block struct {
	label string
	der   []byte
}

// split does without pem.Decode, which wants line ends that environment variables lose or spell "\n".
func split(text string) (blocks []block, pemForm bool, err error) {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(strings.ReplaceAll(text, `\r`, ""), `\n`, "\n")
	text = strings.Trim(strings.TrimSpace(text), `"'`)
	if text == "" {
		return nil, false, ErrEmpty
	}
	if !strings.Contains(text, "-----BEGIN ") {
		der, ok := decode(text)
		if !ok {
			return nil, false, ErrUnreadable
		}
		return []block{{der: der}}, false, nil
	}
	for len(blocks) < maxCertificates {
		_, rest, found := strings.Cut(text, "-----BEGIN ")
		if !found {
			return blocks, true, nil
		}
		label, rest, ok := strings.Cut(rest, "-----")
		body, after, ended := strings.Cut(rest, "-----END "+label+"-----")
		if !ok || !ended {
			return nil, true, ErrUnreadable
		}
		if strings.Contains(label, "ENCRYPTED") || strings.Contains(body, "Proc-Type:") {
			return nil, true, ErrEncrypted
		}
		der, ok := decode(body)
		if !ok {
			return nil, true, ErrUnreadable
		}
		blocks = append(blocks, block{label, der})
		text = after
	}
	return nil, true, ErrMany
}

func decode(text string) ([]byte, bool) {
	der, err := base64.StdEncoding.Strict().DecodeString(strings.Join(strings.Fields(text), ""))
	return der, err == nil && len(der) > 0
}

// parseBlock tries every encoding whatever the label says: people swap labels.
func parseBlock(b block) (Found, error) {
	if key, err := x509.ParsePKCS1PrivateKey(b.der); err == nil {
		return Found{Kind: Private, Form: ", PKCS#1", Private: key, Public: &key.PublicKey}, nil
	}
	if anyKey, err := x509.ParsePKCS8PrivateKey(b.der); err == nil {
		key, ok := anyKey.(*rsa.PrivateKey)
		if !ok {
			return Found{}, ErrNotRSA
		}
		return Found{Kind: Private, Form: ", PKCS#8", Private: key, Public: &key.PublicKey}, nil
	}
	if key, err := x509.ParsePKCS1PublicKey(b.der); err == nil {
		return Found{Kind: Public, Form: ", PKCS#1", Public: key}, nil
	}
	if anyKey, err := x509.ParsePKIXPublicKey(b.der); err == nil {
		key, ok := anyKey.(*rsa.PublicKey)
		if !ok {
			return Found{}, ErrNotRSA
		}
		return Found{Kind: Public, Form: ", SPKI", Public: key}, nil
	}
	cert, err := x509.ParseCertificate(b.der)
	if err != nil {
		if b.label == "CERTIFICATE" {
			return Found{}, ErrNotRSA // of a curve that x509 does not read, such as SM2
		}
		return Found{}, ErrUnknown
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return Found{}, ErrNotRSA
	}
	return Found{Kind: Certificate, Form: ", X.509", Public: key, Certificates: []*x509.Certificate{cert}}, nil
}
