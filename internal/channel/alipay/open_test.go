package alipay

import (
	"encoding/json"
	"html"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"piaohao/internal/channel"
	"piaohao/internal/channel/channeltest"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

const (
	pageURL = iota
	wapURL
	pageForm
	wapForm
)

func openText(t *testing.T, a pay.Attempt) string {
	t.Helper()
	shape, err := testChannel(t, nil).Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return shape.Text
}

// checkRequest verifies what a browser would send and returns its biz_content.
func checkRequest(t *testing.T, a pay.Attempt, query url.Values, method string) map[string]string {
	t.Helper()
	var form strict.Form
	for name, values := range query {
		if len(values) != 1 || values[0] == "" {
			t.Errorf("%s is sent %d times, or empty", name, len(values))
		}
		form = append(form, strict.Pair{Name: name, Value: values[0]})
	}
	sortFields(form)
	if !verify(&appKey().PublicKey, canonical(form, inRequest), query.Get("sign")) {
		t.Error("the signature does not hold")
	}
	biz := map[string]string{}
	if err := json.Unmarshal([]byte(query.Get("biz_content")), &biz); err != nil {
		t.Fatal(err)
	}
	query.Del("sign")
	query.Del("biz_content")
	want := url.Values{
		"app_id": {testApp}, "method": {method}, "format": {"JSON"}, "charset": {"utf-8"}, "sign_type": {"RSA2"},
		"timestamp": {"2026-03-01 12:04:06"}, "version": {"1.0"}, "notify_url": {a.NotifyURL},
	}
	if a.ReturnURL != "" {
		want.Set("return_url", a.ReturnURL)
	}
	if diff := cmp.Diff(want, query); diff != "" {
		t.Error(diff)
	}
	return biz
}

func TestOpen(t *testing.T) {
	t.Parallel()
	page := map[string]string{
		"out_trade_no": "01jnz8v0t0q6m7x2c4d5e6f7g8", "total_amount": "100.01", "subject": "语雀空间 500人规模",
		"product_code": "FAST_INSTANT_TRADE_PAY", "time_expire": "2026-03-01 12:34:06",
	}
	wap := map[string]string{"quit_url": "https://shop.example/payment/success/tok"}
	for name, value := range page {
		wap[name] = value
	}
	wap["product_code"] = "QUICK_WAP_WAY"
	for _, tt := range []struct {
		name    string
		product int
		method  string
		form    bool
		biz     map[string]string
	}{
		{"page as URL", pageURL, "alipay.trade.page.pay", false, page},
		{"wap as URL", wapURL, "alipay.trade.wap.pay", false, wap},
		{"page as form", pageForm, "alipay.trade.page.pay", true, page},
		{"wap as form", wapForm, "alipay.trade.wap.pay", true, wap},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := testAttempt(tt.product)
			text := openText(t, a)
			query := url.Values{}
			if tt.form {
				text, query = readForm(t, text)
			}
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range u.Query() {
				query[name] = append(query[name], values...)
			}
			u.RawQuery = ""
			if u.String() != testGateway {
				t.Errorf("leads to %s", u)
			}
			if diff := cmp.Diff(tt.biz, checkRequest(t, a, query, tt.method)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// readForm takes the form apart as a browser would.
func readForm(t *testing.T, form string) (action string, fields url.Values) {
	t.Helper()
	between := func(before, after string) string {
		_, rest, found := strings.Cut(form, before)
		value, _, closed := strings.Cut(rest, after)
		if !found || !closed {
			t.Fatalf("no %s in %s", before, form)
		}
		return html.UnescapeString(value)
	}
	if strings.Count(form, "<input") != 1 {
		t.Errorf("not one field: %s", form)
	}
	return between(`action="`, `"`), url.Values{between(`<input type="hidden" name="`, `"`): {between(`value="`, `"`)}}
}

func TestOpenSendsNothingEmpty(t *testing.T) {
	t.Parallel()
	a := testAttempt(wapURL)
	a.ReturnURL = ""
	u, err := url.Parse(openText(t, a))
	if err != nil {
		t.Fatal(err)
	}
	if _, sent := checkRequest(t, a, u.Query(), "alipay.trade.wap.pay")["quit_url"]; sent {
		t.Error("an empty quit_url was sent")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*pay.Attempt){
		"A21 nothing":               func(a *pay.Attempt) { a.Amount = 0 },
		"A21 less than nothing":     func(a *pay.Attempt) { a.Amount = -1 },
		"A21 more than 100 million": func(a *pay.Attempt) { a.Amount = pay.MaxAmount + 1 },
		"A22 another currency":      func(a *pay.Attempt) { a.Currency = "USD" },
		"A22 no currency":           func(a *pay.Attempt) { a.Currency = "" },
		"another product":           func(a *pay.Attempt) { a.Product = "app" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := testAttempt(pageURL)
			edit(&a)
			_, err := testChannel(t, nil).Open(t.Context(), a)
			mustKind(t, err, channel.Declined, "")
		})
	}
}

// A90: nothing in a shop's text gets out of the form's attributes.
func TestFormEscapes(t *testing.T) {
	t.Parallel()
	a := testAttempt(pageForm)
	a.Subject = `"><script>alert('1')</script>`
	text := openText(t, a)
	if strings.Count(text, "<script>") != 1 || strings.Contains(text, "alert(") && strings.Contains(text, `'1'`) {
		t.Errorf("the subject leaves its attribute: %s", text)
	}
	action, fields := readForm(t, text)
	u, err := url.Parse(action)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query["biz_content"] = fields["biz_content"]
	if got := checkRequest(t, a, query, "alipay.trade.page.pay")["subject"]; got != `"><script>alert('1')<／script>` {
		t.Errorf("subject %q", got)
	}
}

func TestWireSubject(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"plain":                            {"语雀 500人", "语雀 500人"},
		"A07 reserved":                     {"a&b=c/d", "a＆b＝c／d"},
		"astral":                           {"茶🍵", "茶"},
		"control":                          {"a\r\n\t\x00b", "ab"},
		"A90 direction and zero width":     {"a\u202eb\u200bc\ufeff", "abc"},
		"not UTF-8":                        {"a\xffb", "ab"},
		"blank":                            {"  ", "NO1"},
		"empty":                            {"", "NO1"},
		"only astral":                      {"🍵", "NO1"},
		"cut between characters":           {strings.Repeat("茶", 100), strings.Repeat("茶", 85)},
		"cut before a character too broad": {strings.Repeat("a", 255) + "茶b", strings.Repeat("a", 255)},
	} {
		if got := wireSubject(tt.text, "NO1"); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// A07: whatever a shop writes, the wire text has no reserved character, fits, and is never empty.
func TestWireSubjectProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "bytes")
		got := wireSubject(rapid.String().Draw(t, "text")+string(raw), "NO1")
		if got == "" || len(got) > maxSubject || !utf8.ValidString(got) || strings.ContainsAny(got, "&=/\n\r\x00") {
			t.Fatalf("%q", got)
		}
		if wireSubject(got, "NO1") != got {
			t.Fatalf("%q is mapped again", got)
		}
		for _, r := range got {
			if r > 0xFFFF {
				t.Fatalf("%q holds %U", got, r)
			}
		}
	})
}

