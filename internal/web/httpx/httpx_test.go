package httpx_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/store"
	"piaohao/internal/web/httpx"
)

func wrap(log io.Writer, h http.HandlerFunc) http.Handler {
	return httpx.Wrap(slog.New(slog.NewJSONHandler(log, nil)), time.Now, h)
}

func get(h http.Handler, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/x", nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEveryGatewayCodeHasAStatus(t *testing.T) {
	t.Parallel()
	for code, want := range map[gateway.Code]int{
		gateway.CodeInvalid: 400, gateway.CodeUnauthorized: 401, gateway.CodeWrongMode: 401, gateway.CodeNotFound: 404,
		gateway.CodeOrderConflict: 409, gateway.CodePaymentClosing: 409, gateway.CodePaymentNotOpen: 409, gateway.CodeTooManyAttempts: 409,
		gateway.CodePaymentNotPaid: 409, gateway.CodeRefundConflict: 409, gateway.CodeRefundTooMuch: 409, gateway.CodeRefundLimit: 409,
		gateway.CodeMethodUnavailable: 400, gateway.CodeDeclined: 409, gateway.CodePlatformBusy: 503, gateway.CodeBusy: 503,
		gateway.CodeTooLarge: 413, gateway.CodeRateLimited: 429, gateway.CodeInternal: 500,
		httpx.CodeMethodNotAllowed: 405, httpx.CodeTimeout: 408, httpx.CodeUnsupportedMedia: 415, httpx.CodeTooManyHeaders: 431,
		"unheard_of": 500,
	} {
		if got := httpx.Status(code); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}

func TestTitleFollowsTheLanguage(t *testing.T) {
	t.Parallel()
	h := wrap(io.Discard, httpx.NotFound)
	for accept, want := range map[string]string{
		"": "Not found", "*": "Not found", "fr": "Not found", "en-GB,en;q=0.9": "Not found", "zh": "未找到", "zh-CN,zh;q=0.9,en;q=0.8": "未找到",
		"en;q=0.5, zh-TW;q=0.6": "未找到", "zh;q=0.1,en": "Not found", "zh;q=x": "Not found", strings.Repeat("fr,", 10) + "zh": "Not found",
	} {
		var p httpx.Problem
		if err := json.Unmarshal(get(h, http.Header{"Accept-Language": {accept}}).Body.Bytes(), &p); err != nil || p.Title != want {
			t.Errorf("%q: %q, want %q (%v)", accept, p.Title, want, err)
		}
	}
}

func TestI18DiskThatTakesNothing(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]string{store.ErrFull: "disk is full", store.ErrBroken: "disk failed"} {
		var log strings.Builder
		w := get(wrap(&log, func(w http.ResponseWriter, r *http.Request) {
			httpx.WriteError(w, r, fmt.Errorf("writing: %w: /srv/secret/path", cause))
		}), nil)
		if w.Code != 503 || w.Header().Get("Retry-After") != "30" || !strings.Contains(w.Body.String(), want) || strings.Contains(w.Body.String(), "/srv") {
			t.Errorf("%v: %d %v %s", cause, w.Code, w.Header(), w.Body)
		}
		if !strings.Contains(log.String(), "/srv/secret/path") || !strings.Contains(log.String(), `"code":"busy"`) {
			t.Errorf("the log says %s", log.String())
		}
	}
}

func TestRequestIDIsOurs(t *testing.T) {
	t.Parallel()
	var seen string
	h := wrap(io.Discard, func(_ http.ResponseWriter, r *http.Request) { seen = httpx.RequestIDOf(r.Context()) })
	theirs := http.Header{"Request-Id": {"req_theirs"}, "X-Request-Id": {"req_theirs"}}
	first, second := get(h, theirs).Header().Get("Request-Id"), get(h, theirs).Header().Get("Request-Id")
	if !strings.HasPrefix(first, "req_") || first == second || first == "req_theirs" || seen != second {
		t.Errorf("ids %q %q, in the handler %q", first, second, seen)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	w := get(wrap(&log, func(http.ResponseWriter, *http.Request) { panic("canary") }), nil)
	if w.Code != 500 || strings.Contains(w.Body.String(), "canary") || strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if strings.Count(log.String(), "canary") != 1 || strings.Count(log.String(), `"status":500`) != 1 || !strings.Contains(log.String(), w.Header().Get("Request-Id")) {
		t.Errorf("log: %s", log.String())
	}
}

func TestPanicAfterTheAnswerBegan(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(wrap(io.Discard, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic("canary")
	}))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil || string(body) != "half" {
		t.Errorf("a cut answer looks whole: %q %v", body, err)
	}
}

