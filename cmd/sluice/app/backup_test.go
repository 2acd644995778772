package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/protocols/admin"
)

// fill sends count messages to each of three queues.
func (p *program) fill(count int) {
	var frames []string
	for i := range count {
		for q := range 3 {
			frames = append(frames, fmt.Sprintf("SEND\ndestination:/queue/q%d\npersistent:true\nreceipt:%d-%d\n\nmessage %d\x00", q, q, i, i))
		}
	}
	p.ask(fmt.Sprintf("receipt-id:2-%d\n", count-1), frames...)
}

// requireFilled takes what fill sent, in order.
func (p *program) requireFilled(count int) {
	for q := range 3 {
		got := p.ask(fmt.Sprintf("\nmessage %d\x00", count-1), fmt.Sprintf("SUBSCRIBE\nid:1\ndestination:/queue/q%d\nack:client\nactivemq.prefetchSize:10000\n\n\x00", q))
		at := 0
		for i := range count {
			n := strings.Index(got[at:], fmt.Sprintf("\nmessage %d\x00", i))
			require.GreaterOrEqual(p.t, n, 0, "message %d of q%d is not there, or not in its place", i, q)
			at += n
		}
		require.Equal(p.t, count, strings.Count(got, "\nmessage "), "q%d", q)
	}
}

// A node that was alone becomes the first of three: what it had is the cluster's, in order, and a kill while it is brought in does no harm.
func TestOneNodeGrowsToThree(t *testing.T) {
	t.Parallel()
	const count = 2000
	dirs := threeConfigs(t)
	alone := launch(t, free("serve", "--data-dir", dirs[0])...)
	alone.await("ready")
	alone.fill(count)
	require.NoError(t, alone.cmd.Process.Signal(syscall.SIGKILL))
	alone.exit()

	nodes := launchAll(t, dirs)
	nodes[0].await("the messages that the node had alone go into the cluster")
	require.NoError(t, nodes[0].cmd.Process.Signal(syscall.SIGKILL))
	nodes[0].exit()
	nodes[0] = launch(t, free("serve", "--config", dirs[0]+".yaml")...)
	for _, p := range nodes {
		p.await("ready")
	}
	require.NoDirExists(t, filepath.Join(dirs[0], "single"))
	nodes[1].requireFilled(count)

	for _, p := range nodes {
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	}
	nodes[0].exit()
	alone = launch(t, free("serve", "--data-dir", dirs[0])...)
	require.Equal(t, 1, alone.exit())
	require.Contains(t, alone.rest.String(), "belongs to a node of a cluster, and there is no cluster section in the configuration")
}

func TestBackupOfOneNodeIsRestoredInACluster(t *testing.T) {
	t.Parallel()
	const count = 300
	dir := t.TempDir()
	alone := launch(t, free("serve", "--data-dir", dir)...)
	alone.await("ready")
	alone.fill(count)
	file := filepath.Join(t.TempDir(), "backup")
	code, said, errs := command(nil, "backup", "--data-dir", dir, "--out", file)
	require.Equal(t, 0, code, errs)
	require.Equal(t, fmt.Sprintf("%s: %d messages of queues, 0 messages of 0 topics\n", file, 3*count), said)
	code, out, errs := command(nil, "backup", "--data-dir", dir, "--out", "-")
	require.Equal(t, 0, code, errs)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(whole), out)

	code, _, errs = command(nil, "restore", "--data-dir", dir, file)
	require.Equal(t, 1, code)
	require.Equal(t, "sluice: the queues are not empty: there are messages that were sent to queue://q0; with --merge the backup's messages are added to what is there\n", errs)

	dirs := threeConfigs(t)
	nodes := launchAll(t, dirs)
	for _, p := range nodes {
		p.await("ready")
	}
	cut := file + ".cut"
	require.NoError(t, os.WriteFile(cut, whole[:len(whole)/2], 0o600))
	code, _, errs = command(nil, "restore", "--data-dir", dirs[1], cut)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "nothing was restored")
	code, out, errs = command(nil, "restore", "--data-dir", dirs[1], file)
	require.Equal(t, 0, code, errs)
	require.Equal(t, fmt.Sprintf("%d messages restored\n", 3*count), out)
	code, out, errs = command(nil, "backup", "--data-dir", dirs[2], "--out", "-")
	require.Equal(t, 0, code, errs)
	require.InDelta(t, len(whole), len(out), 10, "a backup of the cluster, by any node, is a backup of the same messages")
	nodes[2].requireFilled(count)
	code, out, errs = command(nil, "restore", "--data-dir", dirs[0], "--merge", file) // once more, although all its ids are known
	require.Equal(t, 0, code, errs)
	require.Equal(t, fmt.Sprintf("%d messages restored\n", 3*count), out)
	code, out, errs = command(nil, "backup", "--data-dir", dirs[1], "--out", "-")
	require.Equal(t, 0, code, errs)
	require.InDelta(t, 2*len(whole), len(out), 100)
}

