// Package client is the Go SDK of the Piaohao payment gateway: it makes, reads and closes payments, verifies
// webhooks, and signs test webhooks so that shops can test their own handlers. It needs the standard library only.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of every call.
const (
	Timeout   = 15 * time.Second // of the default HTTP client; the gateway may wait 8 s for a platform
	MaxAnswer = 1 << 20          // bytes of an answer that are read; more is an error
)

// Client calls one gateway with one key. It is safe for concurrent use. It never retries by itself: creating is
// idempotent by order number, so every call may simply be repeated.
type Client struct {
	base string
	key  string
	http *http.Client
}

// Option changes a Client.
type Option func(*Client)

// WithHTTPClient replaces the HTTP client, and with it the timeout.
func WithHTTPClient(c *http.Client) Option { return func(cl *Client) { cl.http = c } }

// New returns a client of the gateway at baseURL ("https://pay.example.com", no path needed) with a key of the form
// sk_test_… or sk_live_….
func New(baseURL, key string, opts ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("client: baseURL must look like https://pay.example.com")
	}
	if !strings.HasPrefix(key, "sk_test_") && !strings.HasPrefix(key, "sk_live_") {
		return nil, errors.New("client: key must begin with sk_test_ or sk_live_")
	}
	c := &Client{base: strings.TrimRight(baseURL, "/"), key: key, http: &http.Client{
		Timeout: Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // the gateway never redirects; the key must not travel on
		},
	}}
	for _, opt := range opts {
		opt(c)
	}
	return c, nil
}

// Error is a refusal of the gateway.
type Error struct {
	Status     int           // HTTP status
	Code       string        // stable; "" when something before the gateway answered
	Detail     string        // what happened and what to do
	Param      string        // the field that is wrong, "" when none
	RequestID  string        // quote it when asking for help
	RetryAfter time.Duration // 0 = not told
}

// Codes of refusals that a shop may want to act on. The API document lists all of them.
const (
	CodeInvalid           = "invalid_request"
	CodeUnauthorized      = "unauthorized"
	CodeNotFound          = "not_found"
	CodeOrderConflict     = "order_no_conflict"    // the order has a payment of another amount: close that first
	CodePaymentClosing    = "payment_closing"      // it is expiring: wait RetryAfter, then create anew
	CodePaymentNotOpen    = "payment_not_open"     // already paid, so it cannot be closed
	CodePaymentNotPaid    = "payment_not_paid"     // nothing to refund: close it instead
	CodeRefundConflict    = "refund_no_conflict"   // that number is another refund's: use a new one
	CodeRefundTooMuch     = "refund_too_much"      // more than the payment's Refundable
	CodeRefundLimit       = "refund_limit"         // the platform allows no more, or not any more
	CodeMethodUnavailable = "method_unavailable"   // this gateway does not offer that method
	CodePlatformBusy      = "platform_unreachable" // repeat the call
	CodeBusy              = "busy"                 // repeat the call
)

// Error is code, detail and request id.
func (e *Error) Error() string {
	return fmt.Sprintf("piaohao: %d %s: %s (request %s)", e.Status, e.Code, e.Detail, e.RequestID)
}

// CreatePayment makes the payment of an order. Repeating it with the same order number and amount answers the same
// payment; what the first call said of subject, metadata, return URL and expiry stands.
func (c *Client) CreatePayment(ctx context.Context, in PaymentParams) (Payment, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return Payment{}, fmt.Errorf("client: %w", err)
	}
	return call[Payment](ctx, c, "payment", http.MethodPost, "/v1/payments", body)
}

// GetPayment returns the payment of that id (pay_…).
func (c *Client) GetPayment(ctx context.Context, id string) (Payment, error) {
	return call[Payment](ctx, c, "payment", http.MethodGet, "/v1/payments/"+url.PathEscape(id), nil)
}

// FindPayment returns the payment of an order: the open or paid one, else the newest.
func (c *Client) FindPayment(ctx context.Context, orderNo string) (Payment, error) {
	return call[Payment](ctx, c, "payment", http.MethodGet, "/v1/payments?order_no="+url.QueryEscape(orderNo), nil)
}

// ClosePayment cancels a payment. It is closed at the platforms first: when that is not finished yet, the answer has
// Closing set, and a webhook follows. Closing twice is fine; a paid payment is CodePaymentNotOpen.
func (c *Client) ClosePayment(ctx context.Context, id string) (Payment, error) {
	return call[Payment](ctx, c, "payment", http.MethodPost, "/v1/payments/"+url.PathEscape(id)+"/close", nil)
}

// CreateRefund sends money of a payment back, all of it or a part. It answers at once, mostly pending; an event tells the
// end. Repeating it with the same refund number and amount answers the same refund, so after a timeout send it again.
func (c *Client) CreateRefund(ctx context.Context, paymentID string, in RefundParams) (Refund, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return Refund{}, fmt.Errorf("client: %w", err)
	}
	return call[Refund](ctx, c, "refund", http.MethodPost, "/v1/payments/"+url.PathEscape(paymentID)+"/refunds", body)
}

// GetRefund returns the refund of that id (rfd_…).
func (c *Client) GetRefund(ctx context.Context, id string) (Refund, error) {
	return call[Refund](ctx, c, "refund", http.MethodGet, "/v1/refunds/"+url.PathEscape(id), nil)
}

// FindRefund returns the refund of the shop's number.
func (c *Client) FindRefund(ctx context.Context, refundNo string) (Refund, error) {
	return call[Refund](ctx, c, "refund", http.MethodGet, "/v1/refunds?refund_no="+url.QueryEscape(refundNo), nil)
}

// Events returns up to 100 events behind a place in the order of all events, oldest first; 0 is the beginning. Keep the Pos
// of the last one.
func (c *Client) Events(ctx context.Context, after int64) (Events, error) {
	return call[Events](ctx, c, "list", http.MethodGet, "/v1/events?after="+strconv.FormatInt(after, 10), nil)
}

// call makes one call; its answer must be the named object.
func call[T any](ctx context.Context, c *Client, object, method, path string, body []byte) (out T, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return out, fmt.Errorf("client: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("User-Agent", "piaohao-go")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return out, fmt.Errorf("client: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err != nil {
		return out, fmt.Errorf("client: read the answer: %w", err)
	}
	if len(raw) > MaxAnswer {
		return out, fmt.Errorf("client: the answer is longer than %d bytes", MaxAnswer)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return out, refusal(resp, raw)
	}
	var kind struct {
		Object string `json:"object"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil || kind.Object != object {
		return out, errors.New("client: the answer is no " + object)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, fmt.Errorf("client: the answer is no %s: %w", object, err)
	}
	return out, nil
}

// refusal reads a problem document; whatever stands before the gateway may answer something else.
func refusal(resp *http.Response, raw []byte) error {
	var p struct {
		Code, Detail, Param string
		RequestID           string `json:"request_id"`
		RetryAfter          int    `json:"retry_after"` // seconds
	}
	if json.Unmarshal(raw, &p) != nil || p.Detail == "" {
		p.Detail = http.StatusText(resp.StatusCode)
	}
	if p.RequestID == "" {
		p.RequestID = resp.Header.Get("Request-Id")
	}
	return &Error{
		Status: resp.StatusCode, Code: p.Code, Detail: p.Detail, Param: p.Param, RequestID: p.RequestID,
		RetryAfter: time.Duration(p.RetryAfter) * time.Second,
	}
}
