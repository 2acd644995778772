package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
)

// A transaction asks for room in the queues with limits before its point of no return: then all of it is refused, or waits. What it sends comes
// in whatever came meanwhile, because it has happened. Copies that topics feed to queues are not asked for.

// ask notes that a message goes to a queue because its sender named it, or a policy does.
func (t *commitment) ask(d gateway.Destination, m *gateway.Message) {
	if !d.Kind.IsQueue() || !t.session.broker.policies.Load().limits {
		return
	}
	if t.asks == nil {
		t.asks = make(map[string]amount)
	}
	a := t.asks[d.Place()]
	a.add(m.Size())
	t.asks[d.Place()] = a
}

// askAll does so for a message to several destinations.
func (t *commitment) askAll(x *spread) {
	for _, m := range x.named {
		t.ask(m.Destination, m)
	}
}

// room calls begin again when there is room for all of the transaction, or fails it. false: it asks for none.
func (t *commitment) room() bool {
	if len(t.asks) == 0 {
		return false
	}
	asks := t.asks
	t.asks = nil
	all := completion.NewParts(1+len(asks), doneFunc(func(err error) {
		if err != nil {
			t.fail(err)
			return
		}
		t.begin()
	}), 0)
	for place, a := range asks {
		x := consignment{place: place, way: t.session.wayOf(place, false), messages: a.messages, bytes: int64(a.bytes)}
		t.session.broker.seatOf(place).call(x.frame(), func(err error) {
			if kind := gateway.KindOf(err); err != nil && (kind == gateway.Invalid || kind == gateway.NotFound) {
				err = nil // a node that knows of no limits
			}
			all.Done(err)
		})
	}
	all.Done(nil)
	return true
}
