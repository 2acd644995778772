package route

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schedule"
)

// The attributes that dead letters have beside their message's.
const (
	RouteField   = "sluice-route"
	RefusedField = "sluice-refused"
	// maxReason is how long the second one is at most, in bytes.
	maxReason = 1 << 10
)

// item is a message, with what the route makes of it.
type item struct {
	m      *gateway.Message
	copied *gateway.Message
	topics []string
	// refusals are why it is not copied to some of its targets.
	refusals []string
	// endless messages went in a circle: they are not even dead letters.
	endless bool
}

func (i *item) refuse(topic, why string) {
	i.topics = slices.DeleteFunc(i.topics, func(t string) bool { return t == topic })
	i.refusals = append(i.refusals, topic+": "+why)
}

// why are all refusals in words.
func (i *item) why() string {
	text := strings.Join(i.refusals, "; ")
	if len(text) > maxReason {
		return strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return text
}

// source is what a copy of the item says of itself.
func (c *Copier) source(i *item) *gateway.Source {
	return &gateway.Source{Route: c.cfg.ID, Log: c.cfg.Log, Offset: i.m.Offset, Hops: hops(i.m) + 1, Once: true}
}

// hops is through how many routes a message has come.
func hops(m *gateway.Message) int {
	if m.Source == nil {
		return 0
	}
	return m.Source.Hops
}

// plan says what becomes of messages, as far as that can be known before.
func (c *Copier) plan(ctx context.Context, messages []*gateway.Message) ([]*item, error) {
	items := make([]*item, len(messages))
	topics := make(map[string]struct{})
	if c.cfg.DeadLetters != "" {
		topics[c.cfg.DeadLetters] = struct{}{}
	}
	for n, m := range messages {
		items[n] = c.judge(m)
		for _, t := range items[n].topics {
			topics[t] = struct{}{}
		}
	}
	if len(topics) == 0 {
		return items, nil
	}
	all := make([]string, 0, len(topics))
	for t := range topics {
		all = append(all, t)
	}
	slices.Sort(all)
	missing, err := c.cfg.Topics.Missing(ctx, all)
	if err != nil {
		return nil, err
	}
	_, c.unburied = missing[c.cfg.DeadLetters]
	for _, i := range items {
		for _, t := range slices.Clone(i.topics) {
			if _, gone := missing[t]; gone {
				i.refuse(t, "there is no such topic")
			}
		}
	}
	return items, nil
}

// judge says where a message goes by the rule.
func (c *Copier) judge(m *gateway.Message) *item {
	i := &item{m: m}
	names, copied, err := c.cfg.Rule.Apply(m, c.cfg.Kept...)
	switch {
	case len(names) == 0:
		return i
	case hops(m) >= MaxHops:
		i.endless = true
		i.refusals = append(i.refusals, fmt.Sprintf("it has come through %d routes", hops(m)))
		return i
	case err != nil:
		i.refusals = append(i.refusals, gateway.TextOf(err))
		return i
	}
	i.copied = copied
	for _, name := range names {
		switch topic, ok := c.cfg.Topics.Named(name); {
		case !ok:
			i.refuse(shown(name), "no topic can have that name")
		case topic == c.cfg.From:
			i.refuse(topic, "it comes from there")
		case topic == c.cfg.DeadLetters:
			i.refuse(topic, "that is for dead letters")
		case !slices.Contains(i.topics, topic):
			i.topics = append(i.topics, topic)
		}
	}
	return i
}

// batches are the copies that targets do not have for sure, in the order of their names.
func (c *Copier) batches(items []*item) (all []batch) {
	at := make(map[string]int)
	for _, i := range items {
		for _, t := range i.topics {
			if c.has(t, i) {
				continue
			}
			n, ok := at[t]
			if !ok {
				n = len(all)
				at[t] = n
				all = append(all, batch{topic: t})
			}
			m := i.copied.Copy()
			m.Destination, m.Source = gateway.Destination{Kind: gateway.KindTopic, Name: t}, c.source(i)
			all[n].messages = append(all[n].messages, m)
		}
	}
	slices.SortFunc(all, func(a, b batch) int { return strings.Compare(a.topic, b.topic) })
	return all
}

// has reports whether a target has the copy of an item for sure.
func (c *Copier) has(topic string, i *item) bool {
	last, ok := c.done[topic]
	return ok && i.m.Offset <= last
}

// letters are the dead letters of items: the messages as they are, with why they could not be copied.
func (c *Copier) letters(items []*item) (all []*gateway.Message) {
	for _, i := range items {
		if c.cfg.DeadLetters == "" || len(i.refusals) == 0 || i.endless || c.has(c.cfg.DeadLetters, i) {
			continue
		}
		m := i.m.Copy()
		m.ID, m.Also, m.Queue = "", nil, ""
		m.Destination, m.Source = gateway.Destination{Kind: gateway.KindTopic, Name: c.cfg.DeadLetters}, c.source(i)
		m.Header = slices.DeleteFunc(slices.Clone(m.Header), func(f gateway.Field) bool {
			return f.Name == RouteField || f.Name == RefusedField || schedule.Is(gateway.Header{f})
		})
		m.Header = append(m.Header, gateway.Field{Name: RouteField, Value: c.cfg.Name}, gateway.Field{Name: RefusedField, Value: i.why()})
		all = append(all, m)
	}
	return all
}
