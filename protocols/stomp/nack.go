package stomp

import "github.com/sluice-mq/sluice/protocols/stomp/wire"

// nack refuses one delivery, in client mode too: ActiveMQ takes it for poison.
func (c *conn) nack(f *wire.Frame) error {
	if c.version == wire.V10 {
		return invalid("NACK received but connection is in v1.0 mode.")
	}
	return c.settle(f, "NACK", true)
}
