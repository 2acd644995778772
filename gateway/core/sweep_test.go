package core_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// moved makes a disk on which message 1 of queue q was appended again behind
// message 2, and the record before it trimmed.
func moved(t *testing.T, settled bool) *gatewaytest.Disk {
	t.Helper()
	disk := gatewaytest.NewDisk(3)
	store := gatewaytest.NewMemory(disk)
	defer store.Close()
	j := store.Journal(gateway.ShardOf("q", 3))
	one, two := message(queue("q"), "1", true), message(queue("q"), "2", true)
	one.ID, two.ID = "one", "two"
	records := []*gateway.Record{{Type: gateway.RecordMessage, Message: one}, {Type: gateway.RecordMessage, Message: two}}
	if settled {
		records = append(records, &gateway.Record{Type: gateway.RecordSettle, Settled: []uint64{1}})
	}
	records = append(records, &gateway.Record{Type: gateway.RecordMessage, Message: one, Order: 2, Replaces: 1})
	var a gatewaytest.Answer
	for _, r := range records {
		j.Append(r, &a)
	}
	a.Await(t, len(records))
	j.Trim(2)
	gatewaytest.Eventually(t, func() bool { return j.State().First == 2 }, "the trim")
	return disk
}

func TestMovedMessageOutlivesTheTrimOfItsOldPlace(t *testing.T) {
	w := &world{T: t, disk: moved(t, false)}
	w.start()
	t.Cleanup(w.stop)
	require.Equal(t, []string{"1", "2"}, bodies(w.subscribe(w.session(), queue("q"), 10, false).next(2)))
}

func TestMessageSettledBeforeItWasMovedStaysSettled(t *testing.T) {
	w := &world{T: t, disk: moved(t, true)}
	w.start()
	t.Cleanup(w.stop)
	require.Equal(t, 1, w.waiting())
	require.Equal(t, []string{"2"}, bodies(w.subscribe(w.session(), queue("q"), 10, false).next(1)))
}

func TestMovedMessageKeepsItsPlaceAndItsRedeliveryCount(t *testing.T) {
	w := newWorld(t)
	through := ""
	for i := 0; through == ""; i++ {
		if name := fmt.Sprint("through", i); gateway.ShardOf(name, 3) == gateway.ShardOf("front", 3) {
			through = name
		}
	}
	s := w.session()
	w.send(s, queue("front"), true, "a", "b")
	c := w.subscribe(s, queue("front"), 1, false)
	c.next(1)
	c.Close()
	d := w.subscribe(s, queue(through), 10, false)
	body := strings.Repeat("x", 8<<20)
	for range 10 { // more than may be pinned
		w.send(s, queue(through), true, body)
		d.ack(d.next(1)...)
	}
	j := w.store.Journal(gateway.ShardOf("front", 3))
	gatewaytest.Eventually(t, func() bool { return j.State().First > 10 }, "the trim behind the move")
	require.NotZero(t, w.broker.Stats().Moved)
	w.send(s, queue("front"), true, "c")
	w.restart()
	got := w.subscribe(w.session(), queue("front"), 10, false).next(3)
	require.Equal(t, []string{"a", "b", "c"}, bodies(got))
	require.Equal(t, []uint32{1, 0, 0}, []uint32{got[0].Redeliveries, got[1].Redeliveries, got[2].Redeliveries})
}
