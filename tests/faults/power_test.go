package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/ledger"
	"github.com/sluice-mq/sluice/tests/node"
	"github.com/sluice-mq/sluice/tests/powercut"
)

// power is what a node's disk hangs on: it can be cut, and then what was only in the kernel's memory is gone.
type power struct {
	t     *testing.T
	n     *node.Node
	base  string
	image *powercut.Image
	cuts  int
}

func plugIn(t *testing.T, settings ...string) *power {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("POWER CUTS OF A NODE ARE NOT TESTED HERE: not root")
	}
	p := &power{t: t, base: t.TempDir()}
	t.Cleanup(func() { // behind the end of the node
		if p.image != nil {
			require.NoError(t, p.image.Detach())
		}
	})
	image, err := powercut.NewImage("ext4", p.base)
	if err == nil {
		err = image.Attach()
	}
	if err != nil {
		t.Skipf("POWER CUTS OF A NODE ARE NOT TESTED HERE: %v", err)
	}
	p.image, p.n = image, node.Configured(t, settings...)
	p.n.Place(image.Mount)
	p.n.Launch()
	p.n.AwaitReady()
	return p
}

// cut has the disk be what the device was given until now.
func (p *power) cut() {
	p.t.Helper()
	p.cuts++
	require.NoError(p.t, powercut.Freeze(p.n.PID()))
	left, err := p.image.Copy(filepath.Join(p.base, fmt.Sprint(p.cuts)))
	require.NoError(p.t, err)
	p.n.Kill()
	require.NoError(p.t, p.image.Detach())
	require.NoError(p.t, p.image.Remove())
	p.image = left
	require.NoError(p.t, left.Attach())
	p.n.Place(left.Mount)
}

// The power of a single node is cut while clients send, also in transactions, and acknowledge: what has a receipt is there, and whole. A transaction has its receipt
// when its record is on disk; what the cut takes of its messages comes from that.
func TestPowerIsCut(t *testing.T) {
	alongside(t)
	p := plugIn(t)
	rnd, l, n := chance(t), ledger.New(), p.n
	l.PowerCut = true
	ps := senders(rnd)
	all := rounds(t, 3)
	for range all {
		round(t, n, l, rnd, ps, p.cut)
		n.Restart()
	}
	ledger.Drain(t, n, l, 0)
	p.cut()
	n.Restart()
	ledger.Drain(t, n, l, 1) // whatever comes now besides the marks was acknowledged before
	l.Close(t)
	t.Logf("FIGURE %d power cuts", p.cuts)
}

// The ledger sees it if receipts do not wait for the disk.
func TestTheLedgerSeesAPowerCut(t *testing.T) {
	alongside(t)
	p := plugIn(t, "durability=relaxed") // which says that it does not bear this
	rnd, l, n := chance(t), ledger.New(), p.n
	l.PowerCut = true
	ps := senders(rnd)
	round(t, n, l, rnd, ps, n.Stop)
	n.Restart()
	require.NoError(t, exec.Command("sync", "-f", p.image.Mount).Run()) // so that there is a store, and what is missing is messages
	round(t, n, l, rnd, ps, p.cut)
	n.Launch()
	if n.Refused() {
		t.Log("seen: the node refuses to start")
		require.Contains(t, n.Log(), "damaged")
		return
	}
	ledger.Drain(t, n, l, 0)
	wrong := l.Verdict(t.Logf)
	require.NotEmpty(t, wrong, "nobody has seen it")
	t.Logf("seen, for one: %s (%d more)", wrong[0], len(wrong)-1)
}
