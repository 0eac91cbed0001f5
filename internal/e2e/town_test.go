package e2e

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/alipay"
	"piaohao/internal/channel/wechatv3"
	"piaohao/internal/gateway"
	"piaohao/internal/id"
	"piaohao/internal/secret"
	sims "piaohao/internal/sim/all"
	"piaohao/internal/store"
	"piaohao/internal/web/cashier"
	"piaohao/internal/web/httpx"
	"piaohao/internal/web/notify"
)

// town is gateway, payer's pages and simulator in this process, on one clock that the test moves and with no loop
// running: nothing is told, asked, expired or closed before the test says so. It is for the endings that the program
// reaches after half an hour, or by a race.
type town struct {
	t       *testing.T
	gateway *gateway.Gateway
	sim     *sims.Sim
	base    string // the gateway's origin
	now     atomic.Int64
}

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{t: t}
	w.now.Store(time.Date(2026, 11, 24, 6, 27, 8, 0, time.UTC).UnixMilli())
	log := slog.New(slog.DiscardHandler)
	platforms, pages := httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(platforms.Listener.Addr().String())
	simURL := "http://localhost:" + port
	w.base = "http://" + pages.Listener.Addr().String()

	var err error
	w.sim, err = sims.New(sims.Options{
		PublicURL: simURL, CashierURL: "http://cashier.localhost:" + port, Wall: w.clock, HTTP: http.DefaultClient, Log: log,
	})
	w.must(err)
	t.Cleanup(func() { w.must(w.sim.Close()) })
	platforms.Config.Handler = w.sim.Handler()
	platforms.Start()
	t.Cleanup(platforms.Close)

	w.build(simURL, log)
	mux := http.NewServeMux()
	draining := make(chan struct{})
	mux.Handle("/payment/", cashier.New(cashier.Config{
		Gateway: w.gateway, Platforms: w.gateway.Platforms(), Log: log, Now: w.clock, Draining: draining,
		ClientIP: func(*http.Request) string { return "127.0.0.1" },
	}))
	notify.Mount(mux, w.gateway)
	pages.Config.Handler = httpx.Wrap(log, w.clock, mux)
	pages.Start()
	t.Cleanup(pages.Close)
	t.Cleanup(func() { close(draining) }) // first: live pages end
	return w
}

// build makes the gateway with the simulator's accounts and one shop.
func (w *town) build(simURL string, log *slog.Logger) {
	w.t.Helper()
	ctx := w.t.Context()
	ids := id.New(w.clock)
	db, err := store.Open(ctx, store.Options{
		DSN: "sqlite:" + filepath.Join(w.t.TempDir(), "test.db"), Mode: "test", Now: w.clock, Log: log,
	})
	w.must(err)
	w.t.Cleanup(func() { w.must(db.Close()) })
	w.must(db.UpsertShop(ctx, store.Shop{ID: "shop", Name: "示例书店"}))
	accounts, err := simAccounts(w.sim.Credentials(), simURL, http.DefaultClient, w.clock, log)
	w.must(err)
	for _, a := range accounts {
		w.must(db.UpsertAccount(ctx, accountRow(a)))
	}
	w.gateway = gateway.New(gateway.Config{
		DB: db, Accounts: accounts, PublicURL: w.base, Now: w.clock, NewID: ids.ID, NewToken: id.Token, Log: log,
	})
	w.must(w.gateway.StartTail(ctx))
}

func (w *town) clock() time.Time { return time.UnixMilli(w.now.Load()).UTC() }

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// create makes a payment and returns its page.
func (w *town) create(orderNo, subject string, amount int64, method string) string {
	w.t.Helper()
	r, err := w.gateway.Create(w.t.Context(), gateway.CreateInput{
		Shop: "shop", OrderNo: orderNo, Amount: fen(amount), Subject: subject, Method: method, ReturnURL: w.base + "/orders/" + orderNo,
	})
	w.must(err)
	return r.View.CashierURL
}

// advance moves the clock and works until nothing is due.
func (w *town) advance(d time.Duration) {
	w.t.Helper()
	w.now.Add(d.Milliseconds())
	for range 1000 {
		due := false
		for _, step := range []func(context.Context) (time.Time, error){w.sim.Step, w.gateway.StepExpiry, w.gateway.StepAttempt, w.gateway.StepRefund} {
			next, err := step(w.t.Context())
			w.must(err)
			due = due || (!next.IsZero() && !next.After(w.clock()))
		}
		told, err := w.gateway.StepTail(w.t.Context())
		w.must(err)
		if !due && told == 0 {
			return
		}
	}
	w.t.Fatal("work without end")
}

func method(page, name string) string {
	return strings.Replace(page, "/process/", "/go/", 1) + "/" + name
}

// simAccounts are the simulator's merchant numbers with their channels, which reach it at url by the client.
func simAccounts(c sims.Credentials, url string, client *http.Client, now func() time.Time, log *slog.Logger) ([]gateway.Account, error) {
	var out []gateway.Account
	for _, a := range []struct {
		id     channel.Account
		driver channel.Driver
		config channel.Settings
	}{
		{channel.Account{ID: "wechat-sim", AppID: c.WeChat.AppID, MerchantID: c.WeChat.MerchantID}, wechatv3.Driver, &wechatv3.Config{
			AppID: c.WeChat.AppID, MerchantID: c.WeChat.MerchantID, SerialNo: c.WeChat.SerialNo,
			PrivateKey: secret.New(c.WeChat.PrivateKey), APIv3Key: secret.New(c.WeChat.APIv3Key),
			PublicKeyID: c.WeChat.PublicKeyID, PublicKey: c.WeChat.PublicKey,
		}},
		{channel.Account{ID: "alipay-sim", AppID: c.Alipay.AppID, MerchantID: c.Alipay.SellerID}, alipay.Driver, &alipay.Config{
			AppID: c.Alipay.AppID, SellerID: c.Alipay.SellerID, PrivateKey: secret.New(c.Alipay.AppPrivateKey),
			PublicKey: c.Alipay.AlipayPublicKey,
		}},
	} {
		env := channel.Env{Account: a.id, Sim: url, HTTP: client, Now: now, Random: rand.Reader, Log: log}
		ch, err := a.driver.New(a.config, env)
		if err != nil {
			return nil, err
		}
		out = append(out, gateway.Account{Account: a.id, Info: a.driver.Info, Channel: ch, WalletURL: url + "/sim/wallet?code="})
	}
	return out, nil
}

func accountRow(a gateway.Account) store.AccountRow {
	return store.AccountRow{
		ID: a.ID, Channel: a.Info.Channel, Method: a.Info.Method, AppID: a.AppID, MerchantID: a.MerchantID, RatePerSecond: 1000,
	}
}
