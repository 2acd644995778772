package core_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// stranger is a node that does what its test says. It implements gateway.Member.
type stranger struct {
	*testing.T
	*gatewaytest.Node
	mu     sync.Mutex
	frames []*gateway.Frame
	epochs map[int]uint64 // of owners, by shard
}

func (*stranger) Begin(int, uint64, gateway.Journal, func(func())) {}
func (*stranger) End(int)                                          {}
func (*stranger) Up(string)                                        {}
func (*stranger) Down(string)                                      {}

// Owner implements gateway.Peer.
func (s *stranger) Owner(shard int, _ string, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epochs == nil {
		s.epochs = make(map[int]uint64)
	}
	s.epochs[shard] = max(s.epochs[shard], epoch)
}

// epoch is that of a shard's owner, as far as it has heard.
func (s *stranger) epoch(shard int) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epochs[shard]
}

// Receive implements gateway.Peer.
func (s *stranger) Receive(_ string, f *gateway.Frame) {
	if f.Kind == gateway.FrameKnown {
		return // the answer to what it wants
	}
	s.mu.Lock()
	s.frames = append(s.frames, f)
	s.mu.Unlock()
}

// heard takes the frames that came so far.
func (s *stranger) heard() []*gateway.Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames := s.frames
	s.frames = nil
	return frames
}

// bodies takes the frames that came so far, which are all messages.
func (s *stranger) bodies() (all []string) {
	s.Helper()
	for _, f := range s.heard() {
		require.Equal(s, gateway.FramePublish, f.Kind)
		all = append(all, string(f.Message.Body))
	}
	return all
}

// strange links a stranger to the first node of a realm.
func (r *realm) strange(name string) *stranger {
	s := &stranger{T: r.T, Node: r.Node(name)}
	s.Serve(s)
	r.Link("n1", name, true)
	r.Settle()
	return s
}

func interest(name uint64, destination, group string) *gateway.Frame {
	return &gateway.Frame{Kind: gateway.FrameInterest, Subscription: name, Queue: destination, Group: group}
}

// clock is a time that a test decides.
type clock struct{ ahead atomic.Int64 }

// config has a broker go by the clock.
func (c *clock) config(cfg *core.Config) {
	cfg.Now = func() time.Time { return time.Unix(1_700_000_000, c.ahead.Load()) }
}

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// flood sends messages to a topic at the first node and does not wait.
func (r *realm) flood(o *outcome, from, to, size int) {
	s := r.worlds[0].session()
	for i := from; i < to; i++ {
		m := message(topic("t"), strconv.Itoa(i), false)
		m.Body = append(m.Body, make([]byte, size)...)[:max(size, len(m.Body))]
		s.Send(m, o, uint64(i))
	}
	r.Settle()
}

// An interest is told once, however many share it, and its end when the last one is gone; to a node that comes
// later, all there are, in the order of their names.
func TestInterestIsToldOnce(t *testing.T) {
	r := newRealm(t)
	n4 := r.strange("n4")
	require.Empty(t, n4.heard())
	a, b := r.hear(r.worlds[0].session(), named("", "t.*")), r.hear(r.worlds[0].session(), named("", "t.*"))
	r.Settle()
	frames := n4.heard()
	require.Len(t, frames, 1)
	first := frames[0]
	require.Equal(t, interest(first.Subscription, "t.*", ""), frames[0])
	alices := r.hear(r.open(alice, 0), named("s", "t.*"))
	r.Settle()
	frames = n4.heard()
	require.Len(t, frames, 1)
	second := frames[0]
	require.NotEmpty(t, second.Group)
	require.Greater(t, second.Subscription, first.Subscription)
	a.Close()
	r.Settle()
	require.Empty(t, n4.heard())

	n5 := r.strange("n5")
	require.Equal(t, []*gateway.Frame{interest(first.Subscription, "t.*", ""), interest(second.Subscription, "t.*", second.Group)}, n5.heard())
	b.Close()
	alices.Close()
	r.Settle()
	over := func(name uint64) *gateway.Frame {
		return &gateway.Frame{Kind: gateway.FrameDisinterest, Subscription: name}
	}
	require.Equal(t, []*gateway.Frame{over(first.Subscription), over(second.Subscription)}, n4.heard())
	require.Len(t, n5.heard(), 2)
	r.Link("n1", "n4", false)
	r.Link("n1", "n4", true)
	r.Settle()
	require.Empty(t, n4.heard(), "nothing is left of them")
}

