package push

import (
	"crypto/sha256"
	"encoding/binary"
)

// Leader is the node that pushes a subscription: the one of the highest hash with it. All who know the same nodes choose the same one; when a node comes or
// goes, only what it leads changes hands. Empty if there are no nodes.
func Leader(subscription string, nodes []string) string {
	leader, highest := "", uint64(0)
	for _, node := range nodes {
		sum := sha256.Sum256([]byte(subscription + "\x00" + node))
		if h := binary.BigEndian.Uint64(sum[:]); leader == "" || h > highest || h == highest && node > leader {
			leader, highest = node, h
		}
	}
	return leader
}
