package core_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
)

// A storm of refusals from one host, or from very many, hides no other host's and floods nothing.
func TestRefusalsOfOneHostHideNoOthers(t *testing.T) {
	var clock atomic.Int64
	start := time.Unix(1_700_000_000, 0)
	w, rules, c := newAudited(t, func(cfg *core.Config) {
		cfg.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
	})
	rules.nobody = []string{"eve", "mallory"}
	refused := func(user, remote string) {
		_, err := w.broker.Open(context.Background(), gateway.Login{Remote: remote, Credentials: gateway.Credentials{Login: user}})
		require.Error(t, err)
	}
	of := func() map[string]int { // lines by who and from where; what was left out by how many
		c.mu.Lock()
		defer c.mu.Unlock()
		lines := map[string]int{}
		for _, e := range c.events {
			if e.Count > 0 {
				lines["left out "+e.Remote] += e.Count
				continue
			}
			lines[e.Claimed+" "+e.Remote]++
		}
		c.events = nil
		return lines
	}
	for i := range 1000 {
		refused("mallory", fmt.Sprintf("203.0.113.9:%d", 1+i%2))
		refused("mallory", fmt.Sprintf("[2001:db8::%x]:1", i+1))
	}
	refused("eve", "198.51.100.7:1")
	lines := of()
	require.Equal(t, 1, lines["eve 198.51.100.7:1"])
	require.Equal(t, 10, lines["mallory 203.0.113.9:1"]+lines["mallory 203.0.113.9:2"])
	require.Len(t, lines, 1+2+10, "ten of a network")
	clock.Store(int64(time.Second))
	refused("mallory", "203.0.113.9:1")
	require.Eventually(t, func() bool { // the sweep tells of who does not come again
		for k, n := range of() {
			lines[k] += n
		}
		return lines["left out 2001:db8::/64"] == 990
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, 990, lines["left out 203.0.113.9"])
	clock.Store(int64(3 * time.Second))
	for i := range 5000 {
		refused("mallory", fmt.Sprintf("10.0.%d.%d:1", i/250, i%250))
	}
	require.Less(t, len(of()), 300, "of more hosts than that there is one share")
	clock.Store(int64(4 * time.Second))
	require.Eventually(t, func() bool { return of()["left out "] > 4600 }, 10*time.Second, time.Millisecond)
}

// What a session does that acts for others is written down with where they are now.
func TestWhereaboutsAreAskedEachTime(t *testing.T) {
	w, rules, c := newAudited(t)
	var where atomic.Value
	where.Store("192.0.2.5:1")
	s, err := w.broker.Open(context.Background(), gateway.Login{Remote: "native clients", Whereabouts: func() string { return where.Load().(string) }, Credentials: gateway.Credentials{Login: "alice"}})
	require.NoError(t, err)
	rules.allow("alice read *")
	w.broker.Reauthorize()
	c.written()
	where.Store("192.0.2.6:2")
	require.Error(t, w.try(s, queue("q"), true))
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Equal(t, "192.0.2.6:2", c.events[len(c.events)-1].Remote)
}
