package doctor_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/alipay"
	"piaohao/internal/channel/wechatv3"
	"piaohao/internal/config"
	"piaohao/internal/doctor"
	"piaohao/internal/secret"
	sims "piaohao/internal/sim/all"
)

var now = time.Date(2026, 11, 27, 4, 0, 0, 0, time.UTC)

const origin = "https://pay.shop.test"

// key makes one RSA key per name for all tests: making them is slow.
var key = func() func(name string) *rsa.PrivateKey {
	var mu sync.Mutex
	keys := map[string]*rsa.PrivateKey{}
	return func(name string) *rsa.PrivateKey {
		mu.Lock()
		defer mu.Unlock()
		if keys[name] == nil {
			keys[name], _ = rsa.GenerateKey(rand.Reader, 2048)
		}
		return keys[name]
	}
}()

func privatePEM(name string) string {
	der, _ := x509.MarshalPKCS8PrivateKey(key(name))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func publicPEM(name string) string {
	der, _ := x509.MarshalPKIXPublicKey(&key(name).PublicKey)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// files is a file system of facts. Every folder can be written but those that are locked.
type files struct {
	facts  map[string]doctor.Facts
	locked map[string]bool
}

func (f files) Stat(path string) (doctor.Facts, error) {
	if facts, ok := f.facts[path]; ok {
		return facts, nil
	}
	return doctor.Facts{}, &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
}

func (f files) Writable(dir string) error {
	if f.locked[dir] {
		return &fs.PathError{Op: "open", Path: dir, Err: fs.ErrPermission}
	}
	return nil
}

// world is an installation in which everything is right, for rows to break.
type world struct {
	in     doctor.In
	files  files
	wechat *wechatv3.Config
	alipay *alipay.Config
	wall   time.Time // of the platforms
	public http.Handler
	now    time.Time // ours
}

const (
	wechatAccount = 0
	alipayAccount = 1
)

func (w *world) account(i int) *config.Account { return &w.in.Config.Accounts[i] }

// good is a live installation of both platforms: credentials that the simulator knows, and a gateway that answers.
func good(t *testing.T) *world {
	t.Helper()
	w := &world{
		wall: now, now: now,
		files: files{
			facts: map[string]doctor.Facts{
				".env": {Mode: 0o600, Owner: 1000, Self: 1000}, "data": {Mode: fs.ModeDir | 0o700}, "data/live.db": {Mode: 0o600},
			},
			locked: map[string]bool{},
		},
	}
	sim, err := sims.New(sims.Options{
		PublicURL: "http://sim.test", Wall: func() time.Time { return w.wall }, HTTP: http.DefaultClient,
		Log: slog.New(slog.DiscardHandler),
		Keys: map[string]*rsa.PrivateKey{
			"wechat.merchant": key("wechat"), "wechat.platform": key("wechat platform"),
			"alipay_app": key("alipay"), "alipay_platform": key("alipay platform"),
			// Of its certificates, which no test here looks at.
			"wechat.ca": key("ca"), "wechat.certificate.1": key("ca"), "alipay_root": key("ca"), "alipay_intermediate": key("ca"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	c := sim.Credentials()
	w.wechat = &wechatv3.Config{
		AppID: c.WeChat.AppID, MerchantID: c.WeChat.MerchantID, SerialNo: c.WeChat.SerialNo,
		PrivateKey: secret.New(c.WeChat.PrivateKey), APIv3Key: secret.New(c.WeChat.APIv3Key),
		PublicKeyID: c.WeChat.PublicKeyID, PublicKey: c.WeChat.PublicKey,
	}
	w.alipay = &alipay.Config{
		AppID: c.Alipay.AppID, SellerID: c.Alipay.SellerID,
		PrivateKey: secret.New(c.Alipay.AppPrivateKey), PublicKey: c.Alipay.AlipayPublicKey,
	}
	w.in = doctor.In{
		Config: config.Config{
			Live: true, EnvFile: ".env", DataDir: "data", LogDir: "logs", Database: secret.New("sqlite:data/live.db"),
			PublicURL: origin, WebhookURL: "https://shop.test/hook", WebhookSecret: secret.New("whsec_canary0webhook0canary"),
			ReturnOrigins: []string{"https://shop.test"},
			Accounts: []config.Account{
				account("wechatv3-1900005001", atSim(wechatv3.Driver), w.wechat, origin+"/payment/wechat/notify"),
				account("alipay-2021000000005001", atSim(alipay.Driver), w.alipay, origin+"/payment/alipay/notify"),
			},
		},
		Files:     w.files,
		Now:       func() time.Time { return w.now },
		Platforms: inside{handler: sim.Handler(), date: func() time.Time { return w.wall }},
	}
	w.public = gateway(true)
	w.in.Web = inside{
		handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.public.ServeHTTP(rw, r) }),
		date:    func() time.Time { return now },
	}
	return w
}

func account(id string, d channel.Driver, s channel.Settings, notify string) config.Account {
	appID, merchantID := s.Identity()
	return config.Account{
		Account: channel.Account{ID: id, AppID: appID, MerchantID: merchantID, Livemode: true},
		Driver:  d, Settings: s, Products: d.Info.Products, NotifyURL: notify,
	}
}

// atSim is the driver with its channels led to the simulator, which no setting can do to a live account.
func atSim(d channel.Driver) channel.Driver {
	build := d.New
	d.New = func(s channel.Settings, env channel.Env) (channel.Channel, error) {
		env.Account.Livemode, env.Sim = false, "http://sim.test"
		return build(s, env)
	}
	return d
}

// inside answers requests without a network.
type inside struct {
	handler http.Handler
	date    func() time.Time
}

func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	server := r.Clone(r.Context())
	server.RequestURI = r.URL.RequestURI()
	i.handler.ServeHTTP(rec, server)
	res := rec.Result()
	res.Request = r
	if res.Header.Get("Date") == "" {
		res.Header.Set("Date", i.date().UTC().Format(http.TimeFormat))
	}
	return res, nil
}

// gateway answers at the public address as a running one does.
func gateway(live bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+doctor.HealthPath, doctor.Health(live))
	mux.HandleFunc("POST /payment/wechat/notify", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"code":"FAIL","message":"失败"}`))
	})
	mux.HandleFunc("POST /payment/alipay/notify", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("fail")) })
	return mux
}

func (w *world) examine(t *testing.T) doctor.Report {
	t.Helper()
	r := doctor.Examine(t.Context(), w.in)
	w.noSecret(t, r)
	return r
}

// noSecret looks for every secret of the world in every output (A100).
func (w *world) noSecret(t *testing.T, r doctor.Report) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var human strings.Builder
	if err := r.Print(&human); err != nil {
		t.Fatal(err)
	}
	c := w.in.Config
	all := []string{c.WebhookSecret.Reveal(), "canary"}
	for _, a := range append(append([]config.Account{}, c.Accounts...), c.Shelved...) {
		v := reflect.ValueOf(a.Settings).Elem()
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			if s, ok := v.Field(i).Interface().(secret.Text); ok {
				for line := range strings.Lines(s.Reveal()) {
					if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
						all = append(all, line)
					}
				}
			}
		}
	}
	for _, s := range all {
		if s != "" && (strings.Contains(string(text), s) || strings.Contains(human.String(), s)) {
			t.Errorf("A100: a secret was shown in\n%s", human.String())
			return
		}
	}
}

// faults are the findings that are no good news.
func faults(r doctor.Report) []doctor.Finding {
	var out []doctor.Finding
	add := func(list []doctor.Finding) {
		for _, f := range list {
			if f.Level != channel.LevelOK {
				out = append(out, f)
			}
		}
	}
	add(r.General)
	for _, a := range r.Accounts {
		add(a.Findings)
	}
	return out
}

// has reports whether a finding of that code is among all of them.
func has(r doctor.Report, code string) bool {
	lists := [][]doctor.Finding{r.General}
	for _, a := range r.Accounts {
		lists = append(lists, a.Findings)
	}
	for _, list := range lists {
		for _, f := range list {
			if f.Code == code {
				return true
			}
		}
	}
	return false
}
