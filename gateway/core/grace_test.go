package core_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/core"
)

// A clock that is set back must not make a subscriber's grace longer than it is.
func TestGraceEndsAlthoughTheClockIsSetBack(t *testing.T) {
	var behind atomic.Int64
	w := newWorld(t, func(c *core.Config) {
		c.TopicMessages = 100
		c.Now = func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }
	})
	s := w.session()
	w.subscribe(s, topic("t"), 10, true) // and never reads
	var o outcome
	for i := range 50 {
		s.Send(message(topic("t"), "x", false), &o, uint64(i))
	}
	o.mu.Lock()
	require.Less(t, len(o.done), 50, "some wait")
	o.mu.Unlock()
	behind.Store(int64(time.Hour))
	for _, err := range o.wait(t, 50) {
		require.NoError(t, err)
	}
}

// A subscription that ends lets everybody go who waited for it, once.
func TestClosingASlowSubscriptionLetsItsSendersGo(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.TopicMessages = 100 })
	s := w.session()
	for round := range 20 {
		c := w.subscribe(s, topic("t"), 10, true)
		var o outcome // panics if completed twice
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for i := range 60 {
				s.Send(message(topic("t"), "x", false), &o, uint64(i))
			}
		}()
		if round%2 == 0 {
			<-sent
		}
		c.Close()
		<-sent
		o.wait(t, 60)
	}
}
