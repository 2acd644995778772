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
