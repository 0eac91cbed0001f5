package store

import (
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

// unpack reads a JSON array into what each of dest points to; null leaves it as it is.
func unpack(row []byte, dest []any) error {
	n := len(dest)
	if err := json.Unmarshal(row, &dest); err != nil {
		return fmt.Errorf("store: reading a row: %w", err)
	}
	if len(dest) != n {
		return fmt.Errorf("store: a row of %d columns instead of %d", len(dest), n)
	}
	return nil
}

// UnmarshalJSON reads a packed column.
func (f *flag) UnmarshalJSON(text []byte) error {
	*f = string(text) == "1"
	return nil
}

// UnmarshalJSON reads a packed column.
func (s *stamp) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	*s = stamp(time.UnixMilli(n).UTC())
	return err
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
