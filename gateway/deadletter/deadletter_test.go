package deadletter_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/deadletter"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/feed"
)

func anything(string) bool { return true }

// What a message was is what it becomes again, whatever it died of; dead again it says so of itself once.
func TestADeadMessageBecomesWhatItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &gateway.Message{
			ID: "ID:1", Body: []byte("body"), Persistent: rapid.Bool().Draw(t, "persistent"), Priority: 7,
			Destination: gateway.Destination{Kind: gateway.KindQueue, Name: rapid.StringMatching(`[a-z]([a-z.]{0,8}[a-z])?`).Filter(func(s string) bool { return (gateway.Destination{Kind: gateway.KindQueue, Name: s}).Validate() == nil }).Draw(t, "name")},
			Header:      gateway.Header{{Name: "own", Value: "1"}},
		}
		place := m.Destination.Place()
		if rapid.Bool().Draw(t, "durable") {
			m.Destination.Kind = gateway.KindTopic
			place = feed.Durable("client", "name").Place()
			m.Queue = place
		}
		if rapid.Bool().Draw(t, "copy") {
			m.Header = feed.WithOrigin(m.Header, "/topic/where.it.came.from")
		}
		if rapid.Bool().Draw(t, "expires") {
			m.Expires = 2000
		}
		dead, was := m, m
		for range rapid.IntRange(1, 3).Draw(t, "deaths") {
			death := &dispatch.Death{
				Cause: rapid.SampledFrom([]dispatch.Cause{dispatch.Refused, dispatch.Expired, dispatch.Exhausted, dispatch.Crowded}).Draw(t, "cause"), Entry: dispatch.Entry{Redeliveries: 3},
			}
			dead = deadletter.Copy(was, place, "ActiveMQ.DLQ", death)
			require.Equal(t, gateway.Destination{Kind: gateway.KindQueue, Name: "ActiveMQ.DLQ"}, dead.Destination)
			require.True(t, dead.Persistent)
			require.Zero(t, dead.Expires)
			require.Empty(t, dead.Queue)
			reason, has := dead.Header.Get("sluice-dead-reason")
			require.True(t, has)
			require.NotEmpty(t, reason)
			names := map[string]int{}
			for _, f := range dead.Header {
				names[f.Name]++
				require.Equal(t, 1, names[f.Name], f.Name)
			}
			var err error
			was, err = deadletter.Revived(dead, 1000, anything)
			require.NoError(t, err)
			require.Equal(t, m.Destination, was.Destination)
			require.Equal(t, m.Queue, was.Queue)
			require.Equal(t, m.Persistent, was.Persistent)
			require.Equal(t, m.Expires, was.Expires)
			require.ElementsMatch(t, m.Header, was.Header)
			require.Equal(t, m.Body, was.Body)
		}
		late, err := deadletter.Revived(dead, 3000, anything)
		require.NoError(t, err)
		require.Zero(t, late.Expires, "it would be dead again at once")
	})
}

// What says nothing of where it comes from stays, and so does what was kept for a durable subscription that is gone.
func TestWhatCannotGoBackStays(t *testing.T) {
	_, err := deadletter.Revived(&gateway.Message{}, 0, anything)
	require.Equal(t, gateway.Invalid, gateway.KindOf(err))
	m := &gateway.Message{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "t"}}
	dead := deadletter.Copy(m, feed.Durable("c", "n").Place(), "DLQ", &dispatch.Death{Cause: dispatch.Refused})
	_, err = deadletter.Revived(dead, 0, func(place string) bool { require.Equal(t, feed.Durable("c", "n").Place(), place); return false })
	require.Equal(t, gateway.NotFound, gateway.KindOf(err))
}

// The headers of dead messages are the clients': whatever they say, what comes of it is a message that may be sent, or an error.
func FuzzRevived(f *testing.F) {
	f.Add("/queue/a", "123", "NON_PERSISTENT", "c:n", "/topic/b")
	f.Add("topic://a,queue://b", "x", "", "", "")
	f.Fuzz(func(t *testing.T, origin, expiration, mode, subscription, before string) {
		dead := &gateway.Message{Persistent: true, Header: gateway.Header{
			{Name: feed.OriginHeader, Value: origin}, {Name: "originalExpiration", Value: expiration}, {Name: "originalDeliveryMode", Value: mode},
			{Name: "sluice-dead-subscription", Value: subscription}, {Name: "sluice-dead-origin", Value: before},
		}}
		m, err := deadletter.Revived(dead, 1000, anything)
		if err != nil {
			return
		}
		require.NoError(t, m.Destination.Validate())
		require.False(t, m.Destination.IsPattern())
		require.True(t, m.Expires == 0 || m.Expires > 1000)
		to, ok := feed.ParseOrigin(feed.OriginOf(m.Destination))
		require.True(t, ok)
		require.Equal(t, m.Destination, to)
	})
}
