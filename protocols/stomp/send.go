package stomp

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// send hands a message to the broker, or keeps it for its transaction.
func (c *conn) send(f *wire.Frame) error {
	to, ok := f.Header.Get("destination")
	if !ok {
		return invalid("SEND received without a Destination specified!")
	}
	d, _, err := parseDestination(to)
	if err != nil {
		return err
	}
	if d.IsPattern() {
		return invalid("SEND to the pattern %s: a message needs one destination", quote(d.String()))
	}
	tx, err := c.transactionOf(f.Header)
	if err != nil {
		return err
	}
	receipt, _ := f.Header.Get("receipt")
	m, err := messageOf(f, d)
	if err != nil {
		return err
	}
	size := m.Size()
	if tx != nil {
		if err := c.hold(tx, m, size); err != nil {
			f.Header = gateway.Header{{Name: "receipt", Value: receipt}} // the message had taken it over
			return err
		}
		if receipt != "" {
			c.answer(answer{receipt: receipt})
		}
		return nil
	}
	c.session.Send(m, c, c.owe(answer{receipt: receipt, size: size}))
	return nil
}

// hold keeps a message until its transaction commits.
func (c *conn) hold(tx *transaction, m *gateway.Message, size int) error {
	l := &c.server.cfg.Limits
	switch {
	case tx.failed != nil:
		return tx.failed
	case c.txMessages >= l.TransactionMessages:
		tx.failed = gateway.Errorf(gateway.Limit, "The open transactions hold %d messages, the limit: abort this one", c.txMessages)
	case c.txBytes+size > l.TransactionBytes:
		tx.failed = gateway.Errorf(gateway.Limit, "The open transactions would hold more than %d bytes, the limit: abort this one", l.TransactionBytes)
	}
	if tx.failed != nil {
		c.txMessages -= len(tx.Sends)
		c.txBytes -= tx.bytes
		tx.Sends, tx.bytes = nil, 0
		return tx.failed
	}
	tx.Sends = append(tx.Sends, m)
	tx.bytes += size
	c.txBytes += size
	c.txMessages++
	return nil
}
