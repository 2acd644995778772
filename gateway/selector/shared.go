package selector

import (
	"strings"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// Shared keeps one of those with the same text, so that a message is judged by it once. The zero value is ready to use.
type Shared struct {
	mu  sync.Mutex
	all map[string]*taken
}

// taken is a selector and how many subscriptions have it.
type taken struct {
	*Selector
	n int
}

// Parse reads a selector; nil is that of an empty text.
func (s *Shared) Parse(text string) (*Selector, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.all[text]; known != nil {
		return known.Selector, nil
	}
	return Parse(text)
}

// Take is Parse for a subscription that keeps the selector until it leaves it.
func (s *Shared) Take(text string) (*Selector, error) {
	parsed, err := s.Parse(text)
	if err != nil || parsed == nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[string]*taken)
	}
	known := s.all[parsed.String()]
	if known == nil {
		known = &taken{Selector: parsed}
		s.all[parsed.String()] = known
	}
	known.n++
	return known.Selector, nil
}

// Leave is the end of Take.
func (s *Shared) Leave(x *Selector) {
	if x == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.all[x.String()]; known != nil {
		if known.n--; known.n == 0 {
			delete(s.all, x.String())
		}
	}
}

// Verdict remembers what the last selector said of a message.
type Verdict struct {
	by       *Selector
	selected bool
}

// Of is what s says.
func (v *Verdict) Of(s *Selector, m *gateway.Message) bool {
	if v.by != s {
		v.by, v.selected = s, s.MatchMessage(m, 0)
	}
	return v.selected
}
