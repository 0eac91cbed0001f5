// Package config turns the environment and a .env file into the settings of one process: test or live, with which
// accounts. Load reads nothing by itself: FromOS does, and any Source will do. A problem names file, line, variable and
// cure and never shows a value, because values are secrets as often as not. All problems are reported at once.
//
// What platforms need is declared by the drivers in the tags of their settings; this package names none of them.
package config

import (
	"encoding/base64"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/secret"
)

// Off is the value of SIM_ADDR or DEMO_ADDR that leaves the simulator or the demo shop out.
const Off = "off"

// Config is what one process runs with. Addresses are host:port, URLs have no trailing slash.
type Config struct {
	ListenAddr string // of the gateway
	SimAddr    string // of the built-in simulator, or Off
	SimURL     string // origin at which gateway and payers reach the simulator
	SimCashier string // origin at which payers reach the simulator's cashier pages, "" = SimURL
	DemoAddr   string // of the demo shop, or Off

	DataDir  string
	LogDir   string      // of app.log and its elders, or Off
	Database secret.Text // "sqlite:path" or "postgres://…"; secret because it may hold a password
	// UnsafeDatabase accepts a PostgreSQL that can lose what it has confirmed.
	UnsafeDatabase bool

	PublicURL     string      // origin at which payers and platforms reach the gateway
	WebhookURL    string      // the default shop's endpoint, "" for none
	WebhookSecret secret.Text // whsec_…, with WebhookURL

	Live     bool      // real money; else test mode
	EnvFile  string    // the .env that was read, "" = none
	Accounts []Account // in live mode and of a platform's own sandbox; the first of a method takes its new attempts
	// Shelved are accounts whose credentials are complete and that this mode does not use, for doctor alone.
	Shelved []Account

	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed

	// Warnings are settings that do not stop the start and are not what their author meant.
	Warnings Problems

	ReturnOrigins []string // where a payment's return_url may lead, as scheme://host[:port] in lower case
	AcceptLate    bool     // money for a closed payment pays it; else it goes back
	LogLevel      slog.Level
}

// Source is where settings come from.
type Source struct {
	Env      map[string]string // the environment: it wins over the file
	File     []byte            // of a .env file, nil = there is none
	FileName string            // for errors
	// ReadFile reads a file that a variable with _FILE names, at most maxKeyFile+1 bytes of it; nil = such variables
	// are refused.
	ReadFile func(path string) ([]byte, error)
	Now      func() time.Time // for certificates; nil = the wall clock
}

// Load reads the settings, an unset variable and an empty one being the same. The error is Problems.
func Load(src Source, drivers []channel.Driver) (Config, error) {
	l := newLoader(src, drivers)
	platforms := l.readPlatforms()
	for _, p := range platforms {
		l.judge(p)
	}
	l.live, l.decided = l.decide(platforms)
	c := Config{Live: l.live}
	if src.File != nil {
		c.EnvFile = src.FileName
	}
	for _, p := range platforms {
		for _, a := range l.accounts(p) {
			if l.live || a.Driver.Info.Sandbox {
				c.Accounts = append(c.Accounts, a)
			} else {
				c.Shelved = append(c.Shelved, a)
			}
		}
	}
	c.ListenAddr = l.addr("LISTEN_ADDR", "127.0.0.1:5000")
	c.DataDir = l.text("DATA_DIR", "./data")
	c.LogDir = l.text("LOG_DIR", "./logs")
	c.LogLevel = l.level()
	if l.live {
		c.SimAddr, c.DemoAddr = Off, Off
		l.testOnly()
	} else {
		c.SimAddr = l.addrOrOff("SIM_ADDR", "127.0.0.1:5001")
		c.DemoAddr = l.addrOrOff("DEMO_ADDR", "127.0.0.1:5002")
		l.distinct(c)
		c.SimURL = l.origin("SIM_PUBLIC_URL", c.SimAddr)
		if l.get("SIM_CASHIER_URL") != "" {
			c.SimCashier = l.origin("SIM_CASHIER_URL", "")
		}
	}
	c.Database = l.database(c.DataDir)
	if c.UnsafeDatabase = l.get(unsafeDatabase) == "1"; c.UnsafeDatabase && l.live {
		l.warn(unsafeDatabase, fault{
			"unsafe_database", "with real money: what PostgreSQL has confirmed can be lost when it stops",
			"delete it, and set fsync, full_page_writes and synchronous_commit to on there",
		})
	}
	c.PublicURL = l.publicURL(c.ListenAddr, c.Accounts)
	c.AcceptLate = l.acceptLate()
	c.WebhookURL, c.WebhookSecret = l.webhook()
	c.ReturnOrigins = l.returnOrigins(c)
	c.TrustedProxies = l.trustedProxies(c.ListenAddr)
	c.Warnings = l.warnings
	if len(l.problems) > 0 {
		return c, sorted(l.problems)
	}
	return c, nil
}

