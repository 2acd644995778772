package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/policy"
)

func limited(messages int, when policy.WhenFull) policy.Policy {
	return policy.Policy{Limits: policy.Limits{Messages: messages, WhenFull: when}, DeadLetter: policy.DeadLetter{Dropped: true}}
}

func TestAFullQueueRefuses(t *testing.T) {
	for _, persistent := range []bool{true, false} {
		w := newWorld(t, withPolicies(on("q", limited(3, policy.Refuse))))
		s := w.session()
		w.send(s, queue("q"), persistent, "a", "b", "c")
		err := w.post(s, message(queue("q"), "d", persistent))
		require.Equal(t, gateway.Limit, gateway.KindOf(err))
		require.Contains(t, gateway.TextOf(err), "queue://q is full")
		require.Contains(t, gateway.TextOf(err), "the limit is 3")
		require.EqualValues(t, 1, w.broker.Stats().LimitRefused)
		c := w.subscribe(s, queue("q"), 1, false)
		c.ack(c.next(1)...)
		require.NoError(t, w.post(s, message(queue("q"), "e", persistent)), "there is room again")
	}
}

// All of a transaction is refused, or nothing.
func TestAFullQueueRefusesWholeTransactions(t *testing.T) {
	w := newWorld(t, withPolicies(on("q", limited(3, policy.Refuse))))
	s := w.session()
	w.send(s, queue("q"), true, "a", "b")
	commit := func(n int) error {
		tx := &gateway.Transaction{Sends: []*gateway.Message{message(queue("other"), "x", true)}}
		for range n {
			tx.Sends = append(tx.Sends, message(queue("q"), "y", true))
		}
		var o outcome
		s.Commit(tx, &o, 0)
		return o.wait(t, 1)[0]
	}
	require.Equal(t, gateway.Limit, gateway.KindOf(commit(2)))
	require.Zero(t, w.broker.Depth("other"))
	require.NoError(t, commit(1))
	require.Equal(t, 3, w.broker.Depth("q"))
	require.Equal(t, 1, w.broker.Depth("other"))
}

func TestAFullQueueDropsItsOldest(t *testing.T) {
	w := newWorld(t, withPolicies(on("q", limited(3, policy.DropOldest))))
	s := w.session()
	w.send(s, queue("q"), true, numbers(0, 10)...)
	require.Equal(t, numbers(7, 10), bodies(w.subscribe(s, queue("q"), 10, true).next(3)))
	found := w.dead("ActiveMQ.DLQ", 7)
	require.Equal(t, "its queue was full, and newer messages came", header(found["6"], "sluice-dead-reason"))
	require.EqualValues(t, 7, w.broker.Stats().Crowded)
}

// Senders wait for room, in order, and those behind them as well.
func TestAFullQueueKeepsItsSendersWaiting(t *testing.T) {
	for _, persistent := range []bool{true, false} {
		w := newWorld(t, withPolicies(on("q", limited(2, policy.Block))))
		s := w.session()
		var o outcome
		for i, b := range numbers(0, 10) {
			s.Send(message(queue("q"), b, persistent), &o, uint64(i))
		}
		o.wait(t, 2)
		require.Equal(t, 8, w.broker.Stats().Blocked)
		c := w.subscribe(w.session(), queue("q"), 1, false)
		for i := range 10 {
			got := c.next(1)
			require.Equal(t, numbers(i, i+1), bodies(got))
			require.LessOrEqual(t, w.broker.Depth("q"), 2)
			c.ack(got...)
		}
		for _, err := range o.wait(t, 10) {
			require.NoError(t, err)
		}
		gatewaytest.Eventually(t, func() bool { return w.broker.Stats().Blocked == 0 }, "nobody waits")
		require.EqualValues(t, 8, w.broker.Stats().LimitBlocked)
	}
}

// A transaction waits, too, and what its session sends after it.
func TestAFullQueueKeepsTransactionsWaiting(t *testing.T) {
	w := newWorld(t, withPolicies(on("q", limited(2, policy.Block))))
	s := w.session()
	w.send(s, queue("q"), true, "0", "1")
	var o outcome
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue("q"), "2", true), message(queue("q"), "3", true)}}, &o, 0)
	s.Send(message(queue("q"), "4", true), &o, 1)
	c := w.subscribe(w.session(), queue("q"), 1, false)
	for i := range 5 {
		got := c.next(1)
		require.Equal(t, numbers(i, i+1), bodies(got))
		if i == 0 {
			require.Equal(t, 2, w.broker.Depth("q"))
		}
		c.ack(got...)
	}
	for _, err := range o.wait(t, 2) {
		require.NoError(t, err)
	}
}

// Who sends to a queue and consumes from it would wait for itself: beyond what its door takes in meanwhile it is told so.
func TestASenderDoesNotWaitForItself(t *testing.T) {
	w := newWorld(t, withPolicies(on("q", limited(2, policy.Block))))
	s := w.session()
	c := w.subscribe(s, queue("q"), 1, false)
	var o outcome
	const n = 400
	for i, b := range numbers(0, n) {
		s.Send(message(queue("q"), b, true), &o, uint64(i))
	}
	refused := 0
	for _, err := range o.wait(t, n-256) {
		if gateway.KindOf(err) == gateway.Limit && err != nil {
			refused++
		}
	}
	require.Equal(t, n-256-2, refused)
	for i := range 258 {
		got := c.next(1)
		require.Equal(t, numbers(i, i+1), bodies(got))
		c.ack(got...)
	}
	o.wait(t, n)
}

// Who stops is not held up by those who wait, and nothing is said to be stored that is not.
func TestAStopEndsTheWaitingForRoom(t *testing.T) {
	w := newWorld(t, withPolicies(on("q", limited(1, policy.Block))))
	s := w.session()
	var o outcome
	for i, b := range numbers(0, 3) {
		s.Send(message(queue("q"), b, true), &o, uint64(i))
	}
	w.restart()
	done := o.wait(t, 3)
	require.NoError(t, done[0])
	require.Equal(t, gateway.Unavailable, gateway.KindOf(done[1]))
	require.Equal(t, 1, w.broker.Depth("q"))
}

// The queue's owner decides, whoever sends, and the next one goes on.
func TestLimitsInACluster(t *testing.T) {
	r := newRealm(t, withPolicies(on("full", limited(2, policy.Refuse)), on("q", limited(2, policy.Block))))
	r.Move(0, "n2")
	r.Move(1, "n2")
	s := r.worlds[0].session()
	r.worlds[0].send(s, queue("full"), true, "a", "b")
	require.Equal(t, gateway.Limit, gateway.KindOf(r.worlds[0].post(s, message(queue("full"), "c", true))))
	var o outcome
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue("full"), "d", true), message(queue("free"), "d", true)}}, &o, 100)
	require.Equal(t, gateway.Limit, gateway.KindOf(o.wait(t, 1)[100]))
	for i, b := range numbers(0, 8) {
		s.Send(message(queue("q"), b, true), &o, uint64(i))
	}
	o.wait(t, 3)
	gatewaytest.Eventually(t, func() bool { return r.worlds[1].broker.Stats().Blocked == 6 }, "six wait at the owner")
	r.Move(shard("q"), "n3")
	gatewaytest.Eventually(t, func() bool { return r.worlds[2].broker.Stats().Blocked == 6 }, "six wait at the next owner")
	c := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 1, false)
	for i := range 8 {
		got := c.next(1)
		require.Equal(t, numbers(i, i+1), bodies(got))
		c.ack(got...)
	}
	require.Len(t, o.wait(t, 9), 9)
}
