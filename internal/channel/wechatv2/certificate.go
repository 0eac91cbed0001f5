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

// named is a setting with its text.
type named struct{ name, text string }

func (n named) set() bool { return n.text != "" }

// certified are the settings that hold the merchant API certificate.
type certified struct {
	cert, key, p12 named
	own            bool // APIv2's: half of them is a fault. APIv3 may do with its private key alone
}

const (
	expiresSoon = 30 * 24 * time.Hour
	consoleCert = "the merchant platform, 账户中心 → API安全 → 商户API证书"
)

// certified are APIv2's own settings, or else those of APIv3 beside it.
func (c *Config) certified() certified {
	own := certified{
		cert: named{"WECHAT_V2_CERT", c.Cert}, key: named{"WECHAT_V2_PRIVATE_KEY", c.Key.Reveal()}, p12: named{"WECHAT_V2_P12", c.P12.Reveal()}, own: true,
	}
	beside := certified{
		cert: named{"WECHAT_MCH_CERT", c.MchCert}, key: named{"WECHAT_MCH_PRIVATE_KEY", c.PrivateKey.Reveal()}, p12: named{"WECHAT_MCH_P12", c.MchP12.Reveal()},
	}
	if own.any() || !beside.any() {
		return own
	}
	return beside
}

func (s certified) any() bool { return s.cert.set() || s.key.set() || s.p12.set() }

func (s certified) cure() string {
	return "set " + s.cert.name + " (apiclient_cert.pem) and " + s.key.name + " (apiclient_key.pem), or " + s.p12.name +
		" (apiclient_cert.p12), of one download from " + consoleCert
}

// pair is what the settings hold of the merchant API certificate.
type pair struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

// certificate is the merchant API certificate with its key, nil when there is none that can be shown today, and what was
// found. A certificate that is not there or has expired is a warning: payments do without.
func (c *Config) certificate(now time.Time) (*tls.Certificate, []channel.Finding) {
	s := c.certified()
	one, found := s.pem()
	other, more := s.open(c.MerchantID)
	if found = append(found, more...); len(found) > 0 {
		return nil, found
	}
	setting := s.cert.name
	switch {
	case one.key != nil && other.key != nil && !one.key.Equal(other.key):
		return nil, []channel.Finding{fault("key_mismatch", s.p12.name, "holds another private key than "+s.key.name, "set one of the two, or both of one download")}
	case one.key == nil:
		one.key = other.key
	}
	if one.cert == nil {
		one.cert, setting = other.cert, s.p12.name
	}
	switch {
	case one.cert == nil && one.key == nil, one.cert == nil && !s.own:
		return nil, warned("no_certificate", "", "refunds cannot be sent without the merchant API certificate", s.cure())
	case one.cert == nil:
		return nil, []channel.Finding{fault("missing", s.cert.name, "is not set, and "+s.key.name+" is", s.cure())}
	case one.key == nil && s.own:
		return nil, []channel.Finding{fault("missing", s.key.name, "is not set, and "+s.cert.name+" is", s.cure())}
	case one.key == nil:
		return nil, warned("no_certificate", s.key.name, "is not set, so that refunds cannot be sent", s.cure())
	case !one.key.PublicKey.Equal(one.cert.PublicKey):
		return nil, []channel.Finding{fault("key_mismatch", setting, "is not the certificate of the private key that is set", s.cure())}
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
func (s certified) pem() (p pair, found []channel.Finding) {
	if s.key.set() {
		k, f := parse(s.key, keys.Private, "set the content of apiclient_key.pem")
		p.key, found = k.Private, f
	}
	if !s.cert.set() {
		return p, found
	}
	k, f := parse(s.cert, keys.Certificate, "set the content of apiclient_cert.pem")
	if len(k.Certificates) > 0 {
		p.cert = k.Certificates[0]
	}
	return p, append(found, f...)
}

// parse reads the text of a key that must be of kind.
func parse(setting named, kind keys.Kind, cure string) (keys.Found, []channel.Finding) {
	k, err := keys.Parse(armoured(setting.text))
	switch {
	case err != nil:
		return keys.Found{}, []channel.Finding{fault("key_unreadable", setting.name, err.Error(), "paste the whole file, or name it with "+setting.name+"_FILE; "+cure)}
	case k.Kind != kind:
		return keys.Found{}, []channel.Finding{fault("key_kind", setting.name, "holds a "+string(k.Kind)+" where the "+string(kind)+" belongs", cure)}
	}
	return k, nil
}

// open reads the PKCS#12 file, whose password is the merchant number (申请退款, 证书使用).
func (s certified) open(merchantID string) (pair, []channel.Finding) {
	if !s.p12.set() || !mchIDForm.MatchString(merchantID) {
		return pair{}, nil
	}
	key, cert, err := keys.P12(armoured(s.p12.text), merchantID)
	switch {
	case errors.Is(err, keys.ErrP12Password):
		return pair{}, []channel.Finding{fault("p12_password", s.p12.name, err.Error(), "the platform takes the merchant number as the file's password: compare WECHAT_MCH_ID with the file")}
	case err != nil:
		return pair{}, []channel.Finding{fault("key_unreadable", s.p12.name, "is no PKCS#12 file with an RSA key of 2048 bits and its certificate",
			"set the base64 of apiclient_cert.p12, or name the file with "+s.p12.name+"_FILE")}
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
