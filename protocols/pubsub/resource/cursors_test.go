package resource_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// set moves a cursor to an offset.
func set(t testing.TB, d *resource.Directory, s *resource.Subscription, of *resource.Topic, to uint64) error {
	return d.MoveCursor(t.Context(), s, of, func(c *resource.Cursor) (bool, error) { c.Offset = to; return true, nil })
}

// A topic that is made again is another log: what was under way for the one before moves nothing, and what was handed out of that one is known by its generation.
func TestCursorOfATopicThatIsMadeAgain(t *testing.T) {
	d, _ := open(t, gatewaytest.NewDisk(1), false)
	ctx := t.Context()
	project(t, d, "P")
	log := topic(t, d, "P.t")
	s := subscription(t, d, "P.s", log, 0)
	require.Zero(t, d.CursorOf(s, log).Generation)
	require.NoError(t, d.DeleteTopic(ctx, log.Name))
	require.Equal(t, gateway.Moved, kind(set(t, d, s, log, 5)), "the topic is gone")
	second := topic(t, d, "P.t")
	require.NotZero(t, d.CursorOf(s, second).Generation, "also if nothing was acknowledged")
	require.NoError(t, set(t, d, s, second, 7))
	generation := d.CursorOf(s, second).Generation
	require.Equal(t, gateway.Moved, kind(set(t, d, s, log, 5)))
	require.Equal(t, uint64(7), d.CursorOf(s, second).Offset)
	require.NoError(t, d.DeleteTopic(ctx, second.Name))
	third := topic(t, d, "P.t")
	require.Zero(t, d.CursorOf(s, third).Offset)
	require.Greater(t, d.CursorOf(s, third).Generation, generation)
}

// hasty are facts of which something happens as soon as one of a key is gone.
type hasty struct {
	*gatewaytest.Registry
	key  string
	then func()
}

func (h *hasty) Change(ctx context.Context, key string, value []byte, since uint64) (uint64, error) {
	revision, err := h.Registry.Change(ctx, key, value, since)
	if then := h.then; err == nil && key == h.key && value == nil && then != nil {
		h.then = nil
		then()
	}
	return revision, err
}

// Who deletes a subscription takes nothing from the one that somebody makes under its name meanwhile.
func TestASubscriptionIsMadeAgainAtOnce(t *testing.T) {
	h := &hasty{Registry: gatewaytest.NewDisk(1).Registry(), key: "pubsub/sub/P.s"}
	d, err := resource.Open(t.Context(), resource.Config{Facts: h})
	require.NoError(t, err)
	project(t, d, "P")
	log := topic(t, d, "P.t")
	old := subscription(t, d, "P.s", log, 0)
	require.NoError(t, set(t, d, old, log, 3))
	require.NoError(t, d.SetPushState(t.Context(), old, "old"))
	var made *resource.Subscription
	h.then = func() {
		made = subscription(t, d, "P.s", log, 0)
		require.NoError(t, set(t, d, made, log, 5))
		require.NoError(t, d.SetPushState(t.Context(), made, "new"))
	}
	require.NoError(t, d.DeleteSubscription(t.Context(), old.Name))
	require.Equal(t, uint64(5), d.CursorOf(made, log).Offset)
	require.NotNil(t, d.PushState(made))
}
