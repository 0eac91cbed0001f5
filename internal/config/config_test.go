package config_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"piaohao/internal/channel/all"
	"piaohao/internal/config"
)

var goodSecret = webhookKey(32)

func webhookKey(bytes int) string {
	key := make([]byte, bytes)
	for i := range key {
		key[i] = byte(i)
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ setting, got, want string }{
		{"ListenAddr", c.ListenAddr, "127.0.0.1:5000"},
		{"SimAddr", c.SimAddr, "127.0.0.1:5001"},
		{"SimURL", c.SimURL, "http://127.0.0.1:5001"},
		{"DemoAddr", c.DemoAddr, "127.0.0.1:5002"},
		{"DataDir", c.DataDir, "./data"},
		{"Database", c.Database.Reveal(), "sqlite:data/test.db"},
		{"PublicURL", c.PublicURL, "http://127.0.0.1:5000"},
		{"WebhookURL", c.WebhookURL, ""},
		{"WebhookSecret", c.WebhookSecret.Reveal(), ""},
		{"ReturnOrigins", strings.Join(c.ReturnOrigins, ","), "http://127.0.0.1:5002"},
		{"LogLevel", c.LogLevel.String(), "INFO"},
	} {
		if row.got != row.want {
			t.Errorf("%s = %q, want %q", row.setting, row.got, row.want)
		}
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		env  string // NAME=value, separated by spaces
		get  func(config.Config) string
		want string
	}{
		{"an empty variable is an unset one", "LISTEN_ADDR=", listen, "127.0.0.1:5000"},
		{"public URL follows the listen address", "LISTEN_ADDR=localhost:8080", public, "http://localhost:8080"},
		{"IPv6 loopback", "LISTEN_ADDR=[::1]:8080", public, "http://[::1]:8080"},
		{"public URL loses its slash and capitals", "PUBLIC_URL=https://Pay.Example/", public, "https://pay.example"},
		{"public listener when told so", "LISTEN_ADDR=0.0.0.0:80 ALLOW_PUBLIC_TEST=1 PUBLIC_URL=http://pay.example", listen, "0.0.0.0:80"},
		{"SQLite lies in the data directory", "DATA_DIR=/var/lib/piaohao", database, "sqlite:/var/lib/piaohao/test.db"},
		{"PostgreSQL", "DATABASE_URL=postgres://u:p@db/piaohao?sslmode=disable", database, "postgres://u:p@db/piaohao?sslmode=disable"},
		{"a safe database is the default", "", unsafely, "false"},
		{"an unsafe database when told so", "ALLOW_UNSAFE_DATABASE=1", unsafely, "true"},
		{"allowing an unsafe database needs a 1", "ALLOW_UNSAFE_DATABASE=true", unsafely, "false"},
		{"another process simulates", "SIM_ADDR=off SIM_PUBLIC_URL=http://127.0.0.1:6001", sim, "off http://127.0.0.1:6001"},
		{"simulator behind a proxy", "SIM_PUBLIC_URL=https://sim.example", sim, "127.0.0.1:5001 https://sim.example"},
		{"the simulator's cashier follows", "SIM_PUBLIC_URL=https://sim.example", cashier, ""},
		{"the simulator's cashier of its own", "SIM_CASHIER_URL=http://cashier.localhost:5001/", cashier, "http://cashier.localhost:5001"},
		{"no demo shop, no way back", "DEMO_ADDR=off", origins, ""},
		{"origins of the shop's own", "RETURN_URL_ORIGINS=https://a.example,HTTPS://B.example:8443/", origins, "https://a.example https://b.example:8443"},
		{"shortest webhook secret", "WEBHOOK_URL=http://a.example/ WEBHOOK_SECRET=" + webhookKey(24), webhook, "http://a.example/ " + webhookKey(24)},
		{"longest webhook secret", "WEBHOOK_URL=http://a.example/ WEBHOOK_SECRET=" + webhookKey(64), webhook, "http://a.example/ " + webhookKey(64)},
		{"A40 webhook, new and old", "WEBHOOK_URL=http://a.example/ WEBHOOK_SECRET=" + webhookKey(24) + "," + goodSecret, webhook, "http://a.example/ " + webhookKey(24) + "," + goodSecret},
		{"webhook", "WEBHOOK_URL=http://127.0.0.1:9000/hook WEBHOOK_SECRET=" + goodSecret, webhook, "http://127.0.0.1:9000/hook " + goodSecret},
		{"proxies", "TRUSTED_PROXIES=10.0.0.7,172.18.3.4/16,::1", proxies, "10.0.0.7/32 172.18.0.0/16 ::1/128"},
		{"a proxy on this machine", "", proxies, "127.0.0.0/8 ::1/128"},
		{"no proxy before a public listener", "LISTEN_ADDR=0.0.0.0:80 ALLOW_PUBLIC_TEST=1 PUBLIC_URL=http://pay.example", proxies, ""},
		{"no proxy", "TRUSTED_PROXIES=off", proxies, ""},
		{"late money goes back", "", func(c config.Config) string { return fmt.Sprint(c.AcceptLate) }, "false"},
		{"late money pays", "LATE_PAYMENT=accept", func(c config.Config) string { return fmt.Sprint(c.AcceptLate) }, "true"},
		{"log level", "LOG_LEVEL=debug", func(c config.Config) string { return c.LogLevel.String() }, slog.LevelDebug.String()},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(config.Source{Env: config.Environ(strings.Fields(row.env))}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := row.get(c); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func proxies(c config.Config) string {
	texts := make([]string, len(c.TrustedProxies))
	for i, p := range c.TrustedProxies {
		texts[i] = p.String()
	}
	return strings.Join(texts, " ")
}
func listen(c config.Config) string   { return c.ListenAddr }
func public(c config.Config) string   { return c.PublicURL }
func database(c config.Config) string { return c.Database.Reveal() }
func unsafely(c config.Config) string { return strconv.FormatBool(c.UnsafeDatabase) }
func sim(c config.Config) string      { return c.SimAddr + " " + c.SimURL }
func cashier(c config.Config) string  { return c.SimCashier }
func origins(c config.Config) string  { return strings.Join(c.ReturnOrigins, " ") }
func webhook(c config.Config) string  { return c.WebhookURL + " " + c.WebhookSecret.Reveal() }

func TestRefused(t *testing.T) {
	t.Parallel()
	withURL := "WEBHOOK_URL=http://127.0.0.1/hook WEBHOOK_SECRET="
	for _, row := range []struct {
		name string
		env  string // NAME=value, separated by spaces
		want string // the variable, and what the error says of the cure
	}{
		{"no port", "LISTEN_ADDR=127.0.0.1", "LISTEN_ADDR: write it as host:port"},
		{"cashier of no origin", "SIM_CASHIER_URL=http://a.example/path", "SIM_CASHIER_URL: write it as http(s)://host[:port]"},
		{"port of letters", "DEMO_ADDR=127.0.0.1:http", "DEMO_ADDR: the port is a number"},
		{"port 0", "SIM_ADDR=127.0.0.1:0", "SIM_ADDR: the port is a number"},
		{"port 65536", "SIM_ADDR=127.0.0.1:65536", "SIM_ADDR: the port is a number"},
		{"off is no address of the gateway", "LISTEN_ADDR=off", "LISTEN_ADDR: write it as host:port"},
		{"all interfaces", "LISTEN_ADDR=:5000", "LISTEN_ADDR: test mode listens on this machine only"},
		{"public address", "LISTEN_ADDR=192.0.2.1:5000", "LISTEN_ADDR: test mode listens on this machine only"},
		{"public host name", "SIM_ADDR=pay.example:5001", "SIM_ADDR: test mode listens on this machine only"},
		{"public demo shop", "DEMO_ADDR=0.0.0.0:5002", "DEMO_ADDR: test mode listens on this machine only"},
		{"allowing needs a 1", "LISTEN_ADDR=:5000 ALLOW_PUBLIC_TEST=0", "LISTEN_ADDR: test mode listens on this machine only"},
		{"one address twice", "SIM_ADDR=127.0.0.1:5000", "SIM_ADDR: is the same address as LISTEN_ADDR"},
		{"simulator and demo shop collide", "DEMO_ADDR=127.0.0.1:5001", "DEMO_ADDR: is the same address as SIM_ADDR"},
		{"nobody simulates", "SIM_ADDR=off", "SIM_PUBLIC_URL: set it"},
		{"all interfaces name no URL", "LISTEN_ADDR=0.0.0.0:5000 ALLOW_PUBLIC_TEST=1", "PUBLIC_URL: set it"},
		{"public URL without scheme", "PUBLIC_URL=pay.example", "PUBLIC_URL: write it as"},
		{"public URL with a path", "PUBLIC_URL=https://pay.example/pay", "PUBLIC_URL: write it as"},
		{"public URL with a query", "PUBLIC_URL=https://pay.example?", "PUBLIC_URL: write it as"},
		{"public URL with a user", "PUBLIC_URL=https://u:p@pay.example", "PUBLIC_URL: write it as"},
		{"public URL with an empty port", "PUBLIC_URL=https://pay.example:", "PUBLIC_URL: write it as"},
		{"public URL of another scheme", "PUBLIC_URL=ftp://pay.example", "PUBLIC_URL: write it as"},
		{"MySQL", "DATABASE_URL=mysql://u:p@db/piaohao", "DATABASE_URL: write it as postgres://"},
		{"PostgreSQL without a database", "DATABASE_URL=postgres://db", "DATABASE_URL: write it as postgres://"},
		{"PostgreSQL with a raw % in the password", "DATABASE_URL=postgres://u:5%z@db/piaohao", "DATABASE_URL: write it as postgres://"},
		{"A40 three webhook secrets", withURL + goodSecret + "," + goodSecret + "," + goodSecret, "WEBHOOK_SECRET: is no whsec_ key"},
		{"A40 the old webhook secret short", withURL + goodSecret + ",whsec_c2hvcnQ=", "WEBHOOK_SECRET: is no whsec_ key"},
		{"webhook URL alone", "WEBHOOK_URL=http://127.0.0.1/hook", "WEBHOOK_SECRET: set it"},
		{"webhook secret alone", "WEBHOOK_SECRET=" + goodSecret, "WEBHOOK_URL: set it"},
		{"webhook URL relative", "WEBHOOK_URL=/hook WEBHOOK_SECRET=" + goodSecret, "WEBHOOK_URL: write it as"},
		{"webhook URL opaque", "WEBHOOK_URL=https:shop.example WEBHOOK_SECRET=" + goodSecret, "WEBHOOK_URL: write it as"},
		{"webhook URL with a user", "WEBHOOK_URL=http://u@shop.example/ WEBHOOK_SECRET=" + goodSecret, "WEBHOOK_URL: write it as"},
		{"webhook URL with a fragment", "WEBHOOK_URL=http://shop.example/# WEBHOOK_SECRET=" + goodSecret, "WEBHOOK_URL: write it as"},
		{"A05 webhook secret without prefix", withURL + goodSecret[6:], "WEBHOOK_SECRET: is no whsec_ key"},
		{"A05 webhook secret not base64", withURL + "whsec_change_me", "WEBHOOK_SECRET: is no whsec_ key"},
		{"A05 webhook secret of 23 bytes", withURL + webhookKey(23), "WEBHOOK_SECRET: is no whsec_ key"},
		{"A05 webhook secret of 65 bytes", withURL + webhookKey(65), "WEBHOOK_SECRET: is no whsec_ key"},
		{"A05 webhook secret of one letter", withURL + "whsec_" + strings.Repeat("AAAA", 8), "WEBHOOK_SECRET: is no whsec_ key"},
		{"A05 webhook secret from the specification", withURL + "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "WEBHOOK_SECRET: is no whsec_ key"},
		{"origin with a path", "RETURN_URL_ORIGINS=https://a.example/back", "RETURN_URL_ORIGINS: write a comma list"},
		{"origin list with a gap", "RETURN_URL_ORIGINS=https://a.example,,https://b.example", "RETURN_URL_ORIGINS: write a comma list"},
		{"A87 origin without scheme", "RETURN_URL_ORIGINS=//a.example", "RETURN_URL_ORIGINS: write a comma list"},
		{"A87 origin of javascript", "RETURN_URL_ORIGINS=javascript://a.example", "RETURN_URL_ORIGINS: write a comma list"},
		{"late money kept", "LATE_PAYMENT=keep", "LATE_PAYMENT: is refund, which sends"},
		{"log level", "LOG_LEVEL=loud", "LOG_LEVEL: is one of debug, info, warn, error"},
		{"proxies in a list with a gap", "TRUSTED_PROXIES=10.0.0.1,,10.0.0.2", "TRUSTED_PROXIES: write a comma list"},
		{"proxies by name", "TRUSTED_PROXIES=nginx", "TRUSTED_PROXIES: write a comma list"},
		{"everybody as a proxy", "TRUSTED_PROXIES=0.0.0.0/0", "TRUSTED_PROXIES: write a comma list"},
		{"everybody as a proxy, IPv6", "TRUSTED_PROXIES=::/0", "TRUSTED_PROXIES: write a comma list"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Source{Env: config.Environ(strings.Fields(row.env))}, nil)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := err.Error(); !strings.HasPrefix(got, row.want) || strings.Contains(got, "\n") {
				t.Errorf("error is\n%s\nwant one line beginning with\n%s", got, row.want)
			}
		})
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Source{Env: map[string]string{
		"LISTEN_ADDR": "nowhere", "DATABASE_URL": "mysql://", "LOG_LEVEL": "loud", "WEBHOOK_URL": "http://a.example/",
		"ALIPAY_SANDBOX": "perhaps", "WECHAT_APPID": "1",
	}}, all.Drivers)
	if err == nil {
		t.Fatal("accepted")
	}
	var names []string
	for line := range strings.Lines(err.Error()) {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	want := []string{"WECHAT_APPID", "ALIPAY_SANDBOX", "WECHAT_APP_ID", "LISTEN_ADDR", "LOG_LEVEL", "DATABASE_URL", "WEBHOOK_SECRET"}
	if !slices.Equal(names, want) {
		t.Errorf("errors name %v, want %v", names, want)
	}
}

func TestNoValueIsShown(t *testing.T) {
	t.Parallel()
	const canary = "canary5%z"
	names := []string{
		"LISTEN_ADDR", "SIM_ADDR", "SIM_PUBLIC_URL", "DEMO_ADDR", "DATABASE_URL", "PUBLIC_URL", "WEBHOOK_URL",
		"WEBHOOK_SECRET", "RETURN_URL_ORIGINS", "LOG_LEVEL", "WECHAT_PRIVATE_KEY", "ALIPAY_PRIVATE_KEY", "TRUSTED_PROXIES",
	}
	for _, name := range names {
		t.Run("A100 the error of "+name, func(t *testing.T) {
			t.Parallel()
			for _, value := range []string{canary, "postgres://u:" + canary + "@db/x", "http://u:" + canary + "@a.example"} {
				_, err := config.Load(config.Source{Env: map[string]string{name: value}}, all.Drivers)
				if err == nil {
					t.Fatalf("%s: accepted", value)
				}
				if strings.Contains(err.Error(), "canary") {
					t.Errorf("the error shows the value: %v", err)
				}
			}
		})
	}
	t.Run("A100 printing the settings", func(t *testing.T) {
		t.Parallel()
		c, err := config.Load(config.Source{Env: map[string]string{
			"DATABASE_URL": "postgres://u:canary@db/x", "WEBHOOK_URL": "http://a.example/", "WEBHOOK_SECRET": goodSecret,
		}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "config", c)
		slog.New(slog.NewTextHandler(&log, nil)).Info("start", "config", c)
		fmt.Fprintf(&log, "%v %+v %#v", c, c, c)
		if strings.Contains(log.String(), "canary") || strings.Contains(log.String(), goodSecret[6:]) {
			t.Errorf("a secret was printed: %s", log.String())
		}
	})
}
