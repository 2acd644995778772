package stomp

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// statisticsPrefix begins the names of the queues that the broker answers itself; one of them is asked about a pattern by its name.
const statisticsPrefix = "ActiveMQ.Statistics."

// send hands a message to the broker, or keeps it for its transaction.
func (c *conn) send(f *wire.Frame) error {
	to, ok := f.Header.Get("destination")
	if !ok {
		return invalid("SEND received without a Destination specified!")
	}
	t, err := c.addresses.target(f.Header, to, toSend)
	if err != nil {
		return err
	}
	if t.any(gateway.Destination.IsPattern) && !strings.HasPrefix(t.Name, statisticsPrefix) {
		return invalid("SEND to the pattern %s: a message needs one destination", quote(t.pattern()))
	}
	tx, err := c.transactionOf(f.Header)
	if err != nil {
		return err
	}
	receipt, _ := f.Header.Get("receipt")
	m, err := c.message(f, &t)
	if err != nil {
		f.Header = gateway.Header{{Name: "receipt", Value: receipt}} // the message had taken it over
		return err
	}
	size := m.Size()
	if tx != nil {
		if err := c.hold(tx, m, size); err != nil {
			f.Header = gateway.Header{{Name: "receipt", Value: receipt}}
			return err
		}
		if receipt != "" {
			c.answer(answer{receipt: receipt})
		}
		return nil
	}
	token := c.owe(answer{receipt: receipt, size: size})
	c.session.Send(m, c, token)
	return nil
}

// message makes the message of a SEND. It takes the frame's header over, also when it fails.
func (c *conn) message(f *wire.Frame, t *target) (*gateway.Message, error) {
	if c.addresses.ownIDs {
		if _, ok := f.Header.Get("message-id"); ok {
			return nil, worded("Invalid header", invalid("'message-id' is not allowed on 'SEND'.\n"))
		}
	}
	var reply string
	if c.addresses.replySubscribes {
		reply, _ = f.Header.Get(replyHeader)
	}
	m, special, err := messageOf(f, t)
	if err != nil {
		return nil, err
	}
	if special {
		if err := c.addresses.adapt(m, c.server.cfg.Clock()); err != nil {
			return nil, err
		}
		if kept, ok := m.Header.Get(replyHeader); ok && !c.replies.Load() && c.addresses.shownReply(kept) != kept {
			c.replies.Store(true)
		}
	}
	if c.user != "" {
		m.Header = append(m.Header, gateway.Field{Name: userHeaderX, Value: c.user})
	}
	if reply != "" {
		return m, c.subscribeReply(reply)
	}
	return m, nil
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
