package core

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/feed"
)

// alsoMost is how many destinations a composite one may have beside the first.
const alsoMost = 255

// spread finds out where a message goes that is for several destinations: a composite one, or one whose policy forwards it. Each destination gets it once.
type spread struct {
	from *session
	// origin is how the composite destination stands in what comes from it; empty: there is none.
	origin string
	seen   map[gateway.Destination]struct{}
	// waits are the copies for queues, live those for whoever subscribes to topics now.
	waits, live []*gateway.Message
	// named are those of waits whose queues were named, and not fed by topics.
	named []*gateway.Message
}

// spreads reports whether a message is for several destinations.
func (b *Broker) spreads(m *gateway.Message) bool {
	return len(m.Also) > 0 || b.forwarded(m.Destination) != nil
}

// compositeOrigin is a composite destination as ActiveMQ writes it.
func compositeOrigin(m *gateway.Message) string {
	var b strings.Builder
	b.WriteString(feed.OriginOf(m.Destination))
	for _, d := range m.Also {
		b.WriteByte(',')
		b.WriteString(d.String())
	}
	return b.String()
}

// spread returns the copies of a message.
func (s *session) spread(m *gateway.Message) *spread {
	x := &spread{from: s, seen: make(map[gateway.Destination]struct{})}
	if len(m.Also) > 0 {
		x.origin = compositeOrigin(m)
	}
	x.to(m.Destination, m, x.origin)
	for _, d := range m.Also {
		x.to(d, m, x.origin)
	}
	m.Also = nil
	return x
}

// to adds the copies for a destination, which come from origin if that is not empty.
func (x *spread) to(d gateway.Destination, m *gateway.Message, origin string) {
	if _, twice := x.seen[d]; twice {
		return
	}
	x.seen[d] = struct{}{}
	c := m
	if origin == "" {
		x.from.broker.live(m, d) // nobody else has it yet, and its sender may want to know where it stands in a log
	} else {
		c = m.Copy()
		c.Also, c.Destination, c.Header = nil, d, feed.WithOrigin(c.Header, origin)
		c = x.from.broker.lived(c, d)
	}
	p := x.from.broker.forwarded(d)
	if p == nil || !p.ForwardOnly {
		x.here(c)
	}
	if p == nil {
		return
	}
	for _, next := range p.ForwardTo {
		x.to(next, c, feed.OriginOf(d))
	}
}

// here adds the copies for a destination itself.
func (x *spread) here(m *gateway.Message) {
	if !m.Destination.Kind.IsTopic() {
		x.waits, x.named = append(x.waits, m), append(x.named, m)
		return
	}
	x.live = append(x.live, m)
	copies := x.from.broker.topics.route(topicKey(m.Destination)).copies(m, x.from)
	for _, c := range copies {
		if c.Destination.Kind == gateway.KindQueue { // what a virtual topic's queue gets comes from that topic
			c.Header = fromHere(c.Header, x.origin, m.Destination)
		}
	}
	x.waits = append(x.waits, copies...)
}

// fromHere is a header that says that it comes from d where it said that it comes from origin.
func fromHere(h gateway.Header, origin string, d gateway.Destination) gateway.Header {
	for i := range h {
		if h[i].Name == feed.OriginHeader && h[i].Value == origin {
			h = slices.Clone(h)
			h[i].Value = feed.OriginOf(d)
			break
		}
	}
	return h
}

// sendSpread sends a message to several destinations: what is to be stored of it is as a whole, or not at all.
func (s *session) sendSpread(m *gateway.Message, unmade map[string]error, c gateway.Completion, token uint64) {
	c = s.broker.topics.land(c)
	t := &commitment{session: s, c: c, token: token, slow: true}
	if err := s.storable([]*gateway.Message{m}); err != nil {
		complete(c, token, err)
		return
	}
	x := s.spread(m)
	t.add(x.waits...)
	t.live(x.live...)
	t.askAll(x)
	if err := t.within(); err != nil {
		complete(c, token, err)
		return
	}
	if err := s.allKnown(unmade); err != nil {
		complete(c, token, err)
		return
	}
	t.c = s.witness(m, c)
	t.copies = amount{len(x.waits), t.heavy + int(t.light)}
	if s.underway.add(t.copies) {
		t.Hold(0)
	}
	s.commit(t)
}

// admitAlso checks the further destinations of a message, and returns the queues that have to be there.
func (s *session) admitAlso(m *gateway.Message, unmade map[string]error) (map[string]error, error) {
	if len(m.Also) > alsoMost {
		return nil, gateway.Errorf(gateway.Limit, "the message has %d destinations, the limit is %d", len(m.Also)+1, alsoMost+1)
	}
	for _, d := range m.Also {
		g, err := s.granted(d)
		if err != nil {
			return nil, err
		}
		if d.IsPattern() {
			return nil, gateway.Errorf(gateway.Invalid, "cannot send to the wildcard destination %s", d)
		}
		if err := s.tempThere(d); err != nil {
			return nil, err
		}
		unmade = needed(unmade, d, g)
	}
	return unmade, nil
}

// needed adds a queue that has to be there, because the sender may not make it.
func needed(unmade map[string]error, d gateway.Destination, g *grant) map[string]error {
	if g.unmade == nil {
		return unmade
	}
	if unmade == nil {
		unmade = make(map[string]error)
	}
	unmade[d.Place()] = g.unmade
	return unmade
}

const (
	// underwayMost and underwayBytes are how many copies for queues that topics feed may be on their way for one session until its door is told to wait.
	underwayMost  = 8192
	underwayBytes = 32 << 20
)

// amount is of messages.
type amount struct{ messages, bytes int }

func (a *amount) add(bytes int) {
	a.messages++
	a.bytes += bytes
}

// underway counts copies that are on their way to the queues that keep them.
type underway struct{ copies, bytes atomic.Int64 }

// add reports whether there are too many now.
func (u *underway) add(a amount) (tooMany bool) {
	copies, bytes := u.copies.Add(int64(a.messages)), u.bytes.Add(int64(a.bytes))
	return copies > underwayMost || bytes > underwayBytes
}

func (u *underway) take(a amount) {
	u.copies.Add(-int64(a.messages))
	u.bytes.Add(-int64(a.bytes))
}
