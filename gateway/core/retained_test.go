package core_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// retaining has topics keep something for those who come later.
func retaining(rules map[string]policy.Retain) func(*core.Config) {
	return func(c *core.Config) {
		var all []policy.Policy
		for name, r := range rules {
			all = append(all, policy.Policy{On: []gateway.Destination{topic(name)}, Retain: r})
		}
		c.Policies = policy.NewTable(all)
	}
}

func retroactive(name string) gateway.SubscribeOptions {
	return gateway.SubscribeOptions{Destination: topic(name), Retroactive: true, AutoAck: true, Prefetch: 1000}
}

// B6 152, APO and ActiveMQ's recovery policies: the last image, the last few, those of a while, as many bytes, or all.
func TestWhoComesLaterGetsWhatIsKept(t *testing.T) {
	var clock clock
	w := newWorld(t, clock.config, retaining(map[string]policy.Retain{
		"last": {Messages: 1}, "few.*": {Messages: 3}, "always": {Messages: 2, Always: true}, "age": {Age: time.Minute}, "bytes": {Bytes: 600}, "all": {All: true},
	}))
	s := w.session()
	for _, persistent := range []bool{true, false} {
		for _, name := range []string{"last", "few.a", "few.b", "always", "age", "bytes", "all", "none"} {
			w.send(s, topic(name), persistent, numbers(0, 9)...)
		}
		clock.advance(2 * time.Minute)
		w.send(s, topic("age"), persistent, "young")
		want := map[string][]string{
			"last": numbers(8, 9), "few.a": numbers(6, 9), "few.b": numbers(6, 9), "always": numbers(7, 9), "age": {"young"}, "bytes": nil, "all": nil, "none": nil,
		}
		for name, kept := range want {
			c := w.lasting(s, retroactive(name))
			switch name {
			case "all":
				n := 9
				if !persistent {
					n = 18
				}
				require.Len(t, c.next(n), n)
			case "bytes":
				got := bodies(c.next(2))
				require.NotEqual(t, "0", got[0])
			default:
				require.Equal(t, kept, bodies(c.next(len(kept))), name)
				w.send(s, topic(name), persistent, "new")
				require.Equal(t, []string{"new"}, bodies(c.next(1)))
				c.none()
				if name != "none" {
					w.send(s, topic(name), persistent, kept...)
				}
			}
			c.Close()
		}
	}
	require.Zero(t, w.waiting(), "that is nobody's backlog")
	asked := w.subscribe(s, topic("always"), 10, true)
	require.Len(t, asked.next(2), 2, "also without having asked")
	plain := w.subscribe(s, topic("last"), 10, true)
	w.send(s, topic("last"), true, "live")
	require.Equal(t, []string{"live"}, bodies(plain.next(1)), "others get what is new alone")
	pattern := w.lasting(s, gateway.SubscribeOptions{Destination: topic(">"), AutoAck: true, Prefetch: 100})
	require.Len(t, pattern.next(2), 2, "a pattern gets what is for all, of those topics of which something is")
	pattern.none()
	require.Zero(t, w.broker.Stats().DeadLettered, "what goes is not dead")
}

// It survives a crash and an orderly stop, and goes when the policy wants nothing any more.
func TestWhatIsKeptSurvives(t *testing.T) {
	w := newWorld(t, retaining(map[string]policy.Retain{"t.*": {Messages: 2}}))
	s := w.session()
	w.send(s, topic("t.a"), true, numbers(0, 5)...)
	w.send(s, topic("t.b"), false, numbers(5, 10)...)
	w.restart()
	require.ElementsMatch(t, []string{"3", "4", "8", "9"}, bodies(w.lasting(w.session(), retroactive("t.*")).next(4)))
	w.crash()
	s = w.session()
	c := w.lasting(s, retroactive("t.a"))
	require.Equal(t, []string{"3", "4"}, bodies(c.next(2)))
	w.send(s, topic("t.a"), true, "5")
	require.Equal(t, []string{"5"}, bodies(c.next(1)))
	w.broker.SetPolicies(policy.NewTable([]policy.Policy{{On: []gateway.Destination{topic("t.*")}, Retain: policy.Retain{Messages: 1}}}))
	require.Equal(t, []string{"5"}, bodies(w.lasting(s, retroactive("t.a")).next(1)))
	w.broker.SetPolicies(nil)
	w.config.Policies = policy.NewTable([]policy.Policy{{On: []gateway.Destination{topic("t.*")}, Retain: policy.Retain{Messages: 1}}})
	w.restart()
	c = w.lasting(w.session(), retroactive("t.a"))
	w.send(w.session(), topic("t.a"), true, "6")
	require.Equal(t, []string{"6"}, bodies(c.next(1)), "what was kept is gone")
}

// Selectors, no-local and rights hold for what is kept as for what is new.
func TestWhatIsKeptIsChosenFrom(t *testing.T) {
	rules := gatewaytest.Rules(func(_ gateway.Principal, act gateway.Action, d gateway.Destination) error {
		if act == gateway.Read && d.Name == "a.secret" {
			return gateway.Errorf(gateway.Denied, "no")
		}
		return nil
	})
	w := newWorld(t, retaining(map[string]policy.Retain{"a.*": {All: true}}), func(c *core.Config) { c.Authenticator, c.Authorizer = gatewaytest.Everyone{}, rules })
	s, own := w.session(), w.session()
	for i := range 6 {
		for _, from := range []gateway.Session{s, own} {
			for _, name := range []string{"a.open", "a.secret"} {
				m := message(topic(name), fmt.Sprint(i), true)
				m.Header = gateway.Header{{Name: "n", Value: fmt.Sprint(i)}}
				var o outcome
				from.Send(m, &o, 1)
				require.NoError(t, o.wait(t, 1)[1])
			}
		}
	}
	o := retroactive("a.*")
	o.Selector, o.NoLocal = "n > 3", true
	c := w.lasting(own, o)
	require.Equal(t, []string{"4", "5"}, bodies(c.next(2)))
	c.none()
	expired := message(topic("a.open"), "old", true)
	expired.Expires = 1
	s.Send(expired, nil, 0)
}

