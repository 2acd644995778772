package pubsub

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// answered is how long a request may take while a node dies, with other clusters beside it: what is promised of a death. Nobody is kept waiting for an answer that the dead one owes, which would be 30 s.
const answered = 20 * time.Second

// Whichever node is killed, whoever publishes on another one is answered soon, also where the dead one led the topic's log; and what was answered with an offset is there.
func TestPublishingWhileALogsLeaderDies(t *testing.T) {
	c := nodes.StartCluster(t, "listeners=stomp=127.0.0.1:0,nats=127.0.0.1:0,admin=127.0.0.1:0,pubsub=127.0.0.1:0", "pubsub.service_token="+token)
	at := func(i int) caller { return caller{t, c.Nodes[i], token} }
	at(0).must("POST", "/projects/P", `{"description":""}`, nil)
	const topics, publishers = 6, 3 // led by all nodes
	for i := range topics {
		at(0).must("PUT", fmt.Sprint("/projects/P/topics/t", i), "", nil)
		at(0).must("PUT", fmt.Sprint("/projects/P/subscriptions/s", i), fmt.Sprintf(`{"topic":"projects/P/topics/t%d"}`, i), nil)
	}
	var mu sync.Mutex
	var stored [topics]map[string]string
	for i := range stored {
		stored[i] = map[string]string{}
	}
	for round := range c.Nodes {
		var all sync.WaitGroup
		var slowest, dark time.Duration
		refused, over := 0, make(chan struct{})
		for topic := range topics {
			for p := range publishers {
				all.Go(func() {
					last := time.Now()
					for i := 0; ; i++ {
						select {
						case <-over:
							return
						default:
						}
						time.Sleep(pace)
						text, began := fmt.Sprint(round, "-", p, "-", i), time.Now()
						var got published
						taken := at((round+1+p%2)%3).taken("POST", fmt.Sprintf("/projects/P/topics/t%d:publish", topic), one(text), &got)
						mu.Lock()
						slowest = max(slowest, time.Since(began))
						if taken {
							dark, last = max(dark, time.Since(last)), time.Now()
							stored[topic][got.IDs[0]] = text
						} else {
							refused++
						}
						mu.Unlock()
					}
				})
			}
		}
		count := func() (n int) {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range stored {
				n += len(s)
			}
			return n
		}
		progress := func() {
			t.Helper()
			goal := count() + 500
			require.Eventually(t, func() bool { return count() >= goal }, soon, 10*time.Millisecond)
		}
		progress()
		c.Nodes[round].Kill()
		progress()
		require.Eventually(t, func() bool { // each topic
			for i := range topics {
				if at((round+1)%3).ask("POST", fmt.Sprintf("/projects/P/topics/t%d:publish", i), one("again"), nil) != http.StatusOK {
					return false
				}
			}
			return true
		}, soon, 10*time.Millisecond)
		close(over)
		all.Wait()
		t.Logf("FIGURE a node killed: the slowest answer took %v, nothing was taken for at most %v, %d refusals", slowest.Round(time.Millisecond), dark.Round(time.Millisecond), refused)
		require.Less(t, slowest, answered)
		c.Nodes[round].Launch()
		c.Nodes[round].AwaitReady()
	}
	for topic, want := range stored {
		at(0).holds(fmt.Sprint("s", topic), want)
	}
}
