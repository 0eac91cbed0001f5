package demo

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"time"

	"piaohao/client"
)

//go:embed templates/*.html assets/*
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"yuan": yuan, "beijing": beijing}).ParseFS(files, "templates/*.html"))

// Limits of what a browser or the gateway may send.
const (
	maxForm     = 4 << 10  // bytes
	maxEvent    = 64 << 10 // bytes
	maxQuantity = 9
)

type item struct {
	ID, Title, Author, Note string
	Price                   int64 // fen
	Kind                    string
}

// items is the whole stock. The price comes from here and never from the browser (A30).
var items = []item{
	{ID: "songci", Title: "宋词选", Author: "胡云翼 选注", Note: "线装影印，附朱批", Price: 12800, Kind: "indigo"},
	{ID: "mengxi", Title: "梦溪笔谈", Author: "沈括", Note: "古典科技札记，平装", Price: 6600, Kind: "ochre"},
	{ID: "chajing", Title: "茶经", Author: "陆羽", Note: "图注本，随书附茶签", Price: 4580, Kind: "moss"},
	{ID: "longjing", Title: "明前龙井", Author: "狮峰", Note: "50 克，锡罐", Price: 16800, Kind: "leaf"},
	{ID: "zhengshan", Title: "正山小种", Author: "桐木关", Note: "100 克，松烟香", Price: 9900, Kind: "amber"},
	{ID: "sample", Title: "试饮茶样", Author: "店主随手", Note: "一分钱，试试付款", Price: 1, Kind: "paper"},
}

type view struct {
	Items   []item
	Orders  []order
	Order   order
	Problem string // what went wrong with the last wish
	Refunds []refund
	Nth     int  // the number of the order's next refund
	Moving  bool // the page's state may change by itself
}

func (s *Shop) home(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "home.html", view{Items: items})
}

func (s *Shop) list(w http.ResponseWriter, r *http.Request) {
	orders, err := s.newest(r.Context())
	if err != nil {
		s.broken(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "list.html", view{Orders: orders})
}

// show shows the shop's own state of an order. A payer who comes back brings the gateway's query: a reason to ask
// the gateway about the payment that we noted, never to believe what the query says (A31).
func (s *Shop) show(w http.ResponseWriter, r *http.Request) {
	o, ok := s.order(w, r)
	if !ok {
		return
	}
	if !r.URL.Query().Has("payment_id") {
		s.renderOrder(w, r, http.StatusOK, o, "")
		return
	}
	if o.PaymentID != "" && o.Status != paid {
		if err := s.ask(r.Context(), o.PaymentID); err != nil {
			s.Log.WarnContext(r.Context(), "could not ask about the payment", "order_no", o.No, "err", err)
		}
	}
	http.Redirect(w, r, "/orders/"+o.No, http.StatusSeeOther)
}

func (s *Shop) ask(ctx context.Context, paymentID string) error {
	p, err := s.api.GetPayment(ctx, paymentID)
	if err != nil {
		return err
	}
	return s.settle(ctx, p, "")
}

func (s *Shop) buy(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	thing, quantity, ok := chosen(r.PostFormValue("item"), r.PostFormValue("quantity"))
	if !ok {
		http.Error(w, "没有这件商品，请返回重新选择。", http.StatusBadRequest)
		return
	}
	o := order{
		No: s.NewID("ord"), Subject: fmt.Sprintf("%s × %d", thing.Title, quantity), Amount: thing.Price * quantity,
		Status: waiting, CreatedAt: s.Now(),
	}
	if err := s.insert(r.Context(), o); err != nil {
		s.broken(w, r, err)
		return
	}
	s.pay(w, r, o, r.PostFormValue("method"))
}

func chosen(id, quantity string) (item, int64, bool) {
	n, err := strconv.ParseInt(quantity, 10, 64)
	if err != nil || n < 1 || n > maxQuantity {
		return item{}, 0, false
	}
	for _, i := range items {
		if i.ID == id {
			return i, n, true
		}
	}
	return item{}, 0, false
}

func (s *Shop) payAgain(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	o, ok := s.order(w, r)
	if !ok {
		return
	}
	if o.Status != waiting {
		http.Redirect(w, r, "/orders/"+o.No, http.StatusSeeOther)
		return
	}
	s.pay(w, r, o, r.PostFormValue("method"))
}

// pay asks the gateway for the order's payment, which is the same one each time, and sends the payer on.
func (s *Shop) pay(w http.ResponseWriter, r *http.Request, o order, method string) {
	p, err := s.api.CreatePayment(r.Context(), client.PaymentParams{
		OrderNo: o.No, Amount: o.Amount, Subject: o.Subject, Method: method, ReturnURL: s.PublicURL + "/orders/" + o.No,
	})
	if err != nil {
		s.refused(w, r, o, err)
		return
	}
	if err := s.setPayment(r.Context(), o.No, p.ID); err != nil {
		s.broken(w, r, err)
		return
	}
	to := p.CashierURL
	switch {
	case p.IsPaid():
		if err := s.settle(r.Context(), p, ""); err != nil {
			s.broken(w, r, err)
			return
		}
		to = "/orders/" + o.No
	case p.Action != nil && p.Action.Type == "redirect":
		to = p.Action.URL
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// cancel closes the payment first: an order is cancelled only once nobody can pay it any more.
func (s *Shop) cancel(w http.ResponseWriter, r *http.Request) {
	o, ok := s.order(w, r)
	if !ok {
		return
	}
	if o.Status == waiting {
		if err := s.close(r.Context(), o); err != nil {
			s.refused(w, r, o, err)
			return
		}
	}
	http.Redirect(w, r, "/orders/"+o.No, http.StatusSeeOther)
}

func (s *Shop) close(ctx context.Context, o order) error {
	if o.PaymentID == "" { // a create that timed out here may have happened there
		p, err := s.api.FindPayment(ctx, o.No)
		if codeOf(err) == client.CodeNotFound {
			_, err := s.db.ExecContext(ctx, `UPDATE orders SET status = ? WHERE no = ? AND status = ?`, closed, o.No, waiting)
			return err
		}
		if err != nil {
			return err
		}
		o.PaymentID = p.ID
		if err := s.setPayment(ctx, o.No, p.ID); err != nil {
			return err
		}
	}
	p, err := s.api.ClosePayment(ctx, o.PaymentID)
	if codeOf(err) == client.CodePaymentNotOpen { // paid meanwhile
		return s.ask(ctx, o.PaymentID)
	}
	if err != nil {
		return err
	}
	return s.settle(ctx, p, "")
}

// webhook is the only way by which an order becomes paid without our asking. 2xx means that it is stored.
func (s *Shop) webhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
	if err != nil {
		http.Error(w, "body is too long or broke off", http.StatusRequestEntityTooLarge)
		return
	}
	event, err := client.VerifyWebhook(s.WebhookSecret, r.Header, body, s.Now())
	if err != nil {
		s.Log.WarnContext(r.Context(), "webhook refused", "err", err)
		http.Error(w, "not verified", http.StatusBadRequest)
		return
	}
	switch err := s.settle(r.Context(), event.Data, event.ID); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, errUnknownOrder), errors.Is(err, errMismatch):
		s.Log.ErrorContext(r.Context(), "webhook fits no order", "event", event.ID, "payment", event.Data.ID, "err", err)
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	default:
		s.Log.ErrorContext(r.Context(), "webhook not stored", "event", event.ID, "err", err)
		http.Error(w, "not stored; send it again", http.StatusServiceUnavailable)
	}
}