func TestYuan(t *testing.T) {
	t.Parallel()
	for fen, want := range map[pay.Fen]string{
		1: "0.01", 10: "0.10", 99: "0.99", 100: "1.00", 101: "1.01", 10_001: "100.01", pay.MaxAmount: "100000000.00",
	} {
		if got := yuan(fen); got != want {
			t.Errorf("%d fen = %q, want %q", fen, got, want)
		}
		if got, ok := parseYuan(want); !ok || got != fen {
			t.Errorf("%q = %d fen", want, got)
		}
	}
	for text, want := range map[string]pay.Fen{"0": 0, "0.00": 0, "100": 10_000, "9.90": 990} {
		if got, ok := parseYuan(text); !ok || got != want {
			t.Errorf("%q = %d fen, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"1e2", "100.0", "1.005", "-1", "+1", " 1", "1 ", "１００", "0x64", "9223372036854775808", "NaN", "12345678901234567",
		"", ".", "1.", ".01", "00", "01.00", "1,00", "1.0.0", "1.-1", "1.+1", "1_0", "100000000.01", "999999999.99", "1.00\n",
	} {
		if got, ok := parseYuan(text); ok {
			t.Errorf("A29 %q = %d fen", text, got)
		}
	}
}

func TestYuanProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fen := pay.Fen(rapid.Int64Range(0, int64(pay.MaxAmount)).Draw(t, "fen"))
		if got, ok := parseYuan(yuan(fen)); !ok || got != fen {
			t.Fatalf("%d fen come back as %d", fen, got)
		}
	})
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	want := channeltest.PaidAt
	if got := parseTime("2026-03-01 12:04:59"); !got.Equal(want) || got.Location() != want.Location() {
		t.Errorf("%v, want %v", got, want)
	}
	if got := parseTime("2026-03-01 12:04:59.123"); got.Sub(want).Milliseconds() != 123 {
		t.Errorf("%v", got)
	}
	for _, text := range []string{"", "2026-03-01", "2026-13-01 00:00:00", "2026-03-01T12:04:59Z"} {
		if got := parseTime(text); !got.IsZero() {
			t.Errorf("%q = %v", text, got)
		}
	}
}
