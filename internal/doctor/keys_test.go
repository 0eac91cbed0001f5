package doctor_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"piaohao/internal/channel"
	"piaohao/internal/channel/wechatv2"
	"piaohao/internal/secret"
)

func shortKeyPEM(t *testing.T) string {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0") // the library refuses to make what users have
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))
}

func certificatePEM(t *testing.T, name, owner string) string {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1 << 62), Subject: pkix.Name{CommonName: owner},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(4, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key(name).PublicKey, key(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Mistakes of which the trackers of every payment library are full: keys in each other's place, cut, converted or of the
// wrong mode. Each is one fault, which names the variable.
func TestMistakesWithKeys(t *testing.T) {
	short := shortKeyPEM(t)
	platformCertificate := certificatePEM(t, "wechat platform", "Tenpay.com")
	for _, row := range []struct {
		name    string
		make    func(*world)
		setting string
		says    string // a part of text or cure
	}{
		{"P2: the app's own public key where Alipay's belongs", func(w *world) { w.alipay.PublicKey = publicPEM("alipay") }, "ALIPAY_PUBLIC_KEY", "支付宝公钥"},
		{"P2: the private key where Alipay's public key belongs", func(w *world) { w.alipay.PublicKey = privatePEM("alipay") }, "ALIPAY_PUBLIC_KEY", "支付宝公钥"},
		{"P2: the public key where the private key belongs", func(w *world) {
			w.alipay.PrivateKey = secret.New(publicPEM("alipay"))
		}, "ALIPAY_PRIVATE_KEY", "应用私钥"},
		{"P2: a key that was cut while it was copied", func(w *world) {
			whole := privatePEM("alipay")
			w.alipay.PrivateKey = secret.New(whole[:len(whole)/2])
		}, "ALIPAY_PRIVATE_KEY", "应用私钥"},
		{"P2: a key of 1024 bits", func(w *world) { w.alipay.PrivateKey = secret.New(short) }, "ALIPAY_PRIVATE_KEY", "2048"},
		{"P2: an APIv3 key that lost a character", func(w *world) {
			w.wechat.APIv3Key = secret.New(w.wechat.APIv3Key.Reveal()[1:])
		}, "WECHAT_API_V3_KEY", "32"},
		{"P2: the own key where WeChat Pay's public key belongs", func(w *world) { w.wechat.PublicKey = publicPEM("wechat") }, "WECHAT_PUBLIC_KEY", "merchant console"},
		{"P2: a file's name where its content belongs", func(w *world) {
			w.wechat.PrivateKey = secret.New("/etc/piaohao/apiclient_key.pem")
		}, "WECHAT_MCH_PRIVATE_KEY", ""},
		{"P3: a platform certificate where the public key belongs", func(w *world) { w.wechat.PublicKey = platformCertificate }, "WECHAT_PUBLIC_KEY", "certificate"},
		{"P3: the public key's id without its beginning", func(w *world) {
			w.wechat.PublicKeyID = strings.TrimPrefix(w.wechat.PublicKeyID, "PUB_KEY_ID_")
		}, "WECHAT_PUBLIC_KEY_ID", "PUB_KEY_ID_"},
		{"P3: the serial as a browser shows it", func(w *world) { w.wechat.SerialNo = "51:57:F0:9E:FD:C0:96:DE" }, "WECHAT_MCH_SERIAL_NO", ""},
		{"P3: a public key's id where the serial belongs", func(w *world) { w.wechat.SerialNo = w.wechat.PublicKeyID }, "WECHAT_MCH_SERIAL_NO", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := good(t)
			row.make(w)
			got := faults(w.examine(t))
			if len(got) != 1 {
				t.Fatalf("%d faults, want 1: %+v", len(got), got)
			}
			line := got[0].Setting + " " + got[0].Text + " " + got[0].Cure
			if got[0].Level != channel.LevelError || !strings.Contains(line, row.setting) || !strings.Contains(line, row.says) {
				t.Errorf("got %s: %s; want an error about %s that says %q", got[0].Level, line, row.setting, row.says)
			}
		})
	}
}

// Forms of keys that are right, in which the same trackers see failures.
func TestFormsOfKeysThatAreFine(t *testing.T) {
	t.Parallel()
	pkcs1 := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key("alipay")))
	for _, row := range []struct {
		name string
		make func(*world)
	}{
		{"P2: PKCS#1 without its armour", func(w *world) { w.alipay.PrivateKey = secret.New(pkcs1) }},
		{"P2: PKCS#1 under PKCS#8's label", func(w *world) {
			w.alipay.PrivateKey = secret.New("-----BEGIN PRIVATE KEY-----\n" + pkcs1 + "\n-----END PRIVATE KEY-----")
		}},
		{"P2: line ends at the end", func(w *world) { w.alipay.PublicKey += "\n\n" }},
		{"P2: Windows line ends", func(w *world) { w.alipay.PublicKey = strings.ReplaceAll(w.alipay.PublicKey, "\n", "\r\n") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := good(t)
			w.in.Online = true
			row.make(w)
			if got := faults(w.examine(t)); len(got) > 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// What a merchant with APIv2 alone hears of the certificate that refunds want.
func TestCertificateOfAPIv2(t *testing.T) {
	t.Parallel()
	const merchant = "1652083947"
	for _, row := range []struct {
		name    string
		make    func(c *wechatv2.Config)
		level   channel.Level
		code    string
		setting string
		says    string // a part of text or cure
	}{
		{"none", func(*wechatv2.Config) {}, channel.LevelWarn, "no_certificate", "", "set WECHAT_V2_CERT (apiclient_cert.pem) and WECHAT_V2_PRIVATE_KEY"},
		{"the right one", func(c *wechatv2.Config) {
			c.Cert, c.Key = certificatePEM(t, "wechat", merchant), secret.New(privatePEM("wechat"))
		}, channel.LevelOK, "certificate", "WECHAT_V2_CERT", "valid until 2030-11-27"},
		{"half of it", func(c *wechatv2.Config) {
			c.Cert = certificatePEM(t, "wechat", merchant)
		}, channel.LevelError, "missing", "WECHAT_V2_PRIVATE_KEY", "of one download"},
		{"of two downloads", func(c *wechatv2.Config) {
			c.Cert, c.Key = certificatePEM(t, "wechat", merchant), secret.New(privatePEM("wechat platform"))
		}, channel.LevelError, "key_mismatch", "WECHAT_V2_CERT", "of one download"},
		{"another merchant's", func(c *wechatv2.Config) {
			c.Cert, c.Key = certificatePEM(t, "wechat", "1900005001"), secret.New(privatePEM("wechat"))
		}, channel.LevelWarn, "other_merchant", "WECHAT_V2_CERT", "another merchant number"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := good(t)
			c := &wechatv2.Config{AppID: "wx5f0c2e7a9d3b1864", MerchantID: merchant, MchKey: secret.New("Hk7Lq2Zt9Xw4Bv6Nm1Rs8Yd3Fg5Jp0Ca")}
			row.make(c)
			w.in.Config.Accounts[wechatAccount] = account("wechatv2-"+merchant, wechatv2.Driver, c, origin+"/payment/wechat/notify")
			found := false
			for _, f := range w.examine(t).Accounts[wechatAccount].Findings {
				if f.Code != row.code {
					continue
				}
				found = true
				if f.Title == "" || f.Level != row.level || f.Setting != row.setting || !strings.Contains(f.Text+"; "+f.Cure, row.says) {
					t.Errorf("%+v", f)
				}
			}
			if !found {
				t.Errorf("nobody says %s", row.code)
			}
		})
	}
}