// Owners go while backups are made, in order and at once: each backup goes on with the next ones, and has every message once.
func TestABackupGoesOnWithTheNextOwners(t *testing.T) {
	t.Parallel()
	const count = 300
	dirs := threeConfigs(t)
	nodes := launchAll(t, dirs)
	for _, p := range nodes {
		p.await("ready")
	}
	nodes[0].fill(count)
	var over atomic.Bool
	var backups sync.WaitGroup
	for i := range 4 { // one after another: some meet the moments without an owner
		backups.Go(func() {
			for n := 0; !over.Load(); n++ {
				file := filepath.Join(t.TempDir(), "backup")
				code, said, errs := command(nil, "backup", "--data-dir", dirs[1], "--out", file)
				if !assert.Equal(t, 0, code, "backup %d of %d: %s", n, i, errs) {
					return
				}
				assert.Equal(t, fmt.Sprintf("%s: %d messages of queues, 0 messages of 0 topics\n", file, 3*count), said)
			}
		})
	}
	for _, way := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL} {
		for _, i := range []int{0, 2} {
			require.NoError(t, nodes[i].cmd.Process.Signal(way))
			nodes[i].exit()
			nodes[i] = launchAll(t, dirs[i:i+1])[0]
			nodes[i].await("ready")
		}
	}
	over.Store(true)
	backups.Wait()
	nodes[2].requireFilled(count)
}

// When nobody has a shard for good, a backup ends with what an operator knows: the node and the shard.
func TestABackupNamesTheNodeAndTheShardThatNobodyHas(t *testing.T) {
	patient := patience("n2", 10*time.Millisecond)
	cause := errors.New("no node answers for it")
	require.NoError(t, patient(t.Context(), 1, cause))
	var err error
	for failures := 2; err == nil; failures++ {
		err = patient(t.Context(), failures, cause)
	}
	require.EqualError(t, err, "node n2 could not read it for 10ms: no node answers for it")
	require.NoError(t, patient(t.Context(), 1, cause), "another time it begins anew")
	damage := &jetstream.DamageError{Stream: "Q_00", What: "it is damaged"}
	require.Equal(t, damage, patient(t.Context(), 1, damage), "that does not pass")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, patient(ctx, 1, cause), context.Canceled)
}

// A cluster section that was a mistake is taken back, and nothing is lost.
func TestANodeWhoseClusterNeverWasGoesOnAlone(t *testing.T) {
	t.Parallel()
	const count = 100
	dirs := threeConfigs(t)
	alone := launch(t, free("serve", "--data-dir", dirs[0])...)
	alone.await("ready")
	alone.fill(count)
	require.NoError(t, alone.cmd.Process.Signal(syscall.SIGTERM))
	alone.exit()
	for range 2 {
		waiting := launchAll(t, dirs[:1])[0]
		waiting.await("waiting for a majority of the cluster's nodes")
		code, _, errs := operate(t, "status", dirs[0])
		require.Equal(t, 1, code)
		require.Equal(t, "sluice: the node is starting; it can be asked when it is ready: waiting for a majority of the cluster's nodes: 1 of 3 are there (n1); the first time 3 are needed, to keep all copies\n", errs)
		require.NoError(t, waiting.cmd.Process.Signal(syscall.SIGTERM))
		require.Equal(t, 0, waiting.exit(), waiting.rest.String())
	}
	alone = launch(t, free("serve", "--data-dir", dirs[0])...)
	alone.await("ready")
	alone.requireFilled(count)
}

