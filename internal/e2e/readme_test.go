package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"piaohao/internal/freeport"
)

const (
	readmeRoot   = "../.."
	readmeWithin = 60 * time.Second // a step, on a busy machine; alone it takes less than one
)

// readmeStep says what a reader does with a tagged block and what he must see.
type readmeStep struct {
	starts   string   // the program that the block starts and leaves running; "" = the block ends by itself
	greets   string   // what a started program prints when it is ready
	want     []string // what the block prints
	tells    string   // what the running shop prints afterwards
	again    bool     // the reader repeats it until he sees it: a notice takes a moment
	replaces bool     // whatever runs is stopped first
	file     string   // the block is no command but this file
	unrun    string   // the make target of a block that is not run here: the whole test suite cannot run in itself
}

// readmeSteps are the blocks of a README by their tags.
var readmeSteps = map[string]readmeStep{
	"build":       {},
	"run":         {starts: "gateway", greets: "curl -s http", replaces: true},
	"make-test":   {unrun: "test"},
	"create":      {want: []string{`"status":"open"`, `"cashier_url":"http`, `"code":"weixin://`}},
	"pay":         {want: []string{`"out_trade_no"`, `"transaction_id"`}},
	"read":        {want: []string{`"status":"paid"`}, again: true},
	"alipay":      {want: []string{`"out_trade_no"`, `"trade_no"`}},
	"refund":      {want: []string{`"refund_no":"first-1"`, `"amount":40`}},
	"refunded":    {want: []string{`"status":"succeeded"`}, again: true},
	"operate":     {want: []string{"operator-1", "refund.created"}},
	"env":         {},
	"doctor":      {want: []string{"测试模式", "0 个错误 errors"}},
	"keys":        {want: []string{"sk_test_"}},
	"look":        {want: []string{"first", "paid"}},
	"close":       {want: []string{`"order_no":"third"`, `"status":"closed"`}},
	"openapi":     {want: []string{`"openapi":"3.1`, `/v1/payments/{id}/close`}},
	"shop-code":   {file: "main.go"},
	"shop":        {starts: "shop", greets: "the shop listens"},
	"run-webhook": {starts: "gateway", greets: "curl -s http"},
	"webhook":     {want: []string{`"transaction_id"`}, tells: "payment.paid order fourth, 100 fen"},
	"sim":         {starts: "gateway", greets: "/sim/credentials", replaces: true},
	"credentials": {want: []string{`"api_v3_key"`, `"alipay_public_key"`}},
	"faults":      {want: []string{`"drop_percent":50`}},
	"clock":       {want: []string{`"business"`}},
}

type readmeBlock struct{ tag, text string }

var readmeFence = regexp.MustCompile("(?ms)^<!-- test: ([a-z0-9-]+) -->\n```[a-z]+\n(.*?)^```$")

func readmeBlocks(t *testing.T, name string) []readmeBlock {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(readmeRoot, name))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []readmeBlock
	for _, m := range readmeFence.FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, readmeBlock{m[1], m[2]})
	}
	return blocks
}

// TestReadme does what a reader of each README does: every command as printed, one after the other, in a folder of its
// own. Changed are the ports, which may be taken, and "go run", which is the binary that the README builds.
func TestReadme(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocks := readmeBlocks(t, name)
			r := newReadmeReader(t, blocks)
			seen := map[string]bool{}
			for _, b := range blocks {
				step, known := readmeSteps[b.tag]
				if !known || seen[b.tag] {
					t.Fatalf("block %q is unknown or there twice", b.tag)
				}
				seen[b.tag] = true
				r.follow(b, step)
			}
			if len(seen) != len(readmeSteps) {
				t.Errorf("%d blocks, want %d", len(seen), len(readmeSteps))
			}
		})
	}
}

var (
	readmeHeading = regexp.MustCompile(`(?m)^#+ `)
	readmePicture = regexp.MustCompile(`docs/images/[a-z-]+\.png`)
)

