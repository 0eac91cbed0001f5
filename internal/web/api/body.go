package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"piaohao/internal/gateway"
	"piaohao/internal/strict"
	"piaohao/internal/web/httpx"
)

// readBody reads the body of the operations that take one, before huma does, so that its refusals are ours.
func readBody(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().RequestBody == nil {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	if !isJSON(r.Header) {
		httpx.WriteError(w, r, &gateway.Error{
			Code: httpx.CodeUnsupportedMedia, Public: "Send the body as JSON, with \"Content-Type: application/json\".",
		})
		return
	}
	body, err := httpx.ReadBody(r)
	if err != nil {
		httpx.WriteError(w, r, err)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	next(ctx)
}

func isJSON(h http.Header) bool {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset, named := params["charset"]
	return err == nil && kind == "application/json" && (!named || strings.EqualFold(charset, "utf-8"))
}

// decode is huma's decoder. Amounts reach int64 from their digits, never through a float.
func decode(data []byte, v any) error {
	err := strict.DecodeStrict(data, v)
	var refused *strict.JSONError
	if errors.As(err, &refused) {
		return wrong("", "The body was refused: "+refused.Error()+".")
	}
	return err
}

// wrong is a refusal of one parameter.
func wrong(param, public string) *gateway.Error {
	return &gateway.Error{Code: gateway.CodeInvalid, Param: param, Public: public}
}

// installErrors makes huma's own refusals problems like all others. Its hook is one variable per process.
var installErrors = sync.OnceFunc(func() {
	huma.NewErrorWithContext = func(ctx huma.Context, status int, text string, errs ...error) huma.StatusError {
		return httpx.NewProblem(ctx.Context(), translate(status, text, errs))
	}
})

// translate names what huma refuses: its 422 is our 400, and only its texts about the caller's input are repeated.
func translate(status int, text string, errs []error) error {
	if status >= http.StatusInternalServerError {
		return errors.Join(append(errs, errors.New(text))...)
	}
	for _, err := range errs {
		var ours *gateway.Error
		if errors.As(err, &ours) {
			return ours
		}
		var detail *huma.ErrorDetail
		if errors.As(err, &detail) {
			_, param, _ := strings.Cut(detail.Location, ".")
			public, _ := strings.CutPrefix(detail.Message, string(gateway.CodeInvalid)+": ")
			return wrong(clip(param), public)
		}
	}
	return wrong("", text)
}

const maxParam = 64 // bytes of a caller's own parameter name that are repeated

func clip(param string) string { return strings.ToValidUTF8(param[:min(len(param), maxParam)], "") }
