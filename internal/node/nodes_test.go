package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/config"
	"piaohao/internal/freeport"
	"piaohao/internal/secret"
	"piaohao/internal/store"
	"piaohao/internal/store/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	storetest.Stop()
	os.Exit(code)
}

// settingsFor are those of a whole node in test mode on a database, "" = SQLite in its data folder.
func settingsFor(t *testing.T, database string) config.Config {
	t.Helper()
	env := map[string]string{
		"DATA_DIR": t.TempDir(), "LOG_DIR": "off", "DATABASE_URL": database, "DEMO_ADDR": "off",
		"LISTEN_ADDR": freeport.Addr(t), "SIM_ADDR": freeport.Addr(t),
	}
	if database != "" {
		env["ALLOW_UNSAFE_DATABASE"] = "1" // the cluster of tests is thrown away
	}
	c, err := config.Load(config.Source{Env: env}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// running runs a node until stop, which returns how long its end took.
func running(t *testing.T, c config.Config) (stop func() time.Duration) {
	t.Helper()
	n, err := New(t.Context(), c, Outside{Logs: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(n.Run(ctx), n.Close()) }()
	stop = sync.OnceValue(func() time.Duration {
		begin := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		return time.Since(begin)
	})
	t.Cleanup(func() { stop() })
	return stop
}

// Nothing but DATABASE_URL makes two whole nodes of one, and each drains in time while a live page is connected.
func TestTwoNodesOnOneDatabase(t *testing.T) {
	t.Parallel()
	dsn := storetest.Empty(t)
	first, second := settingsFor(t, dsn), settingsFor(t, dsn)
	second.SimAddr, second.SimURL = config.Off, first.SimURL // one simulator for both
	stops := []func() time.Duration{running(t, first), running(t, second)}
	keys, err := loadTestKeys(first.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []config.Config{first, second} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.PublicURL+"/v1/payments",
			strings.NewReader(`{"order_no":"one","amount":100,"subject":"tea","method":"wechat"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+keys.Default)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		var made struct {
			CashierURL string `json:"cashier_url"`
		}
		if err := json.Unmarshal(body, &made); err != nil {
			t.Fatal(err)
		}
		live, err := http.Get(c.PublicURL + "/payment/events/" + made.CashierURL[strings.LastIndex(made.CashierURL, "/")+1:])
		if err != nil || live.StatusCode != http.StatusOK {
			t.Fatalf("no live page: %v", err)
		}
		t.Cleanup(func() { _ = live.Body.Close() })
		if want := map[string]int{first.PublicURL: 201, second.PublicURL: 200}[c.PublicURL]; resp.StatusCode != want {
			t.Errorf("%d %s, want %d: the second node finds what the first one made", resp.StatusCode, body, want)
		}
	}
	for i, stop := range stops {
		took := stop()
		t.Logf("node %d drained in %s", i, took)
		if took > drainTime+time.Second {
			t.Errorf("node %d drained in %s", i, took)
		}
	}
}

func TestUnsafeDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	c := settingsFor(t, storetest.Empty(t))
	c.UnsafeDatabase = false
	if _, err := New(t.Context(), c, Outside{Logs: io.Discard}); !errors.Is(err, store.ErrUnsafe) || !strings.Contains(err.Error(), "ALLOW_UNSAFE_DATABASE=1") {
		t.Errorf("%v", err)
	}
}

// The second process on one SQLite file is refused, and told why and what to do.
func TestSecondProcessOnSQLite(t *testing.T) {
	t.Parallel()
	c := settingsFor(t, "")
	running(t, c)
	again := settingsFor(t, "")
	again.Database = c.Database
	if _, err := New(t.Context(), again, Outside{Logs: io.Discard}); !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("start: %v", err)
	}
	if err := Migrate(t.Context(), again, true, io.Discard); !errors.Is(err, store.ErrInUse) {
		t.Errorf("migrate: %v", err)
	}
	to := settingsFor(t, storetest.Empty(t))
	if err := CopyDatabase(t.Context(), to, filepath.Join(c.DataDir, "test.db"), quiet, io.Discard); !errors.Is(err, store.ErrInUse) {
		t.Errorf("db copy: %v", err)
	}
}

func quiet(string, int64, int64) {}

func TestMigrateVerb(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"sqlite": "", "postgres": storetest.Empty(t)} {
		c := settingsFor(t, database)
		var out strings.Builder
		for _, step := range []struct {
			check bool
			err   error
			says  string
		}{
			{true, ErrPending, "Pending    00001_first.sql"},
			{false, nil, "Pending    00001_first.sql"},
			{true, nil, "nothing to do"},
			{false, nil, "nothing to do"},
		} {
			out.Reset()
			err := Migrate(t.Context(), c, step.check, &out)
			if !errors.Is(err, step.err) || !strings.Contains(out.String(), step.says) || !strings.Contains(out.String(), name) {
				t.Errorf("%s %+v: %v\n%s", name, step, err, &out)
			}
		}
	}
}

// A gateway starts on the copy and serves what the source had.
func TestNodeStartsOnTheCopy(t *testing.T) {
	t.Parallel()
	from := settingsFor(t, "")
	stop := running(t, from)
	stop()
	to := settingsFor(t, storetest.Empty(t))
	to.DataDir = from.DataDir
	var out strings.Builder
	if err := CopyDatabase(t.Context(), to, "", quiet, &out); err != nil || !strings.Contains(out.String(), "Copied and compared") {
		t.Fatalf("%v\n%s", err, &out)
	}
	running(t, to)
	keys, err := loadTestKeys(from.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to.PublicURL+"/v1/payments?order_no=none", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+keys.Default)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("the copied key was answered %d", resp.StatusCode)
	}
	for name, c := range map[string]config.Config{"no DATABASE_URL": from, "no source": to} {
		file := map[string]string{"no source": filepath.Join(t.TempDir(), "none.db")}[name]
		if err := CopyDatabase(t.Context(), c, file, quiet, io.Discard); err == nil {
			t.Errorf("%s: copied", name)
		}
	}
}

// A database cannot be named in a way that shows its password.
func TestDatabaseErrorsShowNoPassword(t *testing.T) {
	t.Parallel()
	c := settingsFor(t, "")
	c.Database = secret.New("postgres://user:canary@127.0.0.1:1/none?connect_timeout=1")
	for name, err := range map[string]error{
		"migrate": Migrate(t.Context(), c, true, io.Discard),
		"start":   failure(New(t.Context(), c, Outside{Logs: io.Discard})),
		"copy":    CopyDatabase(t.Context(), c, c.EnvFile, quiet, io.Discard),
	} {
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func failure(_ *Node, err error) error { return err }
