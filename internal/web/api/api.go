// Package api is what shops call: /v1, JSON in and out, described by the OpenAPI document that it serves itself.
package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sort"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"piaohao/internal/gateway"
	"piaohao/internal/view"
	"piaohao/internal/web/httpx"
)

// Gateway is what the API needs of the use cases; *gateway.Gateway is one. Errors are *gateway.Error.
type Gateway interface {
	Authenticate(ctx context.Context, key string) (shop string, err error)
	Create(ctx context.Context, in gateway.CreateInput) (gateway.Result, error)
	Payment(ctx context.Context, shop, id string) (view.Payment, error)
	PaymentByOrder(ctx context.Context, shop, orderNo string) (view.Payment, error)
	PaymentByOutTradeNo(ctx context.Context, shop, outTradeNo string) (view.Payment, error)
	PaymentByTransaction(ctx context.Context, shop, transactionID string) (view.Payment, error)
	ClosePayment(ctx context.Context, shop, id string) (view.Payment, error)
	Refund(ctx context.Context, shop, paymentID string, in gateway.RefundInput) (refund view.Refund, created bool, err error)
	RefundByID(ctx context.Context, shop, id string) (view.Refund, error)
	RefundByNo(ctx context.Context, shop, refundNo string) (view.Refund, error)
	Events(ctx context.Context, shop string, after int64, limit int) (view.Events, error)
}

// Config is what New is handed.
type Config struct {
	Gateway   Gateway
	PublicURL string   // origin that shops call, for the document
	Methods   []string // what this gateway offers, for the document
}

const documentPath = "/v1/openapi.json"

// New returns the handler of /v1; whatever else it is asked for is a 404. It stands behind httpx.Wrap.
func New(c Config) (http.Handler, error) {
	installErrors()
	mux := http.NewServeMux()
	rest := humago.New(mux, config(c.PublicURL))
	s := &server{gateway: c.Gateway, begun: make(chan struct{}, maxBegun)}
	rest.UseMiddleware(s.authenticate, readBody, s.shed)
	s.register(rest)
	document(rest.OpenAPI(), c.Methods)
	text, err := json.Marshal(rest.OpenAPI())
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("GET "+documentPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
	mux.HandleFunc(documentPath, methodNotAllowed("GET, HEAD"))
	for path, item := range rest.OpenAPI().Paths {
		mux.HandleFunc(path, methodNotAllowed(allowed(item)))
	}
	mux.HandleFunc("/", httpx.NotFound)
	return httpx.Secure(httpx.Limit(httpx.MaxBody)(mux)), nil
}

type server struct {
	gateway Gateway
	begun   chan struct{} // a place for each payment or refund that is being begun
}

// config is huma's, with our strict decoder, without its docs page (scripts from elsewhere), schema links (they
// repeat the Host header) and its lazily built document.
func config(publicURL string) huma.Config {
	c := huma.DefaultConfig("Piaohao", "1")
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: decode}
	c.Formats = map[string]huma.Format{"application/json": format, "json": format}
	c.RejectUnknownQueryParameters = true
	if publicURL != "" {
		c.Servers = []*huma.Server{{URL: publicURL}}
	}
	return c
}

func methodNotAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		httpx.WriteError(w, r, &gateway.Error{Code: httpx.CodeMethodNotAllowed, Public: "This address takes " + allow + "."})
	}
}

func allowed(item *huma.PathItem) string {
	var methods []string
	if item.Get != nil {
		methods = append(methods, "GET", "HEAD")
	}
	if item.Post != nil {
		methods = append(methods, "POST")
	}
	sort.Strings(methods)
	return strings.Join(methods, ", ")
}