// A message names what is served elsewhere, and goes nowhere if that is all.
func TestWhatIsServedElsewhereIsSkipped(t *testing.T) {
	r := newRealm(t)
	n4, n5 := r.strange("n4"), r.strange("n5")
	own := r.hear(r.open(alice, 0), named("s", "t"))
	r.Settle()
	alices := n4.heard()[0].Group
	n5.heard()
	for _, f := range []*gateway.Frame{interest(7, "t", "bob"), interest(9, "t", alices)} {
		n4.Send("n1", f)
	}
	for _, f := range []*gateway.Frame{interest(3, ">", "carol"), interest(4, "t", "bob"), interest(5, "t", alices), interest(6, "u", "")} {
		n5.Send("n1", f)
	}
	r.publish(0, "t", "1")
	require.Equal(t, []string{"1"}, own.all())
	f := n4.heard()[0]
	require.Equal(t, []uint64{9}, f.Tags)
	require.EqualValues(t, 9, f.Seq)
	f = n5.heard()[0]
	require.Equal(t, []uint64{4, 5}, f.Tags)
	require.EqualValues(t, 6, f.Seq)
	n5.Send("n1", &gateway.Frame{Kind: gateway.FrameDisinterest, Subscription: 3})
	r.publish(0, "t", "2")
	require.Equal(t, []string{"2"}, n4.bodies())
	require.Empty(t, n5.heard())
	r.Link("n1", "n4", false)
	r.publish(0, "t", "3")
	f = n5.heard()[0]
	require.Equal(t, []uint64{5}, f.Tags, "bob is left to it now")
}

// A subscription that the sender's node did not know of may have been served elsewhere: it does not hear the message.
// Another with the same identity, which came after one that was skipped, does not either.
func TestASubscriptionThatWasNotKnownMayBeServedElsewhere(t *testing.T) {
	r := newRealm(t)
	n4 := r.strange("n4")
	early := r.hear(r.open(alice, 0), named("s", "t"))
	r.Settle()
	first := n4.heard()[0].Subscription
	publish := func(body string, known uint64, skip ...uint64) {
		n4.Send("n1", &gateway.Frame{Kind: gateway.FramePublish, Message: message(topic("t"), body, false), Seq: known, Tags: skip})
		r.Settle()
	}
	publish("1", first)
	publish("2", first, first)
	require.Equal(t, []string{"1"}, early.all())
	early.Close()
	late, anybody := r.hear(r.open(client{user: "alice", host: alice.host}, 0), named("s", "t")), r.hear(r.worlds[0].session(), named("", "t"))
	r.Settle()
	publish("3", first, first)
	publish("4", first)
	publish("5", first+1)
	require.Equal(t, []string{"5"}, late.all())
	require.Equal(t, []string{"3", "4", "5"}, anybody.all(), "nobody else hears for it")
}

// What a node sends is heard when it was handed out, in portions.
func TestWhatIsHandedOutIsHeard(t *testing.T) {
	var now clock
	r := newRealm(t, now.config, func(c *core.Config) { c.TopicMessages = 4 * 4096 })
	n4 := r.strange("n4")
	for i := range 1024 {
		n4.Send("n1", &gateway.Frame{Kind: gateway.FramePublish, Message: message(topic("nobody"), "x", false)})
		if i == 1022 {
			r.Settle()
			require.Empty(t, n4.heard())
		}
	}
	r.Settle()
	size := message(topic("nobody"), "x", false).Size()
	require.Equal(t, []*gateway.Frame{{Kind: gateway.FrameHeard, Count: 1024, Seq: uint64(1024 * size)}}, n4.heard())
	big := message(topic("nobody"), "x", false)
	big.Body = make([]byte, 1<<20)
	n4.Send("n1", &gateway.Frame{Kind: gateway.FramePublish, Message: big})
	r.Settle()
	require.Equal(t, []*gateway.Frame{{Kind: gateway.FrameHeard, Count: 1, Seq: uint64(big.Size())}}, n4.heard())

	n4.heard()
	stuck := r.hear(r.worlds[0].session(), named("", "t"))
	flood := func() { // the first 4096 wait for it without anybody's waiting
		for range 4096 + 2048 {
			n4.Send("n1", &gateway.Frame{Kind: gateway.FramePublish, Message: message(topic("t"), "x", false)})
		}
		r.Settle()
	}
	flood()
	portions := n4.heard()[1:] // the first is the subscription
	require.Len(t, portions, 4, "not what a subscriber that is behind keeps waiting")
	stuck.all()
	r.Settle()
	portions = append(portions, n4.heard()...)
	require.Len(t, portions, 6)

	flood()
	r.Link("n1", "n4", false)
	r.Link("n1", "n4", true)
	r.Settle()
	n4.heard()
	stuck.all()
	r.Settle()
	require.Empty(t, n4.heard(), "it was on its way on another link")
}

