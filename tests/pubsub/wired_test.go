package pubsub

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// doors is a node with every door, and its settings for pushes.
func doors(pushes string) string {
	return `
listeners:
- {protocol: stomp, address: "127.0.0.1:0"}
- {protocol: nats, address: "127.0.0.1:0"}
- {protocol: pubsub, address: "127.0.0.1:0"}
- {protocol: admin, address: "127.0.0.1:0"}
pubsub: {service_token: the-service-token, push: ` + pushes + `}
`
}

// pushed makes a topic, and a subscription to it that the sink wants to be pushed to.
func (k *sink) pushed(c caller) {
	c.t.Helper()
	c.must("POST", "/projects/P", `{"description":""}`, nil)
	c.must("PUT", "/projects/P/topics/t", "", nil)
	var sub struct {
		PushConfig struct{ VerificationHash string }
	}
	c.must("PUT", "/projects/P/subscriptions/s", fmt.Sprintf(`{"topic":"projects/P/topics/t","pushConfig":{"type":"http_endpoint","pushEndpoint":%q,"retryPolicy":{"period":10}}}`, k.URL), &sub)
	k.set(func() { k.hash = sub.PushConfig.VerificationHash })
}

// certified writes down by what the sink is known.
func (k *sink) certified(t *testing.T, file string) {
	t.Helper()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Certificate().Raw})
	require.NoError(t, os.WriteFile(file, certificate, 0o600))
}

// Where the configuration lets it a node pushes what comes by STOMP, soon; an endpoint that does not answer keeps it from nothing, a stop neither, and gets
// what it did not take when the node is there again.
func TestANodePushesWhatComesByStomp(t *testing.T) {
	t.Parallel()
	k := newSink(t)
	n := nodes.Configured(t, "shutdown_timeout=4s")
	k.certified(t, filepath.Join(n.Home(), "endpoint.crt"))
	n.Configure(doors(`{allowed_networks: [127.0.0.0/8], ca: [endpoint.crt]}`))
	n.Launch()
	n.AwaitReady()
	service := caller{t, n, token}
	k.pushed(service)
	service.must("POST", "/projects/P/subscriptions/s:verifyPushEndpoint", "", nil)
	send := func(text string) {
		t.Helper()
		require.NoError(t, overStomp(t, n).Send("/topic/P.t", "text/plain", []byte(text), stomp.SendOpt.Receipt))
	}
	comes := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool {
			k.mu.Lock()
			defer k.mu.Unlock()
			return slices.Equal(want, k.bodies)
		}, soon, 10*time.Millisecond)
	}
	send("first")
	comes("first")
	send("second")
	comes("first", "second")
	require.Eventually(t, func() bool {
		a, err := http.Get("http://" + n.Addr("admin") + "/metrics")
		require.NoError(t, err)
		defer a.Body.Close()
		figures, err := io.ReadAll(a.Body)
		require.NoError(t, err)
		return strings.Contains(string(figures), "sluice_pubsub_pushed_total 2\n") && strings.Contains(string(figures), "sluice_pubsub_push_subscriptions 1\n")
	}, soon, 10*time.Millisecond)

	pause := make(chan struct{})
	goOn := once(func() { close(pause) })
	t.Cleanup(goOn)
	k.set(func() { k.pause = pause })
	send("third")
	<-k.begun
	began := time.Now()
	n.Stop()
	require.Less(t, time.Since(began), 4*time.Second)
	k.set(func() { k.pause, k.bodies = nil, nil; k.shut = true })
	goOn()
	n.Launch()
	n.AwaitReady()
	k.set(func() { k.shut = false })
	comes("third")
}

// takeover is how long a push may take when a node has just died: for whoever goes on to know, and for the log's next leader.
const takeover = 15 * time.Second

