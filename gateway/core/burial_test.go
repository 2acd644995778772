package core_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// neighbour names a queue that lives in the same shard of three.
func neighbour(of string) string {
	for i := 0; ; i++ {
		if name := fmt.Sprint("through", i); gateway.ShardOf(name, 3) == gateway.ShardOf(of, 3) {
			return name
		}
	}
}

// A refused message whose body is slow to come may be moved, and its old place trimmed,
// before the body is read: it must be found at its new place, not be taken for gone.
func TestRefusedMessageIsBuriedAlthoughItWasMovedMeanwhile(t *testing.T) {
	t.Parallel()
	w, store := tap(t)
	s := w.session()
	w.send(s, queue("front"), true, "refused")
	c := w.subscribe(s, queue("front"), 10, false)
	got := c.next(1)
	var loads atomic.Int32
	slow := make(chan func(), 1)
	store.load = func(j gateway.Journal, queue string, seqs []uint64, done func([]*gateway.Message, error)) {
		if loads.Add(1) == 1 {
			slow <- func() { j.Load(queue, seqs, done) }
			return
		}
		j.Load(queue, seqs, done)
	}
	var o outcome
	c.Nack(tags(got), &o, 1)
	late := <-slow
	through := queue(neighbour("front"))
	w.pass(s, through)
	j := w.store.Journal(gateway.ShardOf("front", 3))
	gatewaytest.Eventually(t, func() bool { return j.State().First > 10 }, "the trim behind the move")
	late()
	require.NoError(t, o.wait(t, 1)[1])
	dead := w.subscribe(s, queue("ActiveMQ.DLQ"), 10, true).next(1)
	require.Equal(t, []string{"refused"}, bodies(dead))
}

// A body that cannot be read is no reason to fall over: the message is back in its queue.
func TestRefusedMessageThatCannotBeReadComesBack(t *testing.T) {
	w, store := tap(t)
	s := w.session()
	w.send(s, queue("q"), true, "refused")
	c := w.subscribe(s, queue("q"), 10, false)
	got := c.next(1)
	var loads atomic.Int32
	store.load = func(j gateway.Journal, queue string, seqs []uint64, done func([]*gateway.Message, error)) {
		if loads.Add(1) == 1 {
			done(nil, gateway.Errorf(gateway.Unavailable, "the store is closed"))
			return
		}
		j.Load(queue, seqs, done)
	}
	var o outcome
	c.Nack(tags(got), &o, 1)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(o.wait(t, 1)[1]))
	again := c.next(1)
	require.Equal(t, got[0].Message.ID, again[0].Message.ID)
	require.Equal(t, uint32(1), again[0].Redeliveries)
}

// expiring sends so many messages that expire in an hour.
func (w *world) expiring(d gateway.Destination, n int) {
	var o outcome
	s := w.session()
	for i := range n {
		m := message(d, "x", true)
		m.Expires = time.Now().Add(time.Hour).UnixMilli()
		s.Send(m, &o, uint64(i))
	}
	o.wait(w, n)
}

// A backlog that expires at once is buried step by step: its bodies must not be in
// memory all together, nor keep other queues' loads waiting behind them.
func TestExpiredBacklogIsBuriedStepByStep(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	w, store := tap(t, func(c *core.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	const n = 5000
	w.expiring(queue("q"), n)
	var open, most atomic.Int64
	store.load = func(j gateway.Journal, queue string, seqs []uint64, done func([]*gateway.Message, error)) {
		if now := open.Add(1); now > most.Load() {
			most.Store(now)
		}
		j.Load(queue, seqs, func(m []*gateway.Message, err error) {
			open.Add(-1)
			done(m, err)
		})
	}
	ahead.Store(int64(2 * time.Hour))
	gatewaytest.Eventually(t, func() bool { return w.broker.Depth("ActiveMQ.DLQ") == n }, "all buried")
	require.Zero(t, w.broker.Depth("q"))
	require.LessOrEqual(t, most.Load(), int64(256))
}

// Without space for dead letters what expired waits, and a stop does not wait for it.
func TestExpiredMessagesWaitForSpace(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	w := newWorld(t, func(c *core.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	const n = 3000
	w.expiring(queue("q"), n)
	w.store.Full.Store(true)
	ahead.Store(int64(2 * time.Hour))
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "all expired")
	w.restart()
	gatewaytest.Eventually(t, func() bool { return w.broker.Depth("ActiveMQ.DLQ") == n }, "all buried")
	require.Zero(t, w.broker.Depth("q"))
}
