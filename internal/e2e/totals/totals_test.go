package totals

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const sections = "# Page\nbefore\n<!-- totals: a -->\nold, and longer than what follows\n<!-- /totals -->\nbetween\n<!-- totals: b -->\n<!-- /totals -->\nafter\n"

func pageOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReplace(t *testing.T) {
	t.Parallel()
	path := pageOf(t, sections)
	var wg sync.WaitGroup
	for machine, text := range map[string]string{"a": "1\n", "b": "2\n3\n"} {
		wg.Go(func() {
			if err := replace(path, machine, text, true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want := "# Page\nbefore\n<!-- totals: a -->\n1\n<!-- /totals -->\nbetween\n<!-- totals: b -->\n2\n3\n<!-- /totals -->\nafter\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestReplaceLeavesThePageAlone(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, page, machine string
		publish, refused    bool
	}{
		{"a short run", sections, "a", false, false},
		{"no section", sections, "c", true, true},
		{"no section in a short run", sections, "c", false, true},
		{"a section without an end", "<!-- totals: a -->\n", "a", true, true},
		{"two sections of one name", sections + sections, "a", true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			path := pageOf(t, row.page)
			if err := replace(path, row.machine, "new\n", row.publish); (err != nil) != row.refused {
				t.Errorf("refused: %v", err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != row.page {
				t.Errorf("%v\n%s", err, got)
			}
		})
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	got := table(time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC), []Row{{"kills", 1234567}, {"slowest", 62 * time.Millisecond}, {"wrong", 0}, {"seeds", 999}})
	head, rows, _ := strings.Cut(got, "\n")
	if !strings.HasPrefix(head, "| 2026-11-27, ") || rows != "|---|---|\n| kills | 1,234,567 |\n| slowest | 62ms |\n| wrong | 0 |\n| seeds | 999 |\n" {
		t.Error(got)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	path, err := find()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
