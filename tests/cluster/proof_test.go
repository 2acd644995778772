package cluster

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// mutants break one promise each.
var mutants = map[string]struct {
	change node.Change
	fault  func(s *scene)
}{
	// Some receipts do not wait until a majority of the nodes has the message on disk: it has none of them.
	"receipts without anything stored": {
		node.Change{File: "gateway/core/send.go", Old: "	a.shard.journal.Append(&a.record, a)\n", New: `
	if id := a.record.Message.ID; a.c != nil && id[len(id)-2:] == "77" {
		a.shard.broker.arriving.Add(-1)
		a.shard.arriving.Add(-1)
		complete(a.c, a.token, nil)
		return
	}
	a.shard.journal.Append(&a.record, a)
`},
		func(s *scene) {
			n := s.c.Nodes[busiest(s.c)]
			n.Kill()
			n.Restart()
		},
	},
	// An owner that was replaced takes it for a yes that its records are refused in its old epoch.
	"a stale epoch accepted": {
		node.Change{File: "jetstream/fence.go", Old: "	if err != nil || seq != j.next || j.flight.len() == 0 {\n", New: "	if j.flight.len() == 0 {\n"},
		standStill,
	},
}

// standStill has owners be replaced while they are stopped, and go on.
func standStill(s *scene) {
	for range 4 {
		n := s.c.Nodes[busiest(s.c)]
		n.Signal(syscall.SIGSTOP)
		<-time.After(4 * time.Second) // the fault itself
		n.Signal(syscall.SIGCONT)
		<-time.After(time.Second) // and what it does then
	}
}

// The ledger sees it if a node breaks a promise.
func TestTheLedgerSeesBrokenPromises(t *testing.T) {
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := node.NewCluster(t)
			c.Use(node.Mutant(t, m.change))
			c.Launch()
			s := begin(t, c, chance(t), habits{fast: true})
			s.patient = 15 * time.Second
			m.fault(s)
			<-time.After(2 * time.Second) // let it do its harm
			wrong := s.verdict(false)
			if s.l.Flagged*100 < s.l.Duplicates*95 {
				wrong = append(wrong, "duplicates are not marked")
			}
			require.NotEmpty(t, wrong, "nobody has seen it")
			t.Logf("seen, for one: %s (%d more)", wrong[0], len(wrong)-1)
		})
	}
}