func (s *Shop) order(w http.ResponseWriter, r *http.Request) (order, bool) {
	o, err := load(r.Context(), s.db, r.PathValue("no"))
	if errors.Is(err, sql.ErrNoRows) {
		http.Error(w, "没有这个订单。", http.StatusNotFound)
		return order{}, false
	}
	if err != nil {
		s.broken(w, r, err)
		return order{}, false
	}
	return o, true
}

// refused shows the order again and says what the gateway's no means for the payer.
func (s *Shop) refused(w http.ResponseWriter, r *http.Request, o order, err error) {
	s.Log.WarnContext(r.Context(), "the gateway refused", "order_no", o.No, "err", err)
	text := "暂时连不上收银台，没有扣款。请稍后再试。"
	switch codeOf(err) {
	case client.CodeMethodUnavailable:
		text = "这种支付方式暂不可用，没有扣款。请换一种。"
	case client.CodePaymentClosing, client.CodePaymentNotOpen:
		text = "这个订单正在关闭，请稍后刷新。"
	case client.CodeInvalid, client.CodeOrderConflict, client.CodeUnauthorized:
		text = "商店的设置有误，没有扣款。请联系店主。"
	}
	if e, ok := errors.AsType[*client.Error](err); ok && e.RequestID != "" {
		text += "（编号 " + e.RequestID + "）"
	}
	s.renderOrder(w, r, http.StatusBadGateway, o, text)
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Code
	}
	return ""
}

func (s *Shop) broken(w http.ResponseWriter, r *http.Request, err error) {
	s.Log.ErrorContext(r.Context(), "shop failed", "route", r.Pattern, "err", err)
	http.Error(w, "商店出了点问题，没有扣款。请稍后再试。", http.StatusInternalServerError)
}

func (s *Shop) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, v); err != nil {
		s.broken(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // only the connection can fail
}

// asset serves the file of a route that names it.
func asset(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, files, "assets"+r.URL.Path) //nolint:gosec // embedded files, and routes that name them
}

// yuan writes fen as people read money: 123456 → "1234.56".
func yuan(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }

// beijing writes t in Beijing time.
func beijing(t time.Time) string {
	return t.In(time.FixedZone("UTC+8", 8*60*60)).Format("2006-01-02 15:04:05")
}
