package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

const (
	damagedCount = 500
	damagedSize  = 64 << 10
)

// intact makes the data directory of a node with a backlog over several blocks, all of
// it in the marks, as a stop in order and as a kill leave it.
func intact(t *testing.T) map[string]string {
	t.Helper()
	n := node.Start(t, "store.shards=1")
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	for i := range damagedCount {
		c.Send("SEND", fmt.Sprintf("%d %s", i, strings.Repeat("x", damagedSize)), "destination:/queue/q", "persistent:true", "receipt:r")
		if i >= 20 {
			c.Expect("RECEIPT")
		}
	}
	for range 20 {
		c.Expect("RECEIPT")
	}
	dir := dataDir(t, n)
	await(t, "marks that know all", func() bool { m := marks(t, dir); return len(m) == 1 && m[0].Last >= damagedCount })
	n.Kill()
	killed := copied(t, dir)
	n.Restart()
	n.Stop()
	return map[string]string{"killed": killed, "stopped": copied(t, dir)}
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	out, err := exec.Command("cp", "-r", dir, to).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return to
}

// attempt starts a node on a directory and returns where STOMP listens, or "" and its
// words if it refuses.
func attempt(t *testing.T, dir string) (addr, words string) {
	t.Helper()
	cmd := exec.Command(node.Binary(t), "serve", "--dev", "--data-dir", dir, "--log-format", "json",
		"--listen", "stomp=127.0.0.1:0", "--listen", "nats=127.0.0.1:0", "--listen", "admin=127.0.0.1:0", "--listen", "pubsub=127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	late := time.AfterFunc(soon, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	in := bufio.NewReader(stderr)
	var log strings.Builder
	for {
		text, err := in.ReadString('\n')
		log.WriteString(text)
		var line struct{ Msg, Protocol, Address string }
		_ = json.Unmarshal([]byte(text), &line) // what is not JSON is kept all the same
		if line.Protocol == "stomp" && line.Msg == "listening" {
			addr = line.Address
		}
		if line.Msg == "ready" {
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			go func() { _, _ = in.WriteTo(discard{}) }()
			return addr, log.String()
		}
		if err != nil {
			var exit *exec.ExitError
			require.True(t, errors.As(cmd.Wait(), &exit), "it ended well: %s", log.String())
			require.Positive(t, exit.ExitCode(), "it neither started nor refused: %s", log.String())
			require.NotContains(t, log.String(), "panic")
			return "", log.String()
		}
	}
}

// discard drains a pipe.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// blocks are the stream's block files, oldest first.
func blocks(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "jetstream", "SLUICE", "streams", "Q_00", "msgs", "*.blk"))
	require.NoError(t, err)
	number := func(path string) int {
		n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".blk"))
		require.NoError(t, err)
		return n
	}
	slices.SortFunc(all, func(a, b string) int { return number(a) - number(b) })
	require.GreaterOrEqual(t, len(all), 3)
	return all
}

// cut leaves the first part of a file.
func cut(t *testing.T, path string, part float64) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, int64(float64(info.Size())*part)))
}

// flip changes some bytes in the middle of a file.
func flip(t *testing.T, path string, at float64, count int) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := range count {
		b[int(float64(len(b))*at)+i] ^= 0x41
	}
	require.NoError(t, os.WriteFile(path, b, 0o600))
}

// harm is something done to a data directory.
type harm struct {
	name string
	do   func(t *testing.T, dir string)
	// harmless must not be noticed; all else must be refused, by this name.
	harmless bool
	names    string
}