func TestLogLine(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	mux := http.NewServeMux()
	mux.HandleFunc("GET /a/{id}", func(w http.ResponseWriter, r *http.Request) {
		httpx.WriteError(w, r, &gateway.Error{Code: gateway.CodeBusy, Public: "Later.", Cause: errors.New("disk is full")})
	})
	clock := time.Unix(0, 0)
	now := func() time.Time { clock = clock.Add(1500 * time.Microsecond); return clock }
	h := httpx.Wrap(slog.New(slog.NewJSONHandler(&log, nil)), now, mux)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/a/canary?canary=1", nil))
	var m map[string]any
	if err := json.Unmarshal([]byte(log.String()), &m); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"level": "WARN", "msg": "request", "method": "GET", "route": "GET /a/{id}", "status": 503.0, "ms": 1.5,
		"request_id": w.Header().Get("Request-Id"), "code": "busy", "cause": "disk is full",
	} {
		if m[name] != want {
			t.Errorf("%s: %v, want %v", name, m[name], want)
		}
	}
	if strings.Contains(log.String(), "canary") || strings.Contains(w.Body.String(), "disk") {
		t.Errorf("log %s, answer %s", log.String(), w.Body)
	}
}

func TestLogOfAnEmptyAnswer(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	get(wrap(&log, func(http.ResponseWriter, *http.Request) {}), nil)
	if !strings.Contains(log.String(), `"status":200`) || !strings.Contains(log.String(), `"level":"INFO"`) {
		t.Errorf("%s", log.String())
	}
}

func TestA55Bodies(t *testing.T) {
	t.Parallel()
	read := httpx.Limit(8)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := httpx.ReadBody(r)
		if err != nil {
			httpx.WriteError(w, r, err)
			return
		}
		_, _ = w.Write(body)
	}))
	for _, row := range []struct {
		name   string
		body   io.Reader
		header http.Header
		want   int
	}{
		{"fits", strings.NewReader("12345678"), nil, 200},
		{"A55 announced too long", strings.NewReader("123456789"), nil, 413},
		{"A55 too long without a length", io.MultiReader(strings.NewReader("123456789")), nil, 413},
		{"A55 too slow", timeout{}, nil, 408},
		{"broken off", io.MultiReader(strings.NewReader("1"), broken{}), nil, 400},
		{"A56 gzip", strings.NewReader("1"), http.Header{"Content-Encoding": {"gzip"}}, 415},
		{"identity", strings.NewReader("1"), http.Header{"Content-Encoding": {"identity"}}, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("POST", "/", row.body)
			for name, values := range row.header {
				r.Header[name] = values
			}
			w := httptest.NewRecorder()
			read.ServeHTTP(w, r)
			if w.Code != row.want {
				t.Errorf("%d, want %d: %s", w.Code, row.want, w.Body)
			}
			if (w.Code == 413 || w.Code == 408) && w.Header().Get("Connection") != "close" {
				t.Error("the connection stays")
			}
		})
	}
}

type timeout struct{}

func (timeout) Read([]byte) (int, error) { return 0, &net.OpError{Op: "read", Err: deadline{}} }

type deadline struct{}

func (deadline) Error() string { return "i/o timeout" }
func (deadline) Timeout() bool { return true }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestA55HeaderFields(t *testing.T) {
	t.Parallel()
	h := wrap(io.Discard, func(http.ResponseWriter, *http.Request) {})
	many := http.Header{"X-Same": make([]string, 60)}
	for i := range 41 {
		many[fmt.Sprintf("X-%d", i)] = []string{""}
	}
	if w := get(h, many); w.Code != 431 {
		t.Errorf("A55 101 fields: %d", w.Code)
	}
	delete(many, "X-0")
	if w := get(h, many); w.Code != 200 {
		t.Errorf("A55 100 fields: %d", w.Code)
	}
}

func TestServerHasLimits(t *testing.T) {
	t.Parallel()
	s := httpx.NewServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout == 0 || s.ReadTimeout != 10*time.Second || s.WriteTimeout == 0 || s.IdleTimeout == 0 || s.MaxHeaderBytes != 32<<10 {
		t.Errorf("%+v", s)
	}
}

func TestClientIP(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, row := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"direct", "203.0.113.9:1", nil, "203.0.113.9"},
		{"A17 forged by a direct caller", "203.0.113.9:1", []string{"1.1.1.1"}, "203.0.113.9"},
		{"through our proxy", "127.0.0.1:1", []string{"1.1.1.1"}, "1.1.1.1"},
		{"A17 forged through our proxy", "127.0.0.1:1", []string{"8.8.8.8, 1.1.1.1"}, "1.1.1.1"},
		{"two proxies", "127.0.0.1:1", []string{"8.8.8.8, 1.1.1.1", "10.0.0.2"}, "1.1.1.1"},
		{"proxy says nothing", "127.0.0.1:1", nil, "127.0.0.1"},
		{"proxy says nonsense", "127.0.0.1:1", []string{"1.1.1.1, x"}, "127.0.0.1"},
		{"mapped", "[::ffff:127.0.0.1]:1", []string{"::ffff:1.1.1.1"}, "1.1.1.1"},
		{"IPv6", "[::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"no address", "pipe", []string{"1.1.1.1"}, ""},
		{"endless", "127.0.0.1:1", []string{"1.1.1.1" + strings.Repeat(",10.0.0.1", 1000)}, "10.0.0.1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = row.remote, row.forwarded
			if got := httpx.ClientIP(r, trusted); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