// testOnly refuses with real money what lets people pay without: whoever set it believes to be testing. Off is no
// contradiction.
func (l *loader) testOnly() {
	for _, name := range []string{"SIM_ADDR", "SIM_PUBLIC_URL", "SIM_CASHIER_URL", "DEMO_ADDR", "ALLOW_PUBLIC_TEST"} {
		if v := l.get(name); v != "" && v != Off {
			l.fail(name, fault{
				"test_only", "belongs to test mode, and the credentials that are set are for real money",
				"delete it, or set the sandbox variable of each platform to true",
			})
		}
	}
}

// Environ turns the lines of os.Environ into a map for Load.
func Environ(lines []string) map[string]string {
	env := make(map[string]string, len(lines))
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	return env
}

func (l *loader) addrOrOff(name, otherwise string) string {
	if l.get(name) == Off {
		return Off
	}
	return l.addr(name, otherwise)
}

// addr reads host:port. Whoever reaches a process in test mode can pay in it without money, so that it listens on
// loopback unless told otherwise. With real money it may listen where it likes.
func (l *loader) addr(name, otherwise string) string {
	v := l.text(name, otherwise)
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		l.invalid(name, "write it as host:port, for example "+otherwise)
		return otherwise
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		l.invalid(name, "the port is a number from 1 to 65535")
		return otherwise
	}
	if l.decided && !l.live && !loopback(host) && l.get("ALLOW_PUBLIC_TEST") != "1" {
		l.invalid(name, "test mode listens on this machine only; use 127.0.0.1, or set ALLOW_PUBLIC_TEST=1 to let others in")
		return otherwise
	}
	return v
}

func (l *loader) distinct(c Config) {
	seen := map[string]string{c.ListenAddr: "LISTEN_ADDR"}
	for _, a := range []struct{ name, addr string }{{"SIM_ADDR", c.SimAddr}, {"DEMO_ADDR", c.DemoAddr}} {
		if a.addr == Off {
			continue
		}
		if other, taken := seen[a.addr]; taken {
			l.invalid(a.name, "is the same address as "+other+"; give it a port of its own")
		}
		seen[a.addr] = a.name
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// originOf is where a browser on this machine reaches addr, "" when addr does not say: off, or all interfaces.
func originOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return ""
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		return ""
	}
	return "http://" + addr
}

// origin reads scheme://host[:port]; unset, it follows from the address.
func (l *loader) origin(name, addr string) string {
	v := l.get(name)
	if v == "" {
		v = originOf(addr)
	}
	if v == "" && !l.decided {
		return "" // which mode it is for is not known
	}
	if v == "" {
		l.invalid(name, "set it: the listen address does not say under which URL it is reached")
		return ""
	}
	o, ok := parseOrigin(v)
	if !ok {
		l.invalid(name, "write it as http(s)://host[:port], without path, query or user name")
	}
	return o
}

func parseOrigin(v string) (origin string, ok bool) {
	u, ok := parseHTTP(strings.TrimSuffix(v, "/"))
	if !ok || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.HasSuffix(u.Host, ":") {
		return "", false
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), true
}

// parseHTTP takes an absolute http(s) URL with a host, without user name and fragment.
func parseHTTP(v string) (*url.URL, bool) {
	u, err := url.Parse(v)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(v, "#") {
		return nil, false
	}
	return u, u.Scheme == "http" || u.Scheme == "https"
}

const unsafeDatabase = "ALLOW_UNSAFE_DATABASE"

func (l *loader) database(dir string) secret.Text {
	v := l.get("DATABASE_URL")
	if v == "" {
		file := "test.db"
		if l.live {
			file = "live.db"
		}
		return secret.New("sqlite:" + filepath.Join(dir, file))
	}
	// The error of url.Parse quotes the password: it is dropped.
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || len(u.Path) < 2 {
		l.invalid("DATABASE_URL", "write it as postgres://user:password@host:5432/database (special characters in the password as %XX), or leave it empty for SQLite")
	}
	return secret.New(v)
}

