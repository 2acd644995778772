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
	// KindTempQueue and KindTempTopic belong to one session and end with it: only it may subscribe to them, everybody
	// who may write there may send. Their names begin with the session's id and a colon.
	KindTempQueue
	KindTempTopic
	// KindSubscription is the queue of a durable subscription; its name is the client-id, a colon, and the subscription's name. In the
	// client-id % is written as %25 and a colon as %3A.
	// Nobody sends to it: its messages were sent to topics.
	KindSubscription
)

var kinds = [...]string{KindQueue: "queue", KindTopic: "topic", KindTempQueue: "temp-queue", KindTempTopic: "temp-topic", KindSubscription: "subscription"}

// String returns the kind as it stands in ActiveMQ's URI form: "queue", "topic", "temp-queue", "temp-topic", "subscription".
func (k Kind) String() string {
	if int(k) < len(kinds) && kinds[k] != "" {
		return kinds[k]
	}
	return "unknown"
}

// IsQueue reports whether messages of that kind of destination wait in a queue, and IsTopic whether they go to whoever subscribes.
func (k Kind) IsQueue() bool { return k == KindQueue || k == KindTempQueue || k == KindSubscription }

// IsTopic is IsQueue's opposite.
func (k Kind) IsTopic() bool { return k == KindTopic || k == KindTempTopic }

// IsTemp reports whether destinations of that kind end with their session.
func (k Kind) IsTemp() bool { return k == KindTempQueue || k == KindTempTopic }

// MaxNameLength is the longest destination name in bytes. It keeps every
// subject made of a name within the store's control line.
const MaxNameLength = 1024

// Destination names a queue or a topic. Name is dotted, as in ActiveMQ: "a.b.c".
// A slash is an ordinary character of a name.
type Destination struct {
	Kind Kind
	Name string
}

// String returns ActiveMQ's URI form: "queue://a.b", "topic://a.b", "temp-queue://...".
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
	case !d.Kind.IsQueue() && !d.Kind.IsTopic():
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

// Matches reports whether a name falls under a pattern. "*" stands for one
// token, ">" for the rest, which may be empty: a.> matches a, as in ActiveMQ.
// What follows a ">" is ignored.
func Matches(pattern, name string) bool {
	for {
		p, patternRest, morePattern := strings.Cut(pattern, ".")
		if p == ">" {
			return true
		}
		t, nameRest, moreName := strings.Cut(name, ".")
		if p != "*" && p != t {
			return false
		}
		switch {
		case !moreName:
			return !morePattern || patternRest == ">" || strings.HasPrefix(patternRest, ">.")
		case !morePattern:
			return false
		}
		pattern, name = patternRest, nameRest
	}
}
