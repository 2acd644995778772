package nats

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
)

const fields = 1000

func queue(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindQueue, Name: name}
}

func topic(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindTopic, Name: name}
}

// overTheWire writes a header as the protocol does, blanks around values cut off
// as clients do, and reads it with the client library.
func overTheWire(t require.TestingT, h natsgo.Header) natsgo.Header {
	var b strings.Builder
	b.WriteString("NATS/1.0\r\n")
	for name, values := range h {
		for _, c := range []byte(name) {
			require.False(t, c <= ' ' || c >= 0x7f || c == ':', "name %q", name)
		}
		for _, v := range values {
			require.False(t, strings.ContainsAny(v, "\r\n\x00"), "value %q", v)
			b.WriteString(name + ": " + strings.Trim(v, " \t") + "\r\n")
		}
	}
	b.WriteString("\r\n")
	got, err := natsgo.DecodeHeadersMsg([]byte(b.String()))
	require.NoError(t, err)
	return got
}

func TestAMessageOfNoWords(t *testing.T) {
	m, err := messageOf(queue("a"), nil, []byte("x"), fields)
	require.NoError(t, err)
	require.Equal(t, &gateway.Message{Destination: queue("a"), Body: []byte("x"), Priority: 4, Persistent: true}, m)
	m, err = messageOf(topic("a"), natsgo.Header{}, nil, fields)
	require.NoError(t, err)
	require.Equal(t, &gateway.Message{Destination: topic("a"), Priority: 4}, m)
}

func TestKnownFields(t *testing.T) {
	m, err := messageOf(queue("a"), natsgo.Header{
		"persistent": {"false", "true"}, "priority": {"12"}, "expires": {" 99 "}, "timestamp": {"5"},
		"destination": {"/queue/other"}, "message-id": {"forged"}, "JMSXUserID": {"forged"}, "redelivered": {"true"},
		"content-length": {"1"}, "receipt": {"r"}, "subscription": {"s"}, "transaction": {"t"}, "JMSXDeliveryCount": {"9"},
		"Nats-Msg-Id": {"1"}, "nats-rollup": {"all"}, "NATS-TTL": {"1s"}, "Natsy": {"stays"},
		"traceparent": {"00-1"}, "b": {"2", "1"}, "a": {"3"}, "Content-Type": {"Text/Plain; charset=utf-8"},
	}, nil, fields)
	require.NoError(t, err)
	require.Equal(t, &gateway.Message{
		Destination: queue("a"), Priority: 9, Expires: 99, Timestamp: 5, Text: true,
		Header: gateway.Header{
			{Name: "Content-Type", Value: "Text/Plain; charset=utf-8"}, {Name: "Natsy", Value: "stays"}, {Name: "a", Value: "3"},
			{Name: "b", Value: "2"}, {Name: "b", Value: "1"}, {Name: "traceparent", Value: "00-1"},
		},
	}, m)
	m, err = messageOf(topic("a"), natsgo.Header{"persistent": {"TRUE"}, "priority": {"-3"}, "expires": {"-1"}, "content-type": {"application/json"}}, nil, fields)
	require.NoError(t, err)
	require.True(t, m.Persistent && m.Text && m.Priority == 0 && m.Expires == 0)
	m, err = messageOf(topic("a"), natsgo.Header{"content-type": {"application/octet-stream"}}, nil, fields)
	require.NoError(t, err)
	require.False(t, m.Text)
}

func TestBadHeadersAreRefused(t *testing.T) {
	for _, name := range []string{"priority", "expires", "timestamp"} {
		_, err := messageOf(queue("a"), natsgo.Header{name: {"soon"}}, nil, fields)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err))
		require.EqualError(t, err, `the header `+name+` is not a whole number: "soon"`)
	}
	_, err := messageOf(queue("a"), natsgo.Header{"a": {"1", "2"}, "b": {"3"}}, nil, 2)
	require.Equal(t, gateway.Limit, gateway.KindOf(err))
}

func TestHeaderForNativeClients(t *testing.T) {
	m := &gateway.Message{ID: "ID:1", Destination: topic("a"), Timestamp: 7, Priority: 4, Header: gateway.Header{
		{Name: "x", Value: "1"}, {Name: "x", Value: "2"}, {Name: "JMSXUserID", Value: "alice"},
		{Name: "Nats-Rollup", Value: "all"}, {Name: "nAtS-ttl", Value: "1"}, {Name: "priority", Value: "no"}, {Name: "", Value: "no"},
	}}
	require.Equal(t, natsgo.Header{"message-id": {"ID:1"}, "timestamp": {"7"}, "x": {"1", "2"}, "JMSXUserID": {"alice"}}, headerOf(m))
	m = &gateway.Message{ID: "ID:2", Priority: 9, Expires: 8, Persistent: true, Header: gateway.Header{
		{Name: "a b", Value: "c"}, {Name: "a%20b", Value: "d"}, {Name: "v", Value: "plain"}, {Name: "v", Value: "two\r\nlines: 100%"},
		{Name: "Sluice-Encoded", Value: "v"}, {Name: "é", Value: "é"}, {Name: "pad", Value: " x "}, {Name: "n", Value: "\x00"},
	}}
	h := headerOf(m)
	require.Equal(t, natsgo.Header{
		"message-id": {"ID:2"}, "timestamp": {"0"}, "priority": {"9"}, "expires": {"8"}, "persistent": {"true"},
		"a%20b": {"c"}, "a%2520b": {"d"}, "v": {"plain", "two%0D%0Alines:%20100%25"}, "%53luice-Encoded": {"v"},
		"%C3%A9": {"é"}, "pad": {"%20x%20"}, "n": {"%00"},
		"Sluice-Encoded": {"%53luice-Encoded", "%C3%A9", "a%20b", "a%2520b", "n", "pad", "v"},
	}, h)
	back, err := messageOf(topic("a"), overTheWire(t, h), nil, fields)
	require.NoError(t, err)
	require.ElementsMatch(t, m.Header, back.Header)
}

