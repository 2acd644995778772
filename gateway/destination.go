package gateway

import (
	"strings"
	"unicode/utf8"
)

// Kind tells queues from topics. The two are separate name spaces: queue a.b
// and topic a.b have nothing to do with each other.
type Kind uint8

const (
	// KindQueue: each message goes to one consumer and waits until one takes it.
	KindQueue Kind = iota + 1
	// KindTopic: each message goes to every current subscriber.
	KindTopic
)

// String returns "queue" or "topic".
func (k Kind) String() string {
	switch k {
	case KindQueue:
		return "queue"
	case KindTopic:
		return "topic"
	}
	return "unknown"
}

// MaxNameLength is the longest destination name in bytes. It keeps every
// subject made of a name within the store's control line.
const MaxNameLength = 1024

// Destination names a queue or a topic. Name is dotted, as in ActiveMQ: "a.b.c".
// A slash is an ordinary character of a name.
type Destination struct {
	Kind Kind
	Name string
}

// String returns ActiveMQ's URI form: "queue://a.b" or "topic://a.b".
func (d Destination) String() string { return d.Kind.String() + "://" + d.Name }

// IsPattern reports whether the name has a wildcard token: "*" (one token) or
// ">" (this and everything below it).
func (d Destination) IsPattern() bool {
	for token := range strings.SplitSeq(d.Name, ".") {
		if token == "*" || token == ">" {
			return true
		}
	}
	return false
}

// Validate reports why a name cannot be a destination, in words for the client:
// it must not be empty, longer than MaxNameLength, not UTF-8 or hold control
// characters. Wildcards are not its business: see IsPattern.
func (d Destination) Validate() error {
	switch {
	case d.Kind != KindQueue && d.Kind != KindTopic:
		return Errorf(Invalid, "destination is neither a queue nor a topic")
	case d.Name == "":
		return Errorf(Invalid, "Invalid empty or 'null' Destination header")
	case len(d.Name) > MaxNameLength:
		return Errorf(Invalid, "destination name is %d bytes long, the limit is %d", len(d.Name), MaxNameLength)
	case !utf8.ValidString(d.Name):
		return Errorf(Invalid, "destination name is not valid UTF-8")
	}
	for i := range len(d.Name) {
		if c := d.Name[i]; c < 0x20 || c == 0x7f {
			return Errorf(Invalid, "destination name holds the control character 0x%02x at byte %d", c, i)
		}
	}
	return nil
}
