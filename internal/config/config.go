// Package config turns the environment into the settings of one process. It reads nothing by itself: the caller
// hands the variables in. An error names the variable and the cure and never shows a value, because values are
// secrets as often as not. All errors are reported at once.
//
// This version runs in test mode only: credentials of a platform are refused, not ignored.
package config

import (
	"encoding/base64"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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

	PublicURL     string      // origin at which payers and platforms reach the gateway
	WebhookURL    string      // the default shop's endpoint, "" for none
	WebhookSecret secret.Text // whsec_…, with WebhookURL

	Live     bool      // real money; else test mode
	EnvFile  string    // the .env that was read, "" = none
	Accounts []Account // in live mode and of a platform's own sandbox; the first of a method takes its new attempts
	// Shelved are accounts whose credentials are complete and that this mode does not use, for doctor alone.
	Shelved []Account

	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed

	ReturnOrigins []string // where a payment's return_url may lead, as scheme://host[:port] in lower case
	LogLevel      slog.Level
}

// Source is where settings come from.
type Source struct {
	Env      map[string]string // the environment: it wins over the file
	File     []byte            // of a .env file, nil = there is none
	FileName string            // for errors
}

// Load reads the settings, an unset variable and an empty one being the same. The error is Problems.
func Load(src Source, _ []channel.Driver) (Config, error) {
	l := loader{env: src.Env}
	l.refuseLive()
	c := Config{
		ListenAddr: l.addr("LISTEN_ADDR", "127.0.0.1:5000"),
		SimAddr:    l.addrOrOff("SIM_ADDR", "127.0.0.1:5001"),
		DemoAddr:   l.addrOrOff("DEMO_ADDR", "127.0.0.1:5002"),
		DataDir:    l.text("DATA_DIR", "./data"),
		LogDir:     l.text("LOG_DIR", "./logs"),
		LogLevel:   l.level(),
	}
	l.distinct(c)
	c.Database = l.database(c.DataDir)
	c.PublicURL = l.origin("PUBLIC_URL", c.ListenAddr)
	c.SimURL = l.origin("SIM_PUBLIC_URL", c.SimAddr)
	if l.env["SIM_CASHIER_URL"] != "" {
		c.SimCashier = l.origin("SIM_CASHIER_URL", "")
	}
	c.WebhookURL, c.WebhookSecret = l.webhook()
	c.ReturnOrigins = l.returnOrigins(c.DemoAddr)
	if len(l.errs) > 0 {
		return c, l.errs
	}
	return c, nil
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

// loader collects errors while the settings are read, so that the user mends all of them in one go.
type loader struct {
	env  map[string]string
	errs Problems
}

func (l *loader) fail(name, cure string) {
	l.errs = append(l.errs, Problem{Setting: name, Code: "invalid", Text: cure})
}

func (l *loader) text(name, otherwise string) string {
	if v := l.env[name]; v != "" {
		return v
	}
	return otherwise
}

// refuseLive keeps a user who has real credentials from believing that they are used.
func (l *loader) refuseLive() {
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		platform := strings.HasPrefix(name, "WECHAT_") || strings.HasPrefix(name, "ALIPAY_")
		if platform && l.env[name] != "" {
			l.fail(name, "this version runs in test mode only and takes no platform settings; unset it")
		}
	}
}

func (l *loader) addrOrOff(name, otherwise string) string {
	if l.env[name] == Off {
		return Off
	}
	return l.addr(name, otherwise)
}

// addr reads host:port. Whoever reaches a process in test mode can pay in it without money, so that it listens on
// loopback unless told otherwise.
func (l *loader) addr(name, otherwise string) string {
	v := l.text(name, otherwise)
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		l.fail(name, "write it as host:port, for example "+otherwise)
		return otherwise
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		l.fail(name, "the port is a number from 1 to 65535")
		return otherwise
	}
	if !loopback(host) && l.env["ALLOW_PUBLIC_TEST"] != "1" {
		l.fail(name, "test mode listens on this machine only; use 127.0.0.1, or set ALLOW_PUBLIC_TEST=1 to let others in")
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
			l.fail(a.name, "is the same address as "+other+"; give it a port of its own")
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
	v := l.env[name]
	if v == "" {
		v = originOf(addr)
	}
	if v == "" {
		l.fail(name, "set it: the listen address does not say under which URL it is reached")
		return ""
	}
	o, ok := parseOrigin(v)
	if !ok {
		l.fail(name, "write it as http(s)://host[:port], without path, query or user name")
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

func (l *loader) database(dir string) secret.Text {
	v := l.env["DATABASE_URL"]
	if v == "" {
		return secret.New("sqlite:" + filepath.Join(dir, "test.db"))
	}
	// The error of url.Parse quotes the password: it is dropped.
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || len(u.Path) < 2 {
		l.fail("DATABASE_URL", "write it as postgres://user:password@host:5432/database (special characters in the password as %XX), or leave it empty for SQLite")
	}
	return secret.New(v)
}

func (l *loader) webhook() (endpoint string, key secret.Text) {
	endpoint, key = l.env["WEBHOOK_URL"], secret.New(l.env["WEBHOOK_SECRET"])
	switch {
	case endpoint == "" && key.Empty():
		return "", secret.Text{}
	case endpoint == "":
		l.fail("WEBHOOK_URL", "set it, or unset WEBHOOK_SECRET: the two go together")
		return "", secret.Text{}
	case key.Empty():
		l.fail("WEBHOOK_SECRET", "set it, or unset WEBHOOK_URL: the two go together; make one with: echo whsec_$(openssl rand -base64 32)")
		return "", secret.Text{}
	}
	if _, ok := parseHTTP(endpoint); !ok {
		l.fail("WEBHOOK_URL", "write it as http(s)://host/path, without user name or fragment")
	}
	if !goodWebhookSecret(key.Reveal()) {
		l.fail("WEBHOOK_SECRET", "is no whsec_ key of 24 to 64 random bytes, or one from a published example; make one with: echo whsec_$(openssl rand -base64 32)")
	}
	return endpoint, key
}

// Lengths of a webhook key in bytes: Standard Webhooks, "Symmetric", and the example key of its libraries.
const (
	webhookKeyMin     = 24
	webhookKeyMax     = 64
	webhookKeyExample = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	webhookKeyVariety = 8 // distinct bytes; a random key of 24 bytes has fewer once in 10²⁴
)

func goodWebhookSecret(v string) bool {
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

// returnOrigins reads the comma list of origins; unset, it is the demo shop's.
func (l *loader) returnOrigins(demo string) []string {
	const name = "RETURN_URL_ORIGINS"
	v := l.env[name]
	if v == "" {
		v = originOf(demo)
	}
	if v == "" {
		return nil
	}
	var origins []string
	for item := range strings.SplitSeq(v, ",") {
		o, ok := parseOrigin(strings.TrimSpace(item))
		if !ok {
			l.fail(name, "write a comma list of origins, each http(s)://host[:port] without a path")
			return nil
		}
		origins = append(origins, o)
	}
	return origins
}

func (l *loader) level() slog.Level {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[l.text("LOG_LEVEL", "info")]
	if !ok {
		l.fail("LOG_LEVEL", "is one of debug, info, warn, error")
	}
	return level
}
