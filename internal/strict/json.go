// Package strict holds parsers that refuse what the standard ones let through where money is read: duplicate
// names, names that match only after case folding, null for a value, trailing data, broken UTF-8.
package strict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Limits of a JSON text.
const (
	MaxJSON      = 64 << 10 // bytes
	MaxJSONDepth = 16       // nested objects and arrays
	MaxJSONNames = 256      // names in one object
)

// JSONError says why a text was refused. It repeats nothing of the text.
type JSONError struct {
	Offset int // byte at which the fault was seen
	Reason string
}

func (e *JSONError) Error() string { return fmt.Sprintf("json: %s at byte %d", e.Reason, e.Offset) }

// Decode reads one JSON text into the zero value that v points to. Names that v does not know are skipped:
// platforms may add fields. Refused, beside what encoding/json refuses: a name twice in one object at any depth, a
// name that equals a known one only after case folding (U+017F is an s there), null where v names a value, an
// integer not in the plain form (0, 17, -3), broken UTF-8 and lone surrogates, anything beyond the limits. The
// error is a *JSONError; what v points to is then of no use.
func Decode(data []byte, v any) error { return decode(data, v, true) }

// DecodeStrict is Decode for our own API: an unknown name is refused too.
func DecodeStrict(data []byte, v any) error { return decode(data, v, false) }

func decode(data []byte, v any, extra bool) error {
	if len(data) > MaxJSON {
		return &JSONError{MaxJSON, "text too long"}
	}
	if !utf8.Valid(data) {
		return &JSONError{0, "text is not UTF-8"}
	}
	err := json.Unmarshal(data, v)
	if _, broken := err.(*json.SyntaxError); broken { //nolint:errorlint // of the whole text, not one that a value's own reader wraps
		return &JSONError{0, "text is not JSON"}
	}
	c := checker{data: data, extra: extra}
	if reason := c.value(reflect.TypeOf(v).Elem(), 0); reason != "" {
		return &JSONError{c.pos, reason}
	}
	if err != nil {
		return &JSONError{0, "a value has the wrong type or range"}
	}
	return nil
}

// checker walks a text that encoding/json has accepted, beside the type it will be decoded into.
type checker struct {
	data  []byte
	pos   int
	extra bool // unknown names are allowed
}

// value checks the value at pos and moves behind it. t is nil inside of what the destination does not name.
// It returns "" or the reason of a refusal.
func (c *checker) value(t reflect.Type, depth int) string {
	if depth > MaxJSONDepth {
		return "text nested too deep"
	}
	c.space()
	var s *shape
	if t != nil {
		s = shapeOf(t)
	}
	switch c.data[c.pos] {
	case '{':
		return c.object(s, depth)
	case '[':
		return c.array(s, depth)
	case '"':
		_, reason := c.text()
		return reason
	case 't':
		c.pos += len("true")
	case 'f':
		c.pos += len("false")
	case 'n':
		if t != nil {
			return "null for a value"
		}
		c.pos += len("null")
	default:
		return c.number(s)
	}
	return ""
}

func (c *checker) object(s *shape, depth int) string {
	var room [24][]byte // most objects fit without an allocation
	seen := room[:0]
	c.pos++
	for c.space(); c.data[c.pos] != '}'; c.space() {
		if c.data[c.pos] == ',' {
			c.pos++
			c.space()
		}
		if len(seen) == MaxJSONNames {
			return "too many names in an object"
		}
		name, reason := c.text()
		if reason != "" {
			return reason
		}
		for _, old := range seen {
			if bytes.Equal(old, name) {
				return "duplicate name"
			}
		}
		seen = append(seen, name)
		inner, reason := s.under(name, c.extra)
		if reason != "" {
			return reason
		}
		c.space()
		c.pos++ // the colon
		if reason := c.value(inner, depth+1); reason != "" {
			return reason
		}
	}
	c.pos++
	return ""
}

func (c *checker) array(s *shape, depth int) string {
	var inner reflect.Type
	if s != nil {
		inner = s.elem
	}
	c.pos++
	for c.space(); c.data[c.pos] != ']'; c.space() {
		if c.data[c.pos] == ',' {
			c.pos++
		}
		if reason := c.value(inner, depth+1); reason != "" {
			return reason
		}
	}
	c.pos++
	return ""
}

