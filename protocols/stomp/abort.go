package stomp

import "github.com/sluice-mq/sluice/protocols/stomp/wire"

// abort forgets a transaction. Nothing is delivered again: the client still has
// the messages and may acknowledge them once more.
func (c *conn) abort(f *wire.Frame) error {
	tx, err := c.takeTransaction(f.Header, "aborting")
	if err != nil {
		return err
	}
	c.forget(tx)
	return c.receipt(f)
}

// forget frees the deliveries that a transaction held.
func (c *conn) forget(tx *transaction) {
	open := c.windows(tx)
	c.acks.Lock()
	tx.end(false)
	c.acks.Unlock()
	tx.shrink(open)
}
