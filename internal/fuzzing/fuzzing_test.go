package fuzzing

import (
	"bytes"
	"context"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"piaohao/internal/e2e/totals"
)

const soakEach = time.Minute

var each = flag.Duration("fuzzing.each", 0, "run each target for this long; 0 = only list them, or a minute in a soak")

// target is one fuzz function.
type target struct{ room, name string }

var (
	declared = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\) \{`)
	progress = regexp.MustCompile(`execs: (\d+) `)
)

// targets finds them, and complains of those without a seed: nobody would ever run them in make test.
func targets(t *testing.T) []target {
	t.Helper()
	root := filepath.Join("..", "..")
	var list []target
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == ".git"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		room, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, at := range declared.FindAllSubmatchIndex(text, -1) {
			name := string(text[at[2]:at[3]])
			body, _, _ := bytes.Cut(text[at[1]:], []byte("\n}\n"))
			if !bytes.Contains(body, []byte("f.Add(")) {
				t.Errorf("%s of %s has no seed", name, room)
			}
			list = append(list, target{filepath.ToSlash(room), name})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// parsers are the rooms that read what others wrote: each has a target.
var parsers = []string{
	"client", "internal/channel/alipay", "internal/channel/wechatv2", "internal/channel/wechatv3", "internal/config", "internal/gateway",
	"internal/keys", "internal/logs", "internal/strict", "internal/web/api", "internal/web/httpx", "internal/webhook",
}

func TestFuzzing(t *testing.T) {
	t.Parallel()
	list := targets(t)
	has := map[string]int{}
	for _, x := range list {
		has[x.room]++
	}
	for _, room := range parsers {
		if has[room] == 0 {
			t.Errorf("%s has no fuzz target", room)
		}
	}
	long := *each
	if long == 0 && os.Getenv("PIAOHAO_SOAK") != "" {
		long = soakEach
	}
	if long == 0 {
		t.Logf("fuzz targets: %d in %d rooms", len(list), len(has))
		return
	}
	total := 0
	for _, x := range list { // one after another: each takes every core
		t.Run(x.room+" "+x.name, func(t *testing.T) { total += x.run(t, long) }) //nolint:paralleltest // see above
	}
	totals.Write(t, "fuzzing", totals.Row{What: "targets", Found: len(list)}, totals.Row{What: "rooms", Found: len(has)},
		totals.Row{What: "executions", Found: total})
}

// run fuzzes one target and returns how many inputs it was given.
func (x target) run(t *testing.T, long time.Duration) (execs int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long+5*time.Minute) // building, and the corpus before
	defer cancel()
	c := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+x.name+"$", "-fuzztime", long.String(), "./"+x.room)
	c.Dir = filepath.Join("..", "..")
	c.Env = append(os.Environ(), "PIAOHAO_SOAK=")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	all := progress.FindAllSubmatch(out, -1)
	if len(all) == 0 {
		t.Errorf("no execution:\n%s", out)
		return 0
	}
	execs, err = strconv.Atoi(string(all[len(all)-1][1]))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d executions", execs)
	return execs
}
