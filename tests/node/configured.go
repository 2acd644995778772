package node

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// StartConfigured is Start of a node that is guarded, or listens in other ways: by what a configuration file says. Listeners of it that
// are not to be found have port 0. Names of files in it are those of the test's directory.
func StartConfigured(t testing.TB, configuration string, settings ...string) *Node {
	t.Helper()
	n := fresh(t, settings)
	n.Configure(configuration)
	n.Launch()
	n.AwaitReady()
	return n
}

// Configured is a node that is still to be told what it is: Configure, Launch and AwaitReady.
func Configured(t testing.TB, settings ...string) *Node { return fresh(t, settings) }

// Place has a node run, and keep its store, in a directory, before it is configured.
func (n *Node) Place(dir string) { n.dir = dir }

// Home is the folder in which the node runs, and where files are looked for that its configuration names.
func (n *Node) Home() string { return n.dir }

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

// Configure has a node run with a configuration file from its next start on, which says where it listens.
func (n *Node) Configure(configuration string) {
	n.t.Helper()
	n.file = filepath.Join(n.dir, "sluice.yaml")
	if err := os.WriteFile(n.file+".new", []byte(configuration), 0o600); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Rename(n.file+".new", n.file); err != nil { // one that runs may be reading it
		n.t.Fatal(err)
	}
}

// Configure has all nodes run with a configuration file from their next start on. What makes them a cluster is not in it.
func (c *Cluster) Configure(configuration string) {
	for _, n := range c.Nodes {
		n.t.Helper()
		n.Configure(configuration)
	}
}

// arguments are those of the program.
func (n *Node) arguments() []string {
	always := []string{"serve", "--data-dir", filepath.Join(n.dir, "data"), "--log-format", "json"}
	if n.file != "" {
		return append(always, "--config", n.file)
	}
	return append(always, "--dev")
}
