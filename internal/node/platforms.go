package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
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

// outbound is an HTTP client that keeps connections alive and never follows a redirect. It verifies TLS and takes no
// proxy from the environment (A88).
func outbound(timeout time.Duration) *http.Client { return clientOver(transport(), timeout) }

func transport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: connsPerPlatform, IdleConnTimeout: time.Minute}
}

// certified is outbound for calls that show a certificate; connections of it are its own, because they are somebody's.
func certified(cert tls.Certificate) *http.Client {
	over := transport()
	over.TLSClientConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	return clientOver(over, 0)
}

func clientOver(over http.RoundTripper, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:   timeout,
		Transport: over,
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

// Parts of an account's address at the simulator.
const (
	simWallet = "/sim/wallet?code="
	simSuffix = "-sim" // of the ids of its accounts
)

// simAccounts are the simulator's own merchant numbers.
func (n *Node) simAccounts(ctx context.Context) ([]gateway.Account, error) {
	sim, err := n.credentials(ctx)
	if err != nil {
		return nil, err
	}
	w, a := sim.WeChat, sim.Alipay
	var out []gateway.Account
	for _, x := range []struct {
		driver   channel.Driver
		settings channel.Settings
	}{
		{wechatv3.Driver, &wechatv3.Config{
			AppID: w.AppID, MerchantID: w.MerchantID, SerialNo: w.SerialNo, PrivateKey: secret.New(w.PrivateKey),
			APIv3Key: secret.New(w.APIv3Key), PublicKeyID: w.PublicKeyID, PublicKey: w.PublicKey,
		}},
		{alipay.Driver, &alipay.Config{
			AppID: a.AppID, SellerID: a.SellerID, PrivateKey: secret.New(a.AppPrivateKey), PublicKey: a.AlipayPublicKey,
		}},
	} {
		n.logs.Hide(secretsOf(x.settings)...)
		appID, merchantID := x.settings.Identity()
		account, err := n.open(config.Account{
			Account: channel.Account{ID: x.driver.Info.Method + simSuffix, AppID: appID, MerchantID: merchantID},
			Driver:  x.driver, Settings: x.settings, Products: x.driver.Info.Products,
		}, n.config.SimURL)
		if err != nil {
			return nil, err
		}
		account.Info.FormHosts = []string{n.config.SimURL} // the platform is the simulator
		account.WalletURL = n.config.SimURL + simWallet
		out = append(out, account)
	}
	return out, nil
}

// accounts are those of this process. In test mode the simulator stands in for every platform whose own sandbox is not
// configured; where one is, the simulator's account only ends what was begun with it.
func (n *Node) accounts(ctx context.Context) ([]gateway.Account, error) {
	var out []gateway.Account
	configured := map[string]bool{}
	for _, c := range n.config.Accounts {
		account, err := n.open(c, "")
		if err != nil {
			return nil, err
		}
		configured[account.Info.Method] = true
		out = append(out, account)
	}
	if n.config.Live {
		return out, nil
	}
	simulated, err := n.simAccounts(ctx)
	for _, account := range simulated {
		account.ReadOnly = configured[account.Info.Method]
		out = append(out, account)
	}
	return out, err
}

// open builds the channel of an account; sim is the origin of a simulator in the platform's place, or "".
func (n *Node) open(c config.Account, sim string) (gateway.Account, error) {
	ch, err := c.Driver.New(c.Settings, channel.Env{
		Account: c.Account, HTTP: n.platforms, Sim: sim, Now: n.now, Random: rand.Reader, Log: n.log,
		Certified: n.certified,
	})
	if err != nil {
		return gateway.Account{}, fmt.Errorf("account %s: %w", c.ID, err)
	}
	info := c.Driver.Info
	info.Products = c.Products
	return gateway.Account{
		Account: c.Account, Info: info, Channel: ch, NotifyURL: c.NotifyURL, ReturnURL: c.ReturnURL, ReadOnly: c.ReadOnly,
	}, nil
}

// checkUnfinished refuses to start while money may still come to an account that is not configured any more: nobody
// could verify, ask about or close its attempts.
func (n *Node) checkUnfinished(ctx context.Context, accounts []gateway.Account) error {
	unfinished, err := n.db.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		delete(unfinished, a.ID)
	}
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(unfinished)) {
		errs = append(errs, fmt.Errorf("account %s has %d attempts that may still be paid, and its credentials are gone: "+
			"put its settings back until they have ended", id, unfinished[id]))
	}
	return errors.Join(errs...)
}
