package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"piaohao/client"
)

// gateway answers every request with one answer and keeps what came.
type gateway struct {
	status  int
	header  http.Header
	answer  string
	got     *http.Request
	gotBody string
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.got, g.gotBody = r, string(body)
	for name, values := range g.header {
		w.Header()[name] = values
	}
	w.WriteHeader(g.status)
	_, _ = io.WriteString(w, g.answer)
}

func start(t *testing.T, g *gateway) *client.Client {
	t.Helper()
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL+"/", "sk_test_x")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const paid = `{"id":"pay_1","object":"payment","order_no":"o 1","status":"paid","closing":false,"amount":10000000000,"currency":"CNY","subject":"茶",
	"livemode":false,"cashier_url":"https://p/1","metadata":{"a":"b"},"created_at":"2026-01-02T03:04:05.000Z","expires_at":"2026-01-02T03:34:05.000Z",
	"paid_at":"2026-01-02T03:05:05.123Z","attempts":[{"id":"att_1","method":"alipay","product":"page","status":"paid","out_trade_no":"1",
	"transaction_id":"2","surplus":false,"created_at":"2026-01-02T03:04:05.000Z"}],"action":null,"later":"ignored"}`

func TestCalls(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name               string
		call               func(context.Context, *client.Client) (client.Payment, error)
		method, path, body string
	}{
		{"create", func(ctx context.Context, c *client.Client) (client.Payment, error) {
			return c.CreatePayment(ctx, client.PaymentParams{OrderNo: "o-1", Amount: 100, Subject: "茶"})
		}, "POST", "/v1/payments", `{"order_no":"o-1","amount":100,"subject":"茶"}`},
		{"get", func(ctx context.Context, c *client.Client) (client.Payment, error) {
			return c.GetPayment(ctx, "a/b?")
		}, "GET", "/v1/payments/a%2Fb%3F", ""},
		{"find", func(ctx context.Context, c *client.Client) (client.Payment, error) {
			return c.FindPayment(ctx, "a|b&c")
		}, "GET", "/v1/payments?order_no=a%7Cb%26c", ""},
		{"close", func(ctx context.Context, c *client.Client) (client.Payment, error) {
			return c.ClosePayment(ctx, "pay_1")
		}, "POST", "/v1/payments/pay_1/close", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := &gateway{status: 200, answer: paid}
			p, err := row.call(t.Context(), start(t, g))
			if err != nil {
				t.Fatal(err)
			}
			if g.got.Method != row.method || g.got.RequestURI != row.path || g.gotBody != row.body {
				t.Errorf("sent %s %s %s", g.got.Method, g.got.RequestURI, g.gotBody)
			}
			if g.got.Header.Get("Authorization") != "Bearer sk_test_x" || (row.body != "") != (g.got.Header.Get("Content-Type") == "application/json") {
				t.Errorf("headers %v", g.got.Header)
			}
			if !p.IsPaid() || p.Amount != 10_000_000_000 || p.Metadata["a"] != "b" || p.PaidAt.Format(time.RFC3339Nano) != "2026-01-02T03:05:05.123Z" ||
				!p.ClosedAt.IsZero() || p.Action != nil || p.Attempts[0].TransactionID != "2" {
				t.Errorf("read %+v", p)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	problem := `{"type":"urn:x","title":"t","status":409,"detail":"Close first.","code":"order_no_conflict","param":"amount","request_id":"req_1","retry_after":60}`
	for _, row := range []struct {
		name   string
		g      *gateway
		want   client.Error
		reason string // of an error that is no refusal
	}{
		{"problem", &gateway{status: 409, answer: problem}, client.Error{
			Status: 409, Code: client.CodeOrderConflict, Detail: "Close first.", Param: "amount", RequestID: "req_1", RetryAfter: time.Minute,
		}, ""},
		{
			"a proxy's page", &gateway{status: 502, answer: "<html>", header: http.Header{"Request-Id": {"req_2"}}},
			client.Error{Status: 502, Detail: "Bad Gateway", RequestID: "req_2"},
			"",
		},
		{
			"a redirect is not followed", &gateway{status: 307, header: http.Header{"Location": {"http://127.0.0.1:1/"}}},
			client.Error{Status: 307, Detail: "Temporary Redirect"},
			"",
		},
		{"an endless answer", &gateway{status: 200, answer: strings.Repeat(" ", client.MaxAnswer+1)}, client.Error{}, "longer"},
		{"something else", &gateway{status: 200, answer: `{"object":"list"}`}, client.Error{}, "no payment"},
		{"a page", &gateway{status: 200, answer: `<html>`}, client.Error{}, "no payment"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := start(t, row.g).GetPayment(t.Context(), "pay_1")
			if err == nil || strings.Contains(err.Error(), "sk_test_x") {
				t.Fatalf("error %v", err)
			}
			var refused *client.Error
			if !errors.As(err, &refused) {
				if row.reason == "" || !strings.Contains(err.Error(), row.reason) {
					t.Errorf("error %v", err)
				}
				return
			}
			if *refused != row.want {
				t.Errorf("got %+v, want %+v", *refused, row.want)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	c, err := client.New(srv.URL, "sk_test_x", client.WithHTTPClient(&http.Client{Timeout: time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetPayment(t.Context(), "pay_1"); err == nil {
		t.Error("no timeout")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range [][2]string{
		{"", "sk_test_x"},
		{"pay.example.com", "sk_test_x"},
		{"ftp://pay.example.com", "sk_test_x"},
		{"https://pay.example.com?x=1", "sk_test_x"},
		{"https://pay.example.com", ""},
		{"https://pay.example.com", "whsec_x"},
	} {
		if _, err := client.New(row[0], row[1]); err == nil {
			t.Errorf("%q with %q was taken", row[0], row[1])
		}
	}
}

const (
	vectorSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorBody   = `{"test": 2432232314}`
	vectorSig    = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

// The known vector of Standard Webhooks (libraries/go/webhook_test.go).
func TestKnownVector(t *testing.T) {
	t.Parallel()
	h, err := client.SignTestPayload(vectorSecret, vectorID, time.Unix(1614265330, 0), []byte(vectorBody))
	if err != nil || h.Get("Webhook-Signature") != vectorSig || h.Get("Webhook-Timestamp") != "1614265330" || h.Get("Webhook-Id") != vectorID {
		t.Errorf("%v %v", h, err)
	}
}

func TestVerifyWebhook(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	body, _ := json.Marshal(map[string]any{"id": "evt_1", "type": "payment.paid", "timestamp": "2026-01-02T03:04:05.000Z", "sequence": 3, "data": json.RawMessage(paid)})
	other := "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"
	for _, row := range []struct {
		name   string
		change func(http.Header)
		secret string
		body   string
		at     time.Duration
		want   error
	}{
		{"as sent", nil, "", "", 0, nil},
		{"five minutes later", nil, "", "", 5 * time.Minute, nil},
		{"five minutes early", nil, "", "", -5 * time.Minute, nil},
		{"A36 too late", nil, "", "", 5*time.Minute + time.Second, client.ErrTimestamp},
		{"A36 too early", nil, "", "", -5*time.Minute - time.Second, client.ErrTimestamp},
		{"A40 two signatures", func(h http.Header) { h.Set("Webhook-Signature", "v1,AAAA v1a,x "+h.Get("Webhook-Signature")) }, "", "", 0, nil},
		{"other secret", nil, other, "", 0, client.ErrSignature},
		{"A05 empty secret", nil, "whsec_", "", 0, client.ErrSecret},
		{"A05 short secret", nil, "whsec_AAAA", "", 0, client.ErrSecret},
		{"A05 not base64", nil, "whsec_" + strings.Repeat("!", 32), "", 0, client.ErrSecret},
		{"A05 line break", nil, vectorSecret + "\n", "", 0, client.ErrSecret},
		{"A05 no prefix", nil, strings.TrimPrefix(vectorSecret, "whsec_"), "", 0, client.ErrSecret},
		{"body changed", nil, "", strings.Replace(string(body), "pay_1", "pay_2", 1), 0, client.ErrSignature},
		{"id changed", func(h http.Header) { h.Set("Webhook-Id", "evt_2") }, "", "", 0, client.ErrSignature},
		{"A02 no signature", func(h http.Header) { h.Del("Webhook-Signature") }, "", "", 0, client.ErrHeaders},
		{"A02 empty signature", func(h http.Header) { h.Set("Webhook-Signature", "") }, "", "", 0, client.ErrSignature},
		{"A02 cut signature", func(h http.Header) { h.Set("Webhook-Signature", h.Get("Webhook-Signature")[:20]) }, "", "", 0, client.ErrSignature},
		{"A04 other version", func(h http.Header) {
			h.Set("Webhook-Signature", "v0"+strings.TrimPrefix(h.Get("Webhook-Signature"), "v1"))
		}, "", "", 0, client.ErrSignature},
		{"A59 two ids", func(h http.Header) { h.Add("Webhook-Id", "evt_1") }, "", "", 0, client.ErrHeaders},
		{"A36 no timestamp", func(h http.Header) { h.Del("Webhook-Timestamp") }, "", "", 0, client.ErrHeaders},
		{"A36 timestamp with a plus", func(h http.Header) { h.Set("Webhook-Timestamp", "+1800000000") }, "", "", 0, client.ErrHeaders},
		{"A36 timestamp as text", func(h http.Header) { h.Set("Webhook-Timestamp", "now") }, "", "", 0, client.ErrHeaders},
		{"signature behind too many", func(h http.Header) {
			h.Set("Webhook-Signature", strings.Repeat("v1,AAAA ", 16)+h.Get("Webhook-Signature"))
		}, "", "", 0, client.ErrSignature},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h, err := client.SignTestPayload(vectorSecret, "evt_1", now, body)
			if err != nil {
				t.Fatal(err)
			}
			if row.change != nil {
				row.change(h)
			}
			secret, sent := vectorSecret, string(body)
			if row.secret != "" {
				secret = row.secret
			}
			if row.body != "" {
				sent = row.body
			}
			e, err := client.VerifyWebhook(secret, h, []byte(sent), now.Add(row.at))
			if !errors.Is(err, row.want) {
				t.Fatalf("%v, want %v", err, row.want)
			}
			if err == nil && (e.Type != client.EventPaymentPaid || !e.Data.IsPaid() || e.Sequence != 3) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestVerifyWebhookWantsAnEvent(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for _, body := range []string{"", "[]", "{}", `{"id":"evt_2","type":"payment.paid"}`, `{"id":"evt_1"}`} {
		h, err := client.SignTestPayload(vectorSecret, "evt_1", now, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.VerifyWebhook(vectorSecret, h, []byte(body), now); !errors.Is(err, client.ErrBody) {
			t.Errorf("%q: %v", body, err)
		}
	}
}
