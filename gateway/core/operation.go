package core

import (
	"context"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/manage"
	"github.com/sluice-mq/sluice/gateway/selector"
)

const (
	// operateWithin is how long an owner may take for what it is asked at once.
	operateWithin = 30 * time.Second
	// operateLook is how often it is looked whether the owner is still the one that was asked, and operateLooks how often it is found not to be before nothing more is awaited.
	operateLook  = 100 * time.Millisecond
	operateLooks = 10
)

// owners are the owners of shards, wherever they are, as those see them who manage queues.
type owners struct{ broker *Broker }

// Ask implements manage.Owners.
func (o owners) Ask(ctx context.Context, f *gateway.Frame) (*gateway.Frame, error) {
	return o.broker.askOwner(ctx, f)
}

// Page implements manage.Owners.
func (o owners) Page(shard int, f *gateway.Frame, stop <-chan struct{}) (*gateway.Frame, error) {
	return o.broker.browse(shard, f, stop)
}

// Shards implements manage.Owners.
func (o owners) Shards() int { return len(o.broker.seats) }

// Now implements manage.Owners.
func (o owners) Now() int64 { return o.broker.nowMillis() }

// Stopping implements manage.Owners.
func (o owners) Stopping() <-chan struct{} { return o.broker.watching.Done() }

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
			return nil, manage.ErrNoPage
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
			return nil, manage.ErrNoAnswer
		case <-b.watching.Done():
			return nil, manage.ErrNoAnswer
		}
	}
	return nil, manage.ErrNoAnswer
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

// count is what Kept asks for. What is about to die counts as well, and what comes again later.
func (s *shard) count(queue string) *gateway.Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[queue]
	if q == nil {
		return &gateway.Frame{}
	}
	st := q.Stats()
	return &gateway.Frame{Count: int64(st.Waiting + st.InFlight + st.Dying + st.Later), Seq: uint64(st.Waiting), Redeliveries: uint32(st.Subscriptions)}
}

// operate carries out FrameOperate.
func (s *shard) operate(f *gateway.Frame, done func(*gateway.Frame)) {
	if f.Transaction == manage.Counting {
		done(s.count(f.Queue))
		return
	}
	var wanted *selector.Selector
	if f.Consumer != nil {
		var err error
		if wanted, err = s.broker.topics.selectors.Parse(f.Consumer.Selector); err != nil {
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
	found := q.Browse(t.frame.Tag, int(min(max(t.frame.Count, 1), manage.OperateMost)))
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
func (t *taking) removes() bool { return t.frame.Transaction == manage.Removing }

// carryOff takes a message that was taken out to where it is to go.
func (s *shard) carryOff(d pendingDeath, t *taking) {
	b, f := s.broker, t.frame
	then := func(err error) { s.buried(d, err) }
	switch {
	case t.removes():
		then(nil)
	case f.Transaction == manage.Moving && f.Message != nil:
		m := d.Entry.Message.Copy()
		m.Destination, m.Also, m.Queue = f.Message.Destination, nil, ""
		b.carry(m, s.errand(d.Entry.Tag), then)
	case f.Transaction == manage.Retrying:
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
