// Package secret holds values that must never be printed.
package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

const masked = "[secret]"

// Text is a secret whose String, Format, JSON and log forms are masked. The value sits behind a pointer, so that
// printing a struct with an unexported Text field shows an address, not the secret.
type Text struct{ p *string }

// New wraps s.
func New(s string) Text { return Text{&s} }

// Reveal returns the value, "" for the zero Text. Call it only where the secret is used.
func (t Text) Reveal() string {
	if t.p == nil {
		return ""
	}
	return *t.p
}

// Empty reports whether there is no secret.
func (t Text) Empty() bool { return t.Reveal() == "" }

// String is masked.
func (Text) String() string { return masked }

// Format is masked for every verb.
func (Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// LogValue is masked.
func (Text) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalJSON is masked.
func (Text) MarshalJSON() ([]byte, error) { return json.Marshal(masked) }

// MarshalText is masked.
func (Text) MarshalText() ([]byte, error) { return []byte(masked), nil }
