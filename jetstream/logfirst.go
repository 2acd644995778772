package jetstream

import (
	"maps"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// In a cluster a stream that was made just now, by this node or by another one, is not heard of everywhere at once, and neither is its new leader: what is published to it finds
// nobody, and the server says so. The first flight to a stream that was opened goes alone, so that it can be published again without coming behind others.

const (
	// firstWithin is for how long it is published or read again, firstEvery how often it is published.
	firstWithin = 5 * time.Second
	firstEvery  = 20 * time.Millisecond
)

// reply is what became of a flight.
type reply struct {
	seq uint64 // of its last record, if err is nil
	err error
	// nobody: the server says that nobody was there to take it.
	nobody bool
}

// replyOf is what an answer says, nil if there was none.
func replyOf(m *nats.Msg) (r reply) {
	if m == nil {
		return reply{err: errSilent}
	}
	r.nobody = len(m.Data) == 0 && m.Header.Get("Status") == "503"
	if r.seq, r.err = parseAck(m.Data); overtaken(m.Data) {
		r.err = errOvertaken
	}
	return r
}

var errSilent = gateway.Errorf(gateway.Unavailable, "the log does not answer")

// take takes what became of a flight, which nobody else does.
func (f *flight) take(r reply) {
	if f.first != nil {
		f.first <- r
		return
	}
	f.landed(r.seq, r.err)
}

// publishFirst publishes a flight, again while it finds nobody, and waits for its answer.
func (t *topicLog) publishFirst(f *flight) {
	again := time.NewTicker(firstEvery)
	defer again.Stop()
	for until := time.Now().Add(firstWithin); ; <-again.C {
		f.first = make(chan reply, 1)
		t.publish(f)
		r := t.logs.await(f)
		if !r.nobody || time.Now().After(until) || t.logs.over() {
			f.first = nil
			f.take(r)
			return
		}
	}
}

// await waits for the answer of a first flight.
func (l *logs) await(f *flight) reply {
	tick := time.NewTicker(firstEvery)
	defer tick.Stop()
	within := 2 * appendWithin // it is given up before
	for began := time.Now(); time.Since(began) < within; {
		select {
		case r := <-f.first:
			return r
		case <-tick.C:
			if l.over() {
				within = closeWithin
			}
		}
	}
	l.mu.Lock()
	maps.DeleteFunc(l.asked, func(_ uint64, asked *flight) bool { return asked == f })
	l.mu.Unlock()
	select {
	case r := <-f.first:
		return r
	default:
		return reply{err: errSilent}
	}
}
