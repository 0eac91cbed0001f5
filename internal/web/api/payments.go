package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
	"piaohao/internal/view"
	"piaohao/internal/web/httpx"
)

// What a caller may name things by. Anything else exists nowhere and is not looked up.
var (
	orderNoForm     = regexp.MustCompile(`^[0-9A-Za-z._|*@-]{1,64}$`) // gateway.MaxOrderNo
	idForm          = regexp.MustCompile(`^pay_[0-9a-z]{1,60}$`)
	outTradeNoForm  = regexp.MustCompile(`^[0-9A-Za-z]{1,32}$`)
	transactionForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
)

type createInput struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"Accepted and ignored: creating is idempotent by order_no, with or without it."`
	Body           createPayment
}

type createOutput struct {
	Status   int
	Location string `header:"Location" doc:"path of the payment"`
	Body     view.Payment
}

func (s *server) create(ctx context.Context, in *createInput) (*createOutput, error) {
	want := &in.Body
	if err := want.check(); err != nil {
		return nil, refused(ctx, err)
	}
	made, err := s.gateway.Create(ctx, gateway.CreateInput{
		Shop: shopOf(ctx), OrderNo: want.OrderNo, Amount: pay.Fen(want.Amount), Currency: want.Currency,
		Subject: want.Subject, Method: want.Method, Product: want.Product, ReturnURL: want.ReturnURL,
		ExpiresIn: want.expiresIn(), Metadata: want.Metadata,
	})
	if err != nil {
		return nil, refused(ctx, err)
	}
	out := &createOutput{Status: http.StatusOK, Location: "/v1/payments/" + made.View.ID, Body: made.View}
	if made.Created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

type idInput struct {
	ID string `path:"id" doc:"pay_…"`
}

type paymentOutput struct {
	Status int
	Body   view.Payment
}

func (s *server) get(ctx context.Context, in *idInput) (*paymentOutput, error) {
	if !idForm.MatchString(in.ID) {
		return nil, refused(ctx, errNoPayment)
	}
	v, err := s.gateway.Payment(ctx, shopOf(ctx), in.ID)
	if err != nil {
		return nil, refused(ctx, err)
	}
	return &paymentOutput{Status: http.StatusOK, Body: v}, nil
}

func (s *server) closePayment(ctx context.Context, in *idInput) (*paymentOutput, error) {
	if !idForm.MatchString(in.ID) {
		return nil, refused(ctx, errNoPayment)
	}
	v, err := s.gateway.ClosePayment(ctx, shopOf(ctx), in.ID)
	if err != nil {
		return nil, refused(ctx, err)
	}
	out := &paymentOutput{Status: http.StatusOK, Body: v}
	if v.Closing {
		out.Status = http.StatusAccepted
	}
	return out, nil
}

type findInput struct {
	OrderNo       string `query:"order_no" doc:"Your number. Answers the open or paid payment of the order, else the newest."`
	OutTradeNo    string `query:"out_trade_no" doc:"Our number at the platform, as on the payer's bill (the merchant order number)."`
	TransactionID string `query:"transaction_id" doc:"The platform's number, as on the payer's bill."`
}

// Resolve reads the query once, strictly: exactly one known name with one value.
func (in *findInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(q) != 1 {
		return []error{wrong("", "Give exactly one of order_no, out_trade_no and transaction_id.")}
	}
	for name, values := range q {
		if len(values) != 1 {
			return []error{wrong(clip(name), "Give it once.")}
		}
	}
	*in = findInput{OrderNo: q.Get("order_no"), OutTradeNo: q.Get("out_trade_no"), TransactionID: q.Get("transaction_id")}
	switch {
	case q.Has("order_no") && !orderNoForm.MatchString(in.OrderNo):
		return []error{wrong("order_no", "order_no is 1 to 64 of [0-9A-Za-z._|*@-].")}
	case q.Has("out_trade_no") && !outTradeNoForm.MatchString(in.OutTradeNo):
		return []error{wrong("out_trade_no", "out_trade_no is 1 to 32 letters and digits.")}
	case q.Has("transaction_id") && !transactionForm.MatchString(in.TransactionID):
		return []error{wrong("transaction_id", "transaction_id is 1 to 64 of [0-9A-Za-z_-].")}
	}
	return nil
}

func (s *server) find(ctx context.Context, in *findInput) (*paymentOutput, error) {
	var v view.Payment
	var err error
	switch shop := shopOf(ctx); {
	case in.OrderNo != "":
		v, err = s.gateway.PaymentByOrder(ctx, shop, in.OrderNo)
	case in.OutTradeNo != "":
		v, err = s.gateway.PaymentByOutTradeNo(ctx, shop, in.OutTradeNo)
	default:
		v, err = s.gateway.PaymentByTransaction(ctx, shop, in.TransactionID)
	}
	if err != nil {
		return nil, refused(ctx, err)
	}
	return &paymentOutput{Status: http.StatusOK, Body: v}, nil
}

// expiresIn is 0 when the shop left it to us.
func (b *createPayment) expiresIn() time.Duration {
	if b.ExpiresIn == nil {
		return 0
	}
	return time.Duration(*b.ExpiresIn) * time.Second
}

var errNoPayment = &gateway.Error{Code: gateway.CodeNotFound, Public: "This shop has no such payment."}

// refused renders err. Whatever does not exist for this shop, malformed names and other shops' payments included, is
// one and the same 404.
func refused(ctx context.Context, err error) error {
	if isNotFound(err) {
		err = errNoPayment
	}
	return httpx.NewProblem(ctx, err)
}

func isNotFound(err error) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Code == gateway.CodeNotFound
}
