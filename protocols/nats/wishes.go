package nats

import (
	"fmt"
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// What a consumer of a queue wants beyond what the server's configuration has words for stands in its metadata: a JMS selector of the messages that its workers get,
// how they stand among the queue's consumers (-128 to 127; those with a higher priority first), and whether they want the queue for themselves ("true").
const (
	selectorKey  = "sluice.selector"
	priorityKey  = "sluice.priority"
	exclusiveKey = "sluice.exclusive"
)

// wishes are what a consumer's workers want of their queue.
type wishes struct {
	selector   string
	priority   int8
	exclusive  bool
	maxDeliver int
}

// wishesOf reads a configuration. The error says what is wrong with it.
func wishesOf(cfg *jsapi.Config) (w wishes, err error) {
	w.maxDeliver = max(cfg.MaxDeliver, 0)
	if w.selector = cfg.Metadata[selectorKey]; w.selector != "" {
		if _, err := selector.Parse(w.selector); err != nil {
			return w, fmt.Errorf("the metadata %s: %s", selectorKey, gateway.TextOf(err))
		}
	}
	if text, ok := cfg.Metadata[priorityKey]; ok {
		n, err := strconv.ParseInt(text, 10, 8)
		if err != nil {
			return w, fmt.Errorf("the metadata %s are no number from -128 to 127", priorityKey)
		}
		w.priority = int8(n)
	}
	if text, ok := cfg.Metadata[exclusiveKey]; ok {
		if w.exclusive, err = strconv.ParseBool(text); err != nil {
			return w, fmt.Errorf("the metadata %s are neither true nor false", exclusiveKey)
		}
	}
	return w, nil
}

// options are those of a worker's subscription.
func (w *worker) options(prefetch int) gateway.SubscribeOptions {
	c := w.consumer
	o := gateway.SubscribeOptions{
		Destination: c.queue, Prefetch: prefetch, Wake: w.wake, Selector: c.wishes.selector, Priority: c.wishes.priority, Exclusive: c.wishes.exclusive,
	}
	if n := c.wishes.maxDeliver; n > 0 {
		o.Redelivery = &gateway.Redelivery{Maximum: n - 1}
	}
	return o
}

// wish gives a consumer the wishes of its settings. If they are others its workers begin anew: what they have goes back. The lock is held.
func (c *consumer) wish(to wishes) {
	if c.wishes == to {
		return
	}
	c.wishes = to
	for _, w := range c.workers {
		w.finishAll("408 Request Timeout") // its library asks again
		w.close()
	}
}
