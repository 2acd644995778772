package lease_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

func open(t *testing.T, l resource.Lease) *bench {
	b, end := newBench(t, &l)
	t.Cleanup(end)
	return b
}

func idsOf(all []wire.Received) (ids []string) {
	for _, r := range all {
		ids = append(ids, r.AckID)
	}
	return ids
}

// Many who pull and acknowledge at once have each message once, and whatever one waits for is written down, if others wait for something else at the same time.
func TestManyAtOnce(t *testing.T) {
	b := open(t, resource.Lease{})
	const all = 2000
	for range all {
		b.publish(t, "")
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var workers sync.WaitGroup
	for range 20 {
		workers.Go(func() {
			for {
				got, err := b.keeper.Pull(t.Context(), b.sub, b.of, 7, 0)
				if err != nil || len(got) == 0 {
					return
				}
				mu.Lock()
				for _, r := range got {
					seen[r.Message.ID]++
				}
				mu.Unlock()
				if _, err := b.keeper.Acknowledge(t.Context(), b.sub, b.of, idsOf(got)); err != nil {
					return
				}
			}
		})
	}
	workers.Wait()
	require.Len(t, seen, all)
	for id, n := range seen {
		require.Equal(t, 1, n, id)
	}
	c, _ := b.directory.Standing(b.sub, b.of)
	require.Equal(t, uint64(all), c.Offset)
	require.Equal(t, uint64(all), c.Messages)
}

// What is acknowledged while something else is written down is written down next, and not whenever there is time for it.
func TestAcknowledgementsWhileOthersAreWritten(t *testing.T) {
	b := open(t, resource.Lease{})
	const rounds = 10
	for range 2 * rounds {
		b.publish(t, "")
	}
	got, err := b.keeper.Pull(t.Context(), b.sub, b.of, 2*rounds, 0)
	require.NoError(t, err)
	began := time.Now()
	for i := range rounds {
		let := b.facts.shut()
		done := make(chan error, 2)
		acknowledge := func(r wire.Received) {
			_, err := b.keeper.Acknowledge(t.Context(), b.sub, b.of, []string{r.AckID})
			done <- err
		}
		go acknowledge(got[2*i])
		<-b.facts.began
		joined := b.keeper.Waiters()
		go acknowledge(got[2*i+1])
		require.Eventually(t, func() bool { return b.keeper.Waiters() > joined }, 10*time.Second, time.Millisecond)
		let()
		require.NoError(t, <-done)
		require.NoError(t, <-done)
	}
	require.Less(t, time.Since(began), rounds*time.Second/2)
}

// A node that does not know yet that another one has the leases now changes nothing that is kept.
func TestANodeThatIsReplaced(t *testing.T) {
	b := open(t, resource.Lease{})
	b.publish(t, "")
	b.publish(t, "")
	got, err := b.keeper.Pull(t.Context(), b.sub, b.of, 2, 0)
	require.NoError(t, err)
	late, err := b.keeper.Late(t.Context(), b.sub, b.of)
	require.NoError(t, err)
	stop := b.stop
	defer stop()
	b.start(t)
	again, err := b.keeper.Pull(t.Context(), b.sub, b.of, 2, 0)
	require.NoError(t, err)
	require.Len(t, again, 2)
	require.Equal(t, gateway.Moved, gateway.KindOf(late(idsOf(got))))
	faults, err := b.keeper.Acknowledge(t.Context(), b.sub, b.of, idsOf(again[1:]))
	require.NoError(t, err)
	require.Empty(t, faults)
	c, _ := b.directory.Standing(b.sub, b.of)
	require.Equal(t, "n2", c.Leader)
	require.Zero(t, c.Offset)
}

// However much waits, so much at most is open; the rest comes as soon as that is acknowledged.
func TestWhatIsOpenIsBounded(t *testing.T) {
	b := open(t, resource.Lease{Ordered: true})
	for range 6000 {
		b.publish(t, "")
	}
	var all []wire.Received
	for {
		got, err := b.keeper.Pull(t.Context(), b.sub, b.of, 1000, 0)
		require.NoError(t, err)
		if len(got) == 0 {
			break
		}
		all = append(all, got...)
	}
	require.Len(t, all, 5000)
	for from := range all[:1000] {
		require.Equal(t, strconv.Itoa(from), all[from].Message.ID)
	}
	for i := 1; i < len(all); i += 2 { // as many holes as there can be
		if i%500 == 1 {
			_, err := b.keeper.Acknowledge(t.Context(), b.sub, b.of, idsOf(every(all[i:min(i+500, len(all))])))
			require.NoError(t, err)
		}
	}
	got, err := b.keeper.Pull(t.Context(), b.sub, b.of, 5000, 0)
	require.NoError(t, err)
	require.Len(t, got, 1000)
	b.stop()
	b.start(t)
	got, err = b.keeper.Pull(t.Context(), b.sub, b.of, 5000, 0)
	require.NoError(t, err)
	require.Len(t, got, 3500, "and another node knows what is open")
}

// every is every second one, from the first on.
func every(all []wire.Received) (some []wire.Received) {
	for i := 0; i < len(all); i += 2 {
		some = append(some, all[i])
	}
	return some
}

// Whoever waits hears of a move, and of the end of the subscription, of the topic and of the node.
func TestWhoWaits(t *testing.T) {
	b := open(t, resource.Lease{})
	type outcome struct {
		got []wire.Received
		err error
	}
	wait := func() chan outcome {
		done := make(chan outcome, 1)
		go func() {
			got, err := b.keeper.Pull(t.Context(), b.sub, b.of, 5, 20*time.Second)
			done <- outcome{got, err}
		}()
		return done
	}
	b.publish(t, "")
	got, err := b.keeper.Pull(t.Context(), b.sub, b.of, 1, 0)
	require.NoError(t, err)
	_, err = b.keeper.Acknowledge(t.Context(), b.sub, b.of, idsOf(got))
	require.NoError(t, err)
	waits := wait()
	require.NoError(t, b.directory.MoveCursor(t.Context(), b.sub, b.of, func(c *resource.Cursor) (bool, error) {
		c.Offset, c.Next, c.Open = 0, 0, nil
		c.Generation++
		return true, nil
	}))
	o := <-waits
	require.NoError(t, o.err)
	require.Len(t, o.got, 1)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := b.keeper.Pull(ctx, b.sub, b.of, 5, 20*time.Second)
		gone <- err
	}()
	cancel()
	require.Equal(t, gateway.Unavailable, gateway.KindOf(<-gone))
	waits = wait()
	b.keeper.Hurry()
	require.Empty(t, (<-waits).got)
	require.NoError(t, b.directory.DeleteSubscription(t.Context(), b.sub.Name))
	require.Equal(t, gateway.NotFound, gateway.KindOf((<-wait()).err))
	b.stop()
	require.Equal(t, gateway.Unavailable, gateway.KindOf((<-wait()).err))
}

