package cashier

import (
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"
)

// quiet is the margin that ISO/IEC 18004 §6.3.8 asks for, in modules.
const quiet = 4

// qrSVG draws text as a QR code of level M, black on white whatever the page's colours. label is its text alternative.
func qrSVG(text, label string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", err
	}
	side := code.Size + 2*quiet
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="qr" viewBox="%d %d %d %d" role="img" aria-label="%s" shape-rendering="crispEdges">`,
		-quiet, -quiet, side, side, template.HTMLEscapeString(label))
	fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="#fff"/><path fill="#000" d="`, -quiet, -quiet, side, side)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			if !code.Black(x, y) {
				continue
			}
			run := 1
			for code.Black(x+run, y) { // outside of the code is white
				run++
			}
			fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x, y, run, run)
			x += run
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()), nil //nolint:gosec // digits and our own tags
}
