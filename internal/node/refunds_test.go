package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"piaohao/client"
	drivers "piaohao/internal/channel/all"
	"piaohao/internal/config"
	"piaohao/internal/pay"
	sims "piaohao/internal/sim/all"
)

const ownMerchant = "1652083947"

// ownPair is a merchant's certificate with its private key, as PEM.
func ownPair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ownMerchant},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * 365 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
}

// older is a whole node in test mode whose merchant has APIv2 alone.
type older struct {
	t        *testing.T
	node     *Node
	config   config.Config
	shop     *client.Client
	greeting string
}

func newOlder(t *testing.T, more ...string) *older {
	t.Helper()
	addr, dir := free(t, 2), t.TempDir()
	env := map[string]string{
		"DATA_DIR": dir, "LOG_DIR": filepath.Join(dir, "logs"), "LISTEN_ADDR": addr[0], "SIM_ADDR": addr[1], "DEMO_ADDR": "off",
		"WECHAT_APP_ID": "wx5f0c2e7a9d3b1864", "WECHAT_MCH_ID": ownMerchant, "WECHAT_MCH_KEY": "Hk7Lq2Zt9Xw4Bv6Nm1Rs8Yd3Fg5Jp0Ca", "WECHAT_SANDBOX": "true",
	}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	c, err := config.Load(config.Source{Env: env}, drivers.Drivers)
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(t.Context(), c, Outside{Logs: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(n.Run(ctx), n.Close()) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	shop, err := client.New(c.PublicURL, n.keys.Default)
	if err != nil {
		t.Fatal(err)
	}
	var greeting strings.Builder
	n.Greet(&greeting)
	return &older{t: t, node: n, config: c, shop: shop, greeting: greeting.String()}
}

func (w *older) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// paid is a payment of 128.00 that a payer has paid.
func (w *older) paid() client.Payment {
	w.t.Helper()
	p, err := w.shop.CreatePayment(w.t.Context(), client.PaymentParams{OrderNo: "o1", Amount: 12800, Subject: "tea", Method: "wechat"})
	w.must(err)
	resp, err := http.Post(w.config.SimURL+"/sim/wallet/pay", "application/json", strings.NewReader(`{"code":"`+p.Action.Code+`"}`))
	w.must(err)
	w.must(resp.Body.Close())
	w.until(func() bool {
		p, err = w.shop.GetPayment(w.t.Context(), p.ID)
		w.must(err)
		return p.IsPaid()
	})
	return p
}

// until asks until a condition holds.
func (w *older) until(holds func() bool) {
	w.t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			w.t.Fatal("not within half a minute")
		}
	}
}

// refunded is what the simulator's books say went back of its one order, and in how many refunds.
func (w *older) refunded() (fen int64, refunds int) {
	w.t.Helper()
	resp, err := http.Get(w.config.SimURL + "/sim/books")
	w.must(err)
	defer func() { _ = resp.Body.Close() }()
	var books struct {
		Orders []struct {
			Refunded int64             `json:"refunded"`
			Refunds  []json.RawMessage `json:"refunds"`
		} `json:"orders"`
	}
	w.must(json.NewDecoder(resp.Body).Decode(&books))
	if len(books.Orders) != 1 {
		w.t.Fatalf("%d orders", len(books.Orders))
	}
	return books.Orders[0].Refunded, len(books.Orders[0].Refunds)
}

