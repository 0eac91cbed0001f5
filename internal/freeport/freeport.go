// Package freeport finds loopback ports for programs that are started in a moment.
//
// A port that the kernel chose ("127.0.0.1:0") comes from the range that it also gives to outgoing connections, so that
// any of these can take it between the finding and the start, or while the program is down. Ours lie below that range
// (Linux: 32768, ip_local_port_range), and no two of a process are the same.
package freeport

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync/atomic"
)

const (
	first = 15_000
	count = 15_000
	slot  = 50 // ports per process id, so that neighbours, as the packages of one test run are, do not meet
)

var given atomic.Int64

// New is a port of 127.0.0.1 that nobody listens on.
func New() (string, error) {
	for range count {
		n := int(given.Add(1)) - 1 + os.Getpid()*slot
		port := strconv.Itoa(first + n%count)
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return "", errors.New("freeport: every port is taken")
}

// Fataler is the part of *testing.T that Port and Addr need.
type Fataler interface {
	Helper()
	Fatal(args ...any)
}

// Port is New for a test.
func Port(t Fataler) string {
	t.Helper()
	port, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Addr is 127.0.0.1 and a Port.
func Addr(t Fataler) string {
	t.Helper()
	return "127.0.0.1:" + Port(t)
}
