package alipay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/channel/channeltest"
	"piaohao/internal/keys"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
	spec "piaohao/spec/alipay"
)

// certificate is a template; parent nil = it signs itself.
func certificate(name string, public *rsa.PublicKey, authority bool, parent *x509.Certificate, signer *rsa.PrivateKey, from, to time.Time) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name)) * 7919),
		Subject:      pkix.Name{Country: []string{"CN"}, Organization: []string{"Test"}, CommonName: name},
		NotBefore:    from, NotAfter: to, IsCA: authority, BasicConstraintsValid: authority,
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

func certPEM(certs ...*x509.Certificate) string {
	var b strings.Builder
	for _, cert := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	return b.String()
}

var (
	certFrom = channeltest.Now.Add(-24 * time.Hour)
	certTo   = channeltest.Now.Add(365 * 24 * time.Hour)
	rootKey  = pair()
)

// authorities is a platform's: a root, an intermediate, and what they gave to the app and to Alipay.
type authorities struct{ root, middle, app, alipay, other *x509.Certificate }

var testAuthorities = sync.OnceValue(func() authorities {
	key := rootKey()
	root := certificate("Test R1", &key.PublicKey, true, nil, key, certFrom, certTo.AddDate(10, 0, 0))
	middle := certificate("Test Class 2 R1", &key.PublicKey, true, root, key, certFrom, certTo.AddDate(5, 0, 0))
	leaf := func(name string, public *rsa.PublicKey) *x509.Certificate {
		return certificate(name, public, false, middle, key, certFrom, certTo)
	}
	return authorities{
		root: root, middle: middle, app: leaf(testSeller+"-"+testApp, &appKey().PublicKey),
		alipay: leaf("Alipay-"+testSeller, &alipayKey().PublicKey), other: leaf("Alipay, renewed", &alipayKey().PublicKey),
	}
})

func certConfig() *Config {
	a, config := testAuthorities(), testConfig()
	config.PublicKey = ""
	config.AppCert, config.Cert, config.RootCert = certPEM(a.app), certPEM(a.alipay, a.middle), certPEM(a.root)
	return config
}

// certHarness is Alipay as it speaks with apps that use certificates.
type certHarness struct{ harness }

func (certHarness) New(t *testing.T, env channel.Env) channel.Channel {
	t.Helper()
	env.Sim = testSim
	return channelOf(t, certConfig(), env)
}

func (h certHarness) Answer(t *testing.T, op string, a pay.Attempt, say channeltest.Say) channel.Answer {
	t.Helper()
	return naming(h.harness.Answer(t, op, a, say), `"`+serial(testAuthorities().alipay)+`"`)
}

func (certHarness) Unsigned(_ *testing.T, a channel.Answer) channel.Answer {
	raw, _, _ := strings.Cut(string(a.Body), `,"sign":`)
	return wire(raw + "}")
}

// naming adds alipay_cert_sn where the platform has it: between the node and the signature.
func naming(a channel.Answer, sn string) channel.Answer {
	return wire(strings.Replace(string(a.Body), `,"sign":`, `,"alipay_cert_sn":`+sn+`,"sign":`, 1))
}

func TestConformanceWithCertificates(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, certHarness{})
}

func mustParse(t *testing.T, text string) []*x509.Certificate {
	t.Helper()
	found, err := keys.Parse(text)
	if err != nil || found.Kind != keys.Certificate {
		t.Fatalf("%s: %v", found.Kind, err)
	}
	return found.Certificates
}

