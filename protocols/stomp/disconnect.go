package stomp

import "github.com/sluice-mq/sluice/protocols/stomp/wire"

// disconnect ends the reading; the receipt follows everything before it.
func (c *conn) disconnect(f *wire.Frame) error {
	_ = c.receipt(f)
	return errDisconnect
}
