package alipay

import (
	"crypto/md5" //nolint:gosec // names certificates, as the platform prescribes; protects nothing
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"piaohao/internal/channel"
)

// certificates are what certificate mode knows (opendocs, certificates): which keys are asked with and answered with is
// named in every message by serial number. Nothing is ever fetched because a message names it.
type certificates struct {
	app, alipay             *x509.Certificate
	appSN, alipaySN, rootSN string
	intermediates, roots    []*x509.Certificate // of Alipay's certificate; of the root bundle, RSA only
}

// serial names a certificate: the MD5 of its issuer's name, the last part first, and its serial number in decimal.
func serial(cert *x509.Certificate) string {
	return serialOf(cert.Issuer.String(), cert.SerialNumber.String())
}

func serialOf(issuer, number string) string {
	sum := md5.Sum([]byte(issuer + number)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// rootSerial names a root bundle by those of its certificates that are signed with RSA; SM2 and ECDSA do not count.
// It is "" for a file that holds no root.
func rootSerial(bundle []*x509.Certificate) string {
	var serials []string
	root := false
	for _, cert := range bundle {
		if !signedWithRSA(cert) {
			continue
		}
		root = root || string(cert.RawIssuer) == string(cert.RawSubject)
		serials = append(serials, serial(cert))
	}
	if !root {
		return ""
	}
	return strings.Join(serials, "_")
}

// signedWithRSA: the algorithm lies below 1.2.840.113549.1.1, the retired ones too.
func signedWithRSA(cert *x509.Certificate) bool {
	return slices.Contains([]x509.SignatureAlgorithm{
		x509.MD5WithRSA, x509.SHA1WithRSA, x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
	}, cert.SignatureAlgorithm)
}

// leadsToRoot verifies the chain of Alipay's certificate at now. Production's file holds the intermediate, which leads to
// the bundle. The sandbox's ends in a test root that the bundle does not hold, so there the file itself is what is
// trusted. An app's certificate comes without its intermediate: no chain can be built, and the pair with the private key
// is what is checked.
func (c *certificates) leadsToRoot(now time.Time) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, cert := range c.roots {
		roots.AddCert(cert)
	}
	for _, cert := range c.intermediates {
		intermediates.AddCert(cert)
	}
	_, err := c.alipay.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

func validAt(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && !now.After(cert.NotAfter)
}

// mayAsk refuses to sign for an app whose certificate is not valid now: the platform would refuse it, in front of the
// payer.
func (c *client) mayAsk(op string) error {
	if c.certs == nil || validAt(c.certs.app, c.env.Now()) {
		return nil
	}
	return fail(op, channel.Unknown, "cert_expired", "the app's certificate in ALIPAY_APP_CERT is not valid now: "+
		"download a new one from the console")
}

// mayTrust refuses what Alipay's certificate signed when it is not valid now.
func (c *client) mayTrust(op string, kind channel.Kind) error {
	if c.certs == nil || validAt(c.certs.alipay, c.env.Now()) {
		return nil
	}
	return fail(op, kind, "cert_expired", "Alipay's certificate in ALIPAY_CERT is not valid now: download a new one from the console")
}

// otherCert reports whether a message that names the certificate sn cannot be verified with ours. Key mode knows none.
func (c *client) otherCert(sn string) bool {
	return c.certs != nil && sn != "" && sn != c.certs.alipaySN
}

const otherCertText = "it is signed with another certificate than ALIPAY_CERT: if Alipay has renewed it, download the new one from the console"
