package nats

import (
	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// HandedOver reports whether the server has surely taken all that was handed out.
func (d *Door) HandedOver() bool {
	d.workers.mu.Lock()
	defer d.workers.mu.Unlock()
	c := d.workers.leaf
	return c != nil && c.Taken() == c.Sent()
}

// Traced has the door hear a server's report on a pull request of a consumer, and returns whether it waits
// for another one.
func (d *Door) Traced(consumer, inbox string, report []byte) (waits bool) {
	ws := d.workers
	ws.mu.Lock()
	ws.asking["test"] = ws.consumers[consumer].newPull(inbox, jsapi.Pull{Batch: 1})
	ws.mu.Unlock()
	ws.traced(&natsgo.Msg{Subject: ws.traces + "test", Data: report})
	ws.mu.Lock()
	defer ws.mu.Unlock()
	_, waits = ws.asking["test"]
	delete(ws.asking, "test")
	return waits
}
