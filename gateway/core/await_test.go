package core_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// A message whose acknowledgement is on its way from another node, from before the owner changed, is not handed out again: nothing is
// until that node has said all, for half a second at most.
func TestANewOwnerHearsOfOldAcknowledgementsFirst(t *testing.T) {
	var now clock
	r := newRealm(t, now.config)
	r.Move(shard("q"), "n2")
	r.worlds[0].send(r.worlds[0].session(), queue("q"), true, "a", "b", "c")
	c := r.worlds[2].subscribe(r.worlds[2].session(), queue("q"), 10, false)
	seqs := map[string]uint64{}
	for _, d := range c.next(3) {
		seqs[string(d.Message.Body)] = d.Seq
	}
	n4 := r.strange("n4") // linked to n1, where somebody had b
	c.Close()
	before := n4.epoch(shard("q"))
	r.Move(shard("q"), "n1")
	gatewaytest.Eventually(t, func() bool { return n4.epoch(shard("q")) > before }, "n1 owns it")
	s := r.worlds[1].session()
	next := r.worlds[1].subscribe(s, queue("q"), 10, false)
	r.worlds[1].send(s, queue("q"), true, "d") // it is taken all the same
	r.Settle()
	var buf [1]gateway.Delivery
	require.Zero(t, next.Next(buf[:], 1<<20))
	epoch := n4.epoch(shard("q"))
	n4.Send("n1", &gateway.Frame{Kind: gateway.FrameSettle, Shard: shard("q"), Epoch: epoch, Number: 1, Queue: "q", Tags: []uint64{seqs["b"]}})
	n4.Send("n1", &gateway.Frame{Kind: gateway.FrameOffered, Shard: shard("q"), Epoch: epoch})
	require.Equal(t, []string{"a", "c", "d"}, bodies(next.next(3)))

	next.Close()
	r.Move(shard("q"), "n2") // and back, while n4 says nothing
	before = n4.epoch(shard("q"))
	r.Move(shard("q"), "n1")
	gatewaytest.Eventually(t, func() bool { return n4.epoch(shard("q")) > before }, "n1 owns it")
	r.Settle()
	next = r.worlds[1].subscribe(s, queue("q"), 10, false)
	require.Zero(t, next.Next(buf[:], 1<<20))
	now.advance(501 * time.Millisecond)
	require.Equal(t, []string{"a", "c", "d"}, bodies(next.next(3)))
}