// A node that stops while an acknowledgement is being written down waits for that, and does not count it once more with what it leaves behind.
func TestNothingIsCountedTwiceWhenANodeStops(t *testing.T) {
	b := open(t, resource.Lease{})
	b.publish(t, "")
	b.publish(t, "")
	got, err := b.keeper.Pull(t.Context(), b.sub, b.of, 2, 0)
	require.NoError(t, err)
	let := b.facts.shut()
	acknowledged := make(chan error, 1)
	go func() {
		_, err := b.keeper.Acknowledge(t.Context(), b.sub, b.of, []string{got[0].AckID})
		acknowledged <- err
	}()
	<-b.facts.began
	require.Equal(t, 1, b.keeper.Waiters())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.stop()
	}()
	require.Eventually(t, func() bool { return b.keeper.Waiters() == 0 }, 10*time.Second, time.Millisecond)
	let()
	<-stopped
	require.Error(t, <-acknowledged, "another node is asked, which knows")
	c, _ := b.directory.Standing(b.sub, b.of)
	require.Equal(t, uint64(1), c.Messages)
	require.Equal(t, uint64(1), c.Offset)
	require.Empty(t, c.Leader)
}

// A book that is opened while its node stops is closed again: nobody else has to wait until that node is gone.
func TestABookThatOpensWhileItsNodeStops(t *testing.T) {
	b := open(t, resource.Lease{})
	b.publish(t, "")
	let := b.facts.shut()
	pulled := make(chan error, 1)
	go func() {
		_, err := b.keeper.Pull(t.Context(), b.sub, b.of, 1, 0)
		pulled <- err
	}()
	<-b.facts.began
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.stop()
	}()
	require.Eventually(t, b.keeper.Closed, 10*time.Second, time.Millisecond)
	let()
	<-stopped
	require.Error(t, <-pulled)
	c, _ := b.directory.Standing(b.sub, b.of)
	require.Empty(t, c.Leader)
}
