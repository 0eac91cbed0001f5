package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"

	"piaohao/client"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
	"piaohao/internal/web/httpx"
)

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	w := do(handler(t, &fake{}, io.Discard), call{"GET", "/v1/openapi.json", "", "", nil})
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	doc := loadDocument(t)
	if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatal(err)
	}
	if about := doc.Components.Schemas["CreatePayment"].Value.Properties["method"].Value.Description; !strings.HasSuffix(about, " Offered here: wechat, alipay.") {
		t.Errorf("method: %s", about)
	}
	if doc.OpenAPI != "3.1.0" || len(doc.Servers) != 1 || doc.Servers[0].URL != "https://pay.example.com" {
		t.Errorf("version %s, servers %v", doc.OpenAPI, doc.Servers)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Summary == "" || op.OperationID == "" {
				t.Errorf("%s %s says nothing of itself", method, path)
			}
			for status, r := range op.Responses.Map() {
				if status == "422" || status == "default" {
					t.Errorf("%s %s documents %s, which is never answered", method, path, status)
				}
				for kind := range r.Value.Content {
					if want := map[bool]string{true: "application/json", false: "application/problem+json"}[status < "3"]; kind != want {
						t.Errorf("%s %s %s is %s", method, path, status, kind)
					}
				}
			}
		}
	}
}

// Real requests and answers, refusals included, are what the document says.
func TestAnswersFitTheDocument(t *testing.T) {
	t.Parallel()
	doc := loadDocument(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	late := &fake{err: &gateway.Error{Code: gateway.CodePaymentClosing, Public: "Wait.", RetryAfter: 60e9}}
	for _, row := range []struct {
		f      *fake
		call   call
		status int
	}{
		{&fake{}, call{"POST", "/v1/payments", keyA, good, nil}, 201},
		{&fake{}, call{"POST", "/v1/payments", keyA, `{"order_no":"again","amount":1,"subject":"x","method":"wechat","metadata":{"a":"b"},"expires_in":120}`, nil}, 200},
		{&fake{}, call{"GET", "/v1/payments/" + idA, keyA, "", nil}, 200},
		{&fake{}, call{"GET", "/v1/payments?order_no=o-1", keyA, "", nil}, 200},
		{&fake{}, call{"POST", "/v1/payments/" + idA + "/close", keyA, "", nil}, 200},
		{&fake{closing: true}, call{"POST", "/v1/payments/" + idA + "/close", keyA, "", nil}, 202},
		{&fake{}, call{"POST", "/v1/payments/" + idA + "/refunds", keyA, goodRefund, nil}, 201},
		{&fake{}, call{"POST", "/v1/payments/" + idA + "/refunds", keyA, `{"refund_no":"again","amount":40,"reason":"cold","notify":false}`, nil}, 200},
		{&fake{}, call{"POST", "/v1/payments/" + idA + "/refunds", keyB, goodRefund, nil}, 404},
		{&fake{}, call{"GET", "/v1/refunds/rfd_1", keyA, "", nil}, 200},
		{&fake{}, call{"GET", "/v1/refunds?refund_no=r-1", keyA, "", nil}, 200},
		{&fake{}, call{"GET", "/v1/refunds?refund_no=r-2", keyA, "", nil}, 404},
		{&fake{}, call{"GET", "/v1/events", keyA, "", nil}, 200},
		{&fake{}, call{"GET", "/v1/events?after=7&limit=1", keyA, "", nil}, 200},
		{&fake{}, call{"GET", "/v1/payments/" + idA, "", "", nil}, 401},
		{&fake{}, call{"GET", "/v1/payments/" + idA, keyB, "", nil}, 404},
		{&fake{}, call{"GET", "/v1/payments", keyA, "", nil}, 400},
		{late, call{"POST", "/v1/payments", keyA, good, nil}, 409},
		{&fake{err: io.ErrUnexpectedEOF}, call{"POST", "/v1/payments", keyA, good, nil}, 500},
	} {
		t.Run(fmt.Sprintf("%s %s %d", row.call.method, row.call.path, row.status), func(t *testing.T) {
			t.Parallel()
			r := row.call.request()
			r.URL.Scheme = "https"
			route, params, err := router.FindRoute(r)
			if err != nil {
				t.Fatal(err)
			}
			in := &openapi3filter.RequestValidationInput{
				Request: r, PathParams: params, Route: route,
				Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
			}
			if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
				t.Errorf("request: %v", err)
			}
			w := do(handler(t, row.f, io.Discard), row.call)
			if w.Code != row.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			out := &openapi3filter.ResponseValidationInput{
				RequestValidationInput: in, Status: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())), Options: in.Options,
			}
			if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
				t.Errorf("answer %s: %v", w.Body, err)
			}
		})
	}
}

