package config_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"piaohao/internal/channel/all"
	"piaohao/internal/config"
)

// FuzzLoad: no value of any variable makes the loader panic or is shown, and live mode has no simulator whatever is set.
func FuzzLoad(f *testing.F) {
	f.Add("WECHAT_MCH_ID", "1900000109", "WECHAT_SANDBOX", "false")
	f.Add("PUBLIC_URL", "https://pay.example.com", "TRUSTED_PROXIES", "0.0.0.0/0")
	f.Add("WEBHOOK_URL", "http://u:p@h/", "WEBHOOK_SECRET", "whsec_x")
	f.Add("DATABASE_URL", "postgres://u:canary@h/%zz", "LISTEN_ADDR", ":::")
	f.Add("RETURN_URL_ORIGINS", "https://a,https://b/x", "ALIPAY_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----")
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, name, value, otherName, otherValue string) {
		const canary = "c4nary7"
		env := map[string]string{name: value + canary, otherName: otherValue}
		c, err := config.Load(config.Source{Env: env, Now: func() time.Time { return now }}, all.Drivers)
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Fatalf("shown: %v", err)
		}
		for _, w := range c.Warnings {
			if strings.Contains(w.String(), canary) {
				t.Fatalf("shown: %v", w)
			}
		}
		if err != nil {
			return
		}
		if c.Live && (c.SimAddr != config.Off || c.DemoAddr != config.Off) {
			t.Fatalf("live with a simulator: %+v", c)
		}
		for _, origin := range append(c.ReturnOrigins, c.PublicURL) {
			if u, err := url.Parse(origin); origin != "" && (err != nil || u.Host == "" || u.Path != "" || u.User != nil || u.RawQuery != "") {
				t.Fatalf("%q is an origin", origin)
			}
		}
		for _, p := range c.TrustedProxies {
			if p.Bits() == 0 {
				t.Fatalf("everybody is trusted: %v", c.TrustedProxies)
			}
		}
	})
}
