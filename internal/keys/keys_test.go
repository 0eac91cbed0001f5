package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"piaohao/internal/keys"
)

var testKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, keys.MinBits)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pemOf(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func b64(der []byte) string { return base64.StdEncoding.EncodeToString(der) }

func certificate(public crypto.PublicKey, signer crypto.Signer) []byte {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(5001), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	return must(x509.CreateCertificate(rand.Reader, template, template, public, signer))
}

func TestParseReadsEveryForm(t *testing.T) {
	t.Parallel()
	key := testKey()
	pkcs8, pkcs1 := must(x509.MarshalPKCS8PrivateKey(key)), x509.MarshalPKCS1PrivateKey(key)
	spki, public1 := must(x509.MarshalPKIXPublicKey(&key.PublicKey)), x509.MarshalPKCS1PublicKey(&key.PublicKey)
	cert := certificate(&key.PublicKey, key)
	for _, tt := range []struct {
		name, text string
		kind       keys.Kind
		form       string
	}{
		{"PKCS#8 in PEM", pemOf("PRIVATE KEY", pkcs8), keys.Private, "PEM, PKCS#8"},
		{"PKCS#1 in PEM", pemOf("RSA PRIVATE KEY", pkcs1), keys.Private, "PEM, PKCS#1"},
		{"PKCS#1 under the label of PKCS#8", pemOf("PRIVATE KEY", pkcs1), keys.Private, "PEM, PKCS#1"},
		{"bare PKCS#8", b64(pkcs8), keys.Private, "base64, PKCS#8"},
		{"bare PKCS#1, cut in lines", b64(pkcs1)[:64] + "\r\n" + b64(pkcs1)[64:], keys.Private, "base64, PKCS#1"},
		{"written-out line ends", strings.ReplaceAll(pemOf("PRIVATE KEY", pkcs8), "\n", `\n`), keys.Private, "PEM, PKCS#8"},
		{"written-out Windows line ends", strings.ReplaceAll(pemOf("PRIVATE KEY", pkcs8), "\n", `\r\n`), keys.Private, "PEM, PKCS#8"},
		{"PEM in one line", strings.ReplaceAll(pemOf("PRIVATE KEY", pkcs8), "\n", " "), keys.Private, "PEM, PKCS#8"},
		{"quotes that the shell left", `"` + pemOf("PRIVATE KEY", pkcs8) + `"`, keys.Private, "PEM, PKCS#8"},
		{"byte order mark", "\ufeff" + pemOf("PRIVATE KEY", pkcs8), keys.Private, "PEM, PKCS#8"},
		{"public key", pemOf("PUBLIC KEY", spki), keys.Public, "PEM, SPKI"},
		{"bare public key of PKCS#1", b64(public1), keys.Public, "base64, PKCS#1"},
		{"certificate", pemOf("CERTIFICATE", cert), keys.Certificate, "PEM, X.509"},
		{"bare certificate", b64(cert), keys.Certificate, "base64, X.509"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := keys.Parse(tt.text)
			if err != nil || got.Kind != tt.kind || got.Form != tt.form || !got.Public.Equal(&key.PublicKey) {
				t.Fatalf("%s %q %v", got.Kind, got.Form, err)
			}
			if (got.Private != nil) != (tt.kind == keys.Private) || len(got.Certificates) > 0 != (tt.kind == keys.Certificate) {
				t.Fatal("parts are missing")
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	key := testKey()
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(key))
	whole := pemOf("PRIVATE KEY", pkcs8)
	curve := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	short := must(rsa.GenerateKey(rand.Reader, 1024))
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"nothing", " \n", keys.ErrEmpty},
		{"words", "your private key", keys.ErrUnreadable},
		{"bytes of nothing", b64([]byte("no key at all")), keys.ErrUnknown},
		{"a cut PEM", whole[:len(whole)/2], keys.ErrUnreadable},
		{"a line lost in the middle", strings.Replace(whole, whole[100:165], "", 1), keys.ErrUnknown},
		{"A04 a key of a curve", b64(must(x509.MarshalPKCS8PrivateKey(curve))), keys.ErrNotRSA},
		{"A04 a public key of a curve", b64(must(x509.MarshalPKIXPublicKey(&curve.PublicKey))), keys.ErrNotRSA},
		{"A04 a certificate of a curve", pemOf("CERTIFICATE", certificate(&curve.PublicKey, curve)), keys.ErrNotRSA},
		{"A05 1024 bits", b64(x509.MarshalPKCS1PrivateKey(short)), keys.ErrShort},
		{"a passphrase", pemOf("ENCRYPTED PRIVATE KEY", pkcs8), keys.ErrEncrypted},
		{"two keys", whole + whole, keys.ErrMany},
		{"the guide's placeholder", "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA...\n-----END PUBLIC KEY-----", keys.ErrUnreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := keys.Parse(tt.text); !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
		})
	}
}

// A bundle of roots holds certificates that only other algorithms read, one of them of a curve that x509 refuses.
func TestParseSkipsCurvesInABundle(t *testing.T) {
	t.Parallel()
	key, curve := testKey(), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ours := pemOf("CERTIFICATE", certificate(&key.PublicKey, key))
	ec := certificate(&curve.PublicKey, curve)
	p256 := []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07} // the OID of prime256v1
	odd := bytes.Replace(ec, p256, []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x7f}, 1)
	if _, err := x509.ParseCertificate(odd); err == nil {
		t.Fatal("x509 reads the odd curve: the case is none")
	}
	got, err := keys.Parse(pemOf("CERTIFICATE", odd) + ours + pemOf("CERTIFICATE", ec) + ours)
	if err != nil || got.Kind != keys.Certificate || len(got.Certificates) != 2 {
		t.Fatalf("%d certificates, %v", len(got.Certificates), err)
	}
}

func TestP12(t *testing.T) {
	t.Parallel()
	key := testKey()
	cert := must(x509.ParseCertificate(certificate(&key.PublicKey, key)))
	for name, encoder := range map[string]*pkcs12.Encoder{"as the platform writes it": pkcs12.LegacyDES, "modern": pkcs12.Modern2023} {
		file := b64(must(encoder.Encode(key, cert, nil, "1900005001")))
		gotKey, gotCert, err := keys.P12(file, "1900005001")
		if err != nil || !gotKey.Equal(key) || !gotCert.Equal(cert) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := keys.P12(file, "1900005002"); !errors.Is(err, keys.ErrP12Password) {
			t.Errorf("%s: another password: %v", name, err)
		}
	}
	for text, want := range map[string]error{"%%": keys.ErrUnreadable, b64([]byte("no archive")): keys.ErrUnknown} {
		if _, _, err := keys.P12(text, ""); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

// FuzzParse: nothing panics, and no error repeats what was pasted.
func FuzzParse(f *testing.F) {
	f.Add("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----")
	f.Add("MIIEvgIBADANBgkqhkiG9w0BAQEFAASC")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := keys.Parse(text)
		if err != nil && len(text) > 60 && strings.Contains(err.Error(), text[:40]) {
			t.Fatal("the error repeats the text")
		}
	})
}
