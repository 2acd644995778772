package stomp

import (
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// nack refuses one delivery, in client mode too unless the personality says otherwise. What becomes of it is the
// destination's policy, unless the client wants it back: at once, or not before a delay.
func (c *conn) nack(f *wire.Frame) error {
	if c.version == wire.V10 {
		return invalid("NACK received but connection is in v1.0 mode.")
	}
	v := verdict{command: "NACK", nack: true, back: c.addresses.requeue}
	requeue, said := f.Header.Get("requeue")
	if said {
		v.back = strings.EqualFold(strings.TrimSpace(requeue), "true")
	}
	if delay, ok := f.Header.Get("delay"); ok {
		ms, err := milliseconds("delay", delay)
		switch {
		case err != nil:
			return err
		case said && !v.back:
			return invalid("A message that is not requeued cannot have a delay")
		}
		v.back, v.how.Delay = true, time.Duration(ms)*time.Millisecond
	}
	v.how.Redelivered = true
	return c.settle(f, v)
}

// returned are deliveries that come back when their transaction commits.
type returned struct {
	source gateway.Subscription
	tags   []uint64
	how    gateway.Return
}
