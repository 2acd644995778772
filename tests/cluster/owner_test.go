package cluster

import (
	"encoding/json"
	"strings"

	"github.com/sluice-mq/sluice/tests/node"
)

// owners are the nodes that owned the shards last, by their logs.
func owners(c *node.Cluster) map[int]int {
	type tenure struct {
		Msg   string
		Shard int
		Epoch uint64
	}
	last, all := map[int]uint64{}, map[int]int{}
	for i, n := range c.Nodes {
		for line := range strings.Lines(n.Log()) {
			var t tenure
			if json.Unmarshal([]byte(line), &t) == nil && t.Msg == "this node owns a shard" && t.Epoch >= last[t.Shard] {
				last[t.Shard], all[t.Shard] = t.Epoch, i
			}
		}
	}
	return all
}

// busiest is the node that owns most.
func busiest(c *node.Cluster) (who int) {
	var owned [3]int
	for _, i := range owners(c) {
		owned[i]++
	}
	for i, n := range owned {
		if n > owned[who] {
			who = i
		}
	}
	return who
}
