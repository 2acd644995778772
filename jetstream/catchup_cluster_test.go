package jetstream_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// alone has the owner of shard 0 write, one after another, records that nobody else gets, and end. The others are there again then, and one of them
// owns it. It returns both.
func alone(t *testing.T, all []*member, records int) (old, next *member) {
	old = owner(t, all, 0)
	j := old.journal(0)
	first := make(outcome, 1)
	append1(j, "first", first)
	require.NoError(t, <-first)
	others := slices.DeleteFunc(slices.Clone(all), func(m *member) bool { return m == old })
	for _, m := range others {
		m.kill()
	}
	for i := range records {
		append1(j, "lost"+strconv.Itoa(i), make(outcome, 1))
		time.Sleep(5 * time.Millisecond) // each is an entry of its own
	}
	old.kill()
	startAll(t, others)
	return old, owner(t, others, 0)
}

// An owner was cut off while it wrote. When it is back, it soon has what the others have, and counts: it does not need two seconds for each of its records that
// nobody else has.
func TestAnOwnerThatWasAloneIsSoonLikeTheOthers(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	old, next := alone(t, all, 40)
	want := []string{"first"}
	for i := range 60 { // else it had the longer log, and would drop most of that at once
		id := "second" + strconv.Itoa(i)
		stored := make(outcome, 1)
		append1(next.journal(0), id, stored)
		require.NoError(t, <-stored)
		want = append(want, id)
	}
	began := time.Now()
	require.NoError(t, old.start())
	gatewaytest.Eventually(t, func() bool {
		has, lags := old.server.Lagging("Q_00")
		all, _ := next.server.Lagging("Q_00")
		return !lags && has == all
	}, "the same on all nodes")
	require.Less(t, time.Since(began), 40*time.Second) // half of what its records would take
	t.Logf("it took %v", time.Since(began))
	third := slices.DeleteFunc(slices.Clone(all), func(m *member) bool { return m == old || m == next })[0]
	third.kill() // now it has to count
	last := make(outcome, 1)
	append1(owner(t, []*member{old, next}, 0).journal(0), "last", last)
	require.NoError(t, <-last)
	require.Equal(t, append(want, "last"), contents(t, owner(t, []*member{old, next}, 0).journal(0)))
}
