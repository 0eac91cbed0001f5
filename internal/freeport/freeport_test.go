package freeport

import (
	"net"
	"strconv"
	"testing"
)

func TestPorts(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 200 {
		port := Port(t)
		if n, err := strconv.Atoi(port); err != nil || n < first || n >= first+count || seen[port] {
			t.Fatalf("port %q after %d others", port, len(seen))
		}
		seen[port] = true
	}
	taken, err := net.Listen("tcp", Addr(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, held, _ := net.SplitHostPort(taken.Addr().String())
	given.Add(count - 2) // once around: the next one would be the port that is held
	for range 3 {
		if port := Port(t); port == held {
			t.Errorf("%s was given although it is taken", port)
		}
	}
}
