package strict

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a flat XML message, beside MaxFields.
const (
	MaxXML     = 64 << 10 // bytes
	maxXMLName = 64       // bytes of an element's name
)

// Why an XML message was refused. None of them repeats what was in it.
var (
	ErrXMLSize      = errors.New("xml: longer than 64 KiB")
	ErrXMLText      = errors.New("xml: text that is not UTF-8, or holds a control character or a carriage return")
	ErrXMLRoot      = errors.New("xml: not exactly one root element of the expected name")
	ErrXMLMarkup    = errors.New("xml: a directive, comment, processing instruction, attribute or nested element")
	ErrXMLName      = errors.New("xml: an element's name is not 1 to 64 letters, digits and _")
	ErrXMLTag       = errors.New("xml: text or a tag where none may stand")
	ErrXMLEntity    = errors.New("xml: an entity other than the five predefined ones and numeric ones")
	ErrXMLDuplicate = errors.New("xml: an element occurs twice")
	ErrXMLFields    = errors.New("xml: more than 64 elements")
)

// ParseXML reads a flat XML message: one element called root, in it elements with text or one CDATA section, spaces
// between them, and nothing else. No element occurs twice; an empty one has the value "". It is a scanner of its own,
// because encoding/xml lets through what could be read in two ways: a DOCTYPE, comments inside of a number, nesting,
// attributes, a second root. What it accepts, encoding/xml reads the same. Neither time nor memory grows faster than raw:
// no entity stands for more bytes than it takes. raw is not changed and not kept.
func ParseXML(raw []byte, root string) (Form, error) {
	switch {
	case len(raw) > MaxXML:
		return nil, ErrXMLSize
	case !utf8.Valid(raw):
		return nil, ErrXMLText
	}
	x := xmlScanner{rest: string(raw)}
	x.space()
	if x.markup() {
		return nil, ErrXMLMarkup
	}
	if !x.take("<") || x.name() != root || !x.take(">") {
		return nil, ErrXMLRoot
	}
	form := make(Form, 0, 32)
	for {
		x.space()
		if x.take("</") {
			break
		}
		field, err := x.element()
		switch {
		case err != nil:
			return nil, err
		case len(form) == MaxFields:
			return nil, ErrXMLFields
		}
		for i := range form {
			if form[i].Name == field.Name {
				return nil, ErrXMLDuplicate
			}
		}
		form = append(form, field)
	}
	if x.name() != root || !x.take(">") {
		return nil, ErrXMLTag
	}
	x.space()
	if x.rest != "" {
		return nil, ErrXMLRoot
	}
	return form, nil
}

// xmlScanner reads rest from its beginning.
type xmlScanner struct{ rest string }

// take moves behind text when it is next.
func (x *xmlScanner) take(text string) bool {
	after, found := strings.CutPrefix(x.rest, text)
	x.rest = after
	return found
}

// markup reports whether the next thing is a directive, comment, CDATA section or processing instruction.
func (x *xmlScanner) markup() bool {
	return len(x.rest) > 1 && x.rest[0] == '<' && (x.rest[1] == '!' || x.rest[1] == '?')
}

func (x *xmlScanner) space() {
	i := 0
	for i < len(x.rest) && (x.rest[i] == ' ' || x.rest[i] == '\n' || x.rest[i] == '\t' || x.rest[i] == '\r') {
		i++
	}
	x.rest = x.rest[i:]
}

// name moves behind a name and returns it, "" when there is none or it is too long.
func (x *xmlScanner) name() string {
	i := 0
	for i < len(x.rest) && nameByte(x.rest[i], i > 0) {
		i++
	}
	name := x.rest[:i]
	x.rest = x.rest[i:]
	if i > maxXMLName {
		return ""
	}
	return name
}

func nameByte(c byte, digits bool) bool {
	return 'a' <= c && c <= 'z' || c == '_' || 'A' <= c && c <= 'Z' || digits && '0' <= c && c <= '9'
}

// element reads one element with its text.
func (x *xmlScanner) element() (Pair, error) {
	if x.markup() {
		return Pair{}, ErrXMLMarkup
	}
	if !x.take("<") {
		return Pair{}, ErrXMLTag
	}
	name := x.name()
	switch {
	case name == "":
		return Pair{}, ErrXMLName
	case x.take("/>"):
		return Pair{Name: name}, nil
	case x.rest == "":
		return Pair{}, ErrXMLTag
	case !x.take(">"):
		return Pair{}, ErrXMLMarkup // an attribute, a prefix
	}
	value, err := x.text()
	switch {
	case err != nil:
		return Pair{}, err
	case !x.take("</"): // behind one text or CDATA section the end tag is all that is left
		return Pair{}, ErrXMLMarkup
	case x.name() != name || !x.take(">"):
		return Pair{}, ErrXMLTag
	}
	return Pair{name, value}, nil
}

// text reads an element's text, or its one CDATA section.
func (x *xmlScanner) text() (string, error) {
	var text string
	var found bool
	if x.take("<![CDATA[") {
		if text, x.rest, found = strings.Cut(x.rest, "]]>"); !found {
			return "", ErrXMLTag
		}
	} else {
		end := strings.IndexByte(x.rest, '<')
		if end < 0 {
			return "", ErrXMLTag
		}
		text, x.rest = x.rest[:end], x.rest[end:]
		if strings.Contains(text, "]]>") {
			return "", ErrXMLTag
		}
		var err error
		if text, err = resolve(text); err != nil {
			return "", err
		}
	}
	for i := 0; i < len(text); i++ { // XML 1.0, section 2.2; and no carriage return, which readers replace (2.11)
		switch c := text[i]; {
		case c == '\t' || c == '\n' || c >= ' ' && c != 0xEF:
		case c == 0xEF && !strings.HasPrefix(text[i:], "\uFFFE") && !strings.HasPrefix(text[i:], "\uFFFF"):
		default:
			return "", ErrXMLText
		}
	}
	return text, nil
}

// resolve replaces the entities in text. Each stands for at most as many bytes as it takes.
func resolve(text string) (string, error) {
	if strings.IndexByte(text, '&') < 0 {
		return text, nil
	}
	out := make([]byte, 0, len(text))
	for {
		plain, after, found := strings.Cut(text, "&")
		out = append(out, plain...)
		if !found {
			return string(out), nil
		}
		name, after, closed := strings.Cut(after, ";")
		r, known := entity(name)
		if !closed || !known {
			return "", ErrXMLEntity
		}
		out, text = utf8.AppendRune(out, r), after
	}
}

func entity(name string) (r rune, known bool) {
	switch name {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, numeric := strings.CutPrefix(name, "#")
	if !numeric {
		return 0, false
	}
	base := 10
	if hex, found := strings.CutPrefix(digits, "x"); found {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 31)
	if err != nil || !utf8.ValidRune(rune(n)) { // a half of a surrogate pair among it
		return 0, false
	}
	return rune(n), true
}
