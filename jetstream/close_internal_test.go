package jetstream

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// persistent appends again when it is refused, as one who has more to settle.
type persistent struct {
	j    *journal
	next gateway.Appended
}

func (p persistent) Appended(uint64, error) { p.j.Append(settled(), p.next) }

// A store whose stream does not answer is closed all the same, when its time is over,
// and answers those who come while it closes.
func TestCloseEndsAlthoughTheStreamDoesNotAnswer(t *testing.T) {
	s := open(t)
	j := s.journals[0]
	h := make(heard, 1)
	j.mu.Lock()
	for range windowRecords {
		j.flight.push(request{settled(), make(heard, 1)})
	}
	j.mu.Unlock()
	j.Append(settled(), persistent{j, h})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = s.Close(ctx)
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("still closing")
	}
	require.Equal(t, gateway.Unavailable, gateway.KindOf(<-h))
	j.mu.Lock()
	j.flight = fifo{} // they were never sent
	j.mu.Unlock()
}
