package core_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// A message of a topic that has expired is shown to nobody: neither if it is sent too late, nor if it waited too long for its subscriber.
func TestExpiredMessagesOfTopicsAreNotShown(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000_000)
	w := newWorld(t, func(c *core.Config) { c.Now = func() time.Time { return time.UnixMilli(now.Load()) } })
	s := w.session()
	c := w.subscribe(s, topic("t"), 10, true)
	send := func(body string, expires int64) {
		t.Helper()
		var o outcome
		s.Send(&gateway.Message{Destination: topic("t"), Body: []byte(body), Expires: expires}, &o, 0)
		require.NoError(t, o.wait(t, 1)[0])
	}
	send("late", now.Load()-1)
	send("waits too long", now.Load()+1000)
	send("lives", now.Load()+5000)
	now.Add(2000)
	send("new", 0)
	require.Equal(t, []string{"lives", "new"}, bodies(c.next(2)))
	send("alone", now.Load()+1000)
	now.Add(2000)
	require.Zero(t, c.Next(make([]gateway.Delivery, 4), 1<<20))
	send("last", 0)
	require.Equal(t, []string{"last"}, bodies(c.next(1)), "it is woken again")
}

// A dead letter that was not persistent is safe as a dead letter, and what it was when it goes back.
func TestDeadLettersThatWereNotPersistent(t *testing.T) {
	w := newWorld(t, func(c *core.Config) {
		c.Policies = policy.NewTable([]policy.Policy{{On: []gateway.Destination{queue("q")}, DeadLetter: policy.DeadLetter{KeepNonPersistent: true}}})
	})
	s := w.session()
	w.send(s, queue("q"), false, "x")
	c := w.subscribe(s, queue("q"), 1, false)
	var o outcome
	c.Nack(tags(c.next(1)), &o, 0)
	require.NoError(t, o.wait(t, 1)[0])
	d := w.subscribe(s, queue("ActiveMQ.DLQ"), 1, true)
	dead := d.next(1)[0].Message
	require.True(t, dead.Persistent)
	for name, want := range map[string]string{"originalDeliveryMode": "NON_PERSISTENT", "originalExpiration": "0"} {
		value, _ := dead.Header.Get(name)
		require.Equal(t, want, value, name)
	}
}

// What a virtual topic's queue gets of a composite destination comes from that topic.
func TestVirtualCopiesOfACompositeNameTheirTopic(t *testing.T) {
	w := newLasting(t)
	s := w.session()
	c := w.subscribe(s, queue("Consumer.A.b"), 10, true)
	m := &gateway.Message{Destination: topic("a"), Also: []gateway.Destination{topic("b")}}
	var o outcome
	s.Send(m, &o, 0)
	require.NoError(t, o.wait(t, 1)[0])
	origin, _ := c.next(1)[0].Message.Header.Get("original-destination")
	require.Equal(t, "/topic/b", origin)
}

// Shared durable subscriptions without a client-id belong to all who have none.
func TestSharedDurableSubscriptionsOfNobody(t *testing.T) {
	w := newLasting(t)
	o := durably("t", "sub")
	o.Shared = true
	w.lasting(w.session(), o).Close()
	w.send(w.session(), topic("t"), true, "kept")
	s := w.session()
	c := w.lasting(s, o)
	require.Equal(t, []string{"kept"}, bodies(c.next(1)))
	other := w.lasting(w.session(), o)
	c.Close()
	other.Close()
	require.NoError(t, forget(t, s, "sub"))
	require.Equal(t, gateway.NotFound, gateway.KindOf(forget(t, s, "sub")))
}
