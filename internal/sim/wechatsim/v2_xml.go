package wechatsim

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of a message of APIv2. No interface has anywhere near so many fields.
const (
	maxFields = 128
	maxName   = 64 // bytes
)

// fields are a message of APIv2: the elements directly under its root.
type fields map[string]string

// element is one of them, in an order of its own.
type element struct{ name, value string }

// MarshalJSON and UnmarshalJSON keep a message in the books.
func (e element) MarshalJSON() ([]byte, error) { return json.Marshal([2]string{e.name, e.value}) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *element) UnmarshalJSON(raw []byte) error {
	var pair [2]string
	err := json.Unmarshal(raw, &pair)
	e.name, e.value = pair[0], pair[1]
	return err
}

var (
	errNotUTF8 = errors.New("not UTF-8")
	errNotXML  = errors.New("not a flat message under <xml>")
)

// parseXML reads one message strictly: <xml> with elements of text, each name once. A DOCTYPE and all that could come
// with it (XXE), attributes, nesting and comments are refused, and so is a text before or behind. Errors are errNotUTF8
// and errNotXML.
func parseXML(raw []byte) (fields, error) {
	if !utf8.Valid(raw) {
		return nil, errNotUTF8
	}
	d := xml.NewDecoder(bytes.NewReader(raw))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errNotUTF8 }
	f := fields{}
	depth, name, text, ended := 0, "", strings.Builder{}, false
	for { // ends with the text, which is bounded
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) && ended {
			return f, nil
		}
		if err != nil {
			if errors.Is(err, errNotUTF8) {
				return nil, errNotUTF8
			}
			return nil, errNotXML
		}
		switch token := token.(type) {
		case xml.ProcInst:
			if token.Target != "xml" || d.InputOffset() > maxDeclaration || depth > 0 || ended {
				return nil, errNotXML
			}
		case xml.CharData:
			if depth == 2 {
				text.Write(token)
			} else if len(bytes.TrimSpace(token)) > 0 {
				return nil, errNotXML
			}
		case xml.StartElement:
			depth++
			if !f.mayStart(token, depth, ended) {
				return nil, errNotXML
			}
			name = token.Name.Local
			text.Reset()
		case xml.EndElement: // RawToken pairs nothing
			if want := [...]string{"", "xml", name}[min(depth, 2)]; depth == 0 || token.Name.Space != "" || token.Name.Local != want {
				return nil, errNotXML
			}
			if depth == 2 {
				f[name] = text.String()
			}
			depth--
			ended = depth == 0
		default: // comments and directives
			return nil, errNotXML
		}
	}
}

// maxDeclaration is where <?xml … ?> must have ended, in bytes.
const maxDeclaration = 128

func (f fields) mayStart(e xml.StartElement, depth int, ended bool) bool {
	if len(e.Attr) > 0 || e.Name.Space != "" || len(e.Name.Local) > maxName || ended {
		return false
	}
	_, twice := f[e.Name.Local]
	return depth == 1 && e.Name.Local == "xml" || depth == 2 && !twice && len(f) < maxFields
}

// writeXML writes a message as the platform does: a line for each element, all in CDATA but the amount.
func writeXML(message []element) []byte {
	var b bytes.Buffer
	b.WriteString("<xml>")
	for i, e := range message {
		if i > 0 {
			b.WriteByte('\n')
		}
		value := cdata(e.value)
		if e.name == "total_fee" {
			value = e.value
		}
		b.WriteString("<" + e.name + ">" + value + "</" + e.name + ">")
	}
	b.WriteString("\n</xml>")
	return b.Bytes()
}

// writeRoot writes the inner text of a refund's notice, all in CDATA under <root>.
func writeRoot(message []element) []byte {
	var b bytes.Buffer
	b.WriteString("<root>\n")
	for _, e := range message {
		b.WriteString("<" + e.name + ">" + cdata(e.value) + "</" + e.name + ">\n")
	}
	b.WriteString("</root>")
	return b.Bytes()
}

func cdata(value string) string {
	return "<![CDATA[" + strings.ReplaceAll(value, "]]>", "]]]]><![CDATA[>") + "]]>"
}
