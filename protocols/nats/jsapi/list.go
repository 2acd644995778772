package jsapi

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// List is the body of a request for a list.
type List struct {
	Offset int `json:"offset"`
	// Subject asks for streams that have it.
	Subject string `json:"subject"`
}

// ParseList reads the body of a request for a list; an empty one asks for all.
func ParseList(body []byte) (List, error) {
	var l List
	if len(body) == 0 {
		return l, nil
	}
	if err := json.Unmarshal(body, &l); err != nil {
		return List{}, fmt.Errorf("%w: %w", ErrJSON, err)
	}
	l.Offset = max(l.Offset, 0)
	return l, nil
}

// Page cuts a page out of a list.
func Page[T any](all []T, offset, limit int) ([]T, Paged) {
	p := Paged{Total: len(all), Offset: offset, Limit: limit}
	from := min(max(offset, 0), len(all))
	return all[from:min(from+limit, len(all))], p
}

// PrependStream puts one of ours, JSON, before a page of streams or of their names that the server answered with. offset is where the
// client's page begins, so that ours is its first with 0. An answer that is no such page is left as it is.
func PrependStream(answer []byte, first any, offset int) []byte {
	var page map[string]json.RawMessage
	var total int
	var list []json.RawMessage
	if json.Unmarshal(answer, &page) != nil || page["error"] != nil || json.Unmarshal(page["total"], &total) != nil {
		return answer
	}
	if text := page["streams"]; text != nil && json.Unmarshal(text, &list) != nil {
		return answer
	}
	if offset == 0 {
		text, _ := json.Marshal(first)
		list = append([]json.RawMessage{text}, list...)
	}
	page["streams"], _ = json.Marshal(list)
	page["total"], _ = json.Marshal(total + 1)
	page["offset"], _ = json.Marshal(offset)
	changed, err := json.Marshal(page)
	if err != nil {
		return answer
	}
	return changed
}

// AddToAccount counts one more stream, and so many more consumers, in the server's answer about the account.
func AddToAccount(answer []byte, consumers int) []byte {
	var account map[string]json.RawMessage
	if json.Unmarshal(answer, &account) != nil || account["error"] != nil {
		return answer
	}
	for field, more := range map[string]int{"streams": 1, "consumers": consumers} {
		var n int
		if json.Unmarshal(account[field], &n) != nil {
			return answer
		}
		account[field], _ = json.Marshal(n + more)
	}
	changed, err := json.Marshal(account)
	if err != nil {
		return answer
	}
	return changed
}

// Trace is a server's report of whom a message would reach. Each server that it passes makes one.
type Trace struct {
	Server struct {
		ID string `json:"id"`
	} `json:"server"`
	Events []struct {
		Type string `json:"type"`
		Kind int    `json:"kind"`
		ID   uint64 `json:"cid"`
		Sub  string `json:"sub"`
	} `json:"events"`
}

// ParseTrace reads a report.
func ParseTrace(report []byte) (r Trace, ok bool) {
	return r, json.Unmarshal(report, &r) == nil
}

const (
	toClient = 0
	toRoute  = 1
	// leastExact is how many tokens a connection must have asked for exactly if others at other nodes
	// hear the subject, too: whoever listens to everything here is not the one that asked there.
	leastExact = 2
)

// Connection returns the connection of the report's server that asked to hear exactly that subject, or, as patterns
// go, the most exactly; of several the youngest. ok is false if nobody there would hear it.
func (r *Trace) Connection(subject string) (id uint64, ok bool) {
	best := -1
	for _, e := range r.Events {
		if e.Type == "eg" && e.Kind == toRoute {
			best = leastExact - 1
			id = math.MaxUint64 // no connection has as much in common
		}
	}
	for _, e := range r.Events {
		if e.Type != "eg" || e.Kind != toClient || e.Sub == "" {
			continue
		}
		exact := commonTokens(e.Sub, subject)
		if exact > best || exact == best && e.ID > id {
			best, id, ok = exact, e.ID, true
		}
	}
	if !ok {
		return 0, false
	}
	return id, true
}

// commonTokens is how many tokens a pattern and a subject begin with together.
func commonTokens(pattern, subject string) (n int) {
	for pattern != "" && subject != "" {
		var p, s string
		p, pattern, _ = strings.Cut(pattern, ".")
		s, subject, _ = strings.Cut(subject, ".")
		if p != s {
			return n
		}
		n++
	}
	return n
}
