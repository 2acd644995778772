package core_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// noted keeps the sequence that a record got.
type noted struct {
	to  gateway.Appended
	seq *atomic.Uint64
}

func (n noted) Appended(seq uint64, err error) {
	n.seq.Store(seq)
	n.to.Appended(seq, err)
}

// A message that is acknowledged while it is being moved has two settlements: that of its
// old place must not be trimmed before that of its new one is on disk.
func TestMessageAcknowledgedWhileItIsMovedStaysSettled(t *testing.T) {
	t.Parallel()
	w, store := tap(t)
	s := w.session()
	var moved atomic.Uint64
	held, let, lost, trims := make(chan struct{}), make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
	store.append = func(j gateway.Journal, r *gateway.Record, a gateway.Appended) {
		switch m := moved.Load(); {
		case r.Replaces != 0 && m == 0:
			close(held)
			<-let
			j.Append(r, noted{a, &moved})
		case r.Replaces != 0: // the next one, lost as well
		case m != 0 && slices.Contains(r.Settled, m):
			lost <- struct{}{} // a power cut takes it back
		default:
			j.Append(r, a)
		}
	}
	store.trim = func() {
		select {
		case trims <- struct{}{}:
		default:
		}
	}
	w.send(s, queue("front"), true, "a")
	c := w.subscribe(s, queue("front"), 10, false)
	got := c.next(1)
	through := queue(neighbour("front"))
	w.pass(s, through)
	<-held
	c.ack(got...)
	w.send(s, through, true, "stays")
	close(let)
	<-lost
	for range 8 { // of three shards
		<-trims
	}
	w.crash()
	require.Zero(t, w.broker.Depth("front"))
	require.Equal(t, 1, w.broker.Depth(through.Name))
}

// pass sends more than may be pinned through a queue, and takes it.
func (w *world) pass(s gateway.Session, through gateway.Destination) {
	w.Helper()
	d := w.subscribe(s, through, 10, false)
	body := strings.Repeat("x", 8<<20)
	for range 10 {
		w.send(s, through, true, body)
		d.ack(d.next(1)...)
	}
}

// What says that a message was handed out may be trimmed once the message was moved.
func TestMovedMessageInFlightIsMarkedAfterACrash(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("front"), true, "in flight", "waiting")
	w.subscribe(s, queue("front"), 1, false).next(1)
	through := queue(neighbour("front"))
	w.pass(s, through)
	j := w.store.Journal(gateway.ShardOf("front", 3))
	gatewaytest.Eventually(t, func() bool { return j.State().First > 10 }, "the trim behind the move")
	w.crash()
	got := w.subscribe(w.session(), queue("front"), 10, false).next(2)
	require.Equal(t, []string{"in flight", "waiting"}, bodies(got))
	require.Equal(t, []uint32{1, 0}, []uint32{got[0].Redeliveries, got[1].Redeliveries})
}

// When the store is full a straggler must not keep it full for ever: what pins dead space
// is moved as long as there is room for that.
func TestStragglersAreMovedWhenSendsAreRefused(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("front"), true, "straggler")
	through := queue(neighbour("front"))
	d := w.subscribe(s, through, 20, false)
	body := strings.Repeat("x", 8<<20)
	for range 10 {
		w.send(s, through, true, body)
	}
	w.store.Full.Store(true)
	d.ack(d.next(10)...)
	j := w.store.Journal(gateway.ShardOf("front", 3))
	gatewaytest.Eventually(t, func() bool { return j.State().First > 10 }, "the trim behind the move")
	require.Equal(t, 1, w.broker.Depth("front"))
}
