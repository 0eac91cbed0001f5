package alipay

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"piaohao/internal/channel"
	"piaohao/internal/secret"
	"piaohao/internal/strict"
	spec "piaohao/spec/alipay"
)

// T1, T2, T3: published signatures hold, and change of one letter breaks them.
func TestVectors(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]spec.Vector{
		"T1 trade notice": spec.TradeNotice, "T2 reply node": spec.ReplyNode, "T3 beyond ASCII": spec.Chinese,
	} {
		key, err := parsePublic(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		if !verify(key, []byte(v.Text), v.Signature) {
			t.Errorf("%s: does not hold", name)
		}
		if verify(key, []byte(v.Text+" "), v.Signature) || verify(key, []byte(v.Text[1:]), v.Signature) {
			t.Errorf("%s: holds for another text", name)
		}
	}
}

// T1 through the parser: from the wire form to the signed text.
func TestVectorNotice(t *testing.T) {
	t.Parallel()
	v := spec.TradeNotice
	var wire strings.Builder
	for field := range strings.SplitSeq(v.Text, "&") {
		name, value, _ := strings.Cut(field, "=")
		wire.WriteString(name + "=" + queryEscape(value) + "&")
	}
	wire.WriteString("sign_type=RSA2&sign=" + queryEscape(v.Signature))
	form, err := strict.ParseForm([]byte(wire.String()))
	if err != nil {
		t.Fatal(err)
	}
	sortFields(form)
	if got := string(canonical(form, inMessage)); got != v.Text {
		t.Errorf("signed text\n%s\nwant\n%s", got, v.Text)
	}
	config := testConfig()
	config.AppID, config.SellerID, config.PublicKey = "2019073166072302", "2088531891668739", v.Key
	c, err := Driver.New(config, channel.Env{Account: channel.Account{ID: "a", AppID: config.AppID, MerchantID: config.SellerID}})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"as sent": wire.String(), "A09 empty fields are not signed and count as absent": "refund_fee=&body=&" + wire.String(),
	} {
		o, err := c.Read(channel.Inbound{Body: []byte(body)})
		if err != nil || o.Amount != 10 || o.OutTradeNo != "20190815155618536-564-57" || o.State != "paid" || o.Refunded != 0 {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

// queryEscape writes every byte but letters and digits as %xx, unlike net/url.
func queryEscape(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		if isDigit(s[i]) || isNumberByte(s[i]) {
			b.WriteByte(s[i])
			continue
		}
		b.WriteString("%" + string(hex[s[i]>>4]) + string(hex[s[i]&15]))
	}
	return b.String()
}

// A04: a genuine SHA1withRSA signature is none.
func TestSHA1IsRefused(t *testing.T) {
	t.Parallel()
	key, err := parsePublic(spec.SHA1.Key)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha1.Sum([]byte(spec.SHA1.Text))
	raw := decodeBase64(t, spec.SHA1.Signature)
	if rsa.VerifyPKCS1v15(key, crypto.SHA1, digest[:], raw) != nil {
		t.Fatal("the vector is not a SHA-1 signature")
	}
	if verify(key, []byte(spec.SHA1.Text), spec.SHA1.Signature) {
		t.Error("A04 a SHA-1 signature was taken for RSA2")
	}
}

func TestSignIsDeterministic(t *testing.T) {
	t.Parallel()
	text := []byte(spec.Chinese.Text)
	first, err := sign(appKey(), text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := sign(appKey(), text)
	if err != nil || first != again {
		t.Errorf("two signatures of one text differ, %v", err)
	}
	digest := sha256.Sum256(text)
	if rsa.VerifyPKCS1v15(&appKey().PublicKey, crypto.SHA256, digest[:], decodeBase64(t, first)) != nil {
		t.Error("the signature is not SHA256withRSA")
	}
}

func TestKeyTexts(t *testing.T) {
	t.Parallel()
	pkcs8 := privatePEM(appKey())
	pkcs1 := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(appKey()))
	bare := func(pem string) string {
		lines := strings.Split(strings.TrimSpace(pem), "\n")
		return strings.Join(lines[1:len(lines)-1], "")
	}
	for name, text := range map[string]string{
		"PKCS#8 PEM": pkcs8, "PKCS#8 bare": bare(pkcs8), "PKCS#1 bare": pkcs1,
		"PKCS#1 under a PKCS#8 label": "-----BEGIN PRIVATE KEY-----\n" + pkcs1 + "\n-----END PRIVATE KEY-----",
		"PEM on one line":             strings.ReplaceAll(pkcs8, "\n", " "),
		`PEM with \n`:                 strings.ReplaceAll(pkcs8, "\n", `\n`),
		"PEM with CRLF":               strings.ReplaceAll(pkcs8, "\n", "\r\n"),
		"quoted":                      ` "` + bare(pkcs8) + `"` + "\n",
	} {
		if key, err := parsePrivate(text); err != nil || !key.Equal(appKey()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	spki := publicPEM(&alipayKey().PublicKey)
	for name, text := range map[string]string{
		"SPKI PEM": spki, "SPKI bare": bare(spki),
		"PKCS#1 bare": base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&alipayKey().PublicKey)),
	} {
		if key, err := parsePublic(text); err != nil || !key.Equal(&alipayKey().PublicKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	curvePublic, err := x509.MarshalPKIXPublicKey(&curve.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	tests := []struct {
		name string
		edit func(*Config)
		want string // in the error
	}{
		{"A05 app id missing", func(c *Config) { c.AppID = "" }, "ALIPAY_APP_ID is missing"},
		{"app id with a letter", func(c *Config) { c.AppID = "wx1" }, "ALIPAY_APP_ID must"},
		{"seller id with a letter", func(c *Config) { c.SellerID = "shop@example" }, "ALIPAY_SELLER_ID must"},
		{"A05 private key missing", func(c *Config) { c.PrivateKey = secret.Text{} }, "ALIPAY_PRIVATE_KEY is missing"},
		{"A05 public key missing", func(c *Config) { c.PublicKey = "" }, "ALIPAY_PUBLIC_KEY is missing"},
		{"A05 private key cut", func(c *Config) { c.PrivateKey = secret.New(c.PrivateKey.Reveal()[:200]) }, "ALIPAY_PRIVATE_KEY cannot be read"},
		{"A05 placeholder of the guide", func(c *Config) {
			c.PublicKey = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA...\n-----END PUBLIC KEY-----"
		}, "ALIPAY_PUBLIC_KEY cannot be read"},
		{"A05 private key of 1024 bits", func(c *Config) { c.PrivateKey = secret.New(privatePEM(short)) }, "ALIPAY_PRIVATE_KEY is shorter"},
		{"A05 public key of 1024 bits", func(c *Config) { c.PublicKey = publicPEM(&short.PublicKey) }, "ALIPAY_PUBLIC_KEY is shorter"},
		{"A05 the app's own public key", func(c *Config) { c.PublicKey = publicPEM(&appKey().PublicKey) }, "ALIPAY_PUBLIC_KEY is the app's own public key"},
		{"private key as public key", func(c *Config) { c.PublicKey = c.PrivateKey.Reveal() }, "ALIPAY_PUBLIC_KEY holds a private key"},
		{"public key as private key", func(c *Config) { c.PrivateKey = secret.New(c.PublicKey) }, "ALIPAY_PRIVATE_KEY cannot be read"},
		{"A04 private key of a curve", func(c *Config) { c.PrivateKey = secret.New(b64(curveDER)) }, "ALIPAY_PRIVATE_KEY cannot be read"},
		{"A04 public key of a curve", func(c *Config) { c.PublicKey = b64(curvePublic) }, "ALIPAY_PUBLIC_KEY cannot be read"},
		{"account of another app", func(c *Config) { c.AppID = "2021000000000000" }, "differs"},
		{"account of another seller", func(c *Config) { c.SellerID = "" }, "differs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config := testConfig()
			tt.edit(config)
			_, err := Driver.New(config, channel.Env{Account: harness{}.Account()})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			for _, text := range []string{config.PrivateKey.Reveal(), config.PublicKey} {
				for i := 40; i+12 <= len(text); i += 12 {
					if strings.Contains(err.Error(), text[i:i+12]) {
						t.Fatal("the error repeats a key")
					}
				}
			}
		})
	}
}

func TestGatewayFollowsTheMode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, sim, want string
		live            bool
	}{
		{"live", "", liveGateway, true},
		{"sandbox", "", sandboxGateway, false},
		{"simulator", testSim, testGateway, false},
		{"A18 no simulator in live mode", testSim, "", true},
	} {
		account := harness{}.Account()
		account.Livemode = tt.live
		c, err := Driver.New(testConfig(), channel.Env{Account: account, Sim: tt.sim})
		if tt.want == "" {
			if err == nil {
				t.Errorf("%s: taken", tt.name)
			}
			continue
		}
		if err != nil || c.(*client).gateway != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
