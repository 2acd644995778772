package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// As long as a journal may still say that a transaction is to be carried out, the others
// must keep its messages, acknowledged or not: by them the next start knows what was done.
func TestPartsOfATransactionAreKeptUntilItsEndIsOnDisk(t *testing.T) {
	t.Parallel()
	w, store := tap(t)
	ended, trims := make(chan struct{}, 1), make(chan struct{})
	store.append = func(j gateway.Journal, r *gateway.Record, a gateway.Appended) {
		if r.Type == gateway.RecordDone {
			ended <- struct{}{} // the disk does not get to it before the power is cut
			return
		}
		j.Append(r, a)
	}
	store.trim = func() {
		select {
		case trims <- struct{}{}:
		default:
		}
	}
	s := w.session()
	var o outcome
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue("a"), "1", true), message(queue("b2"), "2", true)}}, &o, 1)
	require.NoError(t, o.wait(t, 1)[1])
	<-ended
	for _, name := range []string{"a", "b2"} {
		c := w.subscribe(s, queue(name), 10, false)
		c.ack(c.next(1)...)
		w.send(s, queue(name), true, "behind")
		c.ack(c.next(1)...)
	}
	for range 8 { // of three shards
		<-trims
	}
	w.crash()
	require.Zero(t, w.waiting())
}
