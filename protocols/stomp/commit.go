package stomp

import "github.com/sluice-mq/sluice/protocols/stomp/wire"

// commit stores a transaction's messages and settles its acknowledgements; its
// receipt means that all of it is as safe as single sends would be.
func (c *conn) commit(f *wire.Frame) error {
	tx, err := c.takeTransaction(f.Header, "committing")
	if err != nil {
		return err
	}
	if tx.failed != nil {
		c.forget(tx)
		return tx.failed
	}
	open := c.windows(tx)
	receipt, _ := f.Header.Get("receipt")
	token := c.owe(answer{receipt: receipt, size: tx.bytes, more: &more{commit: tx}})
	// The windows close first: settled by the commit and still extended, they
	// would let more out than the client asked for.
	tx.shrink(open)
	c.session.Commit(&tx.Transaction, c, token)
	return nil
}
