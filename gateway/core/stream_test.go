package core_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// door is a completion of a door that stops reading when it is told to.
type door struct {
	outcome
	heldMu sync.Mutex
	held   []uint64
}

func (d *door) Hold(token uint64) {
	d.heldMu.Lock()
	defer d.heldMu.Unlock()
	d.held = append(d.held, token)
}

func (d *door) holds() []uint64 {
	d.heldMu.Lock()
	defer d.heldMu.Unlock()
	return append([]uint64{}, d.held...)
}

func (d *door) outcomes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.done)
}

// kept makes durable subscriptions to a topic, named so that their queues are in all shards.
func (w *world) kept(s gateway.Session, name string, n int) (all []gateway.SubscribeOptions) {
	shards := make(map[int]bool)
	for i := range n {
		o := durably(name, fmt.Sprint("s", i))
		o.Prefetch = 1000
		w.lasting(s, o).Close()
		all = append(all, o)
		shards[gateway.ShardOf(gateway.Destination{Kind: gateway.KindSubscription, Name: "c:" + o.Durable}.Place(), 3)] = true
	}
	require.Len(w, shards, 3, "they are in all shards")
	return all
}

// Messages to a topic that is kept go on while those before them are on their way to the disk: nothing tells the door to wait, live
// subscribers have them, nobody has a receipt, and all order is kept.
func TestSendsToAKeptTopicDoNotWaitForOneAnother(t *testing.T) {
	for _, retroactive := range []bool{false, true} {
		w := newLasting(t, func(c *core.Config) {
			if retroactive {
				retaining(map[string]policy.Retain{"t": {Messages: 3}})(c)
			}
		})
		s := w.as("c")
		all := w.kept(s, "t", 8)
		live := w.subscribe(s, topic("t"), 1000, true)
		goOn := w.store.StopSyncs()
		var d door
		for i, b := range numbers(0, 200) {
			s.Send(message(topic("t"), b, true), &d, uint64(i))
		}
		require.Equal(t, numbers(0, 200), bodies(live.next(200)))
		require.Zero(t, d.outcomes(), "no receipt before the disk has it")
		goOn()
		for _, err := range d.wait(t, 200) {
			require.NoError(t, err)
		}
		require.Empty(t, d.holds())
		w.crash()
		s = w.as("c")
		for _, o := range all {
			c := w.lasting(s, o)
			require.Equal(t, numbers(0, 200), bodies(c.next(200)), o.Durable)
			c.none()
		}
	}
}

// A sender whose subscriber is behind is told to wait, whatever becomes of the message besides.
func TestADoorIsToldToWaitForSubscribersThatAreBehind(t *testing.T) {
	for name, way := range map[string]func(c *core.Config, m *gateway.Message){
		"only heard": func(*core.Config, *gateway.Message) {},
		"kept":       func(_ *core.Config, m *gateway.Message) { m.Destination = topic("kept") },
		"retained": func(c *core.Config, _ *gateway.Message) {
			retaining(map[string]policy.Retain{"t": {Messages: 3}})(c)
		},
		"composite": func(_ *core.Config, m *gateway.Message) { m.Also = []gateway.Destination{queue("a"), topic("other")} },
		"written down": func(c *core.Config, _ *gateway.Message) {
			all := &clerk{}
			all.commands.Store(true)
			c.Auditor = all
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := &clock{} // grace does not end
			w := newLasting(t, now.config, func(c *core.Config) {
				c.TopicMessages = 16
				way(c, message(topic("t"), "", true))
			})
			s := w.as("c")
			w.lasting(s, durably("kept", "d")).Close()
			make := func(body string) *gateway.Message {
				m := message(topic("t"), body, true)
				way(&core.Config{}, m)
				return m
			}
			behind := w.subscribe(w.session(), make("").Destination, 1, true)
			var d door
			for i, b := range numbers(0, 4) {
				s.Send(make(b), &d, uint64(i))
			}
			d.wait(t, 4)
			require.Empty(t, d.holds(), "a quarter of what may wait")
			s.Send(make("4"), &d, 4)
			gatewaytest.Eventually(t, func() bool { return len(d.holds()) == 1 }, "the door is told")
			require.Equal(t, []uint64{4}, d.holds())
			require.Equal(t, 4, d.outcomes())
			require.Equal(t, numbers(0, 5), bodies(behind.next(5)))
			require.NoError(t, d.wait(t, 5)[4])
			s.Send(make("5"), &d, 5)
			require.NoError(t, d.wait(t, 6)[5])
			require.Len(t, d.holds(), 1)
		})
	}
}

// Copies for the queues that keep a topic are bounded, too: a door counts its client's messages, and there may be many of each.
func TestADoorIsToldToWaitWhenManyCopiesAreUnderWay(t *testing.T) {
	w := newLasting(t)
	s := w.as("c")
	w.kept(s, "t", 64)
	goOn := w.store.StopSyncs()
	var d door
	for i, b := range numbers(0, 200) {
		s.Send(message(topic("t"), b, true), &d, uint64(i))
		if i == 127 {
			require.Empty(t, d.holds())
		}
	}
	require.Len(t, d.holds(), 200-128)
	goOn()
	d.wait(t, 200)
	told := len(d.holds())
	s.Send(message(topic("t"), "more", true), &d, 200)
	d.wait(t, 201)
	require.Len(t, d.holds(), told)
}