// However busy a topic is: who comes gets all from some moment on, in order, without a gap or a double.
func TestNoGapBetweenWhatIsKeptAndWhatIsNew(t *testing.T) {
	r, _ := newLastingRealm(t, retaining(map[string]policy.Retain{"t": {All: true}}))
	stop, stopped := make(chan struct{}), make(chan int)
	for node := range 3 {
		go func() {
			s := r.worlds[node].session()
			var o outcome
			i := 0
			for ; ; i++ {
				select {
				case <-stop:
					stopped <- i
					return
				default:
				}
				s.Send(message(topic("t"), fmt.Sprintf("%d/%d", node, i), i%2 == 0), &o, uint64(i))
				o.wait(t, max(i-50, 0))
			}
		}()
	}
	var subs []*consumer
	for i := range 9 {
		time.Sleep(10 * time.Millisecond) // so that they come at different moments
		o := retroactive("t")
		o.Wake, o.Prefetch = func() {}, 1<<20
		sub, err := r.worlds[i%3].session().Subscribe(o)
		require.NoError(t, err)
		subs = append(subs, &consumer{T: t, Subscription: sub})
	}
	close(stop)
	total := <-stopped + <-stopped + <-stopped
	for i, c := range subs {
		seen := make(map[string]int)
		gatewaytest.Eventually(t, func() bool {
			for _, b := range c.all() {
				seen[b]++
			}
			return len(seen) >= total
		}, "all %d for the subscriber %d, who has %d", total, i, len(seen))
		for b, n := range seen {
			require.Equal(t, 1, n, b)
		}
	}
}

// Owners change: what is kept and persistent stays.
func TestWhatIsKeptSurvivesOwners(t *testing.T) {
	r, _ := newLastingRealm(t, retaining(map[string]policy.Retain{"t.>": {Messages: 2}}))
	for node := range 3 {
		for i := range 20 {
			r.worlds[node].send(r.worlds[node].session(), topic(fmt.Sprint("t.", i)), true, numbers(10*node, 10*node+5)...)
		}
		r.Move(0, name(node))
		r.Move(1, name((node+1)%3))
		r.Settle()
	}
	for node := range 3 {
		c := r.lasting(node, r.worlds[node].session(), retroactive("t.>"))
		got := c.next(40)
		require.Empty(t, c.all())
		for _, d := range got {
			require.Contains(t, []string{"23", "24"}, string(d.Message.Body))
		}
	}
	c := r.lasting(2, r.worlds[2].session(), retroactive("t.7"))
	require.Equal(t, []string{"23", "24"}, bodies(c.next(2)))
}

// A client on all nodes, once-per-client, gets what is kept on one of them.
func TestAClientOnAllNodesGetsWhatIsKeptOnce(t *testing.T) {
	r, _ := newLastingRealm(t, retaining(map[string]policy.Retain{"t": {Messages: 3}}))
	r.worlds[0].send(r.worlds[0].session(), topic("t"), true, "a", "b", "c")
	total := 0
	for node := range 3 {
		o := retroactive("t")
		o.Name = "sub"
		c := r.lasting(node, r.open(alice, node), o)
		r.Settle()
		if node == 0 {
			total += len(c.next(3))
		}
		r.worlds[node].send(r.worlds[node].session(), topic("t"), true, fmt.Sprint("mark", node))
		got := c.next(1)
		require.Equal(t, fmt.Sprint("mark", node), string(got[0].Message.Body))
	}
	require.Equal(t, 3, total)
}

// The last images of many topics come at once, and cost little while nobody asks. SLUICE_TOPICS says how many; without it there are 10,000.
func TestLastImagesOfManyTopics(t *testing.T) {
	topics := 10_000
	if n, err := strconv.Atoi(os.Getenv("SLUICE_TOPICS")); err == nil {
		topics = n
	}
	w := newWorld(t, retaining(map[string]policy.Retain{"grid.>": {Messages: 1}}), func(c *core.Config) { c.QueueMemory = 1 << 30 })
	s := w.session()
	before := heap()
	done := make(chan error, 2000)
	for i := range topics {
		s.Send(message(topic(fmt.Sprint("grid.site.", i)), "up", false), completionChan(done), 0)
		if i >= 1000 {
			require.NoError(t, <-done)
		}
	}
	for range 1000 {
		require.NoError(t, <-done)
	}
	each := (heap() - before) / int64(topics)
	t.Logf("%d bytes for a topic with its last image", each)
	o := retroactive("grid.>")
	o.Wake, o.Prefetch = func() {}, 1<<20
	start := time.Now()
	sub, err := s.Subscribe(o)
	require.NoError(t, err)
	buf := make([]gateway.Delivery, 1000)
	seen := 0
	gatewaytest.Eventually(t, func() bool {
		n := sub.Next(buf, 1<<30)
		sub.Written(n)
		for n > 0 {
			seen += n
			n = sub.Next(buf, 1<<30)
			sub.Written(n)
		}
		return seen == topics
	}, "all last images")
	t.Logf("%d last images in %v", topics, time.Since(start))
	require.Less(t, each, int64(2500), "bytes for a topic, message and race detector included")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

type completionChan chan error

func (c completionChan) Complete(_ uint64, err error) { c <- err }
