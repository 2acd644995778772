package pubsub

import (
	"strconv"
	"sync/atomic"
)

// counts are of messages, since the door was opened.
type counts struct{ published, pulled, acknowledged atomic.Uint64 }

// Figures are what a door has done since it was opened.
type Figures struct {
	// Published messages are in their logs; Pulled ones were handed out, each time anew; Acknowledged ones need not be shown again.
	Published, Pulled, Acknowledged uint64
	// Calls are those of which there were some.
	Calls []CallCount
}

// CallCount is how often a call of the API was answered in a way.
type CallCount struct {
	// Call is "METHOD /path/{name}"; Codes are "2xx", "4xx" or "5xx".
	Call, Codes string
	Count       uint64
}

// Figures is a cheap snapshot.
func (s *Server) Figures() Figures {
	f := Figures{Published: s.counts.published.Load(), Pulled: s.counts.pulled.Load(), Acknowledged: s.counts.acknowledged.Load()}
	for _, r := range s.routes {
		for hundreds := range r.answers {
			if n := r.answers[hundreds].Load(); n > 0 {
				f.Calls = append(f.Calls, CallCount{r.method + " " + base + r.path, strconv.Itoa(hundreds) + "xx", n})
			}
		}
	}
	return f
}

// count counts an answer.
func (r *route) count(code int) { r.answers[min(code/100, len(r.answers)-1)].Add(1) }
