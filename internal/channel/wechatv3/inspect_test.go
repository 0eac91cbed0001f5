package wechatv3

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"

	"piaohao/internal/channel"
	"piaohao/internal/secret"
	facts "piaohao/spec/wechat"
)

func merchantCert() string {
	return certificate(issued{serial: serialNo, name: facts.MerchantID, key: testKeys().merchant})
}

// p12 is the raw file apiclient_cert.p12 of key.
func p12(key *rsa.PrivateKey, password string) string {
	cert := certificate(issued{serial: serialNo, name: facts.MerchantID, key: key})
	return string(must(pkcs12.LegacyDES.Encode(key, parsed(cert), nil, password)))
}

func parsed(text string) *x509.Certificate {
	der := must(base64.StdEncoding.DecodeString(strings.Join(strings.Split(text, "\n")[1:len(strings.Split(text, "\n"))-2], "")))
	return must(x509.ParseCertificate(der))
}

func publicText(key *rsa.PublicKey) string {
	return pemText("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key)))
}

func privateText(key *rsa.PrivateKey) string {
	return pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

// errorsOf are the errors found, as "code setting".
func errorsOf(t *testing.T, findings []channel.Finding) (out []string) {
	t.Helper()
	for _, f := range findings {
		if (f.Cure == "") != (f.Level == channel.LevelOK) || f.Code == "" || f.Text == "" {
			t.Errorf("%s finding %s with text %q and cure %q", f.Level, f.Code, f.Text, f.Cure)
		}
		if f.Level == channel.LevelError {
			out = append(out, strings.TrimSpace(f.Code+" "+f.Setting))
		}
	}
	return out
}

// Every row breaks one thing of settings that are right, and finds that one.
func TestInspectFindsEachFault(t *testing.T) {
	t.Parallel()
	k := testKeys()
	short := must(rsa.GenerateKey(rand.Reader, 1024))
	curve := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	shortCert := certificate(issued{serial: oldSerial, name: "x", key: short})
	publishedCert := func(name string) string { // of a key whose private half we do not have
		template := parsed(certificate(issued{serial: oldSerial, name: name, key: k.stranger}))
		return pemText("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, template, template, publicKey(facts.KeyB), k.stranger)))
	}
	expired := func(key *rsa.PrivateKey, serial string) string {
		return certificate(issued{serial: serial, name: "x", key: key, from: p0(), until: testNow()})
	}
	garbled := strings.Replace(privateText(k.merchant), "A", "*", 3)
	wrapped := testConfig().PrivateKey.Reveal()
	wrapped = strings.Replace(wrapped, wrapped[100:165], "", 1)
	for _, tt := range []struct {
		name, want string
		change     func(c *Config)
	}{
		{"no app id", "missing WECHAT_APP_ID", func(c *Config) { c.AppID = "" }},
		{"the guide's app id", "placeholder WECHAT_APP_ID", func(c *Config) { c.AppID = "wx1234567890abcdef" }},
		{"the application id of another platform", "app_id WECHAT_APP_ID", func(c *Config) { c.AppID = "2021003112345671" }},
		{"app id with a blank", "app_id WECHAT_APP_ID", func(c *Config) { c.AppID = "wx d678efh567" }},
		{"app id and merchant number exchanged", "swapped WECHAT_APP_ID", func(c *Config) { c.AppID, c.MerchantID = c.MerchantID, c.AppID }},
		{"no merchant number", "missing WECHAT_MCH_ID", func(c *Config) { c.MerchantID = "" }},
		{"the guide's merchant number", "placeholder WECHAT_MCH_ID", func(c *Config) { c.MerchantID = "1234567890" }},
		{"merchant number of 7 digits", "merchant_number WECHAT_MCH_ID", func(c *Config) { c.MerchantID = "1900007" }},

		{"no serial number", "missing WECHAT_MCH_SERIAL_NO", func(c *Config) { c.SerialNo = "" }},
		{"serial number in words", "placeholder WECHAT_MCH_SERIAL_NO", func(c *Config) { c.SerialNo = "your_serial_no" }},
		{"serial number with colons", "serial WECHAT_MCH_SERIAL_NO", func(c *Config) { c.SerialNo = "51:57:F0:9E:FD:C0:96:DE" }},
		{"serial number is a public key id", "serial WECHAT_MCH_SERIAL_NO", func(c *Config) { c.SerialNo = peerID }},
		{"A102 serial number of the documentation", "published_key WECHAT_MCH_SERIAL_NO", func(c *Config) { c.SerialNo = "408b07e79b8269fec3d5d3e6ab8ed163a6a380db" }},
		{"serial number of another certificate", "serial_mismatch WECHAT_MCH_SERIAL_NO", func(c *Config) { c.SerialNo, c.MchCert = oldSerial, merchantCert() }},
		{"serial number of the platform's certificate", "serial WECHAT_MCH_SERIAL_NO", func(c *Config) { c.SerialNo, c.PlatformCert = oldSerial, oldCert() }},

		{"no private key", "missing WECHAT_MCH_PRIVATE_KEY", func(c *Config) { c.PrivateKey = secret.Text{} }},
		{"an example's private key", "placeholder WECHAT_MCH_PRIVATE_KEY", func(c *Config) {
			c.PrivateKey = secret.New("-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASC...\n-----END PRIVATE KEY-----")
		}},
		{"private key with damaged letters", "key_unreadable WECHAT_MCH_PRIVATE_KEY", func(c *Config) { c.PrivateKey = secret.New(garbled) }},
		{"private key that lost a line", "key_unreadable WECHAT_MCH_PRIVATE_KEY", func(c *Config) { c.PrivateKey = secret.New(wrapped) }},
		{"private key cut after its first line", "key_unreadable WECHAT_MCH_PRIVATE_KEY", func(c *Config) { c.PrivateKey = secret.New("-----BEGIN PRIVATE KEY-----") }},
		{"private key under a passphrase", "key_unreadable WECHAT_MCH_PRIVATE_KEY", func(c *Config) {
			c.PrivateKey = secret.New(strings.ReplaceAll(wrapped, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"))
		}},
		{"A05 private key of 1024 bits", "key_short WECHAT_MCH_PRIVATE_KEY", func(c *Config) { c.PrivateKey = secret.New(privateText(short)) }},
		{"A04 private key of a curve", "key_kind WECHAT_MCH_PRIVATE_KEY", func(c *Config) {
			c.PrivateKey = secret.New(pemText("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(curve))))
		}},
		{"public key as private key", "key_kind WECHAT_MCH_PRIVATE_KEY", func(c *Config) { c.PrivateKey = secret.New(publicText(&k.merchant.PublicKey)) }},
		{"certificate as private key", "key_kind WECHAT_MCH_PRIVATE_KEY", func(c *Config) { c.PrivateKey = secret.New(merchantCert()) }},

		{"certificate of another key", "key_mismatch WECHAT_MCH_CERT", func(c *Config) {
			c.MchCert = certificate(issued{serial: serialNo, name: facts.MerchantID, key: k.stranger})
		}},
		{"private key as certificate", "key_kind WECHAT_MCH_CERT", func(c *Config) { c.MchCert = privateText(k.merchant) }},
		{"certificate unreadable", "key_unreadable WECHAT_MCH_CERT", func(c *Config) { c.MchCert = "certificate" }},
		{"A102 certificate of a published key", "published_key WECHAT_MCH_CERT", func(c *Config) { c.MchCert = publishedCert("1") }},
		{"certificate expired", "expired WECHAT_MCH_CERT", func(c *Config) { c.MchCert = expired(k.merchant, serialNo) }},
		{"certificate begins later", "not_yet_valid WECHAT_MCH_CERT", func(c *Config) {
			c.MchCert = certificate(issued{serial: serialNo, key: k.merchant, from: testNow().Add(time.Second), until: testNow().Add(day)})
		}},

		{"P12 under another number", "p12_password WECHAT_MCH_P12", func(c *Config) { c.MchP12 = secret.New(p12(k.merchant, "1900000000")) }},
		{"P12 alone, under another number", "p12_password WECHAT_MCH_P12", func(c *Config) {
			c.MchP12, c.PrivateKey, c.SerialNo = secret.New(p12(k.merchant, "1900000000")), secret.Text{}, ""
		}},
		{"P12 is no P12", "key_unreadable WECHAT_MCH_P12", func(c *Config) { c.MchP12 = secret.New("cGFzc3dvcmQ=") }},
		{"P12 of another key", "key_mismatch WECHAT_MCH_P12", func(c *Config) { c.MchP12 = secret.New(p12(k.stranger, facts.MerchantID)) }},
		{"P12 of another key beside key and certificate", "key_mismatch WECHAT_MCH_P12", func(c *Config) {
			c.MchP12, c.MchCert = secret.New(p12(k.stranger, facts.MerchantID)), merchantCert()
		}},
		{"A05 P12 with a key of 1024 bits", "key_short WECHAT_MCH_P12", func(c *Config) { c.MchP12 = secret.New(p12(short, facts.MerchantID)) }},
		{"P12, and the merchant number is missing", "missing WECHAT_MCH_ID", func(c *Config) {
			c.MchP12, c.PrivateKey, c.SerialNo, c.MerchantID = secret.New(p12(k.merchant, facts.MerchantID)), secret.Text{}, "", ""
		}},

		{"no APIv3 key", "missing WECHAT_API_V3_KEY", func(c *Config) { c.APIv3Key = secret.Text{} }},
		{"APIv3 key in words", "placeholder WECHAT_API_V3_KEY", func(c *Config) { c.APIv3Key = secret.New("your_api_v3_key_of_32_characters") }},
		{"A05 APIv3 key of 31 characters", "api_v3_key WECHAT_API_V3_KEY", func(c *Config) { c.APIv3Key = secret.New(v3Key[:31]) }},
		{"A05 APIv3 key of 33 characters", "api_v3_key WECHAT_API_V3_KEY", func(c *Config) { c.APIv3Key = secret.New(v3Key + "x") }},
		{"A05 APIv3 key of one letter", "weak WECHAT_API_V3_KEY", func(c *Config) { c.APIv3Key = secret.New(strings.Repeat("a", 32)) }},
		{"A102 APIv3 key of an SDK's test", "published_key WECHAT_API_V3_KEY", func(c *Config) { c.APIv3Key = secret.New(facts.SealedTexts[0].Key) }},

		{"public key without its id", "missing WECHAT_PUBLIC_KEY_ID", func(c *Config) { c.PublicKeyID = "" }},
		{"public key id alone", "missing WECHAT_PUBLIC_KEY", func(c *Config) { c.PublicKey = "" }},
		{"public key id without its prefix", "public_key_id WECHAT_PUBLIC_KEY_ID", func(c *Config) { c.PublicKeyID = c.PublicKeyID[11:] }},
		{"public key id is a serial number", "public_key_id WECHAT_PUBLIC_KEY_ID", func(c *Config) { c.PublicKeyID = serialNo }},
		{"public key id with letters", "public_key_id WECHAT_PUBLIC_KEY_ID", func(c *Config) { c.PublicKeyID += "A" }},
		{"public key id in words", "placeholder WECHAT_PUBLIC_KEY_ID", func(c *Config) { c.PublicKeyID = "PUB_KEY_ID_xxxxxxxx" }},
		{"A102 public key id of the documentation", "published_key WECHAT_PUBLIC_KEY_ID", func(c *Config) { c.PublicKeyID = facts.AnswerText.Serial }},
		{"own public key", "own_public_key WECHAT_PUBLIC_KEY", func(c *Config) { c.PublicKey = publicText(&k.merchant.PublicKey) }},
		{"private key as public key", "key_kind WECHAT_PUBLIC_KEY", func(c *Config) { c.PublicKey = privateText(k.stranger) }},
		{"own certificate as public key", "key_kind WECHAT_PUBLIC_KEY", func(c *Config) { c.PublicKey = merchantCert() }},
		{"platform certificate as public key", "key_kind WECHAT_PUBLIC_KEY", func(c *Config) { c.PublicKey = oldCert() }},
		{"public key unreadable", "key_unreadable WECHAT_PUBLIC_KEY", func(c *Config) { c.PublicKey = c.PublicKey[:200] }},
		{"A05 public key of 1024 bits", "key_short WECHAT_PUBLIC_KEY", func(c *Config) { c.PublicKey = publicText(&short.PublicKey) }},
		{"A102 public key of the documentation", "published_key WECHAT_PUBLIC_KEY", func(c *Config) { c.PublicKey = facts.KeyA }},
		{"A102 public key of an SDK's test", "published_key WECHAT_PUBLIC_KEY", func(c *Config) { c.PublicKey = facts.KeyB }},

		{"A11 own certificate as the platform's", "own_certificate WECHAT_PLATFORM_CERT", func(c *Config) { c.PlatformCert = oldCert() + merchantCert() }},
		{"A11 own older certificate as the platform's", "own_certificate WECHAT_PLATFORM_CERT", func(c *Config) {
			c.PlatformCert = certificate(issued{serial: oldSerial, name: facts.MerchantID, key: k.stranger})
		}},
		{"A11 another merchant's certificate as the platform's", "own_certificate WECHAT_PLATFORM_CERT", func(c *Config) {
			c.PlatformCert = certificate(issued{serial: oldSerial, name: "1900000000", key: k.stranger})
		}},
		{"A11 platform certificate expired", "expired WECHAT_PLATFORM_CERT", func(c *Config) { c.PlatformCert = expired(k.platform, oldSerial) }},
		{"public key as platform certificate", "key_kind WECHAT_PLATFORM_CERT", func(c *Config) { c.PlatformCert = c.PublicKey }},
		{"platform certificate unreadable", "key_unreadable WECHAT_PLATFORM_CERT", func(c *Config) { c.PlatformCert = oldCert()[:100] }},
		{"A05 platform certificate of 1024 bits", "key_short WECHAT_PLATFORM_CERT", func(c *Config) { c.PlatformCert = shortCert }},
		{"A05 second platform certificate of 1024 bits", "key_short WECHAT_PLATFORM_CERT", func(c *Config) { c.PlatformCert = oldCert() + shortCert }},
		{"A102 second platform certificate published", "published_key WECHAT_PLATFORM_CERT", func(c *Config) { c.PlatformCert = oldCert() + publishedCert("x") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			tt.change(cfg)
			findings := cfg.Inspect(testNow())
			if diff := cmp.Diff([]string{tt.want}, errorsOf(t, findings)); diff != "" {
				t.Fatal(diff)
			}
			env := testEnv()
			env.Account.AppID, env.Account.MerchantID = cfg.Identity()
			if _, err := New(cfg, env); err == nil || !strings.Contains(err.Error(), strings.Fields(tt.want)[1]) {
				t.Errorf("New: %v", err)
			}
			repeatsNothing(t, cfg, fmt.Sprint(findings))
		})
	}
}

// repeatsNothing: no 16 letters in a row of a secret or a key occur in text.
func repeatsNothing(t *testing.T, c *Config, text string) {
	t.Helper()
	const window = 16
	for _, value := range []string{c.PrivateKey.Reveal(), c.MchP12.Reveal(), c.APIv3Key.Reveal(), c.PublicKey, c.MchCert, c.PlatformCert} {
		for i := 0; i+window <= len(value); i++ {
			if part := value[i : i+window]; !strings.Contains(part, "-") && strings.Contains(text, part) {
				t.Fatalf("a finding repeats content of a setting: %s", text)
			}
		}
	}
}

// Every fault at once.
func TestInspectFindsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	got := errorsOf(t, (&Config{}).Inspect(testNow()))
	want := []string{"missing WECHAT_APP_ID", "missing WECHAT_MCH_ID", "missing WECHAT_MCH_PRIVATE_KEY", "missing WECHAT_API_V3_KEY"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c := testConfig()
	c.AppID, c.SerialNo, c.APIv3Key, c.PublicKeyID, c.PublicKey = "1", "x", secret.New("x"), "y", publicText(&testKeys().merchant.PublicKey)
	want = []string{"app_id WECHAT_APP_ID", "serial WECHAT_MCH_SERIAL_NO", "api_v3_key WECHAT_API_V3_KEY", "public_key_id WECHAT_PUBLIC_KEY_ID", "own_public_key WECHAT_PUBLIC_KEY"}
	if diff := cmp.Diff(want, errorsOf(t, c.Inspect(testNow()))); diff != "" {
		t.Error(diff)
	}
}

// What is right is said too: what it is, and what it is good for.
func TestInspectSaysWhatIsRight(t *testing.T) {
	t.Parallel()
	k := testKeys()
	noKey := func(c *Config) { c.PrivateKey, c.SerialNo = secret.Text{}, "" }
	noPublic := func(c *Config) { c.PublicKey, c.PublicKeyID = "", "" }
	soon := certificate(issued{serial: serialNo, key: k.merchant, from: p0(), until: testNow().Add(30*day - time.Second)})
	later := certificate(issued{serial: serialNo, key: k.merchant, from: p0(), until: testNow().Add(30 * day)})
	for _, tt := range []struct {
		name   string
		change func(c *Config)
		want   []string // parts of lines, each "level setting: text"
	}{
		{"public key mode", func(*Config) {}, []string{
			"ok WECHAT_MCH_PRIVATE_KEY: private key, PEM, PKCS#8, RSA 2048", "ok : requests are signed with the key of merchant API certificate " + serialNo,
			"ok WECHAT_PUBLIC_KEY: public key, PEM, SPKI, RSA 2048", "ok : public key mode",
		}},
		{"certificate mode", noPublic, []string{"ok : certificate mode"}},
		{"both", func(c *Config) { c.PlatformCert = oldCert() + newCert() }, []string{"ok : public key and certificate mode", "ok WECHAT_PLATFORM_CERT: 2 platform certificates", "ok WECHAT_PLATFORM_CERT: valid until 2019-06-08"}},
		{"certificate for a serial number", func(c *Config) { c.SerialNo, c.MchCert = "", later }, []string{"ok WECHAT_MCH_CERT: certificate, PEM, X.509", "ok WECHAT_MCH_CERT: valid until 2018-07-08", serialNo}},
		{"certificate and its serial number", func(c *Config) { c.SerialNo, c.MchCert = strings.ToLower(serialNo), later }, []string{serialNo}},
		{"certificate that ends soon", func(c *Config) { c.MchCert = soon }, []string{"warn WECHAT_MCH_CERT: expires on 2018-07-08"}},
		{"certificate of another merchant number", func(c *Config) {
			c.MchCert = certificate(issued{serial: serialNo, name: "1900000000", key: k.merchant})
		}, []string{"warn WECHAT_MCH_CERT: is made out to another merchant number"}},
		{"P12 in base64 for everything", func(c *Config) {
			noKey(c)
			c.MchP12 = secret.New(base64.StdEncoding.EncodeToString([]byte(p12(k.merchant, facts.MerchantID))))
		}, []string{"ok WECHAT_MCH_P12: private key and certificate, PKCS#12, RSA 2048", serialNo}},
		{"P12 as raw bytes of its file", func(c *Config) { noKey(c); c.MchP12 = secret.New(p12(k.merchant, facts.MerchantID)) }, []string{"ok WECHAT_MCH_P12: private key and certificate", serialNo}},
		{"P12 beside the same private key", func(c *Config) { c.MchP12 = secret.New(p12(k.merchant, facts.MerchantID)) }, []string{serialNo}},
		{"private key of PKCS#1, bare", func(c *Config) {
			c.PrivateKey = secret.New(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(k.merchant)))
		}, []string{"ok WECHAT_MCH_PRIVATE_KEY: private key, base64, PKCS#1"}},
		{"certificate as raw bytes of its file", func(c *Config) { c.MchCert = string(parsed(merchantCert()).Raw) }, []string{"ok WECHAT_MCH_CERT: certificate, base64, X.509"}},
		{"unusual app id", func(c *Config) { c.AppID = "wxshort" }, []string{"warn WECHAT_APP_ID"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			tt.change(cfg)
			findings := cfg.Inspect(testNow())
			if got := errorsOf(t, findings); got != nil {
				t.Fatal(got)
			}
			var lines []string
			for _, f := range findings {
				lines = append(lines, string(f.Level)+" "+f.Setting+": "+f.Text)
			}
			all := strings.Join(lines, "\n")
			for _, part := range tt.want {
				if !strings.Contains(all, part) {
					t.Errorf("%q is not said in:\n%s", part, all)
				}
			}
			repeatsNothing(t, cfg, all)
			c := build(t, func(to *Config, env *channel.Env) { *to = *cfg; env.Account.AppID = cfg.AppID })
			if c.serial != serialNo || !c.key.Equal(k.merchant) {
				t.Errorf("signs as %s", c.serial)
			}
		})
	}
}
