package doctor_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/config"
	"piaohao/internal/doctor"
	"piaohao/internal/secret"
)

// broken is a world with one thing wrong, and the one finding that it must give.
type broken struct {
	name    string
	mend    func(*world) // breaks it
	level   channel.Level
	code    string
	setting string
	cure    string // a part of it
}

const (
	bad   = channel.LevelError
	doubt = channel.LevelWarn
)

// run examines each row's world: exactly one fault, with its cure.
func run(t *testing.T, online bool, rows []broken) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := good(t)
			w.in.Online = online
			row.mend(w)
			r := w.examine(t)
			got := faults(r)
			if len(got) != 1 {
				t.Fatalf("%d faults, want 1: %+v", len(got), got)
			}
			f := got[0]
			if f.Level != row.level || f.Code != row.code || f.Setting != row.setting {
				t.Errorf("got %s %s of %q, want %s %s of %q: %s", f.Level, f.Code, f.Setting, row.level, row.code, row.setting, f.Text)
			}
			if f.Cure == "" || !strings.Contains(f.Cure, row.cure) {
				t.Errorf("cure is %q, want it to hold %q", f.Cure, row.cure)
			}
			if f.Title == "" {
				t.Errorf("%s has no title", f.Code)
			}
			if (r.Errors == 1) != (row.level == bad) || (r.Warnings == 1) != (row.level == doubt) {
				t.Errorf("counts %d errors and %d warnings", r.Errors, r.Warnings)
			}
		})
	}
}

func TestNothingWrong(t *testing.T) {
	t.Parallel()
	for _, online := range []bool{false, true} {
		w := good(t)
		w.in.Online = online
		r := w.examine(t)
		if got := faults(r); len(got) > 0 || r.Errors > 0 || r.Warnings > 0 {
			t.Errorf("online %v: %+v", online, got)
		}
		for _, code := range []string{"proven", "not_provable", "clock", "public_answers", "notify_answers"} {
			if has(r, code) != online {
				t.Errorf("online %v: has %s: %v", online, code, !online)
			}
		}
	}
}

