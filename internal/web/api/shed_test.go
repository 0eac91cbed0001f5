package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"piaohao/internal/gateway"
	"piaohao/internal/web/api"
)

// slow is a gateway whose creates wait until they are let go.
type slow struct {
	fake
	entered chan struct{}
	let     chan struct{}
}

func (s *slow) Create(ctx context.Context, in gateway.CreateInput) (gateway.Result, error) {
	s.entered <- struct{}{}
	<-s.let
	return s.fake.Create(ctx, in)
}

// What begins is refused beyond a bound, and nothing else is (I-27).
func TestI27CreatesAreShedFirst(t *testing.T) {
	t.Parallel()
	const most = 256
	g := &slow{entered: make(chan struct{}, most), let: make(chan struct{})}
	h, err := api.New(api.Config{Gateway: g, PublicURL: "https://pay.example"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string, edit func(*http.Request)) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+keyA)
		r.Header.Set("Content-Type", "application/json")
		if edit != nil {
			edit(r)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	const create = `{"order_no":"o1","amount":100,"subject":"tea"}`
	// Bodies that never end take no place, whoever sends them.
	never, hang := io.Pipe()
	var slowly sync.WaitGroup
	for range 10 {
		slowly.Go(func() { ask("POST", "/v1/payments", "", func(r *http.Request) { r.Body = never }) })
	}
	var all sync.WaitGroup
	made := make(chan int, most)
	for range most {
		all.Go(func() { made <- ask("POST", "/v1/payments", create, nil).Code })
	}
	for range most {
		<-g.entered
	}
	for name, path := range map[string]string{"a payment": "/v1/payments", "a refund": "/v1/payments/" + idA + "/refunds"} {
		w := ask("POST", path, create, nil)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), `"code":"busy"`) {
			t.Errorf("%s too many: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
	if w := ask("POST", "/v1/payments", create, func(r *http.Request) { r.Header.Del("Authorization") }); w.Code != http.StatusUnauthorized {
		t.Errorf("a stranger learns of the load: %d", w.Code)
	}
	if w := ask("GET", "/v1/payments/"+idA, "", nil); w.Code != http.StatusOK {
		t.Errorf("reading: %d", w.Code)
	}
	if w := ask("POST", "/v1/payments/"+idA+"/close", "", nil); w.Code != http.StatusOK {
		t.Errorf("closing: %d", w.Code)
	}
	close(g.let)
	all.Wait()
	close(made)
	for status := range made {
		if status != http.StatusCreated {
			t.Errorf("one that had its place: %d", status)
		}
	}
	if w := ask("POST", "/v1/payments", create, nil); w.Code != http.StatusCreated {
		t.Errorf("afterwards: %d", w.Code)
	}
	_ = hang.Close()
	slowly.Wait()
}
