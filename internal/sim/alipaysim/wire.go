package alipaysim

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// maxRequest bounds one gateway request's body, in bytes.
const maxRequest = 1 << 20

var errTooLarge = errors.New("the request is larger than the gateway reads")

// charset is one of the two the gateway speaks. The docs name no other
// (common parameters, "charset"); any letter case is taken.
type charset string

const (
	utf8Charset charset = "utf-8"
	gbkCharset  charset = "gbk"
)

func parseCharset(text string) (charset, bool) {
	switch c := charset(strings.ToLower(text)); c {
	case utf8Charset, gbkCharset:
		return c, true
	}
	return "", false
}

// decode turns bytes of the charset into text; false when they are not of it.
func (c charset) decode(raw string) (string, bool) {
	if c == utf8Charset {
		return raw, utf8.ValidString(raw)
	}
	text, err := simplifiedchinese.GB18030.NewDecoder().String(raw)
	return text, err == nil && !strings.ContainsRune(text, utf8.RuneError)
}

// encode turns text into bytes of the charset. GB18030, a superset of GBK,
// holds every character, so only ill-formed text fails; it stays as it is.
func (c charset) encode(text string) string {
	if c == utf8Charset {
		return text
	}
	raw, err := simplifiedchinese.GB18030.NewEncoder().String(text)
	if err != nil {
		return text
	}
	return raw
}

// params are a message's named values. A name that comes twice keeps its
// first value (gopay sends charset in the query and again in the body).
type params map[string]string

func (p params) add(name, value string) {
	if _, seen := p[name]; !seen {
		p[name] = value
	}
}

// addForm reads url-encoded pairs. What cannot be decoded stays as it came:
// the signature then fails, as it does at the platform.
func (p params) addForm(raw string) {
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		p.add(unescape(name), unescape(value))
	}
}

func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// addMultipart reads the parts of a multipart body; files are no parameters.
func (p params) addMultipart(body io.Reader, boundary string) error {
	parts := multipart.NewReader(body, boundary)
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		if part.FileName() == "" {
			p.add(part.FormName(), string(value))
		}
	}
}

// readParams merges the query and then the body. Values stay in the bytes they
// came in; an empty one counts as absent.
func readParams(r *http.Request) (params, error) {
	p := params{}
	p.addForm(r.URL.RawQuery)
	if r.Method == http.MethodPost {
		if err := p.addBody(r); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p params) addBody(r *http.Request) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return err
	}
	if len(raw) > maxRequest {
		return errTooLarge
	}
	kind, options, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "multipart/form-data" {
		return p.addMultipart(strings.NewReader(string(raw)), options["boundary"])
	}
	p.addForm(string(raw))
	return nil
}

// canonical is the text that is signed: the pairs sorted by name, raw, joined,
// without empty values and without the names left out. Requests leave out
// sign; notices and return links leave out sign and sign_type.
func (p params) canonical(leftOut ...string) string {
	names := make([]string, 0, len(p))
	for name, value := range p {
		if value != "" && !slices.Contains(leftOut, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var text strings.Builder
	for i, name := range names {
		if i > 0 {
			text.WriteByte('&')
		}
		text.WriteString(name + "=" + p[name])
	}
	return text.String()
}

// decode is the same parameters as text; false when one is not of the charset.
func (p params) decode(c charset) (params, bool) {
	text := make(params, len(p))
	for name, raw := range p {
		value, ok := c.decode(raw)
		if !ok {
			return nil, false
		}
		text[name] = value
	}
	return text, true
}

// encode is the same parameters in the bytes of the charset.
func (p params) encode(c charset) params {
	raw := make(params, len(p))
	for name, value := range p {
		raw[name] = c.encode(value)
	}
	return raw
}

// form is the parameters url-encoded, sorted by name.
func (p params) form() string {
	values := make(url.Values, len(p))
	for name, value := range p {
		values.Set(name, value)
	}
	return values.Encode()
}
