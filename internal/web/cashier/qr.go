package cashier

import (
	"html/template"
	"strconv"
	"sync"

	"rsc.io/qr"
)

// quiet is the margin that ISO/IEC 18004 §6.3.8 asks for, in modules.
const quiet = 4

// maxCodes bounds the drawn codes that are kept, of about 5 kB each.
const maxCodes = 512

// codes keeps what was drawn last: a payer's page is shown again for as long as it waits.
type codes struct {
	mu    sync.Mutex
	drawn map[[2]string]template.HTML // by text and label
}

func (c *codes) draw(text, label string) (template.HTML, error) {
	key := [2]string{text, label}
	c.mu.Lock()
	svg, ok := c.drawn[key]
	c.mu.Unlock()
	if ok {
		return svg, nil
	}
	svg, err := qrSVG(text, label)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drawn == nil || len(c.drawn) >= maxCodes {
		c.drawn = map[[2]string]template.HTML{} // forgetting costs at most one drawing each
	}
	c.drawn[key] = svg
	return svg, nil
}

// qrSVG draws text as a QR code of level M, black on white whatever the page's colours. label is its text alternative.
func qrSVG(text, label string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", err
	}
	side := strconv.Itoa(code.Size + 2*quiet)
	corner := strconv.Itoa(-quiet)
	b := make([]byte, 0, 8<<10)
	b = append(b, `<svg class="qr" viewBox="`+corner+" "+corner+" "+side+" "+side+`" role="img" aria-label="`+
		template.HTMLEscapeString(label)+`" shape-rendering="crispEdges"><rect x="`+corner+`" y="`+corner+`" width="`+side+
		`" height="`+side+`" fill="#fff"/><path fill="#000" d="`...)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			if !code.Black(x, y) {
				continue
			}
			run := 1
			for code.Black(x+run, y) { // outside of the code is white
				run++
			}
			b = strconv.AppendInt(append(b, 'M'), int64(x), 10)
			b = strconv.AppendInt(append(b, ' '), int64(y), 10)
			b = strconv.AppendInt(append(b, 'h'), int64(run), 10)
			b = strconv.AppendInt(append(b, "v1h-"...), int64(run), 10)
			b = append(b, 'z')
			x += run
		}
	}
	return template.HTML(append(b, `"/></svg>`...)), nil //nolint:gosec // digits and our own tags
}
