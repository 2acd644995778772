package stomp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

const notAuthorized = "User alice is not authorized to read from: queue://a"

// deny ends the first subscription as a broker does whose rules have changed.
func (b *fakeBroker) deny() {
	b.options().Ended(gateway.Errorf(gateway.Denied, "%s", notAuthorized))
}

func TestASubscriptionThatIsNotAllowedAnyMoreEndsAlone(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b, func(cfg *Config) { cfg.Limits.Subscriptions = 2 })
	c := login(t, s, "1.2")
	c.send("SUBSCRIBE\nid:a:1\ndestination:/queue/a\nreceipt:1\n\n^SUBSCRIBE\nid:2\ndestination:/queue/b\nreceipt:2\n\n^")
	c.expectReceipt("1")
	c.expectReceipt("2")
	b.deny()
	r := c.expectError(notAuthorized)
	require.Equal(t, `a\c1`, r.get("subscription"))
	c.expectAlive()
	c.send("SEND\ndestination:/queue/b\n\nstill here^")
	require.Equal(t, "still here", c.expect("MESSAGE").body)
	// Its place is free, and its source is closed then.
	c.send("SUBSCRIBE\nid:3\ndestination:/queue/c\nreceipt:3\n\n^")
	c.expectReceipt("3")
	eventually(t, "two subscriptions", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.subs) == 2 })
}

func TestALostSubscriptionCanBeUnsubscribed(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b), "1.1")
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nreceipt:1\n\n^")
	c.expectReceipt("1")
	b.deny()
	c.expectError(notAuthorized)
	c.send("UNSUBSCRIBE\nid:1\nreceipt:2\n\n^")
	c.expectReceipt("2")
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nreceipt:3\n\n^")
	c.expectReceipt("3")
	c.expectAlive()
}

func TestStrictClosesWithADeniedSubscription(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b, strict), "1.2")
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nreceipt:1\n\n^")
	c.expectReceipt("1")
	b.deny()
	require.Equal(t, "1", c.expectError(notAuthorized).get("subscription"))
	c.expectClosed()
}

func TestWhateverElseEndsASubscriptionEndsTheConnection(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b), "1.2")
	c.send("SUBSCRIBE\nid:1\ndestination:/topic/a\nreceipt:1\n\n^")
	c.expectReceipt("1")
	b.options().Ended(gateway.Errorf(gateway.Limit, "too slow"))
	c.expectError("too slow")
	c.expectClosed()
}
