package api

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
	"piaohao/internal/view"
	"piaohao/internal/web/httpx"
)

var refundIDForm = regexp.MustCompile(`^rfd_[0-9a-z]{1,60}$`)

// createRefund is the body of a refund. Its schema tags document; check decides.
type createRefund struct {
	RefundNo string `json:"refund_no" minLength:"1" maxLength:"64" pattern:"^[0-9A-Za-z._|*@-]+$" doc:"Your number of the refund: the same again is the same refund."`
	Amount   int64  `json:"amount" minimum:"1" maximum:"10000000000" doc:"Fen, at most the payment's refundable."`
	Reason   string `json:"reason,omitempty" maxLength:"80" doc:"For the payer, who sees it at the platform: at most 80 bytes, no control characters."`
	Notify   *bool  `json:"notify,omitempty" doc:"false sends no webhooks about this refund; the list of events has them all the same."`
}

// check returns what the gateway is asked for, or the first field that is wrong, as *gateway.Error with Param.
func (b *createRefund) check() (gateway.RefundInput, error) {
	in := gateway.RefundInput{
		RefundNo: b.RefundNo, Amount: pay.Fen(b.Amount), Reason: b.Reason, Quiet: b.Notify != nil && !*b.Notify,
	}
	if err := in.Check(); err != nil {
		return in, err
	}
	if !in.Amount.Valid() {
		return in, wrong("amount", "amount is required: an integer of fen, 1 to 10000000000 (100 is ¥1.00).")
	}
	return in, nil
}

type refundInput struct {
	ID             string `path:"id" doc:"pay_…"`
	IdempotencyKey string `header:"Idempotency-Key" doc:"Accepted and ignored: refunding is idempotent by refund_no, with or without it."`
	Body           createRefund
}

type refundOutput struct {
	Status int
	Body   view.Refund
}

func (s *server) refund(ctx context.Context, in *refundInput) (*refundOutput, error) {
	if !idForm.MatchString(in.ID) {
		return nil, refused(ctx, errNoPayment)
	}
	want, err := in.Body.check()
	if err != nil {
		return nil, refused(ctx, err)
	}
	v, created, err := s.gateway.Refund(ctx, shopOf(ctx), in.ID, want)
	if err != nil {
		return nil, refused(ctx, err)
	}
	out := &refundOutput{Status: http.StatusOK, Body: v}
	if created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

var errNoRefund = &gateway.Error{Code: gateway.CodeNotFound, Public: "This shop has no such refund."}

func (s *server) getRefund(ctx context.Context, in *struct {
	ID string `path:"id" doc:"rfd_…"`
},
) (*refundOutput, error) {
	if !refundIDForm.MatchString(in.ID) {
		return nil, httpx.NewProblem(ctx, errNoRefund)
	}
	return foundRefund(ctx)(s.gateway.RefundByID(ctx, shopOf(ctx), in.ID))
}

type findRefundInput struct {
	RefundNo string `query:"refund_no" required:"true" doc:"Your number of the refund."`
}

func (s *server) findRefund(ctx context.Context, in *findRefundInput) (*refundOutput, error) {
	if !orderNoForm.MatchString(in.RefundNo) {
		return nil, refused(ctx, wrong("refund_no", "refund_no is 1 to 64 of [0-9A-Za-z._|*@-]."))
	}
	return foundRefund(ctx)(s.gateway.RefundByNo(ctx, shopOf(ctx), in.RefundNo))
}

func foundRefund(ctx context.Context) func(view.Refund, error) (*refundOutput, error) {
	return func(v view.Refund, err error) (*refundOutput, error) {
		if isNotFound(err) {
			err = errNoRefund
		}
		if err != nil {
			return nil, httpx.NewProblem(ctx, err)
		}
		return &refundOutput{Status: http.StatusOK, Body: v}, nil
	}
}

type eventsInput struct {
	After int64 `query:"after" doc:"The pos of the last event that you have; 0 is the beginning." minimum:"0"`
	Limit int   `query:"limit" doc:"At most 100, which is what you get without it." minimum:"1" maximum:"100" default:"100"`
}

// Resolve reads the query once, strictly.
func (in *eventsInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return []error{wrong("", "The query is malformed.")}
	}
	*in = eventsInput{Limit: gateway.MaxEvents}
	for name, values := range q {
		n, err := strconv.ParseInt(values[0], 10, 64)
		switch {
		case len(values) != 1 || err != nil || n < 0 || values[0] != strconv.FormatInt(n, 10):
			return []error{wrong(clip(name), "Give it once, as a number.")}
		case name == "after":
			in.After = n
		case name == "limit" && n >= 1 && n <= gateway.MaxEvents:
			in.Limit = int(n)
		default:
			return []error{wrong(clip(name), "The query takes after, and limit from 1 to 100.")}
		}
	}
	return nil
}

type eventsOutput struct{ Body view.Events }

func (s *server) events(ctx context.Context, in *eventsInput) (*eventsOutput, error) {
	v, err := s.gateway.Events(ctx, shopOf(ctx), in.After, in.Limit)
	if err != nil {
		return nil, refused(ctx, err)
	}
	return &eventsOutput{Body: v}, nil
}
