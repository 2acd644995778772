package stomp

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// replyHeader says where an answer goes to.
const replyHeader = "reply-to"

// tempPrefixes lead from how a client calls its temporary destinations to how everybody does.
var tempPrefixes = [...]struct{ own, remote string }{
	{tempQueuePrefix, remoteQueuePrefix}, {tempTopicPrefix, remoteTopicPrefix},
}

// keptReply is a reply-to as messages keep it: a temporary destination of the sender under the name that it has
// for everybody, any other text as it is.
func (a *addresses) keptReply(text string) string {
	name := strings.TrimSpace(text)
	if strings.IndexByte(name, ',') >= 0 {
		return text
	}
	for _, p := range tempPrefixes {
		if rest, ok := strings.CutPrefix(name, p.own); ok {
			rest, _, _ = strings.Cut(rest, "?")
			return p.remote + a.own + rest
		}
	}
	if rest, ok := strings.CutPrefix(name, replyPrefix); ok && a.grammar == rabbitGrammar {
		return remoteQueuePrefix + rest
	}
	return text
}

// shownReply is a kept reply-to as the client sees it.
func (a *addresses) shownReply(kept string) string {
	for _, p := range tempPrefixes {
		name, ok := strings.CutPrefix(kept, p.remote)
		if !ok {
			continue
		}
		if rest, own := strings.CutPrefix(name, a.own); own {
			return p.own + rest
		}
		if a.grammar == rabbitGrammar && p.remote == remoteQueuePrefix {
			return replyPrefix + name
		}
	}
	return kept
}

// shown is a message as the client sees it: itself, unless its reply-to is one that it calls by another name.
func (a *addresses) shown(m *gateway.Message) *gateway.Message {
	for i := range m.Header {
		if m.Header[i].Name != replyHeader {
			continue
		}
		text := a.shownReply(m.Header[i].Value)
		if text == m.Header[i].Value {
			return m
		}
		m = m.Copy()
		m.Header = append(gateway.Header(nil), m.Header...)
		m.Header[i].Value = text
		return m
	}
	return m
}

// subscribeReply opens the subscription that a reply-to stands for, as in RabbitMQ: its id is the reply-to. It stays
// for all later ones.
func (c *conn) subscribeReply(text string) error {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, tempQueuePrefix) || c.subsByID[text] != nil {
		return nil
	}
	d, _, err := c.addresses.plain(text)
	if err == nil {
		err = c.addresses.possible(d, toSubscribe)
	}
	if err == nil {
		err = bounded(replyHeader, text)
	}
	if err != nil {
		return err
	}
	s := &subscription{conn: c, id: text, hasID: true, to: target{Destination: d}, mode: ackAuto}
	return c.open(s, gateway.SubscribeOptions{
		Destination: d, Prefetch: queuePrefetch, PrefetchUnset: true, AutoAck: true, Wake: s.wake, Ended: s.end,
	}, &wire.Frame{})
}
