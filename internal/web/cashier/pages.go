package cashier

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"piaohao/internal/gateway"
	"piaohao/internal/web/httpx"
)

// Limits of what a browser may send.
const (
	tokenLetters   = 32      // of [0-9a-z]: gateway tokens
	maxReturnQuery = 8 << 10 // bytes of a platform's signed way back
	maxMethod      = 32      // letters of a method's name
)

func (h *cashier) front(w http.ResponseWriter, r *http.Request) {
	h.render(w, r, http.StatusOK, screen{Name: "note", Key: "front"})
}

func (h *cashier) process(w http.ResponseWriter, r *http.Request) {
	page, ok := h.load(w, r)
	if !ok {
		return
	}
	switch page.Phase {
	case gateway.PhasePaid, gateway.PhaseTwice, gateway.PhaseRefunded:
		h.redirect(w, r, "/payment/success/"+page.Payment.Token)
		return
	}
	h.show(w, r, h.screenOf(r, page))
}

// success shows what the database says. A payer who arrives proves nothing (A31): while nothing is decided the page
// says "confirming", and the arrival asks for the platform's answer soon.
func (h *cashier) success(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	if r.Method == http.MethodGet && validToken(token) {
		if err := h.Gateway.Arrived(r.Context(), token); err != nil && codeOf(err) != gateway.CodeNotFound {
			h.logError(r, err)
		}
	}
	page, ok := h.load(w, r)
	if !ok {
		return
	}
	switch page.Phase {
	case gateway.PhaseChoose, gateway.PhaseOpening, gateway.PhaseScan, gateway.PhaseLeave:
		page.Phase = gateway.PhaseConfirming
		s := h.screenOf(r, page)
		s.Unpaid = true
		h.show(w, r, s)
	default:
		h.show(w, r, h.screenOf(r, page))
	}
}

// show renders a payment's page. Without JavaScript the page's refresh is the poll, so it keeps the payment watched.
func (h *cashier) show(w http.ResponseWriter, r *http.Request, s screen) {
	if s.Live && r.Method == http.MethodGet {
		if err := h.Gateway.Watched(r.Context(), s.Page.Payment); err != nil {
			h.logError(r, err)
		}
	}
	h.render(w, r, http.StatusOK, s)
}

// returned takes the platform's signed way back when it carries no token of ours.
func (h *cashier) returned(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.RawQuery != "" && len(r.URL.RawQuery) <= maxReturnQuery {
		token, err := h.Gateway.Returned(r.Context(), r.URL.RawQuery)
		if err == nil {
			h.redirect(w, r, "/payment/success/"+token)
			return
		}
		if codeOf(err) != gateway.CodeNotFound {
			h.logError(r, err)
		}
	}
	h.render(w, r, http.StatusOK, screen{Name: "note", Key: "arrived"})
}

// leave opens or reuses an attempt and sends the payer to it. What only looks (a prefetch, HEAD) opens nothing.
func (h *cashier) leave(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead || prefetching(r) {
		noStore(w)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	token, method := r.PathValue("token"), r.PathValue("method")
	if !validToken(token) || !validMethod(method) {
		h.notFound(w, r)
		return
	}
	to, err := h.Gateway.Go(r.Context(), gateway.PageInput{Token: token, Method: method, Device: h.device(r)}, h.ClientIP(r))
	switch code := codeOf(err); {
	case err == nil:
		h.follow(w, r, token, method, to)
	case code == gateway.CodeNotFound:
		h.notFound(w, r)
	case code == gateway.CodePaymentNotOpen, code == gateway.CodePaymentClosing, code == gateway.CodeDeclined:
		h.redirect(w, r, "/payment/process/"+token) // the payment's own page says it better
	default:
		h.fail(w, r, err, "/payment/process/"+token)
	}
}

func (h *cashier) follow(w http.ResponseWriter, r *http.Request, token, method string, to gateway.Leave) {
	switch {
	case to.ToProcess:
		h.redirect(w, r, "/payment/process/"+token+"?method="+method) // a payer may have several; show the chosen one
	case webURL(to.URL) != "":
		noStore(w)
		http.Redirect(w, r, to.URL, http.StatusSeeOther)
	default:
		form, ok := withButton(to.FormHTML, textOf(language(r)).word("form.go"))
		if !ok {
			h.fail(w, r, errors.New("leave has neither a web address nor a form"), "/payment/process/"+token)
			return
		}
		h.render(w, r, http.StatusOK, screen{
			Name: "form", Key: "form", Method: method, Form: form, FormHosts: h.formHosts(method),
		})
	}
}

// back is the payer's "another way": it closes the attempts and never the shop's payment.
//
// Knowing the token is what allows it. The origin check stands in front of that, minus one case: our pages are
// no-referrer, so a browser that sends no Sec-Fetch-Site (plain http on a LAN, Safari before 16.4) says Origin: null
// even from our own form.
func (h *cashier) back(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null" {
		r.Header.Del("Origin")
	}
	var csrf http.CrossOriginProtection
	if csrf.Check(r) != nil {
		h.render(w, r, http.StatusForbidden, screen{Name: "note", Key: "foreign"})
		return
	}
	token := r.PathValue("token")
	if !validToken(token) {
		h.notFound(w, r)
		return
	}
	switch err := h.Gateway.Back(r.Context(), token); {
	case err == nil, codeOf(err) == gateway.CodePaymentNotOpen, codeOf(err) == gateway.CodePaymentClosing:
		h.redirect(w, r, "/payment/process/"+token)
	case codeOf(err) == gateway.CodeNotFound:
		h.notFound(w, r)
	default:
		h.fail(w, r, err, "/payment/process/"+token)
	}
}

