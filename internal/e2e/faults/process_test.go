package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// process is a running program, perhaps under strace.
type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error // after ended
}

// startProcess runs args with nothing but env around it; the end of the test kills it.
func startProcess(t *testing.T, log string, env []string, args ...string) *process {
	t.Helper()
	out := must[*os.File](t)(os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))
	defer func() { _ = out.Close() }()
	p := &process{cmd: exec.Command(args[0], args[1:]...), log: log, ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends it and what it started, at once.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	<-p.ended
}

// killed reports whether SIGKILL ended it.
func (p *process) killed() bool {
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// stop asks it to end, as a service manager does.
func (p *process) stop() error {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	<-p.ended
	return p.err
}

// tail is the end of the log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-3000):])
}

// answers waits until the process answers at url; false: it ended.
func (p *process) answers(ctx context.Context, client *http.Client, url string) (bool, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, err
		}
		if resp, err := client.Do(req); err == nil {
			return true, resp.Body.Close()
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return false, nil
		case <-ctx.Done():
			return false, fmt.Errorf("no answer from %s: %w\n%s", url, ctx.Err(), p.tail())
		}
	}
}
