package strict_test

import (
	"bytes"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"piaohao/internal/strict"
)

func TestParseForm(t *testing.T) {
	t.Parallel()
	full := strings.TrimSuffix(strings.Repeat("N=1&", strict.MaxFields), "&")
	for i := range strict.MaxFields {
		full = strings.Replace(full, "N", "n"+strconv.Itoa(i), 1)
	}
	tests := []struct {
		name string
		raw  string
		want strict.Form
		err  error
	}{
		{name: "empty body", raw: ""},
		{name: "order is kept", raw: "b=2&a=1", want: strict.Form{{"b", "2"}, {"a", "1"}}},
		{name: "empty value", raw: "a=", want: strict.Form{{"a", ""}}},
		{name: "equals sign in a value", raw: "a=b=c", want: strict.Form{{"a", "b=c"}}},
		{name: "A53 plus is a space", raw: "a=1+2", want: strict.Form{{"a", "1 2"}}},
		{name: "A53 %20 is a space", raw: "a=1%202", want: strict.Form{{"a", "1 2"}}},
		{name: "A53 %2B is a plus", raw: "a=1%2B2", want: strict.Form{{"a", "1+2"}}},
		{name: "A53 decoded once", raw: "a=%252B", want: strict.Form{{"a", "%2B"}}},
		{name: "hex digits of both cases", raw: "a=%e8%AF%ad", want: strict.Form{{"a", "语"}}},
		{name: "encoded name", raw: "%61=1", want: strict.Form{{"a", "1"}}},
		{name: "encoded ampersand", raw: "a=%26b%3D1", want: strict.Form{{"a", "&b=1"}}},
		{name: "A52 duplicate name", raw: "a=1&a=1", err: strict.ErrFormDuplicate},
		{name: "A52 duplicate name, one encoded", raw: "a=1&%61=2", err: strict.ErrFormDuplicate},
		{name: "A52 semicolon", raw: "a=1;b=2", err: strict.ErrFormByte},
		{name: "A52 %zz", raw: "a=%zz", err: strict.ErrFormEscape},
		{name: "A52 second digit bad", raw: "a=%1g", err: strict.ErrFormEscape},
		{name: "percent at the end", raw: "a=%", err: strict.ErrFormEscape},
		{name: "one digit at the end", raw: "a=%4", err: strict.ErrFormEscape},
		{name: "empty name", raw: "=1", err: strict.ErrFormName},
		{name: "empty field", raw: "a=1&&b=2", err: strict.ErrFormName},
		{name: "ampersand at the end", raw: "a=1&", err: strict.ErrFormName},
		{name: "no equals sign", raw: "a=1&b", err: strict.ErrFormValue},
		{name: "NUL", raw: "a=%00", err: strict.ErrFormText},
		{name: "NUL in a name", raw: "a%00=1", err: strict.ErrFormText},
		{name: "raw NUL", raw: "a=\x00", err: strict.ErrFormByte},
		{name: "raw space", raw: "a=1 2", err: strict.ErrFormByte},
		{name: "raw line end", raw: "a=1\r\n", err: strict.ErrFormByte},
		{name: "raw text beyond ASCII", raw: "a=语", err: strict.ErrFormByte},
		{name: "byte order mark", raw: "\xef\xbb\xbfa=1", err: strict.ErrFormByte},
		{name: "A54 GBK bytes", raw: "a=%D3%EF", err: strict.ErrFormText},
		{name: "A55 one field too many", raw: full + "&z=1", err: strict.ErrFormFields},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			raw := []byte(tt.raw)
			got, err := strict.ParseForm(raw)
			if !errors.Is(err, tt.err) || (tt.err == nil && err != nil) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); tt.err == nil && diff != "" {
				t.Error(diff)
			}
			if !bytes.Equal(raw, []byte(tt.raw)) {
				t.Error("the input was changed")
			}
		})
	}
	if got, err := strict.ParseForm([]byte(full)); err != nil || len(got) != strict.MaxFields {
		t.Errorf("MaxFields fields: %d, %v", len(got), err)
	}
}

func TestFormGet(t *testing.T) {
	t.Parallel()
	form, err := strict.ParseForm([]byte("a=1&b="))
	if err != nil {
		t.Fatal(err)
	}
	if form.Get("a") != "1" || form.Get("b") != "" || form.Get("A") != "" {
		t.Errorf("Get on %v", form)
	}
}

// What the strict parser accepts, the standard one reads the same way.
func TestParseFormAgreesWithNetURL(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.StringMatching(`([ab%=&+;]|%[0-9a-fA-F]{2}|%[zZ0]?|[!-~])*`).Draw(t, "raw")
		form, err := strict.ParseForm([]byte(raw))
		if err != nil {
			return
		}
		want, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("net/url refuses what was accepted: %v", err)
		}
		if len(form) != len(want) {
			t.Fatalf("%d fields, net/url has %d", len(form), len(want))
		}
		for _, pair := range form {
			if got := want[pair.Name]; len(got) != 1 || got[0] != pair.Value {
				t.Fatalf("field %q is %q, net/url has %q", pair.Name, pair.Value, got)
			}
		}
	})
}

func FuzzParseForm(f *testing.F) {
	f.Add([]byte("a=1&b=%e8+%2B"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		form, err := strict.ParseForm(raw)
		if err != nil {
			return
		}
		again := url.Values{}
		for _, pair := range form {
			again.Add(pair.Name, pair.Value)
		}
		back, err := url.ParseQuery(again.Encode())
		if err != nil || len(back) != len(form) {
			t.Fatalf("%q reads as %v, written again as %v", raw, form, back)
		}
	})
}
