package cashier_test

import (
	"net/http"
	"strings"
	"testing"

	"piaohao/internal/gateway"
)

func TestA90TextsOfOthers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{"A90 svg onload", `<svg onload=alert(1)>`, "&lt;svg onload=alert(1)&gt;"},
		{"A90 end of script", `</script><script>alert(1)</script>`, "&lt;/script&gt;"},
		{"A90 attribute", `" onmouseover="alert(1)`, "&#34; onmouseover=&#34;alert(1)"},
		{"A90 template braces", `{{.Token}}`, "{{.Token}}"},
		{"A90 right to left", "书\u202e88.00", "<bdi>书\ufffd88.00</bdi>"},
		{"A90 isolates", "\u2066书\u2069", "<bdi>\ufffd书\ufffd</bdi>"},
		{"A90 zero width", "a\u200bb\ufeffc\u00add", "<bdi>a\ufffdb\ufffdc\ufffdd</bdi>"},
		{"A90 control characters", "a\x00b\x1b[31mc\x7f", "<bdi>a\ufffdb\ufffd[31mc\ufffd</bdi>"},
		{"A90 line ends", "a\r\nb\u2028c", "<bdi>a  b\ufffdc</bdi>"},
		{"A90 bad UTF-8", "a\xffb", "<bdi>a\ufffdb</bdi>"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, p := range phases {
				f := newFake(p)
				f.page.Payment.Subject, f.page.ShopName = row.text, row.text
				res := do(t, f, request{path: home(p)})
				body := bodyOf(t, res)
				wantText(t, body, row.want)
				wantNoText(t, body, "<svg onload", "<script>alert", "\u202e", "\u200b", "\x00", "\x1b")
				checkPage(t, res, body)
			}
		})
	}
}

func TestA87ReturnURL(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		url string
		ok  bool
	}{
		{"https://shop.example/orders/7", true},
		{"https://shop.example/orders/7?a=1&b=2", true},
		{"//evil.example/", false},
		{`/\evil.example/`, false},
		{`https:\\evil.example/`, false},
		{`https://evil.example\.shop.example/`, false},
		{`https://evil.example\@shop.example/`, false},
		{"https:evil.example", false},
		{"https:///evil.example", false},
		{"https://:443/", false},
		{"/orders/7", false},
		{"javascript:alert(1)", false},
		{"data:text/html,hi", false},
		{"https://shop.example@evil.example/", false},
		{"https://shop.example\n.evil.example/", false},
		{"\x01javascript:alert(1)", false},
	} {
		t.Run("A87 "+row.url, func(t *testing.T) {
			t.Parallel()
			for _, p := range []gateway.Phase{gateway.PhaseChoose, gateway.PhasePaid, gateway.PhaseExpired} {
				f := newFake(p)
				f.page.ReturnURL = row.url
				body := bodyOf(t, do(t, f, request{path: home(p)}))
				if got := strings.Contains(body, "返回商店"); got != row.ok {
					t.Errorf("%s: linked %v, want %v", p, got, row.ok)
				}
				wantNoText(t, body, "evil", "javascript:", "data:text")
			}
		})
	}
}

func TestA95UnknownTokens(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"process", "success", "status", "events"} {
		f := newFake(gateway.PhaseScan)
		res := do(t, f, request{path: "/payment/" + route + "/" + absent})
		wantStatus(t, res, http.StatusNotFound)
		want := bodyOf(t, res)
		checkPage(t, res, want)
		asked := f.count("Page") + f.count("Subscribe") + f.count("Watching") + f.count("Watched") + f.count("Arrived")
		if asked == 0 {
			t.Fatalf("%s: an unknown token was never looked up", route)
		}
		for _, bad := range []string{
			other, "1", strings.ToUpper(token), token + "0", token[:31], token[:31] + "-", strings.Repeat("%00", 32), "..%2f..%2fetc",
			strings.Repeat("é", 16), "%27%20OR%201=1",
		} {
			res := do(t, f, request{path: "/payment/" + route + "/" + bad})
			wantStatus(t, res, http.StatusNotFound)
			if got := bodyOf(t, res); got != want {
				t.Errorf("A95 %s/%s: another body than for an unknown token", route, bad)
			}
		}
		if n := f.count("Page") + f.count("Subscribe") + f.count("Watching") + f.count("Watched") + f.count("Arrived"); n != 2*asked {
			t.Errorf("%s: tokens of another shape were looked up", route)
		}
	}
}

func TestA97HostIsNeverUsed(t *testing.T) {
	t.Parallel()
	for _, p := range phases {
		f := newFake(p)
		f.leave = gateway.Leave{ToProcess: true}
		for _, path := range []string{"/payment/process/" + token, "/payment/success/" + token, "/payment/go/" + token + "/wechat", "/payment/success?out_trade_no=1&sign=good"} {
			res := do(t, f, request{path: path, header: map[string]string{
				"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Forwarded-Proto": "gopher", "X-Original-URL": "/evil",
			}})
			wantNoText(t, bodyOf(t, res)+res.Header.Get("Location"), "evil", "gateway.example", "gopher")
		}
	}
}

func TestA99A101OnlyOurFiles(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"/payment/assets/..%2f.env", "/payment/assets/..%2f..%2f..%2fetc%2fpasswd", "/payment/assets/%2e%2e%2fcashier.go", "/payment/assets/..%5c.env",
		"/payment/assets/.env", "/payment/assets/cashier.css", "/payment/assets/cashier.css%00", "/payment/assets/CON", "/payment/assets/",
		"/payment/assets/a/b", "/payment/.env", "/payment/.git/config", "/payment/debug/pprof", "/payment/test.db", "/payment/locales/zh.json",
		"/payment/templates/layout.html",
	} {
		res := do(t, newFake(gateway.PhaseScan), request{path: path})
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("A99/A101 %s: status %d", path, res.StatusCode)
		}
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	f := newFake(gateway.PhaseScan)
	body := bodyOf(t, do(t, f, request{path: "/payment/process/" + token}))
	found := 0
	for _, m := range address.FindAllStringSubmatch(body, -1) {
		if !strings.HasPrefix(m[1], "/payment/assets/") {
			continue
		}
		found++
		res := do(t, f, request{path: m[1]})
		wantStatus(t, res, http.StatusOK)
		if got := res.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %q", m[1], got)
		}
		if res.Header.Get("Content-Type") == "" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", m[1], res.Header)
		}
		wantNoText(t, bodyOf(t, res), "https://", "@import", "eval(", "innerHTML")
	}
	if found != 3 {
		t.Errorf("%d assets, want style, script and icon", found)
	}
}

func TestEveryPageKeepsToItself(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/payment", "/payment/process/" + token, "/payment/success/" + token, "/payment/process/" + absent} {
		res := do(t, newFake(gateway.PhaseScan), request{path: path})
		h := res.Header
		t.Run("A92 framed "+path, func(t *testing.T) {
			if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%v", h)
			}
		})
		t.Run("A98 leaked by referrer or cache "+path, func(t *testing.T) {
			if h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("%v", h)
			}
		})
	}
}
