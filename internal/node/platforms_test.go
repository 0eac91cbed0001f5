package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// ownCertificate is a client's.
func ownCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "1598273640"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A88: the client that shows a certificate verifies the far end, follows no redirect and takes no proxy from the
// environment, as the one without does.
func TestA88CertifiedClient(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if len(req.TLS.PeerCertificates) != 1 || req.TLS.PeerCertificates[0].Subject.CommonName != "1598273640" {
			t.Errorf("certificates shown: %v", req.TLS.PeerCertificates)
		}
		http.Redirect(w, req, "/elsewhere", http.StatusFound)
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)

	client := certified(nil)(ownCertificate(t))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := client.Do(req); err == nil {
		_ = res.Body.Close()
		t.Fatal("A88 a server of a stranger's authority was believed")
	}
	over, ok := client.Transport.(*http.Transport)
	if !ok || over.Proxy != nil || over.TLSClientConfig.InsecureSkipVerify || over.TLSClientConfig.MinVersion < tls.VersionTLS12 {
		t.Fatalf("A88 %+v", client.Transport)
	}
	known := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	res, err := certified(known)(ownCertificate(t)).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusFound {
		t.Errorf("A88 a redirect was followed: %d", res.StatusCode)
	}
}
