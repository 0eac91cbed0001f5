package deploy_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"piaohao/internal/freeport"
)

const owner = 65532 // of the image

// read is one of our files.
func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func find(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in\n%s", pattern, text)
	}
	return m[1]
}

// TestImage does by hand what the Dockerfile says, as far as that goes without Docker: it builds with the same command,
// and runs the program as the same user with the same settings in a root that holds what the image holds.
func TestImage(t *testing.T) {
	t.Parallel()
	file := read(t, "Dockerfile")
	root := t.TempDir()
	build := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(find(t, file, `(?m)^RUN (CGO_ENABLED=0 go build .*)$`), "/out/", root+"/"))
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	isStatic(t, filepath.Join(root, "piaohao"))
	for _, want := range []string{"FROM scratch\n", "USER 65532:65532\n", "VOLUME /data\n", "WORKDIR /data\n", "--chown=65532:65532 /out/data /data\n", `ENTRYPOINT ["/piaohao"]`} {
		if !strings.Contains(file, want) {
			t.Errorf("the image has no %q", want)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	ports := []string{freeport.Port(t), freeport.Port(t), freeport.Port(t)}
	cmd := exec.CommandContext(t.Context(), "/piaohao")
	cmd.Env = append(strings.Fields(find(t, file, `(?m)^ENV (.*)$`)), "LISTEN_ADDR=127.0.0.1:"+ports[0], "SIM_ADDR=127.0.0.1:"+ports[1],
		"DEMO_ADDR=127.0.0.1:"+ports[2], "TZ=Asia/Shanghai")
	cmd.Dir = "/data"
	cmd.SysProcAttr = inside(t, root)
	out := &output{greeted: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-out.greeted:
	case <-time.After(patience):
		t.Errorf("no greeting:\n%s", out)
	}
	if resp, err := http.Get("http://127.0.0.1:" + ports[0] + "/payment/"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v %v\n%s", resp, err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// The zone of Shanghai came from the program itself: there is no file of it in the root.
	at, err := time.ParseInLocation("2006-01-02 15:04:05.000", find(t, out.String(), `(?m)^(\S+ \S+) INFO  request`), time.FixedZone("", 8*60*60))
	if off := time.Since(at).Abs(); err != nil || off > time.Hour {
		t.Errorf("the log's time is not Shanghai's: off by %s, %v\n%s", off, err, out)
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 2 {
		t.Errorf("it wrote outside of its folder: %v %v", entries, err)
	}
}

// output is what the program prints; greeted is closed when it is ready.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	once    sync.Once
	greeted chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(b)
	if strings.Contains(o.text.String(), "curl -s") {
		o.once.Do(func() { close(o.greeted) })
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// isStatic asks for a program that needs no loader and no library.
func isStatic(t *testing.T, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program asks for a loader")
		}
	}
	if libraries, err := f.ImportedLibraries(); len(libraries) > 0 || err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		t.Errorf("the program asks for %v, %v", libraries, err)
	}
}

// inside makes root the root of a process that runs as the image's user: with the rights of root, or else in a
// namespace where we are that user.
func inside(t *testing.T, root string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{
			Chroot: root, Cloneflags: syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: owner, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: owner, HostID: os.Getgid(), Size: 1}},
		}
	}
	if err := os.Chown(filepath.Join(root, "data"), owner, owner); err != nil {
		t.Fatal(err)
	}
	for dir := root; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: owner, Gid: owner}}
}

// TestNoKeysInTheBuild: what the Dockerfile's COPY takes is what .dockerignore allows by name.
func TestNoKeysInTheBuild(t *testing.T) {
	t.Parallel()
	lines := strings.Fields(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(read(t, "Dockerfile.dockerignore"), ""))
	if lines[0] != "*" {
		t.Fatal("not everything is left out first")
	}
	for _, line := range lines[1:] {
		path, allowed := strings.CutPrefix(line, "!")
		if _, err := os.Stat(filepath.Join("..", path)); !allowed || err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if strings.HasPrefix(path, ".env") || path == "data" || path == "logs" {
			t.Errorf("%s goes into the build", path)
		}
	}
}

const mostExposure = "15" // of 100 in systemd's own measure, 0 = shut off from everything

// mustBeShut are the lines of the unit that its measure alone would let go.
var mustBeShut = []string{
	"User=piaohao", "UMask=0077", "StateDirectoryMode=0700", "LogsDirectoryMode=0700", "CapabilityBoundingSet=", "NoNewPrivileges=yes",
	"ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes", "MemoryDenyWriteExecute=yes",
	"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources",
	"Restart=always", "StartLimitIntervalSec=0",
}

func TestUnit(t *testing.T) {
	t.Parallel()
	unit := filepath.Join(t.TempDir(), "piaohao.service")
	text := strings.ReplaceAll(read(t, "piaohao.service"), "/usr/local/bin/piaohao", "/bin/true") // is not installed here
	for _, line := range mustBeShut {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold="+mostExposure, unit).CombinedOutput()
	if err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
	t.Log(find(t, string(out), `(Overall exposure level.*)`))
}
