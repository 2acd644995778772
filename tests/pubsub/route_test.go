package pubsub

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// routed makes a project with a topic, and a route that copies its messages: all to one topic, and by an attribute to others; to one of them only what its schema lets in.
func (c caller) routed() {
	c.t.Helper()
	c.must("POST", "/projects/P", `{"description":""}`, nil)
	c.must("POST", "/projects/P/schemas/x", `{"type":"json","schema":{"type":"object","required":["odd"]}}`, nil)
	for _, topic := range []string{"t", "every", "site-a", "site-b", "refused"} {
		c.must("PUT", "/projects/P/topics/"+topic, "", nil)
	}
	c.must("POST", "/projects/P/topics/site-b:attachSchema", `{"schema":"projects/P/schemas/x"}`, nil)
	c.must("PUT", "/projects/P/routes/r", `{"topic":"projects/P/topics/t","targets":["projects/P/topics/every","projects/P/topics/site-{attributes.site}"],"deadLetterTopic":"projects/P/topics/refused"}`, nil)
}

// pour publishes messages with a name until it is told to stop, at whichever node takes them. What has no answer may be there all the same.
func pour(t *testing.T, name string, all ...*nodes.Node) (published *atomic.Int64, stop func()) {
	published = new(atomic.Int64)
	over := make(chan struct{})
	var background sync.WaitGroup
	background.Go(func() {
		for n := 0; ; n++ {
			var messages []any
			for i := range 1 + n%23 {
				body, site := fmt.Sprintf(`{"n":"%s-%d-%d"}`, name, n, i), []string{"", "a", "b", "c"}[(n+i)%4]
				if (n+i)%8 == 2 {
					body = fmt.Sprintf(`{"n":"%s-%d-%d","odd":true}`, name, n, i)
				}
				messages = append(messages, map[string]any{"data": []byte(body), "attributes": map[string]string{"site": site}})
			}
			body, err := json.Marshal(map[string]any{"messages": messages})
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case <-over:
				return
			default:
			}
			r, err := http.NewRequest("POST", "http://"+all[n%len(all)].Where("pubsub")+"/v1/projects/P/topics/t:publish", strings.NewReader(string(body)))
			if err != nil {
				continue
			}
			r.Header.Set("X-Api-Key", token)
			client := http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true}}
			if a, err := client.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, a.Body)
				_ = a.Body.Close()
				if a.StatusCode == http.StatusOK {
					published.Add(int64(len(messages)))
				}
			}
		}
	})
	return published, once(func() {
		close(over)
		background.Wait()
	})
}

// copied is a message of a topic, as far as copies have it.
type copied struct{ data, site string }

// whole is all messages of a topic.
func (c caller) whole(topic string) (got []copied) {
	c.t.Helper()
	sub := "/projects/P/subscriptions/all-" + topic
	require.Eventually(c.t, func() bool {
		code := c.ask("PUT", sub, `{"topic":"projects/P/topics/`+topic+`"}`, nil)
		return code == http.StatusOK || code == http.StatusConflict
	}, soon, 50*time.Millisecond)
	require.Eventually(c.t, func() bool { return c.ask("POST", sub+":modifyOffset", `{"offset":0}`, nil) == http.StatusOK }, soon, 50*time.Millisecond)
	for {
		var page received
		require.Eventually(c.t, func() bool { return c.ask("POST", sub+":pull", `{"maxMessages":"500"}`, &page) == http.StatusOK }, soon, 50*time.Millisecond)
		if len(page.Received) == 0 {
			return got
		}
		require.Equal(c.t, fmt.Sprint(len(got)), page.Received[0].Message.ID)
		for _, m := range page.Received {
			got = append(got, copied{string(m.Message.Data), m.Message.Attributes["site"]})
		}
		last := page.Received[len(page.Received)-1].AckID
		require.Eventually(c.t, func() bool { return c.ask("POST", sub+":acknowledge", `{"ackIds":["`+last+`"]}`, nil) == http.StatusOK }, soon, 50*time.Millisecond)
	}
}

// progress is how far the route is.
type progress struct {
	Progress struct {
		Next, Copies, Refused, Missed, Lag uint64
		Fault                              string
	}
}

// done waits until the route has nothing to copy.
func (c caller) done() (p progress) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		return c.ask("GET", "/projects/P/routes/r", "", &p) == http.StatusOK && p.Progress.Lag == 0
	}, 2*soon, 50*time.Millisecond)
	return p
}

// exact checks that each copy is where it belongs, once and in order.
func (c caller) exact() (messages int) {
	c.t.Helper()
	source := c.whole("t")
	only := func(which func(m copied) bool) (some []copied) {
		for _, m := range source {
			if which(m) {
				some = append(some, m)
			}
		}
		return some
	}
	odd := func(m copied) bool { return strings.Contains(m.data, "odd") }
	for topic, want := range map[string][]copied{
		"every":   source,
		"site-a":  only(func(m copied) bool { return m.site == "a" }),
		"site-b":  only(func(m copied) bool { return m.site == "b" && odd(m) }),
		"refused": only(func(m copied) bool { return m.site == "b" && !odd(m) || m.site == "c" }),
	} {
		got := c.whole(topic)
		for i := range min(len(got), len(want)) {
			require.Equal(c.t, want[i], got[i], "%s: copy %d", topic, i)
		}
		require.Equal(c.t, len(want), len(got), topic)
	}
	return len(source)
}

