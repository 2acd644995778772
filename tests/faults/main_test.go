package faults

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/tests/node"
)

func TestMain(m *testing.M) {
	if short() {
		gatewaytest.Beside(3)
	}
	os.Exit(node.Run(m))
}

// short reports whether nobody has asked for more than the first round of each fault.
func short() bool { return os.Getenv("SLUICE_FAULT_ROUNDS") == "" }

// alongside lets a test run beside others, but in the long form, where each has the machine for itself.
func alongside(t *testing.T) {
	t.Helper()
	if short() {
		t.Parallel()
	}
}

// subscribe is the command.
const subscribe = "SUBSCRIBE"

// soon is how long anything may take before a test fails.
const soon = gatewaytest.Wait

// rounds is how often a fault is made: fallback, or what SLUICE_FAULT_ROUNDS says.
func rounds(t *testing.T, fallback int) int {
	text := os.Getenv("SLUICE_FAULT_ROUNDS")
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "SLUICE_FAULT_ROUNDS")
	return n
}

// chance makes a test's random numbers, the same again with SLUICE_FAULT_SEED.
func chance(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SLUICE_FAULT_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "SLUICE_FAULT_SEED")
	}
	t.Logf("SLUICE_FAULT_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// await polls until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(soon)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("this did not come to pass within %v: %s", soon, what)
		}
		<-tick.C
	}
}

// dataDir is where a node that was ready once keeps its store.
func dataDir(t *testing.T, n *node.Node) string {
	t.Helper()
	for line := range strings.Lines(n.Log()) {
		var ready struct {
			Msg     string
			DataDir string `json:"data_dir"`
		}
		if json.Unmarshal([]byte(line), &ready) == nil && ready.Msg == "ready" {
			return ready.DataDir
		}
	}
	t.Fatalf("no ready line in %s", n.Log())
	return ""
}

// figure is a metric without labels; -1 if the node does not tell. It may be called
// from any goroutine.
func figure(t *testing.T, n *node.Node, name string) int {
	res, err := http.Get("http://" + n.Addr("admin") + "/metrics")
	if err != nil {
		return -1
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return -1
	}
	_, after, _ := strings.Cut(string(text), "\n"+name+" ")
	value, _, _ := strings.Cut(after, "\n")
	count, err := strconv.ParseFloat(value, 64)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return -1
	}
	return int(count)
}

// sessions is how many are open.
func sessions(t *testing.T, n *node.Node) int { return figure(t, n, "sluice_sessions") }

// awaitAlone waits until only so many sessions are left as before clients came, so
// that what the clients had is back in the queues.
func awaitAlone(t *testing.T, n *node.Node, before int) {
	t.Helper()
	await(t, "that all clients have left", func() bool { return sessions(t, n) == before })
}

// mark is what marks.json says of one journal.
type mark struct{ Low, Last uint64 }

func marks(t *testing.T, dir string) (all []mark) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "marks.json"))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &all))
	return all
}

// used is how many bytes the files below a directory take on disk.
func used(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return ignoreGone(err)
	}))
	return bytes
}

// ignoreGone forgives files that went while one looked.
func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
