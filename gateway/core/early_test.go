package core_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

func (o *outcome) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.done)
}

// A consumer does not wait for the disk; the producer's receipt does.
func TestMessagesAreDeliveredWhileTheDiskWorks(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, queue("q"), 10, false)
	goOn := w.store.StopSyncs()
	var sent, acked outcome
	s.Send(message(queue("q"), "early", true), &sent, 0)
	got := c.next(1)
	require.Equal(t, []string{"early"}, bodies(got))
	c.Ack(tags(got), &acked, 0)
	require.Zero(t, sent.count(), "no receipt before the disk has it")
	require.Zero(t, acked.count(), "nor for the acknowledgement")
	goOn()
	require.NoError(t, sent.wait(t, 1)[0])
	require.NoError(t, acked.wait(t, 1)[0])
	w.restart()
	require.Zero(t, w.waiting())
}

// What is itself a transaction's point of no return is not seen before it is safe; what is
// sent behind the transaction stays behind it.
func TestTransactionsAreDeliveredWhenTheyAreSafe(t *testing.T) {
	for _, sends := range [][]string{{"1"}, {"1", "2", "3"}} {
		w := newWorld(t)
		s := w.session()
		c := w.subscribe(w.session(), queue("q"), 10, false)
		goOn := w.store.StopSyncs()
		var done, other outcome
		tx := &gateway.Transaction{}
		for _, b := range sends {
			tx.Sends = append(tx.Sends, message(queue("q"), b, true))
		}
		s.Commit(tx, &done, 0)
		s.Send(message(queue("q"), "behind", true), &done, 1)
		w.session().Send(message(queue("q"), "other", true), &other, 0) // is stored behind the transaction's record
		require.Equal(t, []string{"other"}, bodies(c.next(1)))
		require.Zero(t, done.count())
		goOn()
		require.Equal(t, append(sends, "behind"), bodies(c.next(len(sends)+1)))
		done.wait(t, 2)
		other.wait(t, 1)
	}
}

// journalTap counts the settlement records that a store has: not those that are on their way to it, which a crash may take.
type journalTap struct {
	mu      sync.Mutex
	records int
	settled int
}

func (j *journalTap) watch(store *tapped) {
	store.append = func(to gateway.Journal, r *gateway.Record, a gateway.Appended) {
		if r.Type == gateway.RecordSettle {
			a = counted{a, j, len(r.Settled)}
		}
		to.Append(r, a)
	}
}

// counted is a settlement on its way through the journal.
type counted struct {
	to      gateway.Appended
	tap     *journalTap
	settled int
}

func (c counted) Appended(seq uint64, err error) {
	if err == nil {
		c.tap.mu.Lock()
		c.tap.records++
		c.tap.settled += c.settled
		c.tap.mu.Unlock()
	}
	c.to.Appended(seq, err)
}

func (j *journalTap) seen() (records, settled int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.records, j.settled
}

// A lone flow of messages costs the journal a record each, and not three: what is settled
// for nobody's receipt collects, and is written soon nevertheless.
func TestSettlementsNobodyWaitsForCollect(t *testing.T) {
	w, store := tap(t)
	var j journalTap
	j.watch(store)
	s := w.session()
	c := w.subscribe(s, queue("q"), 10, true)
	const n = 300
	for _, b := range numbers(0, n) {
		w.send(s, queue("q"), true, b)
		require.Equal(t, []string{b}, bodies(c.next(1)))
	}
	gatewaytest.Eventually(t, func() bool { _, settled := j.seen(); return settled == n }, "all settled")
	records, _ := j.seen()
	require.Less(t, records, n)
	w.crash()
	require.Zero(t, w.waiting(), "and a killed process has written them")
}

