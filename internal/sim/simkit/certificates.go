package simkit

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

const bytesKind = "bytes"

// KeptBytes returns what was made when first asked for under this name, and kept. make runs outside the books' lock.
func (k *Kit) KeptBytes(name string, make func() ([]byte, error)) ([]byte, error) {
	var kept []byte
	found := false
	err := k.Books.Do(func(tx *Tx) (err error) {
		found, err = tx.Get(bytesKind, name, &kept)
		return err
	})
	if found || err != nil {
		return kept, err
	}
	made, err := make()
	if err != nil {
		return nil, fmt.Errorf("simkit: %s: %w", name, err)
	}
	err = k.Books.Do(func(tx *Tx) error {
		if found, err := tx.Get(bytesKind, name, &made); found || err != nil {
			return err
		}
		return tx.Put(bytesKind, name, made)
	})
	return made, err
}

// Issue signs a certificate for the subject's key as the issuer; issuer nil signs it with itself. It returns the DER
// text read again, as its receivers see it.
func Issue(template *x509.Certificate, subject *rsa.PublicKey, issuer *x509.Certificate, key *rsa.PrivateKey) (*x509.Certificate, error) {
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(nil, template, issuer, subject, key) // PKCS#1 v1.5 draws nothing
	if err != nil {
		return nil, fmt.Errorf("simkit: issue a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// CertificatesPEM returns certificates as "CERTIFICATE" blocks, one after another.
func CertificatesPEM(ders ...[]byte) string {
	var text strings.Builder
	for _, der := range ders {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // a Builder takes everything
	}
	return text.String()
}
