package cashier

import (
	"bytes"
	"cmp"
	"embed"
	"html/template"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates has one set per language and page: the layout and that page's "main".
var templates = map[string]map[string]*template.Template{"zh": mustPages("zh"), "en": mustPages("en")}

func mustPages(lang string) map[string]*template.Template {
	layout := template.New("layout").Option("missingkey=error")
	template.Must(layout.Parse(mustTemplate("layout", lang)))
	template.Must(layout.New("parts").Parse(mustTemplate("parts", lang)))
	all := map[string]*template.Template{}
	for _, name := range []string{"choose", "scan", "wait", "paid", "ended", "refused", "note", "form"} {
		page := template.Must(layout.Clone())
		template.Must(page.New(name).Parse(mustTemplate(name, lang)))
		all[name] = page
	}
	return all
}

// named is a text or a file of ours that a template names itself.
var named = regexp.MustCompile(`{{\$?\.(T|Asset) "([^"]+)"}}`)

// mustTemplate is a template with what it names itself in it, so that a page looks up only what depends on the payment.
func mustTemplate(name, lang string) string {
	raw, err := templateFiles.ReadFile("templates/" + name + ".html")
	if err != nil {
		panic(err) // embedded: the build is broken
	}
	return named.ReplaceAllStringFunc(string(raw), func(action string) string {
		name := named.FindStringSubmatch(action)
		if name[1] == "Asset" {
			return assetPaths[name[2]]
		}
		return template.HTMLEscapeString(textOf(lang).word(name[2]))
	})
}

// buffers are for pages on their way: most stay below 16 KiB.
var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 16<<10)) }}

// screen is what a template shows.
type screen struct {
	Name   string // template
	Key    string // of its texts
	Method string // "" when the page is about no method
	Live   bool   // the payment may still change: stream, poll, refresh
	Phone  bool   // the payer reads this on a phone

	Page   gateway.Page
	Left   time.Duration // until the payer can no longer pay; 0 = not said
	QR     template.HTML
	Return string // back to the shop, "" = nowhere
	Wallet string
	Unpaid bool   // on the success page before anything is decided: offer the way back
	Retry  string // our own path, after a failure
	Quote  string // the number to quote after a failure

	Form      template.HTML
	FormHosts []string

	Lang string // "zh" or "en"
	Keep string // "?lang=en" when chosen by hand, for every link
	Test bool

	told
}

// told are the texts that a page of a payment says, each made once: a template asks for some of them several times, and
// finds a field quicker than it calls a method.
type told struct {
	Title    string // what stands in the browser's tab: what the page says first
	HTMLLang string // the page's language tag
	Other    string // the other language
	Token    string // the payment's, for our own paths
	Shop     string // the shop's name, fit to be read
	Subject  string // the shop's text, fit to be read
	Amount   string // the payment's, "1,234.56"
	Long     bool   // the amount needs smaller figures to fit a narrow screen
	Ordered  string // when the order was made, Beijing time
	Clock    string // Left as text; the script counts it on from LeftMS
	LeftMS   int64  // Left in milliseconds
}

// tell fills told from the rest of the screen.
func (s *screen) tell() {
	p := &s.Page.Payment
	s.told = told{
		Title: s.M(s.Key + ".title"), HTMLLang: "zh-CN", Other: "en", Token: p.Token, Shop: visible(s.Page.ShopName),
		Subject: visible(p.Subject), Amount: yuan(p.Amount), Ordered: beijingTime(p.CreatedAt, "2006-01-02 15:04"),
		Clock: clock(s.Left), LeftMS: s.Left.Milliseconds(),
	}
	if s.Lang == "en" {
		s.HTMLLang, s.Other = "en", "zh"
	}
	s.Long = len(s.Amount) > len("99,999.00")
}

// pages says which template and texts each phase has. Live phases may still change by themselves.
var pages = map[gateway.Phase]screen{
	gateway.PhaseChoose:     {Name: "choose", Key: "choose", Live: true},
	gateway.PhaseOpening:    {Name: "wait", Key: "opening", Live: true},
	gateway.PhaseScan:       {Name: "scan", Key: "scan", Live: true},
	gateway.PhaseLeave:      {Name: "wait", Key: "leave", Live: true},
	gateway.PhaseConfirming: {Name: "wait", Key: "confirming", Live: true},
	gateway.PhasePaid:       {Name: "paid", Key: "paid"},
	gateway.PhaseRefunded:   {Name: "paid", Key: "refunded"},
	gateway.PhaseTwice:      {Name: "paid", Key: "twice"},
	gateway.PhaseClosed:     {Name: "ended", Key: "closed"},
	gateway.PhaseExpired:    {Name: "ended", Key: "expired"},
	gateway.PhaseLate:       {Name: "ended", Key: "late"},
	gateway.PhaseRefused:    {Name: "refused", Key: "refused", Live: true},
}

