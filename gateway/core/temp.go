package core

import (
	"context"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/past"
)

// A temporary destination is there as long as the session whose name it begins with. What waits in a temporary queue is in memory only. It goes with the session;
// if the session's node is gone, half a minute later.

const (
	// orphanSweeps is for how long a temporary queue without a consumer is left before it is asked whether its session lives.
	orphanSweeps = 120
	// tempsMost is how many temporary destinations of a session are dropped when it ends; other queues are found half a minute later.
	tempsMost = 4096
)

// tempMark is what places of temporary queues begin with, and the hub's names of temporary topics.
var tempMark = gateway.Destination{Kind: gateway.KindTempQueue}.Place()

func isTempPlace(place string) bool { return strings.HasPrefix(place, tempMark) }

// isTemp reports whether a message waits in a temporary queue.
func isTemp(m *gateway.Message) bool {
	return m.Destination.Kind == gateway.KindTempQueue && m.Queue == ""
}

// topicKey is what the hub calls a topic: temporary ones have names that no other can have.
func topicKey(d gateway.Destination) string {
	if d.Kind == gateway.KindTempTopic {
		return tempMark + d.Name
	}
	return d.Name
}

// owns reports whether a temporary destination is the session's own.
func (s *session) owns(d gateway.Destination) bool {
	rest, ok := strings.CutPrefix(d.Name, s.id)
	return ok && s.id != "" && strings.HasPrefix(rest, ":")
}

// mayHave returns why a session may not subscribe to a temporary destination.
func (s *session) mayHave(d gateway.Destination) error {
	switch {
	case !s.owns(d):
		return s.denied(gateway.Read, d, gateway.Errorf(gateway.Denied, "Cannot subscribe to remote temporary destination: %s", d))
	case d.IsPattern():
		return gateway.Errorf(gateway.Invalid, "a temporary destination has no wildcards: %s", d)
	}
	return nil
}

// haveTemps notes what is there until the session ends. The lock is held.
func (s *session) haveTemps(o *gateway.SubscribeOptions) {
	for _, d := range o.Destinations() {
		_, has := s.temps[d]
		if !d.Kind.IsTemp() || has || len(s.temps) >= tempsMost {
			continue
		}
		if s.temps == nil {
			s.temps = make(map[gateway.Destination]struct{})
		}
		s.temps[d] = struct{}{}
		s.broker.advisor.Destination(d, s.id, false)
	}
}

// dropTemps drops what waits in the temporary queues of a session that has ended.
func (s *session) dropTemps() {
	s.mu.Lock()
	temps := s.temps
	s.temps = nil
	s.mu.Unlock()
	for d := range temps {
		s.broker.advisor.Destination(d, s.id, true)
		if d.Kind == gateway.KindTempQueue {
			s.broker.seatOf(d.Place()).call(&gateway.Frame{Kind: gateway.FrameDrop, Queue: d.Place()}, func(error) {})
		}
	}
}

// noTemp is what becomes of a message to a temporary destination that is gone.
func noTemp(d gateway.Destination) error {
	return gateway.Errorf(gateway.NotFound, "The destination %s does not exist.", d)
}

// sendTemp sends a message to a temporary destination if that is there.
func (s *session) sendTemp(m *gateway.Message, c gateway.Completion, token uint64) {
	b, d := s.broker, m.Destination
	send := func() {
		if d.Kind == gateway.KindTempTopic {
			b.counts.topicIn.Add(1)
			b.topics.publish(m, s, waiter{c, token})
			return
		}
		b.counts.queueIn.Add(1)
		b.seatOf(m.Place()).send(m, 0, c, token)
	}
	ask := func() {
		b.lives(d.Name, func(alive bool, err error) {
			switch {
			case err != nil:
				complete(c, token, err)
			case !alive:
				complete(c, token, noTemp(d))
			default:
				send()
			}
		})
	}
	switch {
	case s.owns(d):
		send()
	case d.Kind == gateway.KindTempTopic || strings.HasPrefix(d.Name, b.ids):
		ask()
	default: // its consumer says that its session lives
		b.seatOf(m.Place()).call(&gateway.Frame{Kind: gateway.FrameSend, Message: m, Count: onlyKnown}, func(err error) {
			if gateway.KindOf(err) == gateway.NotFound {
				ask()
				return
			}
			b.counts.queueIn.Add(1)
			complete(c, token, err)
		})
	}
}

