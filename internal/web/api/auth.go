package api

import (
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"piaohao/internal/gateway"
	"piaohao/internal/web/httpx"
)

const maxKey = 128 // bytes of an API key

type shopKey struct{}

// shopOf returns the shop that authenticate found; every operation stands behind it.
func shopOf(ctx context.Context) string { return ctx.Value(shopKey{}).(string) }

// authenticate lets only requests through whose key the gateway knows. The key counts in the Authorization header
// alone: in a query it would end in logs.
func (s *server) authenticate(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	key, ok := bearer(r.Header.Values("Authorization"))
	if !ok {
		httpx.WriteError(w, r, &gateway.Error{
			Code: gateway.CodeUnauthorized, Public: "Send your API key as \"Authorization: Bearer sk_test_…\" or \"sk_live_…\".",
		})
		return
	}
	shop, err := s.gateway.Authenticate(r.Context(), key)
	if err != nil {
		httpx.WriteError(w, r, err)
		return
	}
	next(huma.WithValue(ctx, shopKey{}, shop))
}

// bearer returns the key of the one Authorization header, and whether it has the form of one.
func bearer(headers []string) (string, bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, key, _ := strings.Cut(headers[0], " ")
	named := strings.HasPrefix(key, "sk_test_") || strings.HasPrefix(key, "sk_live_")
	return key, named && len(key) <= maxKey && strings.EqualFold(scheme, "Bearer")
}
