package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/keys"
)

// Limits of a .env file.
const (
	maxEnvFile      = 1 << 20  // bytes
	maxEnvValue     = 64 << 10 // bytes of one value: a bundle of root certificates has 8 KiB
	maxEnvVariables = 2000
	maxKeyLines     = 600 // lines that an unquoted key or bundle may go on for
	minBareKey      = 60  // characters of base64 on the first line of a bare key: openssl breaks at 64, base64 at 76
)

// What can be wrong with a .env file: the text says it, the cure mends it, and neither ever repeats a line of the file.
var (
	envTooLarge  = fault{"too_large", "the file has more than 1 MiB", "is this the .env? Name the right one in ENV_FILE"}
	envEncoding  = fault{"encoding", "the file is not UTF-8 text", "save it as UTF-8 (记事本: 另存为，编码选 UTF-8)"}
	envTooMany   = fault{"too_many", "the file has more than 2000 variables", "is this the .env? Name the right one in ENV_FILE"}
	envStray     = fault{"unreadable", "the line is no NAME=value", "if it belongs to the value above, put that whole value in double quotes; else begin the line with # or delete it"}
	envUnclosed  = fault{"unreadable", "the value begins with a quote that no line ends", "end it with the same quote"}
	envTrailing  = fault{"unreadable", "there is text after the closing quote", `delete it, write \" for a quote inside of double quotes, or write # before a comment`}
	envKeyLine   = fault{"unreadable", "the key is not complete: a line between -----BEGIN and -----END is no base64, or -----END is missing", "copy the whole file of the key again, from -----BEGIN to -----END"}
	envLong      = fault{"too_large", "the value has more than 64 KiB", "name a file in the variable with _FILE instead"}
	envDuplicate = fault{"duplicate", "the variable is set twice in this file", "keep one of the two lines, delete the other or begin it with #"}
)

// fault is one kind of mistake.
type fault struct{ code, text, cure string }

// entry is a variable of a .env file.
type entry struct {
	text string
	line int // 1 = first
}

// envParser reads a .env file as people write them: UTF-8 with or without a byte order mark, LF or CRLF, and keys
// unquoted over several lines, which no other reader of such files takes. Nothing is ever expanded: a $ is a $.
type envParser struct {
	name  string
	lines []string
	at    int // index of the line being read
	next  int // index of the line to read next

	vars     map[string]entry
	last     string // variable of the last assignment
	lastEnd  int    // index of the line after it
	stray    bool   // the lines before this one were reported already
	problems Problems
}

// parseEnv reads file; name is for the problems.
func parseEnv(file []byte, name string) (map[string]entry, Problems) {
	p := envParser{name: name, vars: map[string]entry{}}
	text := bytes.TrimPrefix(file, []byte("\ufeff"))
	switch {
	case len(file) > maxEnvFile:
		p.fail("", envTooLarge)
		return p.vars, p.problems
	case bytes.HasPrefix(file, []byte("\xff\xfe")), bytes.HasPrefix(file, []byte("\xfe\xff")), bytes.IndexByte(file, 0) >= 0:
		p.fail("", envEncoding)
		return p.vars, p.problems
	}
	whole := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text))
	p.lines = strings.Split(whole, "\n")
	for p.next < len(p.lines) {
		p.at = p.next
		p.next++
		if text := strings.TrimSpace(p.lines[p.at]); text != "" && text[0] != '#' {
			p.assignment(p.lines[p.at])
		}
		if len(p.vars) > maxEnvVariables {
			p.fail("", envTooMany)
			break
		}
	}
	return p.vars, p.problems
}

// fail reports a fault of the line being read.
func (p *envParser) fail(variable string, f fault) {
	if !shownName.MatchString(variable) {
		variable = ""
	}
	p.problems = append(p.problems, Problem{
		File: p.name, Line: p.at + 1, Setting: variable, Code: f.code, Text: f.text, Cure: f.cure,
	})
}

