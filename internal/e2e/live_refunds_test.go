package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/client"
	"piaohao/internal/sim/wechatsim"
)

// secapi is the call of a refund by APIv2, on which the merchant's certificate is shown.
const secapi = "POST https://" + wechatHost + "/secapi/pay/refund as " + liveMerchant

// TestLiveRefundsByAPIv2: in live mode a merchant with APIv2 alone has no certificate, and his refund waits; he sets it,
// and the refund goes out; he goes over to APIv3, and what was paid by APIv2 goes back by APIv2 with APIv3's certificate.
func TestLiveRefundsByAPIv2(t *testing.T) {
	t.Parallel()
	w := newLiveTown(t, served(wechatsim.PublicKeyMode, false), guideEnv)
	c := w.sim.Credentials()
	first, second := w.create("back-1", "wechat"), w.create("back-2", "wechat")
	for _, p := range []livePayment{first, second} {
		w.scan(p.Action.Code)
		w.waits(p.ID, "paid")
	}
	f := w.sendBack(first.ID, "r1", 5000)
	w.refundIs(f, func(f client.Refund) bool { return f.Code == "cannot_refund" })
	if calls := w.wire.called(); slices.ContainsFunc(calls, func(call string) bool { return strings.Contains(call, "/secapi/") }) {
		t.Errorf("a refund was sent without a certificate: %q", calls)
	}
	w.stop()

	w.serve(guideEnv(c) + "\nWECHAT_V2_P12=" + c.WeChat.MchP12 + "\n")
	w.operator("refund", "retry", f.ID)
	w.refundIs(f, func(f client.Refund) bool { return f.Status == client.RefundSucceeded })
	w.booked(first, 5000, 7800)
	w.stop()

	w.serve(wechatPublicKey(c) + "WECHAT_MCH_CERT=" + c.WeChat.MchCert + "WECHAT_MCH_KEY=" + c.WeChat.MchKey + "\n" + alipayKeys(c))
	f = w.sendBack(second.ID, "r2", 12800)
	w.refundIs(f, func(f client.Refund) bool { return f.Status == client.RefundSucceeded })
	w.booked(second, 12800, 0)
	shown := slices.DeleteFunc(w.wire.called(), func(call string) bool { return !strings.Contains(call, " as ") })
	if !slices.Equal(shown, []string{secapi, secapi}) {
		t.Errorf("the certificate was shown by %q", shown)
	}
}

// sdk is the shop's, by the public name of the gateway.
func (w *liveTown) sdk() *client.Client {
	w.t.Helper()
	shop, err := client.New("https://"+payHost, w.key, client.WithHTTPClient(w.shop))
	w.must(err)
	return shop
}

func (w *liveTown) sendBack(payment, no string, amount int64) client.Refund {
	w.t.Helper()
	f, err := w.sdk().CreateRefund(w.t.Context(), payment, client.RefundParams{RefundNo: no, Amount: amount})
	w.must(err)
	return f
}

// refundIs waits until the shop is told that a refund is as it must be.
func (w *liveTown) refundIs(f client.Refund, holds func(client.Refund) bool) {
	w.t.Helper()
	shop := w.sdk()
	awaits(w.t, func() bool {
		got, err := shop.GetRefund(w.t.Context(), f.ID)
		w.must(err)
		return holds(got)
	})
}

// operator runs a verb of the program beside the running server.
func (w *liveTown) operator(args ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), program, args...)
	cmd.Env, cmd.Dir = []string{"DATA_DIR=" + w.dir, "PATH=/usr/bin:/bin"}, w.t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// booked holds what the shop is told of a payment's refunds against the platform's books.
func (w *liveTown) booked(p livePayment, refunded, rest int64) {
	w.t.Helper()
	got, err := w.sdk().GetPayment(w.t.Context(), p.ID)
	w.must(err)
	order, err := w.sim.WeChat().Find(got.Attempts[0].OutTradeNo)
	w.must(err)
	if got.Refunded != refunded || got.Refundable != rest || order.Refunded != refunded || order.Amount != refunded+rest {
		w.t.Errorf("we say %d went back and %d may; the platform %d of %d", got.Refunded, got.Refundable, order.Refunded, order.Amount)
	}
}

// TestSandboxRefundsByAPIv2 is the same merchant trying it out: one process in test mode, by APIv2 and with his own
// certificate set; the money goes back at the simulator, which wants to see the simulator's.
func TestSandboxRefundsByAPIv2(t *testing.T) {
	t.Parallel()
	own := merchant(t).WeChat
	p := start(t, "serve", "WECHAT_SANDBOX=true", "WECHAT_APP_ID="+own.AppID, "WECHAT_MCH_ID="+own.MerchantID, "WECHAT_MCH_KEY="+own.MchKey,
		"WECHAT_V2_CERT="+own.MchCert, "WECHAT_V2_PRIVATE_KEY="+own.PrivateKey)
	if strings.Contains(p.stdout.String(), "No refunds") {
		t.Errorf("it says that it cannot refund:\n%s", p.stdout)
	}
	shop, err := client.New(p.gateway, p.key)
	must(t, err)
	paid, err := shop.CreatePayment(t.Context(), client.PaymentParams{OrderNo: "try-1", Amount: 12800, Subject: "明前龙井", Method: "wechat"})
	must(t, err)
	if status, text := call(t, "POST", p.sim+"/sim/wallet/pay", `{"code":"`+paid.Action.Code+`"}`); status != 200 {
		t.Fatalf("the wallet: %d %s", status, text)
	}
	awaits(t, func() bool {
		paid, err = shop.GetPayment(t.Context(), paid.ID)
		must(t, err)
		return paid.IsPaid()
	})
	f, err := shop.CreateRefund(t.Context(), paid.ID, client.RefundParams{RefundNo: "r1", Amount: 12800, Reason: "不要了"})
	must(t, err)
	awaits(t, func() bool {
		f, err = shop.GetRefund(t.Context(), f.ID)
		must(t, err)
		return f.Status == client.RefundSucceeded
	})
	paid, err = shop.GetPayment(t.Context(), paid.ID)
	must(t, err)
	_, books := call(t, "GET", p.sim+"/sim/books", "")
	if paid.Refunded != 12800 || paid.Refundable != 0 || strings.Count(books, `"refunded":12800`) != 2 { // in its ledger, of its order
		t.Errorf("we say %d went back; the platform: %s", paid.Refunded, books)
	}
	var k struct {
		WeChat wechatsim.Credentials `json:"wechat"`
	}
	_, text := call(t, "GET", p.sim+"/sim/credentials", "")
	must(t, json.Unmarshal([]byte(text), &k))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(k.WeChat.SecureCA))
	bare := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	resp, err := bare.Post(k.WeChat.SecureURL+"/secapi/pay/refund", "text/xml", strings.NewReader("<xml></xml>"))
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("without the certificate the door answers %d", resp.StatusCode)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// awaits asks until a condition holds.
func awaits(t *testing.T, holds func() bool) {
	t.Helper()
	tick, late := time.NewTicker(50*time.Millisecond), time.After(startWithin)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within %s", startWithin)
		}
	}
}
