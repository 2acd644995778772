package pubsub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// sluice runs the program for a node's data.
func sluice(t *testing.T, n *nodes.Node, command string, arguments ...string) string {
	t.Helper()
	out, err := n.Command(append([]string{command, "--data-dir", n.Dir()}, arguments...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// one is a request with a message.
func one(data string) string {
	body, _ := json.Marshal(map[string]any{"messages": []any{map[string]any{"data": []byte(data), "attributes": map[string]string{"k": data}}}})
	return string(body)
}

// again is how often it is looked whether something has come.
const again = 20 * time.Millisecond

// places are where a subscription is.
type places struct{ Max, Min, Current int }

func (c caller) places(sub string) (p places) {
	c.t.Helper()
	c.must("GET", "/projects/P/subscriptions/"+sub+":offsets", "", &p)
	return p
}

// all pulls everything from a place on.
func (c caller) all(sub string, from int) (bodies []string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { // in a cluster the cursor is known everywhere in a moment
		var got received
		if c.ask("POST", "/projects/P/subscriptions/"+sub+":pull", `{"maxMessages":"1000"}`, &got) != http.StatusOK || len(got.Received) == 0 || got.Received[0].Message.ID != fmt.Sprint(from) {
			return false
		}
		bodies = nil
		for i, m := range got.Received {
			require.Equal(c.t, fmt.Sprint(from+i), m.Message.ID)
			require.Equal(c.t, string(m.Message.Data), m.Message.Attributes["k"])
			bodies = append(bodies, string(m.Message.Data))
		}
		return true
	}, soon, again)
	return bodies
}

const threeDoors = `
listeners:
- {protocol: stomp, address: "127.0.0.1:0"}
- {protocol: nats, address: "127.0.0.1:0"}
- {protocol: pubsub, address: "127.0.0.1:0"}
- {protocol: admin, address: "127.0.0.1:0"}
pubsub: {service_token: the-service-token}
`

// A backup of a node that works has topics with their messages: restored in a cluster each has its offset, subscriptions go on where they were, and what is published then comes behind.
// Nothing that was published or acknowledged while the backup was made puts a subscription behind its log. A second restore changes nothing.
func TestABackupHasTheMessagesOfTopics(t *testing.T) {
	t.Parallel()
	alone := nodes.StartConfigured(t, threeDoors)
	service := caller{t, alone, token}
	service.must("POST", "/projects/P", `{"description":""}`, nil)
	for _, topic := range []string{"t", "busy", "empty"} {
		service.must("PUT", "/projects/P/topics/"+topic, "", nil)
		service.must("PUT", "/projects/P/subscriptions/of-"+topic, `{"topic":"projects/P/topics/`+topic+`"}`, nil)
	}
	for i := range 10 {
		service.must("POST", "/projects/P/topics/t:publish", one(fmt.Sprint("t", i)), nil)
	}
	ack := func(topic string, upTo int) bool {
		var got received
		return service.taken("POST", "/projects/P/subscriptions/of-"+topic+":pull", `{"maxMessages":"1000"}`, &got) && slices.ContainsFunc(got.Received, func(m receivedMessage) bool {
			return m.Message.ID == fmt.Sprint(upTo) && service.taken("POST", "/projects/P/subscriptions/of-"+topic+":acknowledge", `{"ackIds":["`+m.AckID+`"]}`, nil)
		})
	}
	require.True(t, ack("t", 6))

	var busy sync.WaitGroup
	over := make(chan struct{})
	sent := 0
	busy.Go(func() {
		for ; ; sent++ {
			select {
			case <-over:
				return
			default:
			}
			if !service.taken("POST", "/projects/P/topics/busy:publish", one(fmt.Sprint("b", sent)), nil) || !ack("busy", sent) {
				t.Error("nothing is taken")
				return
			}
		}
	})
	require.Eventually(t, func() bool { return service.places("of-busy").Current > 20 }, soon, again)
	file := filepath.Join(t.TempDir(), "backup")
	sluice(t, alone, "backup", "--out", file)
	close(over)
	busy.Wait()

	c := nodes.StartCluster(t, "listeners=stomp=127.0.0.1:0,nats=127.0.0.1:0,admin=127.0.0.1:0,pubsub=127.0.0.1:0", "pubsub.service_token="+token)
	said := sluice(t, c.Nodes[1], "restore", file)
	require.Contains(t, said, "0 messages restored\n")
	require.Contains(t, said, "messages of 3 topics restored\n")
	for i := range c.Nodes {
		there := service.at(c.Nodes[i])
		require.Equal(t, places{Max: 10, Current: 7}, there.places("of-t"))
		require.Equal(t, []string{"t7", "t8", "t9"}, there.all("of-t", 7))
		require.Equal(t, places{}, there.places("of-empty"))
		p := there.places("of-busy")
		require.GreaterOrEqual(t, p.Max, p.Current)
		require.Greater(t, p.Current, 20)
	}
	end := service.at(c.Nodes[0]).places("of-busy")
	for i, n := range c.Nodes {
		var p published
		service.at(n).must("POST", "/projects/P/topics/busy:publish", one(fmt.Sprint("new", i)), &p)
		require.Equal(t, []string{fmt.Sprint(end.Max + i)}, p.IDs)
		service.at(n).must("POST", "/projects/P/topics/empty:publish", one("e"), &p)
		require.Equal(t, []string{fmt.Sprint(i)}, p.IDs)
	}
	rest := service.at(c.Nodes[2]).all("of-busy", end.Current)
	require.Equal(t, []string{"new0", "new1", "new2"}, rest[len(rest)-3:])
	require.Len(t, rest, end.Max-end.Current+3)
	service.at(c.Nodes[0]).must("POST", "/projects/P/subscriptions/of-t:modifyOffset", `{"offset":0}`, nil)
	require.Len(t, service.at(c.Nodes[0]).all("of-t", 0), 10)

	said = sluice(t, c.Nodes[2], "restore", "--merge", file)
	require.NotContains(t, said, "topics")
	require.Equal(t, places{Max: 10}, service.at(c.Nodes[0]).places("of-t"), "what is there stays as it is")
	require.Equal(t, end.Max+3, service.at(c.Nodes[1]).places("of-busy").Max)

	// And back: a backup of the cluster for a single node, where the log begins where it was.
	second := filepath.Join(t.TempDir(), "backup")
	sluice(t, c.Nodes[2], "backup", "--out", second)
	back := nodes.StartConfigured(t, threeDoors)
	sluice(t, back, "restore", second)
	there := caller{t, back, token}
	require.Equal(t, places{Max: 10}, there.places("of-t"))
	require.Equal(t, end.Max+3, there.places("of-busy").Max)
	back.Stop()
	back.Restart()
	require.Len(t, there.all("of-t", 0), 10)
	rest = there.all("of-busy", there.places("of-busy").Current)
	require.Equal(t, strings.Fields("new0 new1 new2"), rest[len(rest)-3:])
}
