package wechatv2

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/secret"
	facts "piaohao/spec/wechat"
)

// A05: every fault is found at once and named, with a cure; nothing repeats the key.
func TestA05Settings(t *testing.T) {
	t.Parallel()
	const id, number, key, sign = "WECHAT_APP_ID", "WECHAT_MCH_ID", "WECHAT_MCH_KEY", "WECHAT_SIGN_TYPE"
	with := func(change func(c *Config)) Config {
		c := *testConfig()
		change(&c)
		return c
	}
	keyed := func(k string) Config { return with(func(c *Config) { c.MchKey = secret.New(k) }) }
	for _, tt := range []struct {
		name   string
		config Config
		want   []string // level, code and setting
	}{
		{"complete", *testConfig(), []string{"ok api_v2 " + key}},
		{"HMAC-SHA256", with(func(c *Config) { c.SignType = "HMAC-SHA256" }), []string{"ok api_v2 " + key}},
		{"nothing set", Config{}, []string{"error missing " + id, "error missing " + number, "error missing " + key}},
		{
			"as the guide prints it",
			Config{AppID: "wx1234567890abcdef", MerchantID: "1234567890", MchKey: secret.New("your32digitmerchantkey")},
			[]string{"error placeholder " + id, "error placeholder " + number, "error placeholder " + key},
		},
		{
			"everything wrong",
			Config{AppID: "wx 1", MerchantID: "12", MchKey: secret.New("short"), SignType: "SHA1"},
			[]string{"error space " + id, "error form " + number, "error length " + key, "error sign_type " + sign},
		},
		{"sign type in lower case", with(func(c *Config) { c.SignType = "hmac-sha256" }), []string{"error sign_type " + sign}},
		{"app id and number swapped", with(func(c *Config) { c.AppID, c.MerchantID = c.MerchantID, c.AppID }), []string{"error swapped " + id, "error swapped " + number}},
		{"app id for a key", keyed(facts.V2AppID), []string{"error swapped " + key}},
		{"merchant number for a key", keyed(facts.V2MerchantID), []string{"error swapped " + key}},
		{"PEM for a key", keyed("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"), []string{"error swapped " + key}},
		{"key of 31", keyed(testKey[:31]), []string{"error length " + key}},
		{"key of 33", keyed(testKey + "x"), []string{"error length " + key}},
		{"key with a line break", keyed(testKey + "\n"), []string{"error space " + key}},
		{"key with a space inside", keyed(testKey[:15] + " " + testKey[16:]), []string{"error space " + key}},
		{"key with an invisible character", keyed(testKey[:29] + "\u200b"), []string{"error space " + key}},
		{"the documentation's key", keyed(facts.V2Key), []string{"error published_key " + key}},
		{"the SDK's key", keyed("8934e7d15453e97507ef794cf7b0519d"), []string{"error published_key " + key}},
		{"the key of the refund example", keyed(facts.V2ReqInfo.Key), []string{"error published_key " + key}},
		{"the SDK's account", with(func(c *Config) { c.AppID, c.MerchantID = "wx426b3015555a46be", "1900009851" }), []string{"error published_key " + id, "error published_key " + number}},
		{"key of one character", keyed(strings.Repeat("a", 32)), []string{"error weak_key " + key}},
		{"key of x", keyed(strings.Repeat("x", 32)), []string{"error placeholder " + key}},
		{"key of 12345678", keyed(strings.Repeat("12345678", 4)), []string{"error weak_key " + key}},
		{"key of a sequence twice", keyed("0123456789abcdef0123456789abcdef"), []string{"error weak_key " + key}},
		{"key with other characters", keyed(testKey[:31] + "!"), []string{"warn unusual " + key, "ok api_v2 " + key}},
		{"app id too long", with(func(c *Config) { c.AppID = strings.Repeat("w", 33) }), []string{"error form " + id}},
		{"app id of another look", with(func(c *Config) { c.AppID = "app_1" }), []string{"warn unusual " + id, "ok api_v2 " + key}},
		{"number of 11 digits", with(func(c *Config) { c.MerchantID = "19000000001" }), []string{"error form " + number}},
	} {
		t.Run("A05 "+tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range tt.config.Inspect(time.Time{}) {
				if f.Code == "no_certificate" {
					continue // TestCertificate asks about it
				}
				got = append(got, string(f.Level)+" "+f.Code+" "+f.Setting)
				if f.Text == "" || (f.Cure == "") != (f.Level == channel.LevelOK) {
					t.Errorf("%+v: no text, or a cure where none belongs", f)
				}
				if k := tt.config.MchKey.Reveal(); k != "" && strings.Contains(f.String(), k) {
					t.Errorf("%s repeats the key", f.Code)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			env := testEnv()
			env.Account.AppID, env.Account.MerchantID = tt.config.Identity()
			_, err := New(&tt.config, env)
			if (err != nil) != strings.HasPrefix(tt.want[0], "error") {
				t.Errorf("New: %v", err)
			}
		})
	}
	for signType, want := range map[string]string{"": "MD5", "MD5": "MD5", "HMAC-SHA256": "HMAC-SHA256"} {
		found := (&Config{AppID: facts.V2AppID, MerchantID: facts.V2MerchantID, MchKey: secret.New(testKey), SignType: signType}).Inspect(time.Time{})
		if len(found) != 2 || !strings.HasPrefix(found[0].Text, "APIv2 ") || !strings.HasSuffix(found[0].Text, " "+want) {
			t.Errorf("sign type %q: %v", signType, found)
		}
	}
}

func TestA18NewKeepsTestAndLiveApart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, says string
		change     func(*channel.Env)
	}{
		{"A18 a live account with a simulator", "live account", func(e *channel.Env) { e.Account.Livemode = true }},
		{"A18 a live account with a simulator that asks for a certificate", "live account", func(e *channel.Env) { e.Account.Livemode, e.Sim, e.SimSecure = true, "", "https://127.0.0.1:5003" }},
		{"A18 a test account without one", "simulator", func(e *channel.Env) { e.Sim = "" }},
		{"A23 another account's app", "WECHAT_APP_ID", func(e *channel.Env) { e.Account.AppID = "wxother" }},
		{"A23 another account's merchant", "WECHAT_MCH_ID", func(e *channel.Env) { e.Account.MerchantID = "1900000001" }},
	} {
		env := testEnv()
		tt.change(&env)
		if _, err := New(testConfig(), env); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want one that says %s", tt.name, err, tt.says)
		}
	}
	if _, err := New(nil, testEnv()); err == nil {
		t.Error("settings of another driver are taken")
	}
}
