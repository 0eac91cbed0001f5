//go:build !linux

package ops

import (
	"net"
	"os"
)

// peer is the user at the other end of a connection: the socket's mode lets only this process's user in, and the standard
// library does not ask further here.
func peer(c net.Conn) (uid int, ok bool) {
	_, isUnix := c.(*net.UnixConn)
	return os.Getuid(), isUnix
}
