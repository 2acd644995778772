package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// realm is three brokers that share two shards.
type realm struct {
	*testing.T
	*gatewaytest.Cluster
	stores []*gatewaytest.Node
	worlds []*world // a broker each
	ports  int      // of clients
}

func name(i int) string { return "n" + strconv.Itoa(i+1) }

func newRealm(t *testing.T, change ...func(*core.Config)) *realm { return newRealmOf(t, 2, change...) }

func newRealmOf(t *testing.T, shards int, change ...func(*core.Config)) *realm {
	r := &realm{T: t, Cluster: gatewaytest.NewCluster(shards)}
	for i := range 3 {
		store := r.Node(name(i))
		cfg := core.Config{
			Node: name(i), Store: store, Cluster: store, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Everyone{},
			Logger: slog.New(slog.DiscardHandler),
		}
		for _, c := range change {
			c(&cfg)
		}
		b, err := core.New(context.Background(), cfg)
		require.NoError(t, err)
		r.stores, r.worlds = append(r.stores, store), append(r.worlds, &world{T: t, broker: b})
	}
	for i := range 3 {
		for k := range i {
			r.Link(name(i), name(k), true)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for _, w := range r.worlds {
			_ = w.broker.Close(ctx) // what has no owner has no answer
		}
		r.Close()
	})
	return r
}

// everywhere are a node by itself and those of a cluster whose shards have two owners: what holds on each of them holds everywhere.
func everywhere(t *testing.T) []*world {
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n2")
	return append([]*world{newWorld(t)}, r.worlds...)
}

// shard is that of a queue.
func shard(name string) int { return gateway.ShardOf(name, 2) }

// Whoever owns the queue, whoever sends and whoever receives: messages arrive in order.
func TestAnyNodeServesAnyQueue(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n2")
	for from := range 3 {
		for to := range 3 {
			q := queue("q") // one for each, because a subscription's end takes its time to another node
			for i := 0; i == 0 || shard(q.Name) != shard("q"); i++ {
				q = queue(fmt.Sprintf("q.%d.%d.%d", from, to, i))
			}
			c := r.worlds[to].subscribe(r.worlds[to].session(), q, 10, false)
			s := r.worlds[from].session()
			for _, persistent := range []bool{true, false} {
				r.worlds[from].send(s, q, persistent, numbers(0, 50)...)
				for i := range 5 {
					got := c.next(10)
					require.Equal(t, numbers(10*i, 10*i+10), bodies(got), "from %d to %d", from, to)
					for _, d := range got {
						require.Zero(t, d.Redeliveries)
					}
					c.ack(got...)
				}
			}
			c.Close()
		}
	}
	gatewaytest.Eventually(t, func() bool { return r.worlds[1].waiting() == 0 }, "empty queues")
}

// What is sent while nobody owns the queue waits, in order.
func TestSendsWaitForAnOwner(t *testing.T) {
	r := newRealm(t)
	s := r.worlds[0].session()
	var o outcome
	for i, b := range numbers(0, 20) {
		s.Send(message(queue("q"), b, true), &o, uint64(i))
	}
	c := r.worlds[2].subscribe(r.worlds[2].session(), queue("q"), 100, false)
	r.Move(shard("q"), "n3")
	for _, err := range o.wait(t, 20) {
		require.NoError(t, err)
	}
	require.Equal(t, numbers(0, 20), bodies(c.next(20)))
}

// An owner that has heard of a later one hands nothing out any more, neither here nor there, even if the store has not ended its tenure yet.
func TestAReplacedOwnerHandsNothingOut(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n2")
	here := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 1, false)
	there := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 1, false)
	s := r.worlds[1].session()
	r.worlds[1].send(s, queue("q"), true, "a", "b")
	require.Len(t, append(here.next(1), there.next(1)...), 2)
	r.worlds[1].broker.Owner(shard("q"), "n3", 1000)
	here.Extend(3)
	there.Extend(3)
	r.worlds[1].send(s, queue("q"), true, numbers(0, 6)...)
	r.Settle()
	var buf [1]gateway.Delivery
	require.Zero(t, here.Next(buf[:], 1<<20))
	require.Zero(t, there.Next(buf[:], 1<<20))
}