func (h *cashier) screenOf(r *http.Request, page gateway.Page) screen {
	s := pages[page.Phase] // an unknown phase has no template: render fails loudly
	s.Page, s.Return, s.Wallet = page, webURL(page.ReturnURL), webURL(page.WalletURL)
	s.Phone = h.device(r).Phone
	if page.Attempt != nil {
		s.Method = page.Attempt.Method
	}
	s.Live = s.Live || page.Refund.Going > 0 || page.Surplus.Going > 0
	switch page.Phase {
	case gateway.PhaseLate:
		s.Key = "late." + stateOf(page.Surplus)
	case gateway.PhaseChoose, gateway.PhaseScan, gateway.PhaseLeave, gateway.PhaseRefused:
		s.Left = max(0, page.Payment.ExpiresAt.Sub(h.Now()))
	}
	return s
}

// render writes a whole page: rendered first, so that a failure is never half a page.
func (h *cashier) render(w http.ResponseWriter, r *http.Request, status int, s screen) {
	s.Lang, s.Keep, s.Test = language(r), keep(r), !h.Livemode
	s.tell()
	if s.Page.QR != "" && s.Name == "scan" {
		var err error
		if s.QR, err = h.codes.draw(s.Page.QR, s.M("qr.label")); err != nil {
			h.fail(w, r, err, "")
			return
		}
	}
	page, known := templates[s.Lang][s.Name]
	if !known {
		h.fail(w, r, errNoPage, "")
		return
	}
	body := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(body)
	body.Reset()
	if err := page.Execute(body, &s); err != nil {
		h.logError(r, err)
		noStore(w)
		http.Error(w, "500", http.StatusInternalServerError)
		return
	}
	noStore(w)
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", s.HTMLLang)
	header.Set("Content-Security-Policy", policy(s.FormHosts))
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Robots-Tag", "noindex")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // only the connection can fail
}

// policy lets a page use our own files and nothing else; formHosts are where a platform's form may post.
func policy(formHosts []string) string {
	to := "'self'"
	if len(formHosts) > 0 {
		to = strings.Join(formHosts, " ")
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action " + to +
		"; frame-ancestors 'none'; base-uri 'none'"
}

// noStore keeps the token out of caches and of other sites' logs (A98).
func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// withButton puts a button into the platform's form, so that it can be sent without JavaScript.
func withButton(form, label string) (template.HTML, bool) {
	end := strings.LastIndex(form, "</form>")
	if end < 0 {
		return "", false
	}
	button := `<button class="btn main" type="submit">` + template.HTMLEscapeString(label) + `</button>`
	return template.HTML(form[:end] + button + form[end:]), true //nolint:gosec // made by our channel, which escapes its fields
}

func language(r *http.Request) string {
	if chosen := r.URL.Query().Get("lang"); chosen == "zh" || chosen == "en" {
		return chosen
	}
	return prefers(r.Header.Get("Accept-Language"))
}

func keep(r *http.Request) string {
	if chosen := r.URL.Query().Get("lang"); chosen == "zh" || chosen == "en" {
		return "?lang=" + chosen
	}
	return ""
}

// T is the text of key.
func (s *screen) T(key string) string { return textOf(s.Lang).word(key) }

// M is the text of key for the page's method.
func (s *screen) M(key string) string { return s.For(key, s.Method) }

// For is the text of key for method.
func (s *screen) For(key, method string) string { return textOf(s.Lang).wordFor(key, method) }

// All keeps the language and asks for every method.
func (s *screen) All() string { return "?all=1" + strings.Replace(s.Keep, "?", "&", 1) }

// Paid is when the money came, Beijing time.
func (s *screen) Paid() string {
	return beijingTime(cmp.Or(s.attempt().PaidAt, s.Page.Payment.PaidAt), "2006-01-02 15:04:05")
}

// Transaction is the platform's number of the money.
func (s *screen) Transaction() string { return s.attempt().TransactionID }

func (s *screen) attempt() pay.Attempt {
	if s.Page.Attempt == nil {
		return pay.Attempt{}
	}
	return *s.Page.Attempt
}

// Others are the choices besides the page's own method.
func (s *screen) Others() []gateway.Choice {
	var others []gateway.Choice
	for _, c := range s.Page.Choices {
		if c.Method != s.Method {
			others = append(others, c)
		}
	}
	return others
}
