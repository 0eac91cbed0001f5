package alipay

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/channel/channeltest"
	"piaohao/internal/secret"
	spec "piaohao/spec/alipay"
)

// The guide prints these; its reader replaces them.
const (
	guideAppID   = "2021000000000000"
	guidePrivate = "-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC...\n-----END PRIVATE KEY-----"
	guidePublic  = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA...\n-----END PUBLIC KEY-----"
)

// publishedPEM is a published key as a public key in PEM.
func publishedPEM(t *testing.T) string {
	t.Helper()
	return publicPEM(published64(t, spec.PublishedKeys[0].Public))
}

func mustDER(der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return der
}

func levels(findings []channel.Finding, level channel.Level) []channel.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f channel.Finding) bool { return f.Level != level })
}

// broken is one thing that users do, and the one fault that they must read.
type broken struct {
	name    string
	edit    func(*Config)
	code    string
	setting string
}

func brokenIDs() []broken {
	const app, seller = "ALIPAY_APP_ID", "ALIPAY_SELLER_ID"
	return []broken{
		{"A05 app id missing", func(c *Config) { c.AppID = "" }, "missing", app},
		{"A102 the guide's app id", func(c *Config) { c.AppID = guideAppID }, "placeholder", app},
		{"words for an app id", func(c *Config) { c.AppID = "your app id" }, "placeholder", app},
		{"another platform's app id", func(c *Config) { c.AppID = "wx1234567890123456" }, "form", app},
		{"app id with a digit lost", func(c *Config) { c.AppID = c.AppID[1:] }, "form", app},
		{"app id with a space", func(c *Config) { c.AppID += " " }, "form", app},
		{"app id that begins with 30", func(c *Config) { c.AppID = "30" + c.AppID[2:] }, "form", app},
		{"the seller as app id", func(c *Config) { c.AppID = c.SellerID }, "swapped", app},
		{"app id and seller swapped", func(c *Config) { c.AppID, c.SellerID = c.SellerID, c.AppID }, "swapped", app},
		{"the app id as seller", func(c *Config) { c.SellerID = c.AppID }, "swapped", seller},
		{"A102 zeros for a seller", func(c *Config) { c.SellerID = "2088000000000000" }, "placeholder", seller},
		{"a mail address as seller", func(c *Config) { c.SellerID = "shop@example.com" }, "form", seller},
		{"seller with a digit too many", func(c *Config) { c.SellerID += "1" }, "form", seller},
	}
}

func brokenKeys(t *testing.T) []broken {
	const private, public = "ALIPAY_PRIVATE_KEY", "ALIPAY_PUBLIC_KEY"
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	curvePrivate, curvePublic := b64(mustDER(x509.MarshalPKCS8PrivateKey(curve))), b64(mustDER(x509.MarshalPKIXPublicKey(&curve.PublicKey)))
	setPrivate := func(edit func(string) string) func(*Config) {
		return func(c *Config) { c.PrivateKey = secret.New(edit(c.PrivateKey.Reveal())) }
	}
	to := func(text string) func(string) string { return func(string) string { return text } }
	setPublic := func(text string) func(*Config) { return func(c *Config) { c.PublicKey = text } }
	return []broken{
		{"A05 private key missing", setPrivate(to("")), "missing", private},
		{"A05 private key of spaces", setPrivate(to(" \n")), "missing", private},
		{"A102 the guide's private key", setPrivate(to(guidePrivate)), "placeholder", private},
		{"words for a private key", setPrivate(to("your private key")), "placeholder", private},
		{"A05 private key cut", setPrivate(func(s string) string { return s[:200] }), "key_unreadable", private},
		{"a line of the private key lost", setPrivate(func(s string) string { return s[:100] + s[165:] }), "key_unreadable", private},
		{"a passphrase", setPrivate(func(s string) string { return strings.ReplaceAll(s, "PRIVATE", "ENCRYPTED PRIVATE") }), "key_unreadable", private},
		{"the private key twice", setPrivate(func(s string) string { return s + s }), "key_unreadable", private},
		{"A05 private key of 1024 bits", setPrivate(to(privatePEM(short))), "key_short", private},
		{"A04 private key of a curve", setPrivate(to(curvePrivate)), "key_kind", private},
		{"a certificate as private key", setPrivate(to(certPEM(testAuthorities().app))), "key_kind", private},
		{"Alipay's public key as private key too", func(c *Config) { c.PrivateKey = secret.New(c.PublicKey) }, "key_kind", private},
		{"private and public key swapped", func(c *Config) {
			c.PrivateKey, c.PublicKey = secret.New(c.PublicKey), c.PrivateKey.Reveal()
		}, "swapped", private},
		{"A05 public key missing", setPublic(""), "missing", public},
		{"A102 the guide's public key", setPublic(guidePublic), "placeholder", public},
		{"A05 public key cut", setPublic(publicPEM(&alipayKey().PublicKey)[:100]), "key_unreadable", public},
		{"A05 public key of 1024 bits", setPublic(publicPEM(&short.PublicKey)), "key_short", public},
		{"A04 public key of a curve", setPublic(curvePublic), "key_kind", public},
		{"A05 the app's own public key", setPublic(publicPEM(&appKey().PublicKey)), "own_public_key", public},
		{"A05 the app's own public key, bare PKCS#1", setPublic(b64(x509.MarshalPKCS1PublicKey(&appKey().PublicKey))), "own_public_key", public},
		{"A05 the app's private key as public key", func(c *Config) { c.PublicKey = c.PrivateKey.Reveal() }, "key_kind", public},
		{"Alipay's certificate as public key", setPublic(certPEM(testAuthorities().alipay)), "key_kind", public},
		{"the root certificate as public key", setPublic(spec.RootBundle), "key_kind", public},
		{"A102 a published key as Alipay's", setPublic(publishedPEM(t)), "published", public},
	}
}

