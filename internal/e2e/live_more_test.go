package e2e

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/all"
	"piaohao/internal/config"
	"piaohao/internal/freeport"
	"piaohao/internal/node"
	"piaohao/internal/pay"
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
	_, err := node.New(t.Context(), w.settings(without), node.Outside{Logs: newRecord(), Platforms: w.wire.carry})
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
	w := newTownOf(t, served(wechatsim.PublicKeyMode, false))
	w.wire.local = freeport.Addr(t)
	w.serve(env(w.sim.Credentials()), "SIM_ADDR", w.wire.local, "DEMO_ADDR", freeport.Addr(t))
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

// TestA18NoSettingRedirectsALiveAccount sets every variable that there is, and those that one would guess, to somebody
// else's address: either the start is refused, or the account asks its platform as before.
func TestA18NoSettingRedirectsALiveAccount(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile(filepath.Join(readmeRoot, ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WECHAT_BASE_URL", "WECHAT_GATEWAY", "ALIPAY_BASE_URL", "ALIPAY_GATEWAY", "ALIPAY_GATEWAY_URL"}
	for _, m := range regexp.MustCompile(`(?m)^#?([A-Z][A-Z0-9_]+)=`).FindAllSubmatch(example, -1) {
		names = append(names, string(m[1]))
	}
	if len(names) < 50 {
		t.Fatalf("the example names %d settings only", len(names))
	}
	c := merchant(t)
	env := wechatPublicKey(c) + "WECHAT_MCH_CERT=" + c.WeChat.MchCert + "WECHAT_MCH_KEY=" + c.WeChat.MchKey + "\n" + alipayKeys(c)
	refused := 0
	for _, name := range names {
		for _, value := range []string{"https://evil.example", "http://127.0.0.1:9", "evil.example:443"} {
			loaded, err := config.Load(config.Source{
				FileName: ".env", File: []byte(env), Now: time.Now, Env: map[string]string{"DATA_DIR": t.TempDir(), name: value},
			}, all.Drivers)
			if err != nil {
				refused++
				continue
			}
			for _, a := range loaded.Accounts {
				r := &tape{}
				ch, err := a.Driver.New(a.Settings, channel.Env{
					Account: a.Account, HTTP: &http.Client{Transport: r}, Now: time.Now, Random: &counting{}, Log: slog.New(slog.DiscardHandler),
					Certified: func(tls.Certificate) *http.Client { return &http.Client{Transport: r} },
				})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				order := pay.Attempt{
					OutTradeNo: "1", TransactionID: "2", Account: a.ID, Channel: a.Driver.Info.Channel, AppID: a.AppID, MerchantID: a.MerchantID,
				}
				_, _ = ch.Query(t.Context(), order)
				_, _ = ch.(channel.Refunder).Refund(t.Context(), order, pay.Refund{OutRefundNo: "3", Amount: 1})
				for _, request := range r.requests {
					if !strings.Contains(request, " https://"+wechatHost+"/") && !strings.Contains(request, " https://"+alipayHost+"/") {
						t.Errorf("%s=%s: %.200s", name, value, request)
					}
				}
				if len(r.requests) < 2 {
					t.Errorf("%s: %s made %d calls", name, a.ID, len(r.requests))
				}
			}
		}
	}
	if refused < 30 {
		t.Errorf("only %d of these settings were refused", refused)
	}
}
