package channel_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"piaohao/internal/channel"
)

func call(t *testing.T, ctx context.Context, client *http.Client, url string) (channel.Answer, *channel.Error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("ping"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := channel.Env{HTTP: client}.Call("open", req)
	if err == nil {
		return got, nil
	}
	var e *channel.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T, want *channel.Error", err)
	}
	return got, e
}

func TestCallReturnsTheWholeAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		want   string // code of the error
	}{
		{"200", 200, "pong", ""},
		{"204 without body", 204, "", ""},
		{"500 is an answer", 500, "oops", ""},
		{"redirect is an answer", 307, "", ""},
		{"exactly MaxBody", 200, strings.Repeat("x", channel.MaxBody), ""},
		{"one byte more", 200, strings.Repeat("x", channel.MaxBody+1), "too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			calls := make(chan string, 4)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				in, _ := io.ReadAll(r.Body)
				calls <- string(in) + " " + r.Header.Get("Accept-Encoding")
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			t.Cleanup(srv.Close)

			got, e := call(t, t.Context(), srv.Client(), srv.URL)
			if len(calls) != 1 || <-calls != "ping identity" {
				t.Fatal("want one call with the body and without compression")
			}
			if tt.want != "" {
				if e == nil || e.Kind != channel.Unknown || e.Code != tt.want {
					t.Fatalf("error = %v, want unknown %s", e, tt.want)
				}
				return
			}
			if e != nil {
				t.Fatal(e)
			}
			if got.Status != tt.status || !bytes.Equal(got.Body, []byte(tt.body)) {
				t.Fatalf("got %d with %d bytes", got.Status, len(got.Body))
			}
		})
	}
}

func TestCallFailuresAreUnknownAndHideTheURL(t *testing.T) {
	t.Parallel()
	expired, cancel := context.WithTimeout(context.Background(), 0)
	t.Cleanup(cancel)
	cancelled, cancelNow := context.WithCancel(context.Background())
	cancelNow()
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
	}))
	t.Cleanup(cut.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	tests := []struct {
		name, url, want string
		ctx             context.Context
	}{
		{"deadline", cut.URL, "timeout", expired},
		{"caller left", cut.URL, "cancelled", cancelled},
		{"nobody listens", gone.URL, "unreachable", context.Background()},
		{"answer breaks off", cut.URL, "cut_off", context.Background()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, e := call(t, tt.ctx, http.DefaultClient, tt.url+"/?sign=do-not-log")
			if e == nil || e.Kind != channel.Unknown || e.Code != tt.want || e.Op != "open" {
				t.Fatalf("error = %v, want unknown %s", e, tt.want)
			}
			if text := e.Error() + " " + e.Cause.Error(); strings.Contains(text, "do-not-log") {
				t.Fatalf("the URL is in %q", text)
			}
		})
	}
}

// The part of the row that exists without bills: what a platform answers is never unpacked, so a few kilobytes stay
// a few kilobytes.
func TestA57GzipBombIsNotUnpacked(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := z.Write(make([]byte, 16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil || bomb.Len() > channel.MaxBody {
		t.Fatal(err, bomb.Len())
	}
	asked := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Accept-Encoding")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	}))
	t.Cleanup(s.Close)
	got, err := call(t, t.Context(), s.Client(), s.URL)
	if err != nil || !bytes.Equal(got.Body, bomb.Bytes()) || asked != "identity" {
		t.Fatalf("%v, %d bytes for %d, asked for %q", err, len(got.Body), bomb.Len(), asked)
	}
}

// A host that cannot be reached was not asked, so the same request may go to the platform's other host; after a
// connection stood, nothing is known and nothing is sent again.
func TestCallGoesToTheBackupHostOnlyWhenNothingWasSent(t *testing.T) {
	t.Parallel()
	backup := make(chan string, 4)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, _ := io.ReadAll(r.Body)
		backup <- r.Host + " " + string(in)
		_, _ = io.WriteString(w, "pong")
	}))
	t.Cleanup(other.Close)
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(cut.Close)
	host := strings.TrimPrefix(other.URL, "http://")
	for _, tt := range []struct {
		name, first, code string
		asked             int
	}{
		{"no connection", "http://127.0.0.1:1/pay", "", 1},
		{"no connection to either", "http://127.0.0.1:1/pay", "unreachable", 0},
		{"connection cut", cut.URL + "/pay", "unreachable", 0},
	} {
		backups := []string{host}
		if tt.code == "unreachable" && tt.first != cut.URL+"/pay" {
			backups = []string{"127.0.0.1:1"}
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tt.first, strings.NewReader("ping"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = channel.Env{HTTP: &http.Client{}}.Call("open", req, backups...)
		code := ""
		var e *channel.Error
		if errors.As(err, &e) {
			code = e.Code
		}
		if code != tt.code || len(backup) != tt.asked {
			t.Errorf("%s: %q, the backup was asked %d times", tt.name, code, len(backup))
		}
		for range tt.asked {
			if got := <-backup; got != host+" ping" {
				t.Errorf("%s: the backup got %q", tt.name, got)
			}
		}
	}
}

func TestCallNotesThePlatformsNumber(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-Id", r.URL.Query().Get("n"))
	}))
	t.Cleanup(srv.Close)
	long := strings.Repeat("x", 65)
	for sent, want := range map[string]string{"08F5B8C2-0": "08F5B8C2-0", "": "", long: "", long[:64]: long[:64]} {
		var noted channel.Trace
		if _, e := call(t, channel.WithTrace(t.Context(), &noted), srv.Client(), srv.URL+"/?n="+sent); e != nil || noted.RequestID != want {
			t.Errorf("%.12q: noted %.12q, %v", sent, noted.RequestID, e)
		}
	}
	if _, e := call(t, t.Context(), srv.Client(), srv.URL+"/?n=1"); e != nil {
		t.Errorf("a call that nobody notes: %v", e)
	}
}
