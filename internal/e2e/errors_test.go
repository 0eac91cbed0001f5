package e2e

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestFirstErrors is what a new user runs into: one line that names the cure, a status that is not 0, nothing else.
func TestFirstErrors(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	dir := t.TempDir()
	damaged, file := filepath.Join(dir, "damaged"), filepath.Join(dir, "file")
	for name, text := range map[string]string{filepath.Join(damaged, "test.keys"): "{", file: ""} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	running := start(t, "serve")
	for _, row := range []struct {
		name, setting string
		says          []string
	}{
		{"a taken port", "LISTEN_ADDR=" + taken.Addr().String(), []string{"is taken", "LISTEN_ADDR"}},
		{"a taken port of the simulator", "SIM_ADDR=" + taken.Addr().String(), []string{"is taken", "SIM_ADDR"}},
		{"a data folder that cannot be", "DATA_DIR=" + filepath.Join(file, "data"), []string{"data folder", "DATA_DIR"}},
		{"damaged keys", "DATA_DIR=" + damaged, []string{"test.keys", "delete it"}},
		{"a second program on one database", "DATA_DIR=" + running.dir, []string{"another process", "stop it first"}},
		{"a switch that is neither on nor off", "WECHAT_SANDBOX=perhaps", []string{"WECHAT_SANDBOX", "write true to test, false for real money"}},
		{"an address without port", "LISTEN_ADDR=localhost", []string{"LISTEN_ADDR", "host:port"}},
		{"a webhook without its secret", "WEBHOOK_URL=http://127.0.0.1:9/x", []string{"WEBHOOK_SECRET"}},
		{"a database of another kind", "DATABASE_URL=mysql://x", []string{"DATABASE_URL"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := launch(t, "serve", row.setting)
			select {
			case err := <-p.ended:
				if err == nil {
					t.Error("ended with status 0")
				}
			case <-time.After(startWithin):
				_ = p.cmd.Process.Kill()
				t.Fatal("runs all the same")
			}
			said := strings.TrimSpace(p.stderr.String())
			for _, word := range row.says {
				if !strings.Contains(said, word) {
					t.Errorf("does not say %q:\n%s", word, said)
				}
			}
			if strings.Count(said, "\n") > 0 || strings.Contains(said, "goroutine") || strings.Contains(said, "0123456789abcdef") {
				t.Errorf("says more than one line, or what it should not:\n%s", said)
			}
			if p.stdout.String() != "" {
				t.Errorf("greets: %s", p.stdout)
			}
		})
	}
}

// TestA100NoSecretIsLogged pays, fails and is refused, and then looks for every secret of the run in its log.
func TestA100NoSecretIsLogged(t *testing.T) {
	t.Parallel()
	const webhookSecret = "whsec_c3R1cGlkIGJ1dCBsb25nIGVub3VnaCBmb3IgYSB0ZXN0"
	p := start(t, "serve", "LOG_LEVEL=debug", "WEBHOOK_URL=http://127.0.0.1:9/nobody", "WEBHOOK_SECRET="+webhookSecret)
	auth := []string{"Authorization", "Bearer " + p.key, "Content-Type", "application/json"}
	status, answer := call(t, "POST", p.gateway+"/v1/payments", `{"order_no":"o1","amount":100,"subject":"s","method":"wechat"}`, auth...)
	if status != 201 {
		t.Fatal(status, answer)
	}
	var created struct {
		CashierURL string `json:"cashier_url"`
		Action     struct{ Code string }
	}
	if err := json.Unmarshal([]byte(answer), &created); err != nil {
		t.Fatal(err)
	}
	call(t, "GET", created.CashierURL, "")
	call(t, "POST", p.sim+"/sim/wallet/pay", `{"code":"`+created.Action.Code+`"}`)
	call(t, "POST", p.gateway+"/v1/payments", `{"order_no":"o1","amount":5,"subject":"s"}`, auth...)
	call(t, "GET", p.gateway+"/v1/payments/x", "", "Authorization", "Bearer sk_test_wrong-but-secret")
	call(t, "POST", p.gateway+"/payment/wechat/notify", `{"forged":"body-of-a-forgery"}`)
	_, text := call(t, "GET", p.sim+"/sim/credentials", "")
	var credentials map[string]map[string]string
	if err := json.Unmarshal([]byte(text), &credentials); err != nil {
		t.Fatal(err)
	}
	keys, err := os.ReadFile(filepath.Join(p.dir, "test.keys"))
	if err != nil {
		t.Fatal(err)
	}
	var own map[string]string
	if err := json.Unmarshal(keys, &own); err != nil {
		t.Fatal(err)
	}
	secrets := []string{
		webhookSecret, webhookSecret[len("whsec_"):], own["default"], own["demo"], own["demo_webhook"], "wrong-but-secret",
		"body-of-a-forgery", credentials["wechat"]["api_v3_key"], keyLine(credentials["wechat"]["private_key"]),
		keyLine(credentials["alipay"]["app_private_key"]), created.CashierURL[strings.LastIndex(created.CashierURL, "/")+1:],
	}
	for _, told := range []string{"outcome=applied", "notice refused", "webhook not delivered"} {
		select {
		case <-p.stderr.has(regexp.MustCompile(told)):
		case <-time.After(startWithin):
			t.Fatalf("the log does not tell of %q:\n%s", told, p.stderr)
		}
	}
	log := p.stderr.String()
	for _, s := range secrets {
		if len(s) < 10 {
			t.Fatalf("no secret to look for: %q", s)
		}
		if strings.Contains(log, s) {
			t.Errorf("A100 the log holds %q", s[:10])
		}
	}
}

// keyLine is one line out of the middle of a PEM text.
func keyLine(pem string) string { return strings.Split(pem, "\n")[5] }

func TestA101NothingOfTheDiskIsServed(t *testing.T) {
	t.Parallel()
	p := start(t, "serve")
	for _, origin := range []string{p.gateway, p.sim, p.shop} {
		for _, path := range []string{
			"/.env", "/.git/config", "/debug/pprof/", "/debug/vars", "/data/test.db", "/test.db", "/test.keys", "/demo.db",
			"/test.db.bak", "/payment/assets/..%2f..%2ftest.keys", "/assets/%2e%2e/demo.go",
		} {
			if status, body := call(t, "GET", origin+path, ""); status != 404 {
				t.Errorf("A101 %s%s: %d %.60s", origin, path, status, body)
			}
		}
	}
}
