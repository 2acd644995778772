package nats

import (
	"errors"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	relayBatch      = 256
	relayBatchBytes = 1 << 20
	// relayWaiting is how many messages may wait for the relay, if the broker's own
	// bounds allow them.
	relayWaiting = 1 << 16
)

// relay carries the broker's topic messages to native subscribers. Its own
// session's messages, which native clients sent, do not come back to them:
// they had them from NATS already. Nor does it hear what came from other nodes: their doors carry
// that, and the server brings it here.
type relay struct {
	wake  chan struct{}
	stop  chan struct{} // closed: carry what is there and end
	done  chan struct{}
	ended chan struct{} // the broker ended the subscription, being too slow
}

func (r *relay) init() {
	r.wake, r.ended = make(chan struct{}, 1), make(chan struct{}, 1)
	r.stop, r.done = make(chan struct{}), make(chan struct{})
}

// subscribe asks the broker for all topic messages that somebody is interested in.
func (d *Door) subscribe() (gateway.Subscription, error) {
	return d.session.Subscribe(gateway.SubscribeOptions{
		Destination: gateway.Destination{Kind: gateway.KindTopic, Name: ">"},
		Prefetch:    relayWaiting, AutoAck: true, NoLocal: true, Local: true,
		Match: d.wanted,
		Wake:  func() { tell(d.relay.wake) },
		Ended: func(*gateway.Error) { tell(d.relay.ended) },
	})
}

// tell wakes a goroutine and does not wait.
func tell(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// wanted reports whether a native client gets the message.
func (d *Door) wanted(m *gateway.Message) bool {
	return strings.HasPrefix(m.Destination.Name, replyTopic) || d.cfg.Interest(subjectOf(m.Destination))
}

// carry relays until stop is closed.
func (d *Door) carry(sub gateway.Subscription) {
	defer close(d.relay.done)
	batch := make([]gateway.Delivery, relayBatch)
	for {
		if n := sub.Next(batch, relayBatchBytes); n > 0 {
			for i := range batch[:n] {
				d.publish(batch[i].Message)
			}
			clear(batch[:n])
			sub.Written(n)
			continue
		}
		select {
		case <-d.relay.wake:
		case <-d.relay.ended:
			d.cfg.Logger.Warn("topic messages for native clients were lost: they came faster than they could be relayed")
			d.counts.interrupted.Add(1)
			again, err := d.subscribe()
			if err != nil {
				d.cfg.Logger.Error("native clients get no more topic messages of others", "error", err)
				<-d.relay.stop
				return
			}
			sub = again
		case <-d.relay.stop:
			if len(d.relay.wake) == 0 {
				sub.Close()
				return
			}
		}
	}
}

// publish sends one message to native subscribers, or to the inbox it answers.
func (d *Door) publish(m *gateway.Message) {
	to, out := d.cfg.Outbound, natsgo.Msg{Subject: subjectOf(m.Destination), Header: headerOf(m), Data: m.Body}
	if strings.HasPrefix(m.Destination.Name, replyTopic) {
		inbox, ok := d.inboxes.inbox(m.Destination.Name)
		if !ok {
			d.counts.unrelayed.Add(1)
			d.cfg.Logger.Debug("an answer leads to no inbox", "topic", m.Destination.Name)
			return
		}
		to, out.Subject = d.cfg.replies(inbox), inbox
	}
	if v, ok := m.Header.Get("reply-to"); ok {
		out.Reply = d.inboxes.subject(v)
	}
	if err := to.PublishMsg(&out); err != nil {
		d.counts.unrelayed.Add(1)
		if !errors.Is(err, natsgo.ErrConnectionClosed) {
			d.cfg.Logger.Debug("a topic message could not be relayed to native clients", "topic", m.Destination.Name, "error", err)
		}
		return
	}
	d.counts.relayed.Add(1)
}
