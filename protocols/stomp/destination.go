package stomp

import (
	"net/url"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// prefixes of destinations, longest meaning first.
const (
	queuePrefix = "/queue/"
	topicPrefix = "/topic/"
)

// parseDestination reads a destination header as ActiveMQ does: /queue/N and
// /topic/N, queue://N and topic://N; anything else is a queue of that literal name.
// Options after a "?" are returned apart.
func parseDestination(s string) (d gateway.Destination, options string, err error) {
	s = strings.TrimSpace(s)
	s, options, _ = strings.Cut(s, "?")
	switch {
	case s == "":
		return d, "", invalid("Invalid empty or 'null' Destination header")
	case strings.Contains(s, ","):
		return d, "", unsupported("composite destinations")
	case hasAnyPrefix(s, "/temp-queue/", "/temp-topic/", "temp-queue://", "temp-topic://",
		"/remote-temp-queue/", "/remote-temp-topic/"):
		return d, "", unsupported("temporary destinations")
	}
	d = gateway.Destination{Kind: gateway.KindQueue, Name: s}
	for _, p := range [...]struct {
		prefix string
		kind   gateway.Kind
	}{
		{queuePrefix, gateway.KindQueue}, {topicPrefix, gateway.KindTopic},
		{"queue://", gateway.KindQueue}, {"topic://", gateway.KindTopic},
	} {
		if name, ok := strings.CutPrefix(s, p.prefix); ok {
			d = gateway.Destination{Kind: p.kind, Name: name}
			break
		}
	}
	if err := d.Validate(); err != nil {
		return gateway.Destination{}, "", err
	}
	return d, options, nil
}

// formatDestination writes a destination as clients see it: always with a prefix.
func formatDestination(d gateway.Destination) string {
	if d.Kind == gateway.KindTopic {
		return topicPrefix + d.Name
	}
	return queuePrefix + d.Name
}

// consumerOption returns an option of the form consumer.<name> that was given with a destination.
func consumerOption(options, name string) string {
	if options == "" {
		return ""
	}
	// A part that cannot be parsed is left out; the rest still counts.
	values, _ := url.ParseQuery(options)
	return values.Get("consumer." + name)
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
