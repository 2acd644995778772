package pubsub

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/golden"
	nodes "github.com/sluice-mq/sluice/tests/node"
)

// The recorded session with the real service, with a whole node: on its own store, by its own clock, over HTTP.
func TestGoldenSessionWithANode(t *testing.T) {
	t.Parallel()
	n := nodes.Configured(t)
	require.NoError(t, os.WriteFile(filepath.Join(n.Home(), "token.key"), []byte("the key of the tokens of this test alone"), 0o600))
	n.Configure(`
listeners:
- {protocol: pubsub, address: "127.0.0.1:0"}
- {protocol: admin, address: "127.0.0.1:0"}
pubsub: {service_token: the-service-token, token_key: "file:token.key", max_message_bytes: 1500000}
`)
	n.Launch()
	n.AwaitReady()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := http.Client{Timeout: soon, Transport: transport}
	ask := func(method, path, key, body string) golden.Answer {
		r, err := http.NewRequest(method, "http://"+n.Addr("pubsub")+"/v1"+path, strings.NewReader(body))
		require.NoError(t, err)
		if key != "" {
			r.Header.Set("X-Api-Key", key)
		}
		a, err := client.Do(r)
		require.NoError(t, err)
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		require.NoError(t, err)
		return golden.Answer{Code: a.StatusCode, Kind: a.Header.Get("Content-Type"), Body: string(text)}
	}
	later := golden.Difference{Status: 200, Body: `{"offset":0}`, Why: "all was sent after the time of the recording"}
	golden.Replay(t, golden.Player{
		Token: token, Ask: ask,
		Pass: func(d time.Duration) { <-time.After(d) }, // deadlines are what passes
		Here: map[int]golden.Difference{
			0: {Status: 200, Body: `{"status":"ok","push_servers":[{"endpoint":"n1","status":"SERVING"}]}`, Why: "a node pushes"},
			1: {Status: 200, Why: "another build on another machine"},
			2: {Status: 200, Why: "the same"},
			91: {Status: 200, Why: "a node pushes", Then: func() {
				require.Equal(t, 200, ask("DELETE", "/projects/EGI/subscriptions/s3", token, "").Code)
			}},
			131: later, 133: later,
			143: {Status: 200, Why: "a node pushes"},
			145: {Status: 409, Body: `{"error":{"code":409,"message":"Subscription is not in http push mode","status":"CONFLICT"}}`, Why: "a node pushes"},
		},
	})
}
