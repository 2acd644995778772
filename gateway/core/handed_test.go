package core_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

func TestAfterACrashWhatWasHandedOutIsMarkedRedelivered(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("q"), true, numbers(0, 10)...)
	c := w.subscribe(s, queue("q"), 5, false)
	got := c.next(5)
	c.ack(got[0])
	c.next(1) // the sixth, handed out after the settlement: the sweep notes it
	w.awaitHanded("q", 6)
	w.crash()
	again := w.subscribe(w.session(), queue("q"), 100, false).next(9)
	require.Equal(t, numbers(1, 10), bodies(again))
	for i, d := range again {
		require.Equal(t, i < 5, d.Redeliveries > 0, "message %s", d.Message.Body)
	}
}

// A queue whose consumers keep up is announced ahead: what is stored a moment before the
// process is killed was handed out, too, and nobody had the time to write that.
func TestAfterACrashWhatWasHandedOutInTheLastMomentIsMarked(t *testing.T) {
	w, store := tap(t)
	s := w.session()
	c := w.subscribe(s, queue("q"), 100, false)
	w.send(s, queue("q"), true, "0")
	c.ack(c.next(1)...)
	store.append = func(j gateway.Journal, r *gateway.Record, a gateway.Appended) {
		if r.Type == gateway.RecordMessage { // nothing else is written any more
			j.Append(r, a)
		}
	}
	w.send(s, queue("q"), true, numbers(1, 20)...)
	require.Len(t, c.next(19), 19)
	w.crash()
	for _, d := range w.subscribe(w.session(), queue("q"), 100, false).next(19) {
		require.Positive(t, d.Redeliveries, "message %s", d.Message.Body)
	}
}

// What is handed out while a settlement waits for its sync is marked as well after a crash: its word does not wait for that one.
func TestWhatIsHandedOutWhileASettlementIsUnderWayIsMarked(t *testing.T) {
	w, store := tap(t)
	s := w.session()
	w.send(s, queue("q"), true, numbers(0, 30)...)
	c := w.subscribe(s, queue("q"), 1, false)
	first := c.next(1)
	w.awaitHanded("q", 1)
	var held []gateway.Appended // of settlements whose sync takes long
	refused := false
	t.Cleanup(func() {
		if t.Failed() { // the broker that stops waits for them
			store.append = nil
			for _, a := range held {
				a.Appended(0, gateway.Errorf(gateway.Moved, "it is over"))
			}
		}
	})
	store.append = func(j gateway.Journal, r *gateway.Record, a gateway.Appended) {
		switch {
		case r.Type == gateway.RecordSettle:
			held = append(held, a)
		case !refused: // the next word has to be said again
			refused = true
			a.Appended(0, gateway.Errorf(gateway.NoSpace, "not now"))
		default:
			j.Append(r, a)
		}
	}
	var o outcome
	c.Ack([]uint64{first[0].Tag}, &o, 1)
	require.Len(t, held, 1)
	c.Extend(9)
	c.next(10)
	require.True(t, refused)
	c.Extend(10)
	c.next(10)
	w.awaitHanded("q", 21)
	w.crash()
	got := w.subscribe(w.session(), queue("q"), 100, false).next(30)
	for i, d := range got {
		require.Equal(t, i < 21, d.Redeliveries > 0, "message %s", d.Message.Body)
	}
}

// Who handed a message out does not matter: also two crashes later it is marked.
func TestRedeliveredMarksSurviveASecondCrash(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("q"), true, numbers(0, 10)...)
	w.subscribe(s, queue("q"), 6, false).next(6)
	w.awaitHanded("q", 6)
	w.crash()
	w.subscribe(w.session(), queue("q"), 2, false).next(2)
	w.crash()
	for i, d := range w.subscribe(w.session(), queue("q"), 100, false).next(10) {
		require.Equal(t, i < 6, d.Redeliveries > 0, "message %s", d.Message.Body)
	}
}

// The word of what a queue handed out stands before the messages that it hands out next: trimming must not
// reach it while one of them is there.
func TestAnnouncementsAreNotTrimmedBeforeTheirMessages(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, queue("q"), 10, false)
	for _, b := range numbers(0, 5) {
		w.send(s, queue("q"), true, b)
		c.ack(c.next(1)...)
	}
	w.send(s, queue("q"), true, "in flight")
	c.next(1)
	j := w.store.Journal(gateway.ShardOf("q", 3))
	for range 2 { // the second crash finds what the first has read
		first := j.State().First
		gatewaytest.Eventually(t, func() bool { return j.State().First > first }, "the trim")
		w.crash()
		got := w.subscribe(w.session(), queue("q"), 10, false).next(1)
		require.Equal(t, "in flight", string(got[0].Message.Body))
		require.Positive(t, got[0].Redeliveries)
		d := w.subscribe(w.session(), queue(neighbour("q")), 10, false)
		for _, b := range numbers(0, 5) { // so that there is something to trim
			w.send(w.session(), queue(neighbour("q")), true, b)
			d.ack(d.next(1)...)
		}
		j = w.store.Journal(gateway.ShardOf("q", 3))
	}
}

// What is only in memory does not outlive a crash: nothing is written about handing it out.
func TestMemoryOnlyQueuesWriteNothing(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	light := w.subscribe(s, queue("q"), 10, true)
	w.send(s, queue("q"), false, "a")
	light.next(1)
	name := neighbour("q")
	w.send(s, queue(name), true, "a")
	c := w.subscribe(s, queue(name), 10, false)
	c.ack(c.next(1)...) // takes along what collects
	require.NoError(t, w.store.Journal(gateway.ShardOf("q", 3)).Replay(context.Background(), func(_ uint64, _ int, r *gateway.Record) error {
		for _, h := range r.Handed {
			require.Equal(t, name, h.Queue)
		}
		return nil
	}))
}

// A stop in order takes back all that was said of handing out, and ends with that.
func TestNothingIsAnnouncedBehindTheFarewell(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	w.send(s, queue("q"), false, "memory")
	c := w.subscribe(s, queue("q"), 10, false)
	c.next(1)
	c.Close() // its count is written by the stop
	next := neighbour("q")
	w.subscribe(s, queue(next), 2000, false)         // takes nothing
	w.send(s, queue(next), true, numbers(0, 600)...) // enough for another announcement, which collects
	w.restart()
	said := false
	require.NoError(t, w.store.Journal(gateway.ShardOf("q", 3)).Replay(context.Background(), func(seq uint64, _ int, r *gateway.Record) error {
		for _, h := range r.Handed {
			require.False(t, said && h.Queue != "", "record %d speaks of %s behind the farewell", seq, h.Queue)
			said = said || h.Queue == ""
		}
		return nil
	}))
	require.True(t, said)
	for _, d := range w.subscribe(w.session(), queue(next), 2000, false).next(600) {
		require.Zero(t, d.Redeliveries)
	}
}
