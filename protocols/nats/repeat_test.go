package nats_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/nats"
)

func TestRepeatedMessagesAreRecognisedByTheirIDs(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	h := newHouse(t, options{clock: func() time.Time { return time.Unix(0, now.Load()) }})
	js := h.jetStream()
	publish := func(subject, id string) *jetstream.PubAck {
		t.Helper()
		ack, err := js.Publish(ctx(t), subject, []byte(id), jetstream.WithMsgID(id))
		require.NoError(t, err)
		return ack
	}
	first := publish("queue.a", "1")
	require.False(t, first.Duplicate)
	again := publish("queue.a", "1")
	require.True(t, again.Duplicate)
	require.Equal(t, first.Sequence, again.Sequence)
	require.False(t, publish("queue.b", "1").Duplicate, "ids are a queue's own")
	require.False(t, publish("queue.a", "2").Duplicate)
	now.Add(int64(2*time.Minute + time.Second))
	require.False(t, publish("queue.a", "1").Duplicate, "the window is over")
	require.True(t, publish("queue.a", "1").Duplicate)
	h.subscribe(h.session(), queue("a")).next(3)
	h.settled("a", 0, 0)
	h.settled("b", 1, 0)
	h.count(nats.Stats{Received: 6, Repeated: 2})
}

// A repetition of a message that is not stored yet is answered with it.
func TestARepetitionWaitsForTheFirst(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream(jetstream.WithPublishAsyncTimeout(patience))
	goOn := h.store.Stop()
	var futures []jetstream.PubAckFuture
	for range 3 {
		f, err := js.PublishAsync("queue.a", nil, jetstream.WithMsgID("x"))
		require.NoError(t, err)
		futures = append(futures, f)
	}
	require.Eventually(t, func() bool { return h.door.Stats().Outstanding == 3 }, patience, time.Millisecond)
	goOn()
	duplicates := 0
	for _, f := range futures {
		select {
		case ack := <-f.Ok():
			if ack.Duplicate {
				duplicates++
			}
		case err := <-f.Err():
			require.NoError(t, err)
		}
	}
	require.Equal(t, 2, duplicates)
	h.settled("a", 1, 0)
}

// What was refused was never published: its repetition is stored.
func TestARefusedMessageMayBeRepeated(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	h.store.Full.Store(true)
	_, err := js.Publish(ctx(t), "queue.a", nil, jetstream.WithMsgID("x"))
	require.Error(t, err)
	h.store.Full.Store(false)
	ack, err := js.Publish(ctx(t), "queue.a", nil, jetstream.WithMsgID("x"))
	require.NoError(t, err)
	require.False(t, ack.Duplicate)
	h.settled("a", 1, 0)
}

func TestMemoryForIDsIsBounded(t *testing.T) {
	h := newHouse(t, options{limits: nats.Limits{MessageIDs: 4}})
	js := h.jetStream()
	for _, id := range []string{"1", "2", "3", "4", "5", "1"} {
		ack, err := js.Publish(ctx(t), "queue.a", nil, jetstream.WithMsgID(id))
		require.NoError(t, err)
		require.False(t, ack.Duplicate)
	}
}
