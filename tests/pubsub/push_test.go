package pubsub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/push"
)

// sink is an endpoint that can be shut.
type sink struct {
	*httptest.Server
	mu   sync.Mutex
	hash string
	shut bool
	// pause, if not nil, keeps pushes from being answered until it is closed; begun hears of them.
	pause, begun chan struct{}
	ids          []string
	bodies       []string
}

func newSink(t testing.TB) *sink {
	k := &sink{begun: make(chan struct{}, 100)}
	k.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, k.hash)
			return
		}
		if pause := k.pause; pause != nil {
			k.mu.Unlock()
			k.begun <- struct{}{}
			<-pause
			k.mu.Lock()
		}
		var one struct {
			Message struct {
				MessageID string
				Data      []byte
			}
		}
		if k.shut || json.NewDecoder(r.Body).Decode(&one) != nil {
			http.Error(w, "shut", http.StatusServiceUnavailable)
			return
		}
		k.ids, k.bodies = append(k.ids, one.Message.MessageID), append(k.bodies, string(one.Message.Data))
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *sink) has() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.ids)
}

func (k *sink) set(change func()) {
	k.mu.Lock()
	change()
	k.mu.Unlock()
}

// pushing has a node push, until it stops.
func (k *sink) pushing(t testing.TB) (configure func(*pubsub.Config), stop func()) {
	pool := x509.NewCertPool()
	pool.AddCert(k.Certificate())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	configure = func(cfg *pubsub.Config) {
		p, err := pubsub.NewPusher(push.Config{
			Directory: cfg.Directory, Logs: cfg.Logs, Node: "n1", TLS: &tls.Config{RootCAs: pool}, AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Look: 50 * time.Millisecond,
		})
		require.NoError(t, err)
		cfg.Push = p
		go func() {
			defer close(ended)
			_ = p.Run(ctx)
		}()
	}
	stop = once(func() {
		cancel()
		<-ended
	})
	t.Cleanup(stop)
	return configure, stop
}

// What an endpoint took is not pushed again after a restart, and what it did not take is; its verification and the fault that it has outlive the node.
func TestPushGoesOnAfterARestart(t *testing.T) {
	dir, k := t.TempDir(), newSink(t)
	configure, stop := k.pushing(t)
	n := start(t, dir, true, configure)
	n.must("POST", "", `{"description":""}`, nil)
	n.must("PUT", "/topics/t", "", nil)
	var sub struct {
		PushConfig struct {
			VerificationHash string
			Verified         bool
		}
		PushStatus string
	}
	n.must("PUT", "/subscriptions/s", fmt.Sprintf(`{"topic":"projects/P/topics/t","pushConfig":{"type":"http_endpoint","pushEndpoint":%q,"retryPolicy":{"period":10}}}`, k.URL), &sub)
	k.set(func() { k.hash = sub.PushConfig.VerificationHash })
	n.must("POST", "/subscriptions/s:verifyPushEndpoint", "", nil)
	n.must("POST", "/topics/t:publish", batch(10, 10), nil)
	current := func() int {
		var o struct{ Current int }
		n.must("GET", "/subscriptions/s:offsets", "", &o)
		return o.Current
	}
	eventually := func(what func() bool) { t.Helper(); require.Eventually(t, what, 30*time.Second, 10*time.Millisecond) }
	eventually(func() bool { return current() == 10 })
	k.set(func() { k.shut = true })
	n.must("POST", "/topics/t:publish", batch(10, 10), nil)
	eventually(func() bool {
		n.must("GET", "/subscriptions/s", "", &sub)
		return len(sub.PushStatus) > 0 && sub.PushStatus != "Subscription /projects/P/subscriptions/s is currently active"
	})
	require.Contains(t, sub.PushStatus, "the endpoint answered 503: shut")
	stop()
	n.stop()

	configure, stop = k.pushing(t)
	n = start(t, dir, true, configure)
	n.must("GET", "/subscriptions/s", "", &sub)
	require.True(t, sub.PushConfig.Verified)
	require.Contains(t, sub.PushStatus, "the endpoint answered 503: shut")
	require.Equal(t, 10, current())
	k.set(func() { k.shut = false })
	eventually(func() bool { return current() == 20 })
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint(i))
	}
	require.Equal(t, want, k.has())
	stop()
}
