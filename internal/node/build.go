package node

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"piaohao/internal/config"
	"piaohao/internal/demo"
	"piaohao/internal/doctor"
	"piaohao/internal/gateway"
	"piaohao/internal/id"
	"piaohao/internal/secret"
	sims "piaohao/internal/sim/all"
	"piaohao/internal/store"
	"piaohao/internal/web/api"
	"piaohao/internal/web/cashier"
	"piaohao/internal/web/httpx"
	"piaohao/internal/web/notify"
	"piaohao/internal/webhook"
)

// The two shops of test mode.
const (
	defaultShop = "default"
	demoShop    = "demo"
)

// Outside is what a process has around it.
type Outside struct {
	Logs io.Writer // the terminal: for people; LOG_DIR has the same for machines
	// Platforms carries calls to the platforms' own hosts, and what it is handed is shown there; nil = the network. It is no
	// setting: nothing that a user writes can lead a live account anywhere else.
	Platforms func(shown ...tls.Certificate) http.RoundTripper
	// Now is the clock of this process and of its database, nil = the wall's.
	Now func() time.Time
}

// New builds a node: gateway, and in test mode the simulator and the demo shop. It takes ports and files; Run serves.
func New(ctx context.Context, c config.Config, o Outside) (*Node, error) {
	n, err := newNode(c, o.Logs, gatewayLog)
	if err != nil {
		return nil, err
	}
	if o.Platforms != nil {
		n.platforms = clientOver(o.Platforms(), 0)
		n.certified = func(shown tls.Certificate) *http.Client { return clientOver(o.Platforms(shown), 0) }
	}
	if o.Now != nil {
		n.now, n.ownClock = o.Now, true
	}
	n.ids = id.New(n.now)
	if err := n.build(ctx); err != nil {
		_ = n.Close()
		return nil, err
	}
	return n, nil
}

// NewSim builds the simulator alone.
func NewSim(c config.Config, logs io.Writer) (*Node, error) {
	n, err := newNode(c, logs, simulatorLog)
	if err != nil {
		return nil, err
	}
	if err = dataDir(c.DataDir); err == nil {
		_, err = n.buildSim()
	}
	if err != nil {
		_ = n.Close()
		return nil, err
	}
	return n, nil
}

// newNode opens the log first, so that all that follows is told, and closes it last.
func newNode(c config.Config, terminal io.Writer, logFile string) (*Node, error) {
	l, err := openLogs(c, terminal, logFile)
	if err != nil {
		return nil, err
	}
	return &Node{
		config: c, log: l.Logger, logs: l, now: time.Now, drain: make(chan struct{}), closers: []func() error{l.Close},
		platforms: outbound(0), certified: certified(nil), // every call carries its own deadline
	}, nil
}

func (n *Node) build(ctx context.Context) error {
	if err := dataDir(n.config.DataDir); err != nil {
		return err
	}
	var err error
	if !n.config.Live {
		if n.keys, err = loadTestKeys(n.config.DataDir); err != nil {
			return err
		}
	}
	accounts, err := n.accounts(ctx)
	if err != nil {
		return err
	}
	n.db, err = store.Open(ctx, store.Options{
		DSN: n.config.Database.Reveal(), Mode: n.mode(), Now: n.now, Log: n.log,
		AllowUnsafe: n.config.UnsafeDatabase,
	})
	if err != nil {
		return err
	}
	n.closers = append(n.closers, n.db.Close)
	if err := n.checkUnfinished(ctx, accounts); err != nil {
		return err
	}
	n.gateway = gateway.New(gateway.Config{
		DB: n.db, Accounts: accounts, PublicURL: n.config.PublicURL, Livemode: n.config.Live,
		ReturnOrigins: n.config.ReturnOrigins, AcceptLate: n.config.AcceptLate, Now: n.now, NewID: n.ids.ID, NewToken: id.Token, Log: n.log,
	})
	n.closers = append(n.closers, n.keepExchanges)
	n.sender = &webhook.Sender{DB: n.db, HTTP: webhook.NewTransport(n.loopback()), Now: n.now, Rand: rand.Int64N, Log: n.log}
	if err := n.seed(ctx, accounts); err != nil {
		return err
	}
	handler, err := n.handler()
	if err != nil {
		return err
	}
	if err := n.listen("gateway", "LISTEN_ADDR", n.config.ListenAddr, handler); err != nil {
		return err
	}
	n.listenOps()
	if n.config.Live {
		return nil
	}
	return n.buildDemo()
}

func (n *Node) mode() string {
	if n.config.Live {
		return "live"
	}
	return "test"
}

// loopback lets shops on this machine hear of events; only test mode may.
func (n *Node) loopback() bool { return !n.config.Live }

// credentials are the simulator's: the built-in one's, or those of one that runs elsewhere.
func (n *Node) credentials(ctx context.Context) (sims.Credentials, error) {
	if n.config.SimAddr == config.Off {
		return fetchCredentials(ctx, n.config.SimURL)
	}
	return n.buildSim()
}

