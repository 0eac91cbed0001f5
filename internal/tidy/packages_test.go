package tidy

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// undocumented returns the folders with Go code of which no file outside of tests says what the package is for.
func undocumented(tr tree) []string {
	documented := map[string]bool{}
	for _, f := range tr {
		if f.isGo() {
			documented[f.room()] = documented[f.room()] || !f.isTest() && f.ast.Doc.Text() != ""
		}
	}
	maps.DeleteFunc(documented, func(_ string, ok bool) bool { return ok })
	return slices.Sorted(maps.Keys(documented))
}

func TestPackageDocs(t *testing.T) {
	t.Parallel()
	for _, room := range undocumented(load(t)) {
		t.Errorf("%s has no package comment", room)
	}
}

func TestPackageDocsAreMissed(t *testing.T) {
	t.Parallel()
	tr := tree{
		goFile(t, "a/a.go", "// Package a is documented.\npackage a"), goFile(t, "a/b.go", "package a"),
		goFile(t, "b/b.go", "package b"), goFile(t, "b/b_test.go", "// Package b has its comment in the wrong place.\npackage b"),
	}
	if got := undocumented(tr); !slices.Equal(got, []string{"b"}) {
		t.Errorf("undocumented packages are %v, want b", got)
	}
}

// statusConstants returns the names of constants whose type is one of pay's states.
func statusConstants(tr tree) []string {
	var names []string
	for _, f := range tr {
		if !f.in("internal/pay") || f.ast == nil || f.isTest() {
			continue
		}
		for n := range nodes(f) {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				continue
			}
			kind, ok := spec.Type.(*ast.Ident)
			if ok && slices.Contains([]string{"PaymentStatus", "AttemptStatus", "RefundStatus"}, kind.Name) {
				for _, name := range spec.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// TestStateNames keeps the rule about states from overlooking a new state.
func TestStateNames(t *testing.T) {
	t.Parallel()
	names := statusConstants(load(t))
	if len(names) < 13 {
		t.Errorf("found the states %v, want those of payment, attempt and refund", names)
	}
	for _, name := range names {
		if !stateName.MatchString(name) {
			t.Errorf("the rule about states does not know pay.%s", name)
		}
	}
}

// TestRoomsHaveOneLine keeps the import table without doubt: no package matches two of its lines.
func TestRoomsHaveOneLine(t *testing.T) {
	t.Parallel()
	for a := range mayImport {
		for b := range mayImport {
			if a != b && matches([]string{a}, strings.TrimSuffix(b, "/...")) {
				t.Errorf("%s and %s overlap", a, b)
			}
		}
	}
}

func goFile(t *testing.T, name, text string) file {
	t.Helper()
	f, err := newFile(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestReadmes keeps the rule about their commands from having nothing to look at.
func TestReadmes(t *testing.T) {
	t.Parallel()
	tr := load(t)
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		if !strings.Contains(tr.text(t, name), "\n<!-- test: ") {
			t.Errorf("%s shows no tested command", name)
		}
	}
}
