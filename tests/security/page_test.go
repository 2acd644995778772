package security

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// shell are the blocks of a page that are to be run.
var shell = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// Who follows docs/security.md gets what it says: all its commands, in order, in one shell and an empty folder.
func TestThePageOnSecurityWorksAsItStands(t *testing.T) {
	dir, log := follow(t, "security.md", 9, "bash", "openssl", "curl")
	password, err := os.ReadFile(filepath.Join(dir, "alice.password"))
	require.NoError(t, err)
	require.NotContains(t, log, strings.TrimSpace(string(password)))
}

// The same of docs/destinations.md: each of its examples does what is said of it.
func TestThePageOnDestinationsWorksAsItStands(t *testing.T) {
	follow(t, "destinations.md", 20, "bash", "grep")
}

// The same of docs/migrating-from-ams.md: who moves finds everything where it was.
func TestThePageOnMigrationWorksAsItStands(t *testing.T) {
	_, log := follow(t, "migrating-from-ams.md", 8, "bash", "openssl", "curl", "sha256sum")
	require.Contains(t, log, "an export of the ARGO Messaging Service was imported")
}

// follow runs the commands of a page, and returns the folder where that was and the log of the gateway that the page starts and stops.
func follow(t *testing.T, name string, least int, programs ...string) (dir, log string) {
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: the page needs %s", program)
		}
	}
	page, err := os.ReadFile("../../docs/" + name)
	require.NoError(t, err)
	script := "set -e -o pipefail\n"
	blocks := shell.FindAllStringSubmatch(string(page), -1)
	require.GreaterOrEqual(t, len(blocks), least)
	for i, b := range blocks {
		script += "echo '--- block " + strconv.Itoa(i) + "' >&2\n" + b[1]
	}
	dir = t.TempDir()
	out, err := os.Create(filepath.Join(dir, "..", "said"))
	require.NoError(t, err)
	defer out.Close()
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out // a file, and not a pipe: nobody waits for what the gateway holds open
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(node.Binary(t))+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the gateway is one of the group
	require.NoError(t, cmd.Start())
	group := cmd.Process.Pid
	t.Cleanup(func() { _ = syscall.Kill(-group, syscall.SIGKILL) })
	hangs := time.AfterFunc(2*soon, func() { _ = syscall.Kill(-group, syscall.SIGKILL) })
	defer hangs.Stop()
	err = cmd.Wait()
	said, read := os.ReadFile(out.Name())
	require.NoError(t, read)
	logged, _ := os.ReadFile(filepath.Join(dir, "sluice.log"))
	if err != nil && strings.Contains(string(logged), "address already in use") {
		t.Skip("SKIPPED: somebody else has the ports of the page")
	}
	require.NoError(t, err, "%s\n%s", said, logged)
	gone := func() bool { // the page stops it at its end
		text, err := os.ReadFile(filepath.Join(dir, "sluice.pid"))
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		require.NoError(t, err)
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	}
	eventually(t, gone, "the gateway stops")
	return dir, string(logged)
}
