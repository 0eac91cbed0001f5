package api

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"piaohao/internal/pay"
	"piaohao/internal/view"
	"piaohao/internal/web/httpx"
)

const about = `Take payments through one gateway. Amounts are integers of fen (100 = ¥1.00), times are RFC 3339 in UTC.

**Keys.** Send "Authorization: Bearer sk_test_…" or "sk_live_…". Test keys work on test gateways only, live keys on live ones.

**Repeating.** Creating is idempotent by order_no, refunding by refund_no, closing by nature: after a timeout, send the same request again. An Idempotency-Key header is accepted and ignored.

**Paid or not.** Deliver when a webhook payment.paid came, or when GET answers status "paid". The payer's way back to return_url proves nothing.

**Errors** are problem documents (RFC 9457). Decide by their code; new codes may come. A Request-Id header is on every answer. Codes: `

func (s *server) register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "create-payment", Method: http.MethodPost, Path: "/v1/payments", DefaultStatus: http.StatusCreated,
		Summary: "Create a payment",
		Description: "At most one payment of an order is open or paid. The same order_no and amount again answer that payment with 200; " +
			"another method opens or reuses an attempt on it; what the first create said of subject, metadata, return_url and expiry stands. " +
			"Another amount is 409 order_no_conflict: close first. A payment that is being cancelled is taken back by this call; one that is " +
			"expiring is 409 payment_closing. After an unpaid close the order_no makes a new payment. With a method and no answer of its " +
			"platform in time, action is null and the attempt is opening: ask again with GET, or send the payer to cashier_url.",
		SkipValidateBody: true, // check does it, on integers that never were floats
		Responses: responses[view.Payment](api, map[int]string{200: "The order has this payment already", 201: "Created"},
			400, 401, 408, 409, 413, 415, 429, 431, 500, 503),
	}, s.create)
	huma.Register(api, huma.Operation{
		OperationID: "find-payment", Method: http.MethodGet, Path: "/v1/payments",
		Summary: "Find a payment", Description: "By exactly one of the three numbers. Answers one payment.",
		Responses: responses[view.Payment](api, map[int]string{200: "The payment"}, 400, 401, 404, 429, 431, 500, 503),
	}, s.find)
	huma.Register(api, huma.Operation{
		OperationID: "get-payment", Method: http.MethodGet, Path: "/v1/payments/{id}",
		Summary:   "Read a payment",
		Responses: responses[view.Payment](api, map[int]string{200: "The payment"}, 400, 401, 404, 429, 431, 500, 503),
	}, s.get)
	huma.Register(api, huma.Operation{
		OperationID: "close-payment", Method: http.MethodPost, Path: "/v1/payments/{id}/close",
		Summary: "Close a payment",
		Description: "Cancels it at the platforms first, then here, so that nobody can pay a closed payment. No body. Closing a closed " +
			"payment is 200 again; a paid one is 409 payment_not_open.",
		Responses: responses[view.Payment](api, map[int]string{200: "Closed", 202: "Closing: a platform has not confirmed yet; the webhook payment.closed or payment.paid follows"},
			400, 401, 404, 409, 413, 429, 431, 500, 503),
	}, s.closePayment)
	s.registerRefunds(api)
}

func (s *server) registerRefunds(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "create-refund", Method: http.MethodPost, Path: "/v1/payments/{id}/refunds", DefaultStatus: http.StatusCreated,
		Summary: "Refund a payment",
		Description: "Sends money back, all of it or a part; ask for no more than the payment's refundable. The refund is stored first and sent " +
			"then: the answer is pending, and refund.succeeded, refund.failed or refund.abnormal follows. Your refund_no is the key: the same " +
			"again, after a timeout too, is the same refund with 200. A platform that is short of the merchant's balance is asked again for 30 days.",
		SkipValidateBody: true,
		Responses: responses[view.Refund](api, map[int]string{200: "The refund of this refund_no", 201: "Stored; it is sent at once"},
			400, 401, 404, 408, 409, 413, 415, 429, 431, 500, 503),
	}, s.refund)
	huma.Register(api, huma.Operation{
		OperationID: "find-refund", Method: http.MethodGet, Path: "/v1/refunds",
		Summary: "Find a refund", Description: "By its refund_no.",
		Responses: responses[view.Refund](api, map[int]string{200: "The refund"}, 400, 401, 404, 429, 431, 500, 503),
	}, s.findRefund)
	huma.Register(api, huma.Operation{
		OperationID: "get-refund", Method: http.MethodGet, Path: "/v1/refunds/{id}",
		Summary:   "Read a refund",
		Responses: responses[view.Refund](api, map[int]string{200: "The refund"}, 400, 401, 404, 429, 431, 500, 503),
	}, s.getRefund)
	huma.Register(api, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/v1/events",
		Summary: "List events",
		Description: "Every event of this shop in one order, those that no webhook carries too (payment.created, refund.created). Keep the pos of " +
			"the last one and ask for what comes after it: nothing is missed, whatever happened to the webhooks.",
		Responses: responses[view.Events](api, map[int]string{200: "A page of events, oldest first"}, 400, 401, 429, 431, 500, 503),
	}, s.events)
}