// TestOlderProtocolRefunds: a merchant with APIv2 alone rehearses it in test mode, and what his certificate lets him do
// with real money he can do here: money goes back through the door that asks for one.
func TestOlderProtocolRefunds(t *testing.T) {
	t.Parallel()
	cert, key := ownPair(t)
	w := newOlder(t, "WECHAT_V2_CERT", cert, "WECHAT_V2_PRIVATE_KEY", key, "WECHAT_SIGN_TYPE", "HMAC-SHA256")
	if strings.Contains(w.greeting, "No refunds") {
		t.Errorf("the greeting says that it cannot refund:\n%s", w.greeting)
	}
	p := w.paid()
	f, err := w.shop.CreateRefund(t.Context(), p.ID, client.RefundParams{RefundNo: "r1", Amount: 5000, Reason: "少了一两"})
	w.must(err)
	w.until(func() bool {
		f, err = w.shop.GetRefund(t.Context(), f.ID)
		w.must(err)
		return f.Status == client.RefundSucceeded
	})
	p, err = w.shop.GetPayment(t.Context(), p.ID)
	w.must(err)
	if fen, refunds := w.refunded(); p.Refunded != 5000 || p.Refundable != 7800 || fen != 5000 || refunds != 1 {
		t.Errorf("we say %d refunded and %d left, the platform %d in %d refunds", p.Refunded, p.Refundable, fen, refunds)
	}
	stored, err := w.node.db.Payment(t.Context(), p.ID)
	w.must(err)
	if a := stored.Attempts[0]; a.Channel != "wechatv2" || a.Account != "wechatv2-sim" || a.Variant != "HMAC-SHA256" {
		t.Errorf("it went by %s of %s, signed by %s", a.Channel, a.Account, a.Variant)
	}
	w.door()
}

// door: who shows no certificate, or somebody else's, gets no refund, and nobody else's authority vouches for the door.
func (w *older) door() {
	w.t.Helper()
	k := w.node.sim.(*sims.Sim).Credentials().WeChat
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(k.SecureCA))
	mine, err := tls.X509KeyPair([]byte(k.MchCert), []byte(k.PrivateKey))
	w.must(err)
	for name, row := range map[string]struct {
		client *http.Client
		want   string // of the answer, "" = none
	}{
		"the merchant's":                    {certified(roots)(mine), "return_code"},
		"none":                              {certified(roots)(tls.Certificate{}), "No required SSL certificate"},
		"somebody else's":                   {certified(roots)(ownCertificate(w.t)), "The SSL certificate error"},
		"by one who trusts the system's":    {certified(nil)(mine), ""},
		"without TLS, at the other address": {http.DefaultClient, "No required SSL certificate"},
	} {
		url := k.SecureURL
		if row.client == http.DefaultClient {
			url = w.config.SimURL
		}
		resp, err := row.client.Post(url+"/secapi/pay/refund", "text/xml", strings.NewReader("<xml></xml>"))
		if row.want == "" {
			if err == nil {
				_ = resp.Body.Close()
				w.t.Errorf("A88 %s: answered %d", name, resp.StatusCode)
			}
			continue
		}
		w.must(err)
		text, err := io.ReadAll(resp.Body)
		w.must(err)
		_ = resp.Body.Close()
		if !bytes.Contains(text, []byte(row.want)) {
			w.t.Errorf("%s: %s", name, text)
		}
	}
}

// TestOlderProtocolWithoutCertificate: money rule 6. The account cannot refund: the start says so, and a refund waits with
// an incident.
func TestOlderProtocolWithoutCertificate(t *testing.T) {
	t.Parallel()
	w := newOlder(t)
	if want := "  不能退款 No refunds   wechatv2-sim · 退款会等待，原因见 doctor · refunds wait, see: piaohao doctor\n"; strings.Count(w.greeting, want) != 1 || strings.Count(w.greeting, "No refunds") != 1 {
		t.Errorf("the greeting:\n%s", w.greeting)
	}
	p := w.paid()
	f, err := w.shop.CreateRefund(t.Context(), p.ID, client.RefundParams{RefundNo: "r1", Amount: 5000})
	w.must(err)
	w.until(func() bool {
		f, err = w.shop.GetRefund(t.Context(), f.ID)
		w.must(err)
		return f.Code == pay.RefundUnable
	})
	if fen, refunds := w.refunded(); f.Status == client.RefundSucceeded || fen != 0 || refunds != 0 {
		t.Errorf("%+v, and the platform sent %d in %d refunds", f, fen, refunds)
	}
	incidents, err := w.node.db.Incidents(t.Context(), p.ID)
	w.must(err)
	if len(incidents) != 1 || incidents[0].Kind != pay.IncidentRefundWaits || !strings.Contains(incidents[0].Detail, pay.RefundUnable) {
		t.Errorf("incidents: %+v", incidents)
	}
}
