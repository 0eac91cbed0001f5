package tidy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const adr = "docs/adr/001-dependencies.md"

// reasonLine is a line of the record's table: | module | reason |.
var reasonLine = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]{12,} \\|$")

// withoutReason compares the modules that go.mod asks for directly with those that the record explains.
func withoutReason(direct []string, record string) []string {
	state := map[string]string{}
	for _, m := range direct {
		state[m] = m + " has no reason in " + adr
	}
	for _, line := range reasonLine.FindAllStringSubmatch(record, -1) {
		if _, used := state[line[1]]; used {
			delete(state, line[1])
		} else {
			state[line[1]] = line[1] + " is explained in " + adr + " but not used"
		}
	}
	return slices.Sorted(maps.Values(state))
}

func TestDependenciesHaveReasons(t *testing.T) {
	t.Parallel()
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(goTool(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	for _, finding := range withoutReason(direct, load(t).text(t, adr)) {
		t.Error(finding)
	}
}

func TestMissingReasonsAreFound(t *testing.T) {
	t.Parallel()
	record := "| Module | Why |\n|---|---|\n| `a.example/kept` | a reason long enough |\n| `a.example/gone` | a reason long enough |\n| `a.example/bare` | none |\n"
	got := withoutReason([]string{"a.example/kept", "a.example/new", "a.example/bare"}, record)
	want := []string{
		"a.example/bare has no reason in " + adr,
		"a.example/gone is explained in " + adr + " but not used",
		"a.example/new has no reason in " + adr,
	}
	if !slices.Equal(got, want) {
		t.Errorf("findings are %q, want %q", got, want)
	}
}

// The first version of modernc.org/sqlite that heeds cancellation everywhere and holds a SQLite without the WAL-reset
// corruption (its CHANGELOG; SQLite 3.51.3).
const (
	sqliteMinor = 62
	sqliteMajor = 1
)

var libcLine = regexp.MustCompile(`(?m)^\s*(?:require )?modernc\.org/libc (v\S+)`)

// sqliteProblems compares the chosen versions with what the driver was generated for: its doc.go asks for exactly the
// libc of its own go.mod, and Go's version selection alone would take any newer one.
func sqliteProblems(sqlite, libc, driverMod string) []string {
	var problems []string
	var major, minor int
	if _, err := fmt.Sscanf(sqlite, "v%d.%d.", &major, &minor); err != nil || major != sqliteMajor || minor < sqliteMinor {
		problems = append(problems, fmt.Sprintf("modernc.org/sqlite is %q, want v%d.%d.0 or newer", sqlite, sqliteMajor, sqliteMinor))
	}
	asked := libcLine.FindStringSubmatch(driverMod)
	if asked == nil {
		return append(problems, "the driver's go.mod asks for no modernc.org/libc")
	}
	if libc != asked[1] {
		problems = append(problems, fmt.Sprintf("modernc.org/libc is %q, want exactly the driver's %s", libc, asked[1]))
	}
	return problems
}

func TestSQLiteVersions(t *testing.T) {
	t.Parallel()
	sqlite, driverMod, _ := strings.Cut(strings.TrimSpace(string(goTool(t, "list", "-m", "-f", "{{.Version}} {{.GoMod}}", "modernc.org/sqlite"))), " ")
	libc := strings.TrimSpace(string(goTool(t, "list", "-m", "-f", "{{.Version}}", "modernc.org/libc")))
	text, err := os.ReadFile(driverMod)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range sqliteProblems(sqlite, libc, string(text)) {
		t.Error(problem)
	}
}

func TestSQLiteProblemsAreFound(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, sqlite, libc, driverMod, want string
	}{
		{"as asked", "v1.62.0", "v1.74.2", "require (\n\tmodernc.org/libc v1.74.2\n)", ""},
		{"newer driver", "v1.70.1", "v1.80.0", "require modernc.org/libc v1.80.0", ""},
		{"old driver", "v1.61.9", "v1.74.2", "require modernc.org/libc v1.74.2", `modernc.org/sqlite is "v1.61.9", want v1.62.0 or newer`},
		{"newer libc", "v1.62.0", "v1.74.3", "require modernc.org/libc v1.74.2", `modernc.org/libc is "v1.74.3", want exactly the driver's v1.74.2`},
		{"unreadable", "v1.62.0", "v1.74.2", "module modernc.org/sqlite", "the driver's go.mod asks for no modernc.org/libc"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(sqliteProblems(row.sqlite, row.libc, row.driverMod), "\n"); got != row.want {
				t.Errorf("problems are %q, want %q", got, row.want)
			}
		})
	}
}

func goTool(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return out
}
