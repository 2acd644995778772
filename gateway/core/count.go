package core

import (
	"context"

	"github.com/sluice-mq/sluice/gateway"
)

// counting is the operation that changes nothing.
const counting = "count"

// Kept is what waits for a binding, and for how many.
type Kept struct {
	// Messages wait, now or for later, or are with consumers that have not acknowledged them.
	Messages int
	// Waiting of them are for whoever comes first. A node of an older version does not say.
	Waiting int
	// Consumers are subscriptions of all nodes.
	Consumers int
}

// Destination is the queue that is fed, or the durable subscription. ok is false for a binding of many queues.
func (b *Binding) Destination() (d gateway.Destination, ok bool) {
	if b.Queue == "" {
		return durable(b.Client, b.Name), true
	}
	return gateway.Destination{Kind: gateway.KindQueue, Name: b.Queue}, !isPattern(b.Topic)
}

// Kept asks the node that has a queue how much waits there, and for how many. Errors: Invalid for what is no queue; Unavailable.
func (b *Broker) Kept(ctx context.Context, queue gateway.Destination) (Kept, error) {
	if !queue.Kind.IsQueue() || queue.IsPattern() && queue.Kind == gateway.KindQueue {
		return Kept{}, gateway.Errorf(gateway.Invalid, "%s is not a queue", queue)
	}
	answer, err := b.askOwner(ctx, &gateway.Frame{Kind: gateway.FrameOperate, Queue: queue.Place(), Transaction: counting})
	if err != nil {
		return Kept{}, err
	}
	return Kept{Messages: int(answer.Count), Waiting: int(answer.Seq), Consumers: int(answer.Redeliveries)}, nil
}

// count is what Kept asks for. What is about to die counts as well, and what comes again later.
func (s *shard) count(queue string) *gateway.Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[queue]
	if q == nil {
		return &gateway.Frame{}
	}
	st := q.Stats()
	return &gateway.Frame{Count: int64(st.Waiting + st.InFlight + st.Dying + st.Later), Seq: uint64(st.Waiting), Redeliveries: uint32(st.Subscriptions)}
}

// ByKind counts messages that are not in ordinary queues: Durable and Temporary are among those that wait, Scheduled among the delayed ones, Retained among none.
type ByKind struct {
	// Durable subscriptions keep them, Temporary queues hold them, Scheduled ones are to be sent later.
	Durable, Temporary, Scheduled int
	// Retained of topics, for those who come later.
	Retained int
}

// add counts what a queue holds.
func (k *ByKind) add(place string, waiting, later int) {
	if place == gateway.SchedulePlace {
		k.Scheduled += waiting + later
		return
	}
	switch d, _ := gateway.Placed(place); d.Kind {
	case gateway.KindSubscription:
		k.Durable += waiting
	case gateway.KindTempQueue:
		k.Temporary += waiting
	}
}
