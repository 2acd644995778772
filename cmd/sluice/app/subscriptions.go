package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/feed"
	"github.com/sluice-mq/sluice/protocols/admin"
)

// countWithin is how long a node may take to say what waits in a queue, and countMost for how many it is asked.
const (
	countWithin = 5 * time.Second
	countMost   = 10_000
)

// Subscriptions lists durable subscriptions and the queues of virtual topics, of all nodes, a line each.
func (d *duty) Subscriptions(ctx context.Context, w io.Writer) error {
	broker := d.life.node.broker
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tTOPIC\tSELECTOR\tMESSAGES\tCONSUMERS\tUSER\tMADE")
	for i, b := range broker.Bindings() {
		messages, consumers := "-", "-"
		if at, one := b.Destination(); one && i < countMost {
			messages, consumers = "unknown", "unknown"
			within, cancel := context.WithTimeout(ctx, countWithin)
			kept, err := broker.Kept(within, at)
			cancel()
			if err == nil {
				messages, consumers = strconv.Itoa(kept.Messages), strconv.Itoa(kept.Consumers)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shownText(bindingName(&b)), shownText("/topic/"+b.Topic), selectorWords(&b), messages, consumers,
			shownName(gateway.Principal{Name: b.User}), b.Made.UTC().Format(time.RFC3339))
	}
	return t.Flush()
}

// bindingName is what a binding is called: /queue/Consumer.a.b, or client:name of a durable subscription.
func bindingName(b *feed.Binding) string {
	if b.Queue != "" {
		return "/queue/" + b.Queue
	}
	d, _ := b.Destination()
	return d.Name
}

// selectorWords say what is kept of a topic.
func selectorWords(b *feed.Binding) string {
	switch {
	case b.Selector != "" && b.NoLocal:
		return shownText(b.Selector) + " (not its own)"
	case b.Selector != "":
		return shownText(b.Selector)
	case b.NoLocal:
		return "(not its own)"
	}
	return "-"
}

// DeleteSubscription ends what Subscriptions lists, unless somebody uses it.
func (d *duty) DeleteSubscription(ctx context.Context, c admin.Call, w io.Writer) error {
	name := c.Arguments.Get(nameArgument)
	if name == "" {
		return errors.New("which subscription? (sluice subscriptions lists them)")
	}
	broker := d.life.node.broker
	for _, b := range broker.Bindings() {
		if bindingName(&b) != name && shownText(bindingName(&b)) != name {
			continue
		}
		if err := mayDelete(c.Rights, &b); err != nil {
			return err
		}
		at, one := b.Destination()
		if one && b.Queue != "" {
			kept, err := broker.Kept(ctx, at)
			if err == nil && kept.Consumers > 0 {
				err = gateway.Errorf(gateway.Conflict, "%s is in use by %d consumers", name, kept.Consumers)
			}
			if err != nil {
				return err
			}
		}
		if err := broker.Unbind(ctx, b.ID()); err != nil {
			return err
		}
		text := "the subscription is deleted, and what was kept for it"
		if b.Queue != "" {
			text = "what is sent to the topic goes to the queue no more; what waits there stays, and who subscribes to it begins anew"
		}
		teller{w, d.life.log}.tell(text, "name", name)
		return nil
	}
	return gateway.Errorf(gateway.NotFound, "there is no subscription %s (sluice subscriptions lists them)", name)
}

// mayDelete: it takes the right to manage the queue, or the topics that a durable subscription is for.
func mayDelete(rights gateway.Rights, b *feed.Binding) error {
	at, one := b.Destination()
	if b.Queue == "" || !one {
		at = gateway.Destination{Kind: gateway.KindTopic, Name: b.Topic}
	}
	if err := rights.May(gateway.Manage, at); err != nil {
		return err
	}
	if at.IsPattern() && !rights.All(gateway.Manage, at) {
		return gateway.Errorf(gateway.Denied, "to delete it takes the right to manage all of %s", at)
	}
	return nil
}
