package logs

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"piaohao/internal/secret"
)

const (
	mask = "[secret]"
	// minSecret is the length in bytes from which a secret, or a line of one, is looked for: a shorter text occurs in
	// logs by chance.
	minSecret = 8
	minLine   = 16
)

// Hide names secrets that must not be written, whatever bug passes them on. It may be called at any time.
func (l *Logs) Hide(secrets ...secret.Text) { l.scrub.add(secrets) }

// scrubber masks what it knows in lines that are complete: it sees text as it is written, however it got there. It
// costs one look at a bitmap per byte, however many secrets there are; BenchmarkLine measures it.
type scrubber struct {
	mu    sync.Mutex
	known atomic.Pointer[known]
}

// known are the forms to be masked, by their first four bytes.
type known struct {
	forms map[uint32][][]byte
	all   map[string]bool
	seen  [1 << 14 / 64]uint64 // bit h: a form begins with four bytes of hash h
}

func hash(four uint32) uint32 { return four * 0x9E3779B1 >> (32 - 14) }

func (s *scrubber) add(secrets []secret.Text) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := &known{forms: map[uint32][][]byte{}, all: map[string]bool{}}
	if old := s.known.Load(); old != nil {
		for form := range old.all {
			next.all[form] = true
		}
	}
	for _, t := range secrets {
		for _, form := range forms(t.Reveal()) {
			next.all[form] = true
		}
	}
	for form := range next.all {
		four := binary.LittleEndian.Uint32([]byte(form))
		next.forms[four] = append(next.forms[four], []byte(form))
		next.seen[hash(four)/64] |= 1 << (hash(four) % 64)
	}
	s.known.Store(next)
}

// forms are the ways in which a text occurs in a line: as it is, each of its longer lines, its lines joined, escaped as
// JSON, Go or a URL would, and in base64.
func forms(text string) []string {
	text = strings.TrimSpace(text)
	if len(text) < minSecret {
		return nil
	}
	lines := strings.Fields(text)
	marshalled, _ := json.Marshal(text) // a string always marshals
	inJSON, inGo := string(marshalled), strconv.Quote(text)
	out := []string{
		text, strings.Join(lines, ""), inJSON[1 : len(inJSON)-1], inGo[1 : len(inGo)-1],
		url.QueryEscape(text), url.PathEscape(text), base64.StdEncoding.EncodeToString([]byte(text)),
	}
	if len(lines) > 1 {
		for _, line := range lines {
			if len(line) >= minLine {
				out = append(out, line)
			}
		}
	}
	return out
}

// What is masked wherever it occurs: PEM blocks (a line holds their line ends escaped), keys of shops and of webhooks, and long base64 of
// DER, as Alipay's tools print keys.
var shapes = []struct {
	mark []byte // a cheap look before the pattern
	is   *regexp.Regexp
}{
	{[]byte("-----BEGIN "), regexp.MustCompile(`-----BEGIN [A-Z0-9 ]+-----[A-Za-z0-9+/=\\ ]*(?:-----END [A-Z0-9 ]+-----)?`)},
	{[]byte("sk_live_"), regexp.MustCompile(`sk_live_[A-Za-z0-9_-]+`)},
	{[]byte("sk_test_"), regexp.MustCompile(`sk_test_[A-Za-z0-9_-]+`)},
	{[]byte("whsec_"), regexp.MustCompile(`whsec_[A-Za-z0-9+/=_-]+`)},
	{[]byte("MII"), regexp.MustCompile(`MII[A-Za-z0-9+/]{60,}={0,2}`)},
}

// clean returns line without secrets: line itself when there is none.
func (s *scrubber) clean(line []byte) []byte {
	line = s.known.Load().clean(line)
	for _, shape := range shapes {
		if bytes.Contains(line, shape.mark) {
			line = shape.is.ReplaceAll(line, []byte(mask))
		}
	}
	return line
}

func (k *known) clean(line []byte) []byte {
	if k == nil {
		return line
	}
	var out []byte
	done := 0 // bytes of line that are settled
	for i := 0; i+4 <= len(line); i++ {
		four := binary.LittleEndian.Uint32(line[i:])
		h := hash(four)
		if k.seen[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		if n := k.match(four, line[i:]); n > 0 {
			out = append(append(out, line[done:i]...), mask...)
			done = i + n
			i = done - 1
		}
	}
	if done == 0 {
		return line
	}
	return append(out, line[done:]...)
}

// match returns the length of the longest form that rest begins with.
func (k *known) match(four uint32, rest []byte) int {
	longest := 0
	for _, form := range k.forms[four] {
		if len(form) > longest && bytes.HasPrefix(rest, form) {
			longest = len(form)
		}
	}
	return longest
}
