package cashier_test

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/gateway"
	"piaohao/internal/web/cashier"
)

var update = flag.Bool("update", false, "rewrite golden pages")

const (
	iPhone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile/15E148 Safari/604.1"
	inWallet = "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Mobile Safari/537.36 MicroMessenger/8.0.60"
	desktop  = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
)

// home is the path where a phase is shown without a redirect.
func home(p gateway.Phase) string {
	if p == gateway.PhasePaid || p == gateway.PhaseTwice || p == gateway.PhaseRefunded {
		return "/payment/success/" + token
	}
	return "/payment/process/" + token
}

var address = regexp.MustCompile(`(?:src|href|action)="([^"]*)"`)

// allowed are the only addresses outside of ours: back to the shop, and the simulator's wallet.
var allowed = []string{"https://shop.example/orders/7", "http://127.0.0.1:5001/sim/wallet"}

func TestEveryPhaseInEveryLanguage(t *testing.T) {
	t.Parallel()
	says := map[gateway.Phase][2]string{
		gateway.PhaseChoose:     {"选择支付方式", "Choose how to pay"},
		gateway.PhaseOpening:    {"正在准备付款", "Preparing your payment"},
		gateway.PhaseScan:       {"等待付款", "Waiting for payment"},
		gateway.PhaseLeave:      {"去支付宝付款", "Pay with Alipay"},
		gateway.PhaseConfirming: {"正在确认，请勿重复付款", "please do not pay again"},
		gateway.PhasePaid:       {"支付成功", "Payment received"},
		gateway.PhaseClosed:     {"订单已取消", "Order cancelled"},
		gateway.PhaseExpired:    {"付款时间已过", "Time ran out"},
		gateway.PhaseRefused:    {"微信支付没有成功", "WeChat Pay did not work"},
		gateway.PhaseRefunded:   {"已全额退款", "Refunded in full"},
		gateway.PhaseTwice:      {"多付的款项正在退回", "The extra money is being returned"},
		gateway.PhaseLate:       {"款项正在退回", "Your money is being returned"},
	}
	for _, p := range phases {
		for i, lang := range []string{"zh", "en"} {
			t.Run(string(p)+" "+lang, func(t *testing.T) {
				t.Parallel()
				res := do(t, newFake(p), request{path: home(p) + "?lang=" + lang})
				wantStatus(t, res, http.StatusOK)
				body := bodyOf(t, res)
				wantText(t, body, says[p][i], "128.00", "20261123-0007", [2]string{"测试模式", "Test mode"}[i],
					`<html lang="`+[2]string{"zh-CN", "en"}[i]+`">`)
				checkPage(t, res, body)
				if live := strings.Contains(body, "<noscript><meta http-equiv=\"refresh\""); live != strings.Contains(body, "data-events=") {
					t.Error("a live page has both a stream and a refresh, another page neither")
				}
				if seal := strings.Contains(body, `class="seal"`); seal != (p == gateway.PhasePaid || p == gateway.PhaseTwice) {
					t.Error("the seal stands exactly on pages of received money")
				}
				golden(t, "phase-"+string(p)+"-"+lang, body)
			})
		}
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, path, says string }{
		{"front", "/payment", "这里是收银台"},
		{"front with slash", "/payment/", "这里是收银台"},
		{"arrived without fields", "/payment/success", "付款结果请看商店订单"},
		{"arrived with forged fields", "/payment/success?out_trade_no=1&sign=bad&trade_status=TRADE_SUCCESS", "付款结果请看商店订单"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			res := do(t, newFake(gateway.PhaseScan), request{path: row.path})
			wantStatus(t, res, http.StatusOK)
			body := bodyOf(t, res)
			wantText(t, body, row.says)
			wantNoText(t, body, "支付成功", "128.00")
			checkPage(t, res, body)
		})
	}
}

