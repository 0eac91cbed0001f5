package store

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dieAfter ends connections whose peer has not acknowledged anything for d (tcp(7), TCP_USER_TIMEOUT). Without it a sent
// commit to a vanished machine would wait a quarter of an hour.
func dieAfter(d time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) (err error) {
		if network == "unix" {
			return nil
		}
		control := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
		})
		if control != nil {
			return control
		}
		return err
	}
}
