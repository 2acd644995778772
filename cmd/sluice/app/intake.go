package app

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
)

// intakeBytes is how much may be on its way into the broker at once; a message counts at least a thousandth of it.
const intakeBytes = 16 << 20

// intake brings messages of elsewhere into a broker, many at a time. It is a gateway.Completion; all else is for one goroutine.
type intake struct {
	broker *core.Broker
	room   *semaphore.Weighted
	under  sync.WaitGroup
	taken  uint64

	mu  sync.Mutex
	err error // the first
}

func newIntake(b *core.Broker) *intake {
	return &intake{broker: b, room: semaphore.NewWeighted(intakeBytes)}
}

// take brings one message in and does not wait for it, unless many are under way.
func (in *intake) take(ctx context.Context, m *gateway.Message, redeliveries uint32) error {
	weight := min(max(int64(m.Size()), intakeBytes/1000), intakeBytes)
	if err := in.room.Acquire(ctx, weight); err != nil {
		return err
	}
	if err := in.failed(); err != nil {
		return err
	}
	in.taken++
	in.under.Add(1)
	in.broker.Take(m, redeliveries, in, uint64(weight))
	return nil
}

// Complete implements gateway.Completion; the token is the message's weight.
func (in *intake) Complete(weight uint64, err error) {
	if err != nil {
		in.mu.Lock()
		if in.err == nil {
			in.err = err
		}
		in.mu.Unlock()
	}
	in.room.Release(int64(weight))
	in.under.Done()
}

func (in *intake) failed() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

// wait waits until everything is stored, and returns the first error.
func (in *intake) wait() error {
	in.under.Wait()
	return in.failed()
}
