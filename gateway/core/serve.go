package core

import (
	"slices"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/past"
)

// partKept is for how long the record of a transaction's part is kept for another node that carries the
// transaction out, in case that one's successor does it again.
const partKept = time.Minute

// doneFunc is a function as a gateway.Completion.
type doneFunc = completion.Func

// serve does what a call asks for, which may have been offered before, to this owner or another.
func (s *shard) serve(f *gateway.Frame, done func(error)) {
	switch {
	case f.Kind == gateway.FrameSend && f.Message == nil && f.Queue != "": // somebody asks for it
		if s.exists(f.Queue) {
			done(nil)
		} else {
			done(errNoQueue)
		}
	case f.Kind == gateway.FrameSettle:
		s.settleSeqs(f.Queue, f.Tags, done)
	case f.Kind == gateway.FrameRoom:
		x := consignment{place: f.Queue, way: way(f.Tag), messages: int(f.Count), bytes: int64(f.Seq), c: doneFunc(done)}
		if s.admit(x) {
			done(nil)
		}
	case f.Kind == gateway.FrameDrop:
		s.drop(f, done)
	case f.Kind == gateway.FrameCommit && len(f.Messages) > 0:
		s.once(f.Transaction, done, func(told func(error)) { s.broker.guests.commit(s, f, told) })
	case f.Kind == gateway.FrameSend && f.Message != nil && (!f.Message.Persistent || isTemp(f.Message)) && f.Transaction == "":
		s.serveLight(f, done)
	case f.Kind == gateway.FrameSend && f.Message != nil:
		name := past.NameOf(f.Message, f.Transaction)
		if f.Queue != "" { // of a run that takes what may have been here before
			name = f.Queue + "\x00" + name
		}
		s.once(name, done, func(told func(error)) { s.serveSend(f, told) })
	default:
		done(gateway.Errorf(gateway.Invalid, "another node asks for what this one does not know"))
	}
}

// once does something unless it was done before, and tells everybody who asked for it how it ended.
func (s *shard) once(name string, done func(error), do func(told func(error))) {
	s.mu.Lock()
	isNew, over := s.known.Begin(name, done)
	s.mu.Unlock()
	if over {
		done(nil)
	}
	if !isNew {
		return
	}
	do(func(err error) {
		s.mu.Lock()
		waiting := s.known.End(name, err)
		s.mu.Unlock()
		done(err)
		for _, w := range waiting {
			w(err)
		}
	})
}

// serveLight takes a non-persistent message. That it may have been there before shows as a redelivery.
func (s *shard) serveLight(f *gateway.Frame, done func(error)) {
	if s.unknown(f) {
		done(errNoQueue)
		return
	}
	if isTemp(f.Message) {
		s.sendTemp(f.Message, f.Redeliveries, doneFunc(done), 0)
		return
	}
	isNew := f.Redeliveries == 0 && f.Delay == 0
	if isNew && f.Seq == 0 {
		s.send(f.Message, way(f.Tag), doneFunc(done), 0)
		return
	}
	p := parcel{message: f.Message, redeliveries: f.Redeliveries, due: s.broker.dueIn(f.Delay), remains: f.Seq != 0}
	if p.remains && !s.follows(f.Seq) || s.keep(&p) {
		done(nil)
		return
	}
	if a := s.arrival(&p, doneFunc(done), 0); isNew {
		s.spill(a)
	} else {
		a.append()
	}
}

func (s *shard) serveSend(f *gateway.Frame, told func(error)) {
	if s.unknown(f) {
		told(errNoQueue)
		return
	}
	if f.Transaction == "" && (f.Redeliveries > 0 || f.Delay > 0) {
		a := &arrival{shard: s, c: doneFunc(told), redeliveries: f.Redeliveries, due: s.broker.dueIn(f.Delay), record: gateway.Record{Type: gateway.RecordMessage, Message: f.Message}}
		a.append()
		return
	}
	if f.Transaction == "" {
		s.send(f.Message, way(f.Tag), doneFunc(told), 0)
		return
	}
	a := &arrival{shard: s, kept: true, record: gateway.Record{Type: gateway.RecordMessage, Message: f.Message, Transaction: f.Transaction}}
	a.then = func(seq uint64, err error) {
		if err == nil && seq != 0 {
			s.mu.Lock()
			s.known.Kept(f.Transaction, seq)
			s.mu.Unlock()
			time.AfterFunc(partKept, func() { s.letGo(f.Transaction) })
		}
		told(err)
	}
	a.append()
}

// letGo lets the record of a part be trimmed.
func (s *shard) letGo(name string) {
	s.mu.Lock()
	delete(s.kept, s.known.Kept(name, 0))
	s.mu.Unlock()
}

// settleSeqs settles messages of a queue, or of any if the name is empty, that an owner before this one handed
// out, wherever they are.
func (s *shard) settleSeqs(name string, seqs []uint64, done func(error)) {
	seqs = slices.Clone(seqs)
	s.mu.Lock()
	for i, seq := range seqs {
		seqs[i] = s.aliases.of(seq)
	}
	slices.Sort(seqs)
	now := s.broker.nowMillis()
	for _, q := range s.queues {
		if name == "" || q.name == name {
			q.AckSeqs(seqs, now, &s.fx)
			s.effects(q)
		}
	}
	s.waiters = append(s.waiters, waiter{doneFunc(done), 0})
	s.flush = s.flush || len(seqs) == 0
	s.release()
}

// leave ends the shard's tenure: it keeps nothing in memory any more, and hands out nothing. What was only in
// memory is returned, to be sent to the next owner.
func (s *shard) leave() (memory []*gateway.Frame) {
	last := s.journal.State().Last
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.down = true, true
	close(s.gone)
	s.tellLost()
	for _, q := range s.queues {
		memory = s.remain(memory, q, last)
		s.broker.memory.Add(-q.memory)
		s.broker.loaded.Add(-q.loaded)
	}
	return memory
}

// Take takes a message that another broker had, with the identity and the redeliveries that it had there. Completion as
// in gateway.Session.Send. A message that was taken or sent a short time before is recognised by its id and not taken twice, unless
// this is another run: an empty one is the senders' own.
func (b *Broker) Take(run string, m *gateway.Message, redeliveries uint32, c gateway.Completion, token uint64) {
	f := &gateway.Frame{Kind: gateway.FrameSend, Message: m, Redeliveries: redeliveries, Queue: run}
	b.seatOf(m.Place()).call(f, func(err error) { complete(c, token, err) })
}
