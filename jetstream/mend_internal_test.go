package jetstream

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// The messages of a transaction that is behind its point of no return cannot be refused
// any more: when the store is mended they are stored, in their order.
func TestMendRefusesNoPartOfATransaction(t *testing.T) {
	s := open(t)
	j := s.journals[0]
	part := func(i int) *gateway.Record {
		return &gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", fmt.Sprint(i), "body"), Transaction: fmt.Sprint("tx/", i)}
	}
	client := &gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", "id", "body")}
	parts, refused := make(heard, 4), make(heard, 2)
	j.hold(true)
	j.mu.Lock()
	for i := range 2 { // published, and lost
		j.flight.push(request{part(i), parts})
	}
	j.flight.push(request{client, refused})
	j.mu.Unlock()
	j.Append(part(2), parts)
	j.Append(client, refused)
	j.Append(part(3), parts)
	j.refuse()
	require.NoError(t, s.quiet(context.Background()))
	require.NoError(t, j.resume(context.Background()))
	for range 2 {
		require.Equal(t, gateway.NoSpace, gateway.KindOf(<-refused))
	}
	for range 4 {
		require.NoError(t, <-parts)
	}
	var got []string
	require.NoError(t, j.Replay(context.Background(), func(_ uint64, _ int, r *gateway.Record) error {
		got = append(got, r.Transaction)
		return nil
	}))
	require.Equal(t, []string{"tx/0", "tx/1", "tx/2", "tx/3"}, got)
}

// Where mending fails, whoever waits for a record that was in flight is told.
func TestFailedMendAnswersEverybody(t *testing.T) {
	s := open(t)
	j := s.journals[0]
	h := make(heard, 2)
	j.Append(settled(), h)
	require.NoError(t, <-h)
	j.hold(true)
	j.mu.Lock()
	j.next = 1 // the stream holds a record that nobody here has written
	j.flight.push(request{&gateway.Record{Type: gateway.RecordDone, Transaction: "tx"}, h})
	j.mu.Unlock()
	err := j.resume(context.Background())
	require.ErrorContains(t, err, "record 1 is not ours")
	j.fail(err)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(<-h))
}
