package doctor

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"piaohao/internal/channel"
	"piaohao/internal/config"
)

// notifySuffix ends the variable of a notice address, after the method's prefix.
const notifySuffix = "_NOTIFY_URL"

// ours are paths that answer something else than notices.
var ours = []string{"/payment", "/payment/success", HealthPath}

// Hosts that nobody can reach from outside, by their ends; so are names without a dot.
var innerNames = []string{".localhost", ".local", ".internal", ".lan", ".home.arpa"}

// Hosts that the guide prints for the reader to replace.
var guideHosts = []string{"yourdomain.com", "abcd1234.ngrok.io"}

// Names that tunnels give for a while.
var tunnelNames = []string{".ngrok.io", ".ngrok.app", ".ngrok-free.app", ".ngrok-free.dev", ".trycloudflare.com", ".loca.lt"}

// addresses looks at PUBLIC_URL, the notice and return addresses: what the platforms and payers must reach.
func (x *examination) addresses() {
	flagged, seen := map[string]bool{}, map[string]bool{}
	for i, a := range x.Config.Accounts {
		name := a.Driver.Info.Prefix + notifySuffix
		if a.NotifyURL == "" || seen[name] || x.known(name, "", "") {
			continue
		}
		seen[name] = true
		u, err := url.Parse(a.NotifyURL)
		if err != nil {
			continue // Load refuses it
		}
		before := len(x.report.Accounts[i].Findings)
		x.notify(i, name, a, u)
		flagged[originOf(u)] = flagged[originOf(u)] || len(x.report.Accounts[i].Findings) > before
		if len(x.report.Accounts[i].Findings) == before {
			x.tell(i, channel.LevelOK, "notify_url", "", "notices go to "+u.Scheme+"://"+u.Host+u.Path, "")
		}
	}
	x.publicURL(flagged)
	x.returns()
}

func originOf(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

// notify looks at one notice address; at most one finding.
func (x *examination) notify(account int, name string, a config.Account, u *url.URL) {
	level, code, text, cure := x.reachable(u)
	path := "use " + a.Driver.Info.NotifyPath
	switch {
	case u.RawQuery != "" || u.ForceQuery:
		code, level, text, cure = "query", channel.LevelError,
			"has a query: the platform refuses it or drops it", "take off everything from the ? on"
	case code != "":
	case u.Path == "" || u.Path == "/" || slices.Contains(ours, strings.TrimSuffix(u.Path, "/")) || strings.HasPrefix(u.Path, "/v1/"):
		code, level, text, cure = "path", channel.LevelError, "its path does not take notices", path
	case !strings.HasPrefix(u.Path, "/payment/"):
		code, level, text, cure = "path", channel.LevelWarn,
			"its path is outside of /payment/, which the proxy examples do not hand on", path+", or hand this path on too"
	case x.Config.Live && originOf(u) != x.Config.PublicURL: // on a laptop, notices come by a tunnel and payers do not
		code, level, text, cure = "notify_origin", channel.LevelWarn,
			"notices go to "+u.Host+", payers to "+x.Config.PublicURL, "use one host for both, or make sure that both lead to this server"
	}
	if code != "" {
		x.tell(account, level, code, name, text, cure)
	}
}

// reachable judges scheme and host of an address that the platform or payers must reach; code "" = nothing to say.
// In test mode it is a warning: the simulator reaches what the network does not.
func (x *examination) reachable(u *url.URL) (level channel.Level, code, text, cure string) {
	host := strings.ToLower(u.Hostname())
	level = channel.LevelError
	if !x.Config.Live {
		level = channel.LevelWarn
	}
	switch {
	case slices.Contains(guideHosts, strings.TrimPrefix(host, "www.")):
		return level, "placeholder", "still has the guide's example host " + host, "put your own domain there"
	case innerHost(host):
		return level, "private", host + " cannot be reached from outside: notices never arrive",
			"use the public name of this server; on a laptop, a tunnel (ngrok http 5000)"
	case u.Scheme != "https" && x.Config.Live:
		return level, "http", "is http: live mode needs https", "get a certificate for " + host + " and write https://"
	case x.Config.Live && endsIn(host, tunnelNames):
		return channel.LevelWarn, "tunnel", host + " is a tunnel's name, which ends with it", "use a domain of your own"
	}
	return level, "", "", ""
}

// carrierNAT is shared address space (RFC 6598).
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

func innerHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || carrierNAT.Contains(ip)
	}
	return !strings.Contains(host, ".") || endsIn(host, innerNames)
}

func endsIn(host string, ends []string) bool {
	return slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(host, end) })
}

// publicURL looks at our own origin, unless a notice address of the same origin was found wrong.
func (x *examination) publicURL(flagged map[string]bool) {
	const name = "PUBLIC_URL"
	u, err := url.Parse(x.Config.PublicURL)
	if err != nil || u.Host == "" || flagged[x.Config.PublicURL] || x.known(name, "", "") {
		return
	}
	level, code, text, cure := x.reachable(u)
	switch {
	case code == "private" && !x.Config.Live && !x.expectsNotices(): // nobody from outside is expected
	case code != "":
		x.say(level, code, name, text, cure)
		return
	}
	x.say(channel.LevelOK, "public_url", "", "payers and platforms reach this server at "+x.Config.PublicURL, "")
}

// expectsNotices reports whether a platform sends its notices to our own origin.
func (x *examination) expectsNotices() bool {
	return slices.ContainsFunc(x.Config.Accounts, func(a config.Account) bool { return a.NotifyURL == "" })
}

// returns looks at where payers go afterwards.
func (x *examination) returns() {
	const name = "RETURN_URL_ORIGINS"
	if !x.Config.Live || x.known(name, "", "") {
		return
	}
	for _, origin := range x.Config.ReturnOrigins {
		u, err := url.Parse(origin)
		if err != nil {
			continue
		}
		switch {
		case net.ParseIP(u.Hostname()).IsLoopback() || u.Hostname() == "localhost":
			x.say(channel.LevelWarn, "return_inner", name, origin+" is this machine: payers elsewhere do not get there",
				"name your shop's public origin")
		case u.Scheme != "https":
			x.say(channel.LevelWarn, "return_plain", name, origin+" is http: anybody on the way can change the page that payers end on",
				"use https")
		}
	}
}
