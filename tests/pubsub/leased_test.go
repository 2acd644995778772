package pubsub

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// lent are messages that were handed out.
type lent struct {
	Received []struct {
		AckID   string
		Message struct {
			MessageID  string
			Attributes map[string]string
		}
		DeliveryAttempt int
		OrderingKey     string
	} `json:"receivedMessages"`
}

func (l *lent) ids() (ids []string) {
	for _, r := range l.Received {
		ids = append(ids, r.Message.MessageID)
	}
	return ids
}

func ackIDs(ids ...string) string {
	text, _ := json.Marshal(map[string]any{"ackIds": ids})
	return string(text)
}

const leasedPath = "/projects/P/subscriptions/s"

// TestLeasesAfterARestart kills a node that has leases: what was acknowledged stays away, the rest comes again, counted as it was before.
func TestLeasesAfterARestart(t *testing.T) {
	n := nodes.Start(t, "listeners=stomp=127.0.0.1:0,admin=127.0.0.1:0,pubsub=127.0.0.1:0", "pubsub.service_token="+token)
	c := caller{t, n, token}
	c.must("POST", "/projects/P", `{"description":""}`, nil)
	c.must("PUT", "/projects/P/topics/t", "", nil)
	c.must("PUT", leasedPath, `{"topic":"projects/P/topics/t","mode":"leased","ackDeadlineSeconds":60}`, nil)
	for i := range 6 {
		require.Equal(t, strconv.Itoa(i), c.publish([]byte("x"), nil))
	}
	var got, again lent
	c.must("POST", leasedPath+":pull", `{"maxMessages":"5"}`, &got)
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, got.ids())
	c.must("POST", leasedPath+":modifyAckDeadline", `{"ackDeadlineSeconds":0,"ackIds":["`+got.Received[4].AckID+`"]}`, nil)
	c.must("POST", leasedPath+":acknowledge", ackIDs(got.Received[1].AckID, got.Received[3].AckID), nil)
	n.Kill()
	n.Launch()
	n.AwaitReady()
	c.must("POST", leasedPath+":pull", `{"maxMessages":"3"}`, &again)
	require.Equal(t, []string{"0", "2", "4"}, again.ids())
	require.Equal(t, 1, again.Received[0].DeliveryAttempt)
	require.Equal(t, 2, again.Received[2].DeliveryAttempt)
	require.Equal(t, http.StatusRequestTimeout, c.ask("POST", leasedPath+":acknowledge", ackIDs(got.Received[0].AckID), nil), "somebody else has it by now")
	n.Stop()
	n.Restart()
	c.must("POST", leasedPath+":acknowledge", ackIDs(again.Received[0].AckID), nil) // nobody has got it since
	c.must("POST", leasedPath+":pull", `{"maxMessages":"9"}`, &got)
	require.Equal(t, []string{"2", "4", "5"}, got.ids())
}

// errand is what workers at three nodes do with a subscription, and what they have seen.
type errand struct {
	t      *testing.T
	c      *nodes.Cluster
	client *http.Client

	mu sync.Mutex
	// tried were acknowledged, or it was tried; done are those of which it was said that they are.
	tried, done map[int]bool
	early       []string
}

// shown looks at what came at once, which was asked for after those before were done: nothing of them is among it, and of each ordering key nothing whose forerunner is still open.
func (e *errand) shown(l *lent, before map[int]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	together := map[int]bool{}
	for _, r := range l.Received {
		offset, _ := strconv.Atoi(r.Message.MessageID)
		if before[offset] {
			e.early = append(e.early, fmt.Sprintf("%d was acknowledged, and is shown again", offset))
		}
		for i := offset - keysOf; i >= 0; i -= keysOf {
			if !e.tried[i] && !together[i] {
				e.early = append(e.early, fmt.Sprintf("%d is shown while %d is open", offset, i))
			}
		}
		together[offset] = true
	}
}

// keysOf is how many ordering keys there are: message i has key i modulo that.
const keysOf = 7

func (e *errand) so() map[int]bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	done := make(map[int]bool, len(e.done))
	for offset := range e.done {
		done[offset] = true
	}
	return done
}

