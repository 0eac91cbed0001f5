package config_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"piaohao/internal/config"
)

var (
	settingName = regexp.MustCompile(`^[A-Z]+(_[A-Z]+)+$`)
	settingLine = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (?:`([^`]+)`|–) \\| (.+) \\|$")
)

// TestReadmesNameTheSettings holds the tables of both READMEs against Load: the same variables, with defaults that
// change nothing when they are written out.
func TestReadmesNameTheSettings(t *testing.T) {
	t.Parallel()
	known := settingsOfLoad(t)
	unset, err := config.Load(config.Source{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("../../" + name)
			if err != nil {
				t.Fatal(err)
			}
			var listed []string
			for _, line := range settingLine.FindAllStringSubmatch(string(text), -1) {
				variable, otherwise := line[1], line[2]
				listed = append(listed, variable)
				c, err := config.Load(config.Source{Env: map[string]string{variable: otherwise}}, nil)
				if err != nil || !reflect.DeepEqual(c, unset) {
					t.Errorf("%s=%s is not the default: %v", variable, otherwise, err)
				}
			}
			slices.Sort(listed)
			if !slices.Equal(listed, known) {
				t.Errorf("the table has\n%q\nand Load knows\n%q", listed, known)
			}
		})
	}
}

// settingsOfLoad are the names of variables that the package writes as texts; what a platform needs is in tags instead.
func settingsOfLoad(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for n := range ast.Preorder(f) {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, _ := strconv.Unquote(lit.Value); settingName.MatchString(text) {
					names[text] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
