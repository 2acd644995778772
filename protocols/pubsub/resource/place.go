package resource

import (
	"encoding/json"
	"strings"
)

// Place is where something goes on reading of which a fact speaks: the log's ID and the offset. A log that ends before would have messages that it never reads. ok is false if the fact
// speaks of no such thing.
func Place(key string, value []byte) (log string, offset uint64, ok bool) {
	switch {
	case strings.HasPrefix(key, subscriptionKeys):
		var s Subscription
		if json.Unmarshal(value, &s) == nil {
			return s.Log, s.Start, true
		}
	case strings.HasPrefix(key, cursorKeys):
		var c Cursor
		if json.Unmarshal(value, &c) == nil {
			return c.Log, max(c.Offset, c.Next), true
		}
	case strings.HasPrefix(key, routeKeys):
		var r Route
		if json.Unmarshal(value, &r) == nil {
			return r.Log, r.Start, true
		}
	case strings.HasPrefix(key, placeKeys):
		var p RouteProgress
		if json.Unmarshal(value, &p) == nil {
			return p.Log, p.Next, true
		}
	}
	return "", 0, false
}
