package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// What every page keeps (docs: how the payer's pages look and feel).
const (
	pictures   = "../../docs/images"
	maxPicture = 150_000 // bytes
	maxPage    = 50_000  // bytes of a page and all that it loads, as sent
	narrowest  = 320     // pixels of the narrowest screen
)

// shows holds the page to what every page keeps, and with -update takes its picture.
func (x *tab) shows(name string) {
	x.t.Helper()
	x.fits()
	file := filepath.Join(pictures, name+".png")
	if *update {
		picture, err := chromedp.Run(x.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			x.t.Fatal(err)
		}
		if err := os.WriteFile(file, picture, 0o644); err != nil {
			x.t.Fatal(err)
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		x.t.Errorf("%v; make it: go test ./internal/e2e -update", err)
	} else if info.Size() > maxPicture {
		x.t.Errorf("%s has %d bytes, more than %d", file, info.Size(), maxPicture)
	}
}

// fits checks weight, width and what is to be pressed, at the device's own width and at the narrowest.
func (x *tab) fits() {
	x.t.Helper()
	x.until(`document.readyState === "complete"`)
	where := evaluate[string](x, "location.pathname")
	if weight := evaluate[int64](x, pageWeight); weight == 0 || weight > maxPage {
		x.t.Errorf("%s weighs %d bytes, want at most %d", where, weight, maxPage)
	}
	for _, width := range []int64{narrowest, x.device.width} {
		x.do(chromedp.EmulateViewport(width, x.device.height, x.mobile))
		if got := evaluate[int64](x, "document.documentElement.scrollWidth"); got > width {
			x.t.Errorf("%s is %d px wide on a screen of %d", where, got, width)
		}
		if small := evaluate[[]string](x, smallTargets); len(small) > 0 {
			x.t.Errorf("%s at %d px: too small to press: %s", where, width, strings.Join(small, ", "))
		}
	}
}

// pageWeight is the bytes of the document and what it loads, without what a live page asks for later.
const pageWeight = `performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
	.filter(e => e.initiatorType !== "fetch").reduce((sum, e) => sum + e.encodedBodySize, 0)`

// smallTargets are the visible links and buttons that are lower than a finger.
const smallTargets = `[...document.querySelectorAll("a, button, select")].filter(e => {
	const box = e.getBoundingClientRect();
	return box.width > 0 && box.height < 43.5;
}).map(e => e.innerText + " " + e.getBoundingClientRect().height)`

func (x *tab) mobile(p *emulation.SetDeviceMetricsOverrideParams, touch *emulation.SetTouchEmulationEnabledParams) {
	p.Mobile, touch.Enabled = x.device.phone, x.device.phone
}

// TestPictures refuses a picture that no test takes.
func TestPictures(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(pictures)
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, name := range []string{"payer_test.go", "endings_test.go", "returns_test.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(f.Name(), ".png"); !strings.Contains(tests.String(), `shows("`+name+`")`) {
			t.Errorf("%s/%s: no test takes it", pictures, f.Name())
		}
	}
}