func brokenCertificates(t *testing.T) []broken {
	const app, cert, root = "ALIPAY_APP_CERT", "ALIPAY_CERT", "ALIPAY_ROOT_CERT"
	a, key := testAuthorities(), rootKey()
	leaf := func(name string, public *rsa.PublicKey, from, to time.Time) string {
		return certPEM(certificate(name, public, false, a.middle, key, from, to))
	}
	now := channeltest.Now
	return []broken{
		{"A05 the app's certificate missing", func(c *Config) { c.AppCert = "" }, "missing", app},
		{"A05 Alipay's certificate missing", func(c *Config) { c.Cert = "" }, "missing", cert},
		{"A05 root certificate missing", func(c *Config) { c.RootCert = "" }, "missing", root},
		{"a public key beside certificates", func(c *Config) { c.PublicKey = publicPEM(&alipayKey().PublicKey) }, "both", "ALIPAY_PUBLIC_KEY"},
		{"words for a certificate", func(c *Config) { c.Cert = "<alipayCertPublicKey_RSA2.crt>" }, "placeholder", cert},
		{"a certificate cut", func(c *Config) { c.Cert = c.Cert[:300] }, "key_unreadable", cert},
		{"Alipay's public key as its certificate", func(c *Config) { c.Cert = publicPEM(&alipayKey().PublicKey) }, "key_kind", cert},
		{"A05 the private key as certificate", func(c *Config) { c.AppCert = c.PrivateKey.Reveal() }, "key_kind", app},
		{"A11 the app's certificate as Alipay's", func(c *Config) { c.Cert = c.AppCert }, "own_certificate", cert},
		{"A11 another certificate of the app's key as Alipay's", func(c *Config) {
			c.Cert = leaf("renewed", &appKey().PublicKey, certFrom, certTo)
		}, "own_certificate", cert},
		{"A11 the two certificates swapped", func(c *Config) { c.AppCert, c.Cert = c.Cert, c.AppCert }, "swapped", app},
		{"A11 the root certificate as Alipay's", func(c *Config) { c.Cert = c.RootCert }, "root_as_certificate", cert},
		{"A11 Alipay's root bundle as its certificate", func(c *Config) { c.Cert = spec.RootBundle }, "root_as_certificate", cert},
		{"the root certificate as the app's", func(c *Config) { c.AppCert = c.RootCert }, "root_as_certificate", app},
		{"Alipay's certificate as root", func(c *Config) { c.RootCert = c.Cert }, "not_root", root},
		{"A11 Alipay's certificate as the app's", func(c *Config) { c.AppCert = c.Cert }, "key_mismatch", app},
		{"A11 a certificate of another key", func(c *Config) {
			c.AppCert = leaf(testSeller, &strangerKey().PublicKey, certFrom, certTo)
		}, "key_mismatch", app},
		{"A23 a certificate of another app", func(c *Config) {
			c.AppCert = leaf(testSeller+"-2021001161683774", &appKey().PublicKey, certFrom, certTo)
		}, "other_app", app},
		{"A102 a published key in Alipay's certificate", func(c *Config) {
			c.Cert = leaf("Alipay", published64(t, spec.PublishedKeys[1].Public), certFrom, certTo)
		}, "published", cert},
		{"A11 the app's certificate expired", func(c *Config) {
			c.AppCert = leaf(testSeller, &appKey().PublicKey, certFrom, now.Add(-time.Second))
		}, "expired", app},
		{"A11 Alipay's certificate expired", func(c *Config) {
			c.Cert = leaf("Alipay", &alipayKey().PublicKey, certFrom, now.Add(-time.Second))
		}, "expired", cert},
		{"A11 Alipay's certificate not valid yet", func(c *Config) {
			c.Cert = leaf("Alipay", &alipayKey().PublicKey, now.Add(time.Second), certTo)
		}, "not_yet_valid", cert},
	}
}

