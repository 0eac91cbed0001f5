package ops

import (
	"net"
	"syscall"
)

// peer is the user at the other end of a connection. ok is false when the system does not say.
func peer(c net.Conn) (uid int, ok bool) {
	unix, isUnix := c.(*net.UnixConn)
	if !isUnix {
		return 0, false
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *syscall.Ucred
	controlled := raw.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if controlled != nil || err != nil {
		return 0, false
	}
	return int(cred.Uid), true
}
