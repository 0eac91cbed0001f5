package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The types below scan columns that may be NULL, straight into the domain's fields: NULL is the zero value.
type (
	text   string
	number int64
	flag   bool
	stamp  time.Time
)

func (t *text) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = ""
	case string:
		*t = text(v)
	default:
		return fmt.Errorf("store: %T is no text", src)
	}
	return nil
}

func (n *number) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*n = 0
	case int64:
		*n = number(v)
	default:
		return fmt.Errorf("store: %T is no number", src)
	}
	return nil
}

func (f *flag) Scan(src any) error {
	var n number
	err := n.Scan(src)
	*f = n != 0
	return err
}

func (s *stamp) Scan(src any) error {
	if src == nil {
		*s = stamp{}
		return nil
	}
	var n number
	err := n.Scan(src)
	*s = stamp(time.UnixMilli(int64(n)).UTC())
	return err
}

// unpacking scans the columns of a row that comes as one JSON array.
func unpacking(scan scan) scan {
	return func(dest ...any) error {
		var row []byte
		if err := scan(&row); err != nil {
			return err
		}
		return unpack(row, dest)
	}
}

// unpack reads a row that SQLite packed as a JSON array of texts, whole numbers and nulls into what each of dest points to;
// null leaves it as it is. encoding/json takes three times as long (BenchmarkUnpack).
func unpack(row []byte, dest []any) error {
	rest := row
	for i, to := range dest {
		value, after, ok := nextPacked(rest, i == 0)
		if !ok {
			return fmt.Errorf("store: a row ends before column %d of %d", i+1, len(dest))
		}
		if err := setPacked(to, value); err != nil {
			return fmt.Errorf("store: reading column %d of a row: %w", i+1, err)
		}
		rest = after
	}
	if string(rest) != "]" {
		return fmt.Errorf("store: a row of more than %d columns", len(dest))
	}
	return nil
}

// nextPacked cuts off the value that follows the bracket or comma at the beginning of rest.
func nextPacked(rest []byte, first bool) (value, after []byte, ok bool) {
	before := byte(',')
	if first {
		before = '['
	}
	if len(rest) < 2 || rest[0] != before {
		return nil, nil, false
	}
	rest = rest[1:]
	end := 0
	if rest[0] == '"' {
		for end = 1; end < len(rest) && rest[end] != '"'; end++ {
			if rest[end] == '\\' {
				end++
			}
		}
		end++
	} else {
		end = bytes.IndexAny(rest, ",]")
	}
	if end <= 0 || end > len(rest) {
		return nil, nil, false
	}
	return rest[:end], rest[end:], true
}

func setPacked(to any, value []byte) (err error) {
	if string(value) == "null" {
		return nil
	}
	switch to := to.(type) {
	case *string:
		*to, err = unquote(value)
		return err
	case *text:
		var s string
		s, err = unquote(value)
		*to = text(s)
		return err
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	switch to := to.(type) {
	case *int64:
		*to = n
	case *number:
		*to = number(n)
	case *flag:
		*to = n != 0
	case *stamp:
		*to = stamp(time.UnixMilli(n).UTC())
	default:
		return fmt.Errorf("%T is no column", to)
	}
	return err
}

func unquote(value []byte) (string, error) {
	if value[0] == '"' && bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), nil
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err
}

// millis is the column form of a time.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// bit is the column form of a bool.
func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// null is the column form of a text that is NULL when empty.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// blob is the column form of bytes; nil stays NULL.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// insert builds the text that inserts one row of these columns.
func insert(table, columns string) string {
	return "INSERT INTO " + table + " (" + columns + ") VALUES (" + places(1, strings.Count(columns, ",")+1) + ")"
}

// update builds the text that sets these columns of the row whose id is $1, in order from $2.
func update(table, columns string) string {
	var b strings.Builder
	b.WriteString("UPDATE " + table + " SET ")
	for i, name := range strings.Split(columns, ", ") {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + " = $" + strconv.Itoa(i+2))
	}
	b.WriteString(" WHERE id = $1")
	return b.String()
}

// places is "$from, …" for n parameters.
func places(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(from+i))
	}
	return b.String()
}

// of writes an alias before each column.
func of(alias, columns string) string {
	return alias + "." + strings.ReplaceAll(columns, ", ", ", "+alias+".")
}
