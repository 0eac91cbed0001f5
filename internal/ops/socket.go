package ops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	socketName = "piaohao.sock"
	// maxPath is the longest path of a socket in bytes that every system takes: sun_path is 104 with its end (macOS,
	// unix(4); Linux has 108, unix(7)).
	maxPath  = 103
	dialTime = 2 * time.Second
)

// SocketPath is where the server of a data folder answers.
func SocketPath(dir string) string { return filepath.Join(dir, socketName) }

// Listen takes the socket of a data folder, for this user alone. One that nobody answers at, left by a process that was
// killed, is replaced. Errors: ErrAnswered, ErrTooLong, and the system's.
func Listen(dir string) (net.Listener, error) {
	path, done, err := reach(dir)
	if err != nil {
		return nil, err
	}
	l, err := listen(path)
	if err != nil {
		return nil, errors.Join(err, done())
	}
	return &listener{Listener: l, closing: sync.OnceValue(func() error {
		removed := os.Remove(path)
		if errors.Is(removed, fs.ErrNotExist) {
			removed = nil
		}
		return errors.Join(removed, l.Close(), done())
	})}, nil
}

func listen(path string) (*net.UnixListener, error) {
	conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(context.Background(), "unix", path)
	switch {
	case err == nil:
		return nil, errors.Join(ErrAnswered, conn.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := removeStale(path); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the socket %s cannot be used: %w", socketName, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // listener does, before its folder is closed
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes a socket and nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		err = fmt.Errorf("%s is no socket: move it away", socketName)
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// listener takes its socket away when it ends.
type listener struct {
	net.Listener
	closing func() error // once: a later server's socket may stand there by the second time
}

// Close ends the listener.
func (l *listener) Close() error { return l.closing() }

// reach returns a path by which the socket can be named in at most maxPath bytes. On Linux a long one is named through its
// opened folder; done closes that again.
func reach(dir string) (path string, done func() error, err error) {
	path = SocketPath(dir)
	if len(path) <= maxPath {
		return path, func() error { return nil }, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, ErrTooLong
	}
	folder, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join("/proc/self/fd", strconv.FormatUint(uint64(folder.Fd()), 10), socketName)
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return "", nil, errors.Join(ErrTooLong, folder.Close())
	}
	return path, folder.Close, nil
}

// dial connects to the server of a data folder. ErrNobody: none answers.
func dial(ctx context.Context, dir string) (net.Conn, error) {
	path, done, err := reach(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNobody
	}
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTDIR) {
		err = ErrNobody
	}
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("the server belongs to another user: run this as the user that it runs as (%w)", err)
	}
	return conn, errors.Join(err, done())
}
