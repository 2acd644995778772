package audit

import (
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

// Trail is what is written down of one session.
type Trail struct {
	book    *Book
	login   *gateway.Login
	session string
	who     func() gateway.Principal

	denials, limits restraint
}

// Trail begins that of a session. Both login and who are asked each time: they may change.
func (b *Book) Trail(login *gateway.Login, session string, who func() gateway.Principal) *Trail {
	return &Trail{book: b, login: login, session: session, who: who}
}

// record writes an event of the session down.
func (t *Trail) record(e *gateway.Event) {
	e.Principal, e.Session = t.who(), t.session
	t.book.record(t.login, e)
}

// refused writes a refusal down unless there were too many of them.
func (t *Trail) refused(r *restraint, e *gateway.Event) {
	if t.book.auditor == nil {
		return
	}
	ok, leftOut := r.take(t.book.now().Unix())
	t.tellLeftOut(e.Kind, leftOut)
	if ok {
		t.record(e)
	}
}

func (t *Trail) tellLeftOut(kind gateway.EventKind, n int) {
	if n > 0 {
		t.record(&gateway.Event{Kind: kind, Count: n, Subject: fmt.Sprintf("%d refusals were left out", n)})
	}
}

// Denied writes down that the session may not do something.
func (t *Trail) Denied(a gateway.Action, d gateway.Destination, err error) {
	t.refused(&t.denials, &gateway.Event{Kind: gateway.ActionDenied, Destination: d, Subject: a.String(), Err: err})
}

// Limited writes down that a limit refuses something, or makes the session's clients wait; d is none then.
func (t *Trail) Limited(x *quota.Reached, d gateway.Destination) {
	t.refused(&t.limits, &gateway.Event{Kind: gateway.LimitReached, Destination: d, Subject: x.Limit, Err: x.Told})
}

// Connected writes down that the session is open.
func (t *Trail) Connected() {
	if t.book.auditor != nil {
		t.record(&gateway.Event{Kind: gateway.Connected})
	}
}

// Disconnected writes down that it is not any more, after so many messages; why is nil if its client has left.
func (t *Trail) Disconnected(in, out uint64, why error) {
	if t.book.auditor == nil {
		return
	}
	t.tellLeftOut(gateway.ActionDenied, t.denials.rest())
	t.tellLeftOut(gateway.LimitReached, t.limits.rest())
	t.record(&gateway.Event{Kind: gateway.Disconnected, Count: int(in + out), Subject: "in " + strconv.FormatUint(in, 10) + " out " + strconv.FormatUint(out, 10), Err: why})
}

// Subscribed writes down that a subscription is open.
func (t *Trail) Subscribed(o *gateway.SubscribeOptions) {
	if t.book.auditor != nil {
		t.record(&gateway.Event{Kind: gateway.Subscribed, Destination: o.Destination, Subject: o.Name})
	}
}

// Unsubscribed writes down that it is not any more, after so many deliveries.
func (t *Trail) Unsubscribed(o *gateway.SubscribeOptions, taken uint64, why error) {
	if t.book.auditor != nil {
		t.record(&gateway.Event{Kind: gateway.Unsubscribed, Destination: o.Destination, Subject: o.Name, Count: int(taken), Err: why})
	}
}

// Settled writes down what became of a delivery. It is for auditors that want commands.
func (t *Trail) Settled(kind gateway.EventKind, d gateway.Destination, id string) {
	t.record(&gateway.Event{Kind: kind, Destination: d, Subject: id, Count: 1})
}

// Sent has what becomes of messages written down when c completes: of those of a transaction, if they are. It is for auditors that want commands. c may be nil.
func (t *Trail) Sent(c gateway.Completion, committed bool, messages ...*gateway.Message) gateway.Completion {
	w := &witnessed{trail: t, to: c, sent: make([]sent, 0, len(messages)), committed: committed}
	for _, m := range messages {
		w.sent = append(w.sent, sent{m.ID, m.Destination})
	}
	if c == nil && !committed { // its road is another one if somebody waits
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
	trail     *Trail
	to        gateway.Completion
	sent      []sent
	committed bool
}

// Hold implements gateway.Holder.
func (w *witnessed) Hold(token uint64) {
	if h, ok := w.to.(gateway.Holder); ok {
		h.Hold(token)
	}
}

// Complete implements gateway.Completion.
func (w *witnessed) Complete(token uint64, err error) {
	w.tell(err)
	if w.to != nil {
		w.to.Complete(token, err)
	}
}

func (w *witnessed) tell(err error) {
	for _, m := range w.sent {
		w.trail.record(&gateway.Event{Kind: gateway.Sent, Destination: m.d, Subject: m.id, Count: 1, Err: err})
	}
	if w.committed {
		w.trail.record(&gateway.Event{Kind: gateway.Committed, Count: len(w.sent), Err: err})
	}
}
