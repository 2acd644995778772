package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// retire is what a door does when a client is gone.
func (c *consumer) retire(ds ...gateway.Delivery) {
	c.Subscription.(gateway.Retirable).Retire(tags(ds))
}

// A client is gone and what it did has no answer yet: what waited for it, and what it will not acknowledge, goes to others, all of it in its old
// place. Nothing more is given to it, whoever owns the queue; and what it has acknowledged counts.
func TestNothingIsGivenToAClientThatIsGone(t *testing.T) {
	for _, owner := range []string{"n1", "n2"} {
		t.Run("its queue is at "+owner, func(t *testing.T) {
			r := newRealm(t)
			r.Move(shard("q"), owner)
			s := r.worlds[2].session()
			gone := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 10, false)
			r.has(owner, "q", 0, 0)
			r.Settle()
			r.worlds[2].send(s, queue("q"), true, numbers(0, 6)...)
			had := gone.next(3)
			r.has(owner, "q", 0, 6)
			gone.retire(had[1:]...)
			gone.nothing()
			r.has(owner, "q", 5, 1)
			other := r.worlds[2].subscribe(s, queue("q"), 100, false)
			got := other.next(5)
			require.Equal(t, numbers(1, 6), bodies(got))
			for i, d := range got {
				require.EqualValues(t, map[bool]int{true: 1}[i < 2], d.Redeliveries, "what it had is marked, and nothing else")
			}
			for i, to := range []string{"n3", "n1", "n2"} {
				r.Move(shard("q"), to)
				r.has(to, "q", 0, 6+2*i)
				r.worlds[2].send(s, queue("q"), true, numbers(6+2*i, 8+2*i)...)
				require.Equal(t, numbers(6+2*i, 8+2*i), bodies(other.next(2)))
			}
			require.NoError(t, gone.acked(had[0]))
			gone.nothing()
			gone.Close()
			r.has("n2", "q", 0, 11)
		})
	}
}

// The node of a client that is gone comes back, after others have had what it had: it takes nothing from them.
func TestANodeThatComesBackTakesNothingForAClientThatIsGone(t *testing.T) {
	r := newRealm(t)
	r.Move(shard("q"), "n1")
	s := r.worlds[0].session()
	gone := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 10, false)
	r.has("n1", "q", 0, 0)
	r.Settle()
	r.worlds[0].send(s, queue("q"), true, numbers(0, 3)...)
	had := gone.next(3)
	r.Link("n1", "n2", false)
	var acked outcome
	gone.Ack(tags(had[:1]), &acked, 0)
	gone.retire(had[1:]...)
	other := r.worlds[2].subscribe(r.worlds[2].session(), queue("q"), 100, false)
	require.Equal(t, numbers(0, 3), bodies(other.next(3)))
	r.Link("n1", "n2", true)
	require.NoError(t, acked.wait(t, 1)[0])
	r.Settle()
	r.worlds[0].send(s, queue("q"), true, numbers(3, 30)...)
	got := other.next(27)
	require.Equal(t, numbers(3, 30), bodies(got))
	for _, d := range got {
		require.Zero(t, d.Redeliveries)
	}
	gone.Close()
	r.Settle()
	other.nothing()
}
