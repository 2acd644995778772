package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clockFile, in the directory that a node runs in, says by how many seconds its clock is to be set.
const clockFile = "clock"

// Clocked builds a sluice whose clock Step can set. It is the process's wall clock, for all that it is made of, the
// server's and the libraries' part as well: the standard library is built with another time.Now. What counts the time that goes by
// (monotonic clocks, timers, deadlines) goes on as it does on a machine whose clock is set.
func Clocked(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").CombinedOutput()
	if err != nil {
		t.Fatalf("looking for the standard library: %v\n%s", err, out)
	}
	library := filepath.Join(strings.TrimSpace(string(out)), "src", "time", "time.go")
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	return Mutant(t,
		Change{library, now, "var stepped atomic.Int64\n\n// Step sets the clock.\nfunc Step(seconds int64) { stepped.Add(seconds) }\n\n" + now + "\tsec += stepped.Load()\n"},
		Change{library, "import (\n", "import (\n\t\"sync/atomic\"\n"},
		Change{"cmd/sluice/clock.go", "", `package main

import (
	"os"
	"strconv"
	"time"
)

func init() {
	go func() {
		for ; ; time.Sleep(5 * time.Millisecond) {
			if b, err := os.ReadFile("` + clockFile + `"); err == nil {
				if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
					time.Step(n)
					_ = os.Remove("` + clockFile + `")
				}
			}
		}
	}()
}
`})
}

// Step sets the clock of a node that runs and whose binary is Clocked, and waits until it is set. A restart sets it right.
func (n *Node) Step(by time.Duration) {
	n.t.Helper()
	path := filepath.Join(n.dir, clockFile)
	if err := os.WriteFile(path+".new", fmt.Appendf(nil, "%d", int64(by.Seconds())), 0o600); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		n.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatal("the clock is not set")
		}
	}
}
