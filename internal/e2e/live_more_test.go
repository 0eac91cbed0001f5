package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"piaohao/internal/node"
	sims "piaohao/internal/sim/all"
	"piaohao/internal/sim/wechatsim"
)

// TestLostCredentials: a platform's settings are taken out while somebody can still pay there. The gateway refuses to
// start, by name, and starts when they are back.
func TestLostCredentials(t *testing.T) {
	t.Parallel()
	w := newLiveTown(t, served(wechatsim.PublicKeyMode, false), guideEnv)
	p := w.create("lost-1", "wechat")
	w.stop()
	c := w.sim.Credentials()
	without := "PUBLIC_URL=https://" + payHost + "\n" + alipayKeys(c)
	_, err := node.New(t.Context(), w.settings(without), node.Outside{Logs: newRecord(), Platforms: w.wire})
	if err == nil {
		t.Fatal("starts all the same")
	}
	for _, word := range []string{"wechatv2-" + liveMerchant + "-" + liveWeChatApp, "1 attempts", "put its settings back"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("does not say %q: %v", word, err)
		}
	}
	w.serve(guideEnv(c))
	w.scan(p.Action.Code)
	w.waits(p.ID, "paid")
}

// TestGoingToAPIv3: the merchant adds APIv3 to the guide's settings while an order of APIv2 is open. That one is paid by
// its own protocol, new ones go by the new.
func TestGoingToAPIv3(t *testing.T) {
	t.Parallel()
	w := newLiveTown(t, served(wechatsim.PublicKeyMode, false), guideEnv)
	old := w.create("old-1", "wechat")
	w.stop()
	c := w.sim.Credentials()
	w.serve(wechatPublicKey(c) + "WECHAT_MCH_KEY=" + c.WeChat.MchKey + "\n" + alipayKeys(c))
	young := w.create("new-1", "wechat")
	w.scan(old.Action.Code)
	w.scan(young.Action.Code)
	w.waits(old.ID, "paid")
	w.waits(young.ID, "paid")
	calls := w.wire.called()
	orders := slices.DeleteFunc(calls, func(call string) bool {
		return !strings.HasSuffix(call, "/pay/unifiedorder") && !strings.HasSuffix(call, "/v3/pay/transactions/native")
	})
	if want := []string{"POST https://" + wechatHost + "/pay/unifiedorder", "POST https://" + wechatHost + "/v3/pay/transactions/native"}; !slices.Equal(orders, want) {
		t.Errorf("ordered by %q", orders)
	}
}

// TestSandbox: the guide's settings with both switches on. WeChat Pay is simulated, its credentials are never used, and
// Alipay's are used at its own sandbox.
func TestSandbox(t *testing.T) {
	t.Parallel()
	env := func(c sims.Credentials) string {
		return strings.ReplaceAll(guideEnv(c), "SANDBOX=false", "SANDBOX=true")
	}
	ports := freePorts(t, 2)
	w := newTownOf(t, served(wechatsim.PublicKeyMode, false))
	w.wire.local = "127.0.0.1:" + ports[0]
	w.serve(env(w.sim.Credentials()), "SIM_ADDR", "127.0.0.1:"+ports[0], "DEMO_ADDR", "127.0.0.1:"+ports[1])
	w.key = w.testKey()
	p := w.create("sandbox-1", "alipay")
	_, path, _ := strings.Cut(p.Action.URL, w.addr)
	if _, location := w.status(http.MethodGet, path); p.Livemode || !strings.HasPrefix(location, "https://"+alipaySandboxHost+"/gateway.do?") {
		t.Errorf("the payer is led to %q: %+v", location, p)
	}
	if p = w.create("sandbox-2", "wechat"); p.Livemode || !strings.HasPrefix(p.Action.Code, "weixin://") {
		t.Errorf("%+v", p)
	}
	for _, call := range w.wire.called() {
		if strings.Contains(call, wechatHost) || strings.Contains(call, alipayHost) {
			t.Errorf("test mode called %s", call)
		}
	}
	if got, _ := w.status(http.MethodGet, "/payment"); got != http.StatusOK {
		t.Errorf("/payment: %d", got)
	}
}
