package alipay

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
)

// The bars (medians of one run): a page-pay URL ≤ 1.02 × the bare signature and ≤ 20 allocations; a notice ≤ 40
// allocations. Compare BenchmarkOpen with BenchmarkBareSign, BenchmarkRead with BenchmarkBareVerify.

func BenchmarkBareSign(b *testing.B) {
	digest := sha256.Sum256([]byte("x"))
	key := appKey()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	c, a := testChannel(b, nil), testAttempt(pageURL)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Open(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBareVerify(b *testing.B) {
	digest := sha256.Sum256([]byte("x"))
	key := alipayKey()
	raw, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	c, in := testChannel(b, nil), notice(alipayKey(), noticeFields(testAttempt(pageURL)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Read(in); err != nil {
			b.Fatal(err)
		}
	}
}
