package strict

import (
	"errors"
	"testing"

	"piaohao/spec/jsonsuite"
)

// read is how a platform's text goes through: beside a type that names nothing, as what our types do not name does.
func read(text string) error {
	var v any
	return Decode([]byte(text), &v)
}

// The cases of others: what is JSON and in our subset is read, what is no JSON is refused, and what a reader may decide is
// decided here.
func TestJSONTestSuite(t *testing.T) {
	t.Parallel()
	outside := map[string]string{ // JSON, and not in our subset
		`{"a":"b","a":"c"}`: "duplicate name", `{"a":"b","a":"b"}`: "duplicate name", `null`: "null for a value",
	}
	for _, text := range jsonsuite.Accept {
		err := read(text)
		var refused *JSONError
		if want := outside[text]; (err != nil) != (want != "") || want != "" && (!errors.As(err, &refused) || refused.Reason != want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, text := range jsonsuite.Refuse {
		if read(text) == nil {
			t.Errorf("%.60q was read", text)
		}
	}
	taken := map[string]bool{ // taken: a small number that becomes 0, as of every reader with 64-bit floats
		"[123.456e-789]": true, "[123e-10000000]": true,
		// Integers beyond 64 bits become floats where nobody wants an integer: where somebody does, they are refused.
		"[-123123123123123123123123123123]": true, "[100000000000000000000]": true, "[-237462374673276894279832749832423479823246327846]": true,
	}
	for _, text := range jsonsuite.Either { // numbers too large, lone surrogates, no UTF-8, a byte order mark, depth
		if got := read(text) == nil; got != taken[text] {
			t.Errorf("%.60q: read %t, want %t", text, got, taken[text])
		}
	}
	if n := len(jsonsuite.Accept) + len(jsonsuite.Refuse) + len(jsonsuite.Either); n < 310 {
		t.Errorf("%d cases: some are gone", n)
	}
}

// A number that is too large is never rounded into an amount.
func TestA29JSONTestSuiteNumbersAreNoAmounts(t *testing.T) {
	t.Parallel()
	for _, text := range append(append([]string{}, jsonsuite.Accept...), jsonsuite.Either...) {
		var list []int64
		if err := Decode([]byte(text), &list); err == nil {
			for _, n := range list {
				if n < -123 || n > 123 {
					t.Errorf("%q became %d", text, n)
				}
			}
		}
	}
}
