package pubsub

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schedule"
	"github.com/sluice-mq/sluice/protocols/pubsub/lease"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

const (
	// dataField is a header field of messages whose data was not base64: their body is the data as it came.
	dataField = "pubsub-data"
	dataText  = "text"
	// userField is in a message only if the broker put it there: other doors show by it who sent a message.
	userField = "JMSXUserID"
)

// toMessage makes a message of what a client publishes to a topic. Its error is for the client.
func toMessage(topic string, from *wire.MessageRequest, most int) (*gateway.Message, error) {
	m := &gateway.Message{
		Destination: gateway.Destination{Kind: gateway.KindTopic, Name: topic}, Persistent: true, Priority: gateway.DefaultPriority,
		Offset: unlogged,
	}
	for _, name := range slices.Sorted(maps.Keys(from.Attributes)) {
		if name == "" || name == dataField {
			return nil, wire.InvalidArguments("Message")
		}
		if name == userField {
			continue
		}
		m.Header = append(m.Header, gateway.Field{Name: strings.Clone(name), Value: strings.Clone(from.Attributes[name])}) // of the request nothing stays
	}
	if key := from.OrderingKey; key != "" {
		if said, has := m.Header.Get(lease.KeyField); has && said != key || len(key) > mostKey {
			return nil, wire.InvalidArguments("Message")
		} else if !has {
			m.Header = append(m.Header, gateway.Field{Name: lease.KeyField, Value: strings.Clone(key)})
		}
	}
	if schedule.Is(m.Header) { // whoever publishes wants to know now where the message stands
		return nil, wire.InvalidArguments("Message")
	}
	body, ok := decoded(from.Data)
	if !ok {
		body = []byte(from.Data)
		m.Header = append(m.Header, gateway.Field{Name: dataField, Value: dataText})
	}
	if m.Body = body; len(body) > most || m.Size() > most+headRoom {
		return nil, wire.TooLarge()
	}
	return m, nil
}

// mostKey is how long an ordering key may be.
const mostKey = 1024

// headRoom is what a message's attributes may take beside its data.
const headRoom = 64 << 10

// decoded is what data stands for, if it is base64 that comes back as it was when it is encoded again.
func decoded(data string) ([]byte, bool) {
	if strings.ContainsAny(data, "\r\n") {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(data)
	return b, err == nil
}

// fromMessage makes of a message what clients get.
func fromMessage(m *gateway.Message) wire.Message {
	a, body := plainMessage(m)
	if body != nil {
		a.Data = base64.StdEncoding.EncodeToString(body)
	}
	return a
}

// plainMessage is fromMessage without the data, if that is to be base64 of a body.
func plainMessage(m *gateway.Message) (a wire.Message, body []byte) {
	a = wire.Message{ID: strconv.FormatUint(m.Offset, 10), Published: wire.Moment(time.UnixMilli(m.Timestamp))}
	text := false
	for i := range m.Header {
		f := &m.Header[i]
		if f.Name == dataField {
			text = f.Value == dataText
			continue
		}
		if a.Attributes == nil {
			a.Attributes = make(map[string]string, len(m.Header))
		}
		if _, twice := a.Attributes[f.Name]; !twice { // the first counts
			a.Attributes[f.Name] = f.Value
		}
	}
	if text {
		a.Data = string(m.Body)
		return a, nil
	}
	return a, m.Body
}
