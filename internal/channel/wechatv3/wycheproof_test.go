package wechatv3

import (
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"piaohao/spec/wycheproof"
)

// Signatures that others made to break verifiers: ours is asked, with its base64.
func TestWycheproofSignatures(t *testing.T) {
	t.Parallel()
	for _, g := range wycheproof.RSA() {
		key := publicKey(g.PublicKeyPem)
		for _, v := range g.Tests {
			got := holds(key, sha256.Sum256(v.Msg), base64.StdEncoding.EncodeToString(v.Sig))
			// The one acceptable vector leaves out a NULL of the encoding: the platform does not, and we refuse it.
			if got != (v.Result == "valid") {
				t.Errorf("%d %s is %s: %t", v.TcID, v.Comment, v.Result, got)
			}
		}
	}
}

func TestA14WycheproofSealed(t *testing.T) {
	t.Parallel()
	opened := 0
	for _, g := range wycheproof.GCM() {
		for _, v := range g.Tests {
			text, err := unseal(must(newAEAD(string(v.Key))), resource{
				Algorithm: algorithm, Ciphertext: append(append([]byte{}, v.CT...), v.Tag...), AssociatedData: string(v.AAD), Nonce: string(v.IV),
			})
			want := v.Result == "valid" && len(v.IV) == nonceSize // of another length is none of the platform's
			if (err == nil) != want || want && string(text) != string(v.Msg) {
				t.Errorf("%d %s is %s, nonce of %d bytes: %v", v.TcID, v.Comment, v.Result, len(v.IV), err)
			}
			if err == nil {
				opened++
			}
		}
	}
	if opened == 0 {
		t.Error("none was opened: the test proves nothing")
	}
}
