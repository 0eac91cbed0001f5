package gateway

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzReturnURL: what is let through leads, for any reader of URLs, to an origin of the list.
func FuzzReturnURL(f *testing.F) {
	for _, text := range []string{
		"https://shop.example/done?x=1", "https://shop.example@evil.example/", `https://shop.example\@evil.example`, "//shop.example",
		"https:shop.example", "https://shop.example:443/", "javascript://shop.example/%0aalert(1)", "https://SHOP.example/", "https://shop.example.",
		"http://127.0.0.1:3000/", "http://127.0.0.1@evil.example", "https://shop.example%2f@evil.example/", "https://shop.example#@evil.example",
	} {
		f.Add(text)
	}
	live := &Gateway{Config: Config{Livemode: true, ReturnOrigins: []string{"https://shop.example"}}}
	f.Fuzz(func(t *testing.T, text string) {
		if !live.returnAllowed(text) {
			return
		}
		rest, found := strings.CutPrefix(strings.ToLower(text[:min(len(text), len("https://"))])+text[min(len(text), len("https://")):], "https://shop.example")
		if !found || rest != "" && !strings.ContainsRune("/?#", rune(rest[0])) || len(text) > MaxReturnURL {
			t.Fatalf("%q is let through", text)
		}
		if u, err := url.Parse(text); err != nil || u.Host != "shop.example" || u.User != nil {
			t.Fatalf("%q leads to %v, %v", text, u, err)
		}
	})
}

// FuzzClaimed: of a message that nobody signed, a plain short word is all that can reach a table or a log.
func FuzzClaimed(f *testing.F) {
	f.Add([]byte("out_trade_no=abc&x=1"))
	f.Add([]byte(`{"out_trade_no": "a\u0000b"}`))
	f.Add([]byte("<out_trade_no><![CDATA[x\x1b[31m]]></out_trade_no>"))
	f.Add([]byte("out_trade_no" + strings.Repeat("9", 100)))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := claimed(body)
		if len(got) > maxWord || strings.ContainsAny(got, " \"'<>&=\x00\x1b\r\n\\") || got != "" && !strings.Contains(string(body), got) {
			t.Fatalf("%q claims %q", body, got)
		}
	})
}

// FuzzWord: what is kept of anybody's text is a plain short word or nothing (A103).
func FuzzWord(f *testing.F) {
	for _, text := range []string{"SUCCESS", "a b", "a\nb", "\x1b[31m", strings.Repeat("a", 65), "名", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := word(text)
		if got != "" && got != text || len(got) > maxWord || strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'<>&\\", r) }) {
			t.Fatalf("%q is kept as %q", text, got)
		}
	})
}
