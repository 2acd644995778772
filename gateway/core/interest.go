package core

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/feed"
	"github.com/sluice-mq/sluice/gateway/relay"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// TopicDelivery says who hears on a node of a cluster what was sent to a topic on another one.
type TopicDelivery uint8

const (
	// OncePerClient: everybody, but a client that subscribes on several nodes on one of them only. It is known by
	// its user, its host, its client-id if it has one, and the name and destination of the subscription.
	OncePerClient TopicDelivery = iota
	// ClusterWide: every subscription, wherever it is.
	ClusterWide
	// Local: nobody.
	Local
)

// String returns the name in the configuration.
func (d TopicDelivery) String() string {
	switch d {
	case ClusterWide:
		return "cluster"
	case Local:
		return "local"
	default:
		return "once-per-client"
	}
}

// interest is what makes a node send messages of topics to another one: somebody there subscribes to them.
type interest struct {
	// name grows with every interest that its node finds, so that what was sent in the knowledge of one was
	// sent in the knowledge of all with a lower name.
	name uint64
	interestKey
	members int // subscriptions of this node that share it
}

// interestKey tells interests of a node apart.
type interestKey struct {
	destination string
	group       string // of one client's subscriptions; empty: of any
}

// route is where the messages of a topic go. It is never changed, only replaced.
type route struct {
	broker *Broker
	here   []*topicSubscription
	away   []leg
	// feeds are the queues that the topic feeds, and retain says that it is kept for those who come later.
	feeds  []feed.Fed
	retain bool
	// tally counts its messages; nil: nobody asks.
	tally *topicTally
	// judgement is the hub's when it was found.
	judgement uint64
}

// leg is the part of a route that leads to another node.
type leg struct {
	to *peer
	// skip are the interests there that another node serves, and known the last one that this node knew of.
	skip  []uint64
	known uint64
}

// relay sends a message there. If the node is far behind it keeps the sender's completion for a while, and reports true.
func (l *leg) relay(m *gateway.Message, w waiter) (held bool) {
	return l.to.Relay(m, l.skip, l.known, w.c, w.token, l.to.broker.nowMillis())
}

// peer is another node while there is a link to it, as far as topics go.
type peer struct {
	*relay.Link
	linked

	// What it wants. Guarded by the hub's lock.
	interests map[uint64]*interest
	exact     map[string][]*interest
	patterns  []*interest
	known     uint64 // the last one's name
	told      uint64 // the last one of ours that it knows
}

// linked is another node as the link to it sees it.
type linked struct {
	broker *Broker
	node   string
}

// Send implements relay.Node.
func (l linked) Send(f *gateway.Frame) { l.broker.cfg.Cluster.Send(l.node, f) }

// Relayed implements relay.Node.
func (l linked) Relayed() { l.broker.counts.topicRelayed.Add(1) }

// Dropped implements relay.Node.
func (l linked) Dropped(n int) { l.broker.counts.topicDroppedLinks.Add(uint64(n)) }

// group names the client of a subscription in a way that is the same on all nodes. It is short whatever the client
// said, and two never have the same.
func (s *session) group(o *gateway.SubscribeOptions) string {
	if s.broker.cfg.TopicDelivery != OncePerClient || o.Name == "" {
		return ""
	}
	host, _, err := net.SplitHostPort(s.login.Remote)
	if err != nil {
		host = s.login.Remote
	}
	sum := sha256.New()
	who := s.who()
	for _, part := range [...]string{who.Name, host, s.login.ClientID, o.Name, o.Destination.Name, strconv.FormatBool(o.NoLocal)} {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(part), part) // a hash takes all
	}
	if o.Selector != "" {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(o.Selector), o.Selector)
	}
	// Rights come from these as well: whoever has others is another client, which hears what this one may not.
	groups := slices.Clone(who.Groups)
	slices.Sort(groups)
	for _, part := range append(groups, who.DN) {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return string(sum.Sum(nil))
}

