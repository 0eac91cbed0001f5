package wechatv2

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/keys"
)

// Names of the settings that hold the merchant API certificate.
const (
	envPrivateKey = "WECHAT_MCH_PRIVATE_KEY"
	envMchCert    = "WECHAT_MCH_CERT"
	envMchP12     = "WECHAT_MCH_P12"
)

const (
	expiresSoon = 30 * 24 * time.Hour
	consoleCert = "the merchant platform, 账户中心 → API安全 → 商户API证书"
	certCure    = "set " + envMchCert + " (apiclient_cert.pem) and " + envPrivateKey + " (apiclient_key.pem), or " + envMchP12 +
		" (apiclient_cert.p12), of one download from " + consoleCert +
		"; they mean APIv3 for new orders, so that its other settings belong there too"
)

// pair is what the settings hold of the merchant API certificate.
type pair struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

// certificate is the merchant API certificate with its key, nil when there is none that can be shown today, and what was
// found. A certificate that is not there or has expired is a warning: payments do without.
func (c *Config) certificate(now time.Time) (*tls.Certificate, []channel.Finding) {
	one, found := c.pem()
	other, more := c.p12()
	if found = append(found, more...); len(found) > 0 {
		return nil, found
	}
	setting := envMchCert
	switch {
	case one.key != nil && other.key != nil && !one.key.Equal(other.key):
		return nil, []channel.Finding{fault("key_mismatch", envMchP12, "holds another private key than "+envPrivateKey, "set one of the two, or both of one download")}
	case one.key == nil:
		one.key = other.key
	}
	if one.cert == nil {
		one.cert, setting = other.cert, envMchP12
	}
	switch {
	case one.cert == nil:
		return nil, warned("no_certificate", "", "refunds cannot be sent without the merchant API certificate", certCure)
	case one.key == nil:
		return nil, warned("no_certificate", envPrivateKey, "is not set, so that refunds cannot be sent", certCure)
	case !one.key.PublicKey.Equal(one.cert.PublicKey):
		return nil, []channel.Finding{fault("key_mismatch", setting, "is not the certificate of the private key that is set", certCure)}
	}
	return one.shown(setting, c.MerchantID, now)
}

// shown is p as a client shows it, while it counts.
func (p pair) shown(setting, merchantID string, now time.Time) (*tls.Certificate, []channel.Finding) {
	const day = "2006-01-02"
	until := p.cert.NotAfter.In(beijing).Format(day)
	if !current(p.cert, now) {
		return nil, warned("expired", setting, "counts from "+p.cert.NotBefore.In(beijing).Format(day)+" to "+until+", so that refunds cannot be sent today",
			"renew it at "+consoleCert)
	}
	found := []channel.Finding{{
		Level: channel.LevelOK, Code: "certificate", Setting: setting, Text: "refunds: certificate found, valid until " + until,
	}}
	if p.cert.NotAfter.Sub(now) < expiresSoon {
		found = warned("expires_soon", setting, "expires on "+until+", and refunds cannot be sent from then on", "renew it at "+consoleCert)
	}
	if name := p.cert.Subject.CommonName; mchIDForm.MatchString(name) && name != merchantID {
		found = append(found, warned("other_merchant", setting, "is made out to another merchant number than WECHAT_MCH_ID", "compare it with "+consoleCert)...)
	}
	return &tls.Certificate{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key, Leaf: p.cert}, found
}

func current(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && now.Before(cert.NotAfter)
}

func warned(code, setting, text, cure string) []channel.Finding {
	return []channel.Finding{{Level: channel.LevelWarn, Code: code, Setting: setting, Text: text, Cure: cure}}
}

// pem reads the two PEM files.
func (c *Config) pem() (p pair, found []channel.Finding) {
	if text := c.PrivateKey.Reveal(); text != "" {
		k, f := parse(envPrivateKey, text, keys.Private, "set the content of apiclient_key.pem")
		p.key, found = k.Private, f
	}
	if c.MchCert == "" {
		return p, found
	}
	k, f := parse(envMchCert, c.MchCert, keys.Certificate, "set the content of apiclient_cert.pem")
	if len(k.Certificates) > 0 {
		p.cert = k.Certificates[0]
	}
	return p, append(found, f...)
}

// parse reads the text of a key that must be of kind.
func parse(setting, text string, kind keys.Kind, cure string) (keys.Found, []channel.Finding) {
	k, err := keys.Parse(armoured(text))
	switch {
	case err != nil:
		return keys.Found{}, []channel.Finding{fault("key_unreadable", setting, err.Error(), "paste the whole file, or name it with "+setting+"_FILE; "+cure)}
	case k.Kind != kind:
		return keys.Found{}, []channel.Finding{fault("key_kind", setting, "holds a "+string(k.Kind)+" where the "+string(kind)+" belongs", cure)}
	}
	return k, nil
}

// p12 reads the PKCS#12 file, whose password is the merchant number (申请退款, 证书使用).
func (c *Config) p12() (pair, []channel.Finding) {
	if c.MchP12.Empty() || !mchIDForm.MatchString(c.MerchantID) {
		return pair{}, nil
	}
	key, cert, err := keys.P12(armoured(c.MchP12.Reveal()), c.MerchantID)
	switch {
	case errors.Is(err, keys.ErrP12Password):
		return pair{}, []channel.Finding{fault("p12_password", envMchP12, err.Error(), "the platform takes the merchant number as the file's password: compare WECHAT_MCH_ID with the file")}
	case err != nil:
		return pair{}, []channel.Finding{fault("key_unreadable", envMchP12, "is no PKCS#12 file with an RSA key of 2048 bits and its certificate",
			"set the base64 of apiclient_cert.p12, or name the file with "+envMchP12+"_FILE")}
	}
	return pair{key, cert}, nil
}

// armoured makes base64 of the raw bytes of a file, which begin with an ASN.1 sequence of more than 127 bytes.
func armoured(text string) string {
	if len(text) > 1 && text[0] == 0x30 && text[1] >= 0x80 {
		return base64.StdEncoding.EncodeToString([]byte(text))
	}
	return text
}
