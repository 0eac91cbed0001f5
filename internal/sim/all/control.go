package all

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"piaohao/internal/sim/simkit"
)

const (
	maxBody      = 16 << 10 // bytes of a request under /sim/
	maxListed    = 25       // orders of each platform on the index page
	defaultPayer = "payer-1"
)

func (s *Sim) mountControl() {
	s.mux.HandleFunc("GET /sim", s.serveIndex)
	s.mux.HandleFunc("GET /sim/credentials", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Credentials()) })
	s.mux.HandleFunc("GET /sim/books", s.serveBooks)
	s.mux.HandleFunc("POST /sim/balance", s.serveBalance)
	s.mux.HandleFunc("POST /sim/refund", s.serveRefundForm)
	for _, p := range s.platforms {
		s.mux.HandleFunc("POST /sim/"+p.Name()+"/refund", func(w http.ResponseWriter, r *http.Request) { s.serveRefund(w, r, p) })
	}
	s.mux.HandleFunc("GET /sim/faults", s.serveFaults)
	s.mux.HandleFunc("POST /sim/faults", s.serveFaults)
	s.mux.HandleFunc("GET /sim/clock", s.serveClock)
	s.mux.HandleFunc("POST /sim/clock", s.serveClock)
	s.mux.HandleFunc("GET /sim/wallet", s.serveWallet)
	s.mux.HandleFunc("POST /sim/wallet", s.serveWalletForm)
	s.mux.HandleFunc("POST /sim/wallet/pay", s.serveWalletPay)
}

func (s *Sim) orders() ([]simkit.Order, error) {
	all := []simkit.Order{} // [] in JSON, not null
	for _, p := range s.platforms {
		orders, err := p.Orders()
		if err != nil {
			return nil, err
		}
		all = append(all, orders...)
	}
	return all, nil
}

func (s *Sim) serveIndex(w http.ResponseWriter, _ *http.Request) { s.writeIndex(w, http.StatusOK, "") }

func (s *Sim) writeIndex(w http.ResponseWriter, status int, problem string) {
	index := simkit.Index{
		Pending: s.kit.Notices.Pending(), Now: s.kit.Clock.Now(), Scale: s.kit.Clock.Scale(), Problem: problem,
	}
	for _, p := range s.platforms {
		orders, err := p.Orders()
		if err != nil {
			s.fail(w, err)
			return
		}
		slices.Reverse(orders)
		index.Orders = append(index.Orders, orders[:min(len(orders), maxListed)]...)
	}
	simkit.WriteIndex(w, status, index)
}

func (s *Sim) serveBooks(w http.ResponseWriter, _ *http.Request) {
	orders, err := s.orders()
	if err != nil {
		s.fail(w, err)
		return
	}
	ledgers, err := s.ledgers()
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"orders": orders, "ledgers": ledgers, "notices_pending": s.kit.Notices.Pending()})
}

func (s *Sim) serveFaults(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		var set simkit.FaultSettings
		if !readJSON(w, r, &set) {
			return
		}
		if err := s.kit.Faults.Set(set); err != nil {
			writeError(w, http.StatusBadRequest, "invalid", err.Error())
			return
		}
	}
	writeJSON(w, http.StatusOK, s.kit.Faults.Settings())
}

func (s *Sim) serveClock(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && !s.moveClock(w, r) {
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"business": s.kit.Clock.Now().Format(time.RFC3339Nano), "wall": s.kit.Wall().UTC().Format(time.RFC3339Nano), "scale": s.kit.Clock.Scale(),
	})
}

func (s *Sim) moveClock(w http.ResponseWriter, r *http.Request) bool {
	var move struct {
		Advance string `json:"advance"` // a Go duration: "15m", "24h"
		Scale   int64  `json:"scale"`
	}
	if !readJSON(w, r, &move) {
		return false
	}
	var err error
	if move.Advance != "" {
		var d time.Duration
		if d, err = time.ParseDuration(move.Advance); err == nil {
			err = s.kit.Clock.Advance(d)
		}
	}
	if err == nil && move.Scale != 0 {
		err = s.kit.Clock.SetScale(move.Scale)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "invalid", err.Error())
	}
	return err == nil
}

