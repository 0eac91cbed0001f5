package node

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"piaohao/internal/config"
	"piaohao/internal/gateway"
	"piaohao/internal/id"
	"piaohao/internal/ops"
	"piaohao/internal/secret"
	"piaohao/internal/store"
)

// house is a data folder, with a database in it.
type house struct {
	t   *testing.T
	dir string
	c   config.Config
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	h.c = config.Config{DataDir: h.dir, Database: secret.New("sqlite:" + filepath.Join(h.dir, "test.db"))}
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// open is the database as a server has it.
func (h *house) open() *store.DB {
	h.t.Helper()
	db, err := store.Open(h.t.Context(), store.Options{
		DSN: h.c.Database.Reveal(), Mode: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	h.must(err)
	h.must(db.UpsertShop(h.t.Context(), store.Shop{ID: "default", Name: "d"}))
	return db
}

// serve answers at the socket over db, as listenOps does, until the test ends.
func (h *house) serve(db *store.DB) *Node {
	h.t.Helper()
	n := &Node{config: h.c, log: slog.New(slog.DiscardHandler), now: time.Now, db: db, gateway: gateway.New(gateway.Config{
		DB: db, Now: time.Now, NewID: id.New(time.Now).ID, NewToken: id.Token, Log: slog.New(slog.DiscardHandler),
	})}
	n.listenOps()
	for _, s := range n.servers {
		go func() { _ = s.http.Serve(s.listener) }()
		h.t.Cleanup(func() { _ = s.http.Close() })
	}
	return n
}

func (h *house) load() (config.Config, error) { return h.c, nil }

var errSettings = errors.New("LISTEN_ADDR: is wrong")

func broken() (config.Config, error) { return config.Config{}, errSettings }

// A running server has its own settings: those of the caller need not even be readable.
func TestOperateAsksTheServerFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	db := h.open()
	defer func() { _ = db.Close() }()
	if n := h.serve(db); len(n.servers) != 1 {
		t.Fatal("no socket")
	}
	for name, try := range map[string]struct {
		dir  string
		load func() (config.Config, error)
	}{
		"DATA_DIR alone":                 {h.dir, broken},
		"DATA_DIR from the file":         {"", h.load},
		"the file is otherwise at fault": {"", func() (config.Config, error) { return config.Config{DataDir: h.dir}, errSettings }},
	} {
		desk, done, err := Operate(t.Context(), try.dir, try.load)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, isClient := desk.(*ops.Client); !isClient {
			t.Errorf("%s: asked %T", name, desk)
		}
		_, err = desk.CreateKey(t.Context(), "default", "")
		h.must(err)
		h.must(done())
	}
}

func TestOperateOpensTheDatabaseWithoutAServer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.must(h.open().Close())
	for _, dir := range []string{h.dir, ""} {
		desk, done, err := Operate(t.Context(), dir, h.load)
		h.must(err)
		k, err := desk.CreateKey(t.Context(), "default", "till")
		if err != nil || k.CreatedBy != ops.User(os.Getuid()) || !strings.HasPrefix(k.Secret, "sk_test_") {
			t.Errorf("%+v %v", k, err)
		}
		h.must(done())
	}
	h.must(h.open().Close()) // it was let go
}

func TestOperateRefusals(t *testing.T) {
	t.Parallel()
	locked := newHouse(t)
	db := locked.open()
	defer func() { _ = db.Close() }()
	empty, live := newHouse(t), newHouse(t)
	live.must(live.open().Close())
	live.c.Live = true
	for _, row := range []struct {
		name string
		dir  string
		load func() (config.Config, error)
		want []string
	}{
		{"another process has it open and has no socket", locked.dir, locked.load, []string{"no server answers", "piaohao.sock", locked.dir}},
		{"there is no database", empty.dir, empty.load, []string{"start piaohao once", "DATA_DIR", empty.dir}},
		{"no server and no settings", empty.dir, broken, []string{empty.dir, "DATA_DIR", "LISTEN_ADDR"}},
		{"a test database in live mode", live.dir, live.load, []string{"test database", "live mode"}},
	} {
		desk, _, err := Operate(t.Context(), row.dir, row.load)
		if err == nil {
			t.Errorf("%s: %T", row.name, desk)
			continue
		}
		for _, want := range row.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in %v", row.name, want, err)
			}
		}
	}
	if entries, err := os.ReadDir(empty.dir); err != nil || len(entries) != 0 {
		t.Errorf("looking made %v %v", entries, err)
	}
}

// A second node on one folder, as with PostgreSQL, starts without the socket.
func TestSecondNodeStartsWithoutTheSocket(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	db := h.open()
	defer func() { _ = db.Close() }()
	h.serve(db)
	if second := h.serve(db); len(second.servers) != 0 {
		t.Error("two servers at one socket")
	}
	desk, done, err := Operate(t.Context(), h.dir, broken)
	h.must(err)
	_, err = desk.Keys(t.Context())
	h.must(err)
	h.must(done())
}

// free are addresses that nobody listens at.
func free(t *testing.T, n int) []string {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // all are held until each is known
		addrs[i] = l.Addr().String()
	}
	return addrs
}

// A whole node: keys made and revoked at its socket count at once at its API, and what its last second left in memory is
// stored before the database closes.
func TestNodeWithOperators(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	addr := free(t, 3)
	c, err := config.Load(config.Source{Env: map[string]string{
		"DATA_DIR": h.dir, "LOG_DIR": filepath.Join(h.dir, "logs"), "LISTEN_ADDR": addr[0], "SIM_ADDR": addr[1], "DEMO_ADDR": addr[2],
	}}, nil)
	h.must(err)
	n, err := New(t.Context(), c, Outside{Logs: io.Discard})
	h.must(err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(n.Run(ctx), n.Close()) }()

	ask := func(method, path, key string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, c.PublicURL+path, strings.NewReader(`{"a":1}`))
		h.must(err)
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(req)
		h.must(err)
		h.must(resp.Body.Close())
		return resp.StatusCode
	}
	desk, done, err := Operate(t.Context(), h.dir, broken)
	h.must(err)
	k, err := desk.CreateKey(t.Context(), "default", "")
	h.must(err)
	if status := ask(http.MethodGet, "/v1/payments/pay_none", k.Secret); status != http.StatusNotFound {
		t.Errorf("a new key: %d", status)
	}
	_, err = desk.RevokeKey(t.Context(), k.ID)
	h.must(err)
	if status := ask(http.MethodGet, "/v1/payments/pay_none", k.Secret); status != http.StatusUnauthorized {
		t.Errorf("a revoked key: %d", status)
	}
	for _, path := range []string{"/keys", "/incidents", "/payments?number=x"} {
		if status := ask(http.MethodGet, path, ""); status != http.StatusNotFound {
			t.Errorf("A91 %s at the gateway's own address: %d", path, status)
		}
	}
	h.must(done())
	for _, p := range n.gateway.Platforms() {
		ask(http.MethodPost, p.NotifyPaths[0], "")
	}
	stop()
	h.must(<-ended)
	if _, err := os.Lstat(ops.SocketPath(h.dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the socket stays behind")
	}
	db := h.open()
	defer func() { _ = db.Close() }()
	rows, err := db.Refused(t.Context(), 10)
	h.must(err)
	if len(rows) == 0 {
		t.Error("the refused notices of the last second are lost")
	}
}
