package wechatv3

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/channel"
	facts "piaohao/spec/wechat"
)

// Serial numbers of certificates of the tests' platform: an old one, its successor, and one that begins with zeros.
const (
	oldSerial   = "10B07E79B8269FEC3D5D3E6AB8ED163A6A380D01"
	newSerial   = "20B07E79B8269FEC3D5D3E6AB8ED163A6A380D02"
	zerosSerial = "000B07E79B8269FEC3D5D3E6AB8ED163A6A380D3"
	day         = 24 * time.Hour
)

// issued is what certificate is made of.
type issued struct {
	serial      string
	name        string // of the subject
	from, until time.Time
	key         *rsa.PrivateKey
}

// certificate makes the PEM of a certificate, signed by a stranger: the platform's issuer is not documented.
func certificate(c issued) string {
	if c.from.IsZero() {
		c.from, c.until = testNow().Add(-day), testNow().Add(365*day)
	}
	number, _ := new(big.Int).SetString(c.serial, 16)
	template := &x509.Certificate{SerialNumber: number, Subject: pkix.Name{CommonName: c.name}, NotBefore: c.from, NotAfter: c.until}
	return pemText("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, template, template, &c.key.PublicKey, testKeys().stranger)))
}

// rotation holds the keys of the platform's certificates.
var rotation = sync.OnceValue(func() (k struct{ old, new *rsa.PrivateKey }) {
	k.old, k.new = must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))
	return k
})

func oldCert() string {
	return certificate(issued{serial: oldSerial, name: "Tenpay.com sign", key: rotation().old})
}

func newCert() string {
	return certificate(issued{
		serial: newSerial, name: "Tenpay.com sign", key: rotation().new, from: testNow().Add(-time.Hour), until: testNow().Add(1825 * day),
	})
}

// item is one entry of the list, under the APIv3 key.
func item(serial, text string) map[string]any {
	r := sealed("certificate", text)
	delete(r, "original_type")
	return map[string]any{
		"serial_no": serial, "effective_time": "2018-06-07T10:34:56+08:00", "expire_time": "2023-06-07T10:34:56+08:00", "encrypt_certificate": r,
	}
}

func list(items ...map[string]any) string {
	return string(must(json.Marshal(map[string]any{"data": items})))
}

// signedBy is signed by another key and under another name.
func signedBy(serial string, key *rsa.PrivateKey, at time.Time, body string) http.Header {
	h := signed(key, at, body)
	h.Set("Wechatpay-Serial", serial)
	return h
}

// town is a platform without a network and a clock that the test turns. answer must not be nil when it is asked.
type town struct {
	t      *testing.T
	now    time.Time
	answer func(req *http.Request) (*http.Response, error)
	asked  []string // method, host and path, and the key that is asked for
}

func (p *town) RoundTrip(req *http.Request) (*http.Response, error) {
	p.asked = append(p.asked, strings.TrimSpace(req.Method+" "+req.URL.Host+req.URL.Path+" "+req.Header.Get("Wechatpay-Serial")))
	if p.answer == nil {
		p.t.Errorf("%s was asked", req.URL.Path)
		return nil, errors.New("nobody may ask")
	}
	return p.answer(req)
}

