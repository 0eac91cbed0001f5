// Package simkit is what the simulated platforms share: two clocks, books that survive a restart, keys, due notices with
// a platform's retry table, faults on demand, and the shell of the payer's wallet pages.
//
// It knows neither platform and nothing of the gateway: the simulators are the other hand, and must not mirror it.
// Nothing here starts a goroutine or reads the wall clock: time, randomness and the HTTP client are handed in, and what
// acts later is Outbox.Step.
package simkit

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options is what a Kit is built from.
type Options struct {
	PublicURL  string                     // origin of platform paths and wallet
	CashierURL string                     // origin of Alipay's cashier pages; "" = PublicURL
	Dir        string                     // where books and keys are kept; "" = memory only
	Wall       func() time.Time           // required
	HTTP       *http.Client               // sends notices; redirects are switched off on a copy of it
	Random     io.Reader                  // nonces, numbers, codes; nil = crypto/rand
	Seed       uint64                     // of the faults
	Keys       map[string]*rsa.PrivateKey // keys to use in place of made ones: many simulators in one process share them
	Log        *slog.Logger               // required
}

// Kit is what one simulator process holds. All of it is safe for concurrent use.
type Kit struct {
	PublicURL  string           // no trailing slash
	CashierURL string           // no trailing slash
	Wall       func() time.Time // signatures and the Date header: always true wall time
	Clock      *Clock           // business time: expiry, retries
	Random     io.Reader        // serialised
	HTTP       *http.Client     // follows no redirects
	Books      *Books
	Notices    *Outbox
	Faults     *Faults
	Log        *slog.Logger

	wake  chan struct{}
	keyMu sync.Mutex
	keys  map[string]*rsa.PrivateKey
}

// New opens the books and builds the kit. It starts nothing.
func New(o Options) (*Kit, error) {
	if o.Wall == nil || o.Log == nil || o.PublicURL == "" {
		return nil, errors.New("simkit: PublicURL, Wall and Log are required")
	}
	books, err := OpenBooks(o.Dir, o.Wall)
	if err != nil {
		return nil, err
	}
	k := &Kit{
		PublicURL:  strings.TrimRight(o.PublicURL, "/"),
		CashierURL: strings.TrimRight(o.CashierURL, "/"),
		Wall:       o.Wall,
		Random:     &lockedReader{from: o.Random},
		HTTP:       withoutRedirects(o.HTTP),
		Books:      books,
		Faults:     newFaults(o.Seed),
		Log:        o.Log,
		wake:       make(chan struct{}, 1),
		keys:       map[string]*rsa.PrivateKey{},
	}
	if k.CashierURL == "" {
		k.CashierURL = k.PublicURL
	}
	if o.Random == nil {
		k.Random = rand.Reader
	}
	for name, key := range o.Keys {
		k.keys[name] = key
	}
	k.Clock, err = openClock(o.Wall, books, k.signal)
	if err == nil {
		k.Notices, err = openOutbox(k)
	}
	if err != nil {
		return nil, errors.Join(err, books.Close())
	}
	return k, nil
}

// Woken receives after something became due sooner than Outbox.Step last said: a new notice, a moved clock, or one notice
// that was taken while another is due. It is buffered by one: each signal is for one of those who run Step.
func (k *Kit) Woken() <-chan struct{} { return k.wake }

// Close syncs and closes the books.
func (k *Kit) Close() error { return k.Books.Close() }

func (k *Kit) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Alphabets of Kit.Text.
const (
	Digits   = "0123456789"
	UpperHex = "0123456789ABCDEF"
	AlphaNum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Text returns n random characters of an alphabet of at most 256, evenly spread.
func (k *Kit) Text(alphabet string, n int) (string, error) {
	limit := 256 - 256%len(alphabet) // bytes from here on would favour the first characters
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for range maxTextDraws {
		if _, err := io.ReadFull(k.Random, buf); err != nil {
			return "", fmt.Errorf("simkit: read random bytes: %w", err)
		}
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
		if len(out) == n {
			return string(out), nil
		}
	}
	return "", errors.New("simkit: the source of random bytes gives no usable ones")
}

// maxTextDraws is far beyond what an honest source needs: less than half of its bytes are ever unusable.
const maxTextDraws = 128

type lockedReader struct {
	mu   sync.Mutex
	from io.Reader
}

func (r *lockedReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.from.Read(p)
}

func withoutRedirects(c *http.Client) *http.Client {
	out := &http.Client{}
	if c != nil {
		*out = *c
	}
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return out
}
