package stomp

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// read takes frames and carries them out until the connection ends. Most of the time it waits for one: what is on the
// stack meanwhile, each connection has.
func (c *conn) read(ctx context.Context) {
	for c.awaitRoom() {
		_ = c.codec.Await() // Next has the error, too
		if !c.next(ctx) {
			return
		}
	}
}

// next takes a frame and carries it out. It reports whether another one may follow.
func (c *conn) next(ctx context.Context) bool {
	var f wire.Frame
	if err := c.codec.Next(&f); err != nil {
		c.readFailed(err)
		return false
	}
	err := c.handle(ctx, &f)
	if c.large != nil {
		c.lessen()
	}
	if err == nil {
		c.keepPace(ctx, f.Command)
		return true
	}
	return err != errDisconnect && !c.refuse(&f, err)
}

// readFailed answers the end of the input.
func (c *conn) readFailed(err error) {
	var violation *wire.Error
	switch {
	case errors.As(err, &violation):
		c.answer(answer{err: closing(invalid("%s", violation.Text))})
	case errors.Is(err, os.ErrDeadlineExceeded):
		if why := c.in.why(); why != "" {
			c.answer(answer{err: closing(invalid("%s", why))})
		}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errStopped):
		// The client has said all it will; what it is owed is still written.
	default: // the client is gone
		c.abandon()
	}
}

// refuse answers a frame with an ERROR and reports whether the connection ends.
// Before the login it always does.
func (c *conn) refuse(f *wire.Frame, err error) bool {
	if c.session == nil {
		var r *refusal
		if !errors.As(err, &r) {
			r = &refusal{err: err}
		}
		r.closes = true
		err = r
	}
	receipt, _ := f.Header.Get("receipt")
	c.answer(answer{receipt: receipt, err: err})
	return c.server.closes(err)
}

// handle carries one frame out. An error is answered by the caller.
func (c *conn) handle(ctx context.Context, f *wire.Frame) error {
	switch f.Command {
	case "CONNECT", "STOMP":
		return c.connect(ctx, f)
	case "SEND", "SUBSCRIBE", "SUB", "UNSUBSCRIBE", "UNSUB", "ACK", "NACK", "BEGIN", "COMMIT", "ABORT", "DISCONNECT":
		if c.session == nil {
			return closing(invalid("Not connected."))
		}
	case "CONNECTED", "MESSAGE", "RECEIPT", "ERROR":
		return closing(invalid("STOMP action %s is not for clients to send", f.Command))
	default:
		return &refusal{
			err: invalid("Unknown STOMP action: %s", quote(f.Command)), closes: true,
			header: gateway.Header{{Name: "version", Value: supportedVersions}},
		}
	}
	switch f.Command {
	case "SEND":
		return c.send(f)
	case "SUBSCRIBE", "SUB":
		return c.subscribe(f)
	case "UNSUBSCRIBE", "UNSUB":
		return c.unsubscribe(f)
	case "ACK":
		return c.ack(f)
	case "NACK":
		return c.nack(f)
	case "BEGIN":
		return c.begin(f)
	case "COMMIT":
		return c.commit(f)
	case "ABORT":
		return c.abort(f)
	default:
		return c.disconnect(f)
	}
}

// receipt answers a frame whose work is done.
func (c *conn) receipt(f *wire.Frame) error {
	if id, ok := f.Header.Get("receipt"); ok && id != "" {
		c.answer(answer{receipt: id})
	}
	return nil
}
