package httpx

import (
	"net/http"
	"net/netip"
	"testing"
)

// FuzzClientIP: whoever is not a trusted proxy speaks for nobody else, and whatever is claimed, the answer is an address.
func FuzzClientIP(f *testing.F) {
	f.Add("203.0.113.7:1234", "1.2.3.4")
	f.Add("127.0.0.1:1", "1.2.3.4, 127.0.0.1, ::1, x")
	f.Add("[::ffff:127.0.0.1]:1", " , ,,fe80::1%eth0")
	f.Add("@", "127.0.0.1")
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	f.Fuzz(func(t *testing.T, peer, claim string) {
		got := ClientIP(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {claim}}}, trusted)
		at, err := netip.ParseAddrPort(peer)
		if err != nil {
			if got != "" {
				t.Fatalf("%q: %q", peer, got)
			}
			return
		}
		ip, err := netip.ParseAddr(got)
		if err != nil || ip.Zone() != "" {
			t.Fatalf("%q for %q: %q", peer, claim, got)
		}
		if own := at.Addr().Unmap().WithZone(""); !contains(trusted, own) && ip != own {
			t.Fatalf("%q is believed to be %s", peer, ip)
		}
	})
}

// FuzzLanguage: no header makes the choice of a language fail.
func FuzzLanguage(f *testing.F) {
	f.Add("zh-CN,zh;q=0.9,en;q=0.8")
	f.Add("en;q=,zh;q=NaN,;;;")
	f.Fuzz(func(t *testing.T, accept string) {
		if prefersChinese(accept) && len(accept) < len("zh") {
			t.Fatalf("%q", accept)
		}
	})
}