// One broken thing is told once, with its setting and a cure, and New refuses it in the same words.
func TestInspectTellsOneFault(t *testing.T) {
	t.Parallel()
	for mode, rows := range map[string][]broken{
		"key mode": append(brokenIDs(), brokenKeys(t)...), "certificate mode": append(brokenIDs(), brokenCertificates(t)...),
	} {
		for _, tt := range rows {
			t.Run(mode+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				config := testConfig()
				if mode != "key mode" {
					config = certConfig()
				}
				tt.edit(config)
				findings := config.Inspect(channeltest.Now)
				faults := levels(findings, channel.LevelError)
				if len(faults) != 1 {
					t.Fatalf("%d faults: %v", len(faults), faults)
				}
				f := faults[0]
				if f.Code != tt.code || f.Setting != tt.setting || f.Text == "" || f.Cure == "" {
					t.Errorf("%+v, want %s of %s", f, tt.code, tt.setting)
				}
				_, err := Driver.New(config, channel.Env{
					Account: channel.Account{ID: "a", AppID: config.AppID, MerchantID: config.SellerID}, Now: clock(channeltest.Now),
				})
				if err == nil || err.Error() != f.String() {
					t.Errorf("New says %v", err)
				}
				tellNothing(t, config, findings)
			})
		}
	}
}

// tellNothing: no finding repeats a piece of what was pasted.
func tellNothing(t *testing.T, c *Config, findings []channel.Finding) {
	t.Helper()
	const piece = 16
	for _, f := range findings {
		line := strings.Join([]string{string(f.Level), f.Code, f.Text, f.Cure}, " ")
		for _, text := range []string{c.PrivateKey.Reveal(), c.PublicKey, c.AppCert, c.Cert, c.RootCert} {
			for i := len("-----BEGIN ENCRYPTED PRIVATE KEY-----"); i+piece <= len(text); i++ {
				if strings.Contains(line, text[i:i+piece]) {
					t.Fatalf("%s of %s repeats what was pasted", f.Code, f.Setting)
				}
			}
		}
	}
}

