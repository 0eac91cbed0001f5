package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/alipay"
	"piaohao/internal/channel/wechatv3"
	"piaohao/internal/config"
	"piaohao/internal/gateway"
	"piaohao/internal/secret"
	sims "piaohao/internal/sim/all"
)

// Bounds of talking to platforms.
const (
	noticeTimeout    = 5 * time.Second // how long a simulated platform waits for our answer (both platforms' documents)
	connsPerPlatform = 32
	credentialsBody  = 64 << 10
)

// newSim builds the simulator of both platforms, with its books under the data folder.
func newSim(c config.Config, log *slog.Logger) (*sims.Sim, error) {
	return sims.New(sims.Options{
		PublicURL: c.SimURL, CashierURL: c.SimCashier, Dir: filepath.Join(c.DataDir, "sim"), Wall: time.Now,
		HTTP: outbound(noticeTimeout), Random: rand.Reader, Seed: seed(), Log: log,
	})
}

func seed() uint64 {
	var n uint64
	for _, b := range randomBytes()[:8] {
		n = n<<8 | uint64(b)
	}
	return n
}

// outbound is an HTTP client that keeps connections alive and never follows a redirect.
func outbound(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:   timeout,
		Transport: &http.Transport{MaxIdleConnsPerHost: connsPerPlatform, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// fetchCredentials asks a simulator that runs as a process of its own.
func fetchCredentials(ctx context.Context, base string) (sims.Credentials, error) {
	var out sims.Credentials
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/sim/credentials", nil)
	if err != nil {
		return out, err
	}
	resp, err := outbound(noticeTimeout).Do(req)
	if err != nil {
		return out, fmt.Errorf("no simulator answers at SIM_PUBLIC_URL (start one with: piaohao sim): %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, credentialsBody))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return out, fmt.Errorf("what answers at SIM_PUBLIC_URL is no simulator: %w", err)
	}
	return out, nil
}

// testAccounts are the simulator's own merchant numbers: the only accounts of test mode.
func testAccounts(c config.Config, sim sims.Credentials, log *slog.Logger) ([]gateway.Account, error) {
	w, a := sim.WeChat, sim.Alipay
	wechat := &wechatv3.Config{
		AppID: w.AppID, MerchantID: w.MerchantID, SerialNo: w.SerialNo, PrivateKey: secret.New(w.PrivateKey),
		APIv3Key: secret.New(w.APIv3Key), PublicKeyID: w.PublicKeyID, PublicKey: w.PublicKey,
	}
	ali := &alipay.Config{
		AppID: a.AppID, SellerID: a.SellerID, PrivateKey: secret.New(a.AppPrivateKey), PublicKey: a.AlipayPublicKey,
	}
	client := outbound(0) // every call carries its own deadline
	var out []gateway.Account
	for _, x := range []struct {
		id     channel.Account
		driver channel.Driver
		config channel.Settings
	}{
		{channel.Account{ID: "wechat-sim", AppID: w.AppID, MerchantID: w.MerchantID}, wechatv3.Driver, wechat},
		{channel.Account{ID: "alipay-sim", AppID: a.AppID, MerchantID: a.SellerID}, alipay.Driver, ali},
	} {
		env := channel.Env{Account: x.id, Sim: c.SimURL, HTTP: client, Now: time.Now, Random: rand.Reader, Log: log}
		ch, err := x.driver.New(x.config, env)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", x.id.ID, err)
		}
		info := x.driver.Info
		info.FormHosts = []string{c.SimURL} // the platform is the simulator
		out = append(out, gateway.Account{
			Account: x.id, Info: info, Channel: ch, WalletURL: c.SimURL + "/sim/wallet?code=",
		})
	}
	return out, nil
}
