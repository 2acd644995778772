//go:build linux

package powercut

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Process is a running program that can be frozen. It need not be our writer.
type Process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{} // closed when it has ended and was waited for
}

// StartWriter starts this test binary again as a writer.
func StartWriter(job Job) (*Process, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	return Run(cmd)
}

// Run starts a program. Its standard input ends when the test does, however that ends.
func Run(cmd *exec.Cmd) (*Process, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd, stdin, make(chan struct{})}
	go func() { // ends with the process, which Kill waits for
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// AwaitEnd waits until the process has ended by itself, and says whether it did in time.
func (p *Process) AwaitEnd(within time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(within):
		return false
	}
}

// Freeze stops every thread of the process and returns when all stand still. A system call under way is ended first.
func (p *Process) Freeze() error { return Freeze(p.cmd.Process.Pid) }

// Freeze stops processes as one does a Process, as much at once as can be.
func Freeze(pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(patience)
	for slices.ContainsFunc(pids, func(pid int) bool { return !still(pid) }) {
		if time.Now().After(deadline) {
			return errors.New("the process does not stop")
		}
		time.Sleep(100 * time.Microsecond)
	}
	return nil
}

func still(pid int) bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		return false
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that ended
		}
		_, rest, ok := strings.Cut(string(text), ") ")
		if !ok || !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return true
}

// Thaw lets it go on.
func (p *Process) Thaw() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Kill ends it and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.stdin.Close()
	<-p.ended
}
