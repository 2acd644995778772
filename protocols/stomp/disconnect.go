package stomp

import "github.com/sluice-mq/sluice/protocols/stomp/wire"

// disconnect ends the reading. The receipt follows the outcome of everything before
// it and the end of the session: a client that has it may come back under its
// client-id, and find what it had not acknowledged.
func (c *conn) disconnect(f *wire.Frame) error {
	receipt, _ := f.Header.Get("receipt")
	if receipt != "" {
		c.flushAcks(c.subs)
	}
	c.answer(answer{receipt: receipt, more: &more{ends: c.session}})
	return errDisconnect
}
