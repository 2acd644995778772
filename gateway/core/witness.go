package core

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// refusalsASecond is how many refusals of a session, or of logins from a host, are written down in a second. The others are counted.
const refusalsASecond = 10

// restraint keeps refusals from flooding an audit.
type restraint struct {
	mu      sync.Mutex
	second  int64
	written int
	leftOut int
}

// take reports whether one more may be written down, and how many were left out before it.
func (r *restraint) take(second int64) (ok bool, leftOut int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if second != r.second {
		r.second, r.written = second, 0
	}
	if r.written >= refusalsASecond {
		r.leftOut++
		return false, 0
	}
	r.written++
	leftOut, r.leftOut = r.leftOut, 0
	return true, leftOut
}

// restBefore is rest, unless more may come in the same second.
func (r *restraint) restBefore(second int64) int {
	r.mu.Lock()
	more := r.second == second
	r.mu.Unlock()
	if more {
		return 0
	}
	return r.rest()
}

func (r *restraint) rest() (leftOut int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	leftOut, r.leftOut = r.leftOut, 0
	return leftOut
}

// restraints are a session's.
type restraints struct{ denials, limits restraint }

// commands reports whether every single message is to be written down.
func (b *Broker) commands() bool { return b.cfg.Auditor != nil && b.cfg.Auditor.Commands() }

// record writes an event of the session down.
func (s *session) record(e *gateway.Event) {
	e.Principal, e.Session = s.who(), s.id
	s.broker.record(&s.login, e)
}

func (b *Broker) record(l *gateway.Login, e *gateway.Event) {
	e.ClientID, e.Protocol, e.Listener, e.Remote, e.Library = l.ClientID, l.Protocol, l.Listener, l.From(), l.Library
	b.cfg.Auditor.Record(e)
}

// refused writes a refusal down unless there were too many of them.
func (s *session) refused(r *restraint, e *gateway.Event) {
	if s.broker.cfg.Auditor == nil {
		return
	}
	ok, leftOut := r.take(s.broker.cfg.Now().Unix())
	s.tellLeftOut(e.Kind, leftOut)
	if ok {
		s.record(e)
	}
}

func (s *session) tellLeftOut(kind gateway.EventKind, n int) {
	if n > 0 {
		s.record(&gateway.Event{Kind: kind, Count: n, Subject: fmt.Sprintf("%d refusals were left out", n)})
	}
}

// denied notes that the session may not do something, and returns err.
func (s *session) denied(a gateway.Action, d gateway.Destination, err error) error {
	s.broker.counts.denied.Add(1)
	s.refused(&s.denials, &gateway.Event{Kind: gateway.ActionDenied, Destination: d, Subject: a.String(), Err: err})
	return err
}

// limited notes that a limit refuses something, and returns what the client may know.
func (s *session) limited(err error, d gateway.Destination) error {
	var x *quota.Reached
	if !errors.As(err, &x) {
		return err
	}
	s.refused(&s.limits, &gateway.Event{Kind: gateway.LimitReached, Destination: d, Subject: x.Limit, Err: x.Told})
	return x.Told
}

// tellLimit writes down that a limit makes clients wait.
func (s *session) tellLimit(x *quota.Reached) {
	s.refused(&s.limits, &gateway.Event{Kind: gateway.LimitReached, Subject: x.Limit, Err: x.Told})
}

func (s *session) tellConnected() {
	if s.broker.cfg.Auditor != nil {
		s.record(&gateway.Event{Kind: gateway.Connected})
	}
}

func (s *session) tellDisconnected() {
	if s.broker.cfg.Auditor == nil {
		return
	}
	s.tellLeftOut(gateway.ActionDenied, s.denials.rest())
	s.tellLeftOut(gateway.LimitReached, s.limits.rest())
	s.mu.Lock()
	why := s.why
	s.mu.Unlock()
	in, out := s.sent.Load(), s.delivered.Load()
	s.record(&gateway.Event{Kind: gateway.Disconnected, Count: int(in + out), Subject: "in " + strconv.FormatUint(in, 10) + " out " + strconv.FormatUint(out, 10), Err: why})
}

func (s *session) tellSubscribed(e *enrolled) {
	if s.broker.cfg.Auditor != nil {
		s.record(&gateway.Event{Kind: gateway.Subscribed, Destination: e.options.Destination, Subject: e.options.Name})
	}
}

func (s *session) tellUnsubscribed(e *enrolled, why error) {
	if s.broker.cfg.Auditor != nil {
		s.record(&gateway.Event{Kind: gateway.Unsubscribed, Destination: e.options.Destination, Subject: e.options.Name, Count: int(e.taken.Load()), Err: why})
	}
}

// tellSettled writes down what became of deliveries.
func (s *session) tellSettled(kind gateway.EventKind, done []handed) {
	for i := range done {
		s.record(&gateway.Event{Kind: kind, Destination: done[i].d, Subject: done[i].id, Count: 1})
	}
}

// witness shows a message to whoever watches, and has what becomes of it written down if that is wanted.
func (s *session) witness(m *gateway.Message, c gateway.Completion) gateway.Completion {
	if taps := s.broker.taps.Load(); taps != nil {
		s.showSent(*taps, m)
	}
	if !s.broker.commands() {
		return c
	}
	w := &witnessed{session: s, to: c, sent: []sent{{m.ID, m.Destination}}}
	if c == nil { // its road is another one if somebody waits
		w.tell(nil)
		return nil
	}
	return w
}

// sent is a message that a client sent.
type sent struct {
	id string
	d  gateway.Destination
}

// witnessed writes down what became of messages.
type witnessed struct {
	session *session
	to      gateway.Completion
	sent    []sent
	// committed: of a transaction.
	committed bool
}

// Hold implements gateway.Holder.
func (w *witnessed) Hold(token uint64) { hold(w.to, token) }

// Complete implements gateway.Completion.
func (w *witnessed) Complete(token uint64, err error) {
	w.tell(err)
	complete(w.to, token, err)
}

func (w *witnessed) tell(err error) {
	for _, m := range w.sent {
		w.session.record(&gateway.Event{Kind: gateway.Sent, Destination: m.d, Subject: m.id, Count: 1, Err: err})
	}
	if w.committed {
		w.session.record(&gateway.Event{Kind: gateway.Committed, Count: len(w.sent), Err: err})
	}
}

// witnessAll is witness for a transaction.
func (s *session) witnessAll(messages []*gateway.Message, c gateway.Completion) gateway.Completion {
	if taps := s.broker.taps.Load(); taps != nil {
		for _, m := range messages {
			s.showSent(*taps, m)
		}
	}
	if !s.broker.commands() {
		return c
	}
	w := &witnessed{session: s, to: c, committed: true}
	for _, m := range messages {
		w.sent = append(w.sent, sent{m.ID, m.Destination})
	}
	return w
}
