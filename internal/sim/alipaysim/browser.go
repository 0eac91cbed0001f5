package alipaysim

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // pages
	"encoding/hex"
	"html/template"
	"net/http"
	"strings"

	"piaohao/internal/sim/simkit"
)

const cashierPath = "/alipay/cashier/"

//go:embed error.html
var errorHTML string

var errorPage = template.Must(template.New("error").Parse(errorHTML))

// browse is page.pay and wap.pay: a payer's browser stands at the gateway. A
// valid request is sent on to the cashier; nothing is created yet. A refusal is
// a page of HTTP 200 in GBK, and the merchant hears nothing.
func (s *Sim) browse(w http.ResponseWriter, r *http.Request, c call, refused *failure) {
	var o order
	if refused == nil {
		o, refused = s.readOrder(c)
	}
	var id string
	if refused == nil {
		id, refused = s.visit(c, o)
	}
	if refused != nil {
		s.refusals.add(s.kit.Wall(), c.raw, refused)
		s.writeRefusal(w, refused)
		return
	}
	http.Redirect(w, r, s.kit.CashierURL+cashierPath+id, http.StatusFound)
}

func (s *Sim) readOrder(c call) (order, *failure) {
	biz, refused := parseBiz(c.text["biz_content"])
	if refused != nil {
		return order{}, refused
	}
	o, refused := parseOrder(c.text, biz, s.credentials.SellerID, s.kit.Clock.Now())
	o.Charset = c.charset
	return o, refused
}

// visitID stands for one signed link; nobody without the link can guess it.
func visitID(c call) string {
	sum := sha256.Sum256([]byte(c.raw.canonical()))
	return hex.EncodeToString(sum[:16])
}

// visit notes that the link was followed. The same link again is the same
// visit, with the deadline of its first display.
func (s *Sim) visit(c call, o order) (string, *failure) {
	id, now := visitID(c), s.kit.Clock.Now()
	var refused *failure
	err := s.kit.Books.Do(func(tx *simkit.Tx) error {
		known, err := tx.Get(kindVisit, id, &o)
		if err != nil {
			return err
		}
		t, exists, err := s.find(tx, o.OutTradeNo, now)
		if err != nil {
			return err
		}
		if refused = mayPay(o, t, exists, now); refused != nil || known {
			return nil //nolint:nilerr // the refusal is the answer; what find saw is kept
		}
		if err := tx.Put(kindSeen, o.OutTradeNo, true); err != nil {
			return err
		}
		return tx.Put(kindVisit, id, o)
	})
	if err != nil {
		return "", s.broken(err)
	}
	return id, refused
}

// writeRefusal answers the payer's browser as the gateway does.
func (s *Sim) writeRefusal(w http.ResponseWriter, f *failure) {
	var page bytes.Buffer
	err := errorPage.Execute(&page, map[string]string{"Code": f.subCode, "Text": strings.ToValidUTF8(f.subMsg(), "?")})
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html;charset=GBK")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(gbkCharset.encode(page.String())))
}