// A settlement that nobody waits for is on its way to the journal until the journal has it: killed before that, the
// process delivers again, and after that it does not.
func TestSettlementsOnTheirWayAreNotWrittenYet(t *testing.T) {
	for _, stored := range []bool{false, true} {
		w, store := tap(t)
		var j journalTap
		j.watch(store)
		count, underway := store.append, make(chan struct{})
		store.append = func(to gateway.Journal, r *gateway.Record, a gateway.Appended) {
			count(to, r, a)
			if r.Type == gateway.RecordSettle {
				close(underway)
			}
		}
		s := w.session()
		c := w.subscribe(s, queue("q"), 10, false)
		w.send(s, queue("q"), true, "m")
		got := c.next(1)
		goOn := sync.OnceFunc(w.store.Stop())
		t.Cleanup(goOn) // a store that stands still cannot be closed
		c.Ack(tags(got), nil, 0)
		<-underway
		_, settled := j.seen()
		require.Zero(t, settled, "the journal does not have it yet")
		if stored {
			goOn()
			gatewaytest.Eventually(t, func() bool { _, n := j.seen(); return n == 1 }, "settled")
		}
		old := w.store
		w.crash()
		if stored {
			require.Zero(t, w.waiting())
			continue
		}
		require.Equal(t, 1, w.waiting())
		goOn()
		old.Close()
		_, settled = j.seen()
		require.Zero(t, settled, "a killed process writes nothing any more")
	}
}

// An acknowledgement whose receipt is awaited is written at once, with what collected before.
func TestSettlementsSomebodyWaitsForAreWrittenAtOnce(t *testing.T) {
	w, store := tap(t)
	var j journalTap
	j.watch(store)
	s := w.session()
	c := w.subscribe(s, queue("q"), 10, false)
	w.send(s, queue("q"), true, "1", "2", "3")
	got := c.next(3)
	c.Ack(tags(got[:2]), nil, 0)
	c.ack(got[2])
	_, settled := j.seen()
	require.Equal(t, 3, settled)
}

// asleep is a record that is stored, and on disk only when goOn is closed.
type asleep struct {
	to    gateway.Appended
	goOn  chan struct{}
	woken *sync.WaitGroup
}

func (a asleep) Stored(seq uint64) { a.to.(gateway.Stored).Stored(seq) }

func (a asleep) Appended(seq uint64, err error) {
	go func() {
		defer a.woken.Done()
		<-a.goOn
		a.to.Appended(seq, err)
	}()
}

// The record of a transaction is its receipt: what comes after it is carried out again should the disk not have it. It is in its queues by then,
// and costs no sync of its own.
func TestTransactionsAreReceiptedWhenTheirRecordIsOnDisk(t *testing.T) {
	w, store := tap(t)
	goOn, woken := make(chan struct{}), &sync.WaitGroup{}
	var mu sync.Mutex
	impatient, ended := 0, 0
	store.append = func(to gateway.Journal, r *gateway.Record, a gateway.Appended) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Type == gateway.RecordDone:
			ended++
		case r.Type == gateway.RecordMessage && r.Transaction != "":
			woken.Add(1) // now: the disk may be heard of only while they are waited for
			a = asleep{a, goOn, woken}
		default:
			to.Append(r, a)
			return
		}
		if !r.Patient || r.Relaxed {
			impatient++
		}
		to.Append(r, a)
	}
	s := w.session()
	var done outcome
	tx := &gateway.Transaction{Sends: []*gateway.Message{message(queue("a"), "1", true), message(queue("b"), "2", true), message(queue("a"), "3", true)}}
	s.Commit(tx, &done, 0)
	require.NoError(t, done.wait(t, 1)[0])
	require.Equal(t, 3, w.waiting(), "all of it is there")
	mu.Lock()
	require.Zero(t, ended, "a crash has it carried out again")
	mu.Unlock()
	close(goOn)
	woken.Wait()
	gatewaytest.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return ended == 1 }, "the end of the transaction")
	mu.Lock()
	defer mu.Unlock()
	require.Zero(t, impatient)
}
