package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// Somebody takes all the space on one node's disk. The others go on; so does the node, by itself, when there is space again, and it has
// what the others have: another one is killed, and it counts.
func TestOneDiskIsFull(t *testing.T) {
	long(t)
	t.Parallel()
	rnd, dir := chance(t), node.Volume(t, 200)
	c, full := node.NewCluster(t), rnd.IntN(3)
	c.Place(full, dir)
	c.Launch()
	s := begin(t, c, rnd, habits{refusable: true})
	all, pid, halts, slowest := rounds(t, 1), c.Nodes[full].PID(), 0, time.Duration(0)
	for range all {
		free := node.Hog(t, dir)
		<-time.After(time.Duration(1+rnd.IntN(5)) * time.Second) // the fault itself
		s.progressBut(full, 200)
		stopped := c.Nodes[full].Status("/readyz") != 200
		free()
		began := time.Now()
		s.ready(c.Nodes[full])
		if stopped {
			halts, slowest = halts+1, max(slowest, time.Since(began))
		}
		s.progress(200)
		other := c.Nodes[(full+1+rnd.IntN(2))%3]
		other.Kill()
		s.progress(200)
		other.Restart()
		s.ready(other)
	}
	require.Equal(t, pid, c.Nodes[full].PID())
	s.finish(false)
	s.flagged()
	t.Logf("FIGURE %d times that a disk was full, %d of them noticed: ready at most %v after there was space; %d refusals", all, halts, slowest.Round(time.Millisecond), s.l.Refusals)
}

// harm does something to one file of a node's store, and returns its name.
func harm(t *testing.T, s *scene, data string) string {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(path) != "lock" {
			if info, err := d.Info(); err == nil && info.Size() > 0 {
				files = append(files, path)
			}
		}
		return err
	}))
	path := files[s.rnd.IntN(len(files))]
	if blocks := blocksOf(files); s.rnd.IntN(3) > 0 && len(blocks) > 0 { // where messages are
		path = blocks[s.rnd.IntN(len(blocks))]
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	how := "cut"
	switch s.rnd.IntN(4) {
	case 0:
		text = text[:s.rnd.IntN(len(text))]
	case 1:
		how = "gone"
	default:
		how = "flipped"
		at := s.rnd.IntN(len(text))
		for i := at; i < min(at+1+s.rnd.IntN(300), len(text)); i++ {
			text[i] ^= 0x41
		}
	}
	if how == "gone" {
		require.NoError(t, os.Remove(path))
	} else {
		require.NoError(t, os.WriteFile(path, text, 0o600))
	}
	name, err := filepath.Rel(data, path)
	require.NoError(t, err)
	return name + " " + how
}

func blocksOf(files []string) (blocks []string) {
	for _, f := range files {
		if strings.HasSuffix(f, ".blk") && strings.Contains(f, "/streams/") {
			blocks = append(blocks, f)
		}
	}
	return blocks
}

// saysDamaged is what a node logs when it finds that its copy is damaged.
const saysDamaged = "copy of a shard is damaged"

// whole waits until all nodes count. Those that find their copy damaged meanwhile, which may be that of an earlier round, start from an empty
// directory. It returns how many did. found is how often each node has said so before.
func (s *scene) whole(found map[*node.Node]int) (mended int) {
	s.t.Helper()
	said := func(n *node.Node) bool { return strings.Count(n.Log(), saysDamaged) > found[n] }
	for {
		s.await("readiness", func() bool {
			return slices.ContainsFunc(s.c.Nodes[:], said) ||
				!slices.ContainsFunc(s.c.Nodes[:], func(n *node.Node) bool { return n.Status("/readyz") != 200 })
		})
		i := slices.IndexFunc(s.c.Nodes[:], said)
		if i < 0 {
			return mended
		}
		n := s.c.Nodes[i]
		found[n] = strings.Count(n.Log(), saysDamaged)
		n.Kill()
		require.NoError(s.t, exec.Command("rm", "-rf", n.Dir()).Run())
		n.Restart()
		mended++
	}
}

// While a node is stopped one of its files is damaged. It refuses to start, or it starts and has what the others
// have, or it finds the damage when it reads; whoever leads then, nothing is lost. A node that refused, or has found damage, starts from an empty
// directory.
func TestFilesOfANodeAreDamaged(t *testing.T) {
	long(t)
	t.Parallel()
	rnd, c := chance(t), node.StartCluster(t)
	s := begin(t, c, rnd, habits{late: true}) // so that messages wait in what is damaged
	all, refused, late, found := rounds(t, 1), 0, 0, map[*node.Node]int{}
	for round := range all {
		i := rnd.IntN(3)
		n := c.Nodes[i]
		s.progress(500)
		if rnd.IntN(2) == 0 {
			n.Kill()
		} else {
			n.Stop()
		}
		what := harm(t, s, n.Dir())
		n.Launch()
		if n.Refused() {
			refused++
			t.Logf("n%d refused to start with %s", i+1, what)
			require.NoError(t, exec.Command("rm", "-rf", n.Dir()).Run())
			n.Restart()
		} else {
			t.Logf("n%d started with %s", i+1, what)
		}
		late += s.whole(found)
		s.progress(500)
		other := c.Nodes[(i+1+rnd.IntN(2))%3] // so that it counts what the damaged one has
		other.Kill()
		s.progress(200)
		other.Restart()
		late += s.whole(found)
		s.progress(200)
		if round == 0 {
			s.take()
		}
	}
	s.finish(false)
	t.Logf("FIGURE %d damages of one node, of which it refused to start with %d and found %d later", all, refused, late)
}

// What the server keeps of a replica beside its records is damaged: then it does not begin the replica at all, and says so in a line of its own log
// alone. If it is the registry's, the node refuses to start; if it is a journal's, the node says it, is not ready, and owns nothing. From an empty
// directory it is whole again.
func TestADamagedSnapshotIsNotSilent(t *testing.T) {
	t.Parallel()
	rnd, c := chance(t), node.StartCluster(t)
	s := begin(t, c, rnd, habits{})
	s.progress(300)
	n := c.Nodes[rnd.IntN(3)]
	n.Stop() // which is when snapshots are made, if not before
	snapshots, err := filepath.Glob(filepath.Join(n.Dir(), "jetstream", "$SYS", "_js_", "S-*", "snapshots", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, snapshots)
	path := snapshots[rnd.IntN(len(snapshots))]
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	text[len(text)/2] ^= 0x41
	require.NoError(t, os.WriteFile(path, text, 0o600))
	n.Launch()
	if n.Refused() {
		require.Contains(t, n.Log(), "FACTS: raft: snapshot corrupt")
	} else {
		s.await("word of the damage", func() bool { return strings.Contains(n.Log(), saysDamaged) })
		require.NotEqual(t, 200, n.Status("/readyz"))
		n.Kill()
	}
	require.NoError(t, exec.Command("rm", "-rf", n.Dir()).Run())
	n.Restart()
	s.ready(n)
	s.finish(false)
}
