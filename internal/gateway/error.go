package gateway

import (
	"errors"
	"time"

	"piaohao/internal/store"
)

// Error is what a use case refuses with: a stable code, a text that says what to do, the cause kept apart for logs.
// httpx maps the code to a status; no other package knows status numbers.
type Error struct {
	Code       Code
	Public     string        // for the caller; says what to do; no secret, nothing technical of ours
	Param      string        // the offending parameter, "" when none
	RetryAfter time.Duration // 0 = not told
	Cause      error
}

// Code is the stable public name of an error. Append-only (golden test).
type Code string

// The codes.
const (
	CodeInvalid           Code = "invalid_request"      // 400: a parameter is wrong; Param names it
	CodeUnauthorized      Code = "unauthorized"         // 401: no key, unknown key
	CodeWrongMode         Code = "wrong_mode"           // 401: a live key here, or a test key there
	CodeNotFound          Code = "not_found"            // 404: no such object, or another shop's
	CodeOrderConflict     Code = "order_no_conflict"    // 409: that order has a payment of another amount
	CodePaymentClosing    Code = "payment_closing"      // 409: closing by expiry; see RetryAfter
	CodePaymentNotOpen    Code = "payment_not_open"     // 409: paid or closed already
	CodeTooManyAttempts   Code = "too_many_attempts"    // 409: MaxAttempts reached
	CodeMethodUnavailable Code = "method_unavailable"   // 400: no account offers it
	CodePaymentNotPaid    Code = "payment_not_paid"     // 409: nothing to refund
	CodeRefundConflict    Code = "refund_no_conflict"   // 409: that number is another refund's
	CodeRefundTooMuch     Code = "refund_too_much"      // 409: more than what is left
	CodeRefundLimit       Code = "refund_limit"         // 409: the platform allows no more, or not any more
	CodeDeclined          Code = "declined"             // 409: the platform said a final no
	CodePlatformBusy      Code = "platform_unreachable" // 503: the platform does not answer now
	CodeBusy              Code = "busy"                 // 503: we are overloaded or the database is away
	CodeTooLarge          Code = "too_large"            // 413
	CodeRateLimited       Code = "rate_limited"         // 429
	CodeInternal          Code = "internal"             // 500
)

// Error is the code and the public text; never the cause.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Public }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// diskRetry is when to look whether a disk takes something again.
const diskRetry = 30 * time.Second

// Refusal is what a caller is told of err: the *Error inside it, or what a disk that takes nothing means to them; nil for
// everything else, which is a failure of ours.
func Refusal(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, store.ErrFull):
		return &Error{
			Code: CodeBusy, RetryAfter: diskRetry, Cause: err,
			Public: "the gateway's disk is full, so nothing was stored; repeat the request when its operator has made room",
		}
	case errors.Is(err, store.ErrBroken):
		return &Error{
			Code: CodeBusy, RetryAfter: diskRetry, Cause: err,
			Public: "the gateway's disk failed, so nothing was stored; repeat the request when its operator has seen to it and started the gateway again",
		}
	}
	return nil
}
