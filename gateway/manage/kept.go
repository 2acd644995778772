package manage

import (
	"context"

	"github.com/sluice-mq/sluice/gateway"
)

// Kept is what waits for a binding, and for how many.
type Kept struct {
	// Messages wait, now or for later, or are with consumers that have not acknowledged them.
	Messages int
	// Waiting of them are for whoever comes first. A node of an older version does not say.
	Waiting int
	// Consumers are subscriptions of all nodes.
	Consumers int
}

// Kept asks the node that has a queue how much waits there, and for how many. Errors: Invalid for what is no queue; Unavailable,
// if it cannot be asked for some time.
func (q *Queues) Kept(ctx context.Context, queue gateway.Destination) (Kept, error) {
	if !queue.Kind.IsQueue() || queue.IsPattern() && queue.Kind == gateway.KindQueue {
		return Kept{}, gateway.Errorf(gateway.Invalid, "%s is not a queue", queue)
	}
	answer, err := q.ask(ctx, &gateway.Frame{Kind: gateway.FrameOperate, Queue: queue.Place(), Transaction: Counting}, true)
	if err != nil {
		return Kept{}, err
	}
	return Kept{Messages: int(answer.Count), Waiting: int(answer.Seq), Consumers: int(answer.Redeliveries)}, nil
}
