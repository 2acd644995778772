package core

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
)

// logbook knows which topics have a log: what is sent to them is stored there first, and is there for whoever subscribes once it is.
type logbook struct {
	some   atomic.Bool // there is one
	mu     sync.RWMutex
	topics map[string]struct{}
}

// learn takes in a fact.
func (l *logbook) learn(key string, there bool) {
	topic := strings.TrimPrefix(key, gateway.LogKeys)
	l.mu.Lock()
	defer l.mu.Unlock()
	if there {
		if l.topics == nil {
			l.topics = make(map[string]struct{})
		}
		l.topics[topic] = struct{}{}
	} else {
		delete(l.topics, topic)
	}
	l.some.Store(len(l.topics) > 0)
}

// logs reports whether a destination is a topic with a log.
func (h *hub) logs(d gateway.Destination) bool {
	l := &h.logbook
	if d.Kind != gateway.KindTopic || !l.some.Load() || h.broker.cfg.Logs == nil {
		return false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, logs := l.topics[d.Name]
	return logs
}

// log has messages of one topic stored in its log, side by side, and then handed to everybody else. Calls for one topic are carried out in their order. from may
// be nil.
func (h *hub) log(batch []*gateway.Message, from *session, w waiter) {
	h.append(batch, &logged{h, batch, from, w})
}

// append stores messages of one topic in its log.
func (h *hub) append(batch []*gateway.Message, c gateway.Completion) {
	h.broker.arriving.Add(1)
	h.broker.cfg.Logs.Append(batch[0].Destination.Name, batch, landedInLog{h.broker, c}, 0)
}

// landedInLog completes when messages are in their log.
type landedInLog struct {
	broker *Broker
	c      gateway.Completion
}

// Complete implements gateway.Completion.
func (l landedInLog) Complete(_ uint64, err error) {
	defer l.broker.arriving.Add(-1)
	l.c.Complete(0, err)
}

// logged are messages on their way to the log of their topic.
type logged struct {
	hub   *hub
	batch []*gateway.Message
	from  *session
	w     waiter
}

// Complete implements gateway.Completion: the messages are in the log, or not.
func (l *logged) Complete(_ uint64, err error) {
	if err != nil {
		complete(l.w.c, l.w.token, err)
		return
	}
	w := l.w
	if len(l.batch) > 1 {
		w = waiter{completion.NewParts(len(l.batch), w.c, w.token), 0}
	}
	for _, m := range l.batch {
		l.hub.spreadOut(m, l.from, w)
	}
}

// logAlone sends messages that are all for one topic with a log, and need nothing else to be stored, as one, and reports true; it waits for nobody who sends at the same time.
func (s *session) logAlone(t *commitment, sends int) bool {
	h := &s.broker.topics
	if len(t.acks)+len(t.stored) > 0 || len(t.rest) != sends || sends == 0 || !h.logs(t.rest[0].Destination) {
		return false
	}
	batch := make([]*gateway.Message, sends)
	for i, r := range t.rest {
		if batch[i] = r.Message; !r.live || r.Destination != t.rest[0].Destination {
			return false
		}
	}
	s.mu.Lock()
	if s.closed || s.why != nil {
		s.mu.Unlock()
		complete(t.c, t.token, errSessionClosed)
		return true
	}
	send := func() {
		s.broker.counts.topicIn.Add(uint64(sends))
		h.log(batch, s, waiter{t.c, t.token})
	}
	if s.committing > 0 || s.flushing {
		s.held = append(s.held, send)
		s.mu.Unlock()
		return true
	}
	s.mu.Unlock()
	send()
	return true
}

// batches are what a transaction has for topics with logs, by topic; nil if there is nothing.
func (t *commitment) batches() (all map[string][]*gateway.Message) {
	h := &t.session.broker.topics
	if !h.logbook.some.Load() {
		return nil
	}
	for _, r := range t.rest {
		if r.live && h.logs(r.Destination) {
			if all == nil {
				all = make(map[string][]*gateway.Message)
			}
			all[r.Destination.Name] = append(all[r.Destination.Name], r.Message)
		}
	}
	return all
}

// logging has what a transaction has for topics with logs stored there, and then begin called again, or fails it. false: nothing is left to store.
func (t *commitment) logging() bool {
	h := &t.session.broker.topics
	if t.logged {
		return false
	}
	t.logged = true
	batches := t.batches()
	if len(batches) == 0 {
		return false
	}
	all := completion.NewParts(len(batches), doneFunc(func(err error) {
		if err != nil {
			t.fail(err)
			return
		}
		t.begin()
	}), 0)
	for _, batch := range batches {
		h.append(batch, all)
	}
	return true
}

// storable returns why messages cannot be stored as a whole or not at all: those for a topic with a log can only be with one another.
func (s *session) storable(sends []*gateway.Message) error {
	h := &s.broker.topics
	if !h.logbook.some.Load() {
		return nil
	}
	var log, other gateway.Destination
	for _, m := range sends {
		if !m.Persistent {
			continue
		}
		for i := range 1 + len(m.Also) {
			d := m.Destination
			if i > 0 {
				d = m.Also[i-1]
			}
			switch logs := h.logs(d); {
			case logs && log.Name != "" && log != d, d.Kind == gateway.KindQueue:
				other = d
			case logs:
				log = d
			}
		}
	}
	if log.Name == "" || other.Name == "" {
		return nil
	}
	return gateway.Errorf(gateway.Invalid, "messages to %s, which has a log, cannot be stored all or none with those to %s: send them by themselves", log, other)
}
