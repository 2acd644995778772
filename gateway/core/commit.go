package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/past"
	"github.com/sluice-mq/sluice/gateway/schedule"
)

// Commit implements gateway.Session.
func (s *session) Commit(tx *gateway.Transaction, c gateway.Completion, token uint64) {
	c = s.broker.topics.land(c)
	t := &commitment{session: s, acks: tx.Acks, c: c, token: token}
	unmade, err := t.admit(tx.Sends)
	if err == nil {
		err = s.storable(tx.Sends)
	}
	if err == nil {
		err = t.within()
	}
	if err == nil {
		err = s.allKnown(unmade)
	}
	if err != nil {
		complete(c, token, err)
		return
	}
	t.c = s.witnessAll(tx.Sends, c)
	if !s.logAlone(t, len(tx.Sends)) {
		s.commit(t)
	}
}

// admit checks the messages of a transaction, and returns the queues that have to be there.
func (t *commitment) admit(sends []*gateway.Message) (unmade map[string]error, err error) {
	s := t.session
	for i, m := range sends {
		g, err := s.admit(m)
		if err == nil {
			err = s.broker.conforms(i, m)
		}
		if err != nil {
			return nil, err
		}
		if g.asks == ofSchedule || g.asks != noQuestion && m.Destination.IsPattern() {
			return nil, gateway.Errorf(gateway.Invalid, "the broker is not asked in a transaction: what comes to %s is answered at once", m.Destination)
		}
		if err := s.tempThere(m.Destination); err != nil {
			return nil, err
		}
		if unmade, err = s.admitAlso(m, needed(unmade, m.Destination, g)); err != nil {
			return nil, err
		}
	}
	for _, m := range sends {
		if schedule.Is(m.Header) {
			all, err := schedule.Waiting(m, s.who().Name, s.broker.nowMillis())
			if err != nil {
				return nil, err
			}
			t.add(all...)
			continue
		}
		switch topic := m.Destination.Kind.IsTopic(); {
		case s.broker.spreads(m):
			x := s.spread(m)
			t.add(x.waits...)
			t.live(x.live...)
			t.askAll(x)
		case topic && (m.Persistent || s.broker.topics.logs(m.Destination)): // what is kept of it is stored with the others, or not at all
			t.live(m)
			t.add(s.broker.topics.route(topicKey(m.Destination)).copies(m, s)...)
		case topic:
			t.rest = append(t.rest, remainder{Message: m})
		default:
			t.add(m)
			t.ask(m.Destination, m)
		}
	}
	return unmade, nil
}

// add adds messages to queues.
func (t *commitment) add(messages ...*gateway.Message) {
	for _, m := range messages {
		if m.Persistent && !isTemp(m) {
			t.stored = append(t.stored, m)
			t.heavy += m.Size()
			continue
		}
		t.rest = append(t.rest, remainder{Message: m})
		t.light += int64(m.Size())
	}
}

// live adds messages to topics for whoever subscribes to them now.
func (t *commitment) live(messages ...*gateway.Message) {
	for _, m := range messages {
		t.rest = append(t.rest, remainder{m, true})
	}
}

// within returns why the transaction is too large.
func (t *commitment) within() error {
	if t.heavy > maxTransaction {
		return gateway.Errorf(gateway.Limit, "the persistent messages of the transaction are %d bytes long, the limit is %d", t.heavy, maxTransaction)
	}
	return nil
}

// commit carries a transaction out behind those before it.
func (s *session) commit(t *commitment) {
	s.mu.Lock()
	if s.closed || s.why != nil {
		s.mu.Unlock()
		s.underway.take(t.copies)
		complete(t.c, t.token, errSessionClosed)
		return
	}
	waits := s.committing > 0 || s.flushing
	t.ahead = waits && t.mayPrepare()
	if t.id == "" && (t.ahead || len(t.stored) > 1) { // now, because a crash has them carried out in the order of their numbers
		t.id = past.TransactionID(s.ids, s.sent.Add(1))
	}
	if waits {
		s.held = append(s.held, t.start)
		s.mu.Unlock()
		if t.ahead {
			t.goAhead()
		}
		return
	}
	s.committing++
	s.mu.Unlock()
	t.begin()
}

// mayPrepare reports whether the record of a transaction may be written while others in front of it are not carried out: so many share a sync. It says nothing
// of the order yet, if all of them are this node's. In a cluster the record's next owner would carry it out as soon as it reads it. Who asks for room
// may be told that there is none, and a log may refuse.
func (t *commitment) mayPrepare() bool {
	b := t.session.broker
	if b.cfg.Cluster != nil || len(t.stored) == 0 || len(t.asks) > 0 || t.batches() != nil {
		return false
	}
	t.coordinator = b.seatOf(t.stored[0].Place()).here.Load()
	return t.coordinator != nil
}

// goAhead writes the record of a transaction that is not carried out before its turn.
func (t *commitment) goAhead() {
	if t.fits() {
		t.prepare()
		return
	}
	t.session.broker.arriving.Add(1)
	t.know(errNoSpace)
}