func (l *loader) webhook() (endpoint string, key secret.Text) {
	endpoint, key = l.get("WEBHOOK_URL"), secret.New(l.get("WEBHOOK_SECRET"))
	switch {
	case endpoint == "" && key.Empty():
		return "", secret.Text{}
	case endpoint == "":
		l.invalid("WEBHOOK_URL", "set it, or unset WEBHOOK_SECRET: the two go together")
		return "", secret.Text{}
	case key.Empty():
		l.invalid("WEBHOOK_SECRET", "set it, or unset WEBHOOK_URL: the two go together; make one with: echo whsec_$(openssl rand -base64 32)")
		return "", secret.Text{}
	}
	if _, ok := parseHTTP(endpoint); !ok {
		l.invalid("WEBHOOK_URL", "write it as http(s)://host/path, without user name or fragment")
	}
	if !goodWebhookSecret(key.Reveal()) {
		l.invalid("WEBHOOK_SECRET", "is no whsec_ key of 24 to 64 random bytes, or one from a published example; make one with: echo whsec_$(openssl rand -base64 32)")
	}
	return endpoint, key
}

// Lengths of a webhook key in bytes: Standard Webhooks, "Symmetric", and the example key of its libraries.
const (
	webhookKeyMin     = 24
	webhookKeyMax     = 64
	webhookKeyExample = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	webhookKeys       = 2
	webhookKeyVariety = 8 // distinct bytes; a random key of 24 bytes has fewer once in 10²⁴
)

// goodWebhookSecret takes one key, or two with a comma between while the shop changes from the second to the first (A40).
func goodWebhookSecret(v string) bool {
	list := strings.Split(v, ",")
	return len(list) <= webhookKeys && !slices.ContainsFunc(list, func(key string) bool { return !goodWebhookKey(key) })
}

func goodWebhookKey(v string) bool {
	text, ok := strings.CutPrefix(v, "whsec_")
	if !ok || text == webhookKeyExample {
		return false
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(key) < webhookKeyMin || len(key) > webhookKeyMax {
		return false
	}
	distinct := map[byte]bool{}
	for _, b := range key {
		distinct[b] = true
	}
	return len(distinct) >= webhookKeyVariety
}

// returnOrigins reads the comma list of origins; unset, it is the demo shop's, and with real money our own.
func (l *loader) returnOrigins(c Config) []string {
	const name = "RETURN_URL_ORIGINS"
	v := l.get(name)
	switch {
	case v != "":
	case l.live:
		v = c.PublicURL
	default:
		v = originOf(c.DemoAddr)
	}
	if v == "" {
		return nil
	}
	var origins []string
	for item := range strings.SplitSeq(v, ",") {
		o, ok := parseOrigin(strings.TrimSpace(item))
		if !ok {
			l.invalid(name, "write a comma list of origins, each http(s)://host[:port] without a path")
			return nil
		}
		origins = append(origins, o)
	}
	return origins
}

// localProxies is the default of TRUSTED_PROXIES for a gateway that listens on this machine only: nobody but a proxy on
// the same machine then speaks for somebody else, and without its word all payers would share one address and one limit.
// A gateway that others reach directly trusts nobody who is not named.
const localProxies = "127.0.0.0/8,::1/128"

// trustedProxies reads the comma list of addresses and networks whose X-Forwarded-For is believed.
func (l *loader) trustedProxies(listen string) []netip.Prefix {
	const name = "TRUSTED_PROXIES"
	v := l.get(name)
	if host, _, _ := net.SplitHostPort(listen); v == "" && loopback(host) {
		v = localProxies
	}
	if v == "" || v == Off {
		return nil
	}
	var out []netip.Prefix
	for item := range strings.SplitSeq(v, ",") {
		item = strings.TrimSpace(item)
		network, err := netip.ParsePrefix(item)
		if ip, ipErr := netip.ParseAddr(item); ipErr == nil && ip.Zone() == "" {
			network, err = netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), nil
		}
		if err != nil || network.Bits() == 0 {
			l.invalid(name, "write a comma list of addresses or networks such as 10.0.0.7,172.18.0.0/16, or "+Off+"; not of everybody: who is trusted may claim any address")
			return nil
		}
		out = append(out, network.Masked())
	}
	return out
}

// acceptLate reads what becomes of money for a closed payment.
func (l *loader) acceptLate() bool {
	v := l.text("LATE_PAYMENT", "refund")
	if v != "refund" && v != "accept" {
		l.invalid("LATE_PAYMENT", "is refund, which sends money for a closed payment back, or accept, which lets it pay")
	}
	return v == "accept"
}

func (l *loader) level() slog.Level {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[l.text("LOG_LEVEL", "info")]
	if !ok {
		l.invalid("LOG_LEVEL", "is one of debug, info, warn, error")
	}
	return level
}
