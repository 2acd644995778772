// Package manage looks at queues and changes what waits in them, for those who manage them: it asks the queues' owners, wherever they are and become meanwhile,
// and knows nothing of how they do it.
package manage

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// Selection says which of the messages that wait in a queue an operation is for.
type Selection struct {
	// Selector is a JMS selector, ID a message-id; empty: all.
	Selector, ID string
	// Most is how many, 0 is all that wait when the operation begins.
	Most int
}

// Outcome is what an operation did: how many messages it was done with, and how many it could not be done with, which stay where they were.
type Outcome struct{ Done, Left int }

// What FrameOperate asks for, in its Transaction: what becomes of messages, or, with Counting, nothing but how many there are.
const (
	Removing = "remove"
	Moving   = "move"
	Retrying = "retry"
	Counting = "count"
)

// OperateMost is how many messages an owner looks at at once.
const OperateMost = 256

// Errors of Owners.
var (
	// ErrNoPage says that an owner cannot be asked, or is another one meanwhile.
	ErrNoPage = gateway.Errorf(gateway.Unavailable, "the node that has the messages cannot be asked now")
	// ErrNoAnswer says that an owner was asked, and has perhaps done what it was asked for.
	ErrNoAnswer = gateway.Errorf(gateway.Unavailable, "the node that had the messages did not say what it has done")
)

const (
	// ownerAgain is how long an operation waits before it asks again who has the messages, and ownerWithin for how long it does: longer than it takes another node to
	// have what one had that died.
	ownerAgain  = 50 * time.Millisecond
	ownerWithin = 15 * time.Second
)

// Owners are those of the queues' shards, on this node and others. Safe for concurrent use.
type Owners interface {
	// Ask has the owner of the queue in a FrameOperate do what that says, and waits for its answer. Errors: Invalid; Unavailable: ErrNoPage if nobody was asked,
	// ErrNoAnswer if nobody knows.
	Ask(ctx context.Context, f *gateway.Frame) (*gateway.Frame, error)
	// Page asks the owner of a shard for a page, as FrameBrowse says, until stop is closed. Whoever goes on at a place that another owner named gets ErrNoPage; f has the
	// owner's epoch then.
	Page(shard int, f *gateway.Frame, stop <-chan struct{}) (*gateway.Frame, error)
	// Shards is how many there are.
	Shards() int
	// Now is the clock, in Unix milliseconds.
	Now() int64
	// Stopping is closed when nobody is to wait for anything any more.
	Stopping() <-chan struct{}
}

// Queues are all queues, as those see them who manage them. Who asks must have been found to have the right to.
type Queues struct{ owners Owners }

// NewQueues are those of some owners.
func NewQueues(o Owners) *Queues { return &Queues{o} }

// Remove takes messages that wait out of a queue, for good. Who asks must have been found to have the right to manage it. When the queue gets another owner
// meanwhile, what was not done is done there; what the former one has done without saying so is not counted. Errors: Invalid selector; Unavailable, if the owner
// cannot be asked for some time, or one that was asked for a number of messages does not say what it has done, and then some of it may have been.
func (q *Queues) Remove(ctx context.Context, queue gateway.Destination, which Selection) (Outcome, error) {
	return q.operate(ctx, queue, which, gateway.Frame{Transaction: Removing})
}

// Move takes messages that wait to another queue, behind what is there, whatever its limits. Each is stored there first. Rights and errors as for Remove; who asks
// must be allowed to write to the other queue, too.
func (q *Queues) Move(ctx context.Context, queue, to gateway.Destination, which Selection) (Outcome, error) {
	if to.Kind != gateway.KindQueue || to.IsPattern() || to == queue {
		return Outcome{}, gateway.Errorf(gateway.Invalid, "messages of %s cannot be moved to %s", queue, to)
	}
	if err := to.Validate(); err != nil {
		return Outcome{}, err
	}
	return q.operate(ctx, queue, which, gateway.Frame{Transaction: Moving, Message: &gateway.Message{Destination: to}})
}

// Retry takes dead messages back to where they were sent, as the messages that they were: those that were kept for a durable subscription to that alone. What does not
// say where it comes from, or comes from what is gone, stays. Rights and errors as for Remove.
func (q *Queues) Retry(ctx context.Context, queue gateway.Destination, which Selection) (Outcome, error) {
	return q.operate(ctx, queue, which, gateway.Frame{Transaction: Retrying})
}

// operate has a queue's owner do something with messages, some at a time.
func (q *Queues) operate(ctx context.Context, queue gateway.Destination, which Selection, f gateway.Frame) (all Outcome, err error) {
	if err := operable(queue, which); err != nil {
		return all, err
	}
	f.Kind, f.Queue, f.Group = gateway.FrameOperate, queue.Place(), which.ID
	if which.Selector != "" {
		f.Consumer = &gateway.Consumer{Selector: which.Selector}
	}
	for {
		f.Redeliveries = uint32(min(max(which.Most-all.Done, 0), OperateMost))
		f.Count = OperateMost
		answer, err := q.ask(ctx, &f, which.Most == 0)
		if err != nil {
			return all, err
		}
		all.Done += int(answer.Count)
		all.Left += int(answer.Redeliveries)
		elsewhere := (f.Tag != 0 || f.Seq != 0) && answer.Epoch != f.Epoch
		f.Tag, f.Seq, f.Epoch = answer.Tag, answer.Seq, answer.Epoch
		switch {
		case which.Most > 0 && all.Done >= which.Most:
			return all, nil
		case elsewhere: // another owner has other places: it is begun anew
			f.Tag, f.Seq, all.Left = 0, 0, 0
		case f.Tag == 0:
			return all, nil
		}
	}
}

// ask has the owner of a queue do something, and waits for one while there is none. With again another one is asked in the place of one that does not answer.
func (q *Queues) ask(ctx context.Context, f *gateway.Frame, again bool) (*gateway.Frame, error) {
	for left := int(ownerWithin / ownerAgain); ; left-- {
		answer, err := q.owners.Ask(ctx, f)
		changes := errors.Is(err, ErrNoPage) || again && errors.Is(err, ErrNoAnswer)
		if !changes || left == 0 || !q.rest(ctx, ownerAgain) {
			return answer, err
		}
	}
}

// operable returns why an operation cannot be for that.
func operable(queue gateway.Destination, which Selection) error {
	if !queue.Kind.IsQueue() || queue.IsPattern() {
		return gateway.Errorf(gateway.Invalid, "%s is not a queue", queue)
	}
	if err := queue.Validate(); err != nil {
		return err
	}
	if strings.TrimSpace(which.Selector) == "" {
		return nil
	}
	_, err := selector.Parse(which.Selector)
	return err
}
