package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"piaohao/internal/secret"
)

// FuzzScrub: a known secret reaches no line, however it is written and whatever stands around it; a line stays JSON.
func FuzzScrub(f *testing.F) {
	f.Add("0123canary4567canary89AB", "merchant key ", " refused")
	f.Add("pass \"word\"\\/+&canary\tend", "postgres://u:", "@db")
	f.Add("ababababab", "ab", "ab")
	f.Add("ends in a quote\"", "", "")
	f.Add("-----BEGIN PRIVATE KEY-----\nMIICanaryCanaryCanary\n-----END PRIVATE KEY-----", "", "MII")
	f.Fuzz(func(t *testing.T, hidden, before, after string) {
		hidden = strings.TrimSpace(hidden)
		if len(hidden) < minSecret || strings.Contains(mask, hidden) || len(hidden)+len(before)+len(after) > 4<<10 {
			return
		}
		var s scrubber
		s.add([]secret.Text{secret.New(hidden)})
		if strings.Contains(before+mask+after, hidden) || strings.Contains(mask+after, hidden) || strings.Contains(before+mask, hidden) {
			return // the mask itself makes it
		}
		if got := s.clean([]byte(before + hidden + after)); bytes.Contains(got, []byte(hidden)) {
			t.Fatalf("%q is left in %q", hidden, got)
		}
		quoted := strconv.Quote(hidden)
		inJSON, err := json.Marshal(hidden)
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Appendf(nil, `{"a":%s,"b":1}`, inJSON)
		got := s.clean(bytes.Clone(line))
		if !bytes.Contains(got, []byte(mask)) || json.Valid(line) && !json.Valid(got) {
			t.Fatalf("%q became %q", line, got)
		}
		if got := s.clean([]byte("x " + quoted)); !bytes.Contains(got, []byte(mask)) {
			t.Fatalf("%q became %q", quoted, got)
		}
	})
}
