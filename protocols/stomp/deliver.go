package stomp

import (
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// pull encodes deliveries of the ready subscriptions, a batch of each in turn.
// A subscription stays ready until it had nothing: only then will it wake us again.
func (w *writer) pull() {
	pulled := len(w.ready)
	for i, s := range w.ready {
		if len(w.buf) >= batchBytes || w.err != nil {
			pulled = i
			break
		}
		s.queued.Store(false)
		if !s.started || s.closed || s.ended {
			continue
		}
		n := s.source.Next(w.batch[:], batchBytes-len(w.buf))
		if n == 0 {
			w.endBrowser(s)
			continue
		}
		w.written = append(w.written, handedOver{s, n})
		w.encode(s, w.batch[:n])
		clear(w.batch[:n])
		w.endBrowser(s)
		if s.queued.CompareAndSwap(false, true) {
			w.again = append(w.again, s)
		}
	}
	// Those that had no turn come first in the next round.
	n := copy(w.ready, w.ready[pulled:])
	clear(w.ready[n:])
	w.ready = append(w.ready[:n], w.again...)
	clear(w.again)
	w.again = w.again[:0]
}

// encode appends MESSAGE frames.
func (w *writer) encode(s *subscription, batch []gateway.Delivery) {
	first := w.track(s, batch)
	withAck := s.mode != ackAuto && w.version == wire.V12
	replies := w.c.replies.Load()
	for i := range batch {
		m, begin := batch[i].Message, len(w.buf)
		if replies {
			m = w.c.addresses.shown(m)
		}
		if s.xml {
			m = advisoryInXML(m)
		}
		if !s.json && isMap(m) {
			m = inXML(m)
		}
		w.buf = s.appendHead(w.buf, w.version, m.Destination)
		if withAck {
			w.buf = append(w.buf, "ack:"...)
			w.buf = appendAckID(w.buf, s.number, first+uint64(i))
			w.buf = append(w.buf, '\n')
		}
		if n := batch[i].Redeliveries; n > 0 {
			w.buf = append(w.buf, "redelivered:true\nJMSXDeliveryCount:"...)
			w.buf = strconv.AppendUint(w.buf, uint64(n)+1, 10)
			w.buf = append(w.buf, '\n')
		}
		w.buf = appendSharedCached(w.buf, w.version, m, withAck)
		if len(m.Body) >= directBody {
			w.direct(begin, m.Body)
			continue
		}
		w.buf = append(w.buf, m.Body...)
		w.buf = append(w.buf, 0, '\n')
		w.cut()
	}
}

// endBrowser tells the client of a browser, once, that it has had everything.
func (w *writer) endBrowser(s *subscription) {
	if !s.browser || s.ended || !s.seen.Load() {
		return
	}
	s.ended = true
	w.buf = append(w.buf, "MESSAGE\nbrowser:end\n"...)
	w.buf = wire.AppendField(w.buf, w.version, "destination", s.shown(s.to.Destination))
	w.buf = append(w.buf, "message-id:0\n"...)
	if s.hasID {
		w.buf = wire.AppendField(w.buf, w.version, "subscription", s.id)
	}
	w.buf = append(w.buf, '\n', 0, '\n')
	w.cut()
}

// track remembers deliveries that the client will acknowledge, before it can
// have seen them, and returns the number of the first.
func (w *writer) track(s *subscription, batch []gateway.Delivery) (first uint64) {
	if s.mode == ackAuto {
		return 0
	}
	w.c.acks.Lock()
	defer w.c.acks.Unlock()
	if s.browser { // nothing is to be acknowledged
		first = s.unacked.next
		s.unacked.next += uint64(len(batch))
		return first
	}
	for i := range batch {
		n := s.unacked.add(batch[i].Message.ID, batch[i].Tag)
		if i == 0 {
			first = n
		}
	}
	return first
}
