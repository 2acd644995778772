package pubsub

import (
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// What leases cost, on this machine: how many messages workers pull and acknowledge in a second, at one node and at three in turn. It only says so.
func TestFiguresOfLeases(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	listeners := "listeners=stomp=127.0.0.1:0,admin=127.0.0.1:0,pubsub=127.0.0.1:0"
	t.Run("one node", func(t *testing.T) {
		n := nodes.Start(t, listeners, "pubsub.service_token="+token)
		leaseFigures(t, []*nodes.Node{n})
	})
	t.Run("three nodes", func(t *testing.T) {
		c := nodes.StartCluster(t, listeners, "pubsub.service_token="+token)
		leaseFigures(t, c.Nodes[:])
	})
}

func leaseFigures(t *testing.T, all []*nodes.Node) {
	c := caller{t, all[0], token}
	c.must("POST", "/projects/P", `{"description":""}`, nil)
	c.must("PUT", "/projects/P/topics/t", "", nil)
	client := &http.Client{Timeout: soon, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	for _, each := range []int{1, 100} {
		c.must("PUT", leasedPath, `{"topic":"projects/P/topics/t","mode":"leased"}`, nil)
		messages := 6000
		if each == 1 {
			messages = 1000
		}
		for range messages / 1000 {
			c.must("POST", "/projects/P/topics/t:publish", batch(1000, 100), nil)
		}
		var taken atomic.Int64
		var workers sync.WaitGroup
		began := time.Now()
		for w := range 8 {
			workers.Go(func() {
				e := &errand{t: t, client: client, c: &nodes.Cluster{}}
				for i := range e.c.Nodes {
					e.c.Nodes[i] = all[i%len(all)]
				}
				body, _ := json.Marshal(map[string]any{"maxMessages": each})
				for taken.Load() < int64(messages) && time.Since(began) < time.Minute {
					var got lent
					if e.try(w, leasedPath+":pull", string(body), &got) != http.StatusOK || len(got.Received) == 0 {
						continue
					}
					var ids []string
					for _, r := range got.Received {
						ids = append(ids, r.AckID)
					}
					if e.try(w+1, leasedPath+":acknowledge", ackIDs(ids...), nil) == http.StatusOK {
						taken.Add(int64(len(ids)))
					}
				}
			})
		}
		workers.Wait()
		took := time.Since(began)
		require.Equal(t, int64(messages), taken.Load(), "each once")
		t.Logf("8 workers, %d at once: %.0f messages/s, %.0f acknowledgements/s", each, float64(messages)/took.Seconds(), float64(messages/each)/took.Seconds())
		c.must("DELETE", leasedPath, "", nil)
	}
}