// leaderOf is the node that runs the route, which one does sooner or later.
func leaderOf(t *testing.T, all []*nodes.Node) (i int) {
	t.Helper()
	require.Eventually(t, func() bool {
		for i = range all {
			if !all[i].Running() {
				continue
			}
			client := http.Client{Timeout: time.Second}
			a, err := client.Get("http://" + all[i].Addr("admin") + "/metrics")
			if err != nil {
				continue
			}
			figures, err := io.ReadAll(a.Body)
			_ = a.Body.Close()
			if err == nil && strings.Contains(string(figures), `sluice_pubsub_route_lag_messages{route="P.r"}`) {
				return true
			}
		}
		return false
	}, soon, 50*time.Millisecond)
	return i
}

// The node that runs a route is killed, again and again, and stands still for longer than it takes the others to go on, while messages come at all nodes: each copy is made
// once, and in order.
func TestThreeNodesCopyOnce(t *testing.T) {
	t.Parallel()
	c := nodes.StartCluster(t, "listeners=stomp=127.0.0.1:0,nats=127.0.0.1:0,admin=127.0.0.1:0,pubsub=127.0.0.1:0", "pubsub.service_token="+token)
	service := caller{t, c.Nodes[0], token}
	service.routed()
	published, stop := pour(t, "x", c.Nodes[:]...)
	defer stop()
	comes := func() {
		t.Helper()
		before := published.Load()
		require.Eventually(t, func() bool { return published.Load() > before+200 }, 2*soon, 10*time.Millisecond)
	}
	comes()
	for range 3 {
		n := c.Nodes[leaderOf(t, c.Nodes[:])]
		n.Kill()
		comes()
		n.Launch()
		n.AwaitReady()
		comes()
	}
	n := c.Nodes[leaderOf(t, c.Nodes[:])]
	n.Signal(syscall.SIGSTOP)
	<-time.After(8 * time.Second) // the fault itself
	n.Signal(syscall.SIGCONT)
	comes()
	stop()
	p := service.done()
	messages := service.exact()
	require.Zero(t, p.Progress.Missed)
	require.GreaterOrEqual(t, messages, int(published.Load()))
	t.Logf("FIGURE %d messages, %d copies and %d refusals as they were counted", messages, p.Progress.Copies, p.Progress.Refused)
}

// A node that is killed while it copies, and is away for longer than its server remembers the ids of messages, goes on where it was. A durable subscription of STOMP to a
// target gets each copy, some perhaps twice.
func TestARouteGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	n := nodes.StartConfigured(t, doors(`{}`))
	service := caller{t, n, token}
	service.routed()
	durable := func() *stomp.Subscription {
		conn := overStomp(t, n, stomp.ConnOpt.Header("client-id", "me"))
		sub, err := conn.Subscribe("/topic/P.every", stomp.AckClientIndividual, stomp.SubscribeOpt.Header("activemq.subscriptionName", "mine"))
		require.NoError(t, err)
		require.NoError(t, conn.Send("/queue/elsewhere", "text/plain", nil, stomp.SendOpt.Receipt)) // so it is there
		return sub
	}
	durable()
	for i := range 4 {
		published, stop := pour(t, fmt.Sprint(i), n)
		require.Eventually(t, func() bool { return published.Load() > 300 }, soon, time.Millisecond)
		n.Kill()
		stop()
		<-time.After(time.Second) // ten times what the server remembers
		n.Launch()
		n.AwaitReady()
	}
	service.done()
	messages := service.exact()
	sub, heard, twice := durable(), make(map[string]struct{}), 0
	for len(heard) < messages {
		select {
		case m := <-sub.C:
			require.NoError(t, m.Err)
			if _, again := heard[string(m.Body)]; again {
				twice++
			}
			heard[string(m.Body)] = struct{}{}
			require.NoError(t, m.Conn.Ack(m))
		case <-time.After(soon):
			t.Fatalf("the durable subscription has heard %d of %d", len(heard), messages)
		}
	}
	t.Logf("FIGURE %d messages, %d twice at the durable subscription", messages, twice)
}

// A backup that is made while a route copies has what it takes to go on: in the node that takes it in, each message that there is has been, or is, copied once.
func TestARouteGoesOnAfterARestore(t *testing.T) {
	t.Parallel()
	n := nodes.StartConfigured(t, doors(`{}`))
	service := caller{t, n, token}
	service.routed()
	published, stop := pour(t, "before", n)
	defer stop()
	require.Eventually(t, func() bool { return published.Load() > 1000 }, soon, again)
	file := filepath.Join(t.TempDir(), "backup")
	sluice(t, n, "backup", "--out", file)
	stop()

	other := nodes.StartConfigured(t, doors(`{}`))
	sluice(t, other, "restore", file)
	there := service.at(other)
	published, stop = pour(t, "after", other)
	defer stop()
	require.Eventually(t, func() bool { return published.Load() > 300 }, soon, again)
	stop()
	there.done()
	times := make(map[copied]int)
	for _, m := range there.whole("every") {
		times[m]++
	}
	source := there.whole("t")
	for i, m := range source {
		require.Equal(t, 1, times[m], "message %d of %d: %v", i, len(source), m)
	}
	t.Logf("FIGURE %d messages, %d copies of messages that the backup does not have", len(source), len(times)-len(source))
}