func TestOffline(t *testing.T) {
	t.Parallel()
	run(t, false, []broken{
		{".env is readable by all", func(w *world) {
			w.files.facts[".env"] = doctor.Facts{Mode: 0o644, Owner: 1000, Self: 1000}
		}, doubt, "env_file_mode", "", "chmod 600 .env"},
		{".env belongs to somebody else", func(w *world) {
			w.files.facts[".env"] = doctor.Facts{Mode: 0o600, Owner: 1001, Self: 1000}
		}, doubt, "env_file_owner", "", "chown 1000 .env"},
		{"the data folder is open", func(w *world) {
			w.files.facts["data"] = doctor.Facts{Mode: fs.ModeDir | 0o755}
		}, doubt, "data_dir_mode", "DATA_DIR", "chmod 700 data"},
		{"the data folder is a file", func(w *world) {
			w.files.facts["data"] = doctor.Facts{Mode: 0o600}
		}, bad, "data_dir", "DATA_DIR", "mkdir -p data"},
		{"the data folder is not ours", func(w *world) { w.files.locked["data"] = true }, bad, "data_dir", "DATA_DIR", "mkdir -p data"},
		{"the data folder cannot be made", func(w *world) {
			delete(w.files.facts, "data")
			w.files.locked["data"] = true
		}, bad, "data_dir", "DATA_DIR", "mkdir -p data"},
		{"the log folder is not ours", func(w *world) { w.files.locked["logs"] = true }, bad, "log_dir", "LOG_DIR", "LOG_DIR=off"},
		{"the other mode's database", func(w *world) {
			w.in.Config.Database = secret.New("sqlite:data/test.db")
		}, bad, "database_mode", "DATABASE_URL", "data/live.db"},
		{"everybody is a trusted proxy", func(w *world) {
			w.in.Config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("0.0.0.0/0")}
		}, doubt, "trusted_proxies", "TRUSTED_PROXIES", "127.0.0.1/32"},
		{"a clock that was never set", func(w *world) { w.now = time.Unix(0, 0) }, bad, "clock", "", "NTP"},
		{"events over http", func(w *world) { w.in.Config.WebhookURL = "http://shop.test/hook" }, doubt, "webhook_plain", "WEBHOOK_URL", "https"},
		{"the notice address has a query", func(w *world) {
			w.account(wechatAccount).NotifyURL += "?shop=1"
		}, bad, "query", "WECHAT_NOTIFY_URL", "?"},
		{"the notice address is the guide's example", func(w *world) {
			w.account(wechatAccount).NotifyURL = "https://yourdomain.com/payment/wechat/notify"
		}, bad, "placeholder", "WECHAT_NOTIFY_URL", "your own domain"},
		{"the notice address is this machine", func(w *world) {
			w.account(alipayAccount).NotifyURL = "https://127.0.0.1/payment/alipay/notify"
		}, bad, "private", "ALIPAY_NOTIFY_URL", "ngrok"},
		{"the notice address is in the house", func(w *world) {
			w.account(alipayAccount).NotifyURL = "https://192.168.1.10/payment/alipay/notify"
		}, bad, "private", "ALIPAY_NOTIFY_URL", "public name"},
		{"the notice address is a container's name", func(w *world) {
			w.account(alipayAccount).NotifyURL = "https://gateway/payment/alipay/notify"
		}, bad, "private", "ALIPAY_NOTIFY_URL", "public name"},
		{"the notice address is http", func(w *world) {
			w.account(wechatAccount).NotifyURL = "http://pay.shop.test/payment/wechat/notify"
		}, bad, "http", "WECHAT_NOTIFY_URL", "https"},
		{"the notice address is a tunnel", func(w *world) {
			w.account(wechatAccount).NotifyURL = "https://f00d.ngrok.io/payment/wechat/notify"
		}, doubt, "tunnel", "WECHAT_NOTIFY_URL", "domain of your own"},
		{"the notice address is the bare domain", func(w *world) {
			w.account(wechatAccount).NotifyURL = origin
		}, bad, "path", "WECHAT_NOTIFY_URL", "/payment/wechat/notify"},
		{"the notice address is the success page", func(w *world) {
			w.account(alipayAccount).NotifyURL = origin + "/payment/success/"
		}, bad, "path", "ALIPAY_NOTIFY_URL", "/payment/alipay/notify"},
		{"the proxy does not know the notice path", func(w *world) {
			w.account(alipayAccount).NotifyURL = origin + "/alipay/callback"
		}, doubt, "path", "ALIPAY_NOTIFY_URL", "/payment/alipay/notify"},
		{"notices go to another host", func(w *world) {
			w.account(alipayAccount).NotifyURL = "https://www.shop.test/payment/alipay/notify"
		}, doubt, "notify_origin", "ALIPAY_NOTIFY_URL", "one host"},
		{"the public address is http", func(w *world) { alone(w, "http://pay.shop.test") }, bad, "http", "PUBLIC_URL", "https"},
		{"the public address is this machine", func(w *world) { alone(w, "https://localhost:5000") }, bad, "private", "PUBLIC_URL", "public name"},
		{"in test mode, nobody reaches this laptop", func(w *world) {
			onLaptop(w)
			w.account(0).NotifyURL = ""
		}, doubt, "private", "PUBLIC_URL", "ngrok"},
		{"one wrong host in both, blamed once", func(w *world) {
			alone(w, "https://192.168.1.10")
			w.account(wechatAccount).NotifyURL = "https://192.168.1.10/payment/wechat/notify"
		}, bad, "private", "WECHAT_NOTIFY_URL", "public name"},
		{"payers return to localhost", func(w *world) {
			w.in.Config.ReturnOrigins = []string{"http://localhost:3000"}
		}, doubt, "return_inner", "RETURN_URL_ORIGINS", "public origin"},
		{"payers return over http", func(w *world) {
			w.in.Config.ReturnOrigins = []string{"http://shop.test"}
		}, doubt, "return_plain", "RETURN_URL_ORIGINS", "https"},
		{"phones are left out", func(w *world) {
			w.account(alipayAccount).Products = w.account(alipayAccount).Products[:1]
		}, doubt, "no_phone", "ALIPAY_PRODUCTS", "ALIPAY_PRODUCTS"},
		{"a file that cannot be read", func(w *world) {
			w.in.Err = &fs.PathError{Op: "open", Path: ".env", Err: fs.ErrPermission}
		}, bad, "unreadable", "", "user who runs piaohao"},
		{"what Load warns of", func(w *world) {
			w.in.Config.Warnings = config.Problems{{Setting: "WECHAT_SIGN_TYPE", Code: "unused", Text: "has no effect", Cure: "delete it"}}
		}, doubt, "unused", "WECHAT_SIGN_TYPE", "delete it"},
		{"what Load found, once", func(w *world) {
			w.in.Err = config.Problems{{
				File: ".env", Line: 7, Setting: "PUBLIC_URL", Code: "mode", Text: "is http", Cure: "write https://",
			}}
			alone(w, "http://pay.shop.test")
		}, bad, "mode", "PUBLIC_URL", "write https://"},
	})
}

