package alipaysim

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

// TestPublishedSNs: alipay-sdk-nodejs-all, test/antcertutil.test.ts, issuers and numbers of its certificates.
func TestPublishedSNs(t *testing.T) {
	t.Parallel()
	const ant = ",OU=Certification Authority,O=Ant Financial,C=CN"
	for _, row := range []struct{ name, issuer, serial, want string }{
		{"app", "CN=Ant Financial Certification Authority Class 1 R1" + ant, "42701552708448241360226107228231049510", "866efef280dec9137a87d047ac446315"},
		{"alipay", "CN=Ant Financial Certification Authority Class 2 R1" + ant, "42701552432456004857627230056898180491", "7513daaaa48aa3ba2e4018d84402479c"},
		{"root R1", "CN=Ant Financial Certification Authority R1" + ant, "2292228364100439313", "687b59193f3f462dd5336e5abf83c5d8"},
		{"root G3", "CN=iTrusChina Class 2 Root CA - G3,OU=China Trust Network,O=iTrusChina,C=CN", "95790491425698859646659490580052089075020051350", "02941eef3187dddf3d3b83462e1dfcf6"},
	} {
		if got := fingerprint(row.issuer, row.serial); got != row.want {
			t.Errorf("%s: %s, published %s", row.name, got, row.want)
		}
	}
}

// blocks are the DER texts of a PEM file.
func blocks(t *testing.T, text string) (ders [][]byte) {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Error("the file does not end in a line end")
	}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return ders
		}
		if block.Type != "CERTIFICATE" {
			t.Errorf("a block %s", block.Type)
		}
		ders = append(ders, block.Bytes)
	}
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificatesChainToTheBundle(t *testing.T) {
	t.Parallel()
	w := openWorld(t, "", Options{Certificates: true})
	c := w.sim.Credentials()
	roots, middles := x509.NewCertPool(), x509.NewCertPool()
	var sns []string
	bundle := blocks(t, c.AlipayRootCert)
	for _, der := range bundle {
		root, err := x509.ParseCertificate(der)
		if err != nil {
			continue // as receivers must
		}
		roots.AddCert(root)
		if root.SignatureAlgorithm == x509.SHA256WithRSA {
			sns = append(sns, serialSN(root))
		}
	}
	if _, err := x509.ParseCertificate(bundle[0]); err == nil || len(bundle) != 4 || len(sns) != 2 || strings.Join(sns, "_") != w.sim.certificates.rootSN {
		t.Errorf("%d roots, SNs %v, the first: %v", len(bundle), sns, err)
	}
	if !bytes.Contains(bundle[0], sm2SM3OID) || bytes.Contains(bundle[0], ecdsaSHA256OID) {
		t.Error("the SM2 root is signed by another algorithm")
	}
	alipay := blocks(t, c.AlipayCert)
	if len(alipay) != 2 {
		t.Fatalf("%d certificates in Alipay's file, want the leaf and its issuer's", len(alipay))
	}
	middles.AddCert(parse(t, alipay[1]))
	for name, row := range map[string]struct {
		der []byte
		key *rsa.PrivateKey
		sn  string
	}{
		"app":    {blocks(t, c.AppCert)[0], testKeys()["alipay_app"], w.sim.certificates.appSN},
		"alipay": {alipay[0], testKeys()["alipay_platform"], w.sim.certificates.alipaySN},
	} {
		leaf := parse(t, row.der)
		if _, err := leaf.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: middles, CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !row.key.PublicKey.Equal(leaf.PublicKey) || serialSN(leaf) != row.sn || len(row.sn) != 32 || leaf.NotAfter.Before(start.Add(4*365*24*time.Hour)) {
			t.Errorf("%s: SN %s", name, row.sn)
		}
	}
}

func TestCertificateModeRequests(t *testing.T) {
	t.Parallel()
	w := openWorld(t, "", Options{Certificates: true})
	c := w.sim.certificates
	app, root := set("app_cert_sn", c.appSN), set("alipay_root_cert_sn", c.rootSN)
	for _, row := range []struct {
		name          string
		edits         []edit
		code, subCode string
	}{
		{"both SNs", []edit{app, root}, "40004", "ACQ.TRADE_NOT_EXIST"},
		{"no app_cert_sn", []edit{root}, "40001", "isv.missing-app-cert-sn"},
		{"no alipay_root_cert_sn", []edit{app}, "40001", "isv.missing-alipay-root-cert-sn"},
		{"another app's", []edit{set("app_cert_sn", c.alipaySN), root}, "40002", "isv.app-cert-not-exist"},
		{"in capitals", []edit{set("app_cert_sn", strings.ToUpper(c.appSN)), root}, "40002", "isv.app-cert-not-exist"},
		{"one root only", []edit{app, set("alipay_root_cert_sn", c.rootSN[:32])}, "40002", "isv.invalid-alipay-root-cert-sn"},
	} {
		r := w.call(methodQuery, map[string]any{"out_trade_no": "A"}, row.edits...)
		r.is(t, row.code, row.subCode)
		if want := `{"alipay_trade_query_response":` + r.raw + `,"alipay_cert_sn":"` + c.alipaySN + `","sign":"` + r.sign + `"}`; r.body != want || r.get("sub_msg") == "" {
			t.Errorf("%s: %s, want %s", row.name, r.body, want)
		}
	}
	if r := w.send(w.request(methodQuery, map[string]any{"out_trade_no": "A"}, set("app_id", "2021000000005002"))); r.cert != "" || r.sign != "" {
		t.Errorf("an unknown app: %s", r.body)
	}
	if page := text(t, w.get(w.page("A", root))); !strings.Contains(page, "isv.missing-app-cert-sn") {
		t.Errorf("page.pay: %s", page)
	}
	w.visit(w.page("A", app, root))
}

func TestPublicKeyModeKnowsNoCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sim.Credentials()
	if r := w.query("A"); r.cert != "" || c.AppCert+c.AlipayCert+c.AlipayRootCert != "" {
		t.Errorf("%s", r.body)
	}
	w.call(methodCert, map[string]any{"alipay_cert_sn": "0"}).is(t, "40006", "isv.insufficient-isv-permissions")
}

func TestCertificateDownload(t *testing.T) {
	t.Parallel()
	w := openWorld(t, "", Options{Certificates: true})
	c := w.sim.certificates
	app, root := set("app_cert_sn", c.appSN), set("alipay_root_cert_sn", c.rootSN)
	r := w.call(methodCert, map[string]any{"alipay_cert_sn": c.alipaySN}, app, root)
	r.is(t, "10000", "")
	content, err := base64.StdEncoding.DecodeString(r.get("alipay_cert_content"))
	if err != nil || string(content) != w.sim.Credentials().AlipayCert || r.name != "alipay_open_app_alipaycert_download_response" {
		t.Errorf("%v %s", err, r.body)
	}
	w.call(methodCert, map[string]any{"alipay_cert_sn": c.appSN}, app, root).is(t, "40002", "isv.alipay-cert-not-exist")
	w.call(methodCert, map[string]any{}, app, root).is(t, "40002", "isv.alipay-cert-not-exist")
}

func TestNoticesInCertificateMode(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		faults  Faults
		carried bool
		leftOut []string
	}{
		"as documented":                        {Faults{}, false, []string{"sign", "sign_type"}},
		"alipay_cert_sn, signed along":         {Faults{NoticeCertSN: true}, true, []string{"sign", "sign_type"}},
		"alipay_cert_sn, not in the signature": {Faults{NoticeCertSNOut: true}, true, []string{"sign", "sign_type", "alipay_cert_sn"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openWorld(t, "", Options{Certificates: true})
			w.sim.SetFaults(row.faults)
			c := w.sim.certificates
			w.act(w.visit(w.page("A", set("app_cert_sn", c.appSN), set("alipay_root_cert_sn", c.rootSN))), "pay")
			notices := w.deliver(1)
			if len(notices) != 1 {
				t.Fatalf("%d notices", len(notices))
			}
			form := notices[0].form
			if sn, carried := form["alipay_cert_sn"]; carried != row.carried || carried && sn != c.alipaySN {
				t.Errorf("alipay_cert_sn %q", sn)
			}
			if !verify(&testKeys()["alipay_platform"].PublicKey, rsa2, form.canonical(row.leftOut...), form["sign"]) {
				t.Errorf("not signed: %v", form)
			}
		})
	}
}

func TestCertificatesSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func(appID string) Credentials {
		w := openWorld(t, dir, Options{Certificates: true, AppID: appID})
		defer func() { _ = w.kit.Close() }()
		return w.sim.Credentials()
	}
	first, again, other := open(""), open(""), open("2021000000009999")
	if first != again || first.AlipayRootCert != other.AlipayRootCert || first.AppCert == other.AppCert || other.AppID != "2021000000009999" {
		t.Error("other certificates after a restart")
	}
}

// TestChosenMerchant: all that names the merchant follows the options.
func TestChosenMerchant(t *testing.T) {
	t.Parallel()
	w := openWorld(t, "", Options{AppID: "2021000000009999", SellerID: "2088000000009999"})
	ours := set("app_id", "2021000000009999")
	page := w.act(w.visit(w.page("A", ours)), "pay")
	if back := signedLink(t, page); back["app_id"] != "2021000000009999" || back["seller_id"] != "2088000000009999" {
		t.Errorf("way back %v", back)
	}
	form := w.deliver(1)[0].form
	if form["app_id"] != "2021000000009999" || form["auth_app_id"] != "2021000000009999" || form["seller_id"] != "2088000000009999" {
		t.Errorf("notice %v", form)
	}
	if r := w.query("A"); r.get("sub_code") != "isv.invalid-app-id" {
		t.Errorf("the reserved app: %s", r.body)
	}
	raw, err := json.Marshal(w.sim.Credentials())
	if err != nil || strings.Contains(string(raw), AppID) || strings.Contains(string(raw), SellerID) {
		t.Errorf("credentials %s, %v", raw, err)
	}
}
