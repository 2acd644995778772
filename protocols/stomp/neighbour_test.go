package stomp

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// The broker's goroutines serve everybody. They must not wait while one client
// makes its connection search a million deliveries for what it acknowledges.
func TestTheBrokerDoesNotWaitForTheSearchOfAcknowledgements(t *testing.T) {
	s, err := newServer(Config{Broker: newFakeBroker()})
	require.NoError(t, err)
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	c := newConn(s, ours)
	c.desk.Store(writerWorking) // the test is the writer
	sub := &subscription{conn: c, mode: ackClient}
	number := sub.unacked.add("m", 1)
	tx := &transaction{subs: []*subscription{sub}}
	_, ok := sub.unacked.take(sub.unacked.byNumber(number), false, tx)
	require.True(t, ok)
	token := c.owe(answer{receipt: "r", more: &more{commit: tx}})

	c.acks.Lock() // a search goes on
	done := make(chan struct{})
	go func() {
		c.Complete(token, nil)
		sub.wake()
		c.end(gateway.Errorf(gateway.Limit, "too slow"))
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(wait):
		t.Fatal("the broker waits")
	}
	c.acks.Unlock()
	w := &writer{c: c, scratch: new(scratch)}
	w.writeAnswers(c.answers.take(w.answers[:]))
	require.Empty(t, sub.unacked.open(), "settled before the client reads of it")
	require.Contains(t, string(w.buf), "receipt-id:r\n")
}

// What is taken for a connection that is gone comes back marked as redelivered, and
// counts towards a message's last delivery: so nothing is taken in vain.
func TestNothingIsTakenForADeadConnection(t *testing.T) {
	b := newFakeBroker()
	s, err := newServer(Config{Broker: b})
	require.NoError(t, err)
	ours, theirs := net.Pipe()
	require.NoError(t, theirs.Close())
	require.NoError(t, ours.Close())
	c := newConn(s, ours)
	c.desk.Store(writerWorking) // the test is the writer
	session, err := b.Open(t.Context(), gateway.Login{})
	require.NoError(t, err)
	w := &writer{c: c, scratch: new(scratch), version: wire.V12}
	for range 3 {
		d := gateway.Destination{Kind: gateway.KindTopic, Name: "a"}
		sub := &subscription{conn: c, started: true, mode: ackClient}
		sub.source, err = session.Subscribe(gateway.SubscribeOptions{Destination: d, Prefetch: 10, Wake: func() {}})
		require.NoError(t, err)
		w.ready = append(w.ready, sub)
	}
	session.Send(&gateway.Message{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "a"}, Body: make([]byte, directBody)}, nil, 0)
	w.pull()
	require.Error(t, w.err)
	taken := 0
	for _, sub := range b.subs {
		taken += len(sub.out)
	}
	require.Equal(t, 1, taken, "only by which the end was found out")
}
