package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/secret"
)

// open is a logger with its file and what it told the terminal.
func open(t *testing.T, secrets ...secret.Text) (l *Logs, terminal *bytes.Buffer, file func() string) {
	t.Helper()
	terminal, dir := &bytes.Buffer{}, filepath.Join(t.TempDir(), "logs")
	l, err := Open(Options{Terminal: terminal, Dir: dir, Name: "app.log", Level: slog.LevelDebug})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	l.Hide(secrets...)
	return l, terminal, func() string {
		text, err := os.ReadFile(filepath.Join(dir, "app.log"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestForPeopleAndForMachines(t *testing.T) {
	t.Parallel()
	l, terminal, file := open(t)
	l.With("payment", "pay_1").WithGroup("shop").Warn("webhook not delivered", "status", 503, "took", 1500*time.Millisecond, "name", "半亩 书茶")
	l.Info("stopping")
	lines := strings.Split(terminal.String(), "\n")
	if want := ` WARN  webhook not delivered  payment=pay_1 shop.status=503 shop.took=1.5s shop.name="半亩 书茶"`; lines[0][len(clock):] != want {
		t.Errorf("the terminal has\n%s, want\n%s", lines[0][len(clock):], want)
	}
	if at, err := time.ParseInLocation(clock, lines[0][:len(clock)], time.Local); err != nil || time.Since(at) > time.Hour {
		t.Errorf("no local time: %q %v", lines[0], err)
	}
	if lines[1][len(clock):] != " INFO  stopping" || len(lines) != 3 {
		t.Errorf("%q", lines)
	}
	var record struct {
		Level, Msg, Payment string
		Time                time.Time
		Shop                struct {
			Status int
			Name   string
		}
	}
	first, _, _ := strings.Cut(file(), "\n")
	if err := json.Unmarshal([]byte(first), &record); err != nil {
		t.Fatal(err)
	}
	if record.Level != "WARN" || record.Msg != "webhook not delivered" || record.Payment != "pay_1" || record.Shop.Status != 503 ||
		record.Shop.Name != "半亩 书茶" || record.Time.IsZero() {
		t.Errorf("%+v", record)
	}
}

func TestA103Lines(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{"A103 a second line", "a\nINFO paid", `"a\nINFO paid"`},
		{"A103 the line written over", "a\rINFO", `"a\rINFO"`},
		{"A103 colours and cursor", "\x1b[2J\x1b[1;31m", `"\x1b[2J\x1b[1;31m"`},
		{"A103 a terminal's command in one byte", "\u009b2J", `"\u009b2J"`},
		{"A103 text turned round", "\u202etxt.exe", `"\u202etxt.exe"`},
		{"A103 a line separator", "a\u2028b", `"a\u2028b"`},
		{"A103 no width", "a\u200bb", `"a\u200bb"`},
		{"A103 not UTF-8", "a\xff", `"a\xff"`},
		{"A103 fake attributes", "a status=paid", `"a status=paid"`},
		{"A103 fake JSON", `","level":"ERROR`, `"\",\"level\":\"ERROR"`},
		{"A103 an escape of one's own", `\x1b`, `"\\x1b"`},
		{"A103 a null", "a\x00b", `"a\x00b"`},
		{"Chinese is readable", "测试商品", "测试商品"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l, terminal, file := open(t)
			l.Info("m", "k", row.text)
			l.Info(row.text)
			l.Info("m", row.text, 1)
			l.Info("m", "cause", errors.New(row.text))
			l.With(row.text, row.text).Info("m", slog.Group(row.text, "a", 1), "raw", []byte(row.text))
			lines := strings.Split(terminal.String(), "\n")
			if len(lines) != 6 || !strings.HasSuffix(lines[0], " k="+row.want) || !strings.HasSuffix(lines[3], " cause="+row.want) {
				t.Errorf("the terminal has\n%s", terminal)
			}
			for _, c := range terminal.String() {
				if c != '\n' && !plain(c) {
					t.Errorf("%q reached the terminal", c)
				}
			}
			if n := strings.Count(file(), "\n"); n != 5 {
				t.Errorf("%d lines in the file: %q", n, file())
			}
			for line := range strings.Lines(file()) {
				if !json.Valid([]byte(line)) {
					t.Errorf("no JSON: %q", line)
				}
			}
		})
	}
}

type panics struct{}

func (panics) Error() string { panic("in a log line") }

func TestOddValues(t *testing.T) {
	t.Parallel()
	l, terminal, _ := open(t)
	l.Info("m", "nil", nil, "empty", "", "yes", true, "big", uint64(1)<<63, "at", time.Unix(0, 0).UTC(), "broken", panics{})
	l.WithGroup("").Info("m", slog.Attr{}, slog.String("last", "one"))
	for _, want := range []string{
		" nil=<nil> empty=\"\" yes=true big=9223372036854775808 at=1970-01-01T00:00:00Z broken=", " last=one",
	} {
		if !strings.Contains(terminal.String(), want) {
			t.Errorf("no %q in\n%s", want, terminal)
		}
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(&terminal{out: &out, colour: true})
	log.Info("i")
	log.Warn("w")
	log.Error("e")
	for _, want := range []string{" INFO  i\n", " \x1b[33mWARN \x1b[0m w\n", " \x1b[31mERROR\x1b[0m e\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if isTerminal(file) || isTerminal(&out) {
		t.Error("a file is no terminal")
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	dir := t.TempDir()
	l, err := Open(Options{Terminal: &out, Dir: dir, Name: "app.log", Level: slog.LevelWarn})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	l.Info("quiet")
	l.Warn("loud")
	text, err := os.ReadFile(filepath.Join(dir, "app.log"))
	if err != nil || strings.Contains(out.String()+string(text), "quiet") || !strings.Contains(out.String(), "loud") || !bytes.Contains(text, []byte("loud")) {
		t.Errorf("%v %q %q", err, out.String(), text)
	}
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "logs")
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	for range 2 { // a new file, then one that somebody opened to all
		l, err := Open(Options{Terminal: io.Discard, Dir: dir, Name: "app.log"})
		if err != nil {
			t.Fatal(err)
		}
		l.Info("m")
		path := filepath.Join(dir, "app.log")
		if mode(dir) != 0o700 || mode(path) != 0o600 {
			t.Errorf("folder %o, file %o", mode(dir), mode(path))
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFolderThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	taken := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocked := t.TempDir()
	if err := os.Mkdir(filepath.Join(blocked, "app.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{taken, filepath.Join(taken, "below"), blocked} {
		_, err := Open(Options{Terminal: io.Discard, Dir: dir, Name: "app.log"})
		if err == nil || !strings.Contains(err.Error(), "set LOG_DIR to a folder that can be written, or to off") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestRotation writes more than the files may hold together.
func TestRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, err := openFile(dir, "app.log", 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1<<19-1) + "\n")
	for range 11 {
		if _, err := file.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil { // waits for the elders to be removed
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Errorf("%d files, want 3: %v %v", len(files), files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 || info.Size() > 1<<20 {
			t.Errorf("%s: %v %v", f.Name(), info, err)
		}
	}
}

// disk fails while full is set, after taking some bytes.
type disk struct {
	bytes.Buffer
	full  bool
	takes int
}

func (d *disk) Write(b []byte) (int, error) {
	if !d.full {
		return d.Buffer.Write(b)
	}
	n, _ := d.Buffer.Write(b[:min(len(b), d.takes)])
	return n, errors.New("no space left on device")
}

func TestAFullDiskStopsNothing(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	d := &disk{}
	l := &lossy{w: d, told: &told, name: "logs/app.log"}
	log := slog.New(slog.NewJSONHandler(l, nil))
	log.Info("one")
	d.full, d.takes = true, 5
	for range 3 {
		log.Info("lost")
		d.takes = 0
	}
	if n := strings.Count(told.String(), "\n"); n != 1 || !strings.Contains(told.String(), "logs/app.log cannot be written") ||
		!strings.Contains(told.String(), "no space left") {
		t.Errorf("told %d lines: %s", n, &told)
	}
	d.full = false
	log.Info("two")
	log.Info("three")
	if !strings.HasSuffix(told.String(), "logs/app.log is written again, 3 lines were dropped\n") {
		t.Errorf("told: %s", &told)
	}
	var whole []string
	for line := range strings.Lines(d.String()) {
		if json.Valid([]byte(line)) {
			whole = append(whole, line)
		}
	}
	if len(whole) != 3 {
		t.Errorf("%d whole lines, want 3: %q", len(whole), d.String())
	}
}

func TestARealFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	var told bytes.Buffer
	l := &lossy{w: full, told: &told, name: "app.log"}
	if n, err := l.Write([]byte("line\n")); n != 5 || err != nil || !strings.Contains(told.String(), "no space left on device") {
		t.Errorf("%d %v %s", n, err, &told)
	}
}

func TestManyWriteAtOnce(t *testing.T) {
	t.Parallel()
	l, terminal, file := open(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 40 {
				l.Info("m", "who", i, "n", j)
				l.Hide(secret.New(fmt.Sprintf("secret-%d-%d", i, j)))
			}
		})
	}
	wg.Wait()
	if n, m := strings.Count(terminal.String(), "\n"), strings.Count(file(), "\n"); n != 320 || m != 320 {
		t.Errorf("%d and %d lines, want 320", n, m)
	}
	for line := range strings.Lines(file()) {
		if !json.Valid([]byte(line)) {
			t.Fatalf("no JSON: %q", line)
		}
	}
}