// A node that was alone brings its topics with their messages into the cluster, once, though it is killed meanwhile; of a topic that the cluster has as well the messages go behind those that are there.
func TestOneNodesTopicsGrowIntoACluster(t *testing.T) {
	t.Parallel()
	const count = 1500
	dirs := threeConfigs(t)
	const known = "SLUICE_PUBSUB_SERVICE_TOKEN=the-service-token"
	alone := launchWith(t, []string{known}, free("serve", "--data-dir", dirs[0])...)
	alone.await("ready")
	must := func(p *program, method, path, body string) string {
		t.Helper()
		code, said := p.call(method, path, "the-service-token", body)
		require.Equal(t, 200, code, said)
		return said
	}
	topic := func(p *program, name string) {
		must(p, "PUT", "/projects/P/topics/"+name, "")
		must(p, "PUT", "/projects/P/subscriptions/of-"+name, `{"topic":"projects/P/topics/`+name+`"}`)
	}
	publish := func(p *program, name, text string, n int) {
		one := fmt.Sprintf(`{"attributes":{"text":%q}}`, text)
		must(p, "POST", "/projects/P/topics/"+name+":publish", `{"messages":[`+strings.TrimSuffix(strings.Repeat(one+",", n), ",")+`]}`)
	}
	must(alone, "POST", "/projects/P", `{"description":""}`)
	topic(alone, "own")
	topic(alone, "both")
	publish(alone, "own", "own", count/2)
	publish(alone, "own", "own", count/2)
	publish(alone, "both", "alone", 10)
	must(alone, "POST", "/projects/P/subscriptions/of-own:modifyOffset", `{"offset":1000}`)
	require.NoError(t, alone.cmd.Process.Signal(syscall.SIGTERM))
	alone.exit()

	require.NoError(t, os.Rename(dirs[0], dirs[0]+".alone"))
	nodes := launchAll(t, dirs, known)
	for _, p := range nodes {
		p.await("ready")
	}
	others := nodes[1:]
	must(others[0], "POST", "/projects/P", `{"description":""}`)
	topic(others[0], "both")
	publish(others[0], "both", "cluster", 5)
	require.NoError(t, nodes[0].cmd.Process.Signal(syscall.SIGKILL))
	nodes[0].exit()
	require.NoError(t, os.RemoveAll(dirs[0]))
	require.NoError(t, os.Rename(dirs[0]+".alone", dirs[0]))
	first := launchAll(t, dirs[:1], known)[0]
	first.await("the messages that the node had alone go into the cluster")
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGKILL))
	first.exit()
	first = launchAll(t, dirs[:1], known)[0]
	first.await("ready")
	// A node that is behind, or has not heard of a place yet, has the rest in a moment.
	eventually := func(p *program, method, path, body string, enough func(said string) bool) (said string) {
		t.Helper()
		require.Eventually(t, func() bool {
			said = must(p, method, path, body)
			return enough(said)
		}, soon, 20*time.Millisecond, path)
		return said
	}
	for _, p := range append(others, first) {
		eventually(p, "GET", "/projects/P/subscriptions/of-own:offsets", "", func(said string) bool {
			var o struct{ Max, Min, Current int }
			return json.Unmarshal([]byte(said), &o) == nil && o.Max == count && o.Min == 0 && o.Current == 1000
		})
	}
	said := eventually(first, "POST", "/projects/P/subscriptions/of-both:pull", `{"maxMessages":"100"}`, func(said string) bool { return strings.Count(said, `"alone"`) >= 10 })
	require.Equal(t, 5, strings.Count(said, `"cluster"`))
	require.Less(t, strings.LastIndex(said, `"cluster"`), strings.Index(said, `"alone"`))
	publish(others[1], "own", "new", 1)
	said = eventually(first, "POST", "/projects/P/subscriptions/of-own:pull", `{"maxMessages":"1000"}`, func(said string) bool { return strings.Contains(said, `"new"`) })
	require.Equal(t, count-1000+1, strings.Count(said, `"text"`))
}

// Root can write anywhere: a backup must not take the place of a device.
func TestABackupTakesThePlaceOfFilesOnly(t *testing.T) {
	dirs := t.TempDir()
	pipe := filepath.Join(dirs, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	code, _, errs := command(nil, "backup", "--data-dir", dirs, "--out", pipe)
	require.Equal(t, 1, code)
	require.Equal(t, "sluice: "+pipe+" is no file; --out - writes to standard output\n", errs)
}

// A backup that is interrupted leaves no part of a file behind.
func TestABackupThatIsInterruptedLeavesNothing(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	begun := make(chan struct{})
	c, err := admin.ListenControl(admin.ControlConfig{DataDir: dir, Logger: slog.New(slog.DiscardHandler), Operations: []admin.Operation{
		{Name: "backup", Do: func(ctx context.Context, _ admin.Call, w io.Writer) error {
			_, err := io.WriteString(w, "a part")
			close(begun)
			<-ctx.Done()
			return err
		}},
	}})
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- c.Serve() }()
	p := launch(t, "backup", "--data-dir", dir, "--out", filepath.Join(to, "backup"))
	<-begun
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 1, p.exit())
	left, err := os.ReadDir(to)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, c.Close())
	require.NoError(t, <-served)
}