// An encoding must not smuggle in what could not come in as it is.
func TestEncodedNamesPassTheSameGate(t *testing.T) {
	h, ok := fieldsOf(natsgo.Header{
		encodedMark: {"%4Eats-Rollup", "message%2Did", "", "x"}, "%4Eats-Rollup": {"all"}, "message%2Did": {"forged"}, "x": {"%4"},
		"sluice-encoded": {"x"}, "": {"empty"}, "bad\xff": {"\xff"},
	}, fields)
	require.True(t, ok)
	require.Equal(t, gateway.Header{{Name: "bad\uFFFD", Value: "\uFFFD"}, {Name: "x", Value: "%4"}}, h)
}

func TestSubjects(t *testing.T) {
	for subject, d := range map[string]gateway.Destination{
		"queue.a.b": queue("a.b"), "topic.a.b": topic("a.b"), "queue.a%20b": queue("a b"), "topic.%.x": topic(".x"), "queue.$JS.API": queue("$JS.API"),
	} {
		got, ok := destinationOf(subject)
		require.True(t, ok)
		require.Equal(t, d, got)
		require.Equal(t, subject, subjectOf(d))
	}
	for _, subject := range []string{"queues.a", "_INBOX.a", "$JS.API.INFO", "queue"} {
		_, ok := destinationOf(subject)
		require.False(t, ok, subject)
	}
}

func sorted(h gateway.Header) gateway.Header {
	h = slices.Clone(h)
	slices.SortStableFunc(h, func(a, b gateway.Field) int { return strings.Compare(a.Name, b.Name) })
	return h
}

// Everything a message says, but its id and whether it is text, comes back from
// NATS as it went; only the order of the names is lost.
func checkRoundTrip(t require.TestingT, m *gateway.Message) {
	back, err := messageOf(m.Destination, overTheWire(t, headerOf(m)), m.Body, 1<<20)
	require.NoError(t, err)
	want := gateway.Header{}
	for _, f := range m.Header {
		if passes(f.Name) {
			want = append(want, f)
		}
	}
	require.Equal(t, sorted(want), back.Header)
	require.Equal(t, m.Priority, back.Priority)
	require.Equal(t, m.Expires, back.Expires)
	require.Equal(t, m.Timestamp, back.Timestamp)
}

func TestRoundTrip(t *testing.T) {
	text := rapid.OneOf(
		rapid.StringOf(rapid.SampledFrom([]rune("ab% \t\r\n:\x00\"/é20Dx"))), rapid.String(),
		rapid.SampledFrom([]string{"Nats-TTL", "Sluice-Encoded", "sluice-encoded", "priority", "reply-to", "a%20b", "a b", "", " "}))
	rapid.Check(t, func(t *rapid.T) {
		m := &gateway.Message{
			ID: "ID:1", Destination: topic("a"), Persistent: rapid.Bool().Draw(t, "persistent"),
			Priority: rapid.Uint8Range(0, 9).Draw(t, "priority"),
			Expires:  rapid.Int64Min(0).Draw(t, "expires"), Timestamp: rapid.Int64().Draw(t, "timestamp"),
		}
		for range rapid.IntRange(0, 6).Draw(t, "fields") {
			m.Header = append(m.Header, gateway.Field{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")})
		}
		checkRoundTrip(t, m)
		back, err := messageOf(m.Destination, overTheWire(t, headerOf(m)), nil, fields)
		require.NoError(t, err)
		require.Equal(t, m.Persistent, back.Persistent)
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("a", "b", "c", "d")
	f.Add("a b", "\r\nNats-Rollup: all\r\n\r\nPUB x 1", "a%20b", "%0D")
	f.Add("Sluice-Encoded", "x", "Nats-Msg-Id", "1")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		for _, s := range []string{n1, v1, n2, v2} {
			if !utf8.ValidString(s) {
				return
			}
		}
		checkRoundTrip(t, &gateway.Message{Destination: topic("a"), Header: gateway.Header{{Name: n1, Value: v1}, {Name: n2, Value: v2}, {Name: n1, Value: v2}}})
	})
}

// FuzzNative: whatever header a native client sends, only what may pass does.
func FuzzNative(f *testing.F) {
	f.Add([]byte("NATS/1.0\r\na: b\r\npriority: 3\r\nSluice-Encoded: %4Eats-X\r\n%4Eats-X: 1\r\n\r\n"))
	f.Add([]byte("NATS/1.0 503 No Responders\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := natsgo.DecodeHeadersMsg(raw)
		if err != nil {
			return
		}
		m, err := messageOf(queue("a"), h, nil, fields)
		if err != nil {
			require.NotEqual(t, gateway.Internal, gateway.KindOf(err))
			return
		}
		require.LessOrEqual(t, m.Priority, uint8(9))
		for _, field := range m.Header {
			require.True(t, passes(field.Name), field.Name)
			require.True(t, utf8.ValidString(field.Name) && utf8.ValidString(field.Value))
		}
		checkRoundTrip(t, m)
	})
}
