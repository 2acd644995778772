package core_test

import (
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
