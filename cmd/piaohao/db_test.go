package main

import (
	"strings"
	"testing"
)

func TestBar(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	b := &bar{out: &out}
	b.told("payments", 0, 4)
	b.told("payments", 0, 4)
	b.told("payments", 2, 4)
	b.told("refunds", 0, 0)
	b.end()
	half, full := strings.Repeat("#", 15)+strings.Repeat("·", 15), strings.Repeat("#", 30)
	want := "\r\x1b[Kpayments     [" + strings.Repeat("·", 30) + "] 0 of 4\r\x1b[Kpayments     [" + half + "] 2 of 4" +
		"\r\x1b[Krefunds      [" + full + "] 0 of 0\r\x1b[K"
	if out.String() != want {
		t.Errorf("%q\nwant\n%q", out.String(), want)
	}
}
