package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"piaohao/internal/freeport"
)

// Pair is a primary that commits nothing before its one standby has it on disk, and that standby: real servers with fsync
// on, for one test.
type Pair struct {
	Primary, Standby *Server
}

// Server is one PostgreSQL of a Pair.
type Server struct {
	Port string

	bin, dir string
	as       *syscall.SysProcAttr
	cmd      *exec.Cmd
}

// NewPair starts both, with an empty database named shop.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	bin, err := newestPostgres()
	if err != nil {
		t.Fatal(err)
	}
	p := &Pair{Primary: newServer(t, bin), Standby: newServer(t, bin)}
	p.Primary.run(t, "initdb", "-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", p.Primary.data())
	p.Primary.Start(t)
	p.Primary.await(t, "postgres")
	p.Primary.run(t, "pg_basebackup", "-h", "127.0.0.1", "-p", p.Primary.Port, "-U", "postgres", "-D", p.Standby.data(), "-R", "-c", "fast", "--no-sync")
	p.Standby.Start(t)
	p.Standby.await(t, "postgres")
	p.Primary.Exec(t, "postgres", `ALTER SYSTEM SET synchronous_standby_names = '*'`)
	p.Primary.Exec(t, "postgres", `SELECT pg_reload_conf()`)
	p.Primary.Exec(t, "postgres", `CREATE DATABASE shop`)
	return p
}

// DSN names both servers; the one that takes writes is used.
func (p *Pair) DSN() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%s,127.0.0.1:%s/shop?sslmode=disable&target_session_attrs=read-write", p.Primary.Port, p.Standby.Port)
}

func newServer(t testing.TB, bin string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "piaohao-pair-") // not t.TempDir: the user postgres has to reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port, err := freeport.New()
	if err != nil {
		t.Fatal(err)
	}
	as, err := notRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &Server{Port: port, bin: bin, dir: dir, as: as}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...) //nolint:gosec,noctx // our own paths; it ends with the test
	c.Dir, c.SysProcAttr = s.dir, s.as
	return c
}

func (s *Server) run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := s.command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// Start starts the server on its data, until the test ends.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	c := s.command("postgres", "-D", s.data(), "-k", s.dir, "-p", s.Port, "-c", "listen_addresses=127.0.0.1",
		"-c", "log_min_messages=panic", "-c", "shared_buffers=32MB", "-c", "wal_receiver_status_interval=1")
	s.cmd = c
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(c, syscall.SIGQUIT) })
}

// Kill ends the server and its children at once, as on a machine whose power fails: nobody is told.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP) // nobody answers while the others die
	for _, pid := range s.children(t) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
	s.end(s.cmd, syscall.SIGKILL)
}

func (s *Server) end(c *exec.Cmd, signal os.Signal) {
	if c.ProcessState == nil {
		_ = c.Process.Signal(signal)
		_ = c.Wait()
	}
}

// Pause makes the server stand still, with all its children, and Resume lets it go on.
func (s *Server) Pause(t testing.TB) { s.signal(t, syscall.SIGSTOP) }

// Resume ends a pause.
func (s *Server) Resume(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	for _, pid := range append(s.children(t), s.cmd.Process.Pid) {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
}

func (s *Server) children(t testing.TB) (pids []int) {
	t.Helper()
	pid := strconv.Itoa(s.cmd.Process.Pid)
	text, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		t.Error(err)
	}
	for _, child := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			t.Error(err)
		}
		pids = append(pids, n)
	}
	return pids
}

// Promote makes a standby take writes.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.run(t, "pg_ctl", "promote", "-D", s.data(), "-w")
}

// Exec runs one statement.
func (s *Server) Exec(t testing.TB, database, sql string) {
	t.Helper()
	if err := s.exec(database, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (s *Server) exec(database, sql string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.DSN(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// DSN is the address of a database on this server.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%s/%s?sslmode=disable", s.Port, database)
}

// await waits until the server answers.
func (s *Server) await(t testing.TB, database string) {
	t.Helper()
	if err := answers(func() error { return s.exec(database, "SELECT 1") }); err != nil {
		t.Fatal(err)
	}
}

// answers repeats ask until it succeeds.
func answers(ask func() error) error {
	deadline := time.NewTimer(readyWithin)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
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
