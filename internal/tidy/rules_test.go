package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of what a reader should have to hold in mind at once, and of what git should have to carry.
const (
	linesPerFile     = 600
	linesPerFunction = 70
	bytesPerFile     = 800 << 10
)

// rules hold for each file by itself. Those about Go code leave tests alone unless they say otherwise.
var rules = []rule{
	{"imports follow the table", importTable},
	{"time and goroutines belong to node", determinism},
	{"platform names stay in channels", platformNames},
	{"only pay knows its states", states},
	{"files and functions are short", length},
	{"nothing is left undone", undone},
	{"no floating point near money", floats},
	{"no large or binary files", size},
	{"no trace of the workplace", workplace},
	{"the lock file names no host", lockFile},
	{"every command of a README is tested", readmeCommands},
}

// deterministic are the rooms that a seed can replay: clock, waking and goroutines come from node.
var deterministic = []string{
	"internal/pay", "internal/channel", "internal/gateway", "internal/view", "internal/webhook", "internal/store",
	"internal/sim",
}

// goroutineAllowed are the files with a goroutine of their own, with the reason.
var goroutineAllowed = map[string]string{
	"internal/store/writer.go":      "SQLite has one writer: it gathers the Changes of all callers into one commit",
	"internal/store/commit_wait.go": "a commit that waits for a synchronous standby must not be cancelled when its caller's patience ends",
}

// clockReads are the functions that read the wall clock or wake somebody later.
var clockReads = map[string][]string{
	"time":    {"Now", "Since", "Until", "After", "AfterFunc", "NewTicker", "NewTimer", "Tick", "Sleep"},
	"context": {"AfterFunc"},
}

func determinism(f file) []string {
	if !f.isGo() || f.testCode() || !f.in(deterministic...) {
		return nil
	}
	var found []string
	for n := range nodes(f) {
		switch n := n.(type) {
		case *ast.GoStmt:
			if goroutineAllowed[f.path] == "" {
				found = append(found, f.at(n.Pos(), "go statement"))
			}
		case *ast.CallExpr: // sync.WaitGroup.Go and its like
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Go" && len(n.Args) == 1 && isFuncLit(n.Args[0]) && goroutineAllowed[f.path] == "" {
				found = append(found, f.at(n.Pos(), "goroutine"))
			}
		case *ast.SelectorExpr:
			for pkg, names := range clockReads {
				if f.isPackage(n.X, pkg) && slices.Contains(names, n.Sel.Name) {
					found = append(found, f.at(n.Pos(), pkg+"."+n.Sel.Name))
				}
			}
		}
	}
	return found
}

func isFuncLit(e ast.Expr) bool {
	_, ok := e.(*ast.FuncLit)
	return ok
}

// nodes walks the file's syntax tree.
func nodes(f file) func(yield func(ast.Node) bool) { return ast.Preorder(f.ast) }

// isPackage reports whether e names the package imported from the given path (ours without the module name).
func (f file) isPackage(e ast.Expr, imported string) bool {
	ident, ok := e.(*ast.Ident)
	if !ok {
		return false
	}
	name := ""
	f.imports(func(spec *ast.ImportSpec, p string, _ bool) {
		if p == imported {
			name = path.Base(p)
			if spec.Name != nil {
				name = spec.Name.Name
			}
		}
	})
	return ident.Name == name
}

// platformNames looks at names and texts, not at comments and import paths: what may differ between platforms is
// data that a channel declares.
func platformNames(f file) []string {
	rooms := []string{"internal/pay", "internal/store", "internal/gateway", "internal/view", "internal/webhook", "internal/web"}
	if !f.isGo() || f.isTest() || !f.in(rooms...) {
		return nil
	}
	paths := map[int]bool{}
	f.imports(func(spec *ast.ImportSpec, _ string, _ bool) { paths[f.fset.Position(spec.Path.Pos()).Offset] = true })
	var found []string
	for offset, text := range tokens(f) {
		word := strings.ToLower(text)
		if !paths[offset] && (strings.Contains(word, "wechat") || strings.Contains(word, "alipay")) {
			line := 1 + bytes.Count(f.text[:offset], []byte("\n"))
			found = append(found, fmt.Sprintf("%s:%d: %s", f.path, line, text))
		}
	}
	return found
}

// tokens yields the offset and text of each identifier and literal, comments left out.
func tokens(f file) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		var s scanner.Scanner
		src := token.NewFileSet().AddFile(f.path, -1, len(f.text))
		s.Init(src, f.text, nil, 0)
		for {
			pos, tok, text := s.Scan()
			if tok == token.EOF || tok.IsLiteral() && !yield(src.Offset(pos), text) {
				return
			}
		}
	}
}

var stateName = regexp.MustCompile(`^(Payment(Open|Paid|Closed)|Attempt(Opening|Open|Paid|Closed|Refused)|Refund(Pending|Processing|Succeeded|Failed|Abnormal))$`)

