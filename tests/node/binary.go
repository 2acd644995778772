package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const (
	// folderVariable is where Run says that the binary may be put.
	folderVariable = "SLUICE_TESTS_FOLDER"
	// builtVariable names a binary that was just built of these sources, so that not each package builds one. It is no setting of a node.
	builtVariable = "TEST_SLUICE_BINARY"
	// raceVariable asks for a binary with the race detector.
	raceVariable = "SLUICE_TESTS_RACE"
)

// Run is what the TestMain of a package that starts nodes returns. The binary
// is built by the first test that needs it and is gone afterwards, unless TEST_SLUICE_BINARY names one.
func Run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-tests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv(folderVariable, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// binary builds once per test run.
var binary = sync.OnceValues(func() (string, error) {
	race := os.Getenv(raceVariable) == "1"
	if built := os.Getenv(builtVariable); built != "" && !race {
		return built, nil
	}
	dir := os.Getenv(folderVariable)
	if dir == "" {
		return "", fmt.Errorf("TestMain must call node.Run")
	}
	path := filepath.Join(dir, "sluice")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/sluice-mq/sluice/cmd/sluice")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build sluice: %w\n%s", err, out)
	}
	return path, nil
})

// Binary is the path of the built sluice.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