// responses documents what an operation answers.
func responses[T any](api huma.API, good map[int]string, problems ...int) map[string]*huma.Response {
	schemas := api.OpenAPI().Components.Schemas
	id := map[string]*huma.Param{"Request-Id": {Description: "quote it when you ask for help", Schema: &huma.Schema{Type: huma.TypeString}}}
	all := map[string]*huma.Response{}
	for status, text := range good {
		all[strconv.Itoa(status)] = &huma.Response{Description: text, Headers: id, Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemas.Schema(reflect.TypeFor[T](), true, reflect.TypeFor[T]().Name())},
		}}
	}
	for _, status := range problems {
		all[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Headers: id, Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: schemas.Schema(reflect.TypeFor[httpx.Problem](), true, "Problem")},
		}}
	}
	return all
}

// document adds what the Go types do not say: texts, the key scheme, the webhooks, what may be null, and that answers
// may grow members.
func document(o *huma.OpenAPI, methods []string) {
	codes := httpx.Codes()
	listed := make([]string, len(codes))
	for i, code := range codes {
		listed[i] = fmt.Sprintf("%s (%d)", code, httpx.Status(code))
	}
	o.Info.Description = about + strings.Join(listed, ", ") + "."
	o.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	o.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer", BearerFormat: "sk_test_… or sk_live_…"}}
	o.Security = []map[string][]string{{"key": {}}}

	event := o.Components.Schemas.Schema(reflect.TypeFor[view.Event](), true, "Event")
	o.Webhooks = map[string]*huma.PathItem{}
	for _, t := range []pay.EventType{
		pay.EventPaymentPaid, pay.EventPaymentClosed, pay.EventSurplus, pay.EventLatePaid, pay.EventRefundSucceeded, pay.EventRefundFailed,
		pay.EventRefundAbnormal, pay.EventRefundExternal,
	} {
		o.Webhooks[string(t)] = &huma.PathItem{Post: &huma.Operation{
			OperationID: string(t), Summary: string(t),
			Description: "Signed as Standard Webhooks has it (webhook-id, webhook-timestamp, webhook-signature v1 over the raw body). Answer 2xx " +
				"within 15 seconds; else it comes again, ten times within 76 hours. It can come twice (same id) and out of order (see sequence). 410 ends it.",
			RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: event}}},
			Responses:   map[string]*huma.Response{"2XX": {Description: "Taken"}},
		}}
	}

	schemas := o.Components.Schemas.Map()
	for _, name := range []string{"Payment", "Attempt", "Refund", "Action", "Event", "Events", "Placed", "Problem"} {
		schemas[name].AdditionalProperties = nil
	}
	if method := schemas["CreatePayment"].Properties["method"]; len(methods) > 0 {
		method.Description += " Offered here: " + strings.Join(methods, ", ") + "."
	}
	payment := schemas["Payment"]
	payment.Properties["metadata"] = &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: &huma.Schema{Type: huma.TypeString}, Description: "as you gave it",
	}
	payment.Properties["attempts"].Nullable, payment.Properties["refunds"].Nullable = false, false
	schemas["Events"].Properties["data"].Nullable = false
	schemas["Placed"].Properties["event"] = &huma.Schema{Ref: "#/components/schemas/Event"}
	action := payment.Properties["action"]
	payment.Properties["action"] = &huma.Schema{
		AnyOf:       []*huma.Schema{{Ref: action.Ref}, {Type: "null"}},
		Description: "What to do with the payer now; null when no method was chosen or nothing can be paid.",
	}
}
