package stomp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

const (
	// queuePrefetch and topicPrefetch are ActiveMQ's defaults.
	queuePrefetch = 1000
	topicPrefetch = 32767
	// maxPrefetch bounds what a client can ask for.
	maxPrefetch = 1 << 20
)

// subscribe opens a subscription.
func (c *conn) subscribe(f *wire.Frame) error {
	s, options, err := c.wanted(f)
	if err != nil {
		return err
	}
	c.dropLost()
	if limit := c.server.cfg.Limits.Subscriptions; len(c.subs) >= limit {
		return gateway.Errorf(gateway.Limit, "The connection has %d subscriptions, the limit", limit)
	}
	if s.hasID && c.server.cfg.Errors == Strict && c.subsByID[s.id] != nil {
		return gateway.Errorf(gateway.Conflict, "The subscription id %s is in use", quote(s.id))
	}
	if s.source, err = c.session.Subscribe(options); err != nil {
		return err
	}
	c.addSubscription(s)
	receipt, _ := f.Header.Get("receipt")
	a := answer{receipt: receipt, more: &more{starts: s}}
	if others, ok := s.source.(gateway.Announced); ok && receipt != "" {
		others.Announced(c, c.owe(a))
		return nil
	}
	c.answer(a)
	return nil
}

// wanted reads a SUBSCRIBE frame.
func (c *conn) wanted(f *wire.Frame) (*subscription, gateway.SubscribeOptions, error) {
	var none gateway.SubscribeOptions
	id, hasID := f.Header.Get("id")
	if !hasID && c.version != wire.V10 {
		return nil, none, invalid("SUBSCRIBE received without a subscription id!")
	}
	if err := bounded("id", id); err != nil {
		return nil, none, err
	}
	to, _ := f.Header.Get("destination")
	d, extra, err := parseDestination(to)
	if err == nil {
		err = supported(f.Header)
	}
	if err != nil {
		return nil, none, err
	}
	mode, _ := f.Header.Get("ack")
	c.lastSub++
	s := &subscription{conn: c, number: c.lastSub, id: id, hasID: hasID, destination: d, mode: parseAckMode(mode)}
	return s, gateway.SubscribeOptions{
		Destination: d,
		Name:        id,
		Prefetch:    prefetch(f.Header, d.Kind, consumerOption(extra, "prefetchSize")),
		AutoAck:     s.mode == ackAuto,
		NoLocal:     isTrue(f.Header, "activemq.noLocal") || isTrue(f.Header, "no-local"),
		Wake:        s.wake,
		Ended:       s.end,
	}, nil
}

// supported refuses by name what a later release will do: silently giving less would lose messages.
func supported(h gateway.Header) error {
	if v, _ := h.Get("selector"); strings.TrimSpace(v) != "" {
		return unsupported("selectors")
	}
	if isTrue(h, "browser") {
		return unsupported("queue browsers")
	}
	for _, name := range [...]string{"activemq.subscriptionName", "activemq.subcriptionName"} {
		if v, _ := h.Get(name); v != "" {
			return unsupported("durable subscriptions")
		}
	}
	return nil
}

func isTrue(h gateway.Header, name string) bool {
	v, _ := h.Get(name)
	return strings.EqualFold(strings.TrimSpace(v), "true")
}

// prefetch is how many deliveries may be unacknowledged: what the client asked for
// in the words of any of the brokers it may have been written for, else
// ActiveMQ's default. What makes no sense is ignored.
func prefetch(h gateway.Header, kind gateway.Kind, option string) int {
	ask := func(name string) string { v, _ := h.Get(name); return strings.TrimSpace(v) }
	credit, _, _ := strings.Cut(ask("credit"), ",")
	for _, v := range [...]string{ask("activemq.prefetchSize"), option, ask("prefetch-count"), credit} {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= 0 {
			return int(min(n, maxPrefetch))
		}
	}
	// Artemis counts this window in bytes; only "one at a time" has a meaning here.
	if ask("consumer-window-size") == "0" {
		return 1
	}
	if kind == gateway.KindTopic {
		return topicPrefetch
	}
	return queuePrefetch
}

// subscriptionAt finds a subscription by its number.
func (c *conn) subscriptionAt(number uint64) (int, bool) {
	return slices.BinarySearchFunc(c.subs, number, func(s *subscription, n uint64) int {
		switch {
		case s.number < n:
			return -1
		case s.number > n:
			return 1
		}
		return 0
	})
}
