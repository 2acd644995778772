package node

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// configurationFile is the file in a node's folder that a configured node reads.
const configurationFile = "sluice.yaml"

// Configured is a node that reads its configuration from a file, which is still to be written: Configure, Launch and AwaitReady. What it names is
// looked for in Home. Its data_dir has to be data.
func Configured(t testing.TB, settings ...string) *Node {
	t.Helper()
	n := fresh(t, settings)
	n.file = true
	return n
}

// Home is the folder in which the node runs.
func (n *Node) Home() string { return n.dir }

// Configure writes the file, at once. A node that runs does not look at it before it is told to.
func (n *Node) Configure(text string) {
	n.t.Helper()
	file := filepath.Join(n.dir, configurationFile)
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		n.t.Fatal(err)
	}
}

// Command is sluice with other arguments, in the node's folder and with its environment.
func (n *Node) Command(arguments ...string) *exec.Cmd {
	n.t.Helper()
	path := n.binary
	if path == "" {
		path = Binary(n.t)
	}
	cmd := exec.Command(path, arguments...)
	cmd.Dir, cmd.Env = n.dir, n.environ()
	return cmd
}

// arguments are those with which the node serves.
func (n *Node) arguments() []string {
	if n.file {
		return []string{"serve", "--config", configurationFile, "--log-format", "json"}
	}
	return []string{"serve", "--dev", "--data-dir", filepath.Join(n.dir, "data"), "--log-format", "json",
		"--listen", "stomp=127.0.0.1:0", "--listen", "nats=127.0.0.1:0", "--listen", "admin=127.0.0.1:0"}
}
