package ops_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/id"
	"piaohao/internal/ops"
	"piaohao/internal/pay"
	"piaohao/internal/store"
)

// world is a gateway whose operators' socket is served in a folder.
type world struct {
	t   *testing.T
	dir string
	g   *gateway.Gateway
	log *bytes.Buffer // read it after stop
	// stop ends the server and waits for it.
	stop func()
}

func newWorld(t *testing.T, dir string) *world {
	t.Helper()
	w := &world{t: t, dir: dir, log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	db, err := store.Open(t.Context(), store.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "test.db"), Mode: "test", Now: time.Now, Log: log})
	w.must(err)
	t.Cleanup(func() { _ = db.Close() })
	w.g = gateway.New(gateway.Config{
		DB: db, PublicURL: "https://pay.example", Now: time.Now, NewID: id.New(time.Now).ID, NewToken: id.Token, Log: log,
	})
	for _, s := range []string{"default", "demo"} {
		w.must(db.UpsertShop(t.Context(), store.Shop{ID: s, Name: s}))
	}
	_, err = db.RecordIncident(t.Context(), pay.Incident{
		ID: "inc_1", Account: "acc", Digest: "d", Kind: pay.IncidentAmount, At: time.Now(), Detail: "asked for 2, was told 1", Raw: []byte("raw-canary"),
	})
	w.must(err)
	l, err := ops.Listen(dir)
	w.must(err)
	server, done := ops.NewServer(w.g, log), make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	w.stop = func() {
		_ = server.Close()
		<-done
	}
	t.Cleanup(w.stop)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// raw sends one request to the socket past the client.
func (w *world) raw(method, path, body string, header ...string) (int, string) {
	w.t.Helper()
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", ops.SocketPath(w.dir))
	}}}
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://x"+path, strings.NewReader(body))
	w.must(err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	w.must(err)
	defer func() { _ = resp.Body.Close() }()
	defer c.CloseIdleConnections()
	var out bytes.Buffer
	_, err = out.ReadFrom(resp.Body)
	w.must(err)
	return resp.StatusCode, out.String()
}

func TestDeskOverTheSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir())
	ctx := t.Context()
	desk, err := ops.Dial(ctx, w.dir)
	w.must(err)
	r, err := w.g.Create(ctx, gateway.CreateInput{Shop: "default", OrderNo: "o-1", Amount: 5, Subject: "茶"})
	w.must(err)
	all, err := desk.Timelines(ctx, "o-1")
	if err != nil || len(all) != 1 || all[0].Payment.ID != r.View.ID || all[0].Payment.Subject != "茶" || len(all[0].Lines) != 2 {
		t.Errorf("%+v %v", all, err)
	}
	var e *gateway.Error
	if _, err := desk.Timelines(ctx, "a&b=c"); !errors.As(err, &e) || e.Code != gateway.CodeNotFound {
		t.Error(err)
	}
	trouble, err := desk.Incidents(ctx, 5)
	if err != nil || len(trouble) != 1 || trouble[0].IncidentID != "inc_1" {
		t.Errorf("%+v %v", trouble, err)
	}
	done, err := desk.Operate(ctx, gateway.Act{Do: gateway.ActClose, Number: "o-1"})
	if err != nil || done.Payment.Status != "closed" || !strings.Contains(done.Lines[len(done.Lines)-1].Detail, ops.User(os.Getuid())) {
		t.Errorf("%+v %v", done, err)
	}
	k, err := desk.CreateKey(ctx, "default", "till")
	w.must(err)
	if want := ops.User(os.Getuid()); k.CreatedBy != want || !strings.HasPrefix(k.Secret, "sk_test_") {
		t.Errorf("%+v", k)
	}
	if shop, err := w.g.Authenticate(ctx, k.Secret); err != nil || shop != "default" {
		t.Error(shop, err)
	}
	if _, err := desk.CreateKey(ctx, "nobody", ""); !errors.As(err, &e) || e.Param != "shop" || !strings.Contains(e.Public, "default, demo") {
		t.Error(err)
	}
	revoked, err := desk.RevokeKey(ctx, k.ID)
	if err != nil || revoked.RevokedAt == "" {
		t.Errorf("%+v %v", revoked, err)
	}
	if _, err := w.g.Authenticate(ctx, k.Secret); !errors.As(err, &e) || e.Code != gateway.CodeUnauthorized {
		t.Errorf("a revoked key opens: %v", err)
	}
	if _, err := desk.RevokeKey(ctx, "../keys"); !errors.As(err, &e) || e.Code != gateway.CodeNotFound {
		t.Error(err)
	}
	keys, err := desk.Keys(ctx)
	if err != nil || len(keys) != 1 || keys[0].Hint != k.Hint {
		t.Errorf("%+v %v", keys, err)
	}
	w.stop()
	log := w.log.String()
	for _, want := range []string{"operator acted", "API key created", "API key revoked", k.ID, `by="uid `} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in the log", want)
		}
	}
	if strings.Contains(log, k.Secret) {
		t.Error("A100 the log holds the key")
	}
	if _, err := desk.Keys(ctx); err == nil {
		t.Error("a server that ended answered")
	}
}

func TestSocketIsForItsUserAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir())
	info, err := os.Lstat(ops.SocketPath(w.dir))
	w.must(err)
	if info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	w.stop()
	if _, err := os.Lstat(ops.SocketPath(w.dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the socket stays behind")
	}
}

func TestWhatTheSocketRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir())
	for _, row := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
	}{
		{"another method", http.MethodPost, "/payments?number=x", "", nil, http.StatusMethodNotAllowed},
		{"reading by a method that changes", http.MethodDelete, "/keys", "", nil, http.StatusMethodNotAllowed},
		{"an unknown path", http.MethodGet, "/", "", nil, http.StatusNotFound},
		{"no number", http.MethodGet, "/payments", "", nil, http.StatusNotFound},
		{"a limit that is none", http.MethodGet, "/incidents?limit=x", "", nil, http.StatusBadRequest},
		{"no JSON", http.MethodPost, "/keys", "shop=default", nil, http.StatusBadRequest},
		{"a huge body", http.MethodPost, "/keys", `{"shop":"default","pad":"` + strings.Repeat("x", 5000) + `"}`, nil, http.StatusBadRequest},
		{"A91 a page of another site, through a forwarder", http.MethodPost, "/keys", `{"shop":"default"}`, []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		{"A91 any browser", http.MethodGet, "/keys", "", []string{"Sec-Fetch-Site", "same-origin"}, http.StatusForbidden},
		{"nothing wrong", http.MethodGet, "/keys", "", nil, http.StatusOK},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, body := w.raw(row.method, row.path, row.body, row.header...)
			if status != row.status || strings.Contains(body, "raw-canary") {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	keys, err := w.g.Keys(t.Context())
	if err != nil || len(keys) != 0 {
		t.Errorf("%+v %v", keys, err)
	}
}

// A connection that is not the socket's says nothing of who is at its other end: it is refused, whoever mounts the handler.
func TestA91NobodyAsksOverTCP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir())
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	w.must(err)
	server := ops.NewServer(w.g, slog.New(slog.DiscardHandler))
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/keys", http.NoBody)
	w.must(err)
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: ops.SocketPath(dir), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false) // as after a kill
	_ = old.Close()
	if _, err := ops.Dial(t.Context(), dir); !errors.Is(err, ops.ErrNobody) {
		t.Errorf("a stale socket: %v", err)
	}
	w := newWorld(t, dir)
	desk, err := ops.Dial(t.Context(), dir)
	w.must(err)
	_, err = desk.Keys(t.Context())
	w.must(err)
}

func TestSecondServerLeavesTheFirstAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir())
	if l, err := ops.Listen(w.dir); !errors.Is(err, ops.ErrAnswered) {
		t.Fatal(l, err)
	}
	desk, err := ops.Dial(t.Context(), w.dir)
	w.must(err)
	_, err = desk.Keys(t.Context())
	w.must(err)
}

// One server ends while the next one starts: what stands there by then is the next one's.
func TestClosingTwiceTakesNoLaterSocketAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := ops.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	second, err := ops.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	_ = first.Close()
	if _, err := os.Lstat(ops.SocketPath(dir)); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoSocketStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(ops.SocketPath(dir), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ops.Listen(dir); err == nil {
		t.Error("it was taken for a socket")
	}
	if text, err := os.ReadFile(ops.SocketPath(dir)); err != nil || string(text) != "precious" {
		t.Errorf("%q %v", text, err)
	}
}

func TestNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{
		"an empty folder": dir, "no folder": filepath.Join(dir, "none"), "a file": file,
		"no folder, far away": filepath.Join(dir, strings.Repeat("long/", 40)),
	} {
		if _, err := ops.Dial(t.Context(), dir); !errors.Is(err, ops.ErrNobody) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Longer than the address of a socket can be: Linux names it through its opened folder.
func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, dir)
	desk, err := ops.Dial(t.Context(), dir)
	w.must(err)
	_, err = desk.Keys(t.Context())
	w.must(err)
	w.stop()
	if _, err := os.Lstat(ops.SocketPath(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the socket stays behind")
	}
}

// What answers at the socket is another program.
func TestStrangeAnswers(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{"no": http.StatusNotFound, "{}": http.StatusInternalServerError, "<html>": http.StatusOK} {
		dir := t.TempDir()
		l, err := ops.Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body)
		})}
		go func() { _ = server.Serve(l) }()
		desk, err := ops.Dial(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := desk.Keys(t.Context()); err == nil {
			t.Errorf("%q: %v", body, keys)
		}
		_ = server.Close()
	}
}

func TestNewKeyIsOnALineOfItsOwn(t *testing.T) {
	t.Parallel()
	k := gateway.NewKey{Key: gateway.Key{ID: "key_1", Shop: "default"}, Secret: "sk_test_" + strings.ToLower(rand.Text())}
	var out bytes.Buffer
	if err := ops.NewKey(&out, k); err != nil || !strings.Contains(out.String(), "\n"+k.Secret+"\n") {
		t.Errorf("%q %v", out.String(), err)
	}
	out.Reset()
	if err := ops.Keys(&out, []gateway.Key{k.Key, {ID: "key_2", RevokedAt: "2026-11-24T08:00:00.000Z"}}, time.UTC); err != nil ||
		!strings.Contains(out.String(), "revoked 2026-11-24 08:00:00.000") || strings.Contains(out.String(), k.Secret) {
		t.Errorf("%q %v", out.String(), err)
	}
	text, err := json.Marshal(k.Key)
	if err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("%s %v", text, err)
	}
}