// A new owner hands nothing out before the store says that the one before cannot any more, however long that takes and whoever has offered; it takes messages.
func TestANewOwnerWaitsUntilItIsAlone(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	r.Share()
	r.Move(shard("q"), "n2")
	c := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 5, false)
	r.worlds[0].send(r.worlds[0].session(), queue("q"), true, "a")
	deadline := time.Now().Add(time.Second) // longer than it waits for other nodes
	gatewaytest.Eventually(t, func() bool {
		var buf [1]gateway.Delivery
		require.Zero(t, c.Next(buf[:], 1<<20))
		return time.Now().After(deadline)
	}, "that time to pass")
	r.Sole()
	require.Equal(t, []string{"a"}, bodies(c.next(1)))
}

// What a node out of touch has been sent for its clients it does not show either: it may be settled by now.
func TestANodeAloneShowsNothing(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n2")
	c := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 5, false)
	r.stores[0].Alone(true)
	r.worlds[1].send(r.worlds[1].session(), queue("q"), true, "a")
	r.Settle()
	var buf [1]gateway.Delivery
	require.Zero(t, c.Next(buf[:], 1<<20))
	r.stores[0].Alone(false)
	require.Equal(t, []string{"a"}, bodies(c.next(1)))
}

// An owner that is out of touch with the others hands nothing out, neither here nor there.
func TestAnOwnerAloneHandsNothingOut(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n2")
	here := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 1, false)
	there := r.worlds[0].subscribe(r.worlds[0].session(), queue("q"), 1, false)
	s := r.worlds[1].session()
	r.worlds[1].send(s, queue("q"), true, "a", "b")
	got := append(here.next(1), there.next(1)...)
	require.Equal(t, []string{"a", "b"}, bodies(got))
	r.stores[1].Alone(true)
	here.ack(got[0])
	there.ack(got[1])
	r.worlds[1].send(s, queue("q"), true, "c", "d")
	var buf [1]gateway.Delivery
	require.Zero(t, here.Next(buf[:], 1<<20))
	require.Zero(t, there.Next(buf[:], 1<<20))
	r.stores[1].Alone(false)
	require.ElementsMatch(t, []string{"c", "d"}, bodies(append(here.next(1), there.next(1)...)))
}

// A node is out of touch for so short a time that nothing sees it but who wanted a delivery just then: that one is woken.
func TestAMomentOutOfTouchStopsNobody(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n2")
	woken := make(chan struct{}, 100)
	c, err := r.worlds[1].session().Subscribe(gateway.SubscribeOptions{Destination: queue("q"), Prefetch: 10, Wake: func() { woken <- struct{}{} }})
	require.NoError(t, err)
	var buf [1]gateway.Delivery
	wake := func() {
		t.Helper()
		select {
		case <-woken:
		case <-time.After(gatewaytest.Wait):
			t.Fatal("nobody wakes it")
		}
	}
	s := r.worlds[1].session()
	for range 3 { // the first sweep of all wakes everybody
		require.Zero(t, c.Next(buf[:], 1<<20))
		r.worlds[1].send(s, queue("q"), true, "a")
		wake()
		for len(woken) > 0 {
			<-woken
		}
		r.stores[1].Alone(true)
		require.Zero(t, c.Next(buf[:], 1<<20))
		r.stores[1].Alone(false)
		wake()
		require.Equal(t, 1, c.Next(buf[:], 1<<20))
	}
}

// Owners change and links break while numbered messages flow: none is lost, none comes twice unmarked, none overtakes another.
func TestOwnersChangeAndLinksBreakUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	const all = 3000
	var o outcome
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s := r.worlds[0].session()
		for i := range all {
			s.Send(message(queue("q"), strconv.Itoa(i), true), &o, uint64(i))
			if i%100 == 99 {
				o.wait(t, i-200)
			}
		}
	}()
	c := r.worlds[2].subscribe(r.worlds[2].session(), queue("q"), 50, false)
	seen := make(map[string]bool)
	last := -1
	var cuts sync.WaitGroup
	defer cuts.Wait()
	for step := 0; len(seen) < all; step++ {
		switch {
		case step%40 == 20:
			r.Move(shard("q"), name(step/40%3))
		case step%40 == 30:
			other := name(1 + step/40%2)
			r.Link("n1", other, false)
			cuts.Go(func() {
				time.Sleep(time.Duration(step%7) * time.Millisecond)
				r.Link("n1", other, true)
			})
		}
		var buf [20]gateway.Delivery
		n := 0
		gatewaytest.Eventually(t, func() bool { n = c.Next(buf[:], 1<<20); c.Written(n); return n > 0 }, "deliveries after %d of %d", len(seen), all)
		for _, d := range buf[:n] {
			body := string(d.Message.Body)
			number, err := strconv.Atoi(body)
			require.NoError(t, err)
			require.False(t, seen[body] && d.Redeliveries == 0, "%s came twice, unmarked", body)
			require.True(t, seen[body] || number > last, "%s came after %d", body, last)
			seen[body], last = true, max(last, number)
			if number%3 > 0 {
				var done outcome
				c.Ack([]uint64{d.Tag}, &done, 0)
				require.NoError(t, done.wait(t, 1)[0])
			} else {
				c.Ack([]uint64{d.Tag}, nil, 0)
			}
		}
	}
	<-sent
	for i, err := range o.wait(t, all) {
		require.NoError(t, err, "message %d", i)
	}
}

// A transaction over both shards happens as a whole, although its owners change meanwhile.
func TestTransactionsOverChangesOfOwner(t *testing.T) {
	r := newRealm(t)
	r.Move(0, "n1")
	r.Move(1, "n2")
	a, b := "q", ""
	for i := 0; b == "" || shard(b) == shard(a); i++ {
		b = fmt.Sprint("other", i)
	}
	s := r.worlds[2].session()
	const all = 60
	var o outcome
	for i := range all {
		body := strconv.Itoa(i)
		s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue(a), body, true), message(queue(b), body, true)}}, &o, uint64(i))
		if i%10 == 5 {
			r.Move(i/10%2, name(i/10%3))
		}
	}
	for i, err := range o.wait(t, all) {
		require.NoError(t, err, "transaction %d", i)
	}
	for _, q := range []string{a, b} {
		c := r.worlds[1].subscribe(r.worlds[1].session(), queue(q), 1000, false)
		var got []string
		for len(got) < all {
			for _, d := range c.next(1) {
				if !slices.Contains(got, string(d.Message.Body)) {
					got = append(got, string(d.Message.Body))
				} else {
					require.Positive(t, d.Redeliveries)
				}
			}
		}
		require.Equal(t, numbers(0, all), got)
	}
}

// Transactions of one session that different nodes carry out keep their order, also if the way of the first one's
// messages is the longer one.
func TestTransactionsOfDifferentNodesKeepTheirOrder(t *testing.T) {
	r, of := newRealmOf(t, 3), spread()
	for i := range 3 {
		r.Move(i, name(i))
	}
	s := r.worlds[0].session()
	for _, q := range of {
		r.worlds[0].send(s, queue(q), true, "before")
	}
	c := r.worlds[1].subscribe(r.worlds[1].session(), queue(of[1]), 10, false)
	c.ack(c.next(1)...)
	r.Link("n1", "n2", false)
	var o outcome
	for i, first := range []int{0, 2} { // n1 carries out the first one, n3 the second
		s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue(of[first]), "", true), message(queue(of[1]), strconv.Itoa(i), true)}}, &o, uint64(i))
	}
	var buf [1]gateway.Delivery
	require.Never(t, func() bool { return c.Next(buf[:], 1<<20) > 0 }, 100*time.Millisecond, 5*time.Millisecond, "the second one was first")
	r.Link("n1", "n2", true)
	require.Equal(t, []string{"0", "1"}, bodies(c.next(2)))
	for _, err := range o.wait(t, 2) {
		require.NoError(t, err)
	}
}

// spread are queues of three shards, by shard.
func spread() map[int]string {
	of := map[int]string{}
	for i := 0; len(of) < 3; i++ {
		q := fmt.Sprint("q", i)
		of[gateway.ShardOf(q, 3)] = q
	}
	return of
}