// onLaptop makes of the world a laptop in test mode with Alipay's sandbox, whose notices come by a tunnel.
func onLaptop(w *world) {
	c := &w.in.Config
	c.Live, c.PublicURL, c.Database = false, "http://127.0.0.1:5000", secret.New("sqlite:data/test.db")
	c.Accounts = c.Accounts[alipayAccount:]
	c.Accounts[0].NotifyURL = "https://f00d.ngrok.io/payment/alipay/notify"
}

func TestALaptopWithATunnel(t *testing.T) {
	t.Parallel()
	w := good(t)
	onLaptop(w)
	if got := faults(w.examine(t)); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

// alone sets the public address, and no notice address beside it.
func alone(w *world, url string) {
	w.in.Config.PublicURL = url
	w.account(wechatAccount).NotifyURL, w.account(alipayAccount).NotifyURL = "", ""
}

func TestBrokenSettingsAreExaminedAllTheSame(t *testing.T) {
	t.Parallel()
	w := good(t)
	w.in.Err = config.Problems{
		{File: ".env", Line: 3, Setting: "ALIPAY_PRIVATE_KEY", Code: "cut", Text: "does not end", Cure: "paste it whole"},
		{File: ".env", Line: 40, Setting: "LOG_LEVEL", Code: "invalid", Text: "is no level", Cure: "use info"},
	}
	w.in.Config.Accounts = w.in.Config.Accounts[:1]
	w.files.facts[".env"] = doctor.Facts{Mode: 0o666}
	r := w.examine(t)
	if r.Errors != 2 || r.Warnings != 1 || r.Starts || len(r.Accounts) != 1 || has(r, "not_offered") {
		t.Errorf("%+v", r)
	}
	for _, f := range r.General {
		if f.Code == "cut" && (f.File != ".env" || f.Line != 3) {
			t.Errorf("the place is lost: %+v", f)
		}
	}
}

func TestShelvedCredentialsAreNeverSent(t *testing.T) {
	t.Parallel()
	w := good(t)
	w.in.Online = true
	w.in.Config.Live = false
	w.in.Config.PublicURL = "http://127.0.0.1:5000"
	w.public = gateway(false)
	w.in.Config.Database = secret.New("sqlite:data/test.db")
	w.in.Config.Shelved, w.in.Config.Accounts = w.in.Config.Accounts[:1], nil
	w.in.Platforms = refuse{t}
	r := w.examine(t)
	if len(faults(r)) > 0 || !has(r, "shelved") || r.Accounts[0].Use != "unused" || has(r, "proven") {
		t.Errorf("%+v", r)
	}
}

// refuse is a network that nobody may use.
type refuse struct{ t *testing.T }

func (r refuse) RoundTrip(req *http.Request) (*http.Response, error) {
	r.t.Errorf("asked %s", req.URL.Host)
	return nil, errors.New("refused")
}
