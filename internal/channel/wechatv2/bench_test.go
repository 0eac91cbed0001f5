package wechatv2

import (
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
