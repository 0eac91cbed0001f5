package alipaysim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5" //nolint:gosec // the platform's own fingerprint
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"time"

	"piaohao/internal/sim/simkit"
)

// Names of the keys that certificate mode adds in simkit.Options.Keys.
const (
	RootKey         = "alipay_root"
	IntermediateKey = "alipay_intermediate"
)

const (
	leafLife       = 5 * 365 * 24 * time.Hour
	authorityLife  = 30 * 365 * 24 * time.Hour
	clockTolerance = time.Hour // certificates hold for receivers whose clock is a little late
)

// certificates are those of an app in certificate mode. Texts are PEM as the console hands them out.
type certificates struct {
	app    string // of the app's key
	alipay string // of the platform's key, and its issuer's
	root   string // the bundle that the merchant trusts

	appSN, alipaySN, rootSN string
}

// authority names a certificate of the platform's as the real ones are named.
func authority(name string) pkix.Name {
	return pkix.Name{Country: []string{"CN"}, Organization: []string{"Ant Financial"}, OrganizationalUnit: []string{"Certification Authority"}, CommonName: name}
}

// Issuers, named as the platform's but for the mark.
var (
	rootName         = authority("Ant Financial Certification Authority R1 (simulated)")
	intermediateName = authority("Ant Financial Certification Authority Class 2 R1 (simulated)")
	ecdsaRootName    = authority("Ant Financial Certification Authority E1 (simulated)")
	secondRootName   = pkix.Name{
		Country: []string{"CN"}, Organization: []string{"iTrusChina"}, OrganizationalUnit: []string{"China Trust Network"},
		CommonName: "iTrusChina Class 2 Root CA - G3 (simulated)",
	}
)

// newCertificates makes the root, the intermediate and both leaves, or reads the kept ones.
func newCertificates(kit *simkit.Kit, appID string, app, platform *rsa.PublicKey) (*certificates, error) {
	rootKey, err := kit.Key(RootKey)
	if err != nil {
		return nil, err
	}
	middleKey, err := kit.Key(IntermediateKey)
	if err != nil {
		return nil, err
	}
	i := issuer{kit: kit}
	root := i.authority("root", rootName, &rootKey.PublicKey, nil, rootKey)
	middle := i.authority("intermediate", intermediateName, &middleKey.PublicKey, root, rootKey)
	appLeaf := i.leaf("app."+appID, pkix.Name{Country: []string{"CN"}, Organization: []string{sellerName}, CommonName: appID}, app, middle, middleKey)
	alipayLeaf := i.leaf("alipay", pkix.Name{Country: []string{"CN"}, Organization: []string{"支付宝(模拟)"}, CommonName: "支付宝(模拟)网络技术有限公司"}, platform, middle, middleKey)
	second := i.authority("root.second", secondRootName, &middleKey.PublicKey, nil, middleKey) // signs nothing
	others := i.otherRoots()
	if i.err != nil {
		return nil, i.err
	}
	return &certificates{
		app:    simkit.CertificatesPEM(appLeaf.Raw),
		alipay: simkit.CertificatesPEM(alipayLeaf.Raw, middle.Raw),
		root:   simkit.CertificatesPEM(others[0], root.Raw, others[1], second.Raw),
		appSN:  serialSN(appLeaf), alipaySN: serialSN(alipayLeaf), rootSN: serialSN(root) + "_" + serialSN(second), // those over RSA
	}, nil
}

// serialSN is a certificate's "SN": MD5 over its issuer's name, last part first, and its serial number in decimal (open
// platform docs, certificate mode).
func serialSN(c *x509.Certificate) string {
	return fingerprint(c.Issuer.String(), c.SerialNumber.String())
}

