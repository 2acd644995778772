package pubsub

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// many is how many topics a node has in TestFiguresOfManyTopics, each with two subscriptions; more is what SLUICE_TOPICS says.
const many = 200

// What many topics cost a node: to make, to start with and in memory, idle and after each was published to and read. It only says so.
func TestFiguresOfManyTopics(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	topics := many
	if text := os.Getenv("SLUICE_TOPICS"); text != "" {
		var err error
		topics, err = strconv.Atoi(text)
		require.NoError(t, err, "SLUICE_TOPICS")
	}
	n := nodes.StartConfigured(t, threeDoors)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	at := &node{t: t, client: &http.Client{Transport: transport, Timeout: time.Minute}}
	here := func() { at.base = "http://" + n.Addr("pubsub") + "/v1/projects/P" }
	here()
	at.must("POST", "", `{"description":""}`, nil)
	figure := func(what string, began time.Time) {
		now, most := n.Resident()
		t.Logf("FIGURE %d topics, %s: %v; %d MiB resident, %d at most", topics, what, time.Since(began).Round(time.Millisecond), now>>20, most>>20)
	}
	each := func(what string, do func(i int) error) {
		var all sync.WaitGroup
		began, next := time.Now(), make(chan int)
		for range 16 {
			all.Go(func() {
				for i := range next {
					if err := do(i); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range topics {
			next <- i
		}
		close(next)
		all.Wait()
		figure(what, began)
	}
	start := func(what string) {
		began := time.Now()
		n.Restart()
		figure(what, began)
		here()
	}
	figure("a node without topics", time.Now())
	each("made, with subscriptions", func(i int) error {
		err := at.ask("PUT", fmt.Sprint("/topics/t", i), "", nil)
		for k := range 2 {
			if err == nil {
				err = at.ask("PUT", fmt.Sprint("/subscriptions/s", i, "-", k), fmt.Sprintf(`{"topic":"projects/P/topics/t%d"}`, i), nil)
			}
		}
		return err
	})
	n.Stop()
	start("a start without messages")
	publish := func(i int) error { return at.ask("POST", fmt.Sprintf("/topics/t%d:publish", i), batch(1, 1000), nil) }
	pull := func(i int) error {
		var got pulled
		err := at.ask("POST", fmt.Sprintf("/subscriptions/s%d-1:pull", i), `{"maxMessages":"1"}`, &got)
		if err == nil && len(got.Received) != 1 {
			err = fmt.Errorf("%d messages of topic %d", len(got.Received), i)
		}
		if err == nil {
			err = at.ask("POST", fmt.Sprintf("/subscriptions/s%d-1:acknowledge", i), `{"ackIds":["`+got.Received[0].AckID+`"]}`, nil)
		}
		return err
	}
	each("the first message to each", publish)
	each("the second message to each", publish)
	each("a message of each pulled and acknowledged", pull)
	n.Stop()
	start("a start")
	each("the first message to each after a start", publish)
	each("a message of each pulled and acknowledged", pull)
	n.Kill()
	start("a start after a kill")
	each("a message of each pulled and acknowledged", pull)
}
