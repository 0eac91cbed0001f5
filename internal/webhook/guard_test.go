package webhook

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	const never, testOnly, always = 0, 1, 2
	for _, row := range []struct {
		name, url string
		when      int
	}{
		{"plain", "https://shop.example.com/hook?a=b", always},
		{"port 8443", "https://shop.example.com:8443/", always},
		{"punycode", "https://xn--fiqs8s.example/", always},
		{"public number", "https://8.8.8.8/", always},
		{"public IPv6", "https://[2606:4700::1111]/", always},
		{"A80 loopback", "http://127.0.0.1:5002/hook", testOnly},
		{"A80 loopback with TLS", "https://127.8.9.1/", testOnly},
		{"A80 localhost", "http://localhost:5002/hook", testOnly},
		{"A80 LOCALHOST.", "http://LOCALHOST.:5002/hook", testOnly},
		{"A80 sub.localhost", "http://a.localhost/", testOnly},
		{"A80 IPv6 loopback", "http://[::1]:5002/", testOnly},
		{"A80 mapped loopback", "http://[::ffff:127.0.0.1]/", testOnly},
		{"A80 ten", "https://10.0.0.1/", never},
		{"A80 metadata", "http://169.254.169.254/latest", never},
		{"A80 metadata with TLS", "https://169.254.169.254/latest", never},
		{"A80 zero", "http://0.0.0.0:5002/", never},
		{"A80 IPv6 zero", "http://[::]:5002/", never},
		{"A80 decimal loopback", "https://2130706433/", never},
		{"A80 hex loopback", "https://0x7f000001/", never},
		{"A80 short loopback", "https://127.1/", never},
		{"A80 octal loopback", "https://0177.0.0.1/", never},
		{"A84 Alibaba metadata", "https://100.100.100.200/", never},
		{"A84 NAT64 of metadata", "https://[64:ff9b::a9fe:a9fe]/", never},
		{"A85 http", "http://shop.example.com/", never},
		{"A85 file", "file:///etc/passwd", never},
		{"A85 gopher", "gopher://shop.example.com/", never},
		{"A85 gopher at home", "gopher://127.0.0.1/", never},
		{"A85 no scheme", "//shop.example.com/", never},
		{"A85 opaque", "https:shop.example.com", never},
		{"A85 user", "https://a:b@shop.example.com/", never},
		{"A85 user hides host", "https://shop.example.com@127.0.0.1/", never},
		{"A85 ssh port", "https://shop.example.com:22/", never},
		{"A85 redis port", "https://shop.example.com:6379/", never},
		{"A85 zone id", "https://[fe80::1%25eth0]/", never},
		{"A85 zone id on public", "https://[2606:4700::1111%25eth0]/", never},
		{"A85 zone id on loopback", "http://[::1%25lo]/", never},
		{"A85 ideographic dot", "https://127。0。0。1/", never},
		{"A85 full-width digits", "https://１２７.0.0.1/", never},
		{"A85 fragment", "https://shop.example.com/#a", never},
		{"A85 encoded host", "https://shop%2eexample.com/", never},
		{"A85 space", "https://shop .example.com/", never},
		{"A88 name without a dot", "https://metadata/", never},
		{"empty", "", never},
		{"no host", "https:///path", never},
		{"dot host", "https://./", never},
		{"too long", "https://shop.example.com/" + strings.Repeat("a", maxURL), never},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			live, test := CheckURL(row.url, false), CheckURL(row.url, true)
			if (live == nil) != (row.when == always) {
				t.Errorf("live: %v", live)
			}
			if (test == nil) != (row.when != never) {
				t.Errorf("test mode: %v", test)
			}
			for _, err := range []error{live, test} {
				if err != nil && !errors.Is(err, ErrURL) && !errors.Is(err, ErrAddress) {
					t.Errorf("unnamed error %v", err)
				}
			}
		})
	}
}

