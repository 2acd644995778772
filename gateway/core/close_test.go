package core_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// A stop in order keeps every message that was accepted, also those that clients were
// sending when it came: what is too late is refused.
func TestSendsDuringAStopAreKeptOrRefused(t *testing.T) {
	for range 30 {
		w := newWorld(t)
		outcomes := make([]outcome, 8)
		var senders sync.WaitGroup
		for i := range outcomes {
			s := w.session()
			senders.Go(func() {
				for k := range uint64(200) {
					s.Send(message(queue(fmt.Sprint("q", i)), "x", false), &outcomes[i], k)
				}
			})
		}
		require.NoError(t, w.broker.Close(context.Background()))
		senders.Wait()
		kept := 0
		for i := range outcomes {
			for _, err := range outcomes[i].wait(t, 200) {
				if err == nil {
					kept++
				} else {
					require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
				}
			}
		}
		w.store.Close()
		w.start()
		require.Equal(t, kept, w.waiting())
	}
}
