package wechatv2

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	facts "piaohao/spec/wechat"
)

// The bars: at most 10 allocations and 3 µs for a notice, in either way to sign.
func BenchmarkRead(b *testing.B) {
	for _, variant := range variants {
		b.Run(variant, func(b *testing.B) {
			fields := slices.Clone(facts.V2Notice)
			slices.SortFunc(fields, func(a, b facts.Field) int { return strings.Compare(a.Name, b.Name) }) // as the documentation prints it
			c, in := build(b, nil), paidNotice(variant, fields)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Read(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBareDigest is the floor of a notice: the digests of a text as long, in both ways to sign.
func BenchmarkBareDigest(b *testing.B) {
	text := make([]byte, len(paidNotice(variants[0], facts.V2Notice).Body))
	b.Run("MD5", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			md5.Sum(text)
		}
	})
	b.Run("HMAC-SHA256", func(b *testing.B) {
		mac := hmac.New(sha256.New, []byte("0123456789abcdef0123456789abcdef"))
		var sum [sha256.Size]byte
		b.ReportAllocs()
		for b.Loop() {
			mac.Reset()
			mac.Write(text)
			mac.Sum(sum[:0])
		}
	})
}
