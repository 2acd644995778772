package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
	"github.com/sluice-mq/sluice/tests/ports"
)

// broker is one that can be started again and again, each time with an empty store
// unless it is told to keep it.
type broker struct {
	name, version, settings string
	dialect                 bench.Dialect
	login, passcode         string
	// prepare writes configuration into an empty directory and says how to start there.
	prepare func(dir string, stomp int) (*exec.Cmd, error)
	// pid finds the broker's process, if it is not the one that was started.
	pid func(dir string) int
	// cleanUp ends what the broker leaves running.
	cleanUp func(dir string)

	dir    string
	port   int
	cmd    *exec.Cmd
	exited chan error
}

func newBroker(name string, s settings) (*broker, error) {
	switch name {
	case "sluice":
		return newSluice(s)
	case "activemq":
		return newActiveMQ(s)
	case "rabbitmq":
		return newRabbitMQ(s)
	}
	return nil, fmt.Errorf("no broker is called %q", name)
}

// startWithin bounds the start of a broker.
const startWithin = 2 * time.Minute

// start runs the broker with an empty store and returns when it takes connections.
func (b *broker) start(ctx context.Context) error {
	if err := os.RemoveAll(b.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	taken, err := ports.Keep(1)
	if err != nil {
		return err
	}
	b.port = taken[0]
	return b.resume(ctx)
}

// resume runs the broker on the store that it has.
func (b *broker) resume(ctx context.Context) error {
	cmd, err := b.prepare(b.dir, b.port)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(b.dir, "broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", b.name, err)
	}
	b.cmd, b.exited = cmd, make(chan error, 1)
	go func() { b.exited <- cmd.Wait() }()
	for end := time.Now().Add(startWithin); time.Now().Before(end); {
		if nc, err := net.Dial("tcp", b.address()); err == nil {
			return nc.Close()
		}
		select {
		case err := <-b.exited:
			b.exited <- err
			text, _ := os.ReadFile(filepath.Join(b.dir, "broker.log"))
			return fmt.Errorf("%s ended at its start: %w\n%s", b.name, err, lastLines(text, 20))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s did not listen within %s", b.name, startWithin)
}

// stop ends the broker, gently if it goes.
func (b *broker) stop() { b.end(syscall.SIGTERM) }

// kill ends it as a crash does.
func (b *broker) kill() { b.end(syscall.SIGKILL) }

func (b *broker) end(signal syscall.Signal) {
	if b.cmd == nil {
		return
	}
	_ = syscall.Kill(-b.cmd.Process.Pid, signal) // scripts start others
	select {
	case <-b.exited:
	case <-time.After(time.Minute):
		_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
		<-b.exited
	}
	b.cmd = nil
	if b.cleanUp != nil {
		b.cleanUp(b.dir)
	}
}

func (b *broker) address() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

func (b *broker) target() bench.Target {
	t := bench.Target{Name: b.name, Address: b.address(), Dialect: b.dialect, Login: b.login, Passcode: b.passcode, ServerPID: b.cmd.Process.Pid}
	if b.pid != nil {
		t.ServerPID = b.pid(b.dir)
	}
	return t
}

// newSluice is our own binary, with its defaults but for the ports.
func newSluice(s settings) (*broker, error) {
	version, err := exec.Command(s.sluice, "version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w (make build?)", s.sluice, err)
	}
	return &broker{
		name: "Sluice", version: strings.TrimSpace(strings.SplitN(string(version), "\n", 2)[0]), dir: filepath.Join(s.dir, "sluice"),
		settings: "defaults: durability disk, every receipt after its fdatasync",
		dialect:  bench.Dialects()["activemq"],
		prepare: func(dir string, stomp int) (*exec.Cmd, error) {
			cmd := exec.Command(s.sluice, "serve", "--dev", "--data-dir", filepath.Join(dir, "data"), "--log-level", "warn")
			cmd.Env = append(os.Environ(), fmt.Sprintf("SLUICE_LISTENERS=stomp=127.0.0.1:%d,nats=127.0.0.1:0,admin=127.0.0.1:0", stomp))
			return cmd, nil
		},
	}, nil
}

// newRelay keeps nothing: what it reaches is what the client of these measurements can reach.
func newRelay(s settings) *broker {
	return &broker{
		name: "relay", dir: filepath.Join(s.dir, "relay"), dialect: bench.RelayDialect(),
		prepare: func(_ string, stomp int) (*exec.Cmd, error) {
			return exec.Command(s.sluice, "bench", "relay", "--address", fmt.Sprintf("127.0.0.1:%d", stomp)), nil
		},
	}
}

// debianVersion is the version of an installed package.
func debianVersion(name string) (string, error) {
	out, err := exec.Command("dpkg-query", "-W", "-f=${Version}", name).Output()
	if err != nil || len(out) == 0 {
		return "", errors.New("Debian's package " + name + " is not installed: apt-get install " + name)
	}
	return string(out), nil
}

func lastLines(text []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
