package storetest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Wire is a way to a PostgreSQL that breaks when it is told to.
type Wire struct {
	DSN string // of the same database, over this wire

	mu     sync.Mutex
	marker []byte
	cut    cut
	cuts   int
}

// cut is how the wire breaks.
type cut struct {
	after bool   // the server has answered
	last  []byte // what is heard instead of its answer
}

// NewWire lays a wire to the database at dsn, until the test ends.
func NewWire(t testing.TB, dsn string) *Wire {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	u.Host = l.Addr().String()
	w := &Wire{DSN: u.String()}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(client, server)
		}
	}()
	return w
}

// Cut breaks the next connection on which marker, a value of a write, is sent: before the server sees it, or after the
// server has answered and before anybody hears of it.
func (w *Wire) Cut(marker string, after bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marker, w.cut = []byte(marker), cut{after: after}
}

// CutSaying is Cut with the last words of a server, or of something between, which says that it goes.
func (w *Wire) CutSaying(marker string, after bool, severity, code string) error {
	words := pgproto3.ErrorResponse{Severity: severity, SeverityUnlocalized: severity, Code: code, Message: "last words"}
	last, err := words.Encode(nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marker, w.cut = []byte(marker), cut{after: after, last: last}
	return err
}

// Cuts is how many connections broke.
func (w *Wire) Cuts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cuts
}

// struck reports whether text carries the marker, once.
func (w *Wire) struck(text []byte) (c cut, struck bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.marker == nil || !bytes.Contains(text, w.marker) {
		return cut{}, false
	}
	w.marker = nil
	w.cuts++
	return w.cut, true
}

const wireBuffer = 1 << 20 // a batch is sent in one piece

func (w *Wire) carry(client net.Conn, address string) {
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		_ = client.Close()
		return
	}
	hang := func() { _ = client.Close(); _ = server.Close() }
	defer hang()
	var silent sync.Mutex
	var silenced *cut
	go func() {
		defer hang()
		buffer := make([]byte, wireBuffer)
		for {
			n, err := server.Read(buffer)
			silent.Lock()
			stop := silenced
			silent.Unlock()
			if err == nil && stop != nil {
				_, _ = client.Write(stop.last)
			}
			if err != nil || stop != nil {
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, wireBuffer)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if cut, struck := w.struck(buffer[:n]); struck {
			if !cut.after {
				_, _ = client.Write(cut.last)
				return
			}
			silent.Lock()
			silenced = &cut
			silent.Unlock()
			_, _ = server.Write(buffer[:n])
			_, _ = io.Copy(io.Discard, client) // until the other goroutine has hung up
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}