// checkPage holds what is true of every page.
func checkPage(t *testing.T, res *http.Response, body string) {
	t.Helper()
	const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	for name, want := range map[string]string{
		"Content-Security-Policy": policy,        // A90, A92
		"X-Frame-Options":         "DENY",        // A92
		"Referrer-Policy":         "no-referrer", // A98
		"Cache-Control":           "no-store",    // A98
		"X-Content-Type-Options":  "nosniff",
		"Content-Type":            "text/html; charset=utf-8",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if len(body) >= 50_000 {
		t.Errorf("page has %d bytes", len(body))
	}
	wantNoText(t, body, "⟦", "<no value>", "style=", "onclick", "<script>", "gateway.example", "ZgotmplZ")
	if !regexp.MustCompile(`<title>[^<]+</title>`).MatchString(body) {
		t.Error("page has no title")
	}
	for _, m := range address.FindAllStringSubmatch(body, -1) {
		ours := strings.HasPrefix(m[1], "/payment/") || strings.HasPrefix(m[1], "?")
		for _, a := range allowed {
			ours = ours || strings.HasPrefix(m[1], a)
		}
		if !ours {
			t.Errorf("page leads to %q", m[1])
		}
	}
}

var hash = regexp.MustCompile(`\.[0-9a-f]{8}\.`)

// golden compares a few pages whole; the others are held by what they must say.
func golden(t *testing.T, name, body string) {
	t.Helper()
	body = hash.ReplaceAllString(body, ".HASH.") // golden pages outlive a change of style
	path := filepath.Join("testdata", name+".html")
	if *update {
		switch name {
		case "phase-choose-zh", "phase-scan-zh", "phase-paid-zh", "phase-confirming-en",
			"back-partly-refunded-zh", "back-second-money-is-on-its-way-en", "back-late-money-needs-the-shop-zh":
			if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), body); diff != "" {
		t.Errorf("page differs from %s (-update rewrites it):\n%s", path, diff)
	}
}

func TestProcessAndSuccess(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		phase gateway.Phase
		path  string
		see   string // "" = a page
		says  string
	}{
		{"paid leads to the receipt", gateway.PhasePaid, "/payment/process/" + token, "/payment/success/" + token, ""},
		{"paid twice leads to the receipt", gateway.PhaseTwice, "/payment/process/" + token, "/payment/success/" + token, ""},
		{"a chosen language is carried on", gateway.PhasePaid, "/payment/process/" + token + "?lang=en", "/payment/success/" + token + "?lang=en", ""},
		{"refunded leads to the receipt", gateway.PhaseRefunded, "/payment/process/" + token, "/payment/success/" + token, ""},
		{"late stays", gateway.PhaseLate, "/payment/process/" + token, "", "款项正在退回"},
		{"A31 arrival while scanning is confirming", gateway.PhaseScan, "/payment/success/" + token + "?trade_status=TRADE_SUCCESS", "", "正在确认"},
		{"A31 arrival while choosing is confirming", gateway.PhaseChoose, "/payment/success/" + token, "", "还没有付款？返回付款页"},
		{"A31 arrival while away is confirming", gateway.PhaseLeave, "/payment/success/" + token + "?paid=1", "", "正在确认"},
		{"arrival after expiry", gateway.PhaseExpired, "/payment/success/" + token, "", "付款时间已过"},
		{"arrival after a refusal", gateway.PhaseRefused, "/payment/success/" + token, "", "微信支付没有成功"},
		{"A31 the signed way back finds its payment", gateway.PhaseScan, "/payment/success?out_trade_no=1&sign=good", "/payment/success/" + token, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			res := do(t, newFake(row.phase), request{path: row.path})
			if row.see != "" {
				wantSee(t, res, row.see)
				return
			}
			wantStatus(t, res, http.StatusOK)
			body := bodyOf(t, res)
			wantText(t, body, row.says)
			wantNoText(t, body, `class="seal"`)
		})
	}
}

func TestArrivalAsksOnce(t *testing.T) {
	t.Parallel()
	f := newFake(gateway.PhaseScan)
	do(t, f, request{path: "/payment/success/" + token})
	if n := f.count("Arrived"); n != 1 {
		t.Fatalf("asked %d times", n)
	}
}

