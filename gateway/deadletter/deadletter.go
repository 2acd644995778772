// Package deadletter makes of a message the one that goes to a dead-letter queue, as ActiveMQ makes it, and of that one the message that it was. It is pure.
package deadletter

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/feed"
)

// What a dead message says of itself: in ActiveMQ's words where it was sent, when it would have expired and, for some causes, why it is dead. In ours, in its
// dead* headers, always why, how often it was redelivered, and, if they are not told by the first, where it came from and for which durable subscription it was kept.
const (
	expirationHeader       = "originalExpiration"
	causeHeader            = "dlqDeliveryFailureCause"
	deliveryModeHeader     = "originalDeliveryMode"
	deadReasonHeader       = "sluice-dead-reason"
	deadRedeliveriesHeader = "sluice-dead-redeliveries"
	deadOriginHeader       = "sluice-dead-origin"
	deadSubscriptionHeader = "sluice-dead-subscription"

	// notPersistent is a delivery mode: dead messages are persistent all the same.
	notPersistent = "NON_PERSISTENT"

	// userHeader is who sent a message; what the broker moves it sends itself.
	userHeader = "JMSXUserID"
	brokerUser = "ActiveMQBroker"
)

var deadHeaders = [...]string{feed.OriginHeader, expirationHeader, deliveryModeHeader, causeHeader, deadReasonHeader, deadRedeliveriesHeader, deadOriginHeader, deadSubscriptionHeader}

// Copy makes the message that goes to a dead-letter queue, as ActiveMQ makes it: the same message-id, never expiring, and headers that say where it comes
// from and why. place is where it waited.
func Copy(m *gateway.Message, place, queue string, d *dispatch.Death) *gateway.Message {
	dead := m.Copy()
	dead.Destination, dead.Also, dead.Queue, dead.Expires = gateway.Destination{Kind: gateway.KindQueue, Name: queue}, nil, "", 0
	dead.Header = afresh(m.Header)
	add := func(name, value string) { dead.Header = append(dead.Header, gateway.Field{Name: name, Value: value}) }
	add(feed.OriginHeader, feed.OriginOf(m.Destination))
	add(expirationHeader, strconv.FormatInt(m.Expires, 10)) // 0, too
	if !m.Persistent {
		add(deliveryModeHeader, notPersistent)
		dead.Persistent = true
	}
	if cause := activeMQCause(m, d); cause != "" {
		add(causeHeader, cause)
	}
	add(deadReasonHeader, reasonOf(d))
	add(deadRedeliveriesHeader, strconv.FormatUint(uint64(d.Entry.Redeliveries), 10))
	if origin, ok := m.Header.Get(feed.OriginHeader); ok {
		add(deadOriginHeader, origin)
	}
	if kept, _ := gateway.Placed(place); kept.Kind == gateway.KindSubscription {
		add(deadSubscriptionHeader, kept.Name)
	}
	return dead
}

// afresh is a header without what a dead message says of itself, with the broker as its sender if it says who that is.
func afresh(h gateway.Header) gateway.Header {
	rest := make(gateway.Header, 0, len(h)+len(deadHeaders))
	for _, f := range h {
		if slices.Contains(deadHeaders[:], f.Name) {
			continue
		}
		if f.Name == userHeader {
			f.Value = brokerUser
		}
		rest = append(rest, f)
	}
	return rest
}

// activeMQCause is how ActiveMQ says why a message is dead; of refused ones it says nothing.
func activeMQCause(m *gateway.Message, d *dispatch.Death) string {
	switch d.Cause {
	case dispatch.Expired:
		return "java.lang.Throwable: Message Expired. Expiration:" + strconv.FormatInt(m.Expires, 10)
	case dispatch.Exhausted:
		return fmt.Sprintf("java.lang.Throwable: Delivery[%d] exceeds redelivery policy limit", d.Entry.Redeliveries)
	}
	return ""
}

func reasonOf(d *dispatch.Death) string {
	switch d.Cause {
	case dispatch.Refused:
		return "a consumer refused it"
	case dispatch.Expired:
		return "it expired"
	case dispatch.Exhausted:
		return "it was delivered " + strconv.FormatUint(uint64(d.Entry.Redeliveries), 10) + " times, and acknowledged by nobody"
	case dispatch.Crowded:
		return "its queue was full, and newer messages came"
	}
	return ""
}

// Revived makes the message that a dead one was, for where it is to go again. now is in Unix milliseconds; bound tells whether the durable subscription with the queue in a
// place is still there. Errors: Invalid, if it does not say where it comes from; NotFound.
func Revived(dead *gateway.Message, now int64, bound func(place string) bool) (*gateway.Message, error) {
	origin, _ := dead.Header.Get(feed.OriginHeader)
	to, ok := feed.ParseOrigin(origin)
	if !ok {
		return nil, gateway.Errorf(gateway.Invalid, "the message does not say where it was sent")
	}
	m := dead.Copy()
	m.Destination, m.Header = to, afresh(dead.Header)
	if mode, ok := dead.Header.Get(deliveryModeHeader); ok && mode == notPersistent {
		m.Persistent = false
	}
	if before, ok := dead.Header.Get(deadOriginHeader); ok {
		m.Header = feed.WithOrigin(m.Header, before)
	}
	if text, ok := dead.Header.Get(expirationHeader); ok {
		if at, err := strconv.ParseInt(text, 10, 64); err == nil && at > now {
			m.Expires = at
		}
	}
	if kept, ok := dead.Header.Get(deadSubscriptionHeader); ok && to.Kind == gateway.KindTopic {
		place := gateway.Destination{Kind: gateway.KindSubscription, Name: kept}.Place()
		if !bound(place) {
			return nil, gateway.Errorf(gateway.NotFound, "the durable subscription that it was kept for is gone")
		}
		m.Queue = place
	}
	return m, nil
}
