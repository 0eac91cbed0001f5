package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	drivers "piaohao/internal/channel/all"
	"piaohao/internal/config"
	"piaohao/internal/freeport"
	"piaohao/internal/secret"
)

// record keeps what is written and signals each write.
type record struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

func newRecord() *record { return &record{wrote: make(chan struct{}, 1)} }

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case r.wrote <- struct{}{}:
	default:
	}
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// until waits for a text; the test's own deadline ends it.
func (r *record) until(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(r.String(), text) {
		select {
		case <-r.wrote:
		case <-t.Context().Done():
			t.Fatalf("no %q in the log:\n%s", text, r)
		}
	}
}

// careless carries calls to the platforms and, when told, blurts out everything that it was told.
type careless struct {
	secrets []string
	mode    atomic.Value // "", "error" or "panic"
}

func (c *careless) RoundTrip(req *http.Request) (*http.Response, error) {
	all := strings.Join(c.secrets, " ") + fmt.Sprint(req.Header)
	switch c.mode.Load() {
	case "error":
		return nil, errors.New("cannot connect with " + all)
	case "panic":
		panic("a bug with " + all)
	}
	return http.DefaultTransport.RoundTrip(req)
}

const canaryWebhook = "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5LTEyMzQ1Njc4OTAhIQ=="

// settings are those of a test node on free ports.
func settings(t *testing.T, dir string) config.Config {
	t.Helper()
	c, err := config.Load(config.Source{Env: map[string]string{
		"DATA_DIR": dir, "LOG_DIR": filepath.Join(dir, "logs"), "LOG_LEVEL": "debug", "LISTEN_ADDR": freeport.Addr(t), "SIM_ADDR": freeport.Addr(t),
		"DEMO_ADDR": freeport.Addr(t), "WEBHOOK_URL": "http://127.0.0.1:9/nobody?token=in-the-path", "WEBHOOK_SECRET": canaryWebhook,
	}}, drivers.Drivers)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestA100NoSecretLeaves lets a node pay, fail, be forged at and break, with a network that repeats every secret it can
// get hold of, and looks for them on the terminal, in the log file and in the answers.
func TestA100NoSecretLeaves(t *testing.T) {
	t.Parallel()
	c, terminal, platforms := settings(t, t.TempDir()), newRecord(), &careless{}
	platforms.mode.Store("")
	n, err := New(t.Context(), c, Outside{Logs: terminal, Platforms: func(...tls.Certificate) http.RoundTripper { return platforms }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(n.Run(ctx), n.Close()) }()
	answers := newRecord()
	ask := func(method, url, body, key string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Cookie", "session=canary-cookie")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var sim map[string]map[string]string
	if err := json.Unmarshal([]byte(ask("GET", c.SimURL+"/sim/credentials", "", "")), &sim); err != nil {
		t.Fatal(err)
	}
	key := n.keys.Default
	platforms.secrets = []string{
		key, n.keys.Demo, n.keys.DemoWebhook, canaryWebhook, sim["wechat"]["api_v3_key"], sim["wechat"]["private_key"],
		sim["alipay"]["app_private_key"],
	}
	create := func(order, method string) (code, cashier string) {
		text := ask("POST", c.PublicURL+"/v1/payments", `{"order_no":"`+order+`","amount":100,"subject":"s","method":"`+method+`"}`, key)
		var v struct {
			CashierURL string `json:"cashier_url"`
			Action     struct{ Code string }
		}
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err, text)
		}
		return v.Action.Code, v.CashierURL
	}
	code, cashier := create("o1", "wechat")
	ask("GET", cashier, "", "")
	ask("POST", c.SimURL+"/sim/wallet/pay", `{"code":"`+code+`"}`, "")
	terminal.until(t, "outcome=applied")
	terminal.until(t, "webhook not delivered")

	_, _ = fmt.Fprintln(answers, ask("POST", c.PublicURL+"/payment/wechat/notify", `{"forged":"canary-forgery"}`, ""))
	_, _ = fmt.Fprintln(answers, ask("POST", c.PublicURL+"/payment/alipay/notify", `sign=canary-forgery`, ""))
	_, _ = fmt.Fprintln(answers, ask("GET", c.PublicURL+"/v1/payments/x", "", "sk_test_canary-key"))
	_, _ = fmt.Fprintln(answers, ask("GET", c.PublicURL+"/payment/process/canary-token?x=canary-query", "", ""))
	platforms.mode.Store("error")
	_, _ = fmt.Fprintln(answers, ask("POST", c.PublicURL+"/v1/payments", `{"order_no":"o2","amount":100,"subject":"s","method":"wechat"}`, key))
	terminal.until(t, "cannot connect with")
	platforms.mode.Store("panic")
	_, _ = fmt.Fprintln(answers, ask("POST", c.PublicURL+"/v1/payments", `{"order_no":"o3","amount":100,"subject":"s","method":"wechat"}`, key))
	terminal.until(t, "a bug with")
	platforms.mode.Store("")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	file, err := os.ReadFile(filepath.Join(c.LogDir, "app.log"))
	if err != nil {
		t.Fatal(err)
	}
	token := cashier[strings.LastIndex(cashier, "/")+1:]
	looked := append(slices.Clone(platforms.secrets), strings.TrimPrefix(canaryWebhook, "whsec_"), middle(sim["wechat"]["private_key"]),
		middle(sim["alipay"]["app_private_key"]), token, "canary-forgery", "canary-key", "canary-cookie", "canary-token", "canary-query", "in-the-path")
	for where, text := range map[string]string{"terminal": terminal.String(), "app.log": string(file), "answers": answers.String()} {
		for i, s := range looked {
			if len(s) < 10 || strings.Contains(text, s) {
				t.Errorf("A100 %s: secret %d", where, i)
			}
		}
		if where != "answers" && !strings.Contains(text, "[secret]") {
			t.Errorf("%s: nothing was masked, so that the test proves nothing", where)
		}
	}
	for line := range strings.Lines(string(file)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %.200q", line)
		}
	}
}

