package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// documents are one text in two languages.
var documents = []string{"../docs/production.md", "../docs/production.zh-CN.md"}

var (
	shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	ourCommand = regexp.MustCompile(`(?m)(?:\bph|(?:^|[\s/])piaohao)((?: +[a-z]+)+)((?: +-.*)?)`)
	mention    = regexp.MustCompile("`ph ([a-z ]+[a-z])[^`]*`")
	setting    = regexp.MustCompile(`\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b`)
)

// notOurs are variables of other programs, and names inside the shell.
var notOurs = []string{"CGO_ENABLED"}

func TestDocumentsHaveTheSameCommands(t *testing.T) {
	t.Parallel()
	first := shellBlock.FindAllString(read(t, documents[0]), -1)
	if second := shellBlock.FindAllString(read(t, documents[1]), -1); len(first) < 20 || !slices.Equal(first, second) {
		t.Errorf("%d blocks of commands and %d differ", len(first), len(second))
	}
}

func TestCommandsAreShell(t *testing.T) {
	t.Parallel()
	for _, block := range shellBlock.FindAllStringSubmatch(read(t, documents[0]), -1) {
		cmd := exec.CommandContext(t.Context(), "bash", "-n")
		cmd.Stdin = strings.NewReader(block[1])
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, block[1])
		}
	}
}

// TestCommandsNameVerbs holds every call of the program against the verbs that it has.
func TestCommandsNameVerbs(t *testing.T) {
	t.Parallel()
	known := verbs(t)
	named := map[string]bool{}
	for _, document := range documents {
		text := read(t, document)
		var calls []string
		for _, block := range shellBlock.FindAllStringSubmatch(text, -1) {
			for _, call := range ourCommand.FindAllStringSubmatch(block[1], -1) {
				calls = append(calls, call[1])
			}
		}
		for _, call := range mention.FindAllStringSubmatch(text, -1) {
			calls = append(calls, call[1])
		}
		for _, call := range calls {
			words := strings.Fields(call)
			verb := words[0]
			if len(words) > 1 && known[words[0]] == "group" {
				verb += " " + words[1]
			}
			if known[verb] != "verb" && !notACall(verb) {
				t.Errorf("%s: the program has no %q, it has %v", document, verb, slices.Sorted(maps.Keys(known)))
			}
			named[verb] = true
		}
	}
	for _, verb := range []string{"doctor", "keys create", "keys list", "keys revoke", "incidents", "payment show", "version"} {
		if !named[verb] {
			t.Errorf("the documents do not name %q", verb)
		}
	}
}

// notACall is true for what follows the name of the program in other programs' arguments: a user, a container, a folder.
func notACall(word string) bool {
	return slices.Contains([]string{"env", "piaohao", "sqlite"}, word)
}

// verbs are the program's, read from the fields that its command line is declared by: "verb", or "group" of verbs.
func verbs(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../cmd/piaohao/*.go")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]*ast.StructType{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for n := range ast.Preorder(f) {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					types[spec.Name.Name] = s
				}
			}
		}
	}
	found := map[string]string{}
	var below func(s *ast.StructType, prefix string) bool
	below = func(s *ast.StructType, prefix string) (any bool) {
		for _, field := range s.Fields.List {
			if field.Tag == nil || len(field.Names) != 1 {
				continue
			}
			tag, _ := strconv.Unquote(field.Tag.Value)
			if _, is := reflect.StructTag(tag).Lookup("cmd"); !is {
				continue
			}
			name := prefix + strings.ToLower(field.Names[0].Name)
			found[name] = "verb"
			if kind, ok := field.Type.(*ast.Ident); ok && types[kind.Name] != nil && below(types[kind.Name], name+" ") {
				found[name] = "group"
			}
			any = true
		}
		return any
	}
	below(types["verbs"], "")
	if found["serve"] != "verb" {
		t.Fatalf("found the verbs %v", found)
	}
	return found
}

// TestSettingsExist holds every setting in documents and examples against those that the program reads.
func TestSettingsExist(t *testing.T) {
	t.Parallel()
	known := settings(t)
	for _, file := range append([]string{"nginx.conf", "Caddyfile", "piaohao.service", "Dockerfile"}, documents...) {
		for _, name := range setting.FindAllString(read(t, file), -1) {
			if !known[name] && !slices.Contains(notOurs, name) && !strings.HasPrefix(name, "AF_") {
				t.Errorf("%s names %s, which is no setting", file, name)
			}
		}
	}
}

// settings are the names that config and the drivers write as texts or tags.
func settings(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, dir := range []string{"../internal/config", "../internal/channel"} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, name := range regexp.MustCompile(`"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"`).FindAllStringSubmatch(string(text), -1) {
				known[name[1]] = true
			}
			for _, prefix := range regexp.MustCompile(`Prefix: +"([A-Z]+)"`).FindAllStringSubmatch(string(text), -1) {
				for _, own := range []string{"_NOTIFY_URL", "_RETURN_URL", "_SANDBOX", "_PRODUCTS"} {
					known[prefix[1]+own] = true
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !known["DATA_DIR"] || !known["WECHAT_NOTIFY_URL"] {
		t.Fatalf("found the settings %v", slices.Sorted(maps.Keys(known)))
	}
	return known
}

// TestLinks follows every link of the documents to a file or a heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, document := range documents {
		text := read(t, document)
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			to := link[1]
			if heading, here := strings.CutPrefix(to, "#"); here {
				if !slices.Contains(headings(text), heading) {
					t.Errorf("%s has no heading #%s", document, heading)
				}
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), to)); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
}

// headings are the names by which pages of a repository link to them.
func headings(text string) []string {
	var out []string
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(h[1]), "")
		out = append(out, strings.ReplaceAll(name, " ", "-"))
	}
	return out
}
