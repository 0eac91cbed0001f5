package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"piaohao/internal/web/api"
)

// asking is a server over a gateway that each request finds new.
func asking(f *testing.F) func(method, path, body string) (*fake, *httptest.ResponseRecorder) {
	f.Helper()
	gateway := &fake{}
	h, err := api.New(api.Config{Gateway: gateway, PublicURL: "https://pay.example", Methods: []string{"wechat"}})
	if err != nil {
		f.Fatal(err)
	}
	return func(method, path, body string) (*fake, *httptest.ResponseRecorder) {
		gateway.created, gateway.refunds = nil, nil
		r := httptest.NewRequest(method, "/", strings.NewReader(body))
		r.URL.Path = path
		r.Header.Set("Authorization", "Bearer "+keyA)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return gateway, w
	}
}

// FuzzCreate: a body is refused as 4xx, or what reaches the gateway is what an ordinary reader finds in it, within limits.
func FuzzCreate(f *testing.F) {
	for _, body := range []string{
		`{"order_no":"o1","amount":100,"subject":"茶"}`, `{"order_no":"o1","amount":1e2,"subject":"s"}`, `{"order_no":"o1","amount":100,"amount":1,"subject":"s"}`,
		`{"order_no":"o1","amount":100,"subject":"s","metadata":{"a":"b"},"expires_in":120,"return_url":"https://shop.example"}`,
		`{"Order_No":"o1","amount":100,"subject":"s"}`, `{"order_no":"o1","amount":9223372036854775807,"subject":"\ud800"}`, `[]`, `null`, `{"order_no":"o1","amount":100,"subject":null}`,
	} {
		f.Add(body)
	}
	ask := asking(f)
	f.Fuzz(func(t *testing.T, body string) {
		gateway, w := ask(http.MethodPost, "/v1/payments", body)
		if len(gateway.created) == 0 {
			if w.Code < 400 || w.Code > 499 || !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%q: %d %s", body, w.Code, w.Body)
			}
			return
		}
		in := gateway.created[0]
		var plain struct {
			OrderNo string `json:"order_no"`
			Amount  int64  `json:"amount"`
			Subject string `json:"subject"`
		}
		if err := json.Unmarshal([]byte(body), &plain); err != nil || plain.OrderNo != in.OrderNo || plain.Amount != int64(in.Amount) || plain.Subject != in.Subject {
			t.Fatalf("%q became %+v, %v", body, in, err)
		}
		if !in.Amount.Valid() || in.Shop != "shopA" || len(in.OrderNo) < 1 || len(in.OrderNo) > 64 || strings.TrimSpace(in.Subject) == "" {
			t.Fatalf("%q became %+v", body, in)
		}
	})
}

// FuzzRefund: the same for a refund.
func FuzzRefund(f *testing.F) {
	for _, body := range []string{
		`{"refund_no":"r1","amount":1}`, `{"refund_no":"r1","amount":1,"reason":"不要了","notify":false}`, `{"refund_no":"r1","amount":-1}`, `{"refund_no":"","amount":1}`,
		`{"refund_no":"r1","amount":1.0}`, `{"refund_no":"r1","amount":1,"notify":null}`, `{"refund_no":"r1","amount":1,"x":1}`,
	} {
		f.Add(body)
	}
	ask := asking(f)
	f.Fuzz(func(t *testing.T, body string) {
		gateway, w := ask(http.MethodPost, "/v1/payments/"+idA+"/refunds", body)
		if len(gateway.refunds) == 0 {
			if w.Code < 400 || w.Code > 499 || !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%q: %d %s", body, w.Code, w.Body)
			}
			return
		}
		in := gateway.refunds[0]
		var plain struct {
			RefundNo string `json:"refund_no"`
			Amount   int64  `json:"amount"`
		}
		if err := json.Unmarshal([]byte(body), &plain); err != nil || plain.RefundNo != in.RefundNo || plain.Amount != int64(in.Amount) || !in.Amount.Valid() || in.Check() != nil {
			t.Fatalf("%q became %+v, %v", body, in, err)
		}
	})
}

// FuzzPath: no path makes the API fail, or find another shop's payment (I-20).
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/v1/payments/" + idA, "/v1/payments/../payments", "/v1/refunds/rfd_1", "/v1/events", "/v1/payments/pay_b", "/v1//", "/v1/payments/%2e%2e", "/v1/payments/\x00"} {
		f.Add(path)
	}
	ask := asking(f)
	f.Fuzz(func(t *testing.T, path string) {
		if !strings.HasPrefix(path, "/v1") {
			return
		}
		_, w := ask(http.MethodGet, path, "")
		if w.Code >= 500 || w.Code == http.StatusOK && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%q: %d %s", path, w.Code, w.Body)
		}
	})
}
