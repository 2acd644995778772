package advisory

import (
	"net"
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// The headers of advisories, as ActiveMQ writes them.
const (
	countHeader      = "consumerCount"
	consumerHeader   = "consumerId"
	discardedHeader  = "discardedCount"
	originalHeader   = "orignalMessageId"
	originallyHeader = "orignalDestination"
	formHeader       = "transformation"
	// inJSON is the form of all bodies.
	inJSON = "jms-advisory-json"
)

// Broker is who tells.
type Broker struct{ ID, Name string }

// Client is somebody who comes or goes.
type Client struct {
	// Connection names the session.
	Connection string
	// ClientID, User and Remote are what it said and where it came from.
	ClientID, User, Remote string
}

// Subscriber is a subscription that begins or ends.
type Subscriber struct {
	// Connection names the session, and Number is the subscription's in it.
	Connection  string
	Number      uint64
	Destination gateway.Destination
	// STOMP: the selector is that of a STOMP client, of which ActiveMQ says more.
	STOMP    bool
	Selector string
	// Subscription is the name of a durable one.
	Subscription                             string
	Prefetch, Pending                        int
	Priority                                 int8
	Browser, NoLocal, Exclusive, Retroactive bool
}

// id is the subscription's as a text.
func (s *Subscriber) id() string { return s.Connection + ":-1:" + strconv.FormatUint(s.Number, 10) }

// message makes an advisory; whoever tells it gives it an ID.
func (b *Broker) message(topic, kind string, body object, more ...gateway.Field) *gateway.Message {
	m := &gateway.Message{
		Destination: gateway.Destination{Kind: gateway.KindTopic, Name: topic}, Text: true,
		Body: appendJSON(make([]byte, 0, 512), object{{kind, body}}),
		Header: append(gateway.Header{
			{Name: "type", Value: "Advisory"}, {Name: "originBrokerId", Value: b.ID}, {Name: "originBrokerName", Value: b.Name},
			{Name: "originBrokerURL", Value: "sluice://" + b.Name}, {Name: formHeader, Value: inJSON},
		}, more...),
	}
	return m
}

// Connected says that somebody has come.
func (b *Broker) Connected(c *Client) *gateway.Message {
	body := object{{"commandId", 1}, {"responseRequired", true}, {"connectionId", object{{"value", c.Connection}}}}
	if c.ClientID != "" {
		body = append(body, member{"clientId", c.ClientID})
	}
	body = append(body, object{
		{"clientIp", hostOf(c.Remote)}, {"userName", c.User}, {"password", ""}, {"brokerMasterConnector", false}, {"manageable", false},
		{"clientMaster", true}, {"faultTolerant", false}, {"failoverReconnect", false},
	}...)
	return b.message(Topic(Connection, gateway.Destination{}), "ConnectionInfo", body)
}

// hostOf is an address without its port.
func hostOf(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// Disconnected says that somebody has gone.
func (b *Broker) Disconnected(c *Client) *gateway.Message {
	return b.message(Topic(Connection, gateway.Destination{}), "RemoveInfo", object{
		{"commandId", 0}, {"responseRequired", true}, {"objectId", object{{"@class", "ConnectionId"}, {"value", c.Connection}}}, {"lastDeliveredSequenceId", -1},
	})
}

// Subscribed says that a subscription has begun, of as many as its destination has now.
func (b *Broker) Subscribed(s *Subscriber, count int) *gateway.Message {
	return b.message(Topic(Consumer, s.Destination), "ConsumerInfo", consumerInfo(s), counted(count))
}

// Unsubscribed says that one has ended.
func (b *Broker) Unsubscribed(s *Subscriber, count int) *gateway.Message {
	return b.message(Topic(Consumer, s.Destination), "RemoveInfo", object{
		{"commandId", 0}, {"responseRequired", true},
		{"objectId", append(object{{"@class", "ConsumerId"}}, consumerID(s)...)}, {"lastDeliveredSequenceId", -1},
	}, counted(count))
}

func counted(n int) gateway.Field { return gateway.Field{Name: countHeader, Value: strconv.Itoa(n)} }

// SlowConsumer says that a subscription to a destination does not keep up.
func (b *Broker) SlowConsumer(s *Subscriber, d gateway.Destination) *gateway.Message {
	return b.message(Topic(Slow, d), "ConsumerInfo", consumerInfo(s), gateway.Field{Name: consumerHeader, Value: s.id()})
}

// Made says that there is a destination now, and Removed that there is none any more. connection is the session's to which a temporary one belongs.
func (b *Broker) Made(d gateway.Destination, connection string) *gateway.Message {
	return b.destination(d, connection, 0)
}

// Removed says that a destination is not there any more.
func (b *Broker) Removed(d gateway.Destination, connection string) *gateway.Message {
	return b.destination(d, connection, 1)
}

func (b *Broker) destination(d gateway.Destination, connection string, operation int) *gateway.Message {
	if connection == "" {
		connection = b.ID
	}
	return b.message(Topic(Destination, d), "DestinationInfo", object{
		{"commandId", 0}, {"responseRequired", false}, {"connectionId", object{{"value", connection}}},
		{"destination", destinationOf(d)}, {"operationType", operation}, {"timeout", 0},
	})
}

// About says what became of a message to a destination: one of the kinds from Expired to Consumed. size is how long it was, with the body that m need not have.
func (b *Broker) About(k Kind, d gateway.Destination, m *gateway.Message, size int) *gateway.Message {
	var more gateway.Header
	if k != Dead {
		more = append(more, gateway.Field{Name: originalHeader, Value: m.ID})
	}
	if k == Delivered || k == Consumed {
		more = append(more, gateway.Field{Name: originallyHeader, Value: d.String()})
	}
	kind, body := messageInfo(d, m, size)
	return b.message(Topic(k, d), kind, body, more...)
}

// DiscardedFor says that a message was dropped for a subscription that does not keep up, of which as many were by now.
func (b *Broker) DiscardedFor(s *Subscriber, m *gateway.Message, size int, count uint64) *gateway.Message {
	kind, body := messageInfo(m.Destination, m, size)
	return b.message(Topic(Discarded, m.Destination), kind, body,
		gateway.Field{Name: consumerHeader, Value: s.id()}, gateway.Field{Name: discardedHeader, Value: strconv.FormatUint(count, 10)},
		gateway.Field{Name: originalHeader, Value: m.ID}, gateway.Field{Name: originallyHeader, Value: m.Destination.String()})
}

// Unheard is a message to a destination that nobody consumes, as it comes to those who want to know of that: it is the message itself.
func Unheard(d gateway.Destination, m *gateway.Message) *gateway.Message {
	c := m.Copy()
	c.Also, c.Queue, c.Destination = nil, "", gateway.Destination{Kind: gateway.KindTopic, Name: Topic(NoConsumer, d)}
	return c
}

// destinationOf is a destination as ActiveMQ's is written.
func destinationOf(d gateway.Destination) object {
	class := map[gateway.Kind]string{
		gateway.KindQueue: "ActiveMQQueue", gateway.KindTopic: "ActiveMQTopic", gateway.KindTempQueue: "ActiveMQTempQueue", gateway.KindTempTopic: "ActiveMQTempTopic",
	}[d.Kind]
	return object{{"@class", class}, {"string", d.Name}, {"null", ""}}
}

func consumerID(s *Subscriber) object {
	return object{{"connectionId", s.Connection}, {"sessionId", -1}, {"value", int64(s.Number)}}
}

func consumerInfo(s *Subscriber) object {
	body := object{
		{"commandId", 0}, {"responseRequired", true}, {"consumerId", consumerID(s)}, {"destination", destinationOf(s.Destination)},
		{"prefetchSize", s.Prefetch}, {"maximumPendingMessageLimit", s.Pending}, {"browser", s.Browser}, {"dispatchAsync", true},
	}
	if s.Selector != "" {
		text := s.Selector
		if s.STOMP {
			text = "convert_string_expressions:" + text
		}
		body = append(body, member{"selector", text})
	}
	if s.Subscription != "" {
		body = append(body, member{"subscriptionName", s.Subscription})
	}
	return append(body, object{
		{"noLocal", s.NoLocal}, {"exclusive", s.Exclusive}, {"retroactive", s.Retroactive}, {"priority", int(s.Priority)},
		{"optimizedAcknowledge", false}, {"noRangeAcks", false},
	}...)
}

// producerOf takes a message-id apart: "ID:node-1-2-0:7:-1:1:42".
func producerOf(id string) (producer object, sequence int64) {
	rest, last := cutLast(id)
	rest, value := cutLast(rest)
	connection, session := cutLast(rest)
	number := func(s string) int64 { n, _ := strconv.ParseInt(s, 10, 64); return n }
	return object{{"connectionId", connection}, {"sessionId", number(session)}, {"value", number(value)}}, number(last)
}

func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}
