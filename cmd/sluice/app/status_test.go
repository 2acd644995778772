package app

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream"
)

// A node that is down owns nothing, whatever it said last, and one that was down before this one started is in the list.
func TestStatusNamesNodesThatAreDown(t *testing.T) {
	var out strings.Builder
	require.NoError(t, clusterTable(&out, "n1", []jetstream.Node{
		{Name: "n1", Owns: []int{0, 1}, Language: 4}, {Name: "n2", Owns: []int{1}, Language: 4}, {Name: "n3", Linked: true, Leaving: true, Language: 4},
	}, []shardCopies{
		{copies: []jetstream.Copy{{Node: "n1", Leads: true}, {Node: "n3", Lag: 2}, {Node: "n4", Offline: true}}},
		{err: errors.New("nobody answers")},
	}))
	require.Equal(t, strings.Join([]string{
		"NODE   LINK         SHARDS  LANGUAGE",
		"n1     this node    0 1     4",
		"n2     down         -       4",
		"n3     up, leaving  -       4",
		"n4     down         -       -",
		"SHARD  LEADER       COPIES",
		"0      n1           n1 n3 (2 behind) n4 (offline)",
		"1      none         nobody answers",
		"",
	}, "\n"), out.String())
}
