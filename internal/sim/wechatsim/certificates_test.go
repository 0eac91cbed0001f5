package wechatsim

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// without sends no Wechatpay-Serial; naming sends this one.
func without(r *http.Request) { r.Header.Del("Wechatpay-Serial") }

func naming(serial string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Wechatpay-Serial", serial) }
}

// fetched are the certificates that a merchant gets from /v3/certificates, by serial.
func (b *bench) fetched(after func(*http.Request)) (serials []string, keys map[string]*rsa.PublicKey, got outcome) {
	b.t.Helper()
	got = b.read(b.send(request{method: "GET", target: "/v3/certificates", after: after}))
	var doc struct {
		Data []struct {
			SerialNo      string    `json:"serial_no"`
			EffectiveTime time.Time `json:"effective_time"`
			ExpireTime    time.Time `json:"expire_time"`
			Encrypted     struct {
				Algorithm      string `json:"algorithm"`
				Nonce          string `json:"nonce"`
				AssociatedData string `json:"associated_data"`
				Ciphertext     string `json:"ciphertext"`
			} `json:"encrypt_certificate"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(got.raw), &doc); err != nil {
		b.t.Fatal(err)
	}
	seal, err := newSeal(b.sim.Credentials().APIv3Key)
	if err != nil {
		b.t.Fatal(err)
	}
	keys = map[string]*rsa.PublicKey{}
	for _, each := range doc.Data {
		e := each.Encrypted
		raw, err := base64.StdEncoding.DecodeString(e.Ciphertext)
		if err != nil || e.Algorithm != "AEAD_AES_256_GCM" || e.AssociatedData != "certificate" || len(e.Nonce) != 12 {
			b.t.Fatalf("%+v, %v", e, err)
		}
		plain, err := seal.Open(nil, []byte(e.Nonce), raw, []byte(e.AssociatedData))
		if err != nil {
			b.t.Fatal(err)
		}
		certificate := readCertificate(b.t, string(plain))
		if serial := fmt.Sprintf("%X", certificate.SerialNumber); serial != each.SerialNo || !serialForm.MatchString(serial) ||
			!each.EffectiveTime.Equal(certificate.NotBefore) || !each.ExpireTime.Equal(certificate.NotAfter) || b.now().Before(each.EffectiveTime) {
			b.t.Errorf("%s %s %+v", serial, certificate.NotBefore, each)
		}
		serials = append(serials, each.SerialNo)
		keys[each.SerialNo] = certificate.PublicKey.(*rsa.PublicKey)
	}
	return serials, keys, got
}

var serialForm = regexp.MustCompile(`^[1-7][0-9A-F]{39}$`)

func readCertificate(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 || !strings.HasSuffix(text, "\n") {
		t.Fatalf("no single certificate: %s", text)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// signedAs is signed, under a key of the caller's set.
func (o outcome) signedAs(serial string, keys map[string]*rsa.PublicKey) bool {
	h := o.header
	return h.Get("Wechatpay-Serial") == serial && keys[serial] != nil &&
		verifies(keys[serial], h.Get("Wechatpay-Timestamp")+"\n"+h.Get("Wechatpay-Nonce")+"\n"+o.raw+"\n", h.Get("Wechatpay-Signature"))
}

func TestMerchantCertificate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.sim.Credentials()
	certificate := readCertificate(t, c.MchCert)
	if fmt.Sprintf("%X", certificate.SerialNumber) != c.SerialNo || certificate.Subject.CommonName != c.MerchantID ||
		!certificate.PublicKey.(*rsa.PublicKey).Equal(&b.key.PublicKey) || certificate.NotAfter.Before(b.now().Add(4*365*24*time.Hour)) {
		t.Errorf("%s %s", certificate.Subject, certificate.SerialNumber)
	}
	if err := certificate.CheckSignatureFrom(&x509.Certificate{
		PublicKey: &testKeys()[CAKey].PublicKey, PublicKeyAlgorithm: x509.RSA, IsCA: true, BasicConstraintsValid: true, Version: 3,
	}); err != nil {
		t.Errorf("not issued by the authority: %v", err)
	}
	raw, err := base64.StdEncoding.DecodeString(c.MchP12)
	if err != nil {
		t.Fatal(err)
	}
	key, inside, err := pkcs12.Decode(raw, c.MerchantID)
	if err != nil || !b.key.Equal(key) || !bytes.Equal(inside.Raw, certificate.Raw) {
		t.Errorf("PKCS#12: %v", err)
	}
	if _, _, err := pkcs12.Decode(raw, "1900005002"); !errors.Is(err, pkcs12.ErrIncorrectPassword) {
		t.Errorf("opens under another password: %v", err)
	}
}

func TestPublicKeyMerchantHasNoCertificates(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	got := b.call("GET", "/v3/certificates", "")
	if got.line != "404 RESOURCE_NOT_EXISTS" || !strings.Contains(got.raw, "微信支付公钥") || !got.signed(b.pub) {
		t.Errorf("%s", got.raw)
	}
	if _, err := b.sim.Rotate(time.Hour); !errors.Is(err, ErrNoCertificates) || b.sim.Credentials().PlatformCerts != "" {
		t.Errorf("rotated: %v", err)
	}
}

func TestCertificatesOfACertificateMerchant(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, Options{Keys: CertificateMode})
	c := b.sim.Credentials()
	serials, keys, got := b.fetched(without)
	if len(serials) != 1 || !got.signedAs(serials[0], keys) || c.PublicKey != "" || c.PublicKeyID != "" {
		t.Fatalf("%v %s", serials, got.header)
	}
	if fmt.Sprintf("%X", readCertificate(t, c.PlatformCerts).SerialNumber) != serials[0] || serials[0] == c.SerialNo {
		t.Errorf("credentials name %s", c.PlatformCerts)
	}
	for name, after := range map[string]func(*http.Request){"no serial": without, "the certificate's": naming(serials[0])} {
		if got := b.read(b.send(request{method: "POST", target: native, body: params("cert-1", nil), after: after})); got.line != "200" || !got.signedAs(serials[0], keys) {
			t.Errorf("%s: %s %s", name, got.line, got.header)
		}
	}
	if got := b.read(b.send(request{method: "POST", target: closing("cert-1"), body: closeBody, after: without})); got.line != "204" || !got.signedAs(serials[0], keys) {
		t.Errorf("close: %s", got.line)
	}
	if got := b.call("GET", byNumber("cert-1"), ""); got.line != "400 PARAM_ERROR" { // names the public key
		t.Errorf("the public key's id: %s", got.raw)
	}
	for target, want := range map[string]string{
		"/v3/certificates?algorithm_type=RSA": "200", "/v3/certificates?algorithm_type=ALL": "200",
		"/v3/certificates?algorithm_type=SM2": "400 PARAM_ERROR", "/v3/certificates?type=RSA": "400 PARAM_ERROR",
	} {
		if got := b.read(b.send(request{method: "GET", target: target, after: without})); got.line != want {
			t.Errorf("%s: %s, want %s", target, got.line, want)
		}
	}
	in, url := newInbox(t, status(http.StatusNoContent))
	code := b.read(b.send(request{method: "POST", target: native, body: params("cert-2", map[string]any{"notify_url": url}), after: without}))
	b.pay(fmt.Sprint(code.body["code_url"]), "p")
	b.step()
	if notice := (outcome{raw: in.bodies[0], header: in.headers[0]}); !notice.signedAs(serials[0], keys) {
		t.Errorf("notice: %s", notice.header)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, Options{Keys: CertificateMode})
	before, _, _ := b.fetched(without)
	old := before[0]
	next, err := b.sim.Rotate(24 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	both, keys, got := b.fetched(without)
	if len(both) != 2 || both[0] != old || both[1] != next || !got.signedAs(old, keys) {
		t.Fatalf("listed %v, signed by %s", both, got.header.Get("Wechatpay-Serial"))
	}
	if strings.Count(b.sim.Credentials().PlatformCerts, "BEGIN CERTIFICATE") != 2 {
		t.Error("credentials lack the new certificate")
	}
	signedBy := func(named string) string {
		t.Helper()
		got := b.read(b.send(request{method: "GET", target: byNumber("nothing-1"), after: naming(named)}))
		serial := got.header.Get("Wechatpay-Serial")
		if !got.signedAs(serial, keys) {
			t.Errorf("%s by %s is not signed", got.line, serial)
		}
		return serial
	}
	if signedBy(old) != old || signedBy(next) != old {
		t.Error("the new certificate signs before its overlap is over")
	}
	if _, err := b.sim.Rotate(0); !errors.Is(err, ErrRotating) {
		t.Errorf("a second rotation: %v", err)
	}
	b.move(24*time.Hour - time.Millisecond)
	if signedBy(old) != old {
		t.Error("the new certificate signs a moment early")
	}
	b.move(time.Millisecond)
	if after, _, got := b.fetched(without); len(after) != 1 || after[0] != next || !got.signedAs(next, keys) {
		t.Errorf("after the overlap: %v", after)
	}
	if signedBy(old) != next || signedBy(next) != next {
		t.Error("a retired certificate signs")
	}
	third, err := b.sim.Rotate(0)
	if err != nil {
		t.Fatal(err)
	}
	if after, _, got := b.fetched(without); len(after) != 1 || got.header.Get("Wechatpay-Serial") != third {
		t.Errorf("without overlap: %v", after)
	}
}

func TestRotationSurvivesARestart(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, Options{Keys: CertificateMode})
	dir := t.TempDir()
	b.open(dir)
	first := b.sim.Credentials()
	if _, err := b.sim.Rotate(time.Hour); err != nil {
		t.Fatal(err)
	}
	rotated := b.sim.Credentials()
	if err := b.kit.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(dir)
	if b.sim.Credentials() != rotated || first.MchCert != rotated.MchCert || first.MchP12 != rotated.MchP12 || first.PlatformCerts == rotated.PlatformCerts {
		t.Error("other credentials after a restart")
	}
	b.move(time.Hour)
	if after, keys, got := b.fetched(without); len(after) != 1 || !got.signedAs(after[0], keys) || strings.HasPrefix(rotated.PlatformCerts, b.sim.Credentials().PlatformCerts) {
		t.Errorf("%v", after)
	}
}

func TestRotateOverHTTP(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, Options{Keys: CertificateMode})
	for _, row := range []struct {
		body string
		want int
	}{
		{`{"overlap":"soon"}`, 400},
		{`{"overlap":"-1s"}`, 400},
		{`{"overlap":"241h"}`, 400},
		{`{"overlapp":"1h"}`, 400},
		{``, 200},
		{`{"overlap":"1h"}`, 409},
	} {
		w := httptest.NewRecorder()
		b.mux.ServeHTTP(w, httptest.NewRequest("POST", "/sim/wechat/rotate", strings.NewReader(row.body)))
		if w.Code != row.want {
			t.Errorf("%s: %d %s, want %d", row.body, w.Code, w.Body, row.want)
		}
	}
	b.move(usualOverlap)
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, httptest.NewRequest("POST", "/sim/wechat/rotate", strings.NewReader(`{"overlap":"0s"}`)))
	if serials, _, _ := b.fetched(without); len(serials) != 1 || !strings.Contains(w.Body.String(), serials[0]) {
		t.Errorf("%s, listed %v", w.Body, serials)
	}
}

func TestMerchantOnTheWayToThePublicKey(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, Options{Keys: BothMode})
	serials, keys, got := b.fetched(without)
	keys[publicKeyID] = b.pub
	if len(serials) != 1 || !got.signedAs(serials[0], keys) {
		t.Fatalf("%v %s", serials, got.header)
	}
	for name, row := range map[string]struct {
		after func(*http.Request)
		by    string
	}{
		"no serial":          {without, serials[0]},
		"a certificate's":    {naming(serials[0]), serials[0]},
		"the public key's":   {naming(publicKeyID), publicKeyID},
		"an unknown serial":  {naming("7" + strings.Repeat("0", 39)), serials[0]}, // refused, and signed all the same
		"a foreign key id's": {naming("PUB_KEY_ID_1"), serials[0]},
	} {
		if got := b.read(b.send(request{method: "GET", target: byNumber("nothing-1"), after: row.after})); !got.signedAs(row.by, keys) {
			t.Errorf("%s: %s signed by %s", name, got.line, got.header.Get("Wechatpay-Serial"))
		}
	}
	in, url := newInbox(t, status(http.StatusNoContent))
	by := map[string]int{}
	for i := range 20 {
		b.pay(b.place(fmt.Sprintf("both-%02d", i), map[string]any{"notify_url": url}), "p")
		b.step()
		notice := outcome{raw: in.bodies[i], header: in.headers[i]}
		serial := notice.header.Get("Wechatpay-Serial")
		if by[serial]++; !notice.signedAs(serial, keys) {
			t.Errorf("notice %d by %s is not signed", i, serial)
		}
	}
	if by[publicKeyID] == 0 || by[serials[0]] == 0 {
		t.Errorf("notices by %v, want both", by)
	}
}

// TestChosenMerchant: all that names the merchant follows the options.
func TestChosenMerchant(t *testing.T) {
	t.Parallel()
	const app, merchant = "wx0123456789abcdef", "1600000001"
	b := newBenchOf(t, Options{AppID: app, MerchantID: merchant})
	c := b.sim.Credentials()
	raw, err := json.Marshal(c)
	if err != nil || strings.Contains(string(raw), AppID) || strings.Contains(string(raw), MerchantID) || c.PublicKeyID != "PUB_KEY_ID_0160000000100000000000000000000001" {
		t.Errorf("credentials %s, %v", raw, err)
	}
	ours := func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), MerchantID, merchant, 1))
		r.Header.Set("Wechatpay-Serial", c.PublicKeyID)
	}
	if got := b.call("GET", byNumber("chosen-1"), ""); got.line != "401 SIGN_ERROR" {
		t.Errorf("the reserved merchant: %s", got.raw)
	}
	in, url := newInbox(t, status(http.StatusNoContent))
	order := params("chosen-1", map[string]any{"appid": app, "mchid": merchant, "notify_url": url})
	got := b.read(b.send(request{method: "POST", target: native, body: order, after: ours}))
	if got.line != "200" {
		t.Fatalf("order: %s", got.raw)
	}
	if paid := b.pay(fmt.Sprint(got.body["code_url"]), "p"); paid.Payee != "模拟微信商户 "+merchant {
		t.Errorf("payee %s", paid.Payee)
	}
	b.step()
	if _, plain := openNotice(t, c.APIv3Key, in.bodies[0]); !strings.HasPrefix(plain, `{"appid":"`+app+`","mchid":"`+merchant+`"`) {
		t.Errorf("notice %s", plain)
	}
	got = b.read(b.send(request{method: "GET", target: "/v3/pay/transactions/out-trade-no/chosen-1?mchid=" + merchant, after: ours}))
	if got.line != "200" || got.body["mchid"] != merchant || got.body["appid"] != app {
		t.Errorf("query %s", got.raw)
	}
}
