package config

import (
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"piaohao/internal/channel"
)

// platformURLs are the addresses that one platform is told.
type platformURLs struct{ notify, back string }

// maxNotifyURL is what both platforms take, in characters (APIv3 Native下单, notify_url; opendocs: 256).
const maxNotifyURL = 255

// ownReturnPath is where our own page after a payment is: a shop's guide names it for the application before us.
const ownReturnPath = "/payment/success"

// noticePath is a path that can be mounted as it stands.
var noticePath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+/?$`)

// ownPaths are taken by the gateway itself.
var ownPaths = []string{
	"/v1", "/payment/process", "/payment/go", "/payment/cancel", "/payment/success", "/payment/events", "/payment/status",
	"/payment/assets", "/payment/health",
}

// urls reads where a platform sends its notices and its payers; in live mode they must be reachable from outside.
func (l *loader) urls(p *platform, used bool) platformURLs {
	var out platformURLs
	name := p.prefix + notifySuffix
	if v := unquote(l.get(name)); v != "" && used {
		if f := l.noticeFault(v); f != nil {
			l.fail(name, *f)
		} else {
			out.notify = v
		}
	}
	name = p.prefix + returnSuffix
	if v := unquote(l.get(name)); v != "" && used {
		u, ok := parseHTTP(v)
		switch f := l.outside(u); {
		case !ok:
			l.invalid(name, "write it as https://host/path, without user name or fragment")
		case f != nil:
			l.fail(name, *f)
		case strings.TrimSuffix(u.Path, "/") != ownReturnPath:
			out.back = v
		}
	}
	return out
}

func (l *loader) noticeFault(v string) *fault {
	u, ok := parseHTTP(v)
	switch {
	case !ok:
		return &fault{code: "invalid", text: "write it as https://host/path, without user name or fragment"}
	case u.RawQuery != "" || u.ForceQuery:
		return &fault{"query", "has a query, which the platforms refuse or drop", "delete the ? and what follows; notices are told apart by themselves"}
	case len(v) > maxNotifyURL:
		return &fault{"too_large", "is longer than 255 characters, the most that platforms take", "use a shorter path"}
	case !noticePath.MatchString(u.EscapedPath()) || path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/"):
		return &fault{"path", "has no path, or one that cannot be used", "use letters, digits, - . _ ~ and /, for example /payment/notify"}
	case slices.ContainsFunc(ownPaths, func(own string) bool { return u.Path == own || strings.HasPrefix(u.Path, own+"/") }):
		return &fault{"path", "has a path that the gateway itself uses", "use another, for example /payment/notify"}
	}
	return l.outside(u)
}

var (
	notHTTPS   = fault{"http", "is not https", "real money needs https: get a certificate for your domain, put a proxy such as nginx before the gateway and write https://"}
	notReached = fault{"private", "names a host that only this machine or its network reaches", "write the domain under which the platform and the payers reach you"}
)

// outside says why a URL will not do with real money; nil in test mode.
func (l *loader) outside(u *url.URL) *fault {
	switch {
	case !l.live || u == nil:
		return nil
	case sampleHost.MatchString(u.Hostname()):
		return &isSample
	case privateHost(u.Hostname()):
		return &notReached
	case u.Scheme != "https":
		return &notHTTPS
	}
	return nil
}

// sharedSpace is carriers' address space behind their own translation (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// privateHost holds for hosts that nobody outside reaches: addresses of inner networks, names of one word and of the
// domains for inner use (RFC 6761, 6762, 8375; ICANN on .internal).
func privateHost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap().WithZone("")
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() || sharedSpace.Contains(ip)
	}
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range []string{".localhost", ".local", ".lan", ".internal", ".home.arpa", ".localdomain", ".invalid"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

// publicURL is the origin that payers and platforms reach us under. With real money it follows the notice URLs.
func (l *loader) publicURL(listen string, accounts []Account) string {
	const name = "PUBLIC_URL"
	if !l.live {
		return l.origin(name, listen)
	}
	v := l.get(name)
	if v == "" {
		var origins []string
		noticeSet := slices.ContainsFunc(l.drivers, func(d channel.Driver) bool { return l.get(d.Info.Prefix+notifySuffix) != "" })
		for _, a := range accounts {
			if u, ok := parseHTTP(a.NotifyURL); ok && !slices.Contains(origins, originOfURL(u)) {
				origins = append(origins, originOfURL(u))
			}
		}
		switch {
		case len(origins) == 1:
			return origins[0]
		case !l.decided, len(origins) == 0 && noticeSet: // it may follow from what is mended
		case len(origins) > 1:
			l.fail(name, fault{"missing", "the platforms' notice URLs have different hosts", "set it to the one under which payers reach the gateway, as https://host"})
		default:
			l.fail(name, fault{"missing", "nothing says under which URL the gateway is reached", "set it, as https://host; or set a notice URL of a platform"})
		}
		return ""
	}
	o, ok := parseOrigin(v)
	if !ok {
		l.invalid(name, "write it as https://host[:port], without path, query or user name")
		return ""
	}
	u, _ := url.Parse(o)
	if f := l.outside(u); f != nil {
		l.fail(name, *f)
	}
	return o
}

func originOfURL(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }
