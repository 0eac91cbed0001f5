package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/alipay"
	"piaohao/internal/channel/wechatv2"
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

// newSim builds the simulator of both platforms, with its books under the data folder. Its TLS takes any free port on the
// same host: only the credentials that it hands out name it.
func newSim(c config.Config, log *slog.Logger) (*sims.Sim, error) {
	host, _, err := net.SplitHostPort(c.SimAddr)
	if err != nil {
		return nil, fmt.Errorf("SIM_ADDR: %w", err)
	}
	return sims.New(sims.Options{
		PublicURL: c.SimURL, CashierURL: c.SimCashier, Dir: filepath.Join(c.DataDir, "sim"), Wall: time.Now,
		HTTP: outbound(noticeTimeout), Random: rand.Reader, Seed: seed(), Log: log, SecureAddr: net.JoinHostPort(host, "0"),
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

// certified is outbound for calls that show a certificate, to whom roots vouch for, nil = the system's. Connections of each
// are its own, because they are somebody's.
func certified(roots *x509.CertPool) func(tls.Certificate) *http.Client {
	return func(shown tls.Certificate) *http.Client {
		over := transport()
		over.TLSClientConfig = &tls.Config{Certificates: []tls.Certificate{shown}, RootCAs: roots, MinVersion: tls.VersionTLS12}
		return clientOver(over, 0)
	}
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

// simWallet is a payer's phone in front of a code, at the simulator.
const simWallet = "/sim/wallet?code="

// simulated is where a simulator stands in for the platforms; the zero value is nowhere.
type simulated struct {
	url, secure string                             // origins; secure asks for a certificate
	certified   func(tls.Certificate) *http.Client // speaks to secure
}

// simAccounts are the simulator's own merchant numbers.
func (n *Node) simAccounts(ctx context.Context) ([]gateway.Account, error) {
	sim, err := n.credentials(ctx)
	if err != nil {
		return nil, err
	}
	w, a := sim.WeChat, sim.Alipay
	roots := x509.NewCertPool() // its authority and nobody else
	roots.AppendCertsFromPEM([]byte(w.SecureCA))
	at := simulated{url: n.config.SimURL, secure: w.SecureURL, certified: certified(roots)}
	var out []gateway.Account
	for _, x := range []struct {
		id       string
		driver   channel.Driver
		settings channel.Settings
	}{
		{"wechat-sim", wechatv3.Driver, &wechatv3.Config{
			AppID: w.AppID, MerchantID: w.MerchantID, SerialNo: w.SerialNo, PrivateKey: secret.New(w.PrivateKey),
			APIv3Key: secret.New(w.APIv3Key), PublicKeyID: w.PublicKeyID, PublicKey: w.PublicKey,
		}},
		{"wechatv2-sim", wechatv2.Driver, n.rehearsed(&wechatv2.Config{
			AppID: w.AppID, MerchantID: w.MerchantID, MchKey: secret.New(w.MchKey), Cert: w.MchCert, Key: secret.New(w.PrivateKey),
		})},
		{"alipay-sim", alipay.Driver, &alipay.Config{
			AppID: a.AppID, SellerID: a.SellerID, PrivateKey: secret.New(a.AppPrivateKey), PublicKey: a.AlipayPublicKey,
		}},
	} {
		n.logs.Hide(secretsOf(x.settings)...)
		appID, merchantID := x.settings.Identity()
		account, err := n.open(config.Account{
			Account: channel.Account{ID: x.id, AppID: appID, MerchantID: merchantID},
			Driver:  x.driver, Settings: x.settings, Products: x.driver.Info.Products,
		}, at)
		if err != nil {
			return nil, err
		}
		account.Info.FormHosts = []string{n.config.SimURL} // the platform is the simulator
		account.WalletURL = n.config.SimURL + simWallet
		out = append(out, account)
	}
	return out, nil
}

// rehearsed takes from the simulator's merchant what the user's merchant lacks: what would wait with real money waits here
// too. Where the user has no settings of this protocol it is as it was.
func (n *Node) rehearsed(sim *wechatv2.Config) *wechatv2.Config {
	for _, a := range n.config.Shelved {
		own, ok := a.Settings.(*wechatv2.Config)
		if !ok {
			continue
		}
		sim.SignType = own.SignType
		if !own.CanRefund(n.now()) {
			sim.Cert, sim.Key = "", secret.Text{}
		}
	}
	return sim
}

// accounts are those of this process. In test mode the simulator stands in for every platform whose own sandbox is not
// configured, by the protocol that the settings would use with real money; its other accounts only end what was begun with
// them.
func (n *Node) accounts(ctx context.Context) ([]gateway.Account, error) {
	var out []gateway.Account
	taken := map[string]string{} // the channel of a method's new attempts
	for _, c := range n.config.Accounts {
		account, err := n.open(c, simulated{})
		if err != nil {
			return nil, err
		}
		taken[account.Info.Method] = cmp.Or(taken[account.Info.Method], account.ID)
		out = append(out, account)
	}
	if n.config.Live {
		return out, nil
	}
	for _, c := range n.config.Shelved {
		info := c.Driver.Info
		taken[info.Method] = cmp.Or(taken[info.Method], info.Channel)
	}
	accounts, err := n.simAccounts(ctx)
	for _, account := range accounts {
		info := account.Info
		taken[info.Method] = cmp.Or(taken[info.Method], info.Channel)
		account.ReadOnly = taken[info.Method] != info.Channel
		out = append(out, account)
	}
	return out, err
}

// open builds the channel of an account, at its platform or where that is simulated.
func (n *Node) open(c config.Account, at simulated) (gateway.Account, error) {
	env := channel.Env{
		Account: c.Account, HTTP: n.platforms, Sim: at.url, SimSecure: at.secure, Now: n.now, Random: rand.Reader, Log: n.log,
		Certified: n.certified,
	}
	if at.url != "" {
		env.Certified = at.certified
	}
	ch, err := c.Driver.New(c.Settings, env)
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
