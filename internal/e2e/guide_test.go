package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"piaohao/internal/freeport"
	sims "piaohao/internal/sim/all"
)

// merchant are the credentials of somebody who has accounts at both platforms, made for this run.
func merchant(t *testing.T) sims.Credentials {
	t.Helper()
	return newTownOf(t, sims.Options{}).sim.Credentials()
}

// TestGuide starts the program in a folder with the guide's .env: as it is printed, with the merchant's own values in its
// placeholders, while testing, and behind the guide's tunnel. What the settings say is what runs.
func TestGuide(t *testing.T) {
	t.Parallel()
	own := guideEnv(merchant(t))
	trying := strings.ReplaceAll(own, "SANDBOX=false", "SANDBOX=true")
	// The guide's section on tunnels: 获得临时域名后，更新.env文件.
	tunnel := regexp.MustCompile(`(?m)^(WECHAT|ALIPAY)_NOTIFY_URL=\S+`).ReplaceAllStringFunc(trying, func(line string) string {
		name, _, _ := strings.Cut(line, "=")
		return name + "=https://abcd1234.ngrok.io/payment/" + strings.ToLower(name[:6]) + "/notify"
	})
	for _, tt := range []struct {
		name, env string
		greets    []string
	}{
		{"with own values", own, []string{"正式模式", "real money", "wechatv2-" + liveMerchant, "alipay-" + liveAlipayApp, "keys create", "不能退款 No refunds   wechatv2-" + liveMerchant}},
		{"the same from Windows", "\ufeff" + strings.ReplaceAll(own, "\n", "\r\n"), []string{"正式模式"}},
		{"while testing", trying, []string{"测试模式", "Test key", "alipay-sandbox-" + liveAlipayApp}},
		{"behind the tunnel", tunnel, []string{"测试模式", "https://abcd1234.ngrok.io/payment/alipay/notify"}},
		{"as printed, while testing", strings.ReplaceAll(guide, "SANDBOX=false", "SANDBOX=true"), []string{"测试模式", "Test key"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := follow(t, tt.env)
			for _, word := range append(tt.greets, ".env") {
				if !strings.Contains(p.stdout.String(), word) {
					t.Errorf("does not say %q:\n%s", word, p.stdout)
				}
			}
			for _, row := range []struct {
				method, path string
				status       int
			}{
				{"GET", "/payment", 200},
				{"GET", "/payment/success", 200},
				{"GET", "/payment/process/nobody", 404},
				{"POST", "/payment/alipay/notify", 200}, // the word "fail"
				{"GET", "/sim/credentials", 404},
				{"GET", "/.env", 404},
			} {
				if got, answer := call(t, row.method, p.gateway+row.path, ""); got != row.status {
					t.Errorf("%s %s: %d %.200s", row.method, row.path, got, answer)
				}
			}
			if status, _ := call(t, "POST", p.gateway+"/payment/wechat/notify", ""); status != 200 && status != 400 {
				t.Errorf("the notice address of WeChat Pay answers %d", status)
			}
		})
	}
}

// follow starts the program in a folder with this .env and waits for its greeting.
func follow(t *testing.T, env string) *process {
	t.Helper()
	p := launchIn(t, env)
	select {
	case <-p.stdout.has(regexp.MustCompile(`配置文件 Settings .*\n(?s:.*)\n\n`)):
	case err := <-p.ended:
		t.Fatalf("ended: %v\n%s", err, p.stderr)
	case <-time.After(startWithin):
		t.Fatalf("did not greet within %s\n%s%s", startWithin, p.stdout, p.stderr)
	}
	t.Cleanup(p.stop)
	return p
}

// launchIn starts the program in a folder with this .env. Only what other tests on this machine could be in the way of is
// in the environment.
func launchIn(t *testing.T, env string) *process {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	ports := []string{freeport.Port(t), freeport.Port(t), freeport.Port(t)}
	more := []string{"LISTEN_ADDR=127.0.0.1:" + ports[0]}
	if strings.Contains(env, "SANDBOX=true") {
		more = append(more, "SIM_ADDR=127.0.0.1:"+ports[1], "DEMO_ADDR=127.0.0.1:"+ports[2])
	}
	p := launchOnly(t, dir, append(more, "PATH="+os.Getenv("PATH"))...)
	p.gateway = "http://127.0.0.1:" + ports[0]
	return p
}

// TestA102GuideAsPrinted: the guide's samples, taken for settings, stop the start. Each is named with its line and a cure,
// and none is repeated.
func TestA102GuideAsPrinted(t *testing.T) {
	t.Parallel()
	p := launchIn(t, guide)
	select {
	case err := <-p.ended:
		if err == nil {
			t.Error("ended with status 0")
		}
	case <-time.After(startWithin):
		_ = p.cmd.Process.Kill()
		t.Fatal("runs all the same")
	}
	said := p.stderr.String()
	for _, where := range []string{
		".env:2: WECHAT_APP_ID:", ".env:3: WECHAT_MCH_ID:", ".env:4: WECHAT_MCH_KEY:", ".env:5: WECHAT_NOTIFY_URL:",
		".env:10: ALIPAY_APP_ID:", ".env:16: ALIPAY_PRIVATE_KEY:", ".env:20: ALIPAY_PUBLIC_KEY:",
	} {
		if !strings.Contains(said, where) {
			t.Errorf("does not name %s\n%s", where, said)
		}
	}
	for _, content := range []string{"wx1234567890abcdef", "your32digit", "MIIE", "MIIB", "2021000000000000"} {
		if strings.Contains(said, content) {
			t.Errorf("A100 repeats %s", content)
		}
	}
}
