package stomp

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// transaction is what a client has done since BEGIN.
type transaction struct {
	gateway.Transaction
	bytes int
	// subs have deliveries that the transaction holds.
	subs []*subscription
	// returns are done by the writer once the rest is.
	returns []returned
	// failed says why the transaction can no longer be committed as a whole.
	failed error
}

// hold adds acknowledgements.
func (tx *transaction) hold(s *subscription, tags []uint64, v verdict) {
	if !slices.Contains(tx.subs, s) {
		tx.subs = append(tx.subs, s)
	}
	if v.back {
		tx.returns = append(tx.returns, returned{s.source, tags, v.how})
		return
	}
	if n := len(tx.Acks); n > 0 && tx.Acks[n-1].Subscription == s.source && tx.Acks[n-1].Nack == v.nack {
		tx.Acks[n-1].Tags = append(tx.Acks[n-1].Tags, tags...)
		return
	}
	tx.Acks = append(tx.Acks, gateway.TransactionAck{Subscription: s.source, Tags: tags, Nack: v.nack})
}

// heldAck is what an acknowledgement in a transaction counts, in bytes.
const heldAck = 128

// grow counts what a transaction has come to hold. Above the limit the transaction
// fails and holds nothing any more; until its ABORT it refuses everything.
func (c *conn) grow(tx *transaction, size int) error {
	tx.bytes += size
	c.txBytes += size
	if limit := c.server.cfg.Limits.TransactionBytes; c.txBytes > limit {
		return c.fail(tx, gateway.Errorf(gateway.Limit, "The open transactions would hold more than %d bytes, the limit: abort this one", limit))
	}
	if !c.keepTransactions() {
		return c.fail(tx, gateway.Errorf(gateway.Limit,
			"The open transactions of all clients may hold %d bytes, and there is no room for more of yours: abort this one", c.server.cfg.Memory.open))
	}
	return nil
}

// fail empties a transaction that can no longer be committed as a whole.
func (c *conn) fail(tx *transaction, err error) error {
	c.forget(tx)
	c.txMessages -= len(tx.Sends)
	c.txBytes -= tx.bytes
	c.keepTransactions()
	*tx = transaction{failed: err}
	return err
}

// giveBack does what was to come back. A subscription that has ended since gave everything back itself.
func (tx *transaction) giveBack() {
	for _, r := range tx.returns {
		_ = r.source.Release(r.tags, r.how)
	}
}

// end releases the held deliveries. conn.acks is held.
func (tx *transaction) end(committed bool) {
	for _, s := range tx.subs {
		s.unacked.release(tx, committed)
	}
}

// transactionOf returns the transaction that a frame names, or nil if it names none.
func (c *conn) transactionOf(h gateway.Header) (*transaction, error) {
	id, ok := h.Get("transaction")
	if !ok {
		return nil, nil
	}
	tx := c.transactions[id]
	if tx == nil {
		return nil, invalid("Invalid transaction id: %s", quote(id))
	}
	return tx, nil
}

// takeTransaction ends the bookkeeping of the transaction that a COMMIT or ABORT names.
func (c *conn) takeTransaction(h gateway.Header, doing string) (*transaction, error) {
	id, ok := h.Get("transaction")
	if !ok || id == "" {
		return nil, invalid("Must specify the transaction you are %s", doing)
	}
	tx := c.transactions[id]
	if tx == nil {
		return nil, invalid("Invalid transaction id: %s", quote(id))
	}
	delete(c.transactions, id)
	c.txBytes -= tx.bytes
	c.txMessages -= len(tx.Sends)
	c.keepTransactions()
	return tx, nil
}

// windows counts, per subscription, how far a transaction opened its window.
func (c *conn) windows(tx *transaction) []int {
	c.acks.Lock()
	defer c.acks.Unlock()
	open := make([]int, len(tx.subs))
	for i, s := range tx.subs {
		open[i] = s.unacked.reserved(tx)
	}
	return open
}

// shrink takes the opened windows back.
func (tx *transaction) shrink(open []int) {
	for i, s := range tx.subs {
		if s.gone == nil {
			s.source.Extend(-open[i])
		}
	}
}
