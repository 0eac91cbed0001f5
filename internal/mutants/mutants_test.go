package mutants

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"piaohao/internal/e2e/totals"
)

const (
	rotating = 2               // mutants of a short run
	patience = 3 * time.Minute // of one mutant: a test that hangs without a check has seen it
)

var (
	only  = flag.String("mutants.only", "", "run the mutants whose file or name holds this text")
	whole = flag.Bool("mutants.whole", false, "run all tests of the package instead of the named one, and print which fail")
)

// source is a file with what can be taken out of it.
type source struct {
	path    string // under the repository's root
	mutants []mutant
}

type mutant struct {
	name     string
	from, to string // from occurs once in the file
	// test is the one that goes red, or several with | between; before a space stands its package, where it is not the
	// file's own.
	test string
}

// planted is a mutant with where it belongs.
type planted struct {
	mutant
	path, room, test string
}

var sources = slices.Concat(ofPay, ofStore, ofGateway, ofChannels, ofWechat, ofAlipay, ofWeb, ofConfig)

// all lists the mutants and checks that each still fits.
func all(t *testing.T) []planted {
	t.Helper()
	var list []planted
	names := map[string]bool{}
	for _, s := range sources {
		text := read(t, s.path)
		for _, m := range s.mutants {
			p := planted{mutant: m, path: s.path, room: path.Dir(s.path), test: m.test}
			if room, test, other := strings.Cut(m.test, " "); other {
				p.room, p.test = room, test
			}
			switch n := bytes.Count(text, []byte(m.from)); {
			case n != 1:
				t.Errorf("%s: its text occurs %d times in %s: fit the mutant to the code\n%s", m.name, n, s.path, m.from)
			case m.from == m.to || m.test == "":
				t.Errorf("%s: changes nothing, or names no test", m.name)
			case names[m.name]:
				t.Errorf("%s: two mutants of one name", m.name)
			}
			names[m.name] = true
			list = append(list, p)
		}
	}
	return list
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// chosen are the mutants of this run. A short run takes some by the hash of all that can be mutated: the same tree runs
// the same, and every change of it turns the wheel.
func chosen(t *testing.T, list []planted) []planted {
	t.Helper()
	switch {
	case *only != "":
		return slices.DeleteFunc(list, func(p planted) bool { return !strings.Contains(p.path+" "+p.name, *only) })
	case os.Getenv("PIAOHAO_SOAK") != "":
		return list
	}
	h := sha256.New()
	for _, s := range sources {
		_, _ = h.Write(read(t, s.path)) // a hash takes everything
	}
	at := binary.BigEndian.Uint64(h.Sum(nil))
	var some []planted
	for i := range uint64(rotating) {
		some = append(some, list[(at+i*uint64(len(list)/rotating))%uint64(len(list))])
	}
	return some
}

func TestMutants(t *testing.T) {
	t.Parallel()
	list := all(t)
	if t.Failed() {
		return
	}
	run := chosen(t, list)
	var seen atomic.Int64
	t.Cleanup(func() {
		totals.Write(t, "mutants", totals.Row{What: "mistakes planted in the source, each with the test that must see it", Found: len(list)},
			totals.Row{What: "run", Found: len(run)}, totals.Row{What: "seen", Found: seen.Load()})
	})
	for _, p := range run {
		t.Run(strings.ReplaceAll(p.name, "/", "-"), func(t *testing.T) {
			t.Parallel()
			out := p.run(t)
			switch verdict(out, p.test) {
			case red:
				seen.Add(1)
				t.Log("seen")
				if *whole {
					t.Log(strings.Join(failed(out), "|"))
				}
			case green:
				t.Errorf("SURVIVOR: %s in %s, and %s is green", p.name, p.path, p.test)
			case broken:
				t.Errorf("%s does not run:\n%s", p.name, out)
			}
		})
	}
}

// run returns what the named test says with the mutant in place.
func (p planted) run(t *testing.T) (out string) {
	t.Helper()
	dir := t.TempDir()
	changed := filepath.Join(dir, "mutant"+path.Ext(p.path))
	text := bytes.Replace(read(t, p.path), []byte(p.from), []byte(p.to), 1)
	if err := os.WriteFile(changed, text, 0o600); err != nil {
		t.Fatal(err)
	}
	original, err := filepath.Abs(filepath.Join("..", "..", filepath.FromSlash(p.path)))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	listed := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(listed, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	pattern := "^(" + p.test + ")$"
	if *whole {
		pattern = "."
	}
	args := []string{
		"test", "-vet=off", "-count=1", "-timeout", patience.String(), "-overlay", listed, "-run", pattern, "./" + p.room,
	}
	if usesRapid(t, p.room) { // else it would keep what made it fail, in the tree
		args = append(args, "-rapid.nofailfile")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience+time.Minute) // go test gives up first
	defer cancel()
	c := exec.CommandContext(ctx, "go", args...)
	c.Dir = filepath.Join("..", "..")
	c.Env = append(os.Environ(), "PIAOHAO_SOAK=") // the short form of a test is enough to see it
	var all bytes.Buffer
	c.Stdout, c.Stderr = &all, &all
	_ = c.Run() // what it says is judged
	return all.String()
}

// usesRapid reports whether the tests of a room know rapid's flags.
func usesRapid(t *testing.T, room string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(room), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(name string) bool {
		text, err := os.ReadFile(name)
		return err == nil && bytes.Contains(text, []byte(`"pgregory.net/rapid"`))
	})
}

type colour int

const (
	broken colour = iota
	green
	red
)

// verdict reads what go test printed about a test or several. Red is that a test failed, panicked or hung; whatever does
// not compile, or runs no test, proves nothing.
func verdict(out, test string) colour {
	switch {
	case strings.Contains(out, "[build failed]"), strings.Contains(out, "[setup failed]"), strings.Contains(out, "no tests to run"):
		return broken
	case *whole && len(failed(out)) > 0, regexp.MustCompile(`(?m)^--- FAIL: (` + test + `)\b`).MatchString(out),
		strings.Contains(out, "\npanic: "), strings.HasPrefix(out, "panic: "):
		return red
	case regexp.MustCompile(`(?m)^ok\s`).MatchString(out):
		return green
	}
	return broken
}

func failed(out string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^--- FAIL: (\w+)`).FindAllStringSubmatch(out, -1) {
		names = append(names, m[1])
	}
	return names
}

// TestVerdict: the machine tells red from green, and both from what proves nothing.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]colour{
		"--- FAIL: TestA (0.00s)\n    x\nFAIL\nFAIL\tpiaohao/internal/pay\t0.1s\n": red,
		"panic: boom\n\ngoroutine 7\nFAIL\tpiaohao/internal/pay\t0.1s\n":           red,
		"ok  \tpiaohao/internal/pay\t0.1s\n":                                       green,
		"ok  \tpiaohao/internal/pay\t0.1s [no tests to run]\n":                     broken,
		"./a.go:1: oops\nFAIL\tpiaohao/internal/pay [build failed]\n":              broken,
		"--- FAIL: TestOther (0.00s)\nFAIL\n":                                      broken,
		"":                                                                         broken,
	} {
		if got := verdict(out, "TestA|TestB"); got != want {
			t.Errorf("%q: %d, want %d", out, got, want)
		}
	}
}
