package node

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stopWithin is just before a node gives its own end up, without the time that it leaves to load balancers.
const stopWithin = 9500 * time.Millisecond

// logsVariable names a folder where all nodes leave their logs, also if nothing failed.
const logsVariable = "SLUICE_TESTS_LOGS"

// patience is how long a node may take to start or to stop before a test fails.
const patience = 60 * time.Second

// Node is a running sluice. Methods other than Log and Addr belong to the
// test's goroutine. What it holds is released when the test ends.
type Node struct {
	t        testing.TB
	dir      string
	settings []string
	file     string        // its configuration; "" runs it with --dev
	binary   string        // "" is what is built of the sources
	grace    time.Duration // that it leaves to load balancers when it stops
	cmd      *exec.Cmd
	ended    chan struct{} // closed when the process is gone and its log is complete

	mu    sync.Mutex
	log   strings.Builder
	addrs map[string][]string // by protocol
	ready bool
	heard chan struct{} // closed and replaced with each line of the log
}

// Start builds sluice if need be, starts a node with an empty store and waits until it is
// ready. Settings are keys of the configuration: "limits.login_timeout=1s".
func Start(t testing.TB, settings ...string) *Node {
	t.Helper()
	return StartWith(t, "", settings...)
}

// StartWith is Start with another binary.
func StartWith(t testing.TB, binary string, settings ...string) *Node {
	t.Helper()
	n := fresh(t, settings)
	n.binary = binary
	n.Launch()
	n.AwaitReady()
	return n
}

// fresh is a node that was never started.
func fresh(t testing.TB, settings []string) *Node {
	n := &Node{t: t, dir: t.TempDir(), settings: settings}
	t.Cleanup(n.end)
	return n
}

// Launch starts the process and does not wait for it. It must not run.
func (n *Node) Launch() {
	n.t.Helper()
	if n.ended != nil && n.Running() {
		n.t.Fatal("start of a node that runs")
	}
	n.mu.Lock()
	n.addrs, n.ready, n.heard = map[string][]string{}, false, make(chan struct{})
	n.mu.Unlock()
	path := n.binary
	if path == "" {
		path = Binary(n.t)
	}
	n.cmd = exec.Command(path, n.arguments()...)
	n.cmd.Dir = n.dir
	n.cmd.Env = n.environ()
	stderr, err := n.cmd.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.ended = make(chan struct{})
	go n.follow(stderr)
}

// AwaitReady waits until the node serves.
func (n *Node) AwaitReady() {
	n.t.Helper()
	if !n.await(func() bool { return n.ready }) {
		n.t.Fatalf("the node did not become ready:\n%s", n.Log())
	}
}

// environ is ours without settings that somebody left in it, and with the test's.
func (n *Node) environ() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "SLUICE_") {
			env = append(env, pair)
		}
	}
	if n.file == "" {
		env = append(env, "SLUICE_LISTENERS=stomp=127.0.0.1:0,nats=127.0.0.1:0,admin=127.0.0.1:0")
	}
	for _, s := range n.settings {
		key, value, _ := strings.Cut(s, "=")
		env = append(env, "SLUICE_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))+"="+value)
	}
	return env
}

// follow reads the log until the process closes it, then waits for the process.
func (n *Node) follow(stderr io.Reader) {
	defer close(n.ended)
	lines := bufio.NewReader(stderr)
	for {
		text, err := lines.ReadString('\n')
		n.hear(text)
		if err != nil {
			break
		}
	}
	_ = n.cmd.Wait() // the exit code is in the ProcessState
}

func (n *Node) hear(text string) {
	var line struct{ Msg, Protocol, Address string }
	_ = json.Unmarshal([]byte(text), &line) // what is not JSON is kept all the same
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log.WriteString(text)
	switch line.Msg {
	case "listening":
		n.addrs[line.Protocol] = append(n.addrs[line.Protocol], line.Address)
	case "ready":
		n.ready = true
	}
	close(n.heard)
	n.heard = make(chan struct{})
}

// await waits until a condition on what was heard holds. It is called with the lock held.
func (n *Node) await(holds func() bool) bool {
	deadline := time.After(patience)
	for {
		n.mu.Lock()
		ok, heard := holds(), n.heard
		n.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-heard:
		case <-n.ended:
			n.mu.Lock()
			defer n.mu.Unlock()
			return holds()
		case <-deadline:
			return false
		}
	}
}

