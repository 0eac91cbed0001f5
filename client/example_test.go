package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"piaohao/client"
)

// A shop creates the payment of an order and sends the payer to the cashier page.
func Example() {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"pay_1","object":"payment","order_no":"2026-0001","status":"open","amount":100,
			"cashier_url":"https://pay.example.com/payment/process/t0ken"}`)
	}))
	defer gateway.Close()

	c, err := client.New(gateway.URL, "sk_test_example")
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := c.CreatePayment(context.Background(), client.PaymentParams{
		OrderNo: "2026-0001",
		Amount:  100, // ¥1.00
		Subject: "Green tea",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Status, p.CashierURL)
	// Output: open https://pay.example.com/payment/process/t0ken
}

// A shop's webhook handler, tested with a signed test payload.
func ExampleVerifyWebhook() {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, "body", http.StatusBadRequest)
			return
		}
		event, err := client.VerifyWebhook(secret, r.Header, body, time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		if event.Type == client.EventPaymentPaid && event.Data.Amount == 100 { // what the order costs
			fmt.Println("deliver", event.Data.OrderNo) // once per event.ID
		}
	}

	body := []byte(`{"id":"evt_1","type":"payment.paid","data":{"order_no":"2026-0001","amount":100,"status":"paid"}}`)
	header, err := client.SignTestPayload(secret, "evt_1", time.Now(), body)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "/hook", bytes.NewReader(body))
	r.Header = header
	w := httptest.NewRecorder()
	handler(w, r)
	fmt.Println(w.Code)
	// Output:
	// deliver 2026-0001
	// 200
}
