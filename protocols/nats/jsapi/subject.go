package jsapi

import "strings"

// Prefix begins the subjects of all requests.
const Prefix = "$JS.API."

// Verb is what a request asks for.
type Verb string

// The verbs with a meaning for queues. All others of JetStream are refused by name.
const (
	AccountInfo    Verb = "INFO"
	StreamNames    Verb = "STREAM.NAMES"
	StreamList     Verb = "STREAM.LIST"
	StreamInfo     Verb = "STREAM.INFO"
	ConsumerCreate Verb = "CONSUMER.CREATE"
	// ConsumerDurable is how older clients create a durable consumer.
	ConsumerDurable Verb = "CONSUMER.DURABLE.CREATE"
	ConsumerInfo    Verb = "CONSUMER.INFO"
	ConsumerDelete  Verb = "CONSUMER.DELETE"
	ConsumerNames   Verb = "CONSUMER.NAMES"
	ConsumerList    Verb = "CONSUMER.LIST"
	ConsumerNext    Verb = "CONSUMER.MSG.NEXT"
	DirectGet       Verb = "DIRECT.GET"
)

// Request is the subject of a request, taken apart.
type Request struct {
	Verb Verb
	// Stream, Consumer and Filter are empty where the subject does not name them.
	Stream, Consumer, Filter string
}

// verbs lists all that JetStream knows, with how many names follow.
func verbs(verb Verb) (names int, known bool) {
	switch verb {
	case AccountInfo, StreamNames, StreamList:
		return 0, true
	case StreamInfo, "STREAM.CREATE", "STREAM.UPDATE", "STREAM.DELETE", "STREAM.PURGE", "STREAM.SNAPSHOT", "STREAM.RESTORE",
		"STREAM.MSG.GET", "STREAM.MSG.DELETE", "STREAM.LEADER.STEPDOWN", "STREAM.PEER.REMOVE", ConsumerNames, ConsumerList:
		return 1, true
	case ConsumerDurable, ConsumerInfo, ConsumerDelete, ConsumerNext,
		"CONSUMER.PAUSE", "CONSUMER.RESET", "CONSUMER.UNPIN", "CONSUMER.LEADER.STEPDOWN":
		return 2, true
	case ConsumerCreate, DirectGet:
		return 3, true
	}
	return 0, false
}

// ParseRequest takes the subject of a request apart. ok is false for what JetStream does not know either.
func ParseRequest(subject string) (r Request, ok bool) {
	rest, ok := strings.CutPrefix(subject, Prefix)
	if !ok {
		return Request{}, false
	}
	// The longest verb counts: CONSUMER.MSG.NEXT and not CONSUMER.
	for end := len(rest); end > 0; end = strings.LastIndexByte(rest[:end], '.') {
		names, known := verbs(Verb(rest[:end]))
		if !known {
			continue
		}
		r.Verb = Verb(rest[:end])
		if end == len(rest) {
			return r, names == 0
		}
		return r.name(strings.SplitN(rest[end+1:], ".", max(names, 1)), names)
	}
	return Request{}, false
}

// name fills in the names behind the verb.
func (r Request) name(given []string, names int) (Request, bool) {
	if r.Verb == DirectGet { // the second name is a subject, dots and all
		r.Stream = given[0]
		return r, r.Stream != ""
	}
	if names == 0 || names < 3 && len(given) != names {
		return Request{}, false
	}
	for i, into := range []*string{&r.Stream, &r.Consumer, &r.Filter} {
		if i >= len(given) {
			break
		}
		if *into = given[i]; *into == "" || i < 2 && strings.IndexByte(*into, '.') >= 0 {
			return Request{}, false
		}
	}
	return r, true
}

// ValidName reports whether a consumer may have that name: one token of a subject
// that is fit for a file name as well.
func ValidName(name string) bool {
	if name == "" || len(name) > 255 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || strings.IndexByte(".*>/\\", c) >= 0 {
			return false
		}
	}
	return true
}
