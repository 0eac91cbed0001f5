// Package id makes identifiers. Only node imports it; everybody else is handed functions.
package id

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// crockford is base32 without I, L, O, U: 5 bits a letter, in ASCII order, so text order is number order.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// Maker makes time-ordered ids. The zero value is not usable; see New.
type Maker struct {
	now func() time.Time

	mu   sync.Mutex
	last uint64 // 48 bits of milliseconds and 12 of counter
}

// New returns a maker that reads the given clock.
func New(now func() time.Time) *Maker { return &Maker{now: now} }

// ID returns prefix + "_" + 26 letters, or 26 letters alone when prefix is "": 60 bits that never go back within
// this process, then 68 random bits, in Crockford's base32. All of [0-9a-z]: it fits every platform's number.
func (m *Maker) ID(prefix string) string {
	m.mu.Lock()
	tick := uint64(m.now().UnixMilli()) << 12
	if tick <= m.last {
		tick = m.last + 1
	}
	m.last = tick
	m.mu.Unlock()

	var b [17]byte
	binary.BigEndian.PutUint64(b[:8], tick<<4)
	_, _ = rand.Read(b[8:]) // never fails (crypto/rand)
	b[7] |= b[16] & 0x0f
	text := encode(b[:16], 26)
	if prefix == "" {
		return text
	}
	return prefix + "_" + text
}

// Token returns 32 random letters, 160 bits, for addresses that must not be guessed.
func Token() string {
	var b [20]byte
	_, _ = rand.Read(b[:])
	return encode(b[:], 32)
}

func encode(b []byte, n int) string {
	out := make([]byte, 0, n)
	acc, bits := uint(0), 0
	for _, c := range b {
		acc, bits = acc<<8|uint(c), bits+8
		for bits >= 5 {
			bits -= 5
			out = append(out, crockford[acc>>bits&31])
		}
		acc &= 1<<bits - 1
	}
	if bits > 0 {
		out = append(out, crockford[acc<<(5-bits)&31])
	}
	return string(out[:n])
}
