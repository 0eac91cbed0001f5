package alipaysim

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page and its style
	"encoding/base64"
	"html/template"
	"net/http"

	"piaohao/internal/sim/simkit"
)

//go:embed cashier.html
var cashierHTML string

//go:embed cashier.css
var cashierCSS string

var (
	cashierPage = template.Must(template.New("cashier").Funcs(template.FuncMap{
		"css": func() template.CSS { return template.CSS(cashierCSS) }, //nolint:gosec // our own file
	}).Parse(cashierHTML))
	cashierPolicy = func() string {
		sum := sha256.Sum256([]byte(cashierCSS))
		return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	}()
)

// The stages of the cashier.
const (
	stageLogin   = "login"
	stageConfirm = "confirm"
	stagePaid    = "paid"
	stageEnded   = "ended"
)

// cashierView is what the page shows. Links leave the cashier only by an <a>:
// browsers apply form-action to the redirects that follow a form.
type cashierView struct {
	Stage      string
	Said       string // "", "refuse" or "short": what the payer did last
	Wap        bool
	Problem    string
	Action     string // the visit's own path
	Amount     string
	Subject    string
	Payee      string
	OutTradeNo string
	TradeNo    string
	Deadline   string
	ReturnLink string
	QuitURL    string
}

// readVisit finds the visit and the trade of its number, if there is one.
func (s *Sim) readVisit(id string) (o order, t trade, exists, known bool, err error) {
	now := s.kit.Clock.Now()
	err = s.kit.Books.Do(func(tx *simkit.Tx) (err error) {
		if known, err = tx.Get(kindVisit, id, &o); err != nil || !known {
			return err
		}
		t, exists, err = s.find(tx, o.OutTradeNo, now)
		return err
	})
	return o, t, exists, known, err
}

// serveCashier shows where the payer stands. Looking changes nothing.
func (s *Sim) serveCashier(w http.ResponseWriter, r *http.Request) {
	o, t, exists, known, err := s.readVisit(r.PathValue("visit"))
	if err != nil {
		s.fail(w, err)
		return
	}
	if !known {
		http.NotFound(w, r)
		return
	}
	v := cashierView{
		Said: r.URL.Query().Get("said"), Wap: o.isWap(), Action: cashierPath + r.PathValue("visit"),
		Amount: simkit.Yuan(o.Fen), Subject: o.Subject, Payee: sellerName, OutTradeNo: o.OutTradeNo, TradeNo: t.TradeNo,
		Deadline: o.Deadline.In(beijing).Format("01-02 15:04"), QuitURL: o.QuitURL,
	}
	refused := mayPay(o, t, exists, s.kit.Clock.Now())
	switch {
	case refused == nil && !exists && !o.isWap():
		v.Stage = stageLogin
	case refused == nil:
		v.Stage = stageConfirm
	case t.Status == tradeSuccess && t.Order.sameAs(o):
		v.Stage = stagePaid
		if v.ReturnLink, err = s.returnLink(t); err != nil {
			s.fail(w, err)
			return
		}
	default:
		v.Stage, v.Problem = stageEnded, refused.subMsg()
	}
	s.writeCashier(w, v)
}

func (s *Sim) writeCashier(w http.ResponseWriter, v cashierView) {
	var page bytes.Buffer
	if err := cashierPage.Execute(&page, v); err != nil {
		s.fail(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html;charset=utf-8")
	h.Set("Content-Security-Policy", cashierPolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(page.Bytes())
}

// serveAct is what a payer does at the cashier: login opens the trade, and so
// does whatever takes a password (pay, short of balance); refuse changes
// nothing. The page that follows tells what became of it, refusals included.
func (s *Sim) serveAct(w http.ResponseWriter, r *http.Request) {
	o, _, _, known, err := s.readVisit(r.PathValue("visit"))
	if err != nil {
		s.fail(w, err)
		return
	}
	if !known {
		http.NotFound(w, r)
		return
	}
	next := cashierPath + r.PathValue("visit")
	switch act := r.PathValue("act"); act {
	case "login":
		_, _ = s.open(o)
	case "pay":
		_, _ = s.openAndPay(o)
	case "short":
		_, _ = s.open(o)
		next += "?said=short"
	case "refuse":
		next += "?said=refuse"
	default:
		http.NotFound(w, r)
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}
