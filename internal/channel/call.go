package channel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
)

// Answer is what a platform answered, whole and untouched; nothing about it is verified yet.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most MaxBody bytes
}

// Trace collects what a call to a platform learns beside its result, for the log. One goroutine uses it.
type Trace struct {
	RequestID string // the platform's own number of the last call, "" = it gave none
}

type traceKey struct{}

// WithTrace returns a context whose calls are noted in t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// requestIDHeader carries the platform's number of a call (接口规则, 应答头); a platform without it sends none.
const requestIDHeader = "Request-Id"

const maxRequestID = 64 // bytes; a longer one is none

func noteRequestID(ctx context.Context, h http.Header) {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	if id := h.Get(requestIDHeader); t != nil && len(id) <= maxRequestID {
		t.RequestID = id
	}
}

// Call sends req once and reads the whole answer: within CallTimeout, at most MaxBody bytes, no redirect followed
// (a 3xx is an answer), no second try. req carries the caller's context and, with a body, a length
// (http.NewRequestWithContext with a bytes.Reader).
//
// When no connection to the host could be made, so that nothing was sent, the same request goes to each host of backup
// in turn, within the same time.
//
// The error is an *Error of kind Unknown, whose Code is "timeout", "cancelled", "unreachable", "cut_off" or
// "too_large": whatever went wrong, the platform may have got the request. Neither Text nor Cause holds the URL.
func (e Env) Call(op string, req *http.Request, backup ...string) (Answer, error) {
	ctx, cancel := context.WithTimeout(req.Context(), CallTimeout)
	defer cancel()
	req = req.WithContext(ctx)
	// Signatures cover the bytes that arrive, and a compressed answer would escape MaxBody on the wire.
	req.Header.Set("Accept-Encoding", "identity")

	client := *e.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	for _, host := range backup {
		if err == nil || !unconnected(err) {
			break
		}
		if req, err = another(req, host); err != nil {
			break
		}
		res, err = client.Do(req)
	}
	if err != nil {
		return Answer{}, callError(op, "unreachable", err)
	}
	noteRequestID(ctx, res.Header)
	defer func() { _ = res.Body.Close() }() // read to its end or given up: nothing to learn from closing

	body, err := io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	if err != nil {
		return Answer{}, callError(op, "cut_off", err)
	}
	if len(body) > MaxBody {
		return Answer{}, &Error{Kind: Unknown, Op: op, Code: "too_large", Text: "the platform's answer is larger than 64 KiB"}
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

// unconnected reports whether err came before a connection stood: the request cannot have been received.
func unconnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// another is req once more, for another host of the same platform.
func another(req *http.Request, host string) (*http.Request, error) {
	next := req.Clone(req.Context())
	next.URL.Host, next.Host = host, ""
	if req.GetBody == nil {
		return next, nil
	}
	var err error
	next.Body, err = req.GetBody()
	return next, err
}

// callError drops the *url.Error around err: its text repeats the URL, whose query may hold signed parameters.
func callError(op, code string, err error) *Error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var slow net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return &Error{Kind: Unknown, Op: op, Code: "cancelled", Text: "the call was given up before the platform answered", Cause: err}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return &Error{Kind: Unknown, Op: op, Code: "timeout", Text: "the platform did not answer in time", Cause: err}
	case code == "cut_off":
		return &Error{Kind: Unknown, Op: op, Code: code, Text: "the platform's answer broke off", Cause: err}
	}
	return &Error{Kind: Unknown, Op: op, Code: code, Text: "the platform could not be reached", Cause: err}
}
