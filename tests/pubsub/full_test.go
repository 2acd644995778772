package pubsub

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// pace is how long a publisher of a flood rests after each message: it leaves something to the tests beside this one, and does not write more than there is time to read.
const pace = 5 * time.Millisecond

// flood publishes to topics, and has their subscriptions acknowledge, until it is over. It knows what was promised.
type flood struct {
	t      testing.TB
	topics int
	at     func(i int) caller

	all  sync.WaitGroup
	over chan struct{}
	end  func()

	mu      sync.Mutex
	stored  []map[string]string // by topic and id
	refused int
	facts   int // acknowledgements that were taken
}

func newFlood(t testing.TB, topics int, at func(i int) caller) *flood {
	f := &flood{t: t, topics: topics, at: at, over: make(chan struct{})}
	f.end = once(func() {
		close(f.over)
		f.all.Wait()
	})
	t.Cleanup(f.end)
	at(0).must("POST", "/projects/P", `{"description":""}`, nil)
	for i := range topics {
		at(0).must("PUT", fmt.Sprint("/projects/P/topics/t", i), "", nil)
		at(0).must("PUT", fmt.Sprint("/projects/P/subscriptions/s", i), fmt.Sprintf(`{"topic":"projects/P/topics/t%d"}`, i), nil)
		f.stored = append(f.stored, map[string]string{})
	}
	for i := range topics {
		for k := range 2 {
			f.all.Go(func() { f.publish(i, k) })
		}
		f.all.Go(func() { f.acknowledge(i) })
	}
	return f
}

func (f *flood) ended() bool {
	select {
	case <-f.over:
		return true
	default:
		return false
	}
}

func (f *flood) publish(topic, k int) {
	pad := strings.Repeat("x", 4000)
	for i := 0; !f.ended(); i++ {
		time.Sleep(pace)
		text := fmt.Sprint(topic, "-", k, "-", i, pad)
		var got published
		taken := f.at(i).taken("POST", fmt.Sprintf("/projects/P/topics/t%d:publish", topic), one(text), &got)
		f.mu.Lock()
		if taken {
			f.stored[topic][got.IDs[0]] = text
		} else {
			f.refused++
		}
		f.mu.Unlock()
	}
}

func (f *flood) acknowledge(topic int) {
	for i := 0; !f.ended(); i++ {
		var got received
		at := f.at(i)
		if at.taken("POST", fmt.Sprintf("/projects/P/subscriptions/s%d:pull", topic), `{"maxMessages":"5"}`, &got) && len(got.Received) > 0 {
			last := got.Received[len(got.Received)-1].AckID
			if at.taken("POST", fmt.Sprintf("/projects/P/subscriptions/s%d:acknowledge", topic), `{"ackIds":["`+last+`"]}`, nil) {
				f.mu.Lock()
				f.facts++
				f.mu.Unlock()
			}
		}
	}
}

// counts are how much was promised so far.
func (f *flood) counts() (messages, facts, refused int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.stored {
		messages += len(s)
	}
	return messages, f.facts, f.refused
}

// progress waits until so many more messages and acknowledgements are taken.
func (f *flood) progress(n int) {
	f.t.Helper()
	messages, facts, _ := f.counts()
	require.Eventually(f.t, func() bool {
		m, a, _ := f.counts()
		return m >= messages+n && a >= facts+n/10
	}, 2*soon, 10*time.Millisecond, "progress")
}

// check reads all topics on a node: whatever was promised is there, at its place.
func (f *flood) check(c caller) {
	f.t.Helper()
	for topic, want := range f.stored {
		c.holds(fmt.Sprint("s", topic), want)
	}
}

// holds reads all that a subscription has from the front on, without a hole, and looks for messages at their places. A replica that is behind has the rest in a moment.
func (c caller) holds(sub string, want map[string]string) {
	c.t.Helper()
	var got []string
	var hole string
	last, path := c.places(sub).Max-1, "/projects/P/subscriptions/"+sub
	require.Eventually(c.t, func() bool {
		var page received
		if !c.taken("POST", path+":modifyOffset", fmt.Sprintf(`{"offset":%d}`, len(got)), nil) || !c.taken("POST", path+":pull", `{"maxMessages":"1000"}`, &page) {
			return false
		}
		for _, m := range page.Received {
			if m.Message.ID != fmt.Sprint(len(got)) {
				hole = fmt.Sprintf("message %s where %d should be", m.Message.ID, len(got))
				return true
			}
			got = append(got, string(m.Message.Data))
		}
		return len(got) > last
	}, soon, time.Millisecond, "all of %s can be read", sub)
	require.Empty(c.t, hole)
	for id, text := range want {
		at, err := strconv.Atoi(id)
		require.NoError(c.t, err)
		require.Less(c.t, at, len(got), "message %s of %s", id, sub)
		require.Truef(c.t, text == got[at], "message %s of %s is %.20q, and should be %.20q", id, sub, got[at], text)
	}
}

