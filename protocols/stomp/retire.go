package stomp

import "github.com/sluice-mq/sluice/gateway"

// retire gives back what the client has and will not acknowledge, since it says nothing more: it may be long until
// all that it has said is answered. The reader has ended, so that the subscriptions are the writer's.
func (w *writer) retire() {
	if w.retired {
		return
	}
	w.retired = true
	w.c.acks.Lock()
	for _, tx := range w.c.transactions { // that nobody will commit
		tx.end(false)
	}
	w.c.acks.Unlock()
	for _, s := range w.c.subs {
		r, ok := s.source.(gateway.Retirable)
		if !ok || s.closed {
			continue
		}
		w.c.acks.Lock()
		free := s.unacked.free()
		w.c.acks.Unlock()
		r.Retire(free)
	}
}
