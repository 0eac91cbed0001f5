package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/config"
)

// renewBefore is when an expiring certificate becomes a finding: what renews by itself has done so long before.
const renewBefore = 14 * 24 * time.Hour

// probe is what the doctor posts to a notice address: no platform's form, so that it is refused and recorded as such.
const probe = "piaohao doctor: this is no notice\n"

// heard is an answer to a question about our own address.
type heard struct {
	status int
	header http.Header
	body   []byte
	expiry time.Time // of the certificate, zero without TLS
}

// askOurselves goes the way that platforms and payers go: to the public address and back in.
func (x *examination) askOurselves(ctx context.Context) {
	over := x.Web
	if over == nil {
		over = network()
	}
	u, err := url.Parse(x.Config.PublicURL)
	if err != nil || u.Host == "" || x.known("PUBLIC_URL", "", "") {
		return
	}
	found, ok := x.health(ctx, over)
	x.report.General = append(x.report.General, found)
	asked := map[string]bool{}
	for i, a := range x.Config.Accounts {
		address := a.NotifyURL
		if address == "" {
			address = x.Config.PublicURL + a.Driver.Info.NotifyPath
		}
		n, err := url.Parse(address)
		if err != nil || asked[address] || !ok && originOf(n) == x.Config.PublicURL {
			continue // one cause, one finding
		}
		asked[address] = true
		if f, said := x.knock(ctx, over, a, address); said {
			x.report.Accounts[i].Findings = append(x.report.Accounts[i].Findings, f)
		}
	}
}

// health asks who answers at PUBLIC_URL.
func (x *examination) health(ctx context.Context, over http.RoundTripper) (f Finding, ok bool) {
	fail := func(code, text, cure string) (Finding, bool) {
		return Finding{Level: x.outward(), Code: code, Setting: "PUBLIC_URL", Text: text, Cure: cure}, false
	}
	answer, err := hear(ctx, over, http.MethodGet, x.Config.PublicURL+HealthPath, "")
	if err != nil {
		why, _ := connection(err)
		return fail("public_"+why.code, x.Config.PublicURL+": "+why.text, why.cure)
	}
	var who health
	if answer.status != http.StatusOK || json.Unmarshal(answer.body, &who) != nil || who.Service != service {
		code, text, cure := stranger(answer, x.Config.PublicURL)
		return fail(code, text, cure)
	}
	if who.Livemode != x.Config.Live {
		return fail("other_mode", "the gateway that answers there runs in "+mode(config.Config{Live: who.Livemode})+" mode, these settings are "+x.report.Mode,
			"restart it with these settings, or run doctor where its settings are")
	}
	if left := answer.expiry.Sub(x.Now()); !answer.expiry.IsZero() && left < renewBefore {
		f, _ := fail("tls_expiring", "the certificate ends in "+strconv.Itoa(int(left.Hours())/24)+" days",
			"renew it, and let that happen by itself (certbot renew, or Caddy)")
		f.Level = channel.LevelWarn
		return f, true
	}
	return Finding{Level: channel.LevelOK, Code: "public_answers", Text: x.Config.PublicURL + " leads to this gateway"}, true
}

// outward is how bad it is when nobody reaches us: in test mode the simulator may be all that has to.
func (x *examination) outward() channel.Level {
	if x.Config.Live {
		return channel.LevelError
	}
	return channel.LevelWarn
}

// knock posts to a notice address what no platform would, and expects our own refusal.
func (x *examination) knock(ctx context.Context, over http.RoundTripper, a config.Account, address string) (Finding, bool) {
	expected := x.refusals(address)
	if len(expected) == 0 {
		return Finding{}, false // no channel could be built, which is said already
	}
	f := Finding{Level: x.outward(), Setting: a.Driver.Info.Prefix + notifySuffix}
	answer, err := hear(ctx, over, http.MethodPost, address, probe)
	if err != nil {
		why, _ := connection(err)
		f.Code, f.Text, f.Cure = "notify_"+why.code, why.text, why.cure
		return f, true
	}
	refused := slices.ContainsFunc(expected, func(r channel.Reply) bool {
		return answer.status == r.Status && string(answer.body) == r.Body
	})
	if refused {
		return Finding{
			Level: channel.LevelOK, Code: "notify_answers",
			Text: "a notice gets through to this gateway (one refused notice of doctor is now among piaohao incidents)",
		}, true
	}
	f.Code, f.Text, f.Cure = stranger(answer, "the address of notices")
	return f, true
}

// refusals are our own answers to what is no notice, of every account whose notices come to that address.
func (x *examination) refusals(address string) []channel.Reply {
	var out []channel.Reply
	for i, a := range x.Config.Accounts {
		own := a.NotifyURL
		if own == "" {
			own = x.Config.PublicURL + a.Driver.Info.NotifyPath
		}
		if own == address && x.channels[i] != nil {
			out = append(out, x.channels[i].Ack(false))
		}
	}
	return out
}

// stranger names who answers in our place.
func stranger(a heard, where string) (code, text, cure string) {
	status := "(status " + strconv.Itoa(a.status)
	switch {
	case a.status >= 300 && a.status < 400:
		text = where + " answers with a redirect " + status
		if to, err := url.Parse(a.header.Get("Location")); err == nil && to.Host != "" {
			text += " to " + originOf(to)
		}
		return "redirected", text + "): a platform does not follow it", "use the final address: https, and the same host with or without www"
	case a.status >= 502 && a.status <= 504:
		return "bad_gateway", "a proxy answers at " + where + ", and no gateway behind it " + status + ")",
			"start piaohao, and let the proxy hand /payment/ on to LISTEN_ADDR"
	case strings.Contains(a.header.Get("Content-Type"), "text/html"):
		return "foreign_page", "a web page answers at " + where + " in place of this gateway " + status + "): another site, a login, or a firewall's check",
			"let the proxy hand /payment/ on to LISTEN_ADDR, and keep logins and checks for robots off it"
	}
	return "foreign_answer", "something else answers at " + where + " " + status + "): another program, or an older piaohao",
		"let the proxy hand /payment/ on to LISTEN_ADDR, and stop the program that had the address before"
}

// hear sends one question: no redirect followed, at most channel.CallTimeout and channel.MaxBody. The error never holds
// the URL.
func hear(ctx context.Context, over http.RoundTripper, method, address, body string) (heard, error) {
	ctx, cancel := context.WithTimeout(ctx, channel.CallTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return heard{}, errors.New("the address cannot be asked")
	}
	req.Header.Set("User-Agent", "piaohao (doctor)")
	if body != "" {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	res, err := client(over).Do(req)
	if err != nil {
		return heard{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, channel.MaxBody))
	if err != nil {
		return heard{}, err
	}
	out := heard{status: res.StatusCode, header: res.Header, body: text}
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		out.expiry = res.TLS.PeerCertificates[0].NotAfter
	}
	return out, nil
}