// Somebody takes all the space in the middle of a flood of messages to topics, so that the store's writes fail, of messages and of subscriptions' places. The node goes on by itself as soon as
// there is space, and has what it promised; also if it is killed meanwhile.
func TestADiskIsFullOfTopics(t *testing.T) {
	t.Parallel()
	dir := nodes.Volume(t, 200)
	n := nodes.Configured(t)
	n.Place(dir)
	n.Configure(threeDoors)
	n.Launch()
	n.AwaitReady()
	pid := n.PID()
	f := newFlood(t, 3, func(int) caller { return caller{t, n, token} })
	var slowest time.Duration
	for range 2 {
		f.progress(300)
		free := nodes.Hog(t, dir)
		_, _, before := f.counts()
		require.Eventually(t, func() bool { _, _, r := f.counts(); return r > before+10 }, soon, 10*time.Millisecond, "it refuses")
		require.Equal(t, http.StatusOK, n.Status("/livez"))
		free()
		began := time.Now()
		f.progress(300)
		slowest = max(slowest, time.Since(began))
		require.Eventually(t, func() bool { return n.Status("/readyz") == http.StatusOK }, soon, 10*time.Millisecond)
	}
	require.Equal(t, pid, n.PID())
	f.end()
	f.check(caller{t, n, token})
	n.Stop()
	n.Restart()
	f.check(caller{t, n, token})
	_, _, refused := f.counts()
	t.Logf("FIGURE a disk was full: 300 messages and 30 places were taken at most %v after there was space; %d refusals; the store stood still: %v", slowest.Round(time.Millisecond), refused,
		strings.Contains(n.Log(), "the store does not answer"))
}

// Somebody takes all the space on one node's disk. The others go on with topics and subscriptions; so does the node, by itself, when there is space again, and it has what the others have: another
// one is killed, and it counts.
func TestOneDiskIsFullOfTopics(t *testing.T) {
	t.Parallel()
	dir := nodes.Volume(t, 300)
	c := nodes.NewCluster(t, "listeners=stomp=127.0.0.1:0,nats=127.0.0.1:0,admin=127.0.0.1:0,pubsub=127.0.0.1:0", "pubsub.service_token="+token)
	c.Place(0, dir)
	c.Launch()
	pid := c.Nodes[0].PID()
	f := newFlood(t, 6, func(i int) caller { return caller{t, c.Nodes[i%3], token} })
	f.progress(300)
	free := nodes.Hog(t, dir)
	_, _, before := f.counts()
	require.Eventually(t, func() bool { _, _, r := f.counts(); return r > before+5 }, soon, 10*time.Millisecond, "it refuses")
	f.progress(300)
	free()
	began := time.Now()
	ready := func(n *nodes.Node) bool { return n.Status("/readyz") == http.StatusOK }
	require.Eventually(t, func() bool { return ready(c.Nodes[0]) }, 2*soon, 20*time.Millisecond, "it is ready again")
	back := time.Since(began)
	f.progress(300)
	c.Nodes[1].Kill()
	f.progress(300)
	c.Nodes[1].Restart()
	require.Eventually(t, func() bool { return ready(c.Nodes[1]) }, 2*soon, 20*time.Millisecond)
	f.progress(100)
	f.end()
	require.Equal(t, pid, c.Nodes[0].PID())
	f.check(caller{t, c.Nodes[0], token})
	_, _, refused := f.counts()
	t.Logf("FIGURE one of three disks was full: its node was ready %v after there was space; %d refusals; its storage had stopped: %v", back.Round(time.Millisecond), refused,
		strings.Contains(c.Nodes[0].Log(), "the storage of this node has stopped"))
}
