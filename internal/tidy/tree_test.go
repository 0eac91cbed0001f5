package tidy

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "piaohao"

// file is one file of the repository. The Go part is nil for other files.
type file struct {
	path string // from the root, with slashes
	text []byte
	fset *token.FileSet
	ast  *ast.File
}

// tree is the repository: what git tracks or would add.
type tree []file

func newFile(name string, text []byte) (file, error) {
	f := file{path: name, text: text}
	if path.Ext(name) != ".go" {
		return f, nil
	}
	f.fset = token.NewFileSet()
	var err error
	f.ast, err = parser.ParseFile(f.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return f, err
}

func (f file) room() string { return path.Dir(f.path) }
func (f file) isGo() bool   { return f.ast != nil }
func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// testCode is true for tests and for the rooms that only tests import.
func (f file) testCode() bool {
	return f.isTest() || f.in("internal/channel/channeltest", "internal/store/storetest", "internal/storm", "internal/e2e")
}

func (f file) external() bool { return f.isTest() && strings.HasSuffix(f.ast.Name.Name, "_test") }

// in reports whether the file lies in one of the rooms or below it.
func (f file) in(rooms ...string) bool {
	return slices.ContainsFunc(rooms, func(room string) bool {
		return strings.HasPrefix(f.path, room+"/")
	})
}

// at is the finding "path:line: text".
func (f file) at(p token.Pos, text string) string {
	return fmt.Sprintf("%s:%d: %s", f.path, f.fset.Position(p).Line, text)
}

// imports calls yield with the path of each import of ours, relative to the module, and of each other as it is.
func (f file) imports(yield func(spec *ast.ImportSpec, imported string, ours bool)) {
	for _, spec := range f.ast.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser took it, so it is a string
		relative, ours := strings.CutPrefix(imported, module+"/")
		yield(spec, relative, ours)
	}
}

const root = "../.."

// repository loads the tree once; every rule reads the same one and changes nothing.
var repository = sync.OnceValues(func() (tree, error) {
	// The checkout may belong to another user than the one who tests: git refuses that by default.
	list := exec.CommandContext(context.Background(), "git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var t tree
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		if err != nil {
			return nil, err
		}
		f, err := newFile(name, text)
		if err != nil {
			return nil, err
		}
		t = append(t, f)
	}
	return t, nil
})

func load(t *testing.T) tree {
	t.Helper()
	tr, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// text returns the file's text; a missing file fails the test.
func (tr tree) text(t *testing.T, name string) string {
	t.Helper()
	for _, f := range tr {
		if f.path == name {
			return string(f.text)
		}
	}
	t.Fatalf("%s is missing", name)
	return ""
}

// rule is one thing that holds for each file by itself.
type rule struct {
	name  string
	check func(file) []string // findings
}

// TestFiles runs every rule over every file of the repository.
func TestFiles(t *testing.T) {
	t.Parallel()
	tr := load(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, f := range tr {
				for _, finding := range r.check(f) {
					t.Error(finding)
				}
			}
		})
	}
}

// TestRulesFind shows each rule finding what it forbids and leaving alone what it allows.
func TestRulesFind(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, row := range examples {
		covered[row.rule] = true
		t.Run(row.rule+": "+row.name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(rules, func(r rule) bool { return r.name == row.rule })
			if i < 0 {
				t.Fatal("no such rule")
			}
			f, err := newFile(row.path, []byte(row.text))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(rules[i].check(f), "\n")
			if row.want == "" && got != "" || !strings.Contains(got, row.want) {
				t.Errorf("findings are\n%s\nwant\n%s", got, row.want)
			}
		})
	}
	for _, r := range rules {
		if !covered[r.name] {
			t.Errorf("rule %q has no example", r.name)
		}
	}
}

func lines(text []byte) int {
	n := bytes.Count(text, []byte("\n"))
	if len(text) > 0 && text[len(text)-1] != '\n' {
		n++
	}
	return n
}