func harms() []harm {
	stream := func(dir, file string) string {
		return filepath.Join(dir, "jetstream", "SLUICE", "streams", "Q_00", file)
	}
	remove := func(path func(t *testing.T, dir string) string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(path(t, dir))) }
	}
	in := func(file string) func(*testing.T, string) string {
		return func(_ *testing.T, dir string) string { return stream(dir, file) }
	}
	top := func(file string) func(*testing.T, string) string {
		return func(_ *testing.T, dir string) string { return filepath.Join(dir, file) }
	}
	block := func(i int) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string {
			all := blocks(t, dir)
			return all[(i+len(all))%len(all)]
		}
	}
	cutting := func(path func(*testing.T, string) string, part float64) func(*testing.T, string) {
		return func(t *testing.T, dir string) { cut(t, path(t, dir), part) }
	}
	flipping := func(path func(*testing.T, string) string, at float64, count int) func(*testing.T, string) {
		return func(t *testing.T, dir string) { flip(t, path(t, dir), at, count) }
	}
	return []harm{
		{name: "newest block cut", do: cutting(block(-1), 0.5), names: "Q_00"},
		{name: "newest block empty", do: cutting(block(-1), 0), names: "Q_00"},
		{name: "newest block gone", do: remove(block(-1)), names: "Q_00"},
		{name: "middle block cut", do: cutting(block(1), 0.5), names: "Q_00"},
		{name: "middle block gone", do: remove(block(1)), names: "Q_00"},
		{name: "oldest block gone", do: remove(block(0)), names: "Q_00"},
		{name: "body flipped", do: flipping(block(1), 0.5, 1), names: "Q_00"},
		{name: "newest body flipped", do: flipping(block(-1), 0.3, 1), names: "Q_00"},
		{name: "header flipped", do: flipping(block(1), 0, 8), names: "Q_00"},
		{name: "much flipped", do: flipping(block(0), 0.2, 200_000), names: "Q_00"},
		{name: "meta.inf cut", do: cutting(in("meta.inf"), 0.5), names: "Q_00"},
		{name: "meta.inf empty", do: cutting(in("meta.inf"), 0), names: "Q_00"},
		{name: "meta.inf gone", do: remove(in("meta.inf")), names: "Q_00"},
		{name: "meta.sum cut", do: cutting(in("meta.sum"), 0.5), names: "Q_00"},
		{name: "meta.sum gone", do: remove(in("meta.sum")), names: "Q_00"},
		{name: "messages gone", do: remove(in("msgs")), names: "Q_00"},
		{name: "stream gone", do: remove(in("")), names: "Q_00"},
		{name: "all streams gone", do: remove(top("jetstream")), names: "Q_00"},
		{name: "manifest cut", do: cutting(top("sluice.json"), 0.5), names: "sluice.json"},
		{name: "manifest gone", do: remove(top("sluice.json")), names: "sluice.json"},
		{name: "marks cut", do: cutting(top("marks.json"), 0.5), names: "marks.json"},
		{name: "marks gone", do: remove(top("marks.json")), names: "marks.json"},
		{name: "index gone", do: remove(in("msgs/index.db")), harmless: true},
		{name: "index cut", do: func(t *testing.T, dir string) {
			if _, err := os.Stat(stream(dir, "msgs/index.db")); err == nil {
				cut(t, stream(dir, "msgs/index.db"), 0.5)
			}
		}, harmless: true},
	}
}

// A node must never serve queues that silently lost what it had promised to keep.
func TestDamage(t *testing.T) {
	alongside(t)
	all := rounds(t, 1) > 1
	for left, original := range intact(t) {
		for i, h := range harms() {
			if !all && !h.harmless && (i%2 == 0) == (left == "killed") {
				continue // the short form does each to one of the two
			}
			t.Run(left+"/"+h.name, func(t *testing.T) {
				dir := copied(t, original)
				h.do(t, dir)
				addr, words := attempt(t, dir)
				if !h.harmless {
					require.Empty(t, addr, "it serves:\n%s", words)
					require.Contains(t, words, "damaged")
					require.Contains(t, words, h.names)
					addr, words = attempt(t, dir) // and does not come to terms with it
					require.Empty(t, addr, "it serves at the second start:\n%s", words)
					return
				}
				require.NotEmpty(t, addr, words)
				c := raw.Login(t, addr, "1.2")
				c.Send(subscribe, "", "destination:/queue/q", "id:1")
				for i := range damagedCount {
					m := c.Expect("MESSAGE")
					require.True(t, strings.HasPrefix(m.Body, fmt.Sprintf("%d x", i)), "%.20q", m.Body)
					require.Len(t, m.Body, damagedSize+len(strconv.Itoa(i))+1)
				}
			})
		}
	}
}
