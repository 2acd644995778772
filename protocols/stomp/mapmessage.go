package stomp

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/jmsmap"
)

// transformedMost is the longest map that is shown in another form; longer ones stay as they are.
const transformedMost = 64 << 10

// wantsJSON reports whether a SUBSCRIBE asks for maps in JSON. As with ActiveMQ they come in XML otherwise.
func wantsJSON(h gateway.Header) bool {
	v, _ := h.Get(jmsmap.Header)
	v = strings.TrimSpace(v)
	return v == jmsmap.JSON || v == "jms-json"
}

// isMap reports whether a message is a map of the broker's, which waits in JSON. For others it costs a look at the first bytes.
func isMap(m *gateway.Message) bool {
	if !jmsmap.MayBeJSON(m.Body) || len(m.Body) > transformedMost {
		return false
	}
	form, _ := m.Header.Get(jmsmap.Header)
	kind, _ := m.Header.Get("type")
	return form == jmsmap.JSON && kind == "Advisory"
}

// inXML is a map of the broker's in XML. What cannot be read as one stays as it is.
func inXML(m *gateway.Message) *gateway.Message {
	content, err := jmsmap.ParseJSON(m.Body)
	if err != nil {
		return m
	}
	c := m.Copy()
	c.Body = content.XML()
	c.Header = make(gateway.Header, 0, len(m.Header))
	for _, f := range m.Header {
		if f.Name == jmsmap.Header {
			f.Value = jmsmap.XML
		}
		c.Header = append(c.Header, f)
	}
	return c
}
