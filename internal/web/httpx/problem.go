// Package httpx is what the web rooms share: errors as RFC 9457 problems, request ids, the request log, limits.
package httpx

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"piaohao/internal/gateway"
)

// Codes that only HTTP can raise. Append-only like gateway's.
const (
	CodeMethodNotAllowed gateway.Code = "method_not_allowed"     // 405
	CodeTimeout          gateway.Code = "request_timeout"        // 408: the body came too slowly
	CodeUnsupportedMedia gateway.Code = "unsupported_media_type" // 415: not JSON, or an encoded body
	CodeTooManyHeaders   gateway.Code = "too_many_headers"       // 431
)

type meaning struct {
	status int
	en, zh string
}

// meanings is the one place where a code meets a status and a title.
var meanings = map[gateway.Code]meaning{
	gateway.CodeInvalid:           {400, "Invalid request", "请求有误"},
	gateway.CodeMethodUnavailable: {400, "Payment method unavailable", "支付方式不可用"},
	gateway.CodeUnauthorized:      {401, "Not authenticated", "未通过身份验证"},
	gateway.CodeWrongMode:         {401, "Key of the other mode", "密钥所属环境不符"},
	gateway.CodeNotFound:          {404, "Not found", "未找到"},
	CodeMethodNotAllowed:          {405, "Method not allowed", "不支持该请求方法"},
	CodeTimeout:                   {408, "Request timed out", "请求超时"},
	gateway.CodeOrderConflict:     {409, "Order number in use with another amount", "订单号已用于其他金额"},
	gateway.CodePaymentClosing:    {409, "Payment is closing", "支付单正在关闭"},
	gateway.CodePaymentNotOpen:    {409, "Payment is not open", "支付单已支付或已关闭"},
	gateway.CodeTooManyAttempts:   {409, "Too many attempts", "支付尝试次数过多"},
	gateway.CodePaymentNotPaid:    {409, "Payment is not paid", "支付单没有付款"},
	gateway.CodeRefundConflict:    {409, "Refund number in use", "退款单号已被使用"},
	gateway.CodeRefundTooMuch:     {409, "More than what may be refunded", "超过可退金额"},
	gateway.CodeRefundLimit:       {409, "The platform allows no further refund", "平台不允许再退款"},
	gateway.CodeDeclined:          {409, "Declined by the platform", "支付平台拒绝"},
	gateway.CodeTooLarge:          {413, "Request too large", "请求过大"},
	CodeUnsupportedMedia:          {415, "Unsupported media type", "不支持的内容类型"},
	gateway.CodeRateLimited:       {429, "Too many requests", "请求过于频繁"},
	CodeTooManyHeaders:            {431, "Too many header fields", "请求头过多"},
	gateway.CodeInternal:          {500, "Internal error", "内部错误"},
	gateway.CodePlatformBusy:      {503, "Payment platform unreachable", "支付平台暂时无法访问"},
	gateway.CodeBusy:              {503, "Service busy", "服务繁忙"},
}

// Status is the HTTP status of a code; 500 for one that is not listed.
func Status(code gateway.Code) int {
	if m, ok := meanings[code]; ok {
		return m.status
	}
	return http.StatusInternalServerError
}

// Problem is an error as RFC 9457 has it, with our members. Title follows Accept-Language (zh, en), Detail is
// English. It holds nothing of the cause.
type Problem struct {
	Type       string       `json:"type" doc:"stable URN of the code"`
	Title      string       `json:"title"`
	Status     int          `json:"status"`
	Detail     string       `json:"detail" doc:"what happened and what to do"`
	Code       gateway.Code `json:"code" doc:"stable; decide by this member"`
	Param      string       `json:"param,omitempty" doc:"the field or parameter that is wrong"`
	RequestID  string       `json:"request_id,omitempty" doc:"quote it when you ask for help; also in the Request-Id header"`
	RetryAfter int          `json:"retry_after,omitempty" doc:"seconds; also in the Retry-After header"`
}

// NewProblem renders err for the request of ctx and notes it for the request log. An error that
// gateway.Refusal does not know is internal: its text stays in the log.
func NewProblem(ctx context.Context, err error) *Problem {
	s := stateOf(ctx)
	s.err = err
	e := gateway.Refusal(err)
	if e == nil {
		e = &gateway.Error{Code: gateway.CodeInternal}
	}
	m, ok := meanings[e.Code]
	if !ok || e.Code == gateway.CodeInternal {
		m = meanings[gateway.CodeInternal]
		e = &gateway.Error{
			Code:   gateway.CodeInternal,
			Public: "Something failed on our side. Repeat the request; if it fails again, report the request_id.",
		}
	}
	p := &Problem{
		Type: "urn:piaohao:error:" + string(e.Code), Title: m.en, Status: m.status, Detail: e.Public,
		Code: e.Code, Param: e.Param, RequestID: s.id,
		RetryAfter: int((e.RetryAfter + time.Second - 1) / time.Second),
	}
	if s.zh {
		p.Title = m.zh
	}
	return p
}

// Error is the code and the detail.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of a problem, whatever was asked for.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders are the headers that go with the problem.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{"Vary": {"Accept-Language"}}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="piaohao"`)
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // the rest of the body is not read
	}
	return h
}

// WriteError answers err as problem+json.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	p := NewProblem(r.Context(), err)
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// NotFound answers whatever no route answers.
func NotFound(w http.ResponseWriter, r *http.Request) {
	WriteError(w, r, &gateway.Error{Code: gateway.CodeNotFound, Public: "There is nothing at this address."})
}

// Codes lists every public code, sorted.
func Codes() []gateway.Code { return slices.Sorted(maps.Keys(meanings)) }