// tempThere waits until it is known whether a destination is there, if it is a temporary one.
func (s *session) tempThere(d gateway.Destination) error {
	if !d.Kind.IsTemp() || s.owns(d) {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.broker.watching, askWithin)
	defer cancel()
	answer := make(chan error, 1)
	s.broker.lives(d.Name, func(alive bool, err error) {
		if err == nil && !alive {
			err = noTemp(d)
		}
		answer <- err
	})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return errNobodySays
	}
}

var errNobodySays = gateway.Errorf(gateway.Unavailable, "the node of the temporary destination's client cannot be asked now")

// nodeOf is the node in the name of a session, or of what belongs to one: see Broker.ids.
func nodeOf(name string) string {
	node := strings.TrimPrefix(past.Origin(name), "ID:")
	for range 3 { // port, time, and a zero
		i := strings.LastIndexByte(node, '-')
		if i < 0 {
			return ""
		}
		node = node[:i]
	}
	return node
}

// lives finds out whether the session lives that a temporary destination belongs to. done may be called before it returns.
func (b *Broker) lives(name string, done func(alive bool, err error)) {
	if rest, ours := strings.CutPrefix(name, b.ids); ours {
		number, _, _ := strings.Cut(rest, ":")
		b.mu.Lock()
		alive := b.named[b.ids+number] != nil
		b.mu.Unlock()
		done(alive, nil)
		return
	}
	node := nodeOf(name)
	if b.cfg.Cluster == nil || node == b.cfg.Node || node == "" {
		done(false, nil) // of a process that is over
		return
	}
	place := gateway.Destination{Kind: gateway.KindTempQueue, Name: name}.Place()
	b.inspections.ask(b, node, &gateway.Frame{Queue: place}, func(f *gateway.Frame) {
		switch {
		case f == nil:
			done(false, errNobodySays)
		case f.Err != nil:
			done(false, nil)
		default:
			done(true, nil)
		}
	})
}

// serves reports whether a queue has a consumer: then the session lives that a temporary one belongs to.
func (s *shard) serves(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	return q != nil && len(q.subscriptions) > 0
}

// sendTemp puts a message into a temporary queue's memory.
func (s *shard) sendTemp(m *gateway.Message, redeliveries uint32, c gateway.Completion, token uint64) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		f := &gateway.Frame{Kind: gateway.FrameSend, Message: m, Redeliveries: redeliveries}
		s.broker.seats[s.index].takeBack(f, func(err error) { complete(c, token, err) })
		return
	}
	if s.broker.memory.Load()+int64(m.Size()) > s.broker.cfg.QueueMemory {
		s.mu.Unlock()
		complete(c, token, gateway.Errorf(gateway.Limit, "%s is full: temporary queues are kept in memory, and there is no more", m.Destination))
		return
	}
	q := s.queue(m.Place())
	e := s.entry(m, 0, false)
	e.Redeliveries = redeliveries
	now := s.broker.nowMillis()
	q.tally.count(q.Queue, &e, now)
	q.Stored(e, now, &s.fx)
	s.effects(q)
	s.release()
	complete(c, token, nil)
}

// lapse drops a temporary queue without a consumer whose session is gone. The lock is held.
func (s *shard) lapse(q *queue) {
	if !isTempPlace(q.name) {
		return
	}
	if q.orphaned++; len(q.subscriptions) > 0 {
		q.orphaned = 0
	}
	if q.orphaned < orphanSweeps {
		return
	}
	q.orphaned = 0
	name := q.name
	s.broker.spawn(func() {
		s.broker.lives(strings.TrimPrefix(name, tempMark), func(alive bool, _ error) {
			if !alive { // or its node has been away all the time
				s.drop(&gateway.Frame{Kind: gateway.FrameDrop, Queue: name, Count: unlessUsed}, func(error) {})
			}
		})
	})
}