// No more than 16384 messages or 16 MiB are on their way. What comes then waits with its sender and goes, in
// order, as soon as there is room.
func TestALinkCarriesSoMuchAtOnce(t *testing.T) {
	var now clock
	r := newRealm(t, now.config)
	n4 := r.strange("n4")
	n4.Send("n1", interest(1, "t", ""))
	r.Settle()
	var o outcome
	const most = 16384
	r.flood(&o, 0, most+10, 0)
	require.Equal(t, numbers(0, most), n4.bodies())
	require.Equal(t, most, o.count())
	size := message(topic("t"), "12345", false).Size()
	n4.Send("n1", &gateway.Frame{Kind: gateway.FrameHeard, Count: 4, Seq: uint64(4 * size)})
	r.flood(&o, most+10, most+12, 0)
	require.Equal(t, numbers(most, most+4), n4.bodies())
	require.Equal(t, most+4, o.count())
	n4.Send("n1", &gateway.Frame{Kind: gateway.FrameHeard, Count: most, Seq: 1 << 40})
	for _, err := range o.wait(t, most+12) {
		require.NoError(t, err)
	}
	r.Settle()
	require.Equal(t, numbers(most+4, most+12), n4.bodies())
	require.Zero(t, r.worlds[0].broker.Stats().TopicDroppedLinks)

	n4.Send("n1", &gateway.Frame{Kind: gateway.FrameHeard, Count: most, Seq: 1 << 40})
	r.Settle()
	var large outcome
	r.flood(&large, 0, 20, 1<<20)
	require.Len(t, n4.heard(), 16)
	require.Equal(t, 16, large.count())
}

// A node that hands nothing out hinders senders for two seconds; then it loses what does not find room, until it has caught up.
func TestANodeThatDoesNotKeepUpLosesMessages(t *testing.T) {
	var now clock
	r := newRealm(t, now.config, func(c *core.Config) { c.TopicBytes = 1 << 30 })
	n4 := r.strange("n4")
	here := r.hear(r.worlds[0].session(), gateway.SubscribeOptions{Destination: topic("t")})
	n4.Send("n1", interest(1, "t", ""))
	r.Settle()
	n4.heard()
	var o outcome
	r.flood(&o, 0, 20, 1<<20)
	require.Equal(t, 16, o.count())
	require.Len(t, here.all(), 20, "nobody else waits")
	now.advance(2*time.Second + time.Millisecond)
	o.wait(t, 20)
	require.EqualValues(t, 4, r.worlds[0].broker.Stats().TopicDroppedLinks)
	r.flood(&o, 20, 25, 1<<20)
	require.Equal(t, 25, o.count(), "it has had its grace")
	require.EqualValues(t, 9, r.worlds[0].broker.Stats().TopicDroppedLinks)
	require.Len(t, n4.heard(), 16)
	n4.Send("n1", &gateway.Frame{Kind: gateway.FrameHeard, Count: 16, Seq: 17 << 20})
	r.Settle()
	r.flood(&o, 25, 43, 1<<20)
	require.Len(t, n4.heard(), 16)
	require.Equal(t, 41, o.count(), "and has it again")
}

// Nobody waits for a node that is gone, or when the broker closes.
func TestSendersThatWaitForANodeGoOnWhenItIsGone(t *testing.T) {
	t.Parallel()
	var now clock
	r := newRealm(t, now.config)
	n4 := r.strange("n4")
	n4.Send("n1", interest(1, "t", ""))
	r.Settle()
	var o outcome
	r.flood(&o, 0, 20, 1<<20)
	require.Equal(t, 16, o.count())
	r.Link("n1", "n4", false)
	require.Len(t, o.wait(t, 20), 20)
	r.Settle()
	r.Link("n1", "n4", true)
	r.Settle()
	n4.heard()
	r.flood(&o, 20, 21, 1<<20)
	require.Empty(t, n4.heard(), "it wants nothing yet")
	n4.Send("n1", interest(1, "t", ""))
	r.Settle()
	r.flood(&o, 21, 41, 1<<20)
	require.Len(t, n4.heard(), 16, "nothing is on its way on a new link")
	require.NoError(t, r.worlds[0].broker.Close(t.Context()))
	require.Len(t, o.wait(t, 41), 41)
}

// What waits for a node is bounded too, for the sake of senders that do not wait themselves.
func TestSoMuchWaitsForANode(t *testing.T) {
	t.Parallel()
	var now clock
	r := newRealm(t, now.config)
	n4 := r.strange("n4")
	n4.Send("n1", interest(1, "t", ""))
	r.Settle()
	s := r.worlds[0].session()
	for range 100 {
		m := message(topic("t"), "", false)
		m.Body = make([]byte, 1<<20)
		s.Send(m, nil, 0)
	}
	require.EqualValues(t, 20, r.worlds[0].broker.Stats().TopicDroppedLinks, "behind 16 on their way and 64 that wait")
	for range 5 { // more than there is
		n4.Send("n1", &gateway.Frame{Kind: gateway.FrameHeard, Count: -1, Seq: 1 << 63})
	}
	r.Settle()
	require.Len(t, n4.heard(), 80)
}
