package store

import (
	"context"
	"errors"
	"fmt"
	"net"
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
)

// cluster is a throw-away PostgreSQL of this test binary: fsync off, on a unix socket and a loopback port.
type cluster struct {
	dir    string
	port   int
	server *exec.Cmd
}

var (
	theCluster *cluster
	startOnce  = sync.OnceValues(startCluster)
	databases  atomic.Int64
)

func TestMain(m *testing.M) {
	code := m.Run()
	if theCluster != nil {
		theCluster.stop()
	}
	os.Exit(code)
}

func (c *cluster) dsn(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", c.port, database)
}

// newPostgresDatabase makes an empty database with all tables, as a copy of a template, and returns its address.
func newPostgresDatabase(t testing.TB) string {
	t.Helper()
	c, err := startOnce()
	must(t, err)
	name := fmt.Sprintf("test_%d", databases.Add(1))
	must(t, c.admin("CREATE DATABASE "+name+" TEMPLATE tables STRATEGY file_copy"))
	return c.dsn(name)
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
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	as, err := notRoot(dir)
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, port: port}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", data)
	initdb.Dir, initdb.SysProcAttr = dir, as
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	c.server = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=300",
		"-c", "log_min_messages=panic", "-c", "shared_buffers=64MB")
	c.server.Dir, c.server.SysProcAttr = dir, as
	if err := c.server.Start(); err != nil {
		return nil, err
	}
	theCluster = c
	if err := c.ready(); err != nil {
		return nil, err
	}
	return c, c.makeTemplate()
}

// ready waits until the server answers.
func (c *cluster) ready() error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.admin("SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("PostgreSQL did not answer: %w", err)
		case <-tick.C:
		}
	}
}

func (c *cluster) makeTemplate() error {
	if err := c.admin("CREATE DATABASE tables"); err != nil {
		return err
	}
	db, err := Open(context.Background(), Options{DSN: c.dsn("tables"), Mode: "test", Now: time.Now, AllowUnsafe: true})
	if err != nil {
		return err
	}
	return db.Close()
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

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
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
