package feed

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// OriginHeader says where a copy was sent, in ActiveMQ's words. It is a header of what is copied to another destination, unless its sender has set one.
const OriginHeader = "original-destination"

// WithOrigin adds where a message was sent to the header of a copy. The header must not be shared.
func WithOrigin(h gateway.Header, origin string) gateway.Header {
	if _, has := h.Get(OriginHeader); has {
		return h
	}
	return append(h, gateway.Field{Name: OriginHeader, Value: origin})
}

// OriginOf is how a destination stands in that header.
func OriginOf(d gateway.Destination) string { return "/" + d.Kind.String() + "/" + d.Name }

// ParseOrigin reads what OriginOf writes.
func ParseOrigin(text string) (gateway.Destination, bool) {
	for _, kind := range [...]gateway.Kind{gateway.KindQueue, gateway.KindTopic, gateway.KindTempQueue} {
		for _, prefix := range [...]string{"/" + kind.String() + "/", kind.String() + "://"} {
			if name, ok := strings.CutPrefix(text, prefix); ok {
				d := gateway.Destination{Kind: kind, Name: name}
				return d, d.Validate() == nil && !d.IsPattern() && !strings.Contains(name, ",")
			}
		}
	}
	return gateway.Destination{}, false
}
