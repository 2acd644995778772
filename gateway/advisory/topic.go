package advisory

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// Prefix is what the names of all topics of advisories begin with.
const Prefix = root + "." + branch + "."

const (
	root   = "ActiveMQ"
	branch = "Advisory"
)

// Kind is what an advisory is about.
type Kind uint8

// The kinds. Those from Expired on are about a message.
const (
	Connection Kind = iota
	Consumer
	Destination
	Slow
	Expired
	Dead
	Delivered
	Consumed
	Discarded
	NoConsumer
)

// words are what the topics of advisories about destinations are called.
var words = [...]string{
	Connection: "Connection", Consumer: "Consumer", Slow: "SlowConsumer", Expired: "Expired", Dead: "MessageDLQd",
	Delivered: "MessageDelivered", Consumed: "MessageConsumed", Discarded: "MessageDiscarded", NoConsumer: "NoConsumer",
}

// Topic is where advisories of a kind about a destination are told. Those about connections and about what destinations there are have one for all.
func Topic(k Kind, d gateway.Destination) string {
	switch k {
	case Connection:
		return Prefix + words[Connection]
	case Destination:
		switch d.Kind {
		case gateway.KindTopic:
			return Prefix + "Topic"
		case gateway.KindTempQueue:
			return Prefix + "TempQueue"
		case gateway.KindTempTopic:
			return Prefix + "TempTopic"
		}
		return Prefix + "Queue"
	}
	side := ".Queue."
	if d.Kind.IsTopic() {
		side = ".Topic."
	}
	return Prefix + words[k] + side + d.Name
}

// Is reports whether a topic is one of advisories.
func Is(topic string) bool { return strings.HasPrefix(topic, Prefix) }

// Reaches reports whether the name of a topic, or a pattern of some, can be that of an advisory. Patterns whose first word is a wildcard do not:
// who wants advisories names them.
func Reaches(pattern string) bool {
	rest, ok := strings.CutPrefix(pattern, root+".")
	if !ok {
		return false
	}
	second, rest, more := strings.Cut(rest, ".")
	return second == ">" || more && rest != "" && (second == branch || second == "*")
}

// Set is a set of kinds.
type Set uint16

// Has reports whether one of the kinds is in it.
func (s Set) Has(kinds ...Kind) bool {
	for _, k := range kinds {
		if s&(1<<k) != 0 {
			return true
		}
	}
	return false
}

// all are all kinds.
const all Set = 1<<(NoConsumer+1) - 1

// Kinds are those that the name of a topic, or a pattern of some, reaches.
func Kinds(pattern string) Set {
	if !Reaches(pattern) {
		return 0
	}
	parts := strings.SplitN(pattern, ".", 4)
	if len(parts) < 3 || parts[1] == ">" { // what follows that does not count
		return all
	}
	switch third := parts[2]; third {
	case ">", "*":
		return all
	case "Queue", "Topic", "TempQueue", "TempTopic":
		return 1 << Destination
	default:
		for k, word := range words {
			if word == third {
				return 1 << k
			}
		}
		return 0
	}
}

// Matches is gateway.Matches for who subscribes to topics: advisories come to who names them alone.
func Matches(pattern, topic string) bool {
	return gateway.Matches(pattern, topic) && (!Is(topic) || Reaches(pattern))
}

// Subject is the destination whose messages an advisory on a topic shows something of. ok is false for topics whose advisories show nothing of messages.
// Temporary destinations have the kind of ordinary ones here.
func Subject(topic string) (d gateway.Destination, ok bool) {
	rest, is := strings.CutPrefix(topic, Prefix)
	if !is {
		return d, false
	}
	word, rest, _ := strings.Cut(rest, ".")
	for _, shows := range words[Expired:] {
		if word != shows && word != "*" {
			continue
		}
		switch side, name, _ := strings.Cut(rest, "."); {
		case name == "":
			return d, false
		case side == "Queue":
			return gateway.Destination{Kind: gateway.KindQueue, Name: name}, true
		case side == "Topic":
			return gateway.Destination{Kind: gateway.KindTopic, Name: name}, true
		}
		return d, false
	}
	return d, false
}
