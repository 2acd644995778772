package advisory

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
)

func queue(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindQueue, Name: name}
}

func topic(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindTopic, Name: name}
}

var origin = Broker{ID: "ID:n1-1-2-0", Name: "n1"}

func TestTopicsAreNamedAsInActiveMQ(t *testing.T) {
	temp := gateway.Destination{Kind: gateway.KindTempTopic, Name: "ID:x"}
	for want, got := range map[string]string{
		"ActiveMQ.Advisory.Connection":                 Topic(Connection, queue("a")),
		"ActiveMQ.Advisory.Consumer.Queue.a.b":         Topic(Consumer, queue("a.b")),
		"ActiveMQ.Advisory.Consumer.Topic.ID:x":        Topic(Consumer, temp),
		"ActiveMQ.Advisory.Queue":                      Topic(Destination, queue("a")),
		"ActiveMQ.Advisory.Topic":                      Topic(Destination, topic("a")),
		"ActiveMQ.Advisory.TempTopic":                  Topic(Destination, temp),
		"ActiveMQ.Advisory.TempQueue":                  Topic(Destination, gateway.Destination{Kind: gateway.KindTempQueue}),
		"ActiveMQ.Advisory.SlowConsumer.Topic.a":       Topic(Slow, topic("a")),
		"ActiveMQ.Advisory.Expired.Queue.a":            Topic(Expired, queue("a")),
		"ActiveMQ.Advisory.MessageDLQd.Queue.a":        Topic(Dead, queue("a")),
		"ActiveMQ.Advisory.MessageDelivered.Topic.a":   Topic(Delivered, topic("a")),
		"ActiveMQ.Advisory.MessageConsumed.Queue.a":    Topic(Consumed, queue("a")),
		"ActiveMQ.Advisory.MessageDiscarded.Topic.a.b": Topic(Discarded, topic("a.b")),
		"ActiveMQ.Advisory.NoConsumer.Queue.a":         Topic(NoConsumer, queue("a")),
	} {
		require.Equal(t, want, got)
		require.True(t, Is(got) && Reaches(got))
	}
}

// Who names advisories hears them; a pattern that is for everything does not.
func TestWhoHearsAdvisories(t *testing.T) {
	for pattern, want := range map[string]Set{
		"ActiveMQ.Advisory.Connection":       1 << Connection,
		"ActiveMQ.Advisory.Consumer.Queue.a": 1 << Consumer,
		"ActiveMQ.Advisory.Consumer.>":       1 << Consumer,
		"ActiveMQ.Advisory.TempQueue":        1 << Destination,
		"ActiveMQ.Advisory.MessageDLQd.>":    1 << Dead,
		"ActiveMQ.Advisory.>":                all,
		"ActiveMQ.Advisory.*.Queue.a":        all,
		"ActiveMQ.*.Queue":                   1 << Destination,
		"ActiveMQ.>":                         all,
		"ActiveMQ.>.Queue":                   all,
		"ActiveMQ.Advisory.Producer.Queue.a": 0,
		"ActiveMQ.Advisory":                  0,
		"ActiveMQ":                           0,
		">":                                  0,
		"*.Advisory.>":                       0,
		"a":                                  0,
		"ActiveMQ.DLQ":                       0,
	} {
		require.Equal(t, want, Kinds(pattern), pattern)
	}
	require.False(t, Matches(">", "ActiveMQ.Advisory.Connection"))
	require.False(t, Matches("*.Advisory.Connection", "ActiveMQ.Advisory.Connection"))
	require.True(t, Matches(">", "ActiveMQ.DLQ"))
	require.True(t, Matches("ActiveMQ.>", "ActiveMQ.Advisory.Connection"))
}