// What is good is told too: what was found, in which form, and what it does.
func TestInspectTellsWhatIsGood(t *testing.T) {
	t.Parallel()
	bare := func(pem string) string {
		lines := strings.Split(strings.TrimSpace(pem), "\n")
		return strings.Join(lines[1:len(lines)-1], "")
	}
	key := []string{"app_id", "merchant_number", "key", "key", "mode"}
	certs := []string{"app_id", "merchant_number", "key", "other_root", "certificate", "certificate", "mode"}
	for _, tt := range []struct {
		name   string
		config *Config
		edit   func(*Config)
		codes  []string
		text   string
	}{
		{"key mode", testConfig(), func(*Config) {}, key, "RSA private key of 2048 bits (PEM, PKCS#8)"},
		{"bare PKCS#8", testConfig(), func(c *Config) { c.PrivateKey = secret.New(bare(c.PrivateKey.Reveal())) }, key, "(base64, PKCS#8)"},
		{"bare PKCS#1", testConfig(), func(c *Config) {
			c.PrivateKey = secret.New(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(appKey())))
		}, key, "(base64, PKCS#1)"},
		{"bare public key", testConfig(), func(c *Config) { c.PublicKey = bare(c.PublicKey) }, key, "RSA public key of 2048 bits (base64, SPKI)"},
		{
			"no seller", testConfig(), func(c *Config) { c.SellerID = "" },
			[]string{"app_id", "merchant_number", "key", "key", "mode"},
			"the first paid notice fixes it",
		},
		{"an app of the sandbox", testConfig(), func(c *Config) { c.AppID = "9021000135693019" }, key, "an app of the sandbox"},
		{"certificates", certConfig(), func(*Config) {}, certs, "number " + serial(testAuthorities().alipay) + ", valid until 2027-03-01"},
		{"Alipay's own root", certConfig(), func(c *Config) { c.RootCert = spec.RootBundle }, []string{
			"app_id", "merchant_number", "key", "certificate", "certificate", "certificate", "mode",
		}, "holds Alipay's root certificates"},
		{"a certificate that names no app", certConfig(), func(c *Config) {
			c.AppCert = certPEM(certificate(testSeller, &appKey().PublicKey, false, testAuthorities().middle, rootKey(), certFrom, certTo))
		}, certs, "holds the app's certificate"},
		{"A11 a certificate that ends in 29 days", certConfig(), func(c *Config) {
			c.Cert = certPEM(certificate("Alipay", &alipayKey().PublicKey, false, testAuthorities().middle, rootKey(), certFrom, channeltest.Now.AddDate(0, 0, 29)))
		}, []string{
			"app_id", "merchant_number", "key", "other_root", "certificate", "expires_soon", "certificate", "mode",
		}, "expires on 2026-03-30"},
		{"a certificate that ends in 31 days", certConfig(), func(c *Config) {
			c.Cert = certPEM(certificate("Alipay", &alipayKey().PublicKey, false, testAuthorities().middle, rootKey(), certFrom, channeltest.Now.AddDate(0, 0, 31)))
		}, certs, "valid until 2026-04-01"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.edit(tt.config)
			findings := tt.config.Inspect(channeltest.Now)
			var codes []string
			var lines strings.Builder
			for _, f := range findings {
				codes = append(codes, f.Code)
				lines.WriteString(f.String() + "\n")
				if (f.Cure == "") != (f.Level == channel.LevelOK) {
					t.Errorf("%+v", f)
				}
			}
			if diff := cmp.Diff(tt.codes, codes); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(lines.String(), tt.text) {
				t.Errorf("%q is not in\n%s", tt.text, lines.String())
			}
			tellNothing(t, tt.config, findings)
		})
	}
}

// Everything that is wrong is told at once.
func TestInspectTellsEverything(t *testing.T) {
	t.Parallel()
	config := &Config{SellerID: "x", PublicKey: guidePublic}
	var told []string
	for _, f := range levels(config.Inspect(channeltest.Now), channel.LevelError) {
		told = append(told, f.Setting+" "+f.Code)
	}
	want := []string{"ALIPAY_APP_ID missing", "ALIPAY_SELLER_ID form", "ALIPAY_PRIVATE_KEY missing", "ALIPAY_PUBLIC_KEY placeholder"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if err := channel.Faulty((&Config{AppCert: "x"}).Inspect(channeltest.Now)); err == nil {
		t.Error("a certificate alone was taken")
	}
}

// A102: the list of published keys is the published keys'.
func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, k := range spec.PublishedKeys {
		key := published64(t, k.Public)
		if !published(key) {
			t.Errorf("A102 %s is not refused", k.Source)
		}
		sum := sha256.Sum256(mustDER(x509.MarshalPKIXPublicKey(crypto.PublicKey(key))))
		listed[hex.EncodeToString(sum[:])] = true
	}
	if diff := cmp.Diff(listed, publishedKeys); diff != "" {
		t.Error(diff)
	}
	if published(&appKey().PublicKey) {
		t.Error("a key that was made just now is called published")
	}
}

// A102: a published pair cannot be the app's either. Its private half is not repeated here: the pair is stood in for.
func TestPublishedPrivateKey(t *testing.T) {
	t.Parallel()
	i := inspector{}
	found, ok := i.read(publicField, parse(publishedPEM(t)))
	if !ok {
		t.Fatal("the vector is no key")
	}
	i.private(found)
	faults := levels(i.findings, channel.LevelError)
	if len(faults) != 1 || faults[0].Code != "published" || faults[0].Setting != "ALIPAY_PRIVATE_KEY" {
		t.Errorf("A102 %v", faults)
	}
}

func TestNewRefusesAnotherAccount(t *testing.T) {
	t.Parallel()
	for name, account := range map[string]channel.Account{
		"A23 another app":    {ID: "a", AppID: "2021001161683774", MerchantID: testSeller},
		"A23 another seller": {ID: "a", AppID: testApp, MerchantID: "2088999999999999"},
		"A23 no seller":      {ID: "a", AppID: testApp},
	} {
		_, err := Driver.New(testConfig(), channel.Env{Account: account, Now: clock(channeltest.Now)})
		if err == nil || !strings.Contains(err.Error(), "differs") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Driver.New(nil, channel.Env{}); err == nil {
		t.Error("settings of nobody were taken")
	}
}
