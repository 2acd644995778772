package lease

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// pull is a request for messages: a subscription of the queue, which stays there as long as somebody has something of it.
type pull struct {
	id    dispatch.SubID
	most  int
	bytes int64
	got   []handed
	// leases are those that are not over. patient: it waits while there is nothing.
	leases            int
	patient, answered bool
	deadline          time.Duration // for acknowledgements
	err               error
	done              chan struct{} // closed with the answer
}

// handed is a message of an answer.
type handed struct {
	lease        *lease
	message      *gateway.Message
	redeliveries uint32
}

// briefly is how long a pull looks for something that does not want to wait: a filter may select nothing of very much.
const briefly = 2 * time.Second

// pull hands out up to most messages, each for a time. If there are none it waits so long. If ctx ends first nothing was handed out.
func (b *book) pull(ctx context.Context, most int, wait, deadline time.Duration) ([]wire.Received, error) {
	b.mu.Lock()
	if b.closed != nil {
		defer b.mu.Unlock()
		return nil, b.closed
	}
	b.last++
	p := &pull{id: b.last, most: min(most, openMost), patient: wait > 0 && !b.k.hurried.Load(), deadline: deadline, done: make(chan struct{})}
	b.pulls[p.id] = p
	b.waits = append(b.waits, p)
	b.used, b.log.news = b.k.cfg.Now(), true
	b.tick(false)
	b.q.Subscribe(p.id, dispatch.Consumer{Prefetch: p.most}, b.millis(), &b.fx)
	b.carryOut()
	b.after()
	if p.patient && !p.answered {
		b.listen()
	}
	if !p.patient {
		wait = briefly
	}
	b.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		b.finish(p)
	case <-ctx.Done():
		b.abandon(p, ctx.Err())
	}
	if p.err != nil {
		return nil, p.err
	}
	return b.received(p), nil
}

// received is what a client gets of an answer. It is asked for once: what is handed out is read again if it comes back, and nobody needs its bodies until then.
func (b *book) received(p *pull) []wire.Received {
	all := make([]wire.Received, len(p.got))
	for i, h := range p.got {
		id := delivery{b.generation, b.tenure, h.lease.tag, h.lease.serial}
		all[i] = wire.Received{AckID: id.text(b.sub.Lease.Secret, b.sub.ID), Message: b.k.cfg.Translate(h.message), Attempt: uint64(h.redeliveries) + 1}
		if b.sub.Lease.Ordered {
			all[i].Key, _ = h.message.Header.Get(KeyField)
		}
	}
	p.got = nil
	return all
}

// full reports whether a pull gets no more.
func (b *book) full(p *pull) bool { return len(p.got) >= p.most || p.bytes >= answerBytes }

// answer ends a pull's waiting: with what it has, whose time begins now, or with an error, and then it has had nothing. The lock is held.
func (b *book) answer(p *pull, err error) {
	p.answered, p.err = true, err
	b.waits = slices.DeleteFunc(b.waits, func(o *pull) bool { return o == p })
	b.used = b.k.cfg.Now()
	if err != nil {
		tags := make([]uint64, len(p.got))
		for i, h := range p.got {
			tags[i] = h.lease.tag
			delete(b.out, h.lease.tag)
		}
		p.got, p.leases = nil, 0
		delete(b.pulls, p.id)
		b.q.Unsubscribe(p.id, tags, b.millis(), &b.fx)
		b.carryOut()
		close(p.done)
		return
	}
	until := b.used.Add(p.deadline)
	for _, h := range p.got {
		b.expire(h.lease, until)
	}
	if p.leases == 0 {
		b.dismiss(p)
	} else { // what it has it keeps, and it gets nothing more
		b.q.Subscribe(p.id, dispatch.Consumer{}, b.millis(), &b.fx)
		b.carryOut()
	}
	close(p.done)
}

// refuse answers all who wait with an error. The lock is held.
func (b *book) refuse(why error) {
	for _, p := range slices.Clone(b.waits) {
		b.answer(p, why)
	}
}

// hurry answers all who wait with what they have.
func (b *book) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range slices.Clone(b.waits) {
		p.patient = false
	}
	b.after()
}

// finish answers a pull with what it has.
func (b *book) finish(p *pull) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !p.answered {
		b.answer(p, nil)
		b.after()
	}
}