// isFar reports whether a subscription hears what was sent on other nodes. One without a prefetch hears nothing, and
// must not stand for its client.
func (s *session) isFar(o *gateway.SubscribeOptions) bool {
	cfg := &s.broker.cfg
	return cfg.Cluster != nil && cfg.TopicDelivery != Local && !o.Local && o.Prefetch > 0
}

// announce has the other nodes know of a subscription, if they do not know of one like it. The lock is held.
func (h *hub) announce(sub *topicSubscription) {
	if !sub.far {
		return
	}
	key := interestKey{topicKey(sub.options.Destination), sub.session.group(&sub.options)}
	in := h.interests[key]
	if in == nil {
		h.named++
		in = &interest{name: h.named, interestKey: key}
		h.interests[key] = in
		for _, p := range h.peers {
			p.tell(in)
		}
	}
	in.members++
	sub.interest = in
}

// renounce is announce's end. The lock is held.
func (h *hub) renounce(sub *topicSubscription) {
	in := sub.interest
	if in == nil {
		return
	}
	if in.members--; in.members > 0 {
		return
	}
	delete(h.interests, in.interestKey)
	for _, p := range h.peers {
		h.broker.cfg.Cluster.Send(p.node, &gateway.Frame{Kind: gateway.FrameDisinterest, Subscription: in.name})
	}
}

func (p *peer) tell(in *interest) {
	p.Send(&gateway.Frame{Kind: gateway.FrameInterest, Subscription: in.name, Queue: in.destination, Group: in.group})
}

// up begins to speak with a node, which knows nothing.
func (h *hub) up(node string) {
	h.down(node)
	l := linked{h.broker, node}
	p := &peer{linked: l, Link: relay.New(l, node, h.broker.cfg.Logger), interests: make(map[uint64]*interest), exact: make(map[string][]*interest)}
	h.mu.Lock()
	defer h.mu.Unlock()
	at, _ := h.peer(node)
	h.peers = slices.Insert(h.peers, at, p)
	for _, in := range slices.SortedFunc(maps.Values(h.interests), func(a, b *interest) int { return cmp.Compare(a.name, b.name) }) {
		p.tell(in)
	}
}

// down forgets a node. Whoever waits for it goes on.
func (h *hub) down(node string) {
	h.mu.Lock()
	at, found := h.peer(node)
	if !found {
		h.mu.Unlock()
		return
	}
	p := h.peers[at]
	h.peers = slices.Delete(h.peers, at, at+1)
	for _, in := range p.interests {
		h.broker.advisor.Listen(in.destination, -1)
	}
	for _, f := range h.flushes {
		f.heard(node)
	}
	clear(h.routes)
	known := h.announced(h.broker.nowMillis())
	h.mu.Unlock()
	p.Leave()
	known.Tell()
}

// leave ends the talk with all nodes.
func (h *hub) leave() {
	h.mu.RLock()
	peers := slices.Clone(h.peers)
	h.mu.RUnlock()
	for _, p := range peers {
		h.down(p.node)
	}
}

// peer finds a linked node, or its place among them. The lock is held.
func (h *hub) peer(node string) (int, bool) {
	return slices.BinarySearchFunc(h.peers, node, func(p *peer, node string) int { return cmp.Compare(p.node, node) })
}

// hear takes what another node says about topics.
func (h *hub) hear(node string, f *gateway.Frame) {
	h.mu.RLock()
	at, found := h.peer(node)
	var p *peer
	if found {
		p = h.peers[at]
	}
	h.mu.RUnlock()
	switch {
	case p == nil:
	case f.Kind == gateway.FrameInterest && h.broker.cfg.TopicDelivery != Local:
		h.wants(p, &interest{name: f.Subscription, interestKey: interestKey{f.Queue, f.Group}})
		h.broker.cfg.Cluster.Send(node, &gateway.Frame{Kind: gateway.FrameKnown, Subscription: f.Subscription})
	case f.Kind == gateway.FrameKnown:
		h.isKnown(p, f.Subscription)
	case f.Kind == gateway.FrameDisinterest:
		h.wantsNoMore(p, f.Subscription)
	case f.Kind == gateway.FramePublish && f.Message != nil:
		h.handOut(p, f)
	case f.Kind == gateway.FrameHeard:
		p.HeardOf(uint64(f.Count), f.Seq)
	}
}