// text moves behind the string at pos and returns its value.
func (c *checker) text() (value []byte, reason string) {
	start := c.pos
	escaped := false
	for c.pos++; c.data[c.pos] != '"'; c.pos++ {
		if c.data[c.pos] != '\\' {
			continue
		}
		escaped = true
		c.pos++
		if c.data[c.pos] == 'u' && !c.surrogates() {
			return nil, "lone surrogate"
		}
	}
	c.pos++
	if !escaped {
		return c.data[start+1 : c.pos-1], ""
	}
	var plain string
	if err := json.Unmarshal(c.data[start:c.pos], &plain); err != nil {
		return nil, "broken string"
	}
	return []byte(plain), ""
}

// surrogates stands on the u of \uXXXX, moves to the last byte of the character and reports whether a surrogate
// has its other half: encoding/json would make U+FFFD of it, and two different names could become one.
func (c *checker) surrogates() bool {
	r := hex4(c.data[c.pos+1:])
	c.pos += 4
	if r < 0xD800 || r > 0xDFFF {
		return true
	}
	rest := c.data[c.pos+1:]
	if r > 0xDBFF || len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return false
	}
	low := hex4(rest[2:])
	c.pos += 6
	return low >= 0xDC00 && low <= 0xDFFF
}

// hex4 reads four hex digits; encoding/json has checked digits that follow \u.
func hex4(b []byte) rune {
	var r rune
	for _, d := range b[:4] {
		r <<= 4
		switch {
		case d >= 'a':
			r |= rune(d-'a') + 10
		case d >= 'A':
			r |= rune(d-'A') + 10
		default:
			r |= rune(d - '0')
		}
	}
	return r
}

func (c *checker) number(s *shape) string {
	start := c.pos
	for c.pos < len(c.data) && (c.data[c.pos] >= '0' && c.data[c.pos] <= '9' || bytes.IndexByte([]byte("+-.eE"), c.data[c.pos]) >= 0) {
		c.pos++
	}
	if s == nil || !s.integer {
		return ""
	}
	digits := bytes.TrimPrefix(c.data[start:c.pos], []byte("-"))
	if bytes.ContainsAny(digits, ".eE") || (digits[0] == '0' && c.pos-start > 1) {
		return "number is not a plain integer"
	}
	return ""
}

func (c *checker) space() {
	for c.pos < len(c.data) {
		switch c.data[c.pos] {
		case ' ', '\t', '\r', '\n':
			c.pos++
		default:
			return
		}
	}
}

// shape is what the checker needs to know of a destination type.
type shape struct {
	integer bool
	elem    reflect.Type            // of a slice's or a map's values; nil = anything
	fields  map[string]reflect.Type // of a struct, by exact name; nil = not a struct
	names   []string                // of fields
}

// under returns the type of the value called name, nil when anything may stand there.
func (s *shape) under(name []byte, extra bool) (t reflect.Type, reason string) {
	if s == nil {
		return nil, ""
	}
	if s.fields == nil {
		return s.elem, ""
	}
	if t, ok := s.fields[string(name)]; ok {
		return t, ""
	}
	if !extra {
		return nil, "unknown name"
	}
	for _, known := range s.names {
		if strings.EqualFold(known, string(name)) {
			return nil, "name in another case"
		}
	}
	return nil, ""
}

var (
	shapes      sync.Map // reflect.Type → *shape
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
)

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s, _ := shapes.LoadOrStore(t, newShape(t))
	return s.(*shape)
}

func newShape(t reflect.Type) *shape {
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return &shape{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return newShape(t.Elem())
	case reflect.Slice, reflect.Array, reflect.Map:
		return &shape{elem: t.Elem()}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &shape{integer: true}
	case reflect.Struct:
		s := &shape{fields: map[string]reflect.Type{}}
		s.add(t)
		s.names = slices.Collect(maps.Keys(s.fields))
		return s
	}
	return &shape{}
}

// add collects the fields of a struct under the names encoding/json gives them.
func (s *shape) add(t reflect.Type) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "" && f.Anonymous && f.Type.Kind() == reflect.Struct:
			s.add(f.Type)
		case name == "-" || !f.IsExported():
		case name != "":
			s.fields[name] = f.Type
		default:
			s.fields[f.Name] = f.Type
		}
	}
}
