// Package storetest gives tests a real PostgreSQL: a throw-away cluster of the test binary, and a way to it that can be cut.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"piaohao/internal/freeport"
)

// cluster is the PostgreSQL of this test binary, on a unix socket and a loopback port. fsync and full_page_writes are off:
// it is thrown away, and whoever opens a database of it has to allow that.
type cluster struct {
	dir    string
	port   string
	server *exec.Cmd
}

var (
	theCluster *cluster
	startOnce  = sync.OnceValues(startCluster)
	databases  atomic.Int64
)

// readyWithin is how long a cluster may take to answer on a busy machine.
const readyWithin = 30 * time.Second

// Stop ends the cluster, if one was started. TestMain calls it.
func Stop() {
	if theCluster != nil {
		theCluster.stop()
	}
}

// Empty makes a database without any table and returns its address.
func Empty(t testing.TB) string { return create(t, "") }

// CopyOf makes a copy of a database of this cluster, which nobody may have open, and returns its address.
func CopyOf(t testing.TB, template string) string {
	return create(t, " TEMPLATE "+template+" STRATEGY file_copy")
}

// Named makes an empty database of that name, for CopyOf, and returns its address.
func Named(name string) (dsn string, err error) {
	c, err := startOnce()
	if err != nil {
		return "", err
	}
	return c.dsn(name), c.admin("CREATE DATABASE " + name)
}

func create(t testing.TB, options string) string {
	t.Helper()
	c, err := startOnce()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := c.admin("CREATE DATABASE " + name + options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.admin("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return c.dsn(name)
}

func (c *cluster) dsn(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%s/%s?sslmode=disable", c.port, database)
}

func (c *cluster) admin(sql string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.dsn("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

func startCluster() (*cluster, error) {
	bin, err := newestPostgres()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "piaohao-pg-")
	if err != nil {
		return nil, err
	}
	port, err := freeport.New()
	if err != nil {
		return nil, err
	}
	as, err := notRoot(dir)
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, port: port}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", data) //nolint:gosec,noctx // our own paths; it lives as long as the test binary
	initdb.Dir, initdb.SysProcAttr = dir, as
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	c.server = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-p", port, //nolint:gosec,noctx // as above
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=300",
		"-c", "log_min_messages=panic", "-c", "shared_buffers=64MB")
	c.server.Dir, c.server.SysProcAttr = dir, as
	if err := c.server.Start(); err != nil {
		return nil, err
	}
	theCluster = c
	return c, answers(func() error { return c.admin("SELECT 1") })
}

func (c *cluster) stop() {
	_ = c.server.Process.Signal(syscall.SIGQUIT) // at once; the data is thrown away
	_ = c.server.Wait()
	_ = os.RemoveAll(c.dir)
}

func newestPostgres() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return "", errors.New("these tests need PostgreSQL's server (initdb, postgres) under /usr/lib/postgresql")
	}
	return found[len(found)-1], nil
}

// notRoot gives dir to the user postgres when the tests run as root, whom PostgreSQL refuses.
func notRoot(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{
		Pdeathsig:  syscall.SIGQUIT,
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
	}, os.Chown(dir, int(uid), int(gid))
}
