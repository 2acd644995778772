package pubsub

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// What a running node reads again of HTTP Pub/Sub counts from then on, and what it does not is named; a configuration that cannot be read changes nothing.
func TestTheTermsAreReadAgain(t *testing.T) {
	k := newSink(t)
	n := nodes.Configured(t)
	k.certified(t, filepath.Join(n.Home(), "endpoint.crt"))
	secret := filepath.Join(n.Home(), "service.token")
	configure := func(service, rest string) {
		t.Helper()
		require.NoError(t, os.WriteFile(secret, []byte(service), 0o600))
		n.Configure(`
listeners:
- {protocol: stomp, address: "127.0.0.1:0"}
- {protocol: pubsub, address: "127.0.0.1:0"}
- {protocol: admin, address: "127.0.0.1:0"}
pubsub: {service_token: "file:service.token"` + rest + `}
`)
	}
	reload := func() (string, error) {
		out, err := n.Command("reload", "--data-dir", n.Dir()).CombinedOutput()
		return string(out), err
	}
	configure(token, "")
	n.Launch()
	n.AwaitReady()
	old, now := caller{t, n, token}, caller{t, n, "another-service-token"}
	k.pushed(old)
	verify := "/projects/P/subscriptions/s:verifyPushEndpoint"
	require.Contains(t, old.refused(http.StatusUnauthorized, "POST", verify, ""), "the address of the endpoint is not allowed")
	large := one(strings.Repeat("x", 5000))
	old.must("POST", "/projects/P/topics/t:publish", large, nil)

	configure(now.token, `, auth_option: both, max_message_bytes: 4096, retention: 1m, token_key: "a key that is for the tokens alone", push: {allowed_networks: [127.0.0.0/8], ca: [endpoint.crt]}`)
	said, err := reload()
	require.NoError(t, err, said)
	require.Contains(t, said, "the terms of HTTP Pub/Sub are those of the files now")
	require.Contains(t, said, "the node has to be started again for what else has changed (keys: pubsub.token_key)")
	require.Equal(t, http.StatusUnauthorized, old.ask("GET", "/projects", "", nil))
	require.Equal(t, http.StatusRequestEntityTooLarge, now.ask("POST", "/projects/P/topics/t:publish", large, nil))
	now.must("POST", "/projects/P/topics/t:publish", one("small"), nil)
	a, err := http.Get(fmt.Sprintf("http://%s/v1/projects?key=%s", n.Addr("pubsub"), now.token))
	require.NoError(t, err)
	require.NoError(t, a.Body.Close())
	require.Equal(t, http.StatusOK, a.StatusCode)
	now.must("POST", verify, "", nil)
	require.Eventually(t, func() bool { return len(k.has()) == 2 }, soon, 10*time.Millisecond, "it is pushed")
	now.must("PUT", "/projects/P/topics/short", "", nil)
	require.Eventually(t, func() bool { // what a new topic keeps for a minute it keeps no longer
		text, err := n.Command("backup", "--data-dir", n.Dir(), "--out", "-").Output()
		return err == nil && strings.Contains(string(text), `"retention_ms":60000`) && strings.Contains(string(text), `"retention_ms":604800000`)
	}, soon, 100*time.Millisecond)

	configure("short", `, auth_option: both`)
	said, err = reload()
	require.Error(t, err)
	require.Contains(t, said, "pubsub.service_token: it is shorter than 16 characters")
	require.Equal(t, http.StatusOK, now.ask("GET", "/projects", "", nil))
	configure("a-third-service-token", "")
	n.Signal(syscall.SIGHUP)
	third := caller{t, n, "a-third-service-token"}
	require.Eventually(t, func() bool { return third.taken("GET", "/projects", "", nil) }, soon, 10*time.Millisecond)
	for _, command := range []string{"drain", "undrain"} { // the door that is opened again has the terms of now
		sluice(t, n, command)
	}
	require.Eventually(t, func() bool { return third.taken("GET", "/projects", "", nil) }, soon, 10*time.Millisecond)
	third.must("POST", "/projects/P/topics/t:publish", large, nil)
}
