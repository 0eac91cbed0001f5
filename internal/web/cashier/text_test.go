package cashier

import (
	"image"
	"image/color"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"piaohao/internal/pay"
)

func TestYuan(t *testing.T) {
	t.Parallel()
	for fen, want := range map[pay.Fen]string{
		0: "0.00", 1: "0.01", 10: "0.10", 99: "0.99", 100: "1.00", 12800: "128.00", 99999: "999.99", 100000: "1,000.00", 123456: "1,234.56",
		pay.MaxAmount: "100,000,000.00", 10_000_000_001: "100,000,000.01", math.MaxInt64: "92,233,720,368,547,758.07",
	} {
		if got := yuan(fen); got != want {
			t.Errorf("%d fen: %s, want %s", fen, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0:00", 0: "0:00", 999 * time.Millisecond: "0:00", 61 * time.Second: "1:01", 29*time.Minute + 41*time.Second: "29:41",
		time.Hour: "1:00:00", 24 * time.Hour: "24:00:00",
	} {
		if got := clock(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestBeijingTime(t *testing.T) {
	t.Parallel()
	eve := time.Date(2026, 12, 31, 16, 0, 0, 0, time.UTC)
	if got := beijingTime(eve, "2006-01-02 15:04"); got != "2027-01-01 00:00" {
		t.Error(got)
	}
}

func TestLocalesHaveTheSameTexts(t *testing.T) {
	t.Parallel()
	if len(locales["zh"]) < 80 {
		t.Fatalf("only %d texts", len(locales["zh"]))
	}
	for key := range locales["zh"] {
		if locales["en"][key] == "" {
			t.Errorf("en lacks %s", key)
		}
	}
	for key := range locales["en"] {
		if locales["zh"][key] == "" {
			t.Errorf("zh lacks %s", key)
		}
	}
}

var run = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)

// The drawing itself, not the code it came from, must read as the text: a decoder that we did not write judges it.
func TestQRReads(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"weixin://wxpay/bizpayurl?pr=7MzqkP0zz", "weixin://wxpay/bizpayurl?sr=XXXXX", "https://qr.alipay.com/bax03431ljhokirwl38f00a7",
		"https://pay.example/" + strings.Repeat("a1B2", 60),
	} {
		svg, err := qrSVG(text, `a "label" & more`)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(svg), `aria-label="a &#34;label&#34; &amp; more"`) {
			t.Errorf("label of %.120s", svg)
		}
		reader := qrcode.NewQRCodeReader()
		bitmap, err := gozxing.NewBinaryBitmapFromImage(draw(t, string(svg)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := reader.DecodeWithoutHints(bitmap)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got.GetText() != text {
			t.Errorf("reads %q, want %q", got.GetText(), text)
		}
		if level := got.GetResultMetadata()[gozxing.ResultMetadataType_ERROR_CORRECTION_LEVEL]; level != "M" {
			t.Errorf("level %v", level)
		}
	}
}

// draw paints the svg with 4 pixels a module, and fails when the quiet zone is less than 4 modules.
func draw(t *testing.T, svg string) image.Image {
	t.Helper()
	const scale = 4
	box := strings.Fields(regexp.MustCompile(`viewBox="([^"]*)"`).FindStringSubmatch(svg)[1])
	side, _ := strconv.Atoi(box[2])
	if !slices.Equal(box[:2], []string{"-4", "-4"}) || box[2] != box[3] {
		t.Fatalf("viewBox %v", box)
	}
	img := image.NewGray(image.Rect(0, 0, side*scale, side*scale))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for _, m := range run.FindAllStringSubmatch(svg, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		length, _ := strconv.Atoi(m[3])
		if m[3] != m[4] || x+length+8 > side || y+1+8 > side {
			t.Fatalf("run %s leaves the code", m[0])
		}
		for px := (x + 4) * scale; px < (x+4+length)*scale; px++ {
			for py := (y + 4) * scale; py < (y+5)*scale; py++ {
				img.SetGray(px, py, color.Gray{})
			}
		}
	}
	return img
}