// wants notes an interest of another node.
func (h *hub) wants(p *peer, in *interest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.known = max(p.known, in.name)
	p.interests[in.name] = in
	h.broker.advisor.Listen(in.destination, 1)
	if isPattern(in.destination) {
		p.patterns = append(p.patterns, in)
	} else {
		p.exact[in.destination] = append(p.exact[in.destination], in)
	}
	h.forget(in.destination)
}

func (h *hub) wantsNoMore(p *peer, name uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	in := p.interests[name]
	if in == nil {
		return
	}
	delete(p.interests, name)
	h.broker.advisor.Listen(in.destination, -1)
	if isPattern(in.destination) {
		p.patterns = without(p.patterns, in)
	} else if rest := without(p.exact[in.destination], in); len(rest) > 0 {
		p.exact[in.destination] = rest
	} else {
		delete(p.exact, in.destination)
	}
	h.forget(in.destination)
}

// legs decides who hears the messages of a topic on other nodes. A client that subscribes here hears them here; another on
// the first of its nodes. The lock is held.
func (h *hub) legs(topic string, here []*topicSubscription) (legs []leg) {
	served := make(map[string]struct{})
	for _, sub := range here {
		if sub.interest != nil && sub.interest.group != "" {
			served[sub.interest.group] = struct{}{}
		}
	}
	for _, p := range h.peers {
		l, wanted := leg{to: p, known: p.known}, false
		for _, in := range p.wanting(topic) {
			if _, elsewhere := served[in.group]; elsewhere {
				l.skip = append(l.skip, in.name)
				continue
			}
			wanted = true
			if in.group != "" {
				served[in.group] = struct{}{}
			}
		}
		if wanted {
			slices.Sort(l.skip)
			legs = append(legs, l)
		}
	}
	return legs
}

// wanting are a node's interests in a topic. The hub's lock is held.
func (p *peer) wanting(topic string) []*interest {
	all := slices.Clone(p.exact[topic])
	for _, in := range p.patterns {
		if advisory.Matches(in.destination, topic) {
			all = append(all, in)
		}
	}
	return all
}

// isServed reports whether the node that sent a message leaves its delivery to this subscription. It does not if it
// has somebody else for the client, and it may have if it did not know of this one.
func (sub *topicSubscription) isServed(f *gateway.Frame) bool {
	in := sub.interest
	if in == nil || in.group == "" {
		return in != nil
	}
	_, skipped := slices.BinarySearch(f.Tags, in.name)
	return !skipped && in.name <= f.Seq
}

// handOut gives a message that was sent on another node to this one's subscribers. That node is told when none of
// them is far behind any more, at the latest when their grace is over.
func (h *hub) handOut(p *peer, f *gateway.Frame) {
	m := f.Message
	w := waiter{p, uint64(m.Size())}
	r := h.route(topicKey(m.Destination))
	var v selector.Verdict
	given := 0
	for _, sub := range r.here {
		if !sub.isServed(f) || sub.selector != nil && !v.Of(sub.selector, m) || sub.options.Match != nil && !sub.options.Match(m) {
			continue
		}
		given++
		if sub.offer(m, w, r.judgement) {
			w = waiter{}
		}
	}
	r.shown(given)
	complete(w.c, w.token, nil)
}

func isPattern(topic string) bool { return gateway.Destination{Name: topic}.IsPattern() }
