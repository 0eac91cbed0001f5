package strict

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// MaxFields bounds a form; a platform's notice has about 35 fields.
const MaxFields = 64

// Why a form was refused. None of them repeats what was in it.
var (
	ErrFormFields    = errors.New("form: more than 64 fields")
	ErrFormName      = errors.New("form: a field without a name")
	ErrFormValue     = errors.New("form: a field without an equals sign")
	ErrFormDuplicate = errors.New("form: a name occurs twice")
	ErrFormByte      = errors.New("form: a byte that must be percent-encoded, or a semicolon")
	ErrFormEscape    = errors.New("form: a broken percent sequence")
	ErrFormText      = errors.New("form: text that is not UTF-8 or holds NUL")
)

// Pair is one field of a form, decoded once.
type Pair struct{ Name, Value string }

// Form holds the fields of a form in the order in which they arrived; no name occurs twice.
type Form []Pair

// Get returns the value of name, "" when the form has no such field.
func (f Form) Get(name string) string {
	for i := range f {
		if f[i].Name == name {
			return f[i].Value
		}
	}
	return ""
}

// ParseForm reads application/x-www-form-urlencoded: pairs joined by '&', percent-decoded exactly once, '+' a space
// (WHATWG URL, section 5.1). http.Request.ParseForm is no help where a signature covers the fields: it merges the
// query into the body, keeps duplicates, and reports an error for the Content-Type that Alipay sends. What the two
// could read differently is refused here. raw is not changed and not kept.
func ParseForm(raw []byte) (Form, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	fields := bytes.Count(raw, []byte{'&'}) + 1
	if fields > MaxFields {
		return nil, ErrFormFields
	}
	var ends [MaxFields][2]int // of each name and value in text; one string holds them all
	text := make([]byte, 0, len(raw))
	for i := range fields {
		var field []byte
		field, raw, _ = bytes.Cut(raw, []byte{'&'})
		name, value, found := bytes.Cut(field, []byte{'='})
		switch {
		case len(name) == 0:
			return nil, ErrFormName
		case !found:
			return nil, ErrFormValue
		}
		var err error
		if text, err = unescape(text, name); err != nil {
			return nil, err
		}
		ends[i][0] = len(text)
		if text, err = unescape(text, value); err != nil {
			return nil, err
		}
		ends[i][1] = len(text) //nolint:gosec // i < fields ≤ MaxFields
	}
	return split(string(text), ends[:fields])
}

// split cuts the decoded text into its pairs.
func split(text string, ends [][2]int) (Form, error) {
	form := make(Form, 0, len(ends))
	start := 0
	for _, end := range ends {
		name, value := text[start:end[0]], text[end[0]:end[1]]
		switch {
		case !utf8.ValidString(name) || !utf8.ValidString(value):
			return nil, ErrFormText
		case form.has(name):
			return nil, ErrFormDuplicate
		}
		form = append(form, Pair{name, value})
		start = end[1]
	}
	return form, nil
}

func (f Form) has(name string) bool {
	for i := range f {
		if f[i].Name == name {
			return true
		}
	}
	return false
}

// unescape appends the decoded bytes of raw to text.
func unescape(text, raw []byte) ([]byte, error) {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%':
			if i+2 >= len(raw) {
				return nil, ErrFormEscape
			}
			high, low := hexDigit(raw[i+1]), hexDigit(raw[i+2])
			if high > 15 || low > 15 {
				return nil, ErrFormEscape
			}
			c = high<<4 | low
			i += 2
		case c <= ' ' || c > '~' || c == ';':
			return nil, ErrFormByte
		}
		if c == 0 {
			return nil, ErrFormText
		}
		text = append(text, c)
	}
	return text, nil
}

// hexDigit returns the value of c, or 255 when c is no hexadecimal digit.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
