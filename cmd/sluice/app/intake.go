package app

import (
	"context"
	"errors"
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
	run    string // see core.Broker.Take
	room   *semaphore.Weighted
	taken  uint64

	mu  sync.Mutex
	err error // the first
}

func newIntake(b *core.Broker, run string) *intake {
	return &intake{broker: b, run: run, room: semaphore.NewWeighted(intakeBytes)}
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
	in.broker.Take(in.run, m, redeliveries, in, uint64(weight))
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
}

func (in *intake) failed() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

// wait waits until everything is stored, and returns the first error, or that of ctx.
func (in *intake) wait(ctx context.Context) error {
	if err := in.room.Acquire(ctx, intakeBytes); err != nil {
		return errors.Join(in.failed(), err)
	}
	in.room.Release(intakeBytes)
	return in.failed()
}
