package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"

	"piaohao/internal/config"
	sims "piaohao/internal/sim/all"
)

// TestTheSimulatorsTLSIsServedAndDrained refunds nothing, but gets so far that only the message is bad.
func TestTheSimulatorsTLSIsServedAndDrained(t *testing.T) {
	t.Parallel()
	n, err := NewSim(config.Config{DataDir: t.TempDir(), SimAddr: "127.0.0.1:0", SimURL: "http://127.0.0.1:5001"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	k := n.sim.(*sims.Sim).Credentials().WeChat
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(k.SecureCA)) {
		t.Fatal("no authority")
	}
	own, err := tls.X509KeyPair([]byte(k.MchCert), []byte(k.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12,
	}}}
	refund := func() (string, error) {
		resp, err := client.Post(k.SecureURL+"/secapi/pay/refund", "text/xml", strings.NewReader("<xml>"))
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return string(text), err
	}
	if text, err := refund(); err != nil || !strings.Contains(text, "XML格式错误") {
		t.Errorf("refund: %q, %v", text, err)
	}
	stop()
	if err := <-ran; err != nil {
		t.Errorf("run: %v", err)
	}
	if text, err := refund(); err == nil {
		t.Errorf("answers after the drain: %q", text)
	}
	if err := n.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