// Three nodes share the subscriptions out; whichever of them dies, the others push what fell to it, and nothing is left out.
func TestThreeNodesPush(t *testing.T) {
	k := newSink(t)
	file := filepath.Join(t.TempDir(), "endpoint.crt")
	k.certified(t, file)
	c := nodes.StartCluster(t, "listeners=stomp=127.0.0.1:0,nats=127.0.0.1:0,admin=127.0.0.1:0,pubsub=127.0.0.1:0", "pubsub.service_token="+token,
		"pubsub.push.allowed_networks=127.0.0.0/8", "pubsub.push.ca="+file)
	k.pushed(caller{t, c.Nodes[0], token})
	caller{t, c.Nodes[1], token}.must("POST", "/projects/P/subscriptions/s:verifyPushEndpoint", "", nil)
	sent := 0
	round := func(all ...int) {
		t.Helper()
		for _, i := range all {
			text := fmt.Sprint("message ", sent)
			require.Eventually(t, func() bool { // until the nodes agree on who leads the log
				conn, err := stomp.Dial("tcp", c.Nodes[i].Addr("stomp"))
				if err != nil {
					return false
				}
				defer func() { _ = conn.MustDisconnect() }()
				return conn.Send("/topic/P.t", "text/plain", []byte(text), stomp.SendOpt.Receipt) == nil
			}, soon, 100*time.Millisecond)
			sent++
			require.Eventually(t, func() bool {
				k.mu.Lock()
				defer k.mu.Unlock()
				return slices.Contains(k.bodies, text)
			}, takeover, 10*time.Millisecond, text)
		}
	}
	round(0, 1, 2)
	ids := k.has() // a send without a receipt was sent again, and then there are two of it
	slices.Sort(ids)
	require.Len(t, slices.Compact(slices.Clone(ids)), len(ids), "while nothing happens to the nodes a message is pushed once: %v", ids)
	for i := range c.Nodes {
		others := []int{(i + 1) % 3, (i + 2) % 3}
		c.Nodes[i].Kill()
		round(others...)
		c.Nodes[i].Launch()
		c.Nodes[i].AwaitReady()
		round(0, 1, 2)
	}
}

// Without a word in the configuration nobody has a node go to what only it can reach, and nobody is told what is there.
func TestANodePushesToNothingInside(t *testing.T) {
	k := newSink(t)
	n := nodes.StartConfigured(t, doors(`{}`))
	service := caller{t, n, token}
	k.pushed(service)
	require.Contains(t, service.refused(http.StatusUnauthorized, "POST", "/projects/P/subscriptions/s:verifyPushEndpoint", ""), "the address of the endpoint is not allowed")
}

// A topic's schema counts at every door, for a transaction as a whole, and as long as the topic has it.
func TestASchemaCountsAtEveryDoor(t *testing.T) {
	n := nodes.StartConfigured(t, doors(`{}`))
	service := caller{t, n, token}
	service.must("POST", "/projects/P", `{"description":""}`, nil)
	service.must("PUT", "/projects/P/topics/t", "", nil)
	service.must("PUT", "/projects/P/subscriptions/s", `{"topic":"projects/P/topics/t"}`, nil)
	service.must("POST", "/projects/P/schemas/x", `{"type":"json","schema":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}}`, nil)
	service.must("POST", "/projects/P/topics/t:attachSchema", `{"schema":"projects/P/schemas/x"}`, nil)
	good, bad, refusal := []byte(`{"name":"ann"}`), []byte(`{"age":7}`), "Message 0 data is not valid"

	send := func(body []byte) error {
		return overStomp(t, n).Send("/topic/P.t", "application/json", body, stomp.SendOpt.Receipt)
	}
	require.ErrorContains(t, send(bad), refusal)
	require.NoError(t, send(good))
	tx := overStomp(t, n).Begin()
	require.NoError(t, tx.Send("/topic/P.t", "application/json", good))
	require.NoError(t, tx.Send("/topic/P.t", "application/json", bad))
	require.Error(t, tx.CommitWithReceipt())

	native, err := natsgo.Connect("nats://" + n.Addr("nats"))
	require.NoError(t, err)
	defer native.Close()
	js, err := jetstream.New(native)
	require.NoError(t, err)
	publish := func(body []byte) error {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		_, err := js.Publish(ctx, "topic.P.t", body, jetstream.WithExpectStream("TOPICS"))
		return err
	}
	require.ErrorContains(t, publish(bad), refusal)
	require.NoError(t, publish(good))

	require.Contains(t, service.refused(http.StatusBadRequest, "POST", "/projects/P/topics/t:publish", `{"messages":[{"data":"eyJhZ2UiOjd9"}]}`), refusal)
	require.Equal(t, "2", service.publish(good, nil), "nothing is there but what the schema lets in")
	service.must("POST", "/projects/P/topics/t:detachSchema", "", nil)
	require.NoError(t, send(bad))
	for i, want := range [][]byte{good, good, good, bad} {
		body, _ := service.take(i)
		require.Equal(t, string(want), string(body))
	}
}
