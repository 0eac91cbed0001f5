package wycheproof

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

func TestFilesAreAsPublished(t *testing.T) {
	t.Parallel()
	for name, file := range map[string][]byte{
		"rsa_signature_2048_sha256.json": rsa2048, "hmac_sha256.json": hmac256, "aes_gcm.json": aesGCM,
	} {
		if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != Sums[name] {
			t.Errorf("%s was changed", name)
		}
	}
	for name, want := range map[string]struct {
		groups []Group
		tests  int
	}{"RSA": {RSA(), 259}, "HMAC": {HMAC(), 174}, "GCM": {GCM(), 316}} {
		n := 0
		for _, g := range want.groups {
			n += len(g.Tests)
		}
		if n != want.tests {
			t.Errorf("%s: %d vectors, want %d", name, n, want.tests)
		}
	}
}