func fingerprint(issuer, serial string) string {
	sum := md5.Sum([]byte(issuer + serial)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// issuer makes certificates until the first error.
type issuer struct {
	kit *simkit.Kit
	err error
}

func (i *issuer) authority(name string, subject pkix.Name, key *rsa.PublicKey, by *x509.Certificate, byKey *rsa.PrivateKey) *x509.Certificate {
	return i.issue(name, &x509.Certificate{
		Subject: subject, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, authorityLife, key, by, byKey)
}

func (i *issuer) leaf(name string, subject pkix.Name, key *rsa.PublicKey, by *x509.Certificate, byKey *rsa.PrivateKey) *x509.Certificate {
	return i.issue(name, &x509.Certificate{Subject: subject, KeyUsage: x509.KeyUsageDigitalSignature}, leafLife, key, by, byKey)
}

func (i *issuer) issue(name string, template *x509.Certificate, life time.Duration, key *rsa.PublicKey, by *x509.Certificate, byKey *rsa.PrivateKey) *x509.Certificate {
	if i.err != nil {
		return nil
	}
	der, err := i.kit.KeptBytes("alipay.certificate."+name, func() ([]byte, error) {
		if err := i.fill(name, template, life); err != nil {
			return nil, err
		}
		made, err := simkit.Issue(template, key, by, byKey)
		if err != nil {
			return nil, err
		}
		return made.Raw, nil
	})
	if err == nil {
		var made *x509.Certificate
		if made, err = x509.ParseCertificate(der); err == nil {
			return made
		}
	}
	i.err = err
	return nil
}

// fill sets serial number and validity.
func (i *issuer) fill(name string, template *x509.Certificate, life time.Duration) error {
	digits, err := i.kit.KeptText("alipay.serial."+name, simkit.Digits, 37)
	if err != nil {
		return err
	}
	now := i.kit.Wall().UTC().Truncate(time.Second)
	template.SerialNumber, _ = new(big.Int).SetString("4"+digits, 10) // 38 digits, as real ones have
	template.NotBefore, template.NotAfter, template.BasicConstraintsValid = now.Add(-clockTolerance), now.Add(life), true
	return nil
}

// The real bundle of roots begins with one over SM2, which most software cannot read, and has one over ECDSA: receivers
// must pass over both. Encoded object identifiers of each pair are equally long.
var (
	p256OID        = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	sm2OID         = []byte{0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d}
	ecdsaSHA256OID = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}
	sm2SM3OID      = []byte{0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75}
)

// otherRoots are an SM2 and an ECDSA root of the bundle. Nothing is signed with them, so that their keys are not kept.
func (i *issuer) otherRoots() (ders [2][]byte) {
	for n, name := range []string{"root.sm2", "root.ecdsa"} {
		if i.err != nil {
			return ders
		}
		ders[n], i.err = i.kit.KeptBytes("alipay.certificate."+name, func() ([]byte, error) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				return nil, err
			}
			template := &x509.Certificate{Subject: ecdsaRootName, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
			if err := i.fill(name, template, authorityLife); err != nil {
				return nil, err
			}
			return x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		})
	}
	ders[0] = bytes.ReplaceAll(bytes.ReplaceAll(ders[0], p256OID, sm2OID), ecdsaSHA256OID, sm2SM3OID)
	return ders
}

// checkCertificates demands both SNs of an app in certificate mode (open platform docs, common parameters).
func (s *Sim) checkCertificates(raw params) *failure {
	switch {
	case s.certificates == nil:
		return nil
	case raw["app_cert_sn"] == "":
		return missing("app-cert-sn")
	case raw["alipay_root_cert_sn"] == "":
		return missing("alipay-root-cert-sn")
	case raw["app_cert_sn"] != s.certificates.appSN:
		return &failure{code: "40002", subCode: "isv.app-cert-not-exist"}
	case raw["alipay_root_cert_sn"] != s.certificates.rootSN:
		return invalid("alipay-root-cert-sn", "")
	}
	return nil
}

// certSN is the SN of the certificate that the platform signs under; "" in public-key mode.
func (s *Sim) certSN() string {
	if s.certificates == nil {
		return ""
	}
	return s.certificates.alipaySN
}

// download is alipay.open.app.alipaycert.download: the platform's certificate by its SN, as Base64 of its PEM text.
func (s *Sim) download(biz fields) (node, *failure) {
	sn, refused := biz.text("alipay_cert_sn")
	switch {
	case refused != nil:
		return nil, refused
	case s.certificates == nil:
		return nil, &failure{code: "40006", subCode: "isv.insufficient-isv-permissions", detail: "应用未使用公钥证书"}
	case sn != s.certificates.alipaySN:
		return nil, &failure{code: "40002", subCode: "isv.alipay-cert-not-exist"}
	}
	n := success()
	n["alipay_cert_content"] = base64.StdEncoding.EncodeToString([]byte(s.certificates.alipay))
	return n, nil
}
