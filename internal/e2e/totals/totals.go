// Package totals lets the test machines publish what they did: each owns a section of docs/reliability.md, between
// <!-- totals: name --> and <!-- /totals -->, and replaces it after a long run (PIAOHAO_SOAK=1) that ended well.
package totals

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	page   = "docs/reliability.md"
	ending = "<!-- /totals -->"
	above  = 8 // folders that are looked through for go.mod
)

// Row is one line of a machine's table. Found is a number, which gets its commas, or anything that %v prints.
type Row struct {
	What  string
	Found any
}

// Write logs the rows and, after a long run, puts them in the place of the machine's last ones; call it at the machine's
// end. A failed test writes nothing. That the section is there is checked in the short form too.
func Write(t testing.TB, machine string, rows ...Row) {
	t.Helper()
	text := table(time.Now(), rows)
	t.Logf("totals: %s\n%s", machine, text)
	path, err := find()
	if err != nil {
		t.Fatal(err)
	}
	publish := os.Getenv("PIAOHAO_SOAK") == "1" && !t.Failed()
	if err := replace(path, machine, text, publish); err != nil {
		t.Error(err)
	}
}

// find returns the path of the page in the repository that the test runs in.
func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for range above {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, page), nil
		}
		dir = filepath.Dir(dir)
	}
	return "", errors.New("totals: no go.mod above the test's folder")
}

func table(now time.Time, rows []Row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s, %d cores | |\n|---|---|\n", now.UTC().Format(time.DateOnly), runtime.NumCPU())
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", r.What, number(fmt.Sprint(r.Found)))
	}
	return b.String()
}

// number puts commas into an integer and leaves everything else as it is.
func number(text string) string {
	if _, err := strconv.ParseUint(text, 10, 64); err != nil {
		return text
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// replace writes in place under a lock: the machines of several packages end when they like.
func replace(path, machine, text string, publish bool) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // what was written has been checked
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin := []byte("<!-- totals: " + machine + " -->\n")
	before, rest, began := bytes.Cut(old, begin)
	_, after, ended := bytes.Cut(rest, []byte(ending))
	if !began || !ended || bytes.Contains(after, begin) {
		return fmt.Errorf("totals: %s must have one section %q … %q", page, strings.TrimSpace(string(begin)), ending)
	}
	if !publish {
		return nil
	}
	whole := bytes.Join([][]byte{before, begin, []byte(text), []byte(ending), after}, nil)
	if _, err := f.WriteAt(whole, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(whole)))
}
