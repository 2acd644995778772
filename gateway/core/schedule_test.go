package core_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// wallClock is a time that a test moves.
type wallClock struct{ at atomic.Int64 }

func newWallClock() *wallClock {
	c := &wallClock{}
	c.at.Store(time.Date(2026, 5, 4, 12, 0, 30, 0, time.UTC).UnixMilli())
	return c
}

func (c *wallClock) now() time.Time          { return time.UnixMilli(c.at.Load()) }
func (c *wallClock) advance(d time.Duration) { c.at.Add(d.Milliseconds()) }

func scheduled(d gateway.Destination, body string, persistent bool, header ...string) *gateway.Message {
	m := message(d, body, persistent)
	for i := 0; i < len(header); i += 2 {
		m.Header = append(m.Header, gateway.Field{Name: header[i], Value: header[i+1]})
	}
	return m
}

func (w *world) put(s gateway.Session, m *gateway.Message) error {
	var o outcome
	s.Send(m, &o, 1)
	return o.wait(w, 1)[1]
}

// idle: nothing is there now, and the scheduler has had a look since the clock was moved.
func (c *consumer) idle() {
	c.Helper()
	require.Never(c, func() bool { return len(take(c)) > 0 }, 600*time.Millisecond, 50*time.Millisecond)
}

// B3 78: a message with a delay comes when its time has come, with ActiveMQ's header; also after a restart, also to topics.
func TestB3_78_Delay(t *testing.T) {
	t.Parallel()
	at := newWallClock()
	w := newWorld(t, func(c *core.Config) { c.Now = at.now })
	s := w.session()
	require.NoError(t, w.put(s, scheduled(queue("q"), "late", true, "AMQ_SCHEDULED_DELAY", "60000", "a", "b")))
	require.NoError(t, w.put(s, scheduled(queue("q"), "later", true, "AMQ_SCHEDULED_DELAY", "120000")))
	require.NoError(t, w.put(s, scheduled(queue("q"), "now", true)))
	c := w.subscribe(w.session(), queue("q"), 10, false)
	c.ack(c.next(1)...)
	at.advance(50 * time.Second)
	c.idle()
	w.restart()
	c = w.subscribe(w.session(), queue("q"), 10, false)
	tc := w.subscribe(w.session(), topic("t"), 10, false)
	require.NoError(t, w.put(w.session(), scheduled(topic("t"), "topic", false, "AMQ_SCHEDULED_DELAY", "1")))
	c.idle()
	at.advance(11 * time.Second)
	d := c.next(1)[0]
	require.Equal(t, "late", string(d.Message.Body))
	require.Zero(t, d.Redeliveries)
	_, still := d.Message.Header.Get("AMQ_SCHEDULED_DELAY")
	require.False(t, still)
	job, has := d.Message.Header.Get("scheduledJobId")
	require.True(t, has)
	require.NotEmpty(t, job)
	require.Len(t, d.Message.Header, 2, "its own and that")
	require.Equal(t, []string{"topic"}, bodies(tc.next(1)))
	c.ack(d)
	gatewaytest.Eventually(t, func() bool { return w.waiting() == 0 }, "settled")
	require.NoError(t, w.broker.Settle(t.Context()))
	w.crash()
	at.advance(time.Hour)
	c = w.subscribe(w.session(), queue("q"), 10, false)
	require.Equal(t, []string{"later"}, bodies(c.next(1)))
	c.idle()
}

// B3 79: what cannot be read is refused in words.
func TestB3_79_BadSchedules(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	for name, value := range map[string]string{
		"AMQ_SCHEDULED_DELAY": "soon", "AMQ_SCHEDULED_PERIOD": "-1", "AMQ_SCHEDULED_CRON": "* * *",
	} {
		err := w.put(s, scheduled(queue("q"), "x", true, name, value))
		require.Equal(t, gateway.Invalid, gateway.KindOf(err), name)
		require.Contains(t, err.Error(), name)
	}
	err := w.put(s, scheduled(queue("q"), "x", true, "AMQ_SCHEDULED_DELAY", "5", "AMQ_SCHEDULED_REPEAT", "1x"))
	require.Contains(t, err.Error(), "AMQ_SCHEDULED_REPEAT")
	err = w.put(s, scheduled(queue("q"), "x", true, "AMQ_SCHEDULED_CRON", "0 0 31 2 *"))
	require.Contains(t, err.Error(), "no day")
	require.Zero(t, w.waiting())
}

// A message with a period and a number of repetitions comes that often and once more, each time once, also over restarts.
func TestB3_78_Repeat(t *testing.T) {
	t.Parallel()
	at := newWallClock()
	w := newWorld(t, func(c *core.Config) { c.Now = at.now })
	require.NoError(t, w.put(w.session(), scheduled(queue("q"), "x", true, "AMQ_SCHEDULED_DELAY", "1000", "AMQ_SCHEDULED_PERIOD", "10000", "AMQ_SCHEDULED_REPEAT", "4")))
	c := w.subscribe(w.session(), queue("q"), 10, false)
	ids := map[string]bool{}
	for i := range 5 {
		at.advance(10 * time.Second)
		d := c.next(1)[0]
		require.False(t, ids[d.Message.ID])
		ids[d.Message.ID] = true
		c.ack(d)
		if i%2 == 0 {
			gatewaytest.Eventually(t, func() bool { return len(take(c)) == 0 }, "nothing more")
			w.restart()
			c = w.subscribe(w.session(), queue("q"), 10, false)
		}
	}
	at.advance(time.Hour)
	c.idle()
	require.Zero(t, w.waiting())
}

// Cron entries are in UTC and go on for ever.
func TestB3_78_Cron(t *testing.T) {
	t.Parallel()
	at := newWallClock()
	w := newWorld(t, func(c *core.Config) { c.Now = at.now })
	require.NoError(t, w.put(w.session(), scheduled(queue("q"), "x", true, "AMQ_SCHEDULED_CRON", "*/5 12,13 * * 1-5")))
	c := w.subscribe(w.session(), queue("q"), 10, false)
	c.idle()
	for range 3 {
		at.advance(5 * time.Minute)
		c.ack(c.next(1)...)
		c.idle()
	}
}

// Whoever owns what waits for its time sends it, and the next one after it, once each.
func TestScheduleInACluster(t *testing.T) {
	t.Parallel()
	at := newWallClock()
	r := newRealm(t, func(c *core.Config) { c.Now = at.now })
	r.Move(0, "n1")
	r.Move(1, "n1")
	for i := range 3 {
		require.NoError(t, r.worlds[i].put(r.worlds[i].session(), scheduled(queue("q"), fmt.Sprint(i), true, "AMQ_SCHEDULED_DELAY", "60000", "AMQ_SCHEDULED_PERIOD", "60000", "AMQ_SCHEDULED_REPEAT", "2")))
	}
	c := r.worlds[1].subscribe(r.worlds[1].session(), queue("q"), 10, false)
	for _, owner := range []string{"n2", "n3", "n1"} {
		r.Move(0, owner)
		r.Move(1, owner)
		at.advance(time.Minute)
		got := c.next(3)
		require.Equal(t, numbers(0, 3), sorted(got))
		c.ack(got...)
		c.idle()
	}
}
