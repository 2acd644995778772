package core_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

func TestCommitKeepsTheOrderOfWhatWasSentBeforeAndAfter(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, queue("q"), 100, true)
	var o outcome
	s.Send(message(queue("q"), "m1", true), &o, 1)
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{
		message(queue("q"), "t1", true), message(queue("elsewhere"), "x", true), message(queue("q"), "t2", true),
	}}, &o, 2)
	s.Send(message(queue("q"), "m2", true), &o, 3)
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue("q"), "t3", true), message(queue("q"), "t4", true)}}, &o, 4)
	s.Send(message(queue("q"), "m3", true), &o, 5)
	for _, err := range o.wait(t, 5) {
		require.NoError(t, err)
	}
	require.Equal(t, []string{"m1", "t1", "t2", "m2", "t3", "t4", "m3"}, bodies(c.next(7)))
}

func TestCommitSettlesAndSends(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("in"), true, "a", "b", "c")
	c := w.subscribe(s, queue("in"), 10, false)
	got := c.next(3)
	gone := w.subscribe(s, queue("in2"), 10, false)
	w.send(s, queue("in2"), true, "d")
	late := gone.next(1)
	gone.Close()
	var o outcome
	s.Commit(&gateway.Transaction{
		Sends: []*gateway.Message{message(queue("out"), "1", true), message(queue("out"), "2", false), message(topic("t"), "3", false)},
		Acks: []gateway.TransactionAck{
			{Subscription: c.Subscription, Tags: tags(got[:2])},
			{Subscription: gone.Subscription, Tags: tags(late)},
		},
	}, &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	w.restart()
	s = w.session()
	require.Equal(t, []string{"c"}, bodies(w.subscribe(s, queue("in"), 10, false).next(1)))
	require.ElementsMatch(t, []string{"1", "2"}, bodies(w.subscribe(s, queue("out"), 10, false).next(2)))
	require.Zero(t, w.broker.Stats().Waiting, "the ack of a subscription that had gone counts too")
}

func TestCommitWithoutSpaceDoesNothing(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("in"), true, "a")
	c := w.subscribe(s, queue("in"), 10, false)
	got := c.next(1)
	w.store.Full.Store(true)
	var o outcome
	s.Commit(&gateway.Transaction{
		Sends: []*gateway.Message{message(queue("out"), "1", true), message(queue("out"), "2", true)},
		Acks:  []gateway.TransactionAck{{Subscription: c.Subscription, Tags: tags(got)}},
	}, &o, 1)
	require.Equal(t, gateway.NoSpace, gateway.KindOf(o.wait(t, 1)[1]))
	w.store.Full.Store(false)
	c.ack(got...) // still there to be acknowledged
	require.Zero(t, w.waiting())
}

// A crash after the record of a transaction and before, or in the middle of, its
// parts: the next start carries out the rest, once.
func TestInterruptedTransactionIsCarriedOutByTheNextStart(t *testing.T) {
	for done := range 4 {
		disk := gatewaytest.NewDisk(3)
		store := gatewaytest.NewMemory(disk)
		parts := []*gateway.Message{message(queue("a"), "1", true), message(queue("b"), "2", true), message(queue("c"), "3", true)}
		for i, m := range parts {
			m.ID = string(rune('x' + i))
		}
		var got gatewaytest.Answer
		store.Journal(1).Append(&gateway.Record{Type: gateway.RecordPrepare, Transaction: "tx", Messages: parts}, &got)
		for i, m := range parts[:min(done, 3)] {
			store.Journal(gateway.ShardOf(m.Destination.Name, 3)).Append(&gateway.Record{
				Type: gateway.RecordMessage, Message: m, Transaction: "tx/" + string(rune('0'+i)),
			}, &got)
		}
		got.Await(t, 1+done)
		store.Close()

		w := &world{T: t, disk: disk}
		for range 2 { // the second start finds nothing to do
			w.start()
			require.Equal(t, 3, w.broker.Stats().Waiting)
			s := w.session()
			for i, name := range []string{"a", "b", "c"} {
				d := w.subscribe(s, queue(name), 10, false).next(1)[0]
				require.Equal(t, parts[i].ID, d.Message.ID)
			}
			w.stop()
		}
	}
}

// Transactions of one session may be prepared in different journals: what a crash
// left of them is carried out in the order of the session.
func TestInterruptedTransactionsAreCarriedOutInTheirOrder(t *testing.T) {
	const count = 24
	disk := gatewaytest.NewDisk(3)
	store := gatewaytest.NewMemory(disk)
	var got gatewaytest.Answer
	var want []string
	for i := range count {
		want = append(want, fmt.Sprint(i))
		m := message(queue("q"), fmt.Sprint(i), true)
		m.ID = fmt.Sprintf("ID:n1-1-1-0:1:-1:1:%d", i)
		store.Journal(2-i%3).Append(&gateway.Record{
			Type: gateway.RecordPrepare, Transaction: fmt.Sprintf("ID:n1-1-1-0:1:-1:1:tx%d", i), Messages: []*gateway.Message{m},
		}, &got)
	}
	got.Await(t, count)
	store.Close()
	w := &world{T: t, disk: disk}
	w.start()
	t.Cleanup(w.stop)
	require.Equal(t, want, bodies(w.subscribe(w.session(), queue("q"), 100, false).next(count)))
}

// What says that a transaction was carried out must outlive a power cut as its
// messages' acknowledgements do, or they would be sent again once they are trimmed.
func TestEndOfATransactionIsAsDurableAsItsMessages(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	var o outcome
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue("a"), "1", true), message(queue("b"), "2", true)}}, &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	gatewaytest.Eventually(t, func() bool {
		ended := false
		require.NoError(t, w.store.Journal(gateway.ShardOf("a", 3)).Replay(context.Background(), func(_ uint64, _ int, r *gateway.Record) error {
			if r.Type == gateway.RecordDone {
				require.False(t, r.Relaxed)
				ended = true
			}
			return nil
		}))
		return ended
	}, "the end of the transaction")
}

// Found by a paused node: a client left right after its COMMIT, the session counted as gone,
// and what was sent then stood before the messages of the transaction.
func TestASessionIsGoneOnlyWhenWhatItCommittedIsInItsQueues(t *testing.T) {
	w := newWorld(t)
	s, after := w.session(), w.session()
	resume := w.store.Stop()
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue("a"), "1", true), message(queue("b"), "2", true)}}, nil, 0)
	s.Send(message(queue("b"), "3", true), nil, 0) // held behind it
	s.Close()
	require.Equal(t, 2, w.broker.Stats().Sessions)
	resume()
	require.Eventually(t, func() bool { return w.broker.Stats().Sessions == 1 }, 5*time.Second, time.Millisecond)
	w.send(after, queue("a"), true, "behind")
	w.send(after, queue("b"), true, "behind")
	require.Equal(t, []string{"1", "behind"}, bodies(w.subscribe(after, queue("a"), 10, false).next(2)))
	require.Equal(t, []string{"2", "3", "behind"}, bodies(w.subscribe(after, queue("b"), 10, false).next(3)))
}