func (p *town) says(status int, h func(body string) http.Header, body string) {
	p.answer = func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: h(body), Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// lists answers with items, signed by serial's key.
func (p *town) lists(serial string, key *rsa.PrivateKey, items ...map[string]any) {
	p.says(200, func(body string) http.Header { return signedBy(serial, key, p.now, body) }, list(items...))
}

func unsigned(string) http.Header { return http.Header{} }

// certificateMode builds a client that has to download.
func certificateMode(t *testing.T, change func(*Config)) (*client, *town) {
	t.Helper()
	p := &town{t: t, now: testNow()}
	c := build(t, func(cfg *Config, env *channel.Env) {
		cfg.PublicKey, cfg.PublicKeyID = "", ""
		env.HTTP, env.Now = &http.Client{Transport: p}, func() time.Time { return p.now }
		if change != nil {
			change(cfg)
		}
	})
	return c, p
}

// reads says what comes of a paid notice that serial's key signed.
func (p *town) reads(c *client, serial string, key *rsa.PrivateKey) string {
	body := envelope("TRANSACTION.SUCCESS", sealed("transaction", facts.Paid))
	obs, err := c.Read(channel.Inbound{Header: signedBy(serial, key, p.now, body), Body: []byte(body)})
	if err != nil {
		kind, code := kindOf(err)
		return string(kind) + " " + code
	}
	return string(obs.State)
}

// refreshes downloads and wants the next time after wait, and the error's code.
func (p *town) refreshes(c *client, code string, wait time.Duration) {
	p.t.Helper()
	next, err := c.Refresh(p.t.Context())
	if _, got := kindOf(err); got != code {
		p.t.Fatalf("error = %v, want code %q", err, code)
	}
	if got := next.Sub(p.now); got != wait {
		p.t.Fatalf("next download after %v, want %v", got, wait)
	}
}

func (p *town) want(what, got, want string) {
	p.t.Helper()
	if got != want {
		p.t.Fatalf("%s: %q, want %q", what, got, want)
	}
}

// Before any certificate is known nothing can be verified: nothing is sent, nothing is believed, and both say why.
func TestNothingIsAskedBeforeACertificateIsKnown(t *testing.T) {
	t.Parallel()
	c, p := certificateMode(t, nil)
	for _, op := range []string{"native", "query", "close"} {
		p.want(op, call(t, c, op), "unknown no_certificate")
	}
	p.want("notice", p.reads(c, oldSerial, rotation().old), "forged no_certificate")
	if len(p.asked) != 0 {
		t.Fatal(p.asked)
	}
	p.lists(oldSerial, rotation().old, item(oldSerial, oldCert()))
	p.refreshes(c, "", refreshEvery)
	p.want("request", strings.Join(p.asked, ","), "GET 127.0.0.1:5001/v3/certificates")
	p.want("notice", p.reads(c, oldSerial, rotation().old), "paid")
	p.says(200, func(body string) http.Header { return signedBy(oldSerial, rotation().old, p.now, body) }, facts.Paid)
	p.want("query", call(t, c, "query"), "paid")
	p.want("key asked for", strings.Fields(p.asked[1])[2], oldSerial)
}

// A40: both count while they overlap; the old one ends after it left the list.
func TestA40Rotation(t *testing.T) {
	t.Parallel()
	c, p := certificateMode(t, nil)
	k := rotation()
	p.lists(oldSerial, k.old, item(oldSerial, oldCert()))
	p.refreshes(c, "", refreshEvery)
	p.want("new before it is listed", p.reads(c, newSerial, k.new), "forged serial")

	p.now = p.now.Add(refreshEvery)
	p.lists(oldSerial, k.old, item(newSerial, newCert()), item(oldSerial, oldCert()))
	p.refreshes(c, "", refreshEvery)
	p.want("old while both are listed", p.reads(c, oldSerial, k.old), "paid")
	p.want("new while both are listed", p.reads(c, newSerial, k.new), "paid")

	p.now = p.now.Add(refreshEvery)
	p.lists(newSerial, k.new, item(newSerial, newCert()))
	p.refreshes(c, "", refreshAgain)
	p.want("key asked for", strings.Fields(p.asked[2])[2], newSerial)
	p.now = p.now.Add(withdrawnGrace - time.Second)
	p.want("A40 old in its grace", p.reads(c, oldSerial, k.old), "paid")
	p.now = p.now.Add(time.Second)
	p.want("A40 old after its grace", p.reads(c, oldSerial, k.old), "forged expired")
	p.refreshes(c, "", refreshEvery)
	p.want("A40 old, forgotten", p.reads(c, oldSerial, k.old), "forged serial")
	p.want("new", p.reads(c, newSerial, k.new), "paid")
}

// One list without a certificate, by a backend that lags behind, costs nothing.
func TestACertificateThatIsListedAgainStays(t *testing.T) {
	t.Parallel()
	c, p := certificateMode(t, nil)
	k := rotation()
	both := []map[string]any{item(oldSerial, oldCert()), item(newSerial, newCert())}
	p.lists(oldSerial, k.old, both...)
	p.refreshes(c, "", refreshEvery)
	p.now = p.now.Add(refreshEvery)
	p.lists(oldSerial, k.old, both[0])
	p.refreshes(c, "", refreshAgain)
	p.now = p.now.Add(refreshAgain)
	p.refreshes(c, "", refreshAgain) // still not: its grace runs from the first time
	p.now = p.now.Add(withdrawnGrace - refreshAgain)
	p.want("after the grace", p.reads(c, newSerial, k.new), "forged expired")
	p.lists(oldSerial, k.old, both...)
	p.refreshes(c, "", refreshEvery)
	p.want("listed again", p.reads(c, newSerial, k.new), "paid")
}

// A10: nobody but the clock makes us download, and that at most once in its time.
func TestA10NoticesCauseNoDownload(t *testing.T) {
	t.Parallel()
	c, p := certificateMode(t, nil)
	in := paidNotice(facts.Paid)
	reads := func(i int) string {
		in.Header.Set("Wechatpay-Serial", strconv.Itoa(i))
		kind, code := kindOf(second(c.Read(in)))
		return string(kind) + " " + code
	}
	for i := range 1000 {
		p.want("notice", reads(i), "forged no_certificate")
	}
	if len(p.asked) != 0 {
		t.Fatal(p.asked)
	}
	p.lists(oldSerial, rotation().old, item(oldSerial, oldCert()))
	p.refreshes(c, "", refreshEvery)
	due := p.now.Add(refreshEvery)
	for i := range 1000 {
		p.want("notice", reads(i), "forged serial")
		p.now = p.now.Add(time.Second)
		if next, err := c.Refresh(t.Context()); err != nil || !next.Equal(due) {
			t.Fatal(next, err)
		}
	}
	if len(p.asked) != 1 {
		t.Fatalf("asked %d times", len(p.asked))
	}
}

// Every row is a list that must change nothing.
func TestListsThatAreRefused(t *testing.T) {
	t.Parallel()
	k, own, stranger := rotation(), testKeys().merchant, testKeys().stranger
	good := item(oldSerial, oldCert())
	tampered := item(oldSerial, oldCert())
	tampered["encrypt_certificate"].(map[string]any)["nonce"] = "uluk4a9R25RX"
	label := item(oldSerial, oldCert())
	label["encrypt_certificate"] = sealed("transaction", oldCert())
	short := must(rsa.GenerateKey(rand.Reader, 1024))
	many := make([]map[string]any, maxListed+1)
	for i := range many {
		many[i] = item(strconv.Itoa(i), oldCert())
	}
	by := func(serial string, key *rsa.PrivateKey) func(string) http.Header {
		return func(body string) http.Header { return signedBy(serial, key, testNow(), body) }
	}
	byOld := by(oldSerial, k.old)
	for _, tt := range []struct {
		name   string
		header func(string) http.Header
		body   string
		code   string
	}{
		{"A12 not signed", unsigned, list(good), "header_missing"},
		{"A02 signature cut", func(b string) http.Header {
			h := byOld(b)
			h.Set("Wechatpay-Signature", h.Get("Wechatpay-Signature")[:340])
			return h
		}, list(good), "signature"},
		{"A04 another algorithm", func(b string) http.Header {
			h := byOld(b)
			h.Set("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3")
			return h
		}, list(good), "signature_type"},
		{"A11 signed by a stranger under a listed name", by(oldSerial, stranger), list(good), "signature"},
		{"A11 signed by a stranger under his own name", by(newSerial, stranger), list(good), "serial"},
		{"A11 signed by the merchant", by(serialNo, own), list(item(serialNo, certificate(issued{serial: serialNo, name: "Tenpay.com sign", key: own}))), codeNoCertificate},
		{"A11 the merchant's older certificate", by(oldSerial, k.old), list(item(oldSerial, certificate(issued{serial: oldSerial, name: facts.MerchantID, key: k.old}))), codeNoCertificate},
		{"A11 another merchant's certificate", by(oldSerial, k.old), list(item(oldSerial, certificate(issued{serial: oldSerial, name: "1900000000", key: k.old}))), codeNoCertificate},
		{"A11 expired", byOld, list(item(oldSerial, certificate(issued{serial: oldSerial, key: k.old, from: testNow().Add(-2 * day), until: testNow()}))), codeNoCertificate},
		{"A11 not valid yet, and signed with", byOld, list(item(oldSerial, certificate(issued{serial: oldSerial, key: k.old, from: testNow().Add(time.Second), until: testNow().Add(day)}))), "expired"},
		{"A05 a key of 1024 bits", byOld, list(item(oldSerial, certificate(issued{serial: oldSerial, key: short}))), codeNoCertificate},
		{"A36 an old list played again", func(b string) http.Header { return signedBy(oldSerial, k.old, testNow().Add(-6*time.Minute), b) }, list(good), "timestamp"},
		{"A14 under another APIv3 key", byOld, list(tampered), "api_v3_key"},
		{"A14 another kind of text", byOld, list(label), codeNoCertificate},
		{"a serial number that is not the certificate's", by(newSerial, k.old), list(item(newSerial, oldCert())), codeNoCertificate},
		{"one serial number twice", byOld, list(good, item("0"+oldSerial, newCert())), "unreadable"},
		{"a key instead of a certificate", byOld, list(item(oldSerial, pemText("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&k.old.PublicKey))))), codeNoCertificate},
		{"two certificates in one", byOld, list(item(oldSerial, oldCert()+newCert())), codeNoCertificate},
		{"nothing listed", byOld, `{"data":[]}`, codeNoCertificate},
		{"too many", byOld, list(many...), "unreadable"},
		{"A51 data twice", byOld, `{"data":[],` + list(good)[1:], "unreadable"},
		{"no JSON", byOld, `<html>`, "unreadable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, p := certificateMode(t, nil)
			p.says(200, tt.header, tt.body)
			p.refreshes(c, tt.code, retryFirst)
			p.want("afterwards", p.reads(c, oldSerial, k.old), "forged no_certificate")
		})
	}
}

// A certificate that is unfit does not keep the others from counting.
func TestUnfitCertificatesAreLeftOut(t *testing.T) {
	t.Parallel()
	c, p := certificateMode(t, nil)
	log, lines := logLines()
	c.env.Log = log
	k := rotation()
	own := certificate(issued{serial: newSerial, name: facts.MerchantID, key: testKeys().merchant})
	p.lists(oldSerial, k.old, item(newSerial, own), item(oldSerial, oldCert()))
	p.refreshes(c, "", refreshEvery)
	p.want("fit", p.reads(c, oldSerial, k.old), "paid")
	p.want("A11 unfit", p.reads(c, newSerial, testKeys().merchant), "forged serial")
	if !strings.Contains(lines.String(), "certificate_unfit") || !strings.Contains(lines.String(), newSerial) {
		t.Fatalf("log = %q", lines)
	}
}

// A11: a certificate ends with its validity, whatever the platform still lists.
func TestA11ACertificateExpiresWhileItIsKnown(t *testing.T) {
	t.Parallel()
	k := rotation()
	c, p := certificateMode(t, func(cfg *Config) {
		cfg.PlatformCert = certificate(issued{serial: oldSerial, key: k.old, from: p0(), until: testNow().Add(time.Hour)})
	})
	p.want("valid", p.reads(c, oldSerial, k.old), "paid")
	p.now = testNow().Add(time.Hour)
	p.want("A11 expired", p.reads(c, oldSerial, k.old), "forged expired")
	p.want("query", call(t, c, "query"), "unknown no_certificate")
	if len(p.asked) != 0 {
		t.Fatal(p.asked)
	}
	// Its successor is trusted though the list is signed with it: nothing that we know is valid any more.
	p.lists(newSerial, k.new, item(newSerial, newCert()))
	p.refreshes(c, "", refreshEvery)
	p.want("successor", p.reads(c, newSerial, k.new), "paid")
}

func p0() time.Time { return testNow().Add(-365 * day) }

// While it moves to the public key, a merchant number gets notices signed with either, and its answers with the one that
// the request names.
func TestBothModesSideBySide(t *testing.T) {
	t.Parallel()
	c, p := certificateMode(t, func(cfg *Config) {
		both := testConfig()
		cfg.PublicKey, cfg.PublicKeyID = both.PublicKey, both.PublicKeyID
	})
	k, platform := rotation(), testKeys().platform
	p.want("public key", p.reads(c, peerID, platform), "paid")
	p.want("certificate that is not known yet", p.reads(c, oldSerial, k.old), "forged serial")
	p.lists(oldSerial, k.old, item(oldSerial, oldCert())) // the migration has not begun: it does not sign with the public key
	p.refreshes(c, "", refreshEvery)
	p.want("certificate", p.reads(c, oldSerial, k.old), "paid")
	p.want("public key", p.reads(c, peerID, platform), "paid")
	p.want("certificate's name, public key's signature", p.reads(c, oldSerial, platform), "forged signature")
	p.want("public key's name, certificate's signature", p.reads(c, peerID, k.old), "forged signature")
	p.want("public key's name in lower case", p.reads(c, strings.ToLower(peerID), platform), "forged serial")
	p.want("key asked for", strings.Fields(p.asked[0])[2], peerID)

	// The merchant has withdrawn the certificates.
	p.now = p.now.Add(refreshEvery)
	p.says(404, func(body string) http.Header { return signedBy(peerID, platform, p.now, body) }, `{"code":"RESOURCE_NOT_EXISTS","message":"无可用的平台证书"}`)
	p.refreshes(c, "", refreshRarely)
	p.now = p.now.Add(withdrawnGrace)
	p.want("A40 certificate after its grace", p.reads(c, oldSerial, k.old), "forged expired")
	p.want("public key", p.reads(c, peerID, platform), "paid")
}

// A merchant number that has the public key alone is told 404, which is as it should be.
func TestNoCertificatesListed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		public bool
		status int
		body   string
		code   string
		wait   time.Duration
	}{
		{"with a public key", true, 404, `{"code":"RESOURCE_NOT_EXISTS","message":"m"}`, "", refreshRarely},
		{"older spelling", true, 404, `{"code":"NOT_FOUND","message":"m"}`, "", refreshRarely},
		{"its code under another status", true, 400, `{"code":"RESOURCE_NOT_EXISTS","message":"m"}`, "RESOURCE_NOT_EXISTS", retryFirst},
		{"without a public key", false, 404, `{"code":"RESOURCE_NOT_EXISTS","message":"m"}`, codeNoCertificate, retryFirst},
		{"a proxy's 404", true, 404, `not found`, "unreadable", retryFirst},
		{"our signature refused", true, 401, `{"code":"SIGN_ERROR","message":"m"}`, "SIGN_ERROR", retryFirst},
		{"failing", false, 500, `{"code":"SYSTEM_ERROR","message":"m"}`, "SYSTEM_ERROR", retryFirst},
		{"no code", false, 503, `{}`, "unreadable", retryFirst},
		{"limited", false, 429, `{"code":"FREQUENCY_LIMITED","message":"m"}`, "FREQUENCY_LIMITED", 5 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, p := certificateMode(t, func(cfg *Config) {
				if both := testConfig(); tt.public {
					cfg.PublicKey, cfg.PublicKeyID = both.PublicKey, both.PublicKeyID
				}
			})
			p.says(tt.status, func(string) http.Header { return http.Header{"Retry-After": {"300"}} }, tt.body)
			p.refreshes(c, tt.code, tt.wait)
		})
	}
}

// An unsigned 404 withdraws nothing.
func TestA12UnsignedListIsNoWithdrawal(t *testing.T) {
	t.Parallel()
	c, p := certificateMode(t, func(cfg *Config) {
		both := testConfig()
		cfg.PublicKey, cfg.PublicKeyID, cfg.PlatformCert = both.PublicKey, both.PublicKeyID, oldCert()
	})
	p.says(404, unsigned, `{"code":"RESOURCE_NOT_EXISTS","message":"m"}`)
	p.refreshes(c, "", refreshRarely)
	p.now = p.now.Add(withdrawnGrace)
	p.want("certificate", p.reads(c, oldSerial, rotation().old), "paid")
}

func TestFailedDownloadsBackOff(t *testing.T) {
	t.Parallel()
	c, p := certificateMode(t, nil)
	p.answer = func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }
	for _, minutes := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		p.refreshes(c, "unreachable", minutes*time.Minute)
		p.now = p.now.Add(minutes * time.Minute)
	}
	p.lists(oldSerial, rotation().old, item(oldSerial, oldCert()))
	p.refreshes(c, "", refreshEvery)
	p.now = p.now.Add(refreshEvery)
	p.answer = func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }
	p.refreshes(c, "unreachable", retryFirst)
	p.want("what was known stays", p.reads(c, oldSerial, rotation().old), "paid")
}

