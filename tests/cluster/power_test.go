package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
	"github.com/sluice-mq/sluice/tests/powercut"
)

// power is what the nodes' disks hang on: each has a file system of its own, whose device can be taken as it is in a moment.
type power struct {
	t      *testing.T
	c      *node.Cluster
	base   string
	images [3]*powercut.Image
	cuts   int
}

// connect makes the disks, and a cluster on them.
func connect(t *testing.T, settings ...string) *power {
	t.Helper()
	p := &power{t: t, base: t.TempDir()}
	if os.Geteuid() != 0 {
		t.Skip("POWER CUTS OF CLUSTERS ARE NOT TESTED HERE: not root")
	}
	t.Cleanup(func() { // behind the ends of the nodes
		for _, i := range p.images {
			if i != nil {
				require.NoError(t, i.Detach())
			}
		}
	})
	for i := range p.images {
		dir := filepath.Join(p.base, fmt.Sprint(i))
		require.NoError(t, os.MkdirAll(dir, 0o700))
		image, err := powercut.NewImage("ext4", dir)
		if err == nil {
			err = image.Attach()
		}
		if err != nil {
			t.Skipf("POWER CUTS OF CLUSTERS ARE NOT TESTED HERE: %v", err)
		}
		p.images[i] = image
	}
	p.c = node.NewCluster(t, settings...)
	for i, image := range p.images {
		p.c.Place(i, image.Mount)
	}
	p.c.Launch()
	return p
}

// cut takes the power from nodes, all in one moment. What of their disks was only in the kernel's memory is gone.
func (p *power) cut(nodes ...int) {
	p.t.Helper()
	p.cuts++
	var pids []int
	for _, i := range nodes {
		pids = append(pids, p.c.Nodes[i].PID())
	}
	require.NoError(p.t, powercut.Freeze(pids...))
	for _, i := range nodes {
		left, err := p.images[i].Copy(filepath.Join(p.base, fmt.Sprintf("%d.%d", i, p.cuts)))
		require.NoError(p.t, err)
		p.c.Nodes[i].Kill()
		require.NoError(p.t, p.images[i].Detach())
		require.NoError(p.t, p.images[i].Remove())
		p.images[i] = left
		require.NoError(p.t, left.Attach())
		p.c.Place(i, left.Mount)
	}
}

// The power of one node is cut, or that of all three at once.
func TestPowerIsCut(t *testing.T) {
	long(t)
	t.Parallel()
	rnd := chance(t)
	p := connect(t)
	s := begin(t, p.c, rnd, habits{})
	all, whole := rounds(t, 1), 0
	for range all {
		if rnd.IntN(3) == 0 {
			whole++
			p.cut(0, 1, 2)
			p.c.Launch()
		} else {
			i := busiest(p.c)
			p.cut(i)
			s.progress(100)
			p.c.Nodes[i].Restart()
			s.ready(p.c.Nodes[i])
		}
		s.progress(200)
	}
	s.finish(false)
	s.flagged()
	t.Logf("FIGURE %d power cuts of an owner, %d of all nodes at once", all-whole, whole)
}

// The ledger sees it if receipts do not wait for the disks.
func TestTheLedgerSeesAPowerCut(t *testing.T) {
	long(t)
	t.Parallel()
	rnd := chance(t)
	p := connect(t, "durability=quorum") // which says that it does not bear this
	s := begin(t, p.c, rnd, habits{fast: true})
	s.patient = 15 * time.Second
	s.progress(1000)
	p.cut(0, 1, 2)
	for _, n := range p.c.Nodes {
		n.Launch()
	}
	for _, n := range p.c.Nodes {
		if n.Refused() {
			t.Log("seen: a node refuses to start")
			s.stop()
			return
		}
	}
	wrong := s.verdict(false)
	require.NotEmpty(t, wrong, "nobody has seen it")
	t.Logf("seen, for one: %s (%d more)", wrong[0], len(wrong)-1)
}