func (n *Node) buildSim() (sims.Credentials, error) {
	sim, err := newSim(n.config, n.log)
	if err != nil {
		return sims.Credentials{}, fmt.Errorf("simulator: %w", err)
	}
	n.closers = append(n.closers, sim.Close)
	n.sim = sim
	err = n.listen("simulator", "SIM_ADDR", n.config.SimAddr, sim.Handler())
	n.servers = append(n.servers, server{
		name: "simulator's TLS", variable: "SIM_ADDR", listener: sim.Secure(), http: httpx.NewServer(sim.Handler(), n.log),
	})
	return sim.Credentials(), err
}

// seed writes accounts, shops, keys and endpoints as the settings have them now.
func (n *Node) seed(ctx context.Context, accounts []gateway.Account) error {
	for _, a := range accounts {
		row := store.AccountRow{
			ID: a.ID, Channel: a.Info.Channel, Method: a.Info.Method, AppID: a.AppID, MerchantID: a.MerchantID,
			Livemode: n.config.Live, RatePerSecond: ratePerSecond,
		}
		if err := n.db.UpsertAccount(ctx, row); err != nil {
			return err
		}
	}
	err := n.seedShop(ctx, defaultShop, "默认商户", n.keys.Default, n.config.WebhookURL, n.config.WebhookSecret)
	if err != nil || n.config.Live {
		return err
	}
	return n.seedShop(ctx, demoShop, "半亩书茶", n.keys.Demo, n.demoURL()+"/webhook", secret.New(n.keys.DemoWebhook))
}

// ratePerSecond is how often the query plan asks a platform, for all nodes together.
const ratePerSecond = 20

// seedShop writes a shop; key is its key of test mode, "" = it has none yet.
func (n *Node) seedShop(ctx context.Context, shop, name, key, url string, signed secret.Text) error {
	if err := n.db.UpsertShop(ctx, store.Shop{ID: shop, Name: name}); err != nil {
		return err
	}
	if key != "" {
		if err := n.db.UpsertKey(ctx, shop, sha256.Sum256([]byte(key)), false); err != nil {
			return err
		}
	}
	if url == "" || (shop == demoShop && n.config.DemoAddr == config.Off) {
		return n.db.RemoveEndpoint(ctx, shop)
	}
	if err := webhook.CheckURL(url, n.loopback()); err != nil {
		return fmt.Errorf("WEBHOOK_URL: %w", err)
	}
	return n.db.UpsertEndpoint(ctx, store.Endpoint{ID: "whep_" + shop, Shop: shop, URL: url, Secret: signed})
}

func (n *Node) demoURL() string { return "http://" + n.config.DemoAddr }

// handler is everything that the gateway's address answers.
func (n *Node) handler() (http.Handler, error) {
	platforms := n.gateway.Platforms()
	methods := make([]string, len(platforms))
	for i, p := range platforms {
		methods[i] = p.Method
	}
	rest, err := api.New(api.Config{Gateway: n.gateway, PublicURL: n.config.PublicURL, Methods: methods})
	if err != nil {
		return nil, err
	}
	pages := cashier.New(cashier.Config{
		Gateway: n.gateway, Platforms: platforms, Livemode: n.config.Live, Log: n.log, Now: n.now, Draining: n.drain,
		ClientIP: func(r *http.Request) string { return httpx.ClientIP(r, n.config.TrustedProxies) },
	})
	mux := http.NewServeMux()
	mux.Handle("/v1/", rest)
	notify.Mount(mux, n.gateway)
	mux.Handle("GET "+doctor.HealthPath, doctor.Health(n.config.Live))
	mux.Handle("/payment", pages)
	mux.Handle("/payment/", pages)
	mux.HandleFunc("/", httpx.NotFound)
	return httpx.Wrap(n.log, n.now, mux), nil
}

func (n *Node) buildDemo() error {
	if n.config.DemoAddr == config.Off {
		return nil
	}
	shop, err := demo.New(demo.Config{
		GatewayURL: "http://" + n.config.ListenAddr, Key: n.keys.Demo, WebhookSecret: n.keys.DemoWebhook,
		PublicURL: n.demoURL(), DBPath: filepath.Join(n.config.DataDir, "demo.db"), Now: n.now, NewID: n.demoOrderNo, Log: n.log,
	})
	if err != nil {
		return fmt.Errorf("demo shop: %w", err)
	}
	n.closers = append(n.closers, shop.Close)
	return n.listen("demo shop", "DEMO_ADDR", n.config.DemoAddr, shop.Handler())
}

// demoOrderNo is a number as small shops write it, which people can read out: the day (UTC), and eight random characters.
func (n *Node) demoOrderNo(string) string {
	return n.now().UTC().Format("20060102") + "-" + strings.ToUpper(id.Token()[:8])
}