// TestReadmesSayTheSame compares the structure of the two languages: headings, blocks, pictures.
func TestReadmesSayTheSame(t *testing.T) {
	t.Parallel()
	shape := func(name string) string {
		text, err := os.ReadFile(filepath.Join(readmeRoot, name))
		if err != nil {
			t.Fatal(err)
		}
		var tags []string
		for _, b := range readmeBlocks(t, name) {
			tags = append(tags, b.tag)
		}
		return fmt.Sprint(readmeHeading.FindAllString(string(text), -1), tags, readmePicture.FindAllString(string(text), -1))
	}
	if en, zh := shape("README.md"), shape("README.zh-CN.md"); en != zh {
		t.Errorf("README.md has\n%s\nREADME.zh-CN.md has\n%s", en, zh)
	}
}

// readmeReader is one reader: a folder, programs left running, variables that last from block to block.
type readmeReader struct {
	t        *testing.T
	dir      string
	env      []string
	replace  *strings.Replacer
	programs map[string]*readmeProgram
}

func newReadmeReader(t *testing.T, blocks []readmeBlock) *readmeReader {
	t.Helper()
	ports := []string{freeport.Addr(t), freeport.Addr(t), freeport.Addr(t), freeport.Addr(t)}
	r := &readmeReader{t: t, dir: t.TempDir(), programs: map[string]*readmeProgram{}}
	binary, shop := filepath.Join(r.dir, "piaohao"), filepath.Join(r.dir, "shop")
	r.replace = strings.NewReplacer(
		"127.0.0.1:5000", ports[0], "127.0.0.1:5001", ports[1], "127.0.0.1:5002", ports[2], "127.0.0.1:9000", ports[3],
		"go run ./cmd/piaohao", binary, "go run ./shop", shop, "-o piaohao", "-o "+binary,
	)
	r.env = append(readmeEnv(), "LISTEN_ADDR="+ports[0], "SIM_ADDR="+ports[1], "DEMO_ADDR="+ports[2])
	example, err := os.ReadFile(filepath.Join(readmeRoot, ".env.example"))
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, ".env.example"), example, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.tag == "build" { // the last thing a reader does, the first that this one needs
			r.bash(b.text, readmeRoot)
		}
	}
	return r
}

// readmeEnv is the environment without settings of ours.
func readmeEnv() []string {
	ours := regexp.MustCompile(`^(LISTEN_ADDR|(SIM|DEMO)_.*|DATA_DIR|DATABASE_URL|PUBLIC_URL|WEBHOOK_.*|RETURN_URL_ORIGINS|ALLOW_PUBLIC_TEST|LOG_.*|TRUSTED_PROXIES|ENV_FILE|WECHAT_.*|ALIPAY_.*|KEY)=`)
	return slices.DeleteFunc(os.Environ(), ours.MatchString)
}

func (r *readmeReader) follow(b readmeBlock, step readmeStep) {
	r.t.Helper()
	switch {
	case b.tag == "build":
	case step.unrun != "":
		r.target(b.text, step.unrun)
	case step.file != "":
		r.buildShop(r.replace.Replace(b.text), step.file)
	case step.starts != "":
		if step.replaces {
			for name := range r.programs {
				r.stop(name)
			}
		}
		r.stop(step.starts)
		r.start(step.starts, b.text, step.greets)
	default:
		r.see(b, step)
	}
}

// target looks whether the Makefile has what the block asks for.
func (r *readmeReader) target(block, target string) {
	r.t.Helper()
	if strings.TrimSpace(block) != "make "+target {
		r.t.Errorf("the block says %q", block)
	}
	makefile, err := os.ReadFile(filepath.Join(readmeRoot, "Makefile"))
	if err != nil || !bytes.Contains(makefile, []byte("\n"+target+":")) {
		r.t.Errorf("the Makefile has no target %s (%v)", target, err)
	}
}

