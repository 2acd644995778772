package core_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// crowd are clients of all nodes that do what they may with messages of one queue.
type crowd struct {
	*realm
	rnd     *rand.Rand
	clients []*consumer
	held    [][]gateway.Delivery
	acks    outcome
	bodies  []string // of what was acknowledged, by token
}

func (c *crowd) join(i int) {
	c.clients[i] = c.worlds[i].subscribe(c.worlds[i].session(), queue("q"), 8, false)
	c.held[i] = nil
}

// take takes what a client may have.
func (c *crowd) take(i int) {
	var buf [8]gateway.Delivery
	n := c.clients[i].Next(buf[:], 1<<20)
	c.clients[i].Written(n)
	c.held[i] = append(c.held[i], buf[:n]...)
}

// act has a client do something with a message that it has.
func (c *crowd) act(i int) {
	if len(c.held[i]) == 0 {
		return
	}
	k := c.rnd.IntN(len(c.held[i]))
	d := c.held[i][k]
	c.held[i] = append(c.held[i][:k], c.held[i][k+1:]...)
	switch c.rnd.IntN(8) {
	case 0:
		_ = c.clients[i].Release([]uint64{d.Tag}, gateway.Return{Redelivered: true})
	case 1:
		c.clients[i].Close()
		c.join(i)
	default:
		c.bodies = append(c.bodies, string(d.Message.Body))
		c.clients[i].Ack([]uint64{d.Tag}, &c.acks, uint64(len(c.bodies)-1))
	}
}

// disturb moves the queue to another node, or cuts a link or makes it again.
func (c *crowd) disturb() {
	a := c.rnd.IntN(3)
	switch c.rnd.IntN(4) {
	case 0:
		c.Move(shard("q"), name(a))
	case 1:
		c.Move(shard("q"), "")
		c.Move(shard("q"), name(a))
	default:
		c.Link(name(a), name((a+1)%3), c.rnd.IntN(2) == 0)
	}
}

// Whatever happens to owners and links while clients take, acknowledge, give back and go: all is acknowledged with a receipt in the end, or is
// in the queue, and nothing is both.
func TestReceiptsHoldWhateverHappens(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range uint64(8) {
		r := newRealm(t)
		c := &crowd{realm: r, rnd: rand.New(rand.NewPCG(seed, round)), clients: make([]*consumer, 3), held: make([][]gateway.Delivery, 3)}
		r.Move(shard("q"), "n1")
		const all = 150
		r.worlds[0].send(r.worlds[0].session(), queue("q"), true, numbers(0, all)...)
		for i := range 3 {
			c.join(i)
		}
		for range 600 {
			i := c.rnd.IntN(3)
			switch n := c.rnd.IntN(20); {
			case n == 0:
				c.disturb()
			case n < 4:
				r.Settle()
			case n < 10:
				c.take(i)
			default:
				c.act(i)
			}
		}
		for i := range 3 {
			r.Link(name(i), name((i+1)%3), true)
		}
		r.Move(shard("q"), "n3")
		acked := map[string]bool{}
		for token, err := range c.acks.wait(t, len(c.bodies)) {
			require.NoError(t, err)
			acked[c.bodies[token]] = true
		}
		for _, client := range c.clients {
			client.Close()
		}
		r.has("n3", "q", all-len(acked), 0)
		rest := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), all, false)
		for _, d := range rest.next(all - len(acked)) {
			require.False(t, acked[string(d.Message.Body)], "%s has a receipt, in round %d of %d", d.Message.Body, round, seed)
			acked[string(d.Message.Body)] = true
		}
		require.Len(t, acked, all)
	}
}
