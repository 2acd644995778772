package core

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
)

// What FrameInspect asks of another node's advisor: what there is that advisories on some topic, or pattern of some, tell of; and a question about some destinations.
const (
	asksKnown = "\x05known\x00"
	asksTold  = "\x05told\x00"
)

// rosterMost is how many clients, consumers and destinations a node names to somebody who begins to listen, of each.
const rosterMost = 4096

// roll asks about consumers and topics of other nodes.
type roll struct {
	Node      string                `json:"node"`
	Consumers []gateway.Destination `json:"consumers,omitempty"`
	Topics    []gateway.Destination `json:"topics,omitempty"`
}

// add adds a destination to one of the lists, once.
func (q *roll) add(to *[]gateway.Destination, d gateway.Destination) {
	if !slices.Contains(*to, d) {
		*to = append(*to, d)
	}
}

// headcount says how many consumers the destinations have on a node, and which topics it knows.
type headcount struct {
	Consumers []int  `json:"consumers,omitempty"`
	Topics    []bool `json:"topics,omitempty"`
}

// elsewhere is what other nodes say.
type elsewhere struct {
	consumers map[gateway.Destination]int
	known     map[gateway.Destination]bool
}

// elsewhere asks all linked nodes and waits for what they say, or as long as they may take.
func (a *advisor) elsewhere(ctx context.Context, ask *roll) (e elsewhere) {
	b := a.broker
	if b.guests == nil || len(ask.Consumers)+len(ask.Topics) == 0 {
		return e
	}
	e = elsewhere{make(map[gateway.Destination]int), make(map[gateway.Destination]bool)}
	ask.Node = b.cfg.Node
	body, err := json.Marshal(ask)
	if err != nil {
		return e
	}
	nodes := b.guests.nodes()
	replies := make(chan headcount, len(nodes))
	for _, node := range nodes {
		f := &gateway.Frame{Queue: asksTold, Message: asking(body)}
		b.inspections.ask(b, node, f, func(f *gateway.Frame) {
			var r headcount
			if !understand(f, &r) || len(r.Consumers) != len(ask.Consumers) || len(r.Topics) != len(ask.Topics) {
				r = headcount{} // of another version
			}
			replies <- r
		})
	}
	for range nodes {
		select {
		case r := <-replies:
			for i, n := range r.Consumers {
				e.consumers[ask.Consumers[i]] += n
			}
			for i, known := range r.Topics {
				e.known[ask.Topics[i]] = e.known[ask.Topics[i]] || known
			}
		case <-ctx.Done():
			return e
		}
	}
	return e
}

// asking is a message for what frames carry.
func asking(body []byte) *gateway.Message {
	return &gateway.Message{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: advisory.Prefix}, Body: body}
}

// understand reads what a frame carries.
func understand(f *gateway.Frame, to any) bool {
	return f != nil && f.Message != nil && json.Unmarshal(f.Message.Body, to) == nil
}

// inspected answers another node's advisor, and reports false if the frame asks something else.
func (a *advisor) inspected(node string, f *gateway.Frame) bool {
	b := a.broker
	answer := &gateway.Frame{Kind: gateway.FrameInspected, Number: f.Number}
	send := func(content any) {
		if body, err := json.Marshal(content); err == nil {
			answer.Message = asking(body)
		}
		b.cfg.Cluster.Send(node, answer)
	}
	if pattern, ok := strings.CutPrefix(f.Queue, asksKnown); ok {
		// In its turn, so that what comes to be told later comes later to that node as well.
		a.tell(advice{instead: func() { send(a.counted(b.watching, a.known(pattern))) }})
		return true
	}
	if f.Queue != asksTold {
		return false
	}
	var q roll
	understand(f, &q)
	r := headcount{Consumers: make([]int, len(q.Consumers)), Topics: make([]bool, len(q.Topics))}
	for i, d := range q.Consumers {
		r.Consumers[i] = a.count(d)
	}
	for i, d := range q.Topics {
		// Of two that are about to tell the same one does.
		r.Topics[i] = b.topics.hasNews(d.Name) && (!a.isUntold(d) || b.cfg.Node < q.Node)
	}
	send(r)
	return true
}

// hasNews reports whether this node knows a topic by its own clients.
func (h *hub) hasNews(name string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	_, sent := h.sent.names[name]
	return sent || len(h.exact[name]) > 0
}

// roster is what there is on a node that advisories tell of.
type roster struct {
	Origin       advisory.Broker    `json:"origin"`
	Clients      []advisory.Client  `json:"clients,omitempty"`
	Consumers    []knownConsumer    `json:"consumers,omitempty"`
	Destinations []knownDestination `json:"destinations,omitempty"`
}