// buildShop compiles the shop where the README puts it, in the module, without writing there.
func (r *readmeReader) buildShop(code, file string) {
	r.t.Helper()
	saved := filepath.Join(r.dir, file)
	root, err := filepath.Abs(readmeRoot)
	if err != nil {
		r.t.Fatal(err)
	}
	overlay, _ := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, "shop", file): saved}})
	overlayFile := filepath.Join(r.dir, "overlay.json")
	if err := errors.Join(os.WriteFile(saved, []byte(code), 0o600), os.WriteFile(overlayFile, overlay, 0o600)); err != nil {
		r.t.Fatal(err)
	}
	build := exec.CommandContext(r.t.Context(), "go", "build", "-overlay", overlayFile, "-o", filepath.Join(r.dir, "shop"), "./shop")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		r.t.Fatalf("the shop does not build: %v\n%s", err, out)
	}
}

const readmeStrict = "set -euo pipefail\n" // a block stops at its first failure

// bash runs a block in the one terminal for commands that end: variables stay for the next block.
func (r *readmeReader) bash(block, dir string) string {
	r.t.Helper()
	state := filepath.Join(r.dir, "state")
	script := readmeStrict + "test ! -e " + state + " || . " + state + "\nset -a\n" + r.replace.Replace(block) + "\nexport -p >" + state
	cmd := exec.CommandContext(r.t.Context(), "bash", "-c", script)
	cmd.Dir, cmd.Env = dir, r.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v\n%s\n%s", err, block, out)
	}
	return string(out)
}

// see runs a block and looks for what it must print, more than once where the reader would.
func (r *readmeReader) see(b readmeBlock, step readmeStep) {
	r.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(readmeWithin)
	for {
		out := r.bash(b.text, r.dir)
		missing := slices.DeleteFunc(slices.Clone(step.want), func(part string) bool { return strings.Contains(out, part) })
		if len(missing) == 0 {
			break
		}
		select {
		case <-tick.C:
			if step.again {
				continue
			}
		case <-late:
		}
		r.t.Fatalf("block %q lacks %q in\n%s", b.tag, missing, out)
	}
	if step.tells != "" {
		r.programs["shop"].await(step.tells)
	}
}

// readmeProgram is a program that a block left running; it collects what the program prints.
type readmeProgram struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan error

	mu      sync.Mutex
	printed bytes.Buffer
	more    chan struct{}
}

func (p *readmeProgram) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.printed.Write(text)
	select {
	case p.more <- struct{}{}:
	default: // one signal is waiting
	}
	return len(text), nil
}

func (p *readmeProgram) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.printed.String()
}

func (p *readmeProgram) await(part string) {
	p.t.Helper()
	late := time.After(readmeWithin)
	for !strings.Contains(p.text(), part) {
		select {
		case <-p.more:
		case err := <-p.ended:
			p.t.Fatalf("ended before it printed %q: %v\n%s", part, err, p.text())
		case <-late:
			p.t.Fatalf("did not print %q within %s:\n%s", part, readmeWithin, p.text())
		}
	}
}

// start runs a block in a terminal of its own until it is stopped.
func (r *readmeReader) start(name, block, greeting string) {
	r.t.Helper()
	cmd := exec.Command("bash", "-c", readmeStrict+r.replace.Replace(block))
	p := &readmeProgram{t: r.t, cmd: cmd, ended: make(chan error, 1), more: make(chan struct{}, 1)}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = r.dir, r.env, p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches the shell and what it runs
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	r.programs[name] = p
	r.t.Cleanup(func() { r.stop(name) })
	p.await(greeting)
}

// stop is Ctrl-C, and for what does not heed it in time, an end.
func (r *readmeReader) stop(name string) {
	p := r.programs[name]
	if p == nil {
		return
	}
	delete(r.programs, name)
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT)
	select {
	case err := <-p.ended:
		if name == "gateway" && err != nil {
			r.t.Errorf("Ctrl-C ended it with %v:\n%s", err, p.text())
		}
	case <-time.After(readmeWithin):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		r.t.Errorf("%s did not stop:\n%s", name, p.text())
	}
}
