package alipay

import (
	"encoding/base64"
	"testing"

	"piaohao/internal/keys"
	"piaohao/spec/wycheproof"
)

// Signatures that others made to break verifiers: ours is asked, with its base64.
func TestWycheproofSignatures(t *testing.T) {
	t.Parallel()
	for _, g := range wycheproof.RSA() {
		found, err := keys.Parse(g.PublicKeyPem)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range g.Tests {
			got := verify(found.Public, v.Msg, base64.StdEncoding.EncodeToString(v.Sig))
			// The one acceptable vector leaves out a NULL of the encoding: the platform does not, and we refuse it.
			if got != (v.Result == "valid") {
				t.Errorf("%d %s is %s: %t", v.TcID, v.Comment, v.Result, got)
			}
		}
	}
}