// Where no advisory would arrive nobody is said to listen, and where one does it is heeded.
func TestHeedingAgreesWithHearing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SampledFrom([]string{"ActiveMQ", "Advisory", "Connection", "Consumer", "Queue", "Topic", "Expired", "a", "*", ">"})
		pattern := strings.Join(rapid.SliceOfN(words, 1, 5).Draw(t, "pattern"), ".")
		kind := Kind(rapid.IntRange(0, int(NoConsumer)).Draw(t, "kind"))
		d := rapid.SampledFrom([]gateway.Destination{queue("a"), topic("a.Queue"), {Kind: gateway.KindTempQueue, Name: "a"}}).Draw(t, "destination")
		if name := Topic(kind, d); Matches(pattern, name) && !Kinds(pattern).Has(kind) {
			t.Fatalf("%s hears %s, but nobody tells", pattern, name)
		}
	})
}

func TestWhatAdvisoriesShowOfMessages(t *testing.T) {
	for name, want := range map[string]gateway.Destination{
		"ActiveMQ.Advisory.Expired.Queue.a.b":        queue("a.b"),
		"ActiveMQ.Advisory.NoConsumer.Topic.a":       topic("a"),
		"ActiveMQ.Advisory.MessageConsumed.Queue.>":  queue(">"),
		"ActiveMQ.Advisory.*.Queue.a":                queue("a"),
		"ActiveMQ.Advisory.Consumer.Queue.a":         {},
		"ActiveMQ.Advisory.SlowConsumer.Topic.a":     {},
		"ActiveMQ.Advisory.Connection":               {},
		"ActiveMQ.Advisory.Expired.Queue":            {},
		"ActiveMQ.Advisory.MessageDiscarded.Topic.x": topic("x"),
		"Expired.Queue.a":                            {},
	} {
		d, ok := Subject(name)
		require.Equal(t, want, d, name)
		require.Equal(t, want != gateway.Destination{}, ok, name)
	}
}

// parsed is what the one member of a body holds.
func parsed(t *testing.T, m *gateway.Message, kind string) map[string]any {
	t.Helper()
	var body map[string]map[string]any
	require.NoError(t, json.Unmarshal(m.Body, &body), "%s", m.Body)
	require.Len(t, body, 1)
	require.Contains(t, body, kind)
	require.True(t, m.Text)
	require.False(t, m.Persistent)
	require.Zero(t, m.Timestamp)
	require.Zero(t, m.Priority)
	return body[kind]
}

func header(m *gateway.Message, name string) string { v, _ := m.Header.Get(name); return v }

func TestConnectionsAndConsumers(t *testing.T) {
	m := origin.Connected(&Client{Connection: "ID:n1-1-2-0:7", ClientID: "c", User: "alice", Remote: "192.0.2.1:99"})
	body := parsed(t, m, "ConnectionInfo")
	require.Equal(t, "c", body["clientId"])
	require.Equal(t, "alice", body["userName"])
	require.Equal(t, "192.0.2.1", body["clientIp"])
	require.Equal(t, "", body["password"], "and never anything else")
	require.Equal(t, "Advisory", header(m, "type"))
	require.Equal(t, "n1", header(m, "originBrokerName"))
	require.NotContains(t, parsed(t, origin.Connected(&Client{Remote: "pipe"}), "ConnectionInfo"), "clientId")
	require.Equal(t, "ConnectionId", parsed(t, origin.Disconnected(&Client{}), "RemoveInfo")["objectId"].(map[string]any)["@class"])

	s := &Subscriber{Connection: "ID:n1-1-2-0:7", Number: 3, Destination: topic("a"), STOMP: true, Selector: "n = 1", Subscription: "s", Prefetch: 5, Priority: -3}
	m = origin.Subscribed(s, 4)
	body = parsed(t, m, "ConsumerInfo")
	require.Equal(t, "ActiveMQ.Advisory.Consumer.Topic.a", m.Destination.Name)
	require.Equal(t, "convert_string_expressions:n = 1", body["selector"])
	require.Equal(t, "s", body["subscriptionName"])
	require.EqualValues(t, 5, body["prefetchSize"])
	require.EqualValues(t, -3, body["priority"])
	require.Equal(t, map[string]any{"connectionId": "ID:n1-1-2-0:7", "sessionId": -1., "value": 3.}, body["consumerId"])
	require.Equal(t, "4", header(m, "consumerCount"))
	require.Equal(t, "0", header(origin.Unsubscribed(s, 0), "consumerCount"))
	require.Equal(t, "ID:n1-1-2-0:7:-1:3", header(origin.SlowConsumer(s, topic("b")), "consumerId"))
}

