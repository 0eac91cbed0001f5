package webhook

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/secret"
)

// FuzzCheckURL: what is let through is https, to a public address or a whole name, on one of our ports.
func FuzzCheckURL(f *testing.F) {
	for _, text := range []string{
		"https://shop.example.com/hook", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://0x7f.1/", "https://localhost./", "https://a.b:22/",
		"http://shop.example.com/", "https://shop.example.com@10.0.0.1/", "https://[fe80::1%25eth0]/", "https://2130706433/", "https://shop。example。com/",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if CheckURL(text, false) != nil {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.User != nil || len(text) > maxURL || !strings.Contains("|443|4443|8443|9443|", "|"+u.Port()+"|") && u.Port() != "" {
			t.Fatalf("%q is let through", text)
		}
		host := u.Hostname()
		if ip, err := netip.ParseAddr(host); err == nil {
			if ip = ip.Unmap(); !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
				t.Fatalf("%q leads to %s", text, ip)
			}
			return
		}
		if name := strings.TrimSuffix(host, "."); !strings.Contains(name, ".") || strings.ContainsFunc(name, func(r rune) bool { return r > '~' || r <= ' ' }) {
			t.Fatalf("%q leads to %q", text, host)
		}
	})
}

// FuzzSecret: a secret that is taken is one of few spellings of 24 to 64 bytes each.
func FuzzSecret(f *testing.F) {
	good := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmnop"))
	for _, text := range []string{good, good + "," + good, good + ",", "whsec_", exampleSecret, good + "\n", strings.TrimSuffix(good, "="), good + "," + good + "," + good} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := signingKeys(secret.New(text))
		if err != nil {
			return
		}
		var again []string
		for _, key := range keys {
			if len(key) < minKey || len(key) > maxKey {
				t.Fatalf("%d bytes", len(key))
			}
			again = append(again, "whsec_"+base64.StdEncoding.EncodeToString(key))
		}
		if strings.Join(again, ",") != text || len(keys) > maxKeys || strings.Contains(text, exampleSecret) {
			t.Fatalf("%q is taken", text)
		}
	})
}

// FuzzAnswer: whatever an endpoint answers, what is kept and obeyed is bounded.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("ok\x00\x1b[31m\xff"), "120")
	f.Add([]byte(strings.Repeat("字", 600)), "Fri, 31 Dec 9999 23:59:59 GMT")
	f.Add([]byte(nil), "-1")
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte, after string) {
		if got := plain(body); len(got) > maxExcerpt || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Fatalf("%q is kept as %q", body, got)
		}
		wait := retryAfter(http.Header{"Retry-After": {after}}, now)
		if pause, again := pause(1, wait, func(int64) int64 { return 0 }); wait < 0 || !again || pause < 0 || pause > maxRetryAfter {
			t.Fatalf("%q rests %s, %s", after, wait, pause)
		}
	})
}
