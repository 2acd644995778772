package stomp

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// jmsPrefix begins JMS's own names of what a message says of itself. ActiveMQ understands them as headers of SEND, too.
const jmsPrefix = "JMS"

// inJMS reports whether a header may have a meaning by its name in JMS. JMSX names are properties.
func inJMS(name string) bool {
	return len(name) > len(jmsPrefix) && name[:len(jmsPrefix)] == jmsPrefix && name[len(jmsPrefix)] != 'X'
}

// understandJMS gives the headers that a SEND calls by their names in JMS the meaning of STOMP's own: m says them as it would have been told in STOMP's words,
// which count if both are there.
func understandJMS(m *gateway.Message) error {
	kept := m.Header[:0]
	for _, f := range m.Header {
		stays := true
		var err error
		if inJMS(f.Name) {
			stays, err = understandJMSField(m, &f)
		}
		if err != nil {
			return err
		}
		if stays {
			kept = append(kept, f)
		}
	}
	clear(m.Header[len(kept):])
	m.Header = kept
	return nil
}

// understandJMSField reports whether the field, perhaps by another name, is still a header of the message.
func understandJMSField(m *gateway.Message, f *gateway.Field) (stays bool, err error) {
	var n int64
	switch f.Name {
	case "JMSType":
		return renamed(m.Header, f, "type"), nil
	case "JMSCorrelationID":
		return renamed(m.Header, f, "correlation-id"), nil
	case "JMSReplyTo":
		if !strings.Contains(f.Value, "/") {
			f.Value = queuePrefix + f.Value
		}
		return renamed(m.Header, f, replyHeader), nil
	case "JMSPriority":
		n, err = number(gateway.Header{*f}, f.Name, 0)
		m.Priority = uint8(min(max(n, 0), 9))
	case "JMSExpiration":
		n, err = number(gateway.Header{*f}, f.Name, 0)
		m.Expires = max(n, 0)
	case "JMSTimestamp":
		m.Timestamp, err = number(gateway.Header{*f}, f.Name, 0)
	case "JMSDeliveryMode":
		mode := strings.TrimSpace(f.Value)
		m.Persistent = mode == "2" || strings.EqualFold(mode, "PERSISTENT")
	default:
		return true, nil
	}
	return false, err
}

// renamed reports whether a field could take a name that is free.
func renamed(h gateway.Header, f *gateway.Field, name string) bool {
	if _, taken := h.Get(name); taken {
		return false
	}
	f.Name = name
	return true
}
