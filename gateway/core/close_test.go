package core_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// A stop in order keeps every message that was accepted, also those that clients were
// sending when it came: what is too late is refused.
func TestSendsDuringAStopAreKeptOrRefused(t *testing.T) {
	t.Parallel()
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

// A node stops in the moment in which another one becomes the owner of a shard: what its shard had under way goes to that one,
// and the stop does not wait for anything else.
func TestStopWhileAShardMovesAway(t *testing.T) {
	r := newRealm(t)
	other := neighbourOf("q")
	r.Move(shard("q"), "n2")
	r.Move(shard(other), "n1")
	w := r.worlds[1]
	s := w.session()
	w.send(s, queue("q"), true, "first")
	r.Settle()
	held, let := make(chan struct{}), make(chan struct{})
	s.Send(message(queue(other), "x", true), completion(func(error) { close(held); <-let }), 0) // n2 hears nothing meanwhile
	<-held
	r.Move(shard("q"), "n3")
	var o outcome
	s.Send(message(queue("q"), "second", true), &o, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- w.broker.Close(ctx) }()
	gatewaytest.Eventually(t, w.broker.Over, "that nothing is begun any more")
	close(let)
	require.NoError(t, <-closed)
	require.NoError(t, o.wait(t, 1)[0])
	require.Equal(t, []string{"first", "second"}, bodies(r.worlds[2].subscribe(r.worlds[2].session(), queue("q"), 10, false).next(2)))
}

// completion is a function as a gateway.Completion.
type completion func(error)

func (c completion) Complete(_ uint64, err error) { c(err) }

// neighbourOf is a queue of the other shard.
func neighbourOf(name string) string {
	for i := 0; ; i++ {
		if other := fmt.Sprint("other.", i); shard(other) != shard(name) {
			return other
		}
	}
}

// A node that stops does not wait for ever for the owner of a shard that has none, and may be given it again itself.
func TestAStopDoesNotWaitForAnOwnerThatNobodyIs(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{"", "n2"} {
		r := newRealm(t)
		w := r.worlds[1]
		r.Move(shard("q"), "n3")
		w.send(w.session(), queue("q"), true, "first")
		r.Move(shard("q"), "")
		r.Settle()
		var o outcome
		w.session().Send(message(queue("q"), "second", true), &o, 0)
		closed := make(chan error, 1)
		go func() { closed <- w.broker.Close(t.Context()) }()
		gatewaytest.Eventually(t, w.broker.Over, "that nothing is begun any more")
		r.Move(shard("q"), owner)
		require.NoError(t, <-closed)
	}
}
