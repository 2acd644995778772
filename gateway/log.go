package gateway

import "context"

// LogKeys begin the keys of the facts that give topics a log; the topic's name follows, so that it must be fit for a key. The value is a LogFact in
// JSON, perhaps with more fields. The log is there as long as the fact, and is another one if the fact has another ID.
const LogKeys = "log/"

// LogFact is what the store reads of such a fact.
type LogFact struct {
	// ID of the log: 1 to 64 letters, digits and '-', and never the same for two logs.
	ID string `json:"id"`
	// Retention is for how long messages stay, in milliseconds; 0 is for ever.
	Retention int64 `json:"retention_ms"`
	// First is the offset of its first message, which does not change: a log that goes on for one that was elsewhere.
	First uint64 `json:"first,omitempty"`
	// Stream is under which name the messages are kept; it is made as an ID. Empty is ID. A log that comes out of a backup keeps its ID, by which cursors know
	// it, and has another stream. Two topics may have one stream for a while: it is there as long as one of them.
	Stream string `json:"stream,omitempty"`
}

// MaxFirst is the greatest First.
const MaxFirst = 1 << 53

// MaxLogBatch is how many messages may be appended at once.
const MaxLogBatch = 1000

// Logs keeps what is sent to topics that have a log: in order, numbered from LogFact.First without holes, until it is too old. Implemented by
// jetstream. Any node may append and read; nobody owns a log.
type Logs interface {
	// Append stores messages at the end of a topic's log, side by side, all or none, and does not wait. c.Complete is called once: with nil when they are as durable
	// as persistent messages are, and then each has its Offset; with an Error of kind NotFound if the topic has no log; else they are not in the
	// log, unless the kind is Unavailable: then nobody knows. The order of calls is kept. The slice is not kept.
	//
	// Messages whose Source says Once are stored once, whoever appends them, how often, and however much later: those of a batch are of one route and one log, in the
	// order of their sources' offsets, and of those a log takes only what comes from behind the source of the last copy that it has. The rest of the
	// batch is passed over, completes with the others, and has the Offset of that copy. Whoever appends them waits for one call before he makes the next
	// for the same route and topic. The Error is of kind Invalid if a batch is not like that.
	Append(topic string, batch []*Message, c Completion, token uint64)
	// Read returns messages of a log that are durable. Errors: NotFound, if the topic has no log; Unavailable.
	Read(ctx context.Context, topic string, q LogQuery) (LogPage, error)
}

// LogQuery says what to read of a log.
type LogQuery struct {
	// From is the first offset that is wanted; what comes before the oldest message is passed over. Since, if not 0, takes its place: the first message
	// that was stored then or later, in Unix milliseconds, and all after it.
	From  uint64
	Since int64
	// Messages is how many at most, and Bytes what they may have together but for the first. 0 messages asks for the rest of the LogPage alone.
	Messages, Bytes int
}

// LogPage is a part of a log.
type LogPage struct {
	// Log is the ID of the log that the topic has.
	Log string
	// First is the offset of the oldest message, Next that of the one to come. They are equal if there is none.
	First, Next uint64
	// At is the offset of the first message that was asked for, Next if that is still to come.
	At uint64
	// Bytes is what all its messages take, with what is kept beside them; of those that are too old some may count for a while. 0 if there is none.
	Bytes uint64
	// Messages from At on, each with its Offset, without a hole.
	Messages []*Message
}

// OnceOf is the Key of the sources by which a batch is to be stored once; empty if it is to be stored as it is. The Error is of kind Invalid if a Source makes no sense, or the batch
// cannot be stored like that.
func OnceOf(batch []*Message) (key string, err error) {
	for i, m := range batch {
		s, first := m.Source, batch[0].Source
		if s != nil && (!ValidLogID(s.Route) || !ValidLogID(s.Log)) {
			return "", Errorf(Invalid, "%.200q cannot be the ID of a route and a log", s.Key())
		}
		once := s != nil && s.Once
		switch {
		case once != (first != nil && first.Once):
			return "", Errorf(Invalid, "copies that are to be stored once are appended by themselves")
		case !once:
			continue
		case s.Route != first.Route || s.Log != first.Log:
			return "", Errorf(Invalid, "copies that are to be stored once are appended by their routes")
		case i > 0 && s.Offset <= batch[i-1].Source.Offset:
			return "", Errorf(Invalid, "copies that are to be stored once are appended in the order of their sources")
		}
		key = s.Key()
	}
	return key, nil
}

// ValidLogID reports whether something can be the ID of a log.
func ValidLogID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}
