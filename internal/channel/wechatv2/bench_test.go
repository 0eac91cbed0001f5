package wechatv2

import (
	"testing"

	facts "piaohao/spec/wechat"
)

// The bars: at most 10 allocations and 3 µs for a notice, in either way to sign.
func BenchmarkRead(b *testing.B) {
	for _, variant := range variants {
		b.Run(variant, func(b *testing.B) {
			c, in := build(b, nil), paidNotice(variant, facts.V2Notice)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Read(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
