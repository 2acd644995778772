package stomp

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// begin opens a transaction.
func (c *conn) begin(f *wire.Frame) error {
	id, ok := f.Header.Get("transaction")
	if !ok || id == "" {
		return invalid("Must specify the transaction you are beginning")
	}
	if err := bounded("transaction", id); err != nil {
		return err
	}
	if c.transactions[id] != nil {
		return gateway.Errorf(gateway.Conflict, "The transaction was already started: %s", quote(id))
	}
	if limit := c.server.cfg.Limits.Transactions; len(c.transactions) >= limit {
		return gateway.Errorf(gateway.Limit, "The connection has %d open transactions, the limit", limit)
	}
	if c.transactions == nil {
		c.transactions = map[string]*transaction{}
	}
	c.transactions[id] = &transaction{}
	return c.receipt(f)
}
