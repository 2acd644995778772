package core

import (
	"slices"
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// deadCopy makes the message that goes to the dead-letter queue, as ActiveMQ
// makes it: the same message-id, persistent, never expiring, and headers that
// say where it comes from and why.
func deadCopy(m *gateway.Message, queue string, cause dispatch.Cause) *gateway.Message {
	dead := &gateway.Message{
		ID:          m.ID,
		Destination: gateway.Destination{Kind: gateway.KindQueue, Name: queue},
		Body:        m.Body,
		Text:        m.Text,
		Persistent:  true,
		Priority:    m.Priority,
		Timestamp:   m.Timestamp,
	}
	replaced := []string{"original-destination", "originalExpiration", "dlqDeliveryFailureCause"}
	for _, f := range m.Header {
		if !slices.Contains(replaced, f.Name) {
			dead.Header = append(dead.Header, f)
		}
	}
	dead.Header = append(dead.Header, gateway.Field{Name: "original-destination", Value: "/" + m.Destination.Kind.String() + "/" + m.Destination.Name})
	if m.Expires != 0 {
		dead.Header = append(dead.Header, gateway.Field{Name: "originalExpiration", Value: strconv.FormatInt(m.Expires, 10)})
	}
	if cause == dispatch.Expired {
		dead.Header = append(dead.Header, gateway.Field{
			Name:  "dlqDeliveryFailureCause",
			Value: "java.lang.Throwable: Message Expired. Expiration:" + strconv.FormatInt(m.Expires, 10),
		})
	}
	return dead
}
