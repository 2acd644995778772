package core

import (
	"slices"
	"strings"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// selectors keeps one of those with the same text, so that a message is judged by it once. The zero value is ready to use.
type selectors struct {
	mu  sync.Mutex
	all map[string]*shared
}

// shared is a selector and how many subscriptions have it.
type shared struct {
	*selector.Selector
	n int
}

// parse reads a selector; nil is that of an empty text.
func (s *selectors) parse(text string) (*selector.Selector, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.all[text]; known != nil {
		return known.Selector, nil
	}
	return selector.Parse(text)
}

// take is parse for a subscription that keeps the selector until it leaves it.
func (s *selectors) take(text string) (*selector.Selector, error) {
	parsed, err := s.parse(text)
	if err != nil || parsed == nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[string]*shared)
	}
	known := s.all[parsed.String()]
	if known == nil {
		known = &shared{Selector: parsed}
		s.all[parsed.String()] = known
	}
	known.n++
	return known.Selector, nil
}

// leave is the end of take.
func (s *selectors) leave(x *selector.Selector) {
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

// verdict remembers what the last selector said of a message.
type verdict struct {
	by       *selector.Selector
	selected bool
}

func (v *verdict) of(s *selector.Selector, m *gateway.Message) bool {
	if v.by != s {
		v.by, v.selected = s, s.MatchMessage(m, 0)
	}
	return v.selected
}

// together puts subscriptions with the same selector beside one another.
func together(subs []*topicSubscription) {
	if !slices.ContainsFunc(subs, func(s *topicSubscription) bool { return s.selector != nil }) {
		return
	}
	text := func(s *topicSubscription) string {
		if s.selector == nil {
			return ""
		}
		return s.selector.String()
	}
	slices.SortStableFunc(subs, func(a, b *topicSubscription) int { return strings.Compare(text(a), text(b)) })
}