// abandon ends a pull whose client is gone.
func (b *book) abandon(p *pull, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !p.answered {
		b.answer(p, gateway.WrapError(gateway.Unavailable, err, "the client is gone"))
		b.after()
	}
}

// acknowledge settles what the deliveries name, durably. It returns for each what is wrong with it, empty if nothing is: it was acknowledged now, or before.
func (b *book) acknowledge(ctx context.Context, all []delivery) ([]string, error) {
	b.mu.Lock()
	if b.closed != nil {
		defer b.mu.Unlock()
		return nil, b.closed
	}
	b.used = b.k.cfg.Now()
	for _, d := range all {
		if d.generation == b.generation && !b.sub.Lease.Ordered {
			b.reach(d.tag)
		}
	}
	if b.closed != nil {
		defer b.mu.Unlock()
		return nil, b.closed
	}
	b.tick(false)
	faults := make([]string, len(all))
	for i, d := range all {
		faults[i] = b.acknowledgeOne(d)
	}
	b.after()
	done := b.keep()
	b.mu.Unlock()
	select {
	case err := <-done:
		return faults, err
	case <-ctx.Done():
		return nil, gateway.WrapError(gateway.Unavailable, ctx.Err(), "the acknowledgement is not stored yet")
	}
}

// acknowledgeOne settles one. An acknowledgement that comes late counts if nobody has got the message since, and no order depends on it. The lock is held.
func (b *book) acknowledgeOne(d delivery) string {
	l, fault := b.find(d)
	switch {
	case l != nil:
		// It cannot fail: the lease is there.
		_ = b.q.Ack(l.pull.id, []uint64{l.tag}, b.millis(), &b.fx)
		b.carryOut()
		b.kept.count(1, l.size)
		b.end(l)
	case fault == wire.FaultLate && !b.sub.Lease.Ordered && b.out[d.tag] == nil && b.isOpen(d.tag):
		b.q.AckClosed([]uint64{d.tag}, b.millis(), &b.fx)
		b.carryOut()
		if !b.isOpen(d.tag) { // else it is on its way to the dead letters
			b.kept.count(1, 0)
			return ""
		}
	}
	return fault
}

// find returns the lease that a delivery names; nil if there is none, with what is wrong then: nothing, if its message is not open any more. The lock is held.
func (b *book) find(d delivery) (*lease, string) {
	switch l := b.out[d.tag]; {
	case d.generation != b.generation:
		return nil, wire.FaultSought
	case d.tag == 0 || d.tag > b.progress.next:
		return nil, wire.FaultLate
	case !b.isOpen(d.tag):
		return nil, ""
	case l != nil && d.tenure == b.tenure && d.serial == l.serial:
		return l, ""
	}
	return nil, wire.FaultLate
}

// extend has leases end after a time from now; with none they are given back now, as if they had not been handed out if nobody has taken them. It returns what
// acknowledge does.
func (b *book) extend(all []delivery, deadline time.Duration, untaken bool) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed != nil {
		return nil, b.closed
	}
	b.used = b.k.cfg.Now()
	b.tick(false)
	faults, named := make([]string, len(all)), make([]*lease, 0, len(all))
	for i, d := range all {
		l, fault := b.find(d)
		if faults[i] = fault; l != nil {
			named = append(named, l)
		}
	}
	for _, l := range named {
		switch {
		case deadline > 0:
			b.expire(l, b.used.Add(deadline))
		case b.out[l.tag] == l: // else it came back with another one of its ordering key
			b.giveBack(l, !untaken)
		}
	}
	b.after()
	return faults, nil
}

// shut ends the book: nothing of it counts any more.
func (b *book) shut(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shutLocked(why)
}

func (b *book) shutLocked(why error) {
	if b.closed != nil {
		return
	}
	b.refuse(why)
	b.closed = why
	b.kept.fail(why)
	if b.alarm != nil {
		b.alarm.Stop()
	}
	if deaf := b.deaf; deaf != nil {
		b.deaf = nil
		b.k.background.Go(deaf)
	}
	clear(b.pulls)
	clear(b.out)
}

// listen begins to listen to what comes to the topic. The lock is held.
func (b *book) listen() {
	if b.k.cfg.Arrivals == nil || b.deaf != nil || b.closed != nil {
		return
	}
	listening := make(chan func(), 1)
	b.k.background.Go(func() { listening <- b.k.cfg.Arrivals(b.of.Name.String(), b.wake) })
	b.deaf = func() { (<-listening)() }
}
