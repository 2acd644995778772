package jetstream_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// readers counts who reads at a node.
func readers(t *testing.T, at *member) (asked *atomic.Int32) {
	t.Helper()
	nc, err := at.server.Connect(embed.Store, "readers")
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	asked = new(atomic.Int32)
	_, err = nc.Subscribe("$JS.API.DIRECT.GET.Q_00", func(*nats.Msg) { asked.Add(1) })
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return asked
}

// appended gives a journal messages of queue "q" and returns their sequences.
func appended(t *testing.T, j gateway.Journal, count int) (seqs []uint64) {
	t.Helper()
	var stored []outcome
	for i := range count {
		stored = append(stored, make(outcome, 1))
		append1(j, fmt.Sprint(i), stored[i])
	}
	for _, o := range stored {
		require.NoError(t, <-o)
	}
	last := j.State().Last
	for i := range count {
		seqs = append(seqs, last-uint64(count)+uint64(i)+1)
	}
	return seqs
}

// load reads messages, and demands all of them unless that fails.
func load(t *testing.T, j gateway.Journal, seqs []uint64) error {
	t.Helper()
	type answer struct {
		messages []*gateway.Message
		err      error
	}
	answers := make(chan answer, 1)
	j.Load("q", seqs, func(m []*gateway.Message, err error) { answers <- answer{m, err} })
	a := <-answers
	if a.err == nil {
		for i, m := range a.messages {
			require.NotNil(t, m, "message %d of %d is gone", i, len(seqs))
		}
	}
	return a.err
}

// A node that was just started offers its replicas before it has everything. Nobody else reads there.
func TestAReplicaThatIsBehindIsNotReadByOthers(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	at := owner(t, all, 0)
	seqs := appended(t, at.journal(0), 50)
	var asked []*atomic.Int32
	for _, m := range all {
		if m != at {
			asked = append(asked, readers(t, m))
		}
	}
	for range 50 {
		require.NoError(t, load(t, at.journal(0), seqs))
	}
	for _, n := range asked {
		require.Zero(t, n.Load())
	}
}

// A new tenure reads the journal from its first record on, needed or not: a node that was cut off may offer again what
// has long been settled, and is recognised by that.
func TestATenureReadsWhatIsNotNeededAnyMore(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	at := owner(t, all, 0)
	j := at.journal(0)
	seqs := appended(t, j, 10)
	j.Trim(seqs[9] + 1)
	marks := filepath.Join(at.dir, "marks.json")
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(marks)
		return err == nil && strings.Contains(string(text), fmt.Sprintf(`"low":%d`, seqs[9]+1))
	}, gatewaytest.Wait, 10*time.Millisecond)
	for range 10 { // until it is its turn again
		next := owner(t, all, 0)
		if next == at && next.journal(0) != j {
			break
		}
		before := next.journal(0)
		require.NoError(t, next.server.StepDown("Q_00"))
		gatewaytest.Eventually(t, func() bool { now := owner(t, all, 0); return now.journal(0) != before }, "another tenure")
	}
	require.True(t, at.journal(0) != nil && at.journal(0) != j)
	require.Len(t, contents(t, at.journal(0)), 10)
}
