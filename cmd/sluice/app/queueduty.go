package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/manage"
	"github.com/sluice-mq/sluice/protocols/admin"
)

// The operations on what waits in a queue, and their arguments.
const (
	dlqRetry   = "dlq-retry"
	queuePurge = "queue-purge"
	queueMove  = "queue-move"
	// queueBrowse is in queuebrowse.go.
	queueBrowse = "queue-browse"

	toArgument        = "to"
	messageIDArgument = "message-id"
	maximumArgument   = "maximum"
)

// selectionOf reads which queue, and which of its messages, and finds out whether whoever asks may manage it.
func selectionOf(c admin.Call) (queue gateway.Destination, which manage.Selection, err error) {
	text := c.Arguments.Get(destinationArgument)
	if text == "" {
		return queue, which, errors.New("which queue? (such as /queue/a.b)")
	}
	if queue, err = destination(text); err != nil {
		return queue, which, err
	}
	which = manage.Selection{Selector: c.Arguments.Get(selectorArgument), ID: c.Arguments.Get(messageIDArgument)}
	if text := c.Arguments.Get(maximumArgument); text != "" {
		if which.Most, err = strconv.Atoi(text); err != nil || which.Most < 1 {
			return queue, which, fmt.Errorf("%q is not a number from 1", text)
		}
	}
	return queue, which, c.Rights.May(gateway.Manage, queue)
}

// RetryDead takes dead messages back to where they were sent.
func (d *duty) RetryDead(ctx context.Context, c admin.Call, w io.Writer) error {
	queue, which, err := selectionOf(c)
	if err != nil {
		return err
	}
	done, err := d.life.node.broker.Retry(ctx, queue, which)
	return tellOutcome(w, done, "back where they were sent", err)
}

// PurgeQueue takes what waits in a queue out of it, for good.
func (d *duty) PurgeQueue(ctx context.Context, c admin.Call, w io.Writer) error {
	queue, which, err := selectionOf(c)
	if err != nil {
		return err
	}
	done, err := d.life.node.broker.Remove(ctx, queue, which)
	return tellOutcome(w, done, "removed", err)
}

// MoveQueue takes what waits in a queue to another one.
func (d *duty) MoveQueue(ctx context.Context, c admin.Call, w io.Writer) error {
	queue, which, err := selectionOf(c)
	if err != nil {
		return err
	}
	to, err := destination(c.Arguments.Get(toArgument))
	if err != nil {
		return err
	}
	if err := c.Rights.May(gateway.Write, to); err != nil {
		return err
	}
	done, err := d.life.node.broker.Move(ctx, queue, to, which)
	return tellOutcome(w, done, "moved", err)
}

// tellOutcome says what was done, also of what did not come to its end.
func tellOutcome(w io.Writer, done manage.Outcome, what string, err error) error {
	text := fmt.Sprintf("%d messages %s", done.Done, what)
	if done.Left > 0 {
		text += fmt.Sprintf(", %d could not be and stay", done.Left)
	}
	if err != nil {
		return fmt.Errorf("%s, then: %w", text, err)
	}
	_, err = fmt.Fprintln(w, text)
	return err
}