// load returns the page of the request's token, or answers by itself. A token of another shape is refused before
// anybody is asked; its answer is that of an unknown one, byte for byte (A95).
func (h *cashier) load(w http.ResponseWriter, r *http.Request) (gateway.Page, bool) {
	token := r.PathValue("token")
	if !validToken(token) {
		h.notFound(w, r)
		return gateway.Page{}, false
	}
	device := h.device(r)
	if r.URL.Query().Get("all") != "" {
		device = gateway.Device{} // "show all": as an ordinary browser sees it
	}
	method := r.URL.Query().Get("method")
	if !validMethod(method) {
		method = ""
	}
	page, err := h.Gateway.Page(r.Context(), gateway.PageInput{Token: token, Method: method, Device: device})
	switch {
	case err == nil:
		return page, true
	case codeOf(err) == gateway.CodeNotFound:
		h.notFound(w, r)
	default:
		h.fail(w, r, err, "")
	}
	return gateway.Page{}, false
}

func (h *cashier) notFound(w http.ResponseWriter, r *http.Request) {
	h.render(w, r, http.StatusNotFound, screen{Name: "note", Key: "unknown"})
}

// fail says what happened to the money, what to do, and a number to quote; retry is our own path or "".
func (h *cashier) fail(w http.ResponseWriter, r *http.Request, err error, retry string) {
	h.logError(r, err)
	key, known := failures[codeOf(err)]
	if !known {
		key = "wrong"
	}
	h.render(w, r, httpx.Status(codeOf(err)), screen{Name: "note", Key: key, Retry: retry, Quote: httpx.RequestIDOf(r.Context())})
}

// failures are the texts of what a payer can do something about.
var failures = map[gateway.Code]string{
	gateway.CodePlatformBusy:      "busy",
	gateway.CodeBusy:              "busy",
	gateway.CodeRateLimited:       "busy",
	gateway.CodeMethodUnavailable: "unavailable",
	gateway.CodeTooManyAttempts:   "toomany",
}

// logError names the route, never the path: the path holds the token.
func (h *cashier) logError(r *http.Request, err error) {
	h.Log.ErrorContext(r.Context(), "payer's page failed",
		"route", r.Pattern, "request_id", httpx.RequestIDOf(r.Context()), "err", err, "cause", errors.Unwrap(err))
}

// redirect answers 303 to a path of ours and carries a chosen language on.
func (h *cashier) redirect(w http.ResponseWriter, r *http.Request, path string) {
	noStore(w)
	kept := keep(r)
	if strings.Contains(path, "?") {
		kept = strings.Replace(kept, "?", "&", 1)
	}
	http.Redirect(w, r, path+kept, http.StatusSeeOther)
}

func (h *cashier) formHosts(method string) []string {
	for _, p := range h.Platforms {
		if p.Method == method {
			return p.FormHosts
		}
	}
	return nil
}

// device reads the user agent: what it says orders choices and never hides the way to all of them.
func (h *cashier) device(r *http.Request) gateway.Device {
	agent := r.UserAgent()
	d := gateway.Device{
		Phone: strings.Contains(agent, "Mobile") || strings.Contains(agent, "Android") || strings.Contains(agent, "iPhone"),
	}
	for _, p := range h.Platforms {
		if p.BrowserMark != "" && strings.Contains(agent, p.BrowserMark) {
			d.Browser = p.Method
			return d
		}
	}
	return d
}

func codeOf(err error) gateway.Code {
	if e := gateway.Refusal(err); e != nil {
		return e.Code
	}
	return gateway.CodeInternal
}

func prefetching(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		if strings.Contains(r.Header.Get(name), "prefetch") {
			return true
		}
	}
	return false
}

func validToken(s string) bool { return len(s) == tokenLetters && lowerAlnum(s) }

func validMethod(s string) bool { return s != "" && len(s) <= maxMethod && lowerAlnum(s) }

func lowerAlnum(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// webURL returns s when it is an absolute http or https address that browsers and url.Parse read alike, else ""
// (A87: //evil, /\evil, https:evil, javascript:, userinfo).
func webURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	return s
}
