package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"piaohao/spec/wycheproof"
)

// Tags that others made to break verifiers. What a webhook signs has a prefix, so that the vectors' own texts go around
// mac; how a tag is compared is ours.
func TestWycheproofTags(t *testing.T) {
	t.Parallel()
	for _, g := range wycheproof.HMAC() {
		for _, v := range g.Tests {
			h := hmac.New(sha256.New, v.Key)
			h.Write(v.Msg)
			got := matches(h.Sum(nil), "v1,"+base64.StdEncoding.EncodeToString(v.Tag))
			want := v.Result == "valid" && len(v.Tag) == sha256.Size // a cut tag is none
			if got != want {
				t.Errorf("%d %s is %s, %d bytes: %t", v.TcID, v.Comment, v.Result, len(v.Tag), got)
			}
		}
	}
}
