package core

import (
	"context"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// Selection says which of the messages that wait in a queue an operation is for.
type Selection struct {
	// Selector is a JMS selector, ID a message-id; empty: all.
	Selector, ID string
	// Most is how many, 0 is all that wait when the operation begins.
	Most int
}

// Outcome is what an operation did: how many messages it was done with, and how many it could not be done with, which stay where they were.
type Outcome struct{ Done, Left int }

// What an operation does with messages.
const (
	removing = "remove"
	moving   = "move"
	retrying = "retry"
)

const (
	// operateMost is how many messages an owner looks at at once, and operateWithin how long it may take for them.
	operateMost   = 256
	operateWithin = 30 * time.Second
	// operateLook is how often it is looked whether the owner is still the one that was asked, and operateLooks how often it is found not to be before nothing more is awaited.
	operateLook  = 100 * time.Millisecond
	operateLooks = 10
)

// Remove takes messages that wait out of a queue, for good. Who asks must have been found to have the right to manage it. Errors: Invalid selector; Unavailable,
// and then some of it may have been done.
func (b *Broker) Remove(ctx context.Context, queue gateway.Destination, which Selection) (Outcome, error) {
	return b.operate(ctx, queue, which, gateway.Frame{Transaction: removing})
}

// Move takes messages that wait to another queue, behind what is there, whatever its limits. Each is stored there first. Rights and errors as for Remove; who asks
// must be allowed to write to the other queue, too.
func (b *Broker) Move(ctx context.Context, queue, to gateway.Destination, which Selection) (Outcome, error) {
	if to.Kind != gateway.KindQueue || to.IsPattern() || to == queue {
		return Outcome{}, gateway.Errorf(gateway.Invalid, "messages of %s cannot be moved to %s", queue, to)
	}
	if err := to.Validate(); err != nil {
		return Outcome{}, err
	}
	return b.operate(ctx, queue, which, gateway.Frame{Transaction: moving, Message: &gateway.Message{Destination: to}})
}

// Retry takes dead messages back to where they were sent, as the messages that they were: those that were kept for a durable subscription to that alone. What does not
// say where it comes from, or comes from what is gone, stays. Rights and errors as for Remove.
func (b *Broker) Retry(ctx context.Context, queue gateway.Destination, which Selection) (Outcome, error) {
	return b.operate(ctx, queue, which, gateway.Frame{Transaction: retrying})
}

// operate has a queue's owner do something with messages, some at a time.
func (b *Broker) operate(ctx context.Context, queue gateway.Destination, which Selection, f gateway.Frame) (all Outcome, err error) {
	if err := b.operable(queue, which); err != nil {
		return all, err
	}
	f.Kind, f.Queue, f.Group = gateway.FrameOperate, queue.Place(), which.ID
	if which.Selector != "" {
		f.Consumer = &gateway.Consumer{Selector: which.Selector}
	}
	for {
		f.Redeliveries = uint32(min(max(which.Most-all.Done, 0), operateMost))
		f.Count = operateMost
		answer, err := b.askOwner(ctx, &f)
		if err != nil {
			return all, err
		}
		all.Done += int(answer.Count)
		all.Left += int(answer.Redeliveries)
		elsewhere := (f.Tag != 0 || f.Seq != 0) && answer.Epoch != f.Epoch
		f.Tag, f.Seq, f.Epoch = answer.Tag, answer.Seq, answer.Epoch
		switch {
		case which.Most > 0 && all.Done >= which.Most:
			return all, nil
		case elsewhere: // another owner has other places: it is begun anew
			f.Tag, f.Seq, all.Left = 0, 0, 0
		case f.Tag == 0:
			return all, nil
		}
	}
}

// operable returns why an operation cannot be for that.
func (b *Broker) operable(queue gateway.Destination, which Selection) error {
	if !queue.Kind.IsQueue() || queue.IsPattern() {
		return gateway.Errorf(gateway.Invalid, "%s is not a queue", queue)
	}
	if err := queue.Validate(); err != nil {
		return err
	}
	_, err := b.topics.selectors.parse(which.Selector)
	return err
}

// askOwner asks the owner of a queue once.
func (b *Broker) askOwner(ctx context.Context, f *gateway.Frame) (*gateway.Frame, error) {
	t := b.seatOf(f.Queue)
	ctx, cancel := context.WithTimeout(ctx, operateWithin)
	defer cancel()
	asked := *f
	asked.Shard = t.index
	answer := make(chan *gateway.Frame, 1)
	if s := t.here.Load(); s != nil {
		asked.Epoch = s.epoch
		s.operate(&asked, func(f *gateway.Frame) { answer <- f })
	} else {
		var number uint64
		number, answer = b.browsings.ask()
		defer b.browsings.over(number)
		t.mu.Lock()
		asked.Number, asked.Epoch = number, t.epoch
		owner, linked := t.owner, t.linked
		t.mu.Unlock()
		if !linked {
			return nil, errNoPage
		}
		b.cfg.Cluster.Send(owner, &asked)
	}
	return b.answered(ctx, t, asked.Epoch, answer)
}

// answered waits for an owner's answer. If the owner is another one meanwhile, perhaps none comes any more.
func (b *Broker) answered(ctx context.Context, t *seat, epoch uint64, answer chan *gateway.Frame) (*gateway.Frame, error) {
	look := time.NewTicker(operateLook)
	defer look.Stop()
	for left := operateLooks; left > 0; {
		select {
		case f := <-answer:
			if f.Err != nil {
				return nil, f.Err
			}
			return f, nil
		case <-look.C:
			t.mu.Lock()
			same := t.epoch == epoch
			t.mu.Unlock()
			if !same {
				left--
			}
		case <-ctx.Done():
			return nil, errNoPage
		case <-b.watching.Done():
			return nil, errNoPage
		}
	}
	return nil, errNoPage
}

// operate answers another node's FrameOperate.
func (g *guest) operate(s *shard, f *gateway.Frame) {
	s.operate(f, g.answer(s, f.Number, gateway.FrameOperated))
}

// taking is an operation at work on some messages of a queue.
type taking struct {
	shard *shard
	frame *gateway.Frame // what was asked
	// Guarded by the shard's lock.
	left   int
	answer *gateway.Frame
	done   func(*gateway.Frame)
}

// operate carries out FrameOperate.
func (s *shard) operate(f *gateway.Frame, done func(*gateway.Frame)) {
	if f.Transaction == counting {
		done(s.count(f.Queue))
		return
	}
	var wanted *selector.Selector
	if f.Consumer != nil {
		var err error
		if wanted, err = s.broker.topics.selectors.parse(f.Consumer.Selector); err != nil {
			done(&gateway.Frame{Err: publicError(err)})
			return
		}
	}
	t := &taking{shard: s, frame: f, answer: &gateway.Frame{Seq: f.Seq, Epoch: s.epoch}, done: done}
	s.mu.Lock()
	q := s.queues[f.Queue]
	var all []picked
	if q != nil {
		all = t.pick(q)
	}
	s.mu.Unlock()
	if wanted == nil && f.Group == "" {
		t.take(q, all)
		return
	}
	s.loadPicked(all, func(err error) {
		if err != nil {
			done(&gateway.Frame{Err: publicError(err)})
			return
		}
		chosen := all[:0]
		for _, p := range all {
			m := p.entry.Message
			if m != nil && (f.Group == "" || m.ID == f.Group) && (wanted == nil || wanted.MatchMessage(m, p.entry.Redeliveries)) {
				chosen = append(chosen, p)
			}
		}
		t.take(q, chosen)
	})
}

// pick chooses what to look at, and says where to go on. The lock is held.
func (t *taking) pick(q *queue) (all []picked) {
	if t.answer.Seq == 0 {
		t.answer.Seq = q.LastTag()
	}
	last := t.answer.Seq
	found := q.Browse(t.frame.Tag, int(min(max(t.frame.Count, 1), operateMost)))
	for _, e := range found {
		if e.Tag <= last {
			all = append(all, picked{q: q, entry: e})
		}
	}
	if n := len(all); n > 0 && n == len(found) && all[n-1].entry.Tag < last {
		t.answer.Tag = all[n-1].entry.Tag
	}
	return all
}

// take takes out those of the messages that wait.
func (t *taking) take(q *queue, all []picked) {
	s := t.shard
	if q == nil || len(all) == 0 {
		t.done(t.answer)
		return
	}
	s.mu.Lock()
	most := len(all)
	if n := int(t.frame.Redeliveries); n > 0 {
		most = min(most, n)
	}
	for i := 0; i < len(all) && most > 0; i++ {
		tag := all[i].entry.Tag
		if !s.recall(q, tag, t) {
			if q.Take([]uint64{tag}, s.broker.nowMillis(), &s.fx) == 0 {
				continue // somebody has it
			}
			s.takings[tag] = t
		}
		t.left++
		if most--; most == 0 && i+1 < len(all) {
			t.answer.Tag = tag
		}
	}
	none := t.left == 0
	s.effects(q)
	s.release()
	if none {
		t.done(t.answer)
	}
}

// over notes what became of one of them. When that was the last, it is answered as soon as that is on disk. The lock is held.
func (t *taking) over(err error) {
	s := t.shard
	if err == nil {
		t.answer.Count++
	} else {
		t.answer.Redeliveries++
	}
	if t.left--; t.left == 0 {
		s.waiters = append(s.waiters, waiter{doneFunc(func(err error) {
			if err != nil {
				t.answer.Err = publicError(err)
			}
			t.done(t.answer)
		}), 0})
		s.flush = true
	}
}

// removes reports whether messages only go.
func (t *taking) removes() bool { return t.frame.Transaction == removing }

// carryOff takes a message that was taken out to where it is to go.
func (s *shard) carryOff(d pendingDeath, t *taking) {
	b, f := s.broker, t.frame
	then := func(err error) { s.buried(d, err) }
	switch {
	case t.removes():
		then(nil)
	case f.Transaction == moving && f.Message != nil:
		m := d.Entry.Message.Copy()
		m.Destination, m.Also, m.Queue = f.Message.Destination, nil, ""
		b.carry(m, s.errand(d.Entry.Tag), then)
	case f.Transaction == retrying:
		m, err := b.revived(d.Entry.Message)
		if err != nil {
			then(err)
			return
		}
		b.revive(m, s.errand(d.Entry.Tag), then)
	default:
		then(gateway.Errorf(gateway.Invalid, "another node asks for what this one does not know"))
	}
}

// revive takes a message to where it was sent once.
func (b *Broker) revive(m *gateway.Message, errand string, then func(error)) {
	switch {
	case m.Destination.Kind == gateway.KindTopic && m.Queue == "":
		b.topics.publish(m, nil, waiter{doneFunc(then), 0})
	case m.Destination.Kind.IsTemp():
		b.lives(m.Destination.Name, func(alive bool, err error) { // its queue may be known for a while longer
			if err == nil && !alive {
				err = noTemp(m.Destination)
			}
			if err != nil {
				then(err)
				return
			}
			b.carry(m, errand, then)
		})
	default:
		b.carry(m, errand, then)
	}
}

// takenBy is the operation that took an entry out, nil if none did. The lock is not held.
func (s *shard) takenBy(d *dispatch.Death) *taking {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takings[d.Entry.Tag]
}