// Names of variables. Only names in capitals are ever shown: a line of a key that is torn off may look like a name.
var (
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]{0,49}$`)
	shownName = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
)

func (p *envParser) assignment(line string) {
	line = strings.TrimLeftFunc(line, unicode.IsSpace)
	if rest, ok := strings.CutPrefix(line, "export"); ok && strings.TrimLeft(rest, " \t") != rest {
		line = rest
	}
	name, rest, found := strings.Cut(line, "=")
	name = strings.TrimSpace(name)
	if !found || !envName.MatchString(name) || p.stray && isBase64(strings.TrimSpace(line)) {
		if !p.stray {
			p.fail(p.above(), envStray)
		}
		p.stray = true
		return
	}
	p.stray, p.last = false, name
	value, f := p.value(strings.TrimLeftFunc(rest, unicode.IsSpace))
	p.lastEnd = p.next
	_, twice := p.vars[name]
	switch {
	case f != nil:
		p.fail(name, *f)
		p.stray = true // the lines of a value that could not be read are no news
	case twice:
		p.fail(name, envDuplicate)
	case len(value) > maxEnvValue:
		p.fail(name, envLong)
	default:
		p.vars[name] = entry{value, p.at + 1}
	}
}

// above is the variable that ends in the line before this one.
func (p *envParser) above() string {
	if p.at == p.lastEnd {
		return p.last
	}
	return ""
}

// value reads what stands after the =, and the lines that belong to it. A fault leaves p at the line after this one.
func (p *envParser) value(rest string) (string, *fault) {
	switch {
	case rest == "":
		return "", nil
	case rest[0] == '"' || rest[0] == '\'':
		return p.quoted(rest[1:], rest[0])
	case strings.HasPrefix(rest, armourBegin):
		return p.armoured(uncomment(rest))
	case rest[0] == '#' && p.lines[p.at][strings.IndexByte(p.lines[p.at], '=')+1] != '#':
		return "", nil // NAME= # comment
	}
	return p.bare(uncomment(rest)), nil
}

// uncomment cuts off a # after a space and what follows.
func uncomment(text string) string {
	for i := 1; i < len(text); i++ {
		if before, _ := utf8.DecodeLastRuneInString(text[:i]); text[i] == '#' && unicode.IsSpace(before) {
			text = text[:i]
		}
	}
	return strings.TrimSpace(text)
}

func (p *envParser) quoted(text string, quote byte) (string, *fault) {
	var b strings.Builder
	for line := p.next; ; line++ {
		for i := 0; i < len(text); i++ {
			switch c := text[i]; {
			case c == quote:
				if after := strings.TrimSpace(text[i+1:]); after != "" && after[0] != '#' {
					return "", &envTrailing
				}
				p.next = line
				return b.String(), nil
			case c == '\\' && quote == '"' && i+1 < len(text):
				i++
				b.WriteString(unescape(text[i]))
			default:
				b.WriteByte(c)
			}
		}
		if line >= len(p.lines) || b.Len() > maxEnvValue {
			return "", &envUnclosed
		}
		b.WriteByte('\n')
		text = p.lines[line]
	}
}

// unescape is what a backslash and c stand for in double quotes.
func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '"', '\\':
		return string(c)
	}
	return string([]byte{'\\', c})
}

// The lines around a PEM block.
const (
	armourBegin = "-----BEGIN "
	armourEnd   = "-----END "
)

// armoured reads an unquoted PEM block, and those that follow it with nothing but empty lines and comments between.
func (p *envParser) armoured(first string) (string, *fault) {
	if strings.Contains(first, armourEnd) {
		return unescapePEM(first), nil
	}
	value := []string{first}
	inside := true
	end := p.next // after the last line that belongs to the value
	for line := p.next; line < min(len(p.lines), p.next+maxKeyLines); line++ {
		text := uncomment(p.lines[line])
		switch {
		case text == "" || !inside && text[0] == '#':
			continue
		case inside && strings.HasPrefix(text, armourEnd):
			inside, end = false, line+1
		case !inside && strings.HasPrefix(text, armourBegin):
			inside = true
		case inside && isBase64(strings.TrimSuffix(strings.TrimSuffix(text, "..."), "…")): // a sample: refused as such, later
		case inside:
			return "", &envKeyLine
		default:
			p.next = end
			return strings.Join(value, "\n"), nil
		}
		value = append(value, text)
	}
	if inside {
		return "", &envKeyLine
	}
	p.next = end
	return strings.Join(value, "\n"), nil
}

// unescapePEM puts the line ends into a PEM block that spells them.
func unescapePEM(text string) string {
	return strings.NewReplacer(`\r`, "", `\n`, "\n").Replace(text)
}

// bare reads an unquoted value. One of base64 without armour may go on over lines: those are taken whose whole is as
// long as the key says of itself, and which are a key.
func (p *envParser) bare(first string) string {
	want := derText(first)
	if len(first) < minBareKey || !isBase64(first) {
		return first
	}
	var b strings.Builder
	b.WriteString(first)
	for line := p.next; line < min(len(p.lines), p.next+maxKeyLines); line++ {
		text := uncomment(p.lines[line])
		if !isBase64(text) || b.Len()+len(text) > want {
			break
		}
		b.WriteString(text)
		if b.Len() == want && isKey(b.String()) {
			p.next = line + 1
			return b.String()
		}
	}
	return first
}

// derText is how many characters of base64 a DER sequence has that begins with text; 0 when text does not.
func derText(text string) int {
	if len(text) < 8 {
		return 0
	}
	head, err := base64.StdEncoding.DecodeString(text[:8])
	if err != nil || head[0] != 0x30 {
		return 0
	}
	size := 0
	switch head[1] { // the long forms of a length (X.690, 8.1.3.5)
	case 0x81:
		size = 3 + int(head[2])
	case 0x82:
		size = 4 + int(head[2])<<8 + int(head[3])
	}
	return base64.StdEncoding.EncodedLen(size)
}

// isKey holds for what package keys knows, useful or not, and for PKCS#12, which only the merchant number opens.
func isKey(text string) bool {
	_, err := keys.Parse(text)
	if err == nil || errors.Is(err, keys.ErrShort) || errors.Is(err, keys.ErrNotRSA) {
		return true
	}
	der, err := base64.StdEncoding.DecodeString(text)
	pfx := []byte{0x30, 0x82, 0, 0, 0x02, 0x01, 0x03} // SEQUENCE of INTEGER 3 (RFC 7292, 4: version)
	if err != nil || len(der) < len(pfx) {
		return false
	}
	copy(pfx[2:4], der[2:4])
	return bytes.HasPrefix(der, pfx)
}

func isBase64(text string) bool {
	digits := strings.TrimRight(text, "=")
	if digits == "" || len(text)-len(digits) > 2 {
		return false
	}
	for i := range len(digits) {
		c := digits[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '+' && c != '/' {
			return false
		}
	}
	return true
}
