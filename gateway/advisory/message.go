package advisory

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
)

// propertiesMost bounds, in bytes, what an advisory shows of a message's properties.
const propertiesMost = 32 << 10

// messageInfo is a message as ActiveMQ shows one, without its body.
func messageInfo(d gateway.Destination, m *gateway.Message, size int) (kind string, body object) {
	kind = "ActiveMQBytesMessage"
	if m.Text {
		kind = "ActiveMQTextMessage"
	}
	producer, sequence := producerOf(m.ID)
	properties, marshalled := propertiesOf(m.Header) // nil if there are none
	body = object{
		{"commandId", 0}, {"responseRequired", true}, {"producerId", producer}, {"destination", destinationOf(d)},
		{"messageId", object{{"producerId", producer}, {"producerSequenceId", sequence}, {"brokerSequenceId", sequence}}},
	}
	said := func(name, header string) {
		if text, ok := m.Header.Get(header); ok {
			body = append(body, member{name, text})
		}
	}
	said("groupID", "JMSXGroupID")
	sequenceText, _ := m.Header.Get("JMSXGroupSeq")
	group, _ := strconv.ParseInt(sequenceText, 10, 32)
	body = append(body, member{"groupSequence", group})
	said("correlationId", "correlation-id")
	body = append(body, object{{"persistent", m.Persistent}, {"expiration", m.Expires}, {"priority", int(m.Priority)}}...)
	said("type", "type")
	body = append(body, member{"timestamp", m.Timestamp})
	if properties != nil {
		body = append(body, member{"marshalledProperties", object{
			{"data", list{base64.StdEncoding.EncodeToString(marshalled)}}, {"offset", 0}, {"length", len(marshalled)},
		}})
	}
	body = append(body, object{
		{"redeliveryCounter", 0}, {"size", size}, {"readOnlyProperties", true}, {"readOnlyBody", false}, {"compressed", false},
		{"arrival", m.Timestamp}, {"brokerInTime", m.Timestamp}, {"brokerOutTime", 0}, {"droppable", false}, {"jmsXGroupFirstForConsumer", false},
	}...)
	if properties != nil {
		body = append(body, member{"properties", list{object{{"entry", properties}}}})
	}
	return kind, body
}

// ofJMS tells the headers that are no properties.
func ofJMS(name string) bool {
	switch name {
	case "correlation-id", "type", "reply-to", "JMSXGroupID", "JMSXGroupSeq", "JMSXUserID":
		return true
	}
	return false
}

// propertiesOf are a message's properties as ActiveMQ shows them, and as it writes them on the wire: a number of entries, each a name and, behind the
// mark of its type, a text, both with their length before them.
func propertiesOf(h gateway.Header) (entries any, marshalled []byte) {
	var all list
	marshalled = binary.BigEndian.AppendUint32(nil, 0)
	for _, f := range h {
		if ofJMS(f.Name) || len(marshalled)+len(f.Name)+len(f.Value) > propertiesMost {
			continue
		}
		all = append(all, object{{"string", list{f.Name, f.Value}}})
		marshalled = append(binary.BigEndian.AppendUint16(marshalled, uint16(len(f.Name))), f.Name...)
		marshalled = append(marshalled, 9) // a text
		marshalled = append(binary.BigEndian.AppendUint16(marshalled, uint16(len(f.Value))), f.Value...)
	}
	binary.BigEndian.PutUint32(marshalled, uint32(len(all)))
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], marshalled
	}
	return all, marshalled
}
