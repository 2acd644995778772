package conformance

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/ports"
)

// activemqIs where its configuration is.
const activemqIs = "testdata/activemq"

// startActiveMQ starts Debian's ActiveMQ with our configuration and an empty store on loopback,
// ends it with the test, and returns where it speaks STOMP. `make oracle` installs it.
func startActiveMQ(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	taken := ports.Of(t, 1)
	addr, port := taken.Addresses()[0], strconv.Itoa(taken.Ports[0])
	for _, d := range []string{"conf", "data", "tmp"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	for _, name := range []string{"activemq.xml", "log4j.properties"} {
		text, err := os.ReadFile(filepath.Join(activemqIs, name))
		require.NoError(t, err)
		filled := strings.NewReplacer("DATA", filepath.Join(dir, "data"), "PORT", port).Replace(string(text))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "conf", name), []byte(filled), 0o644))
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd := exec.Command("java", "-Xms64M", "-Xmx1G", "-Djava.net.preferIPv4Stack=true",
		"-Dactivemq.home=/usr/share/activemq", "-Dactivemq.base="+dir, "-Dactivemq.conf="+filepath.Join(dir, "conf"),
		"-Dactivemq.data="+filepath.Join(dir, "data"), "-Djava.io.tmpdir="+filepath.Join(dir, "tmp"),
		"-Dlog4j.configuration=file:"+filepath.Join(dir, "conf", "log4j.properties"), "-Djava.util.logging.config.file=/dev/null",
		"--add-opens", "java.base/java.lang=ALL-UNNAMED", "--add-opens", "java.base/java.util=ALL-UNNAMED",
		"-cp", classes(t, filepath.Join(dir, "conf")), "org.apache.activemq.console.Main",
		"start", "xbean:file:"+filepath.Join(dir, "conf", "activemq.xml"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	require.NoError(t, cmd.Start(), "is ActiveMQ installed? make oracle does it")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		_ = log.Close()
	})
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); {
		select {
		case err := <-ended:
			ended <- err
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("ActiveMQ ended: %v\n%s", err, text)
		case <-time.After(100 * time.Millisecond):
		}
		if nc, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			_ = nc.Close()
			return addr
		}
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("ActiveMQ did not start\n%s", text)
	return ""
}

// classes is the path of classes: what Debian's own start script takes, and XStream and Jettison, without which advisories have no bodies.
func classes(t *testing.T, first string) string {
	t.Helper()
	all := []string{first}
	for _, pattern := range []string{"/usr/share/activemq/lib/*.jar", "/usr/share/activemq/lib/optional/*.jar",
		"/usr/share/java/commons-logging.jar", "/usr/share/java/xstream.jar", "/usr/share/java/jettison.jar"} {
		jars, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, jars, fmt.Sprintf("%s is missing: make oracle installs it", pattern))
		all = append(all, jars...)
	}
	return strings.Join(all, ":")
}
