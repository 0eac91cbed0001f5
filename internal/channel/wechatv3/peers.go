package wechatv3

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// peerIDPrefix begins the id of a WeChat Pay public key; a certificate is named by its serial number instead.
const peerIDPrefix = "PUB_KEY_ID_"

// peer is one key of the platform's.
type peer struct {
	id   string // as the platform spells it
	key  *rsa.PublicKey
	from time.Time
	// until: no more from then on. Zero = without an end, which only a public key is.
	until time.Time
}

func (p peer) valid(now time.Time) bool {
	return p.until.IsZero() || !now.Before(p.from) && now.Before(p.until)
}

// peers are the keys that the platform may sign with, by canonical id. Its size is bounded by maxListed per download and
// the validity of certificates.
type peers map[string]peer

// preferred is the key that the platform is asked to answer with: the public key, else the newest valid certificate.
func (s peers) preferred(now time.Time) (best peer, ok bool) {
	for _, p := range s {
		switch {
		case !p.valid(now):
		case p.until.IsZero():
			return p, true
		case !ok || p.from.After(best.from) || p.from.Equal(best.from) && p.id > best.id:
			best, ok = p, true
		}
	}
	return best, ok
}

// canonical makes one spelling of a certificate's serial number, of which some programs drop leading zeros; the id of a
// public key is taken to the letter.
func canonical(id string) string {
	if strings.Contains(id, "_") {
		return id
	}
	return strings.ToUpper(strings.TrimLeft(id, "0"))
}

// serialOf is a certificate's serial number as the platform prints it: upper hexadecimal with its leading zeros.
func serialOf(cert *x509.Certificate) string { return fmt.Sprintf("%040X", cert.SerialNumber) }

func peerOf(cert *x509.Certificate, key *rsa.PublicKey) peer {
	return peer{id: serialOf(cert), key: key, from: cert.NotBefore, until: cert.NotAfter}
}