// work pulls at one node and acknowledges at the next, until all is done.
func (e *errand) work(i, all int) {
	for turn := i; len(e.so()) < all; turn++ {
		before := e.so()
		var got lent
		if e.try(turn, leasedPath+":pull", `{"maxMessages":"10","returnImmediately":"false"}`, &got) != http.StatusOK {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		e.shown(&got, before)
		for _, r := range got.Received {
			offset, _ := strconv.Atoi(r.Message.MessageID)
			e.mu.Lock()
			e.tried[offset] = true
			e.mu.Unlock()
			code := 0
			for at := turn + 1; code == 0 || code == http.StatusServiceUnavailable; at++ { // nobody knows whether it is acknowledged: it is asked for again
				code = e.try(at, leasedPath+":acknowledge", ackIDs(r.AckID), nil)
			}
			if code == http.StatusOK {
				e.mu.Lock()
				e.done[offset] = true
				e.mu.Unlock()
			}
		}
	}
}

// try makes a request at a node that may be dead, or be starting, which is 0.
func (e *errand) try(i int, path, body string, into any) int {
	r, err := http.NewRequest("POST", "http://"+e.c.Nodes[i%3].Where("pubsub")+"/v1"+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("X-Api-Key", token)
	a, err := e.client.Do(r)
	if err != nil {
		return 0
	}
	defer a.Body.Close()
	if text, err := io.ReadAll(a.Body); err != nil || a.StatusCode == http.StatusOK && into != nil && json.Unmarshal(text, into) != nil {
		return 0
	}
	return a.StatusCode
}

func (e *errand) at(i int) caller { return caller{e.t, e.c.Nodes[i%3], token} }

// leader is the node that keeps the leases.
func (e *errand) leader() (led *nodes.Node) {
	e.t.Helper()
	require.Eventually(e.t, func() bool {
		for _, n := range e.c.Nodes {
			a, err := e.client.Get("http://" + n.Where("admin") + "/metrics")
			if err != nil {
				continue
			}
			text, _ := io.ReadAll(a.Body)
			_ = a.Body.Close()
			if strings.Contains(string(text), "\nsluice_pubsub_leased_subscriptions 1\n") {
				led = n
			}
		}
		return led != nil
	}, soon, 20*time.Millisecond)
	return led
}

// TestLeasesOnThreeNodes has workers pull at any node and acknowledge at another one, while the node that keeps the leases is killed, and then the next one stopped: nothing that was acknowledged comes again, all else does,
// and the order of each key holds.
func TestLeasesOnThreeNodes(t *testing.T) {
	t.Parallel()
	e := &errand{t: t, client: &http.Client{Timeout: soon}, tried: map[int]bool{}, done: map[int]bool{}}
	e.c = nodes.StartCluster(t, "listeners=stomp=127.0.0.1:0,admin=127.0.0.1:0,pubsub=127.0.0.1:0", "pubsub.service_token="+token)
	e.at(0).must("POST", "/projects/P", `{"description":""}`, nil)
	e.at(1).must("PUT", "/projects/P/topics/t", "", nil)
	e.at(2).must("PUT", leasedPath, `{"topic":"projects/P/topics/t","mode":"leased","enableMessageOrdering":true,"ackDeadlineSeconds":3}`, nil)
	const all = 600
	publish := func(from, to int) {
		for from < to {
			var messages []map[string]any
			for i := from; i < min(from+100, to); i++ {
				messages = append(messages, map[string]any{"orderingKey": fmt.Sprint("key ", i%keysOf)})
			}
			body, _ := json.Marshal(map[string]any{"messages": messages})
			var p published
			require.Equal(t, http.StatusOK, e.try(0, "/projects/P/topics/t:publish", string(body), &p))
			require.Equal(t, strconv.Itoa(from), p.IDs[0])
			from += len(messages)
		}
	}
	publish(0, all/2)
	var working sync.WaitGroup
	for i := range 3 {
		working.Go(func() { e.work(i, all) })
	}
	after := func(n int) {
		require.Eventually(t, func() bool { return len(e.so()) >= n }, time.Minute, 20*time.Millisecond, "%d", n)
	}
	after(100)
	led := e.leader()
	led.Kill()
	after(200)
	led.Restart()
	publish(all/2, all)
	after(350)
	led = e.leader()
	led.Stop()
	led.Restart()
	after(all)
	working.Wait()
	require.Empty(t, e.early)
	var left lent
	require.Eventually(t, func() bool { return e.try(0, leasedPath+":pull", `{"maxMessages":"10"}`, &left) == http.StatusOK }, soon, 20*time.Millisecond)
	require.Empty(t, left.Received)
}
