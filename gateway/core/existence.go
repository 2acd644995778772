package core

import (
	"context"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// A queue exists while its owner knows it: while it holds messages or has subscriptions, and for about a minute after that. The
// owner alone can tell, so it is asked: with a send that is only for a queue that exists, or with one without a message.

const (
	// onlyKnown is the Count of a FrameSend whose message is refused with an error of kind NotFound if there is no such queue.
	onlyKnown = 1
	// askWithin is how long somebody waits who asks for a queue.
	askWithin = 2 * time.Second
	// gatherMillis is for how long a new owner takes every queue for one that exists: subscriptions come to it one after another.
	gatherMillis = 5000
	// inquiriesMost is how many may wait for an answer: they share their way with what clients send.
	inquiriesMost = 1024
)

var errNoQueue = gateway.Errorf(gateway.NotFound, "there is no such queue")

// exists reports whether the shard's owner, which is here, knows a queue.
func (s *shard) exists(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queues[name] != nil {
		return true
	}
	now := s.broker.nowMillis()
	return s.epoch != 0 && max(now-s.since, s.since-now) < gatherMillis
}

// isHere reports whether this node owns a queue that exists.
func (b *Broker) isHere(name string) bool {
	s := b.seatOf(name).here.Load()
	return s != nil && s.exists(name)
}

// sendKnown sends a message to its queue if that exists. unmade is the refusal if it does not.
func (s *session) sendKnown(m *gateway.Message, unmade error, c gateway.Completion, token uint64) {
	t := s.broker.seatOf(m.Place())
	here := t.here.Load()
	if here != nil && !here.exists(m.Place()) {
		complete(c, token, s.denied(gateway.Create, m.Destination, unmade))
		return
	}
	s.broker.counts.queueIn.Add(1)
	if here != nil {
		here.send(m, s.wayOf(m.Place(), false), c, token)
		return
	}
	t.call(&gateway.Frame{Kind: gateway.FrameSend, Message: m, Count: onlyKnown, Tag: uint64(s.wayOf(m.Place(), false))}, func(err error) {
		if gateway.KindOf(err) == gateway.NotFound {
			err = s.denied(gateway.Create, m.Destination, unmade)
		}
		complete(c, token, err)
	})
}

// unknown reports whether what a call asks for is refused because there is no such queue.
func (s *shard) unknown(f *gateway.Frame) bool {
	if f.Count == onlyKnown && isTemp(f.Message) {
		return !s.serves(f.Message.Place())
	}
	return f.Count == onlyKnown && !s.exists(f.Message.Place())
}

// inquire finds out whether a queue exists. done may be called before it returns, or much later; with an error if the owner did not say.
func (b *Broker) inquire(name string, done func(exists bool, err error)) {
	if b.inquiries.Add(1) > inquiriesMost {
		b.inquiries.Add(-1)
		done(false, gateway.Errorf(gateway.Unavailable, "too much is asked of other nodes"))
		return
	}
	b.seatOf(name).call(&gateway.Frame{Kind: gateway.FrameSend, Queue: name}, func(err error) {
		b.inquiries.Add(-1)
		switch {
		case err == nil:
			done(true, nil)
		case gateway.KindOf(err) == gateway.NotFound:
			done(false, nil)
		default:
			done(false, err)
		}
	})
}

// ask waits until it is known whether a queue exists, or fails with Unavailable.
func (b *Broker) ask(name string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	return b.askFor(ctx, name)
}

func (b *Broker) askFor(ctx context.Context, name string) (bool, error) {
	type answer struct {
		exists bool
		err    error
	}
	answers := make(chan answer, 1)
	b.inquire(name, func(exists bool, err error) { answers <- answer{exists, err} })
	select {
	case a := <-answers:
		if a.err == nil {
			return a.exists, nil
		}
	case <-ctx.Done():
	}
	return false, gateway.Errorf(gateway.Unavailable, "the node that has queue://%s cannot be asked now", name)
}

// allKnown returns why a transaction may not send to the queues that its principal may not make, nil if they exist.
func (s *session) allKnown(unmade map[string]error) error {
	if len(unmade) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	for name, refusal := range unmade {
		exists, err := s.broker.askFor(ctx, name)
		if err != nil {
			return err
		}
		if !exists {
			return s.denied(gateway.Create, gateway.Destination{Kind: gateway.KindQueue, Name: name}, refusal)
		}
	}
	return nil
}
