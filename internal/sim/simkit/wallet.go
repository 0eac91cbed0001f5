package simkit

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
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

//go:embed wallet.css
var walletCSS string

//go:embed wallet.html
var walletHTML string

var (
	walletTemplate = template.Must(template.New("wallet").Funcs(template.FuncMap{
		"yuan": Yuan, "css": func() template.CSS { return template.CSS(walletCSS) },
	}).Parse(walletHTML))
	walletPolicy = pagePolicy(walletCSS)
)

// WritePage answers with the page. It works without JavaScript and loads nothing.
func WritePage(w http.ResponseWriter, status int, p Page) {
	var body bytes.Buffer
	if err := walletTemplate.Execute(&body, p); err != nil {
		http.Error(w, "钱包页面暂时无法显示，请重试", http.StatusInternalServerError)
		return
	}
	setPageHeader(w.Header(), walletPolicy)
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// setPageHeader sets what every page of the simulator carries.
func setPageHeader(h http.Header, policy string) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// pagePolicy allows the one inline style and forms to ourselves, and nothing else.
func pagePolicy(css string) string {
	sum := sha256.Sum256([]byte(css))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}

// Yuan returns an amount of fen ≥ 0 as yuan with two decimals.
func Yuan(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }
