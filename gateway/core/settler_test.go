package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
)

// A subscription that ended before the commit has given its messages back: a refusal
// comes too late then, and must not take them away.
func TestRefusalByAClosedSubscriptionLosesNothing(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("q"), true, "kept")
	c := w.subscribe(s, queue("q"), 10, false)
	got := c.next(1)
	c.Close()
	var o outcome
	s.Commit(&gateway.Transaction{Acks: []gateway.TransactionAck{{Subscription: c.Subscription, Tags: tags(got), Nack: true}}}, &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	require.Equal(t, 1, w.waiting())
}

// Once its messages are stored a transaction has happened: a refusal in it that
// cannot be carried out leaves its message where it is, and is no error.
func TestCommitDoesNotFailBehindItsPointOfNoReturn(t *testing.T) {
	w, store := tap(t)
	s := w.session()
	w.send(s, queue("in"), true, "a", "b")
	c := w.subscribe(s, queue("in"), 10, false)
	got := c.next(2)
	c.ack(got[0])
	store.load = func(_ gateway.Journal, _ string, _ []uint64, done func([]*gateway.Message, error)) {
		done(nil, gateway.Errorf(gateway.Unavailable, "not now"))
	}
	var o outcome
	for i, d := range got { // one is settled already, the other cannot be read
		s.Commit(&gateway.Transaction{
			Sends: []*gateway.Message{message(queue("out"), "1", true)},
			Acks:  []gateway.TransactionAck{{Subscription: c.Subscription, Tags: []uint64{d.Tag}, Nack: true}},
		}, &o, uint64(i))
	}
	for _, err := range o.wait(t, 2) {
		require.NoError(t, err)
	}
	require.Equal(t, 2, w.broker.Depth("out"))
	require.Equal(t, 1, w.broker.Depth("in"))
}

// A transaction of messages that are not persistent is refused as a whole, not
// answered and dropped, when there is room for them neither in memory nor in the store.
func TestCommitOfSpilledMessagesWithoutSpaceDoesNothing(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.QueueMemory = 200 })
	s := w.session()
	w.send(s, queue("in"), true, "a")
	c := w.subscribe(s, queue("in"), 10, false)
	got := c.next(1)
	w.store.Full.Store(true)
	tx := func(n int) (tx gateway.Transaction) {
		for range n {
			tx.Sends = append(tx.Sends, message(queue("out"), "1", false))
		}
		tx.Acks = []gateway.TransactionAck{{Subscription: c.Subscription, Tags: tags(got)}}
		return tx
	}
	large, small := tx(10), tx(1)
	var o outcome
	s.Commit(&large, &o, 1)
	require.Equal(t, gateway.NoSpace, gateway.KindOf(o.wait(t, 1)[1]))
	require.Zero(t, w.broker.Depth("out"))
	require.Equal(t, 1, w.broker.Depth("in"))
	s.Commit(&small, &o, 2)
	require.NoError(t, o.wait(t, 2)[2])
	require.Equal(t, 1, w.broker.Depth("out"))
}
