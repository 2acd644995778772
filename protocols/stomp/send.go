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
	token := c.owe(answer{receipt: receipt, size: size})
	c.session.Send(m, c, token)
	if d.Kind == gateway.KindTopic {
		c.pace(token)
	}
	return nil
}

// hold keeps a message until its transaction commits.
func (c *conn) hold(tx *transaction, m *gateway.Message, size int) error {
	if tx.failed != nil {
		return tx.failed
	}
	if c.txMessages >= c.server.cfg.Limits.TransactionMessages {
		return c.fail(tx, gateway.Errorf(gateway.Limit, "The open transactions hold %d messages, the limit: abort this one", c.txMessages))
	}
	tx.Sends = append(tx.Sends, m)
	c.txMessages++
	return c.grow(tx, size)
}
