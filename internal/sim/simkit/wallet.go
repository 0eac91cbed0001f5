package simkit

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the pages' templates and style
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

// Page is one state of the wallet, a phone-like card.
type Page struct {
	Platform string // "wechat" or "alipay": which mark it carries
	Order    *Order // nil = only Problem is shown
	Code     string // sent back by the form
	Payer    string // sent back by the form
	Action   string // URL that the form posts code, payer and result (pay, refuse, balance_short) to
	Outcome  string // "", or what has just happened: pay, refuse, balance_short
	Problem  string // Chinese text: why nothing can be done here
}

// Results of the wallet's form and of POST /sim/wallet/pay.
const (
	ResultPay          = "pay"
	ResultRefuse       = "refuse"
	ResultBalanceShort = "balance_short"
)

// Index is the simulator's own page: what has been ordered of late, with the merchant's console for refunds, and the clock.
type Index struct {
	Orders  []Order   // as they are to be shown
	Pending int       // notices not yet acknowledged
	Now     time.Time // business time
	Scale   int64
	Problem string // Chinese text: why what was asked for here was not done
}

//go:embed wallet.css
var pageCSS string

//go:embed wallet.html
var walletHTML string

//go:embed index.html
var indexHTML string

var (
	pageFuncs = template.FuncMap{
		"yuan": Yuan,
		"css":  func() template.CSS { return template.CSS(pageCSS) }, //nolint:gosec // our own file
		"time": func(t time.Time) string { return t.In(beijing).Format(time.DateTime) },
	}
	walletTemplate = template.Must(template.New("wallet").Funcs(pageFuncs).Parse(walletHTML))
	indexTemplate  = template.Must(template.New("index").Funcs(pageFuncs).Parse(indexHTML))
	pagePolicy     = policyFor(pageCSS)
	beijing        = time.FixedZone("UTC+8", 8*60*60)
)

// WritePage answers with the wallet's page. Like the index it works without JavaScript and loads nothing.
func WritePage(w http.ResponseWriter, status int, p Page) { write(w, status, walletTemplate, p) }

// WriteIndex answers with the index.
func WriteIndex(w http.ResponseWriter, status int, i Index) { write(w, status, indexTemplate, i) }

func write(w http.ResponseWriter, status int, page *template.Template, data any) {
	var body bytes.Buffer
	if err := page.Execute(&body, data); err != nil {
		http.Error(w, "页面暂时无法显示，请重试", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a failed write is the reader's hang-up
}

// policyFor allows the one inline style and forms to ourselves, and nothing else.
func policyFor(css string) string {
	sum := sha256.Sum256([]byte(css))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}

// Yuan returns an amount of fen ≥ 0 as yuan with two decimals.
func Yuan(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }
