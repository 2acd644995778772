package app

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/ports"
)

// operate runs a command against the node of the data directory.
func operate(t *testing.T, name, dataDir string) (code int, out, errs string) {
	t.Helper()
	return command(nil, name, "--data-dir", dataDir)
}

func TestDrainAndUndrain(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("SLUICE_DRAIN_GRACE", "1ms")
	p := launch(t, free("serve", "--dev")...)
	p.await("ready")
	p.ask("receipt-id:r1", "SEND\ndestination:/queue/a\npersistent:true\nreceipt:r1\n\nkept\x00")
	native, err := nats.Connect("nats://"+p.addr["nats"], nats.NoReconnect())
	require.NoError(t, err)
	defer native.Close()

	code, out, errs := operate(t, "drain", "data")
	require.Equal(t, 0, code, errs)
	require.Equal(t, "not ready any more; load balancers have time to see it (grace: 1ms)\nno clients any more\nall that was received is stored\ndrained\n", out)
	status, body := p.get("/readyz")
	require.Equal(t, 503, status)
	require.Equal(t, "not ready: node: drained\n", body)
	_, err = net.DialTimeout("tcp", p.addr["stomp"], soon)
	require.Error(t, err)
	require.Eventually(t, native.IsClosed, soon, poll, "a native client stays")
	code, out, errs = operate(t, "selftest", "data")
	require.Equal(t, 0, code, out+errs)
	require.Contains(t, out, "closed, because the node is out of service")
	code, _, errs = operate(t, "drain", "data")
	require.Equal(t, 0, code, errs)

	code, out, errs = operate(t, "undrain", "data")
	require.Equal(t, 0, code, errs)
	require.Equal(t, "in service\n", out)
	status, _ = p.get("/readyz")
	require.Equal(t, 200, status)
	p.ask("kept", "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:auto\n\n\x00") // at the same address
	again, err := nats.Connect("nats://" + p.addr["nats"])
	require.NoError(t, err)
	require.NoError(t, again.Flush())
	again.Close()
	code, _, _ = operate(t, "undrain", "data")
	require.Equal(t, 0, code)
	code, out, errs = operate(t, "selftest", "data")
	require.Equal(t, 0, code, out+errs)
	require.Contains(t, out, "[+] stomp on "+p.addr["stomp"]+": answers CONNECTED in ")

	require.Equal(t, 0, first(operate(t, "drain", "data")))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 0, p.exit(), "a drained node stops like others: %s", p.rest.String())
	code, _, errs = operate(t, "drain", "data")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "sluice: no node runs in data: ")
}

func first(code int, _, _ string) int { return code }

// threeConfigs writes the configurations of a cluster's nodes, beside their data directories.
func threeConfigs(t *testing.T) (dirs []string) {
	t.Helper()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("known to three nodes alone\n"), 0o600))
	routes := ports.Of(t, 3).Addresses()
	for i, r := range routes {
		text := fmt.Sprintf("node: n%d\ndata_dir: %s/n%d\ndrain_grace: 1ms\ncluster: {name: c, address: %q, routes: [%s], secret_file: %q}\n", i+1, dir, i+1, r, `"`+strings.Join(routes, `", "`)+`"`, secret)
		dirs = append(dirs, fmt.Sprintf("%s/n%d", dir, i+1))
		require.NoError(t, os.WriteFile(dirs[i]+".yaml", []byte(text), 0o600))
	}
	return dirs
}

// launchAll launches nodes with the configurations beside their data directories, and more in their environment.
func launchAll(t *testing.T, dirs []string, environ ...string) (nodes []*program) {
	t.Helper()
	for _, d := range dirs {
		nodes = append(nodes, launchWith(t, environ, free("serve", "--config", d+".yaml")...))
	}
	return nodes
}

// Whichever node a client is on, the queue is the same one; a drained node keeps nothing back.
func TestThreeNodesAreOneBroker(t *testing.T) {
	t.Parallel()
	dirs := threeConfigs(t)
	nodes := launchAll(t, dirs)
	for _, p := range nodes {
		p.await("ready")
	}
	for i := range 20 { // queues of all shards
		nodes[i%3].ask("receipt-id:r1", fmt.Sprintf("SEND\ndestination:/queue/q%d\npersistent:%v\nreceipt:r1\n\nmessage %d\x00", i, i%2 == 0, i))
	}
	code, out, errs := operate(t, "drain", dirs[0])
	require.Equal(t, 0, code, out+errs)
	require.Contains(t, out, "no shards any more\n")
	code, out, errs = operate(t, "status", dirs[1])
	require.Equal(t, 0, code, errs)
	require.Regexp(t, `n1 +up, leaving +- +4\n`, out)
	require.Contains(t, out, "cluster c: in touch with a majority of the nodes\n")
	code, out, errs = operate(t, "selftest", dirs[0])
	require.Equal(t, 0, code, out+errs)
	require.NoError(t, nodes[0].cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 0, nodes[0].exit(), nodes[0].rest.String())
	for i := range 20 {
		nodes[1+i%2].ask(fmt.Sprintf("message %d\x00", i), fmt.Sprintf("SUBSCRIBE\nid:1\ndestination:/queue/q%d\nack:auto\n\n\x00", i))
	}
}