// One address of each special block, with the ends of some, and neighbours that are public.
func TestA84CheckAddr(t *testing.T) {
	t.Parallel()
	for _, text := range strings.Fields(`
		0.0.0.0 0.255.255.255 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
		168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.31.196.1
		192.52.193.1 192.88.99.1 192.168.0.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
		240.0.0.1 255.255.255.255
		:: ::1 ::7f00:1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 100:0:0:1::1
		2001::1 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002::1 2002:7f00:1:: 2620:4f:8000::1 3fff::1 4000::1 5f00::1
		fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 2606:4700::1%eth0`) {
		ip := netip.MustParseAddr(text)
		if checkAddr(ip, false) == nil {
			t.Errorf("%s is let through", text)
		}
		if checkAddr(ip, true) == nil && !ip.Unmap().IsLoopback() {
			t.Errorf("%s is let through in test mode", text)
		}
	}
	for _, text := range strings.Fields(`
		1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 172.15.255.255 172.32.0.0 192.0.1.1 198.17.255.255
		198.20.0.0 223.255.255.255 2001:200::1 2003::1 2400:3200::1 2606:4700::1111 3ffe::1 ::ffff:8.8.8.8`) {
		if err := checkAddr(netip.MustParseAddr(text), false); err != nil {
			t.Errorf("%s is public", text)
		}
	}
}

// nameserver answers every A question with the address it holds and every other one with nothing.
type nameserver struct {
	ip   atomic.Pointer[netip.Addr]
	asks atomic.Int64
}

func (n *nameserver) serve(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		n.asks.Add(1)
		q := buf[:size]
		end := 12
		for q[end] != 0 {
			end += int(q[end]) + 1
		}
		end += 5 // root, type, class
		kind := binary.BigEndian.Uint16(q[end-4:])
		out := append([]byte{}, q[:end]...)
		out[2], out[3] = 0x84, 0 // an authoritative answer
		clear(out[6:12])
		if ip := n.ip.Load().As4(); kind == 1 {
			out[7] = 1
			out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			out = append(out, ip[:]...)
		}
		_, _ = conn.WriteTo(out, from)
	}
}

// What counts is the address that a name has at the moment of each connection.
func TestNamesThatLie(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var dns nameserver
	go dns.serve(conn)
	shop, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shop.Close() }()
	_, port, _ := net.SplitHostPort(shop.Addr().String())
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	dial := func(allowLoopback bool, ip string) error {
		addr := netip.MustParseAddr(ip)
		dns.ip.Store(&addr)
		dialer := newDialer(allowLoopback)
		dialer.Resolver = resolver
		c, err := dialer.DialContext(t.Context(), "tcp4", rooted("shop.example.com:"+port))
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	if err := dial(true, "127.0.0.1"); err != nil {
		t.Fatalf("test mode, loopback: %v", err)
	}
	for _, row := range []struct {
		name          string
		allowLoopback bool
		ip            string
	}{
		{"A82 good once, ten-net now", true, "10.0.0.1"},
		{"A82 good once, metadata now", true, "169.254.169.254"},
		{"A81 loopback by name", false, "127.0.0.1"},
		{"A81 metadata by name", false, "169.254.169.254"},
		{"A81 Alibaba metadata by name", false, "100.100.100.200"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := dns.asks.Load()
			if err := dial(row.allowLoopback, row.ip); !errors.Is(err, ErrAddress) {
				t.Errorf("%v", err)
			}
			if dns.asks.Load() == before {
				t.Error("the name was not asked for again")
			}
		})
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	g := NewTransport(false).(*guard)
	inner := g.next.(*http.Transport)
	t.Run("A88 no proxy of the environment", func(t *testing.T) {
		if inner.Proxy != nil {
			t.Error("a proxy is followed")
		}
	})
	t.Run("A88 no search domain", func(t *testing.T) {
		for in, want := range map[string]string{
			"shop.example.com:443": "shop.example.com.:443", "shop.example.com.:443": "shop.example.com.:443",
			"127.0.0.1:1": "127.0.0.1:1", "[::1]:1": "[::1]:1", "localhost:1": "localhost:1",
		} {
			if got := rooted(in); got != want {
				t.Errorf("%s is dialled as %s", in, got)
			}
		}
	})
	for _, url := range []string{"http://127.0.0.1:1/", "https://localhost/", "http://shop.example.com/", "https://10.0.0.1/"} {
		t.Run("A80 at the try "+url, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.RoundTrip(req); !errors.Is(err, ErrAddress) && !errors.Is(err, ErrURL) {
				t.Errorf("%v", err)
			}
		})
	}
}