// Who carries a transaction out goes while parts of it wait for their owner. It is done when its successor has
// brought them there, not before: what its session sends next would overtake them.
func TestATransactionIsDoneWhenItsPartsAreThere(t *testing.T) {
	r, of := newRealmOf(t, 3), spread()
	r.Move(0, "n1")
	s := r.worlds[1].session()
	r.worlds[1].send(s, queue(of[0]), true, "before")
	var o outcome
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue(of[0]), "", true), message(queue(of[1]), "in it", true)}}, &o, 1)
	s.Send(message(queue(of[1]), "behind it", true), &o, 2)
	c := r.worlds[2].subscribe(r.worlds[2].session(), queue(of[0]), 10, false)
	require.Equal(t, []string{"before", ""}, bodies(c.next(2)), "its record is there")
	r.Move(0, "n3")
	require.Never(t, func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.done) > 0 }, 100*time.Millisecond, 5*time.Millisecond, "it is done")
	r.Move(1, "n3")
	d := r.worlds[2].subscribe(r.worlds[2].session(), queue(of[1]), 10, false)
	require.Equal(t, []string{"in it", "behind it"}, bodies(d.next(2)))
	for _, err := range o.wait(t, 2) {
		require.NoError(t, err)
	}
}

// An owner that stops in order leaves messages behind that clients of other nodes have. They keep them, and may
// acknowledge them. What they do not is marked.
func TestWhatClientsOfOtherNodesHaveStaysTheirsWhenAnOwnerStops(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n2")
	s := r.worlds[0].session()
	c := r.worlds[0].subscribe(s, queue("q"), 10, false)
	r.worlds[0].send(s, queue("q"), true, numbers(0, 5)...)
	got := c.next(5)
	require.Equal(t, numbers(0, 5), bodies(got))
	ctx, cancel := context.WithTimeout(context.Background(), gatewaytest.Wait)
	defer cancel()
	require.NoError(t, r.worlds[1].broker.Close(ctx))
	r.Move(shard("q"), "n3")
	r.has("n3", "q", 0, 5)
	c.ack(got[:2]...)
	c.Close()
	again := r.worlds[0].subscribe(s, queue("q"), 10, false).next(3)
	require.Equal(t, numbers(2, 5), bodies(again))
	for _, d := range again {
		require.EqualValues(t, 1, d.Redeliveries)
	}
}

// A node that stops wants answers of others until it has them, also when they say again what they own.
func TestANodeThatStopsHasItsMessagesStored(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n2")
	s := r.worlds[0].session()
	r.worlds[0].send(s, queue("q"), true, "before")
	r.Link("n1", "n2", false)
	var o outcome
	s.Send(message(queue("q"), "late", true), &o, 1)
	closed := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), gatewaytest.Wait)
	defer cancel()
	go func() { closed <- r.worlds[0].broker.Close(ctx) }()
	require.Never(t, func() bool { return len(closed) > 0 }, 100*time.Millisecond, 5*time.Millisecond)
	r.Link("n1", "n2", true)
	r.Again(shard("q"))
	require.NoError(t, <-closed)
	require.NoError(t, o.wait(t, 1)[1])
}

// A node whose disk is full commits what other nodes keep, and refuses what it would keep itself.
func TestATransactionThroughAFullNodeIsStoredElsewhere(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n2")
	r.Move(1-shard("q"), "n3")
	r.stores[0].Fill(true)
	two := func() *gateway.Transaction {
		return &gateway.Transaction{Sends: []*gateway.Message{message(queue("q"), "a", true), message(queue("q"), "b", true)}}
	}
	var o outcome
	r.worlds[0].session().Commit(two(), &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	c := r.worlds[2].subscribe(r.worlds[2].session(), queue("q"), 10, false)
	require.Equal(t, []string{"a", "b"}, bodies(c.next(2)))
	r.stores[1].Fill(true)
	r.worlds[0].session().Commit(two(), &o, 2)
	require.Equal(t, gateway.NoSpace, gateway.KindOf(o.wait(t, 2)[2]), "its owner has no space")
}