// Addr is where a protocol listens: "127.0.0.1:port". It changes with a Restart.
func (n *Node) Addr(protocol string) string { return n.Addrs(protocol)[0] }

// Addrs are where a protocol listens, in the order of the configuration.
func (n *Node) Addrs(protocol string) []string {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.addrs[protocol]) == 0 {
		n.t.Fatalf("nothing listens for %s", protocol)
	}
	return slices.Clone(n.addrs[protocol])
}

// Refused waits until the node serves, or has ended by itself, and reports which.
func (n *Node) Refused() bool {
	n.t.Helper()
	if n.await(func() bool { return n.ready }) {
		return false
	}
	if n.Exit() <= 0 {
		n.t.Fatalf("the node neither became ready nor refused:\n%s", n.Log())
	}
	return true
}

// Where is Addr for other goroutines: "" while nothing is known to listen.
func (n *Node) Where(protocol string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at := n.addrs[protocol]; len(at) > 0 {
		return at[0]
	}
	return ""
}

// Dir is where the node keeps its store.
func (n *Node) Dir() string { return filepath.Join(n.dir, "data") }

// Log is all that the node has logged so far, over all its restarts.
func (n *Node) Log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// AwaitLog waits until the log holds a text.
func (n *Node) AwaitLog(text string) {
	n.t.Helper()
	if !n.await(func() bool { return strings.Contains(n.log.String(), text) }) {
		n.t.Fatalf("the node never logged %q:\n%s", text, n.Log())
	}
}

// PID is the process's number.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Running reports whether the process is there.
func (n *Node) Running() bool {
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// Signal sends a signal.
func (n *Node) Signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// Exit waits for the end of the process and returns its exit code, -1 if a signal ended it.
func (n *Node) Exit() int {
	n.t.Helper()
	select {
	case <-n.ended:
		return n.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		n.t.Fatalf("the node did not end:\n%s", n.Log())
		return 0
	}
}

// Stop ends the node with SIGTERM and expects exit code 0.
func (n *Node) Stop() {
	n.t.Helper()
	n.Signal(syscall.SIGTERM)
	hangs := time.AfterFunc(n.grace+stopWithin, func() { _ = n.cmd.Process.Signal(syscall.SIGQUIT) }) // to be told where
	defer hangs.Stop()
	if code := n.Exit(); code != 0 {
		n.t.Fatalf("the node ended with exit code %d:\n%s", code, n.Log())
	}
}

// Kill ends the node with SIGKILL.
func (n *Node) Kill() {
	n.t.Helper()
	n.Signal(syscall.SIGKILL)
	n.Exit()
}

// Restart starts a node on the same store, on other ports. It must have ended before.
func (n *Node) Restart() {
	n.t.Helper()
	n.Launch()
	n.AwaitReady()
}

// Status asks the admin door and returns the status code, 0 if it does not answer.
func (n *Node) Status(path string) int {
	n.t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + n.Addr("admin") + path)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// Resident is how much memory the process has resident now, and how much it had at most, in bytes.
func (n *Node) Resident() (now, most int64) {
	n.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		n.t.Fatal(err)
	}
	size := func(key string) int64 {
		_, rest, _ := strings.Cut(string(status), key)
		value, _, _ := strings.Cut(rest, " kB")
		kib, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil {
			n.t.Fatalf("no %s: %v\n%s", key, err, status)
		}
		return kib << 10
	}
	return size("VmRSS:"), size("VmHWM:")
}

// end releases the process and looks at its last words.
func (n *Node) end() {
	if n.ended != nil && n.Running() {
		_ = n.cmd.Process.Kill()
		<-n.ended
	}
	log := n.Log()
	if dir := os.Getenv(logsVariable); dir != "" {
		file := filepath.Join(dir, strings.ReplaceAll(n.t.Name(), "/", "_")+"-"+filepath.Base(n.dir)+".log")
		if err := os.WriteFile(file, []byte(log), 0o600); err != nil {
			n.t.Error(err)
		}
	}
	for _, bad := range []string{"WARNING: DATA RACE", "panic", "fatal error:"} {
		if strings.Contains(log, bad) {
			n.t.Errorf("the node's log has %q", bad)
		}
	}
	if n.t.Failed() {
		n.t.Logf("the node's log:\n%s", log)
	}
}
