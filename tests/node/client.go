package node

import (
	"os"
	"os/exec"
	"testing"
)

// Needs skips a test when a program of others is not there, which a command tells; where CI runs, that is a failure.
func Needs(t testing.TB, pkg, program string, args ...string) {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		Missing(t, "%s is missing; tests/clients.sh installs it: %v\n%s", pkg, err, out)
	}
}

// Missing skips a test that cannot be run here, with the reason; where CI runs, that is a failure.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}
