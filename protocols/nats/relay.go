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
	again chan struct{} // what the user may read has changed
	// narrow: the user may read no topic at all, and hears answers to its own requests only.
	narrow bool
}

func (r *relay) init() {
	r.wake, r.ended, r.again = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	r.stop, r.done = make(chan struct{}), make(chan struct{})
}

// subscribe asks the broker for all topic messages that somebody is interested in. Who may read none of them still hears what is
// answered to its requests.
func (d *Door) subscribe() (gateway.Subscription, error) {
	sub, err := d.subscribeTo(">")
	d.relay.narrow = false
	if d.cfg.User != nil && gateway.KindOf(err) == gateway.Denied {
		d.relay.narrow = true
		return d.subscribeTo(d.inboxes.prefix + ">")
	}
	return sub, err
}

// subscribeTo leaves out what other nodes' doors bring to the clients here: with an account for each user the broker does.
func (d *Door) subscribeTo(topics string) (gateway.Subscription, error) {
	return d.session.Subscribe(gateway.SubscribeOptions{
		Destination: gateway.Destination{Kind: gateway.KindTopic, Name: topics},
		Prefetch:    relayWaiting, AutoAck: true, NoLocal: true, Local: d.cfg.User == nil,
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
	if strings.HasPrefix(m.Destination.Name, replyTopic) {
		return strings.HasPrefix(m.Destination.Name, d.inboxes.prefix)
	}
	return d.cfg.Interest(d.outward(subjectOf(m.Destination)))
}

// outward is where in Outbound the clients are reached that listen to a subject.
func (d *Door) outward(subject string) string {
	if d.cfg.User == nil {
		return subject
	}
	return d.cfg.User.Topics + subject
}

// Reconsider has the door ask again for what its user may read.
func (d *Door) Reconsider() { tell(d.relay.again) }

// Deaf reports whether the broker has ended the door's session: it serves nobody any more.
func (d *Door) Deaf() bool { return d.deaf.Load() }

// anew replaces the subscription to topics. It is false when the broker gives none.
func (d *Door) anew(sub *gateway.Subscription) bool {
	again, err := d.subscribe()
	if err != nil {
		d.cfg.Logger.Error("native clients get no more topic messages of others", "error", err)
		d.deaf.Store(true)
		return false
	}
	(*sub).Close()
	*sub = again
	return true
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
			if !d.anew(&sub) {
				<-d.relay.stop
				return
			}
		case <-d.relay.again:
			if d.relay.narrow && !d.anew(&sub) {
				<-d.relay.stop
				return
			}
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
	to, out := d.cfg.Outbound, natsgo.Msg{Subject: d.outward(subjectOf(m.Destination)), Header: headerOf(m), Data: m.Body}
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