// The document refuses what check refuses, where a schema can say it.
func TestDocumentRefuses(t *testing.T) {
	t.Parallel()
	router, err := gorillamux.NewRouter(loadDocument(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{
		`{"order_no":"o-1","amount":1.5,"subject":"tea"}`, `{"order_no":"o-1","amount":0,"subject":"tea"}`, `{"order_no":"o 1","amount":1,"subject":"tea"}`,
		`{"order_no":"o-1","amount":1}`, `{"order_no":"o-1","amount":1,"subject":"tea","x":1}`, `{"order_no":"o-1","amount":1,"subject":"tea","expires_in":null}`,
	} {
		r := call{"POST", "/v1/payments", keyA, body, nil}.request()
		r.URL.Scheme = "https"
		route, params, err := router.FindRoute(r)
		if err != nil {
			t.Fatal(err)
		}
		err = openapi3filter.ValidateRequest(context.Background(), &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		})
		if err == nil {
			t.Errorf("the document takes %s", body)
		}
	}
}

// Public strings are never edited, only added to: testdata/public.txt may grow.
func TestPublicStrings(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, code := range httpx.Codes() {
		fmt.Fprintf(&got, "error %s %d\n", code, httpx.Status(code))
	}
	for _, e := range constants(t, "../../pay/change.go", "EventType") {
		fmt.Fprintf(&got, "event %s for shops %v\n", e, pay.EventType(e).ForShops())
	}
	want, err := os.ReadFile("testdata/public.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("public strings changed (-want +got):\n%s", diff)
	}
}

// Each code that the gateway declares has a status and a title of its own.
func TestEveryCodeIsKnown(t *testing.T) {
	t.Parallel()
	known := httpx.Codes()
	for _, code := range constants(t, "../../gateway/error.go", "Code") {
		if !slices.Contains(known, gateway.Code(code)) {
			t.Errorf("httpx does not know %s", code)
		}
	}
}

// constants returns the values of a file's constants of one string type.
func constants(t *testing.T, file, kind string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, m := range regexp.MustCompile(`\s`+kind+`\s+= "([^"]+)"`).FindAllSubmatch(text, -1) {
		values = append(values, string(m[1]))
	}
	if len(values) == 0 {
		t.Fatalf("%s declares no %s", file, kind)
	}
	return values
}

// The SDK's constants are the API's.
func TestClientConstants(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		client.CodeInvalid, client.CodeUnauthorized, client.CodeNotFound, client.CodeOrderConflict, client.CodePaymentClosing,
		client.CodePaymentNotOpen, client.CodeMethodUnavailable, client.CodePlatformBusy, client.CodeBusy, client.CodePaymentNotPaid,
		client.CodeRefundConflict, client.CodeRefundTooMuch, client.CodeRefundLimit,
	} {
		if httpx.Status(gateway.Code(code)) == http.StatusInternalServerError {
			t.Errorf("%s is no code of the API", code)
		}
	}
	for _, e := range []string{
		client.EventPaymentPaid, client.EventPaymentClosed, client.EventSurplus, client.EventLatePaid, client.EventRefundSucceeded,
		client.EventRefundFailed, client.EventRefundAbnormal, client.EventRefundExternal,
	} {
		if !pay.EventType(e).ForShops() {
			t.Errorf("%s is no event for shops", e)
		}
	}
	if client.StatusOpen != string(pay.PaymentOpen) || client.StatusPaid != string(pay.PaymentPaid) || client.StatusClosed != string(pay.PaymentClosed) {
		t.Error("states differ")
	}
}
