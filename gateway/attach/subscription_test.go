package attach

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// A delivery comes just when its subscription went to another owner. Its tag is none of that one's, and would acknowledge another message there.
func TestDeliveriesOfAnOwnerBeforeAreNotTaken(t *testing.T) {
	sub := New(nil, nil, 0, gateway.SubscribeOptions{Wake: func() {}}, false)
	comes := func(wire, epoch uint64) {
		sub.Arrived(&gateway.Frame{Kind: gateway.FrameDeliver, Subscription: wire, Epoch: epoch, Tag: 1, Message: &gateway.Message{}})
	}
	comes(3, 7)
	require.Zero(t, sub.ring.Len(), "it is with nobody, or with an owner here")
	sub.there, sub.wire, sub.epoch = "n2", 4, 8
	comes(3, 7)
	require.Zero(t, sub.ring.Len())
	comes(4, 7)
	require.Zero(t, sub.ring.Len())
	comes(4, 8)
	require.Equal(t, 1, sub.ring.Len())
}
