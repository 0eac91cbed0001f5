package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"piaohao/internal/gateway"
	"piaohao/internal/web/httpx"
)

// maxBegun bounds the payments and refunds that shops are beginning at once. Beginning one is the work that can wait, because
// the shop repeats it under the same number; a notice, an answer about a payment and a close cannot, and are never refused
// for load (I-27). At a platform that answers within a second, the bound is 256 a second, more than two cores sign.
const maxBegun = 256

const begunAgain = time.Second // when to repeat what was refused

// shed refuses what would begin beyond maxBegun. It stands behind authenticate and readBody: a stranger, or a body that
// comes slowly, takes no place.
func (s *server) shed(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().RequestBody == nil {
		next(ctx)
		return
	}
	select {
	case s.begun <- struct{}{}:
		defer func() { <-s.begun }()
		next(ctx)
	default:
		r, w := humago.Unwrap(ctx)
		httpx.WriteError(w, r, &gateway.Error{
			Code: gateway.CodeBusy, RetryAfter: begunAgain,
			Public: "Too much is being begun at this moment; repeat the same request after a second.",
		})
	}
}
