package pubsub

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// A node without a listener for HTTP Pub/Sub knows the schemas of topics and the tokens of users, and pushes what falls to it.
func TestANodeWithoutTheListenerIsOneOfThem(t *testing.T) {
	t.Parallel()
	k := newSink(t)
	file := filepath.Join(t.TempDir(), "endpoint.crt")
	k.certified(t, file)
	c := nodes.NewCluster(t)
	there := strings.Replace(configuration, "auth_option: both}", "push: {allowed_networks: [127.0.0.0/8], ca: ["+file+"]}}", 1)
	here := strings.Replace(there, `- {protocol: pubsub, address: "127.0.0.1:0"}`, "", 1)
	for i, text := range []string{there, there, here} {
		c.Nodes[i].Configure(text)
	}
	c.Launch()
	service := caller{t, c.Nodes[0], token}
	service.must("POST", "/projects/P", `{"description":""}`, nil)
	service.must("PUT", "/projects/P/topics/t", "", nil)
	const subscriptions = 12 // so that some fall to each node
	for i := range subscriptions {
		var sub struct {
			PushConfig struct{ VerificationHash string }
		}
		name := fmt.Sprint("/projects/P/subscriptions/s", i)
		service.must("PUT", name, fmt.Sprintf(`{"topic":"projects/P/topics/t","pushConfig":{"type":"http_endpoint","pushEndpoint":%q,"retryPolicy":{"period":10}}}`, k.URL), &sub)
		k.set(func() { k.hash = sub.PushConfig.VerificationHash })
		service.must("POST", name+":verifyPushEndpoint", "", nil)
	}
	ann := service.user("ann", "publisher")
	service.must("POST", "/projects/P/topics/t:modifyAcl", `{"authorized_users":["ann"]}`, nil)
	service.must("POST", "/projects/P/schemas/x", `{"type":"json","schema":{"type":"object"}}`, nil)
	service.must("POST", "/projects/P/topics/t:attachSchema", `{"schema":"projects/P/schemas/x"}`, nil)

	send := func(token, text string) error {
		conn, err := stomp.Dial("tcp", c.Nodes[2].Addr("stomp"), stomp.ConnOpt.Header("token", token))
		if err != nil {
			return err
		}
		defer func() { _ = conn.MustDisconnect() }()
		return conn.Send("/topic/P.t", "application/json", []byte(text), stomp.SendOpt.Receipt)
	}
	require.Error(t, send(strings.Repeat("0", 64), "{}"), "a token that is nobody's")
	require.Eventually(t, func() bool { return send(ann.token, `{"good":true}`) == nil }, soon, 50*time.Millisecond)
	require.ErrorContains(t, send(ann.token, `"bad"`), "Message 0 data is not valid")
	require.Eventually(t, func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.bodies) == subscriptions && !slices.Contains(k.bodies, `"bad"`)
	}, soon, 20*time.Millisecond, "each subscription is pushed")
}
