package stomp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/jmsmap"
)

// The broker's maps come in XML unless the subscription asks for JSON; what only looks like one stays as it is.
func TestMapsInBothForms(t *testing.T) {
	body := jmsmap.Map{{Name: "size", Value: int64(3)}}.JSON()
	of := func(body []byte, lines ...string) *gateway.Message {
		m := &gateway.Message{Body: body, Text: true, Header: gateway.Header{{Name: "correlation-id", Value: "7"}}}
		for i := 0; i < len(lines); i += 2 {
			m.Header = append(m.Header, gateway.Field{Name: lines[i], Value: lines[i+1]})
		}
		return m
	}
	m := of(body, jmsmap.Header, jmsmap.JSON, "type", "Advisory")
	require.True(t, isMap(m))
	x := inXML(m)
	require.Equal(t, "<map>\n  <entry>\n    <string>size</string>\n    <long>3</long>\n  </entry>\n</map>", string(x.Body))
	require.Equal(t, gateway.Header{{Name: "correlation-id", Value: "7"}, {Name: jmsmap.Header, Value: jmsmap.XML}, {Name: "type", Value: "Advisory"}}, x.Header)
	require.Equal(t, string(body), string(m.Body), "others have it too")
	require.Equal(t, jmsmap.JSON, m.Header[1].Value)
	broken := of([]byte(`{"map":3}`), jmsmap.Header, jmsmap.JSON, "type", "Advisory")
	require.Same(t, broken, inXML(broken))
	for _, m := range []*gateway.Message{
		of(body), of(body, jmsmap.Header, jmsmap.JSON), of(body, "type", "Advisory"), of(body, jmsmap.Header, jmsmap.XML, "type", "Advisory"),
		of([]byte("hello"), jmsmap.Header, jmsmap.JSON, "type", "Advisory"), of(append(body, make([]byte, transformedMost)...), jmsmap.Header, jmsmap.JSON, "type", "Advisory"),
	} {
		require.False(t, isMap(m))
	}
	for value, want := range map[string]bool{"": false, "jms-map-json": true, " jms-json ": true, "jms-map-xml": false, "jms-xml": false} {
		require.Equal(t, want, wantsJSON(gateway.Header{{Name: jmsmap.Header, Value: value}}), value)
	}
}
