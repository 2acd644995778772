package jetstream

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// What is published again, while nobody is there to take it, is under way once; and in a cluster nobody waits for others' answers after one was an error: they would wait for ever if one was counted twice.
func TestWhatIsPublishedAgainIsUnderWayOnce(t *testing.T) {
	for name, cluster := range map[string]*Cluster{"alone": nil, "in a cluster": {Nodes: 3, Replicas: 3}} {
		t.Run(name, func(t *testing.T) {
			l := newTopicLog(&logs{store: &Store{cfg: Config{Cluster: cluster}}}, "P.T", gateway.LogFact{ID: "one"})
			a := &appending{log: l, batch: []*gateway.Message{{}}, records: [][]byte{{1}}, fence: &fenced{key: "r.l"}}
			f := &flight{batches: []*appending{a}, records: 1}
			l.fly(f)
			l.fly(f)
			require.Equal(t, []int{1, 1}, []int{l.flying, l.copies.underway["r.l"]})
			f.landed(0, errSilent)
			require.Zero(t, l.flying)
			require.Empty(t, l.copies.underway)
			require.Equal(t, cluster == nil, l.astray)
		})
	}
}
