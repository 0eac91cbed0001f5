package faults_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"piaohao/internal/store/storetest"
)

var soak = os.Getenv("PIAOHAO_SOAK") == "1"

// dir holds the built programs.
var dir string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if dir, err = os.MkdirTemp("", "piaohao-faults-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer storetest.Stop()
	return m.Run()
}

// laid are the changes of the source in the program with hooks, under internal. What stands under FAULT_WRONG is a
// mistake that sleeps until it is named there: it shows that a machine can see.
var laid = []struct{ file, from, to string }{
	{"store/sqlite.go", `s.writable, err = sql.Open("sqlite"`, `s.writable, err = sql.Open(faultDriver`},
	{"store/sqlite.go", `var writerPragmas = []string{"synchronous(FULL)"`, `var writerPragmas = []string{"synchronous(" + faultSynchronous + ")"`},
	{"store/sqlite.go", `journal != "wal" || synchronous != 2`, `journal != "wal" || synchronous != 2 && faultSynchronous == "FULL"`},
	{"store/writer.go", "\tif err := w.exec(stmt{text: \"COMMIT\"}); err != nil {", "\tfaultEarly(group)\n\tif err := w.exec(stmt{text: \"COMMIT\"}); err != nil {"},
	{"store/writer.go", "func (w *writer) exec(s stmt) error {\n", "func (w *writer) exec(s stmt) error {\n\tdefer faultExec(w, s)\n"},
	{"store/writer.go", "if sqliteIO(err) {", "if sqliteIO(err) && !faultRetries {"},
	{"store/postgres.go", "config.MaxConns, ", "config.ConnConfig.DialFunc = countingDial(config.ConnConfig.DialFunc)\n\tconfig.MaxConns, "},
	{"node/build.go", "now: time.Now,", "now: faultClock(time.Now),"},
	{"node/platforms.go", "Wall: time.Now,", "Wall: faultClock(time.Now),"},
	{"node/node.go", "\tl.always(live, \"clock\", clockEvery, under(l.watchClock(n.db.Clock)))\n", ""}, // PostgreSQL's clock has the common speed
}

// hooked is the program with hooks: it counts and dies where it is told to, and its clock can run faster.
var hooked = sync.OnceValues(func() (string, error) {
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	texts := map[string]string{}
	for _, name := range []string{"store", "node"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".go.txt"))
		if err != nil {
			return "", err
		}
		texts[filepath.Join(name, "faults.go")] = string(text)
	}
	for _, l := range laid {
		text, known := texts[l.file]
		if !known {
			whole, err := os.ReadFile(filepath.Join("..", "..", l.file))
			if err != nil {
				return "", err
			}
			text = string(whole)
		}
		if n := strings.Count(text, l.from); n != 1 {
			return "", fmt.Errorf("%q occurs %d times in %s: the hook does not fit any more", l.from, n, l.file)
		}
		texts[l.file] = strings.Replace(text, l.from, l.to, 1)
	}
	for file, text := range texts {
		path, err := filepath.Abs(filepath.Join("..", "..", file))
		if err != nil {
			return "", err
		}
		overlay.Replace[path] = filepath.Join(dir, strings.ReplaceAll(file, string(filepath.Separator), "_"))
		if err := os.WriteFile(overlay.Replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		return "", err
	}
	return build("hooked", "-overlay", file)
})

// plain is the program as it is shipped.
var plain = sync.OnceValues(func() (string, error) { return build("plain") })

func build(name string, flags ...string) (string, error) {
	bin := filepath.Join(dir, name)
	c := exec.Command("go", append(append([]string{"build"}, flags...), "-o", bin, "piaohao/cmd/piaohao")...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
