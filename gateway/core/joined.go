package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/attach"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/union"
)

// joined makes the subscriptions that one of a session joins.
type joined struct {
	session *session
	number  uint64 // of the subscription, in its session
}

// Make implements union.Maker.
func (j joined) Make(o gateway.SubscribeOptions, rights gateway.Rights, wild bool) union.Source {
	if o.Destination.Kind.IsTopic() {
		return newTopicSubscription(j.session, newGuard(rights, o.Destination), o, j.number)
	}
	return j.session.newQueueSource(o, wild)
}

// Seek implements union.Maker.
func (j joined) Seek(u *union.Union, pattern string) {
	j.session.broker.seekers.add(j.session.broker, u, pattern)
}

// SeekAgain implements union.Maker.
func (j joined) SeekAgain(u *union.Union) { j.session.broker.seekers.again(u) }

// Unseek implements union.Maker.
func (j joined) Unseek(u *union.Union) { j.session.broker.seekers.remove(u) }

// Spawn implements union.Maker.
func (j joined) Spawn(f func()) bool { return j.session.broker.spawn(f) }

// Ended implements union.Maker.
func (j joined) Ended(u *union.Union) { j.session.ended(u) }

// judgeJoined has a union go on with other rights, and returns its children on patterns of topics, which need other guards.
func judgeJoined(u *union.Union, st *standing) (all []judged) {
	u.Judge(st.rights, func(d gateway.Destination, source union.Source) bool {
		sub, ok := source.(*topicSubscription)
		if ok {
			if g := newGuard(st.rights, d); g != nil || sub.guard.Load() != nil {
				all = append(all, judged{sub, g})
			}
		}
		return ok
	})
	return all
}

// newQueueSource makes a subscription to a queue.
func (s *session) newQueueSource(o gateway.SubscribeOptions, wild bool) union.Source {
	seat := s.broker.seatOf(o.Destination.Place())
	if s.broker.cfg.Cluster != nil {
		return attach.New(attached{s}, attaching{seat}, seat.index, o, wild)
	}
	sub := newQueueSubscription(s, seat.here.Load(), o)
	sub.wild = wild
	return sub
}

// bothKnown is announced when both are.
type bothKnown struct{ a, b gateway.Announced }

// Announced implements gateway.Announced.
func (x bothKnown) Announced(c gateway.Completion, token uint64) {
	all := completion.NewParts(2, c, token)
	x.a.Announced(all, 0)
	x.b.Announced(all, 0)
}