// serveWallet is the payer's phone with a code just scanned.
func (s *Sim) serveWallet(w http.ResponseWriter, r *http.Request) {
	code, payer := r.URL.Query().Get("code"), orDefault(r.URL.Query().Get("payer"), defaultPayer)
	p, err := s.at(code)
	if err != nil {
		s.writeProblem(w, err, simkit.Page{})
		return
	}
	page := simkit.Page{Platform: p.Name(), Code: code, Payer: payer, Action: "/sim/wallet"}
	order, err := p.Scan(code, payer)
	if err != nil {
		if order, findErr := p.Find(code); findErr == nil {
			page.Order = &order
		}
		s.writeProblem(w, err, page)
		return
	}
	page.Order = &order
	if order.Blocked != "" {
		page.Problem = order.Blocked.Text()
	}
	simkit.WritePage(w, http.StatusOK, page)
}

// serveWalletForm is a button of the wallet's page.
func (s *Sim) serveWalletForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	code, payer := r.PostFormValue("code"), orDefault(r.PostFormValue("payer"), defaultPayer)
	page := simkit.Page{Code: code, Payer: payer, Action: "/sim/wallet", Outcome: r.PostFormValue("result")}
	if !isResult(page.Outcome) {
		simkit.WritePage(w, http.StatusBadRequest, simkit.Page{Problem: "请求不完整，请重新扫码"})
		return
	}
	order, err := s.act(code, payer, page.Outcome)
	if err != nil {
		page.Outcome = ""
		s.writeProblem(w, err, page)
		return
	}
	page.Order, page.Platform = &order, order.Platform
	simkit.WritePage(w, http.StatusOK, page)
}

// serveWalletPay is the wallet for programs.
func (s *Sim) serveWalletPay(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Code   string `json:"code"` // code_url, page or wap pay URL, or out_trade_no
		Payer  string `json:"payer"`
		Result string `json:"result"` // pay (default), refuse, balance_short
	}
	if !readJSON(w, r, &ask) {
		return
	}
	ask.Payer, ask.Result = orDefault(ask.Payer, defaultPayer), orDefault(ask.Result, simkit.ResultPay)
	if !isResult(ask.Result) {
		writeError(w, http.StatusBadRequest, "invalid", `result must be "pay", "refuse" or "balance_short"`)
		return
	}
	order, err := s.act(ask.Code, ask.Payer, ask.Result)
	if err != nil {
		s.writeRefusal(w, err)
		return
	}
	answer := map[string]string{"out_trade_no": order.OutTradeNo}
	if ask.Result == simkit.ResultPay {
		answer[numberName(order.Platform)] = order.TransactionID
	}
	writeJSON(w, http.StatusOK, answer)
}

// writeRefusal tells programs why something cannot be done to an order.
func (s *Sim) writeRefusal(w http.ResponseWriter, err error) {
	var refusal *simkit.Refusal
	switch {
	case errors.Is(err, simkit.ErrUnknown):
		writeError(w, http.StatusNotFound, "unknown", err.Error())
	case errors.As(err, &refusal):
		writeError(w, http.StatusConflict, string(refusal.Reason), refusal.Reason.Text())
	default:
		s.fail(w, err)
	}
}

// numberName is what each platform calls its own number.
func numberName(platform string) string {
	if platform == "alipay" {
		return "trade_no"
	}
	return "transaction_id"
}

func isResult(s string) bool {
	return s == simkit.ResultPay || s == simkit.ResultRefuse || s == simkit.ResultBalanceShort
}

// writeProblem shows on the phone why nothing can be paid.
func (s *Sim) writeProblem(w http.ResponseWriter, err error, page simkit.Page) {
	status := http.StatusConflict
	var refusal *simkit.Refusal
	switch {
	case errors.Is(err, simkit.ErrUnknown):
		status, page.Problem = http.StatusNotFound, "没有这笔订单，请重新扫码"
	case errors.As(err, &refusal):
		page.Problem = refusal.Reason.Text()
	default:
		s.kit.Log.Error("sim: wallet", "error", err)
		status, page.Problem = http.StatusInternalServerError, "系统繁忙，请稍后再试"
	}
	simkit.WritePage(w, status, page)
}

func (s *Sim) fail(w http.ResponseWriter, err error) {
	s.kit.Log.Error("sim: control", "error", err)
	writeError(w, http.StatusInternalServerError, "internal", "the simulator failed; its log says why")
}

// readJSON reads a request strictly: a misspelt name must not look like a setting that was made.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		writeError(w, http.StatusBadRequest, "invalid", "the body must be one JSON object with known names: "+err.Error())
		return false
	}
	return true
}

func writeError(w http.ResponseWriter, status int, reason, message string) {
	writeJSON(w, status, map[string]string{"reason": reason, "message": message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a failed write is the caller's hang-up
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
