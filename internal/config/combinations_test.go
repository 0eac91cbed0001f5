package config_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

// combinations are what the head of .env.example offers.
var combinations = []struct {
	name  string
	names []string
	want  string // channels
}{
	{"WeChat Pay APIv2", []string{"WECHAT_APP_ID", "WECHAT_MCH_ID", "WECHAT_MCH_KEY", "WECHAT_NOTIFY_URL"}, "wechatv2"},
	{"WeChat Pay APIv2, with refunds", []string{
		"WECHAT_APP_ID", "WECHAT_MCH_ID", "WECHAT_MCH_KEY", "WECHAT_V2_CERT", "WECHAT_V2_PRIVATE_KEY", "WECHAT_NOTIFY_URL",
	}, "wechatv2"},
	{"WeChat Pay APIv3, public key", []string{
		"WECHAT_APP_ID", "WECHAT_MCH_ID", "WECHAT_MCH_SERIAL_NO", "WECHAT_MCH_PRIVATE_KEY", "WECHAT_API_V3_KEY",
		"WECHAT_PUBLIC_KEY_ID", "WECHAT_PUBLIC_KEY", "WECHAT_NOTIFY_URL",
	}, "wechatv3"},
	{"WeChat Pay APIv3, certificates", []string{
		"WECHAT_APP_ID", "WECHAT_MCH_ID", "WECHAT_MCH_CERT", "WECHAT_MCH_PRIVATE_KEY", "WECHAT_API_V3_KEY",
		"WECHAT_PLATFORM_CERT", "WECHAT_NOTIFY_URL",
	}, "wechatv3"},
	{"APIv2 beside APIv3, both with the certificate", []string{
		"WECHAT_APP_ID", "WECHAT_MCH_ID", "WECHAT_MCH_KEY", "WECHAT_MCH_CERT", "WECHAT_MCH_PRIVATE_KEY",
		"WECHAT_API_V3_KEY", "WECHAT_PUBLIC_KEY_ID", "WECHAT_PUBLIC_KEY", "WECHAT_NOTIFY_URL",
	}, "wechatv3 wechatv2"},
	{"APIv2 beside APIv3", []string{
		"WECHAT_APP_ID", "WECHAT_MCH_ID", "WECHAT_MCH_KEY", "WECHAT_MCH_SERIAL_NO", "WECHAT_MCH_PRIVATE_KEY",
		"WECHAT_API_V3_KEY", "WECHAT_PUBLIC_KEY_ID", "WECHAT_PUBLIC_KEY", "WECHAT_NOTIFY_URL",
	}, "wechatv3 wechatv2"},
	{"Alipay, keys", []string{"ALIPAY_APP_ID", "ALIPAY_PRIVATE_KEY", "ALIPAY_PUBLIC_KEY", "ALIPAY_NOTIFY_URL"}, "alipay"},
	{"Alipay, certificates", []string{
		"ALIPAY_APP_ID", "ALIPAY_PRIVATE_KEY", "ALIPAY_APP_CERT", "ALIPAY_CERT", "ALIPAY_ROOT_CERT", "ALIPAY_NOTIFY_URL",
	}, "alipay"},
}

// exampleValues are what a merchant would write, certificates by a root of our own.
func exampleValues(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{
		"WECHAT_MCH_KEY":    oldKey,
		"ALIPAY_APP_CERT":   issued(pair(), "app", root()),
		"ALIPAY_CERT":       issued(other(), "alipay", root()),
		"ALIPAY_ROOT_CERT":  certificate(root().cert.Raw),
		"WECHAT_MCH_CERT":   issued(pair(), "1598273640", root()),
		"ALIPAY_SELLER_ID":  "2088621947305816",
		"WECHAT_SIGN_TYPE":  "MD5",
		"WECHAT_RETURN_URL": "https://pay.example.com/payment/success",

		"WECHAT_V2_CERT":        issued(pair(), "1598273640", root()),
		"WECHAT_V2_PRIVATE_KEY": privateText(),

		"WECHAT_PLATFORM_CERT": issued(other(), "platform", root()),
	}
	for _, s := range realSettings() {
		values[s[0]] = s[1]
	}
	return values
}

type authority struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

var root = sync.OnceValue(func() authority {
	key := newPair()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * 365 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return authority{key, cert}
})

// serial is as long as the platforms' are: 20 bytes.
func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 158))
	if err != nil {
		panic(err)
	}
	return n.SetBit(n, 158, 1)
}

func issued(key *rsa.PrivateKey, name string, by authority) string {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * 365 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		panic(err)
	}
	return certificate(der)
}

func certificate(der []byte) string {
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}
