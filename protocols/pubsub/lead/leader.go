package lead

import (
	"crypto/sha256"
	"encoding/binary"
)

// Leader is the node that something falls to, by its ID: the one of the highest hash with it. All who know the same nodes choose the same one; when a node comes or
// goes, only what it leads changes hands. Empty if there are no nodes.
func Leader(id string, nodes []string) string {
	leader, highest := "", uint64(0)
	for _, node := range nodes {
		sum := sha256.Sum256([]byte(id + "\x00" + node))
		if h := binary.BigEndian.Uint64(sum[:]); leader == "" || h > highest || h == highest && node > leader {
			leader, highest = node, h
		}
	}
	return leader
}
