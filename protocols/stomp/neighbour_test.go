package stomp

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
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
