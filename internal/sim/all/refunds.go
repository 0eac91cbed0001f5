package all

import (
	"errors"
	"net/http"

	"piaohao/internal/sim/simkit"
)

// ledgers are the merchant's accounts by the platform's name.
func (s *Sim) ledgers() (map[string]simkit.Ledger, error) {
	out := map[string]simkit.Ledger{}
	for _, p := range s.platforms {
		l, err := s.kit.Ledger(p.Name())
		if err != nil {
			return nil, err
		}
		out[p.Name()] = l
	}
	return out, nil
}

// serveBalance lets the merchant take money out of a platform, or put some in.
func (s *Sim) serveBalance(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Platform string `json:"platform"` // "" = both
		Balance  *int64 `json:"balance_fen"`
	}
	if !readJSON(w, r, &ask) {
		return
	}
	if ask.Balance == nil {
		writeError(w, http.StatusBadRequest, "invalid", "balance_fen is missing")
		return
	}
	done := 0
	for _, p := range s.platforms {
		if ask.Platform != "" && ask.Platform != p.Name() {
			continue
		}
		if err := s.kit.SetBalance(p.Name(), *ask.Balance); err != nil {
			writeError(w, http.StatusBadRequest, "invalid", err.Error())
			return
		}
		done++
	}
	if done == 0 {
		writeError(w, http.StatusBadRequest, "invalid", `platform must be "wechat", "alipay" or absent`)
		return
	}
	ledgers, err := s.ledgers()
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, ledgers)
}

// serveRefund is the platform's console for programs.
func (s *Sim) serveRefund(w http.ResponseWriter, r *http.Request, p simkit.Platform) {
	var ask struct {
		Code   string `json:"code"`   // as in the wallet, or out_trade_no
		Amount int64  `json:"amount"` // fen; 0 = all that is left
	}
	if !readJSON(w, r, &ask) {
		return
	}
	if ask.Amount < 0 {
		writeError(w, http.StatusBadRequest, "invalid", "amount must be at least 1 fen, or absent")
		return
	}
	refund, err := p.Refund(ask.Code, ask.Amount)
	if err != nil {
		s.writeRefusal(w, err)
		return
	}
	writeJSON(w, http.StatusOK, refund)
}

// serveRefundForm is a button of the index page.
func (s *Sim) serveRefundForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	for _, p := range s.platforms {
		if p.Name() != r.PostFormValue("platform") {
			continue
		}
		_, err := p.Refund(r.PostFormValue("code"), 0)
		var refusal *simkit.Refusal
		switch {
		case err == nil:
			http.Redirect(w, r, "/sim", http.StatusSeeOther)
		case errors.As(err, &refusal):
			s.writeIndex(w, http.StatusConflict, refusal.Reason.Text())
		case errors.Is(err, simkit.ErrUnknown):
			s.writeIndex(w, http.StatusNotFound, "没有这笔订单，请刷新页面")
		default:
			s.kit.Log.Error("sim: refund", "error", err)
			s.writeIndex(w, http.StatusInternalServerError, "系统繁忙，请稍后再试")
		}
		return
	}
	s.writeIndex(w, http.StatusBadRequest, "请求不完整，请刷新页面")
}