// states keeps decisions in one place: others ask a payment's verbs. A channel may name the state that its platform's
// word stands for, and may not compare one either.
func states(f file) []string {
	if !f.isGo() || f.testCode() || f.in("internal/pay") {
		return nil
	}
	var found []string
	look := func(e ast.Node) {
		if s, ok := e.(*ast.SelectorExpr); ok && f.isPackage(s.X, "internal/pay") && stateName.MatchString(s.Sel.Name) {
			found = append(found, f.at(s.Pos(), "pay."+s.Sel.Name+": ask a verb of pay instead"))
		}
	}
	for n := range nodes(f) {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if !f.in("internal/channel") {
				look(n)
			}
		case *ast.BinaryExpr:
			if f.in("internal/channel") {
				look(n.X)
				look(n.Y)
			}
		case *ast.CaseClause:
			for _, e := range n.List {
				if f.in("internal/channel") {
					look(e)
				}
			}
		}
	}
	return found
}

func length(f file) []string {
	if !f.isGo() || f.isTest() {
		return nil
	}
	var found []string
	if n := lines(f.text); n > linesPerFile {
		found = append(found, fmt.Sprintf("%s: %d lines, the limit is %d", f.path, n, linesPerFile))
	}
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; n > linesPerFunction {
			found = append(found, f.at(fn.Pos(), fmt.Sprintf("%s has %d lines, the limit is %d", fn.Name.Name, n, linesPerFunction)))
		}
	}
	return found
}

// The words are written in halves so that this file may be checked too.
var (
	undoneWord = regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"}, "|") + `)\b`)
	skips      = []string{"Skip", "Skipf", "SkipNow"}
)

// undone holds for tests too: a test that is skipped proves nothing, and one that sleeps is slow or flaky.
func undone(f file) []string {
	if !f.isGo() {
		return nil
	}
	var found []string
	for _, loc := range undoneWord.FindAllIndex(f.text, -1) {
		line := 1 + bytes.Count(f.text[:loc[0]], []byte("\n"))
		found = append(found, fmt.Sprintf("%s:%d: %s", f.path, line, f.text[loc[0]:loc[1]]))
	}
	for n := range nodes(f) {
		s, ok := n.(*ast.SelectorExpr)
		switch {
		case !ok:
		case f.isPackage(s.X, "time") && s.Sel.Name == "Sleep":
			found = append(found, f.at(s.Pos(), "time.Sleep: wait for a signal"))
		case f.isTest() && slices.Contains(skips, s.Sel.Name):
			found = append(found, f.at(s.Pos(), s.Sel.Name+": a skipped test proves nothing"))
		}
	}
	return found
}

func floats(f file) []string {
	if !f.isGo() || f.testCode() || !f.in("internal/pay", "internal/channel", "internal/gateway", "internal/store") {
		return nil
	}
	var found []string
	for n := range nodes(f) {
		switch n := n.(type) {
		case *ast.Ident:
			if strings.Contains(strings.ToLower(n.Name), "float") {
				found = append(found, f.at(n.Pos(), n.Name))
			}
		case *ast.BasicLit:
			if n.Kind == token.FLOAT {
				found = append(found, f.at(n.Pos(), n.Value))
			}
		}
	}
	return found
}

func size(f file) []string {
	if len(f.text) > bytesPerFile {
		return []string{fmt.Sprintf("%s: %d bytes, the limit is %d", f.path, len(f.text), bytesPerFile)}
	}
	picture := f.in("docs") && path.Ext(f.path) == ".png"
	if !picture && (!utf8.Valid(f.text) || bytes.IndexByte(f.text, 0) >= 0) {
		return []string{f.path + ": is binary"}
	}
	return nil
}

// workplaceWords are written in halves so that this file may be checked too.
var workplaceWords = []string{"/wo" + "rk/", ".lib" + "rary", "sub" + "agent"}

func workplace(f file) []string {
	var found []string
	for _, word := range workplaceWords {
		if bytes.Contains(f.text, []byte(word)) {
			found = append(found, f.path+": mentions "+word)
		}
	}
	return found
}

// lockFile lets npm ci take packages from whatever registry the machine is set to, by hash.
func lockFile(f file) []string {
	if path.Base(f.path) == "package-lock.json" && bytes.Contains(f.text, []byte(`"resolved"`)) {
		return []string{f.path + `: has "resolved" fields; keep omit-lockfile-registry-resolved in .npmrc`}
	}
	return nil
}

var (
	commandBlock = regexp.MustCompile("^ {0,3}(```+|~~~+) *(sh|bash|shell|console)\\b")
	testTag      = regexp.MustCompile(`^<!-- test: [a-z0-9-]+ -->$`)
)

// readmeCommands asks for a tag on the line before each block of commands, which names the test that runs it.
func readmeCommands(f file) []string {
	if !slices.Contains([]string{"README.md", "README.zh-CN.md"}, f.path) {
		return nil
	}
	var found []string
	before := ""
	for i, line := range strings.Split(string(f.text), "\n") {
		if commandBlock.MatchString(line) && !testTag.MatchString(before) {
			found = append(found, fmt.Sprintf("%s:%d: no <!-- test: name --> on the line before the commands", f.path, i+1))
		}
		before = line
	}
	return found
}