// Serial numbers with leading zeros are one number in every spelling.
func TestLeadingZerosOfSerialNumbers(t *testing.T) {
	t.Parallel()
	cert := certificate(issued{serial: zerosSerial, key: rotation().old})
	for _, spelling := range []string{zerosSerial, strings.TrimLeft(zerosSerial, "0"), strings.ToLower(zerosSerial)} {
		c, p := certificateMode(t, nil)
		p.lists(zerosSerial, rotation().old, item(spelling, cert))
		p.refreshes(c, "", refreshEvery)
		p.want(spelling, p.reads(c, zerosSerial, rotation().old), "paid")
	}
	c, _ := certificateMode(t, func(cfg *Config) {
		cfg.SerialNo = ""
		cfg.MchCert = certificate(issued{serial: zerosSerial, name: facts.MerchantID, key: testKeys().merchant})
	})
	if c.serial != zerosSerial {
		t.Fatalf("serial %s", c.serial)
	}
}

// The platform is asked to answer with the public key, else with the newest certificate that is valid now.
func TestPreferredKey(t *testing.T) {
	t.Parallel()
	known := peers{}
	want := func(id string) {
		t.Helper()
		if got, _ := known.preferred(testNow()); got.id != id {
			t.Errorf("asks for %q, want %q", got.id, id)
		}
	}
	want("")
	for i := range 8 {
		id := strconv.Itoa(9 - i)
		known[id] = peer{id: id, from: testNow().Add(time.Duration(i-8) * day), until: testNow().Add(day)}
	}
	want("2")
	known["expired"] = peer{id: "expired", from: testNow().Add(-time.Hour), until: testNow()}
	known["later"] = peer{id: "later", from: testNow().Add(time.Second), until: testNow().Add(day)}
	want("2")
	known["2b"] = peer{id: "2b", from: known["2"].from, until: testNow().Add(day)}
	want("2b") // of two as new, always the same
	known[peerID] = peer{id: peerID}
	want(peerID)
}

// Reading and refreshing at once is safe; the race detector judges.
func TestRefreshWhileReading(t *testing.T) {
	t.Parallel()
	c, p := certificateMode(t, func(cfg *Config) { cfg.PlatformCert = oldCert() })
	p.lists(oldSerial, rotation().old, item(oldSerial, oldCert()), item(newSerial, newCert()))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if got := p.reads(c, oldSerial, rotation().old); got != "paid" {
					t.Error(got)
				}
			}
		})
	}
	wg.Go(func() {
		if _, err := c.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
}
