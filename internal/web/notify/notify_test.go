package notify_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/gateway"
	"piaohao/internal/web/httpx"
	"piaohao/internal/web/notify"
)

type notice struct {
	Path, RawQuery, Body, Signature string
}

type fake struct {
	got   []notice
	reply gateway.Reply
}

func (f *fake) Notice(_ context.Context, path string, header http.Header, rawQuery string, body []byte) gateway.Reply {
	f.got = append(f.got, notice{path, rawQuery, string(body), header.Get("X-Signature")})
	return f.reply
}

func (f *fake) Platforms() []gateway.Platform {
	return []gateway.Platform{
		{Method: "one", NotifyPaths: []string{"/payment/one/notify", "/payment/one/notify/acc1"}},
		{Method: "one", NotifyPaths: []string{"/payment/one/notify", "/deep/"}},
	}
}

func mounted(f *fake) *http.ServeMux {
	mux := http.NewServeMux()
	notify.Mount(mux, f)
	return mux
}

func TestNotice(t *testing.T) {
	t.Parallel()
	whole := strings.Repeat("x", 64<<10)
	for _, row := range []struct {
		name, method, path, body, encoding string
		status                             int
		handed                             []notice
	}{
		{
			name: "handed on byte for byte", path: "/payment/one/notify", body: "a=1&b=%2B+\xff\x00", status: 299,
			handed: []notice{{"/payment/one/notify", "", "a=1&b=%2B+\xff\x00", "sig"}},
		},
		{
			name: "an account's own path", path: "/payment/one/notify/acc1", body: "{}", status: 299,
			handed: []notice{{"/payment/one/notify/acc1", "", "{}", "sig"}},
		},
		{name: "a path that ends in a slash", path: "/deep/", body: "{}", status: 299, handed: []notice{{"/deep/", "", "{}", "sig"}}},
		{
			name: "an empty body is the gateway's to refuse", path: "/payment/one/notify", status: 299,
			handed: []notice{{"/payment/one/notify", "", "", "sig"}},
		},
		{
			name: "A55 a body at the cap", path: "/payment/one/notify", body: whole, status: 299,
			handed: []notice{{"/payment/one/notify", "", whole, "sig"}},
		},
		{name: "A55 a body over the cap", path: "/payment/one/notify", body: whole + "x", status: http.StatusRequestEntityTooLarge},
		{name: "A56 gzip", path: "/payment/one/notify", body: "x", encoding: "gzip", status: http.StatusUnsupportedMediaType},
		{name: "A52 a query string", path: "/payment/one/notify?a=1", body: "x", status: http.StatusBadRequest},
		{name: "A52 an empty query string", path: "/payment/one/notify?", body: "x", status: http.StatusBadRequest},
		{name: "another path", path: "/payment/two/notify", status: http.StatusNotFound},
		{name: "below a path that ends in a slash", path: "/deep/x", status: http.StatusNotFound},
		{name: "GET", method: http.MethodGet, path: "/payment/one/notify", status: http.StatusMethodNotAllowed},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := &fake{reply: gateway.Reply{Status: 299, ContentType: "text/plain; charset=utf-8", Body: "success"}}
			if row.method == "" {
				row.method = http.MethodPost
			}
			r := httptest.NewRequest(row.method, row.path, strings.NewReader(row.body))
			r.Header.Set("X-Signature", "sig")
			if row.encoding != "" {
				r.Header.Set("Content-Encoding", row.encoding)
			}
			w := httptest.NewRecorder()
			mounted(f).ServeHTTP(w, r)
			if w.Code != row.status {
				t.Errorf("status %d, want %d", w.Code, row.status)
			}
			if diff := cmp.Diff(row.handed, f.got); diff != "" {
				t.Errorf("handed on:\n%s", diff)
			}
			if row.handed != nil && (w.Body.String() != "success" || w.Header().Get("Content-Type") != "text/plain; charset=utf-8") {
				t.Errorf("answered %q as %q", w.Body, w.Header().Get("Content-Type"))
			}
		})
	}
}

func send(t *testing.T, url, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestA55SlowBody(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := httptest.NewUnstartedServer(nil)
	s.Config = httpx.NewServer(mounted(f), slog.New(slog.DiscardHandler))
	s.Config.ReadTimeout = 100 * time.Millisecond
	s.Start()
	defer s.Close()
	conn := send(t, s.URL, "POST /payment/one/notify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
	defer func() { _ = conn.Close() }()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestTimeout || len(f.got) != 0 {
		t.Errorf("A55 slow body: status %d, handed on %d", res.StatusCode, len(f.got))
	}
}
