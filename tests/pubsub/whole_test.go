package pubsub

import (
	"net/http"
	"testing"
	"time"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// What a whole node does in a second, on this machine, at its default durability. It only says so.
func TestFiguresOfANode(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	running := nodes.StartConfigured(t, `
listeners:
- {protocol: pubsub, address: "127.0.0.1:0"}
pubsub: {service_token: `+token+`}
`)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	figures(t, &node{t: t, base: "http://" + running.Addr("pubsub") + "/v1/projects/P", client: &http.Client{Transport: transport, Timeout: time.Minute}})
}
