package jsapi

import (
	"encoding/json"
	"fmt"
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

// ParseTrace reads the server's report of whom a message would reach, and returns
// the connection that asked to hear exactly that subject, or, as patterns go, the most exactly; of several
// the youngest. ok is false if nobody would hear it.
func ParseTrace(report []byte, subject string) (id uint64, ok bool) {
	var r struct {
		Events []struct {
			Type string `json:"type"`
			Kind int    `json:"kind"`
			ID   uint64 `json:"cid"`
			Sub  string `json:"sub"`
		} `json:"events"`
	}
	if json.Unmarshal(report, &r) != nil {
		return 0, false
	}
	best := -1
	for _, e := range r.Events {
		if e.Type != "eg" || e.Kind != 0 || e.Sub == "" {
			continue
		}
		exact := commonTokens(e.Sub, subject)
		if exact > best || exact == best && e.ID > id {
			best, id, ok = exact, e.ID, true
		}
	}
	return id, ok
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
