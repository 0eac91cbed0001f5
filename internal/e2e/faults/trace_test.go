package faults_test

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// deed is one system call of the traced program that reaches a disk or the network. Calls of several threads overlap:
// began and ended are the places in the trace where it was entered and where it came back.
type deed struct {
	kind         string // "write" to a file, "sync" of it, "truncate" to the length at, "say" to a socket
	file         string // base name; "" of a socket
	data         string
	at           int64
	began, ended int // ended is 0 when the trace ends before
	failed       bool
}

// underStrace is how the program is run for parse. Only what is traced stops the program, so that it keeps its speed.
func underStrace(out string, more ...string) []string {
	return slices.Concat([]string{
		"strace", "-f", "--seccomp-bpf", "-qq", "-y", "-s", "8192", "-e", "signal=none",
		"-e", "trace=write,pwrite64,fsync,fdatasync,ftruncate", "-o", out,
	}, more)
}

var (
	entered = regexp.MustCompile(`(?s)^(\d+) +(\w+)\(\d+<([^>]*)>(.*)$`)
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>`)
	came    = regexp.MustCompile(`= (-?\d+|\?)[^"]*$`)
	payload = regexp.MustCompile(`(?s)^, ("(?:[^"\\]|\\.)*")(\.{3})?, \d+(?:, (\d+))?`)
	length  = regexp.MustCompile(`^, (\d+)`)
)

const unfinished = "<unfinished ...>"

// parse reads what strace wrote. A call that it does not understand is an error: nothing may be overlooked.
func parse(r io.Reader) ([]deed, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	var deeds []deed
	open := map[string]int{} // deeds under way, by thread
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if m := resumed.FindStringSubmatch(line); m != nil {
			if i, known := open[m[1]]; known {
				delete(open, m[1])
				deeds[i].come(n, line)
			}
			continue
		}
		m := entered.FindStringSubmatch(line)
		if m == nil {
			if strings.Contains(line, "+++") {
				continue // a thread's end
			}
			return nil, fmt.Errorf("line %d: %q is no call", n, line)
		}
		d, ok, err := readDeed(m[2], m[3], m[4])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if !ok {
			continue
		}
		d.began = n
		if strings.HasSuffix(line, unfinished) {
			open[m[1]] = len(deeds)
		} else {
			d.come(n, line)
		}
		deeds = append(deeds, d)
	}
	return deeds, lines.Err()
}

// come notes that the call came back.
func (d *deed) come(n int, line string) {
	m := came.FindStringSubmatch(line)
	if m == nil || m[1] == "?" {
		return // the program ended in it
	}
	d.ended, d.failed = n, strings.HasPrefix(m[1], "-")
}

// readDeed makes a deed of a call's name, file and further arguments; false: it is of no interest, such as a log's line.
func readDeed(call, file, rest string) (d deed, ok bool, err error) {
	d.file = filepath.Base(file)
	socket := strings.HasPrefix(file, "socket:") || strings.HasPrefix(file, "TCP")
	switch call {
	case "fsync", "fdatasync":
		d.kind = "sync"
		return d, true, nil
	case "ftruncate":
		m := length.FindStringSubmatch(rest)
		if m == nil {
			return d, false, fmt.Errorf("no length in %q", rest)
		}
		d.kind = "truncate"
		d.at, err = strconv.ParseInt(m[1], 10, 64)
		return d, true, err
	case "write":
		if !socket {
			return d, false, nil
		}
		d.kind, d.file = "say", ""
	case "pwrite64":
		d.kind = "write"
	default:
		return d, false, fmt.Errorf("unexpected call %s", call)
	}
	m := payload.FindStringSubmatch(rest)
	if m == nil || m[2] != "" {
		return d, false, fmt.Errorf("no whole text in %.200q", rest)
	}
	if d.data, err = unquote(m[1]); err == nil && m[3] != "" {
		d.at, err = strconv.ParseInt(m[3], 10, 64)
	}
	return d, true, err
}

// unquote undoes strace's quoting: C's, with octal numbers of one to three digits.
func unquote(text string) (string, error) {
	text = text[1 : len(text)-1]
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out.WriteByte(text[i])
			continue
		}
		i++
		if at := strings.IndexByte(`ntrvf"\`, text[i]); at >= 0 {
			out.WriteByte("\n\t\r\v\f\"\\"[at])
			continue
		}
		end := i
		for end < len(text) && end < i+3 && text[end] >= '0' && text[end] <= '7' {
			end++
		}
		n, err := strconv.ParseUint(text[i:end], 8, 8)
		if err != nil {
			return "", err
		}
		out.WriteByte(byte(n))
		i = end - 1
	}
	return out.String(), nil
}

func TestParse(t *testing.T) {
	t.Parallel()
	got := must[[]deed](t)(parse(strings.NewReader(`7 pwrite64(5</d/test.db-wal>, "a\"\\\n\0\2017\33x", 8, 24 <unfinished ...>
8 write(6<socket:[12]>, "HTTP/1.1 200 OK\r\n", 17) = 17
7 <... pwrite64 resumed>)  = 8
8 fsync(5</d/test.db-wal>) = -1 EIO (Input/output error) (INJECTED)
9 write(2</d/log>, "not of interest"..., 99) = 99
8 ftruncate(5</d/test.db>, 4096) = 0
9 fdatasync(5</d/test.db> <unfinished ...>
9 <... fdatasync resumed>)         = ?
9 +++ killed by SIGKILL +++
`)))
	want := []deed{
		{kind: "write", file: "test.db-wal", data: "a\"\\\n\x00\x817\x1bx", at: 24, began: 1, ended: 3},
		{kind: "say", data: "HTTP/1.1 200 OK\r\n", began: 2, ended: 2},
		{kind: "sync", file: "test.db-wal", began: 4, ended: 4, failed: true},
		{kind: "truncate", file: "test.db", at: 4096, began: 6, ended: 6},
		{kind: "sync", file: "test.db", began: 7},
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
	for _, line := range []string{"nonsense", `7 pwrite64(5</d/test.db>, "cut"..., 9999, 0) = 9999`, `7 writev(5</d/x>, [], 0) = 0`} {
		if _, err := parse(strings.NewReader(line)); err == nil {
			t.Errorf("%s was overlooked", line)
		}
	}
}
