package stomp

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

const (
	// ActiveMQ's defaults.
	queuePrefetch   = 1000
	topicPrefetch   = 32767
	durablePrefetch = 100
	browserPrefetch = 500
	// maxPrefetch bounds what a client can ask for.
	maxPrefetch = 1 << 20
)

// wish is what a SUBSCRIBE says of one matter: in the header of any broker that has a name for it, or in an option of the destination.
type wish struct {
	header  gateway.Header
	options string
}

// text returns the first of the headers that is there and not empty, without blanks around it, else the option.
func (w *wish) text(option string, headers ...string) string {
	for _, name := range headers {
		if v, _ := w.header.Get(name); v != "" {
			return strings.TrimSpace(v)
		}
	}
	return strings.TrimSpace(consumerOption(w.options, option))
}

// yes reports whether one of the headers, or the option, is true.
func (w *wish) yes(option string, headers ...string) bool {
	for _, name := range headers {
		if isTrue(w.header, name) {
			return true
		}
	}
	return strings.EqualFold(strings.TrimSpace(consumerOption(w.options, option)), "true")
}

// whole returns a whole number, ok false for what is none: ActiveMQ ignores that.
func (w *wish) whole(option string, headers ...string) (n int64, ok bool) {
	n, err := strconv.ParseInt(w.text(option, headers...), 10, 64)
	return n, err == nil
}

func isTrue(h gateway.Header, name string) bool {
	v, _ := h.Get(name)
	return strings.EqualFold(strings.TrimSpace(v), "true")
}

// wishes are the options of a subscription. What is unknown, or makes no sense, is ignored as ActiveMQ does, unless the client would
// get less than it asked for.
func (c *conn) wishes(h gateway.Header, s *subscription) (o gateway.SubscribeOptions, err error) {
	w := &wish{h, s.to.options}
	topic := s.to.Kind.IsTopic()
	o = gateway.SubscribeOptions{
		Destination: s.to.Destination,
		Also:        s.to.also,
		AutoAck:     s.mode == ackAuto,
		NoLocal:     w.yes("noLocal", "activemq.noLocal", "no-local", "noLocal"),
		Exclusive:   w.yes("exclusive", "activemq.exclusive", "exclusive"),
		Retroactive: w.yes("retroactive", "activemq.retroactive", "retroactive"),
		Redelivery:  w.redelivery(),
		Wake:        s.wake,
		Ended:       s.end,
	}
	if n, ok := w.whole("priority", "activemq.priority", "x-priority", "consumer-priority"); ok {
		o.Priority = int8(min(max(n, math.MinInt8), math.MaxInt8))
	}
	if n, ok := w.whole("maximumPendingMessageLimit", "activemq.maximumPendingMessageLimit"); ok && topic {
		o.Pending = int(min(max(n, 0), maxPrefetch))
	}
	if o.Selector, err = c.selector(h, topic); err != nil {
		return o, err
	}
	where, _ := h.Get("destination")
	if o.Name = c.subscriptionName(s.id, where); s.id != "" && o.Selector != "" {
		o.Name += "\n" + o.Selector
	}
	if err := c.durable(h, s, &o); err != nil {
		return o, err
	}
	usual := queuePrefetch
	switch {
	case o.Durable != "":
		usual = durablePrefetch
	case topic:
		usual = topicPrefetch
	}
	if w.yes("browser", "browser") {
		if err := c.browse(h, s, &o); err != nil {
			return o, err
		}
		usual = browserPrefetch
	}
	var said bool
	o.Prefetch, said = w.prefetch(usual)
	o.PrefetchUnset = !said
	return o, nil
}

// selector reads the selector of a SUBSCRIBE. A wrong one is refused as ActiveMQ does it, but with the place in the text.
func (c *conn) selector(h gateway.Header, topic bool) (string, error) {
	text, there := h.Get("selector")
	if strings.TrimSpace(text) == "" {
		if there && c.addresses.emptySelector {
			return "", invalid("The selector is empty")
		}
		return "", nil
	}
	if _, err := selector.Parse(text); err != nil {
		if topic {
			return "", worded("Couldn't create TopicSubscription", err)
		}
		return "", worded(quote(text), err)
	}
	return text, nil
}

// prefetch is how many deliveries may be unacknowledged: what the client asked for
// in the words of any of the brokers it may have been written for, else the usual number.
func (w *wish) prefetch(usual int) (n int, said bool) {
	ask := func(name string) string { v, _ := w.header.Get(name); return strings.TrimSpace(v) }
	credit, _, _ := strings.Cut(ask("credit"), ",")
	for i, v := range [...]string{ask("activemq.prefetchSize"), consumerOption(w.options, "prefetchSize"), ask("prefetch-count"), credit} {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && (n >= 0 || i == 0) { // ActiveMQ delivers nothing to who asks it for less than nothing
			return int(min(max(n, 0), maxPrefetch)), true
		}
	}
	// Artemis counts this window in bytes; only "one at a time" has a meaning here.
	if ask("consumer-window-size") == "0" {
		return 1, true
	}
	return usual, false
}

// redelivery is the client's own policy for what it gives back, nil if it has none.
func (w *wish) redelivery() *gateway.Redelivery {
	r := gateway.Redelivery{Maximum: -1}
	said := false
	if n, ok := w.whole("maximumRedeliveries", "activemq.maximumRedeliveries"); ok {
		r.Maximum, said = int(min(max(n, -1), math.MaxInt32)), true
	}
	for _, delay := range [...]struct {
		option string
		to     *time.Duration
	}{
		{"redeliveryDelay", &r.Delay}, {"initialRedeliveryDelay", &r.Delay}, {"maximumRedeliveryDelay", &r.MaxDelay},
	} {
		if n, ok := w.whole(delay.option, "activemq."+delay.option); ok && n >= 0 {
			*delay.to, said = time.Duration(min(n, farthest.Milliseconds()))*time.Millisecond, true
		}
	}
	factor, err := strconv.ParseFloat(w.text("backOffMultiplier", "activemq.backOffMultiplier"), 64)
	if err == nil && factor >= 1 && factor <= 1e6 {
		r.Backoff, said = factor, true
	}
	if !said {
		return nil
	}
	return &r
}

// browse makes the subscription one that only looks.
func (c *conn) browse(h gateway.Header, s *subscription, o *gateway.SubscribeOptions) error {
	goOn, _ := h.Get("browser-end")
	switch {
	case c.version == wire.V10:
		return invalid("Queue Browser feature only valid for Stomp v1.1+ clients!")
	case s.to.any(func(d gateway.Destination) bool { return !d.Kind.IsQueue() }):
		return invalid("%s is a topic: only queues can be browsed", quote(s.to.String()))
	case strings.EqualFold(strings.TrimSpace(goOn), "false"):
		return unsupported("queue browsers that go on")
	}
	s.browser = true
	o.Browse, o.AutoAck = true, true
	return nil
}
