// Package channeltest is the suite that every driver passes: the contract written at channel.Channel, asked of a
// scripted platform. It is imported by tests only.
package channeltest

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
)

// Now is the wall time of the suite: channels sign with it, and a harness answers at it.
var Now = time.Date(2026, 3, 1, 4, 5, 6, 0, time.UTC)

// Say is what a scripted platform says when it is asked.
type Say string

// What the platform can say; each driver's harness spells it in its platform's words, signed.
const (
	SayUnpaid   Say = "unpaid" // opened, or still waiting for the payer
	SayPaid     Say = "paid"
	SayClosed   Say = "closed"
	SayAbsent   Say = "absent"   // does not exist
	SayLimited  Say = "limited"  // too many calls
	SayDeclined Say = "declined" // a final no to opening
)

// Harness is a driver under test with a platform whose keys the test holds. That of a driver that is channel.Varied is
// one too, and answers in that way.
type Harness interface {
	Info() channel.Info
	// New builds a channel of the harness's account. It fails the test rather than return an error.
	New(t *testing.T, env channel.Env) channel.Channel
	Account() channel.Account
	// Answer is what the platform answers to op ("open", "query", "close") about a, signed as it signs.
	Answer(t *testing.T, op string, a pay.Attempt, say Say) channel.Answer
	// Unsigned is answer without its signature, otherwise well formed.
	Unsigned(t *testing.T, answer channel.Answer) channel.Answer
	// Notice is the platform's notice that a was paid, with TransactionID and PaidAt as in Paid.
	Notice(t *testing.T, a pay.Attempt) channel.Inbound
	// Secrets are texts that nothing may ever repeat: keys as they were configured.
	Secrets() []string
}

// What every harness says of a paid attempt.
const TransactionID = "2026030122001468450512505578"

// PaidAt is the platform's time of the payment.
var PaidAt = time.Date(2026, 3, 1, 4, 4, 59, 0, time.UTC)

// Run asks h everything.
func Run(t *testing.T, h Harness) {
	t.Helper()
	t.Run("Open", func(t *testing.T) { t.Parallel(); testOpen(t, h) })
	t.Run("Query", func(t *testing.T) { t.Parallel(); testAsked(t, h, "query", queryCases) })
	t.Run("Close", func(t *testing.T) { t.Parallel(); testAsked(t, h, "close", closeCases) })
	t.Run("Refund", func(t *testing.T) {
		t.Parallel()
		if _, sends := build(t, h, silent(t), Now).(channel.Refunder); !sends {
			return
		}
		r, ok := h.(Refunding)
		if !ok {
			t.Fatal("the driver sends refunds, and its harness is not Refunding")
		}
		testRefund(t, r)
	})
	t.Run("Read", func(t *testing.T) { t.Parallel(); testRead(t, h) })
	t.Run("Return", func(t *testing.T) { t.Parallel(); testReturn(t, h) })
	t.Run("Ack", func(t *testing.T) { t.Parallel(); testAck(t, h) })
	t.Run("concurrent use", func(t *testing.T) { t.Parallel(); testConcurrent(t, h) })
	t.Run("no goroutine left", func(t *testing.T) { t.Parallel(); testNoGoroutines(t, h) })
}

// Attempt is a fresh attempt of a product at h's account.
func Attempt(h Harness, product channel.Product) pay.Attempt {
	account := h.Account()
	variant := ""
	if v, ok := h.(channel.Varied); ok {
		variant = v.Variant()
	}
	return pay.Attempt{
		ID: "att_1", PaymentID: "pay_1", OutTradeNo: "01jnz8v0t0q6m7x2c4d5e6f7g8", Method: h.Info().Method,
		Product: product.Name, Status: pay.AttemptOpening, Amount: 10_001, Currency: pay.CNY,
		Account: account.ID, Channel: h.Info().Channel, AppID: account.AppID, MerchantID: account.MerchantID,
		Variant: variant, Subject: "语雀空间 500人规模", NotifyURL: "https://shop.example" + h.Info().NotifyPath,
		ReturnURL: "https://shop.example/payment/success/tok", ClientIP: "203.0.113.9",
		CreatedAt: Now.Add(-time.Minute), ExpiresAt: Now.Add(29 * time.Minute), Lazy: product.Lazy,
	}
}

// platform is the far end of every call of a channel under test.
type platform struct {
	answer func(*http.Request) (channel.Answer, error)

	mu    sync.Mutex
	calls []call
}

type call struct{ Method, URL, Body string }

// RoundTrip records the request and answers.
func (p *platform) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	p.calls = append(p.calls, call{req.Method, req.URL.String(), string(body)})
	p.mu.Unlock()
	a, err := p.answer(req)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: a.Status, Header: a.Header.Clone(), Body: io.NopCloser(bytes.NewReader(a.Body)),
		ProtoMajor: 1, ProtoMinor: 1, Request: req,
	}, nil
}

func answers(a channel.Answer) *platform {
	return &platform{answer: func(*http.Request) (channel.Answer, error) { return a, nil }}
}

// silent is a platform that nobody may call.
func silent(t *testing.T) *platform {
	return &platform{answer: func(*http.Request) (channel.Answer, error) {
		t.Error("the platform was called")
		return channel.Answer{}, errors.New("called")
	}}
}

func build(t *testing.T, h Harness, p *platform, now time.Time) channel.Channel {
	t.Helper()
	client := &http.Client{Transport: p}
	return h.New(t, channel.Env{
		Account: h.Account(), HTTP: client, Certified: func(tls.Certificate) *http.Client { return client },
		Now: func() time.Time { return now }, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
}

// ask calls one of the operations that a claim's holder calls.
func ask(t *testing.T, c channel.Channel, op string, a pay.Attempt) (pay.Observation, error) {
	t.Helper()
	switch op {
	case "open":
		_, err := c.Open(t.Context(), a)
		return pay.Observation{}, err
	case "query":
		return c.Query(t.Context(), a)
	}
	return c.Close(t.Context(), a)
}

// mustBe holds err to the contract of errors: an *Error of that operation and one of the kinds, repeating no secret.
func mustBe(t *testing.T, h Harness, err error, op string, kinds ...channel.Kind) {
	t.Helper()
	var e *channel.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T (%v), want *channel.Error", err, err)
	}
	if e.Op != op || e.Code == "" {
		t.Errorf("error of %q with code %q, want op %q and a code", e.Op, e.Code, op)
	}
	fits := false
	for _, kind := range kinds {
		fits = fits || e.Kind == kind
	}
	if !fits {
		t.Errorf("error %v, want kind %v", err, kinds)
	}
	text := fmt.Sprintf("%v %+v %v", e, *e, e.Cause)
	const window = 16 // letters of a key that are enough to tell it
	for _, secret := range h.Secrets() {
		for i := 0; i+window <= len(secret); i++ {
			if strings.Contains(text, secret[i:i+window]) {
				t.Fatalf("the error repeats a secret: %s", e.Code)
			}
		}
	}
}

// expect compares what was observed; it says nothing about Tries.
func expect(t *testing.T, want, got pay.Observation) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// seen is the observation of state about a, complete.
func seen(a pay.Attempt, source pay.Source, state pay.State) pay.Observation {
	o := pay.Observation{
		Source: source, Channel: a.Channel, Account: a.Account, AppID: a.AppID, MerchantID: a.MerchantID,
		Variant: a.Variant, OutTradeNo: a.OutTradeNo, State: state,
	}
	if state == pay.Paid {
		o.Amount, o.Currency, o.TransactionID, o.PaidAt = a.Amount, a.Currency, TransactionID, PaidAt
	}
	return o
}
