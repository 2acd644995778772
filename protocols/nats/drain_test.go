package nats_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats"
)

// newHouse checks after each test that no goroutine is left.

func (h *house) serveReturned() error {
	select {
	case err := <-h.served:
		return err
	case <-time.After(patience):
		require.FailNow(h.t, "Serve did not return")
		return nil
	}
}

func TestDrainAnswersWhatItTook(t *testing.T) {
	h := newHouse(t, options{limits: nats.Limits{OutstandingMessages: 10}})
	js := h.jetStream(jetstream.WithPublishAsyncTimeout(patience))
	goOn := h.store.Stop()
	futures := make([]jetstream.PubAckFuture, 100)
	for i := range futures {
		var err error
		futures[i], err = js.PublishAsync("queue.a", []byte(strconv.Itoa(i)))
		require.NoError(t, err)
	}
	require.NoError(t, js.Conn().Flush())
	require.Eventually(t, func() bool { return h.door.Stats().Outstanding == 10 }, patience, time.Millisecond)
	drained := make(chan error, 2)
	for range cap(drained) { // a second call waits for the first
		go func() { drained <- h.door.Drain(ctx(t)) }()
	}
	require.Eventually(t, func() bool { return !h.taken("queue.a") }, patience, time.Millisecond)
	select {
	case err := <-drained:
		require.FailNow(t, "drained too early", "%v", err)
	case <-time.After(20 * time.Millisecond):
	}
	goOn()
	for range cap(drained) {
		require.NoError(t, <-drained)
	}
	require.NoError(t, h.serveReturned())
	for _, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			require.NoError(t, err)
		}
	}
	for i, m := range h.subscribe(h.session(), queue("a")).next(100) {
		require.Equal(t, strconv.Itoa(i), string(m.Body))
	}
	require.Equal(t, 1, h.broker.Stats().Sessions, "the door's session is closed")
	_, err := js.Publish(ctx(t), "queue.a", nil)
	require.ErrorIs(t, err, jetstream.ErrNoStreamResponse)
}

func TestDrainRelaysWhatWaits(t *testing.T) {
	h := newHouse(t, options{})
	sub, s := listen(t, h.connect(), "topic.a"), h.session()
	for i := range 1000 {
		require.NoError(t, h.send(s, &gateway.Message{Destination: topic("a"), Body: []byte(strconv.Itoa(i))}))
	}
	require.NoError(t, h.door.Drain(ctx(t)))
	for i := range 1000 {
		require.Equal(t, strconv.Itoa(i), string(hear(t, sub).Data))
	}
}

func TestDrainGivesUpInTime(t *testing.T) {
	h := newHouse(t, options{limits: nats.Limits{OutstandingMessages: 1}})
	defer h.store.Stop()()
	nc := h.connect()
	for range 3 {
		require.NoError(t, nc.Publish("queue.a", nil))
	}
	require.Eventually(t, func() bool { return h.door.Stats().Received == 2 }, patience, time.Millisecond)
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, h.door.Drain(short), context.DeadlineExceeded)
	require.NoError(t, h.serveReturned())
	require.NoError(t, h.door.Drain(context.Background()), "it is over already")
	require.NotZero(t, h.door.Stats().Unanswered)
}

func TestServeEndsWithItsContext(t *testing.T) {
	h := newHouse(t, options{})
	goOn := h.store.Stop()
	require.NoError(t, h.connect().Publish("queue.a", nil))
	require.Eventually(t, func() bool { return h.door.Stats().Outstanding == 1 }, patience, time.Millisecond)
	h.cutOff()
	require.ErrorIs(t, h.serveReturned(), context.Canceled)
	require.NoError(t, h.door.Drain(ctx(t)), "it is over already")
	goOn()
}

func TestServeNoticesThatTheServerIsGone(t *testing.T) {
	h := newHouse(t, options{})
	h.server.Shutdown()
	require.EqualError(t, h.serveReturned(), "nats: the connection to the embedded server is lost")
	require.NoError(t, h.door.Drain(ctx(t)))
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	h := newHouse(t, options{})
	_, err := nats.New(nats.Config{})
	require.EqualError(t, err, "nats: five connections are needed")
	cfg := h.config()
	cfg.Answers.Close()
	_, err = nats.New(cfg)
	require.EqualError(t, err, "nats: nats: connection closed")
	require.True(t, cfg.Inbound.IsClosed() && cfg.Outbound.IsClosed() && cfg.Workers.IsClosed(), "New takes the connections over")
	h.broker.Drain()
	_, err = nats.New(h.config())
	require.EqualError(t, err, "nats: opening a session: the broker is stopping")
	require.Equal(t, 1, h.broker.Stats().Sessions)
}