// middle is a piece from the middle of a key.
func middle(key string) string {
	lines := strings.Fields(key)
	return lines[len(lines)/2]
}

// TestA100EverySecretSettingIsHidden fills every secret of every driver and names it in a log line.
func TestA100EverySecretSettingIsHidden(t *testing.T) {
	t.Parallel()
	c := config.Config{
		LogDir: config.Off, LogLevel: slog.LevelDebug, WebhookSecret: secret.New("canary-webhook"),
		Database: secret.New("postgres://u:canary%40database@db/x"),
	}
	canaries := []string{"canary-webhook", "canary@database", "canary%40database"}
	for _, d := range drivers.Drivers {
		settings := d.Settings()
		v := reflect.ValueOf(settings).Elem()
		for i := range v.NumField() {
			if _, ok := v.Field(i).Interface().(secret.Text); ok {
				canaries = append(canaries, "canary-"+d.Info.Channel+v.Type().Field(i).Name)
				v.Field(i).Set(reflect.ValueOf(secret.New(canaries[len(canaries)-1])))
			}
		}
		c.Accounts = append(c.Accounts, config.Account{Driver: d, Settings: settings})
	}
	if len(canaries) < 6 {
		t.Fatalf("found the secrets %q", canaries)
	}
	c.Shelved, c.Accounts = c.Accounts[:1], c.Accounts[1:]
	var out bytes.Buffer
	l, err := openLogs(c, &out, gatewayLog)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range canaries {
		l.Info("a bug", "with", s)
	}
	if strings.Contains(out.String(), "canary") || strings.Count(out.String(), "[secret]") != len(canaries) {
		t.Errorf("%s", &out)
	}
}

func TestALogThatCannotBeWrittenStopsTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "logs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := settings(t, dir)
	for name, start := range map[string]func() (*Node, error){
		"gateway":   func() (*Node, error) { return New(t.Context(), c, Outside{Logs: io.Discard}) },
		"simulator": func() (*Node, error) { return NewSim(c, io.Discard) },
	} {
		if _, err := start(); err == nil || !strings.Contains(err.Error(), "set LOG_DIR to a folder that can be written") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestA88PlatformsAreCalledWithoutAProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	transport, ok := outbound(0).Transport.(*http.Transport)
	if !ok || transport.Proxy != nil || transport.TLSClientConfig != nil && transport.TLSClientConfig.InsecureSkipVerify {
		t.Errorf("%T", outbound(0).Transport)
	}
}
