package cashier

import (
	"embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"piaohao/internal/pay"
)

//go:embed locales/*.json
var localeFiles embed.FS

// words is one language: key → text. A text about a method has the method's key "<key>.<method>", or the plain key.
type words map[string]string

var locales = map[string]words{"zh": mustLocale("zh"), "en": mustLocale("en")}

func mustLocale(lang string) words {
	raw, err := localeFiles.ReadFile("locales/" + lang + ".json")
	if err != nil {
		panic(err) // embedded: the build is broken
	}
	var w words
	if err := json.Unmarshal(raw, &w); err != nil {
		panic(err)
	}
	return w
}

func textOf(lang string) words { return locales[lang] }

// word returns the text of key. A missing one shows as its key; a test renders every page and finds none.
func (w words) word(key string) string {
	if text, ok := w[key]; ok {
		return text
	}
	return "⟦" + key + "⟧"
}

// wordFor prefers the method's own text.
func (w words) wordFor(key, method string) string {
	if text, ok := w[key+"."+method]; ok {
		return text
	}
	return w.word(key)
}

// prefers picks zh or en from an Accept-Language header; Chinese unless English is wanted more.
func prefers(header string) string {
	best, bestQ := "zh", 0.0
	for part := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, _ = strconv.ParseFloat(value, 64) // unreadable = 0: not wanted
		}
		lang, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if (lang == "zh" || lang == "en") && q > bestQ {
			best, bestQ = lang, q
		}
	}
	return best
}

// yuan writes fen as payers read money: 123456 → "1,234.56".
func yuan(f pay.Fen) string {
	digits := strconv.FormatInt(int64(f/100), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return fmt.Sprintf("%s.%02d", digits, int64(f%100))
}

// beijing is where both platforms keep their time; no daylight saving since 1991.
var beijing = time.FixedZone("UTC+8", 8*60*60)

func beijingTime(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.In(beijing).Format(layout)
}

// clock writes a duration as 29:41 or 1:02:03; nothing is below 0:00.
func clock(d time.Duration) string {
	s := max(0, int64(d/time.Second))
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// visible makes a shop's text harmless to read: what draws nothing or turns the direction of writing becomes a
// visible mark (A90). Escaping is html/template's and isolation the <bdi> around it.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
