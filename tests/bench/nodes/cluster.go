package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-mq/sluice/tests/ports"
)

// size is the number of nodes.
const size = 3

// cluster is our nodes.
type cluster struct {
	sluice string
	dirs   []string
	ports  []int
	cmds   []*exec.Cmd
}

// startWithin bounds the start of nodes.
const startWithin = time.Minute

func startSingle(ctx context.Context, sluice, dir string) (*cluster, error) {
	return start(ctx, sluice, filepath.Join(dir, "single"), 1, nil)
}

// startCluster starts three nodes; with shards 0 they have the default number.
func startCluster(ctx context.Context, sluice, dir string, shards int) (*cluster, error) {
	dir = filepath.Join(dir, "cluster")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("a secret of three nodes"), 0o600); err != nil {
		return nil, err
	}
	routes, err := ports.Keep(size)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, p := range routes {
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", p))
	}
	return start(ctx, sluice, dir, size, func(i int) []string {
		return []string{
			"SLUICE_CLUSTER_NAME=c", "SLUICE_CLUSTER_ADDRESS=" + addresses[i], "SLUICE_CLUSTER_ROUTES=" + strings.Join(addresses, ","),
			"SLUICE_CLUSTER_SECRET_FILE=" + secret, fmt.Sprintf("SLUICE_STORE_SHARDS=%d", shards), "SLUICE_DRAIN_GRACE=0s",
		}
	})
}

func start(ctx context.Context, sluice, dir string, n int, environ func(int) []string) (*cluster, error) {
	c := &cluster{sluice: sluice}
	var err error
	if c.ports, err = ports.Keep(n); err != nil {
		return nil, err
	}
	for i := range n {
		data := filepath.Join(dir, fmt.Sprintf("n%d", i+1))
		cmd := exec.Command(sluice, "serve", "--dev", "--data-dir", data, "--log-level", "warn")
		listeners := fmt.Sprintf("SLUICE_LISTENERS=stomp=127.0.0.1:%d,nats=127.0.0.1:0,admin=127.0.0.1:0", c.ports[i])
		cmd.Env = append(os.Environ(), listeners, fmt.Sprintf("SLUICE_NODE=n%d", i+1))
		if environ != nil {
			cmd.Env = append(cmd.Env, environ(i)...)
		}
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			c.stop()
			return nil, err
		}
		c.dirs, c.cmds = append(c.dirs, data), append(c.cmds, cmd)
	}
	for _, data := range c.dirs {
		if err := c.works(ctx, data); err != nil {
			c.stop()
			return nil, err
		}
	}
	return c, nil
}

// works waits until a node passes its self-test.
func (c *cluster) works(ctx context.Context, data string) error {
	var out []byte
	var err error
	for end := time.Now().Add(startWithin); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		if out, err = exec.Command(c.sluice, "selftest", "--data-dir", data).CombinedOutput(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("a node did not come up: %w\n%s", err, out)
}

func (c *cluster) address(i int) string { return fmt.Sprintf("127.0.0.1:%d", c.ports[i]) }

// owner is the node that owns shard 0.
func (c *cluster) owner() (int, error) {
	out, err := exec.Command(c.sluice, "status", "--data-dir", c.dirs[0]).Output()
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^0 +n(\d) `).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("no owner in %s", bytes.TrimSpace(out))
	}
	return int(m[1][0] - '1'), nil
}

func (c *cluster) stop() {
	for _, cmd := range c.cmds {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