func TestDestinations(t *testing.T) {
	for operation, m := range map[float64]*gateway.Message{0: origin.Made(queue(`a"b`), ""), 1: origin.Removed(queue(`a"b`), "")} {
		body := parsed(t, m, "DestinationInfo")
		require.Equal(t, operation, body["operationType"])
		require.Equal(t, map[string]any{"@class": "ActiveMQQueue", "string": `a"b`, "null": ""}, body["destination"])
		require.Equal(t, map[string]any{"value": origin.ID}, body["connectionId"])
	}
}

func TestMessages(t *testing.T) {
	m := &gateway.Message{
		ID: "ID:n1-1-2-0:7:-1:1:42", Destination: queue("a"), Text: true, Priority: 4, Timestamp: 5, Expires: 6, Body: []byte("secret"),
		Header: gateway.Header{{Name: "foo", Value: "bar"}, {Name: "type", Value: "t"}, {Name: "correlation-id", Value: "c"}, {Name: "JMSXGroupID", Value: "g"}, {Name: "JMSXGroupSeq", Value: "3"}},
	}
	a := origin.About(Expired, m.Destination, m, 99)
	body := parsed(t, a, "ActiveMQTextMessage")
	require.NotContains(t, string(a.Body), "secret")
	require.Equal(t, m.ID, header(a, "orignalMessageId"))
	require.Empty(t, header(a, "orignalDestination"))
	require.Equal(t, []any{"t", "c", "g", 3., 99., 6.}, []any{body["type"], body["correlationId"], body["groupID"], body["groupSequence"], body["size"], body["expiration"]})
	id := body["messageId"].(map[string]any)
	require.Equal(t, 42., id["producerSequenceId"])
	require.Equal(t, map[string]any{"connectionId": "ID:n1-1-2-0:7", "sessionId": -1., "value": 1.}, id["producerId"])
	require.Equal(t, []any{map[string]any{"entry": map[string]any{"string": []any{"foo", "bar"}}}}, body["properties"])
	marshalled, err := base64.StdEncoding.DecodeString(body["marshalledProperties"].(map[string]any)["data"].([]any)[0].(string))
	require.NoError(t, err)
	require.Equal(t, "\x00\x00\x00\x01\x00\x03foo\x09\x00\x03bar", string(marshalled))

	require.Equal(t, "queue://a", header(origin.About(Consumed, m.Destination, m, 1), "orignalDestination"))
	require.Empty(t, header(origin.About(Dead, m.Destination, m, 1), "orignalMessageId"))
	dropped := origin.DiscardedFor(&Subscriber{Connection: "c", Number: 1}, &gateway.Message{ID: "odd", Destination: topic("t")}, 1, 7)
	require.Equal(t, "7", header(dropped, "discardedCount"))
	require.NotContains(t, parsed(t, dropped, "ActiveMQBytesMessage"), "properties")

	unheard := Unheard(m.Destination, m)
	require.Equal(t, "ActiveMQ.Advisory.NoConsumer.Queue.a", unheard.Destination.Name)
	require.Equal(t, m.Body, unheard.Body)
	require.Equal(t, queue("a"), m.Destination, "the message is others' as well")
}

// Whatever a client names its headers, and however much there is of them: an advisory is JSON, and of bounded size.
func TestPropertiesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &gateway.Message{ID: rapid.String().Draw(t, "id"), Destination: queue("a")}
		for range rapid.IntRange(0, 5).Draw(t, "fields") {
			value := strings.Repeat(rapid.String().Draw(t, "value"), rapid.SampledFrom([]int{1, 1, 5000}).Draw(t, "times"))
			m.Header = append(m.Header, gateway.Field{Name: rapid.String().Draw(t, "name"), Value: value})
		}
		a := origin.About(Delivered, m.Destination, m, 1)
		if !json.Valid(a.Body) || len(a.Body) > 10*propertiesMost {
			t.Fatalf("%d bytes: %.200s", len(a.Body), a.Body)
		}
	})
}
