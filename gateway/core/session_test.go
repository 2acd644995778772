package core_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// A subscription that opens while its session closes must not go on without it: it
// would keep messages that nobody can give back.
func TestSubscriptionsDoNotOutliveTheirSession(t *testing.T) {
	w := newWorld(t)
	for range 2000 {
		s := w.session()
		var both sync.WaitGroup
		for _, d := range []gateway.Destination{queue("q"), topic("t")} {
			both.Go(func() {
				_, err := s.Subscribe(gateway.SubscribeOptions{Destination: d, Prefetch: 10, Wake: func() {}})
				if err != nil && gateway.KindOf(err) != gateway.Unavailable {
					t.Error(err)
				}
			})
		}
		both.Go(s.Close)
		both.Wait()
	}
	require.Zero(t, w.broker.Stats().Subscriptions)
	s := w.session()
	w.send(s, queue("q"), true, "1")
	require.Equal(t, []string{"1"}, bodies(w.subscribe(s, queue("q"), 10, true).next(1)))
}
