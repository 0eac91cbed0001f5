package logs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	clock      = "2006-01-02 15:04:05.000" // local time
	textColumn = 22                        // columns of the text before the first attribute
)

// terminal writes "time LEVEL text  key=value …" for people. Whatever could move the cursor, begin a line or hide what
// follows is escaped, in every part: most of it is somebody else's text (A103).
type terminal struct {
	out    io.Writer
	level  slog.Level
	colour bool
	group  string // "a.b." before the keys that follow
	fixed  string // the attributes of With, as they are written
}

var lines = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

const maxKept = 16 << 10 // bytes; a longer buffer is not kept for the next line

func (t *terminal) Enabled(_ context.Context, level slog.Level) bool { return level >= t.level }

func (t *terminal) Handle(_ context.Context, r slog.Record) error {
	buf := lines.Get().(*[]byte) //nolint:forcetypeassert // New makes nothing else
	line := r.Time.AppendFormat((*buf)[:0], clock)
	line = append(line, ' ')
	line = t.appendLevel(line, r.Level)
	start := len(line)
	line = appendEscaped(line, r.Message)
	if r.NumAttrs() > 0 || t.fixed != "" {
		for columns := utf8.RuneCount(line[start:]); columns < textColumn; columns++ {
			line = append(line, ' ')
		}
	}
	line = append(line, t.fixed...)
	r.Attrs(func(a slog.Attr) bool {
		line = appendAttr(line, t.group, a)
		return true
	})
	line = append(line, '\n')
	_, err := t.out.Write(line)
	if cap(line) <= maxKept {
		*buf = line
		lines.Put(buf)
	}
	return err
}

func (t *terminal) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *t
	text := []byte(t.fixed)
	for _, a := range attrs {
		text = appendAttr(text, t.group, a)
	}
	next.fixed = string(text)
	return &next
}

func (t *terminal) WithGroup(name string) slog.Handler {
	if name == "" {
		return t
	}
	next := *t
	next.group += name + "."
	return &next
}

func (t *terminal) appendLevel(line []byte, level slog.Level) []byte {
	colour := ""
	switch {
	case !t.colour:
	case level >= slog.LevelError:
		colour = "\x1b[31m"
	case level >= slog.LevelWarn:
		colour = "\x1b[33m"
	}
	line = append(line, colour...)
	name := level.String()
	line = append(line, name...)
	for n := len(name); n < len("ERROR"); n++ {
		line = append(line, ' ')
	}
	if colour != "" {
		line = append(line, "\x1b[0m"...)
	}
	return append(line, ' ')
}

func appendAttr(line []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return line
	}
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, member := range v.Group() {
			line = appendAttr(line, group, member)
		}
		return line
	}
	line = append(line, ' ')
	line = appendValue(line, group+a.Key)
	line = append(line, '=')
	switch v.Kind() { //nolint:exhaustive // the others are written as they print
	case slog.KindInt64:
		return strconv.AppendInt(line, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(line, v.Uint64(), 10)
	case slog.KindBool:
		return strconv.AppendBool(line, v.Bool())
	case slog.KindTime:
		return v.Time().AppendFormat(line, time.RFC3339)
	case slog.KindString:
		return appendValue(line, v.String())
	case slog.KindAny:
		return appendValue(line, printed(v.Any()))
	}
	return appendValue(line, v.String())
}

func printed(v any) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprintf("!panic in %T", v) // one line of a log is worth no request
		}
	}()
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprintf("%+v", v)
}

// appendValue quotes what a reader could not tell from its neighbours.
func appendValue(line []byte, s string) []byte {
	if s == "" {
		return append(line, `""`...)
	}
	for _, c := range s {
		if c == ' ' || c == '"' || c == '=' || c == '\\' || !plain(c) {
			return strconv.AppendQuote(line, s)
		}
	}
	return append(line, s...)
}

// appendEscaped writes text without quotes.
func appendEscaped(line []byte, s string) []byte {
	for _, c := range s {
		if !plain(c) || c == '\\' {
			quoted := strconv.AppendQuote(nil, s)
			return append(line, quoted[1:len(quoted)-1]...)
		}
	}
	return append(line, s...)
}

// plain is what a terminal shows as it is: no control or format character, no other space than the common one.
func plain(c rune) bool { return c != utf8.RuneError && unicode.IsPrint(c) }

// isTerminal reports whether w shows colours: a character device, and the user did not say otherwise (no-color.org).
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