type knownConsumer struct {
	advisory.Subscriber
	Count int `json:"count"`
}

type knownDestination struct {
	gateway.Destination
	Connection string `json:"connection,omitempty"`
}

// known is what there is here for a topic of advisories, or a pattern of some, but for what is still to be told.
func (a *advisor) known(pattern string) (all roster) {
	all.Origin = a.origin
	kinds := advisory.Kinds(pattern)
	matches := func(k advisory.Kind, d gateway.Destination) bool {
		return kinds.Has(k) && advisory.Matches(pattern, advisory.Topic(k, d))
	}
	if kinds.Has(advisory.Connection, advisory.Consumer, advisory.Destination) {
		for _, s := range a.broker.openSessions() {
			all.session(s, matches)
		}
	}
	if kinds.Has(advisory.Destination) {
		for _, d := range a.destinations() {
			if matches(advisory.Destination, d) && !a.isUntold(d) && len(all.Destinations) < rosterMost {
				all.Destinations = append(all.Destinations, knownDestination{d, ""})
			}
		}
	}
	for i := range all.Consumers {
		all.Consumers[i].Count = a.count(all.Consumers[i].Destination)
	}
	return all
}

// counted adds the consumers on other nodes. It belongs to who tells.
func (a *advisor) counted(ctx context.Context, all roster) roster {
	var ask roll
	for i := range all.Consumers {
		ask.add(&ask.Consumers, all.Consumers[i].Destination)
	}
	there := a.elsewhere(ctx, &ask)
	for i := range all.Consumers {
		c := &all.Consumers[i]
		c.Count += there.consumers[c.Destination]
	}
	return all
}

// session adds a session and what it has.
func (all *roster) session(s *session, matches func(advisory.Kind, gateway.Destination) bool) {
	if s.id == "" {
		return
	}
	s.mu.Lock()
	closed := s.closed
	var mine []*enrolled
	for _, e := range s.subscriptions {
		if !e.unsaid.Load() {
			mine = append(mine, e)
		}
	}
	var temps []gateway.Destination
	for d := range s.temps {
		temps = append(temps, d)
	}
	s.mu.Unlock()
	if closed {
		return
	}
	if matches(advisory.Connection, gateway.Destination{}) && !s.untold.Load() && len(all.Clients) < rosterMost {
		all.Clients = append(all.Clients, *s.client())
	}
	slices.SortFunc(mine, func(a, b *enrolled) int { return int(a.number) - int(b.number) })
	for _, e := range mine {
		for _, d := range e.advised() {
			if matches(advisory.Consumer, d) && len(all.Consumers) < rosterMost {
				all.Consumers = append(all.Consumers, knownConsumer{*s.subscriber(&e.options, e.number, d), 0})
			}
		}
	}
	for _, d := range temps {
		if matches(advisory.Destination, d) && !s.broker.advisor.isUntold(d) && len(all.Destinations) < rosterMost {
			all.Destinations = append(all.Destinations, knownDestination{d, s.id})
		}
	}
}

// destinations are the queues that this node owns and the topics that it knows.
func (a *advisor) destinations() (all []gateway.Destination) {
	for _, s := range a.broker.owned() {
		for _, name := range s.matching(">") {
			all = append(all, gateway.Destination{Kind: gateway.KindQueue, Name: name})
		}
	}
	h := &a.broker.topics
	h.mu.RLock()
	defer h.mu.RUnlock()
	add := func(name string) {
		if !isTempPlace(name) && !advisory.Is(name) {
			all = append(all, gateway.Destination{Kind: gateway.KindTopic, Name: name})
		}
	}
	for name := range h.exact {
		add(name)
	}
	for name := range h.sent.names {
		if len(h.exact[name]) == 0 {
			add(name)
		}
	}
	return all
}

// messages are the advisories that tell what is known, but for topics of which seen has heard.
func (all *roster) messages(seen map[gateway.Destination]struct{}) (messages []*gateway.Message) {
	for i := range all.Clients {
		messages = append(messages, all.Origin.Connected(&all.Clients[i]))
	}
	for _, d := range all.Destinations {
		if _, twice := seen[d.Destination]; !twice {
			seen[d.Destination] = struct{}{}
			messages = append(messages, all.Origin.Made(d.Destination, d.Connection))
		}
	}
	for i := range all.Consumers {
		messages = append(messages, all.Origin.Subscribed(&all.Consumers[i].Subscriber, all.Consumers[i].Count))
	}
	return messages
}
