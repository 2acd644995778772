package selector

import (
	"strings"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/gateway"
)

// Properties are what a message that is not a gateway.Message has.
type Properties interface {
	// Property returns the value of that name, JMS's own names among them; the zero Value if there is none.
	Property(name string) Value
}

// field is one of the names that JMS gives a meaning.
type field uint8

const (
	ordinary field = iota
	destination
	priority
	timestamp
	messageID
	correlationID
	messageType
	deliveryMode
	expiration
	replyTo
	redelivered
	deliveryCount
	groupSeq
	// hidden names are never properties.
	hidden
	// brokerTime is of ActiveMQ's own, and always 0.
	brokerTime
	// groupFirst is of ActiveMQ's own, and always false.
	groupFirst
)

func fieldOf(name string) field {
	switch name {
	case "JMSDestination":
		return destination
	case "JMSPriority":
		return priority
	case "JMSTimestamp":
		return timestamp
	case "JMSMessageID":
		return messageID
	case "JMSCorrelationID":
		return correlationID
	case "JMSType":
		return messageType
	case "JMSDeliveryMode":
		return deliveryMode
	case "JMSExpiration":
		return expiration
	case "JMSReplyTo":
		return replyTo
	case "JMSRedelivered":
		return redelivered
	case "JMSXDeliveryCount":
		return deliveryCount
	case "JMSXGroupSeq":
		return groupSeq
	case "JMSActiveMQBrokerInTime", "JMSActiveMQBrokerOutTime":
		return brokerTime
	case "JMSXGroupFirstForConsumer":
		return groupFirst
	case "type", "reply-to", "correlation-id", "JMSXProducerTXID", "JMSActiveMQBrokerPath":
		return hidden
	}
	return ordinary
}

// environment is what a selector is held against.
type environment struct {
	message      *gateway.Message
	redeliveries uint32
	// properties stand in for the message if there is none.
	properties Properties
	convert    bool
	// spent is how many steps of work the message has cost.
	spent int
}

func (e *environment) property(n *node) Value {
	m := e.message
	if m == nil {
		return e.properties.Property(n.name)
	}
	switch n.field {
	case destination:
		if v := header(m, "original-destination"); v.kind != missing { // it came by another way
			return reply(v)
		}
		return Text(m.Destination.String())
	case priority:
		return Integer(int32(m.Priority))
	case timestamp:
		return Long(m.Timestamp)
	case messageID:
		return Text(m.ID)
	case deliveryMode:
		if m.Persistent {
			return Text("PERSISTENT")
		}
		return Text("NON_PERSISTENT")
	case expiration:
		return Long(m.Expires)
	case redelivered:
		return Boolean(e.redeliveries > 0)
	case deliveryCount:
		return Integer(int32(min(e.redeliveries, 1<<31-2)) + 1)
	case correlationID:
		return header(m, "correlation-id")
	case messageType:
		return header(m, "type")
	case replyTo:
		return reply(header(m, "reply-to"))
	case groupSeq:
		n, _ := header(m, "JMSXGroupSeq").parse(integer)
		return Integer(int32(n.n))
	case brokerTime:
		return Long(0)
	case groupFirst:
		return Boolean(false)
	case hidden:
		return Value{}
	}
	return header(m, n.name)
}

func header(m *gateway.Message, name string) Value {
	if s, ok := m.Header.Get(name); ok {
		return Text(s)
	}
	return Value{}
}

// reply makes the URI form of what STOMP calls a destination.
func reply(v Value) Value {
	rest, ok := strings.CutPrefix(v.s, "/")
	if !ok {
		return v
	}
	if k, name, ok := strings.Cut(rest, "/"); ok && strings.Contains(" queue topic temp-queue temp-topic ", " "+k+" ") {
		return Text(k + "://" + name)
	}
	return v
}

func runeLength(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}

func isRuneStart(b byte) bool { return utf8.RuneStart(b) }

// lastRune returns where the last character of s begins.
func lastRune(s string) int {
	_, n := utf8.DecodeLastRuneInString(s)
	return len(s) - n
}
