package wechatv3

import (
	"net/http"
	"strings"
	"testing"
	"time"

	facts "piaohao/spec/wechat"
)

// The tests of this file were missing: each was written because a mutant of package mutants survived.

// One signature has one spelling: the bits that base64 leaves over are zero (A02).
func TestA02LooseBitsOfASignature(t *testing.T) {
	t.Parallel()
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	c, in := build(t, nil), paidNotice(facts.Paid)
	text := in.Header.Get("Wechatpay-Signature")
	last := len(text) - len("==") - 1
	loose := digits[strings.IndexByte(digits, text[last])+1]
	in.Header.Set("Wechatpay-Signature", text[:last]+string(loose)+"==")
	if _, err := c.Read(in); err == nil {
		t.Fatalf("%c is taken for %c", loose, text[last])
	}
}

// Whatever a platform, or whoever stands before it, wishes, an account rests for ten minutes at most.
func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"7": 7 * time.Second, "600": 10 * time.Minute, "65535": 10 * time.Minute, "65536": 0, "-1": 0, "soon": 0, "": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