func TestLivePagesKeepThePaymentWatched(t *testing.T) {
	t.Parallel()
	for p, want := range map[gateway.Phase]int{gateway.PhaseScan: 1, gateway.PhaseConfirming: 1, gateway.PhasePaid: 0, gateway.PhaseExpired: 0} {
		f := newFake(p)
		do(t, f, request{path: home(p)})
		if n := f.count("Watched"); n != want {
			t.Errorf("%s: %d, want %d", p, n, want)
		}
	}
}

func TestHeadHasNoEffect(t *testing.T) {
	t.Parallel()
	f := newFake(gateway.PhaseScan)
	for _, path := range []string{
		"/payment/success/" + token, "/payment/process/" + token, "/payment/go/" + token + "/wechat", "/payment/status/" + token,
		"/payment/events/" + token, "/payment/success?out_trade_no=1&sign=good", "/payment",
	} {
		res := do(t, f, request{method: http.MethodHead, path: path})
		if res.StatusCode >= 300 {
			t.Errorf("%s: status %d", path, res.StatusCode)
		}
	}
	for _, name := range []string{"Go", "Arrived", "Watching", "Watched", "Returned", "Back"} {
		if f.count(name) != 0 {
			t.Errorf("HEAD called %s", name)
		}
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, agent, query string
		want               gateway.Device
	}{
		{"desktop", desktop, "", gateway.Device{}},
		{"phone", iPhone, "", gateway.Device{Phone: true}},
		{"in a platform's browser", inWallet, "", gateway.Device{Phone: true, Browser: "wechat"}},
		{"show all", inWallet, "?all=1", gateway.Device{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(gateway.PhaseChoose)
			do(t, f, request{path: "/payment/process/" + token + row.query, header: map[string]string{"User-Agent": row.agent}})
			if f.device != row.want {
				t.Fatalf("%+v, want %+v", f.device, row.want)
			}
		})
	}
	t.Run("a blocked method is told, not linked", func(t *testing.T) {
		t.Parallel()
		f := newFake(gateway.PhaseChoose)
		f.page.Choices[1].Hint = gateway.HintOpenBrowser
		body := bodyOf(t, do(t, f, request{path: "/payment/process/" + token}))
		wantText(t, body, "在浏览器打开", "/wechat", "?all=1")
		wantNoText(t, body, "/payment/go/"+token+"/alipay")
	})
	t.Run("a phone that shows a code says so", func(t *testing.T) {
		t.Parallel()
		body := bodyOf(t, do(t, newFake(gateway.PhaseScan), request{path: "/payment/process/" + token, header: map[string]string{"User-Agent": iPhone}}))
		wantText(t, body, "另一部手机的微信")
	})
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ accept, query, want string }{
		{"", "", "zh-CN"},
		{"fr-FR,fr;q=0.9", "", "zh-CN"},
		{"en-US,en;q=0.9", "", "en"},
		{"en;q=0.5,zh-CN;q=0.8", "", "zh-CN"},
		{"fr,en;q=0.3", "", "en"},
		{"en;q=0", "", "zh-CN"},
		{"zh-CN", "?lang=en", "en"},
		{"en", "?lang=zh", "zh-CN"},
		{"en", "?lang=../../etc", "en"},
	} {
		res := do(t, newFake(gateway.PhaseChoose), request{path: "/payment/process/" + token + row.query, header: map[string]string{"Accept-Language": row.accept}})
		if got := res.Header.Get("Content-Language"); got != row.want {
			t.Errorf("Accept-Language %q, query %q: %s, want %s", row.accept, row.query, got, row.want)
		}
	}
}

func TestLiveModeSaysNothingOfTests(t *testing.T) {
	t.Parallel()
	c := config(newFake(gateway.PhaseChoose))
	c.Livemode = true
	wantNoText(t, bodyOf(t, serve(cashier.New(c), request{path: "/payment/process/" + token})), "测试")
}
