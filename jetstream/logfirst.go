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
	// firstWithin is for how long it is published again, firstEvery how often.
	firstWithin = 5 * time.Second
	firstEvery  = 20 * time.Millisecond
)

// answer takes a flight's answer, nil if there was none.
func (f *flight) answer(m *nats.Msg) {
	switch {
	case f.first != nil:
		f.first <- m
	case m == nil:
		f.landed(0, gateway.Errorf(gateway.Unavailable, "the log does not answer"))
	case overtaken(m.Data):
		f.landed(0, errOvertaken)
	default:
		f.landed(parseAck(m.Data))
	}
}

// foundNobody reports whether the server answered, because nobody was there to.
func foundNobody(m *nats.Msg) bool {
	return m != nil && len(m.Data) == 0 && m.Header.Get("Status") == "503"
}

// publishFirst publishes a flight, again while it finds nobody, and waits for its answer.
func (t *topicLog) publishFirst(f *flight) {
	again := time.NewTicker(firstEvery)
	defer again.Stop()
	for until := time.Now().Add(firstWithin); ; <-again.C {
		f.first = make(chan *nats.Msg, 1)
		t.publish(f)
		m := t.logs.await(f)
		if !foundNobody(m) || time.Now().After(until) || t.logs.over() {
			f.first = nil
			f.answer(m)
			return
		}
	}
}

// await waits for the answer of a first flight, nil if there is none in time.
func (l *logs) await(f *flight) *nats.Msg {
	tick := time.NewTicker(firstEvery)
	defer tick.Stop()
	within := appendWithin
	for began := time.Now(); time.Since(began) < within; {
		select {
		case m := <-f.first:
			return m
		case <-tick.C:
			if l.over() {
				within = closeWithin
			}
		}
	}
	l.mu.Lock()
	maps.DeleteFunc(l.asked, func(_ uint64, asked *flight) bool { return asked == f })
	l.mu.Unlock()
	return nil
}