// T6, T7: certificates are named as the platform's own clients name them.
func TestSerialVectors(t *testing.T) {
	t.Parallel()
	for _, v := range spec.CertificateSNs {
		if got := serialOf(v.Issuer, v.Serial); got != v.SN {
			t.Errorf("%s: %s, want %s", v.Issuer, got, v.SN)
		}
	}
	for text, want := range map[string]string{
		spec.ProductionCert: spec.ProductionCertSN, spec.SandboxCert: spec.SandboxCertSN,
		strings.ReplaceAll(spec.ProductionCert, "\n", `\r\n`): spec.ProductionCertSN,
	} {
		if got := serial(mustParse(t, text)[0]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := rootSerial(mustParse(t, spec.RootBundle)); got != spec.RootSN || spec.RootSN != publishedRootSN {
		t.Errorf("%s, want %s", got, spec.RootSN)
	}
	root := testAuthorities().root
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	crossed := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "crossed"}, NotAfter: certTo}
	der, err := x509.CreateCertificate(rand.Reader, crossed, &x509.Certificate{Subject: pkix.Name{CommonName: "curve"}}, &rootKey().PublicKey, curve)
	if err != nil {
		t.Fatal(err)
	}
	bundle := mustParse(t, certPEM(root)+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	if got := rootSerial(bundle); len(bundle) != 2 || got != serial(root) {
		t.Errorf("what a curve signed is counted: %s", got)
	}
	if got := rootSerial(mustParse(t, spec.ProductionCert)); got != "" {
		t.Errorf("a file without a root is named %s", got)
	}
}

// T7: what production gives leads to the root bundle, what the sandbox gives does not.
func TestChains(t *testing.T) {
	t.Parallel()
	chain := func(text, roots string) *certificates {
		certs := mustParse(t, text)
		return &certificates{alipay: certs[0], intermediates: certs[1:], roots: mustParse(t, roots)}
	}
	a := testAuthorities()
	for _, tt := range []struct {
		name  string
		chain *certificates
		at    time.Time
		leads bool
	}{
		{"production", chain(spec.ProductionCert, spec.RootBundle), spec.ProductionCertTime, true},
		{"A11 production, expired", chain(spec.ProductionCert, spec.RootBundle), spec.ProductionCertTime.AddDate(2, 0, 0), false},
		{"production without its intermediate", chain(certPEM(mustParse(t, spec.ProductionCert)[0]), spec.RootBundle), spec.ProductionCertTime, false},
		{"A18 sandbox", chain(spec.SandboxCert, spec.RootBundle), spec.SandboxCertTime, false},
		{"our own authorities", chain(certPEM(a.alipay, a.middle), certPEM(a.root)), channeltest.Now, true},
		{"A18 a stranger's root", chain(certPEM(a.alipay, a.middle), spec.RootBundle), channeltest.Now, false},
	} {
		if err := tt.chain.leadsToRoot(tt.at); (err == nil) != tt.leads {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Every request names the two certificates, and the signature covers the names.
func TestCertificateRequests(t *testing.T) {
	t.Parallel()
	var asked []string
	c := channelOf(t, certConfig(), testEnv(func(req *http.Request) (*http.Response, error) {
		asked = append(asked, req.URL.RawQuery)
		return nil, http.ErrHandlerTimeout
	}, channeltest.Now))
	a := testAttempt(pageURL)
	_, _ = c.Query(t.Context(), a)
	_, _ = c.Close(t.Context(), a)
	for product := pageURL; product <= wapForm; product++ {
		shape, err := c.Open(t.Context(), testAttempt(product))
		if err != nil {
			t.Fatal(err)
		}
		query, biz := shape.Text, ""
		if shape.Kind == pay.ShapeForm {
			action, fields := readForm(t, query)
			query, biz = action, "&biz_content="+url.QueryEscape(fields.Get("biz_content"))
		}
		_, query, _ = strings.Cut(query, "?")
		asked = append(asked, query+biz)
	}
	if len(asked) != 6 {
		t.Fatalf("%d requests", len(asked))
	}
	for _, raw := range asked {
		query, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		if query.Get("app_cert_sn") != serial(testAuthorities().app) || query.Get("alipay_root_cert_sn") != serial(testAuthorities().root) {
			t.Errorf("names %q and %q", query.Get("app_cert_sn"), query.Get("alipay_root_cert_sn"))
		}
		if !query.Has("biz_content") {
			query.Set("biz_content", `{"out_trade_no":"`+a.OutTradeNo+`"}`) // of query and close it is the body
		}
		var form strict.Form
		for name, values := range query {
			form = append(form, strict.Pair{Name: name, Value: values[0]})
		}
		sortFields(form)
		if !verify(&appKey().PublicKey, canonical(form, inRequest), query.Get("sign")) {
			t.Error("the signature does not hold")
		}
	}
}

func TestCertificateAnswers(t *testing.T) {
	t.Parallel()
	a := testAttempt(pageURL)
	good := answer("alipay.trade.query", paidNode(a), alipayKey())
	known, other := `"`+serial(testAuthorities().alipay)+`"`, `"`+serial(testAuthorities().other)+`"`
	for _, tt := range []struct {
		name   string
		answer channel.Answer
		at     time.Time
		code   string // "" = paid
	}{
		{"the known certificate", naming(good, known), channeltest.Now, ""},
		{"no certificate named, the known key", good, channeltest.Now, ""},
		{"A11 another certificate, though the key is the same", naming(good, other), channeltest.Now, "cert_sn"},
		{"A11 the app's own certificate named", naming(good, `"`+serial(testAuthorities().app)+`"`), channeltest.Now, "cert_sn"},
		{"A11 the known certificate named, the app's key", naming(answer("alipay.trade.query", paidNode(a), appKey()), known), channeltest.Now, "signature"},
		{"A18 the known certificate named, a stranger's key", naming(answer("alipay.trade.query", paidNode(a), strangerKey()), known), channeltest.Now, "signature"},
		{"A51 a certificate named twice", naming(naming(good, known), known), channeltest.Now, "unreadable"},
		{"a number for a certificate", naming(good, "1"), channeltest.Now, "cert_sn"},
		{"A12 unsigned", certHarness{}.Unsigned(t, naming(good, known)), channeltest.Now, "unsigned"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, err := channelOf(t, certConfig(), testEnv(saying(tt.answer), tt.at)).Query(t.Context(), a)
			if tt.code != "" {
				mustKind(t, err, channel.Unknown, tt.code)
				return
			}
			if err != nil || o.State != pay.Paid {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

func TestCertificateNotices(t *testing.T) {
	t.Parallel()
	a := testAttempt(pageURL)
	known, other := serial(testAuthorities().alipay), serial(testAuthorities().other)
	added := func(in channel.Inbound, sn string) channel.Inbound {
		in.Body = append(in.Body, "&alipay_cert_sn="+sn...)
		return in
	}
	signed := func(key *rsa.PrivateKey, changes ...string) channel.Inbound {
		return notice(key, with(noticeFields(a), changes...))
	}
	const foreign = "2021000000000009"
	c, inKeyMode := channelOf(t, certConfig(), testEnv(nil, channeltest.Now)), testChannel(t, nil)
	for _, tt := range []struct {
		name string
		c    channel.Channel
		in   channel.Inbound
		kind channel.Kind // "" = paid
		code string
	}{
		{"no certificate named", c, signed(alipayKey()), "", ""},
		{"the known certificate, signed too", c, signed(alipayKey(), "alipay_cert_sn", known), "", ""},
		{"the known certificate, not signed", c, added(signed(alipayKey()), known), "", ""},
		{"A11 another certificate, signed too", c, signed(alipayKey(), "alipay_cert_sn", other), channel.Forged, "cert_sn"},
		{"A11 another certificate, not signed", c, added(signed(alipayKey()), other), channel.Forged, "cert_sn"},
		{"A11 signed by the app's own key", c, signed(appKey(), "alipay_cert_sn", known), channel.Forged, "signature"},
		{"A18 signed by a stranger's key", c, signed(strangerKey(), "alipay_cert_sn", known), channel.Forged, "signature"},
		{"another app's, another certificate", c, signed(strangerKey(), "app_id", foreign, "alipay_cert_sn", other), channel.Foreign, "app_id"},
		{"A23 another app's, our certificate", c, signed(alipayKey(), "app_id", foreign, "alipay_cert_sn", known), "", ""},
		{"A08 a certificate added where none is used", inKeyMode, added(signed(alipayKey()), known), channel.Forged, "signature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, err := tt.c.Read(tt.in)
			if tt.kind != "" {
				mustKind(t, err, tt.kind, tt.code)
				return
			}
			if err != nil || o.State != pay.Paid || o.OutTradeNo != a.OutTradeNo {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

// A certificate that ends while the process runs is not used any more, neither the app's nor Alipay's.
func TestExpiryAtUse(t *testing.T) {
	t.Parallel()
	authority, key := testAuthorities(), rootKey()
	brief := func(name string, public *rsa.PublicKey) string {
		return certPEM(certificate(name, public, false, authority.middle, key, certFrom, channeltest.Now.Add(time.Hour)))
	}
	a := testAttempt(pageURL)
	appEnds, alipayEnds := certConfig(), certConfig()
	appEnds.AppCert = brief(testSeller, &appKey().PublicKey)
	alipayEnds.Cert = brief("Alipay", &alipayKey().PublicKey)
	for _, tt := range []struct {
		name   string
		config *Config
		open   string // codes; "" = fine
		query  string
		read   string
	}{
		{"A11 the app's certificate", appEnds, "cert_expired", "cert_expired", ""},
		{"A11 Alipay's certificate", alipayEnds, "", "cert_expired", "cert_expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now, calls := channeltest.Now, 0
			env := testEnv(func(req *http.Request) (*http.Response, error) {
				calls++
				return saying(answer("alipay.trade.query", paidNode(a), alipayKey()))(req)
			}, now)
			env.Now = func() time.Time { return now }
			c := channelOf(t, tt.config, env)
			check := func(what string, err error, kind channel.Kind, code string) {
				t.Helper()
				if code == "" && err == nil {
					return
				}
				if err == nil {
					t.Fatalf("%s: accepted", what)
				}
				mustKind(t, err, kind, code)
			}
			all := func(open, query, read string) {
				_, err := c.Open(t.Context(), a)
				check("open", err, channel.Unknown, open)
				_, err = c.Query(t.Context(), a)
				check("query", err, channel.Unknown, query)
				_, err = c.Read(notice(alipayKey(), noticeFields(a)))
				check("read", err, channel.Forged, read)
				_, err = c.(channel.Returner).Return(formOf(alipayKey(), returnFields(a)))
				check("return", err, channel.Forged, read)
			}
			all("", "", "")
			now = now.Add(2 * time.Hour)
			before := calls
			all(tt.open, tt.query, tt.read)
			if tt.open != "" && calls != before {
				t.Error("the platform was asked in the name of a certificate that has ended")
			}
			now = certFrom.Add(-time.Second)
			_, err := c.Query(t.Context(), a)
			check("before its begin", err, channel.Unknown, "cert_expired")
		})
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	const liveApp, liveSeller = "2021001161683774", "2088041672337065"
	live := func(edit func(*Config)) *Config {
		config := certConfig()
		config.AppID, config.SellerID = liveApp, liveSeller
		config.AppCert = certPEM(certificate(liveSeller, &appKey().PublicKey, false, testAuthorities().middle, rootKey(), certFrom, certTo))
		edit(config)
		return config
	}
	as := func(*Config) {}
	keyMode := func(c *Config) {
		c.AppCert, c.Cert, c.RootCert = "", "", ""
		c.PublicKey = publicPEM(&alipayKey().PublicKey)
	}
	for _, tt := range []struct {
		name    string
		config  *Config
		live    bool
		sim     string
		gateway string
		refused string
	}{
		{"live, certificates", live(as), true, "", liveGateway, ""},
		{"live, key", live(keyMode), true, "", liveGateway, ""},
		{"sandbox", testConfig(), false, "", sandboxGateway, ""},
		{"simulator", testConfig(), false, testSim, testGateway, ""},
		{"sandbox, a chain that leads nowhere", live(func(c *Config) { c.Cert = certPEM(testAuthorities().alipay) }), false, "", sandboxGateway, ""},
		{"A18 no simulator in live mode", live(as), true, testSim, "", "speaks to the platform only"},
		{"A18 a sandbox's app in live mode", live(func(c *Config) { c.AppID = "9021000135693019" }), true, "", "", "ALIPAY_SANDBOX=true"},
		{"A18 the simulator's app in live mode", live(func(c *Config) { c.AppID = testApp }), true, "", "", "simulator's"},
		{"A18 the simulator's seller in live mode", live(func(c *Config) { c.SellerID = testSeller }), true, "", "", "simulator's"},
		{"A18 a chain that leads nowhere in live mode", live(func(c *Config) { c.Cert = certPEM(testAuthorities().alipay) }), true, "", "", "ALIPAY_CERT: does not lead"},
		{"A11 another authority's certificate in live mode", live(func(c *Config) { c.RootCert = spec.RootBundle }), true, "", "", "ALIPAY_CERT: does not lead"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			account := channel.Account{ID: "a", AppID: tt.config.AppID, MerchantID: tt.config.SellerID, Livemode: tt.live}
			c, err := Driver.New(tt.config, channel.Env{Account: account, Sim: tt.sim, Now: clock(channeltest.Now)})
			if tt.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Fatalf("error %v, want %q", err, tt.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.gateway, c.(*client).gateway); diff != "" {
				t.Error(diff)
			}
		})
	}
}
