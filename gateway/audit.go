package gateway

// EventKind is what happened. Its text is stable: logs are searched for it.
type EventKind string

// The events of an audit. Sent and Acknowledged are recorded only if the Auditor wants commands.
const (
	Connected    EventKind = "connect"
	Disconnected EventKind = "disconnect"
	LoginRefused EventKind = "login_refused"
	Subscribed   EventKind = "subscribe"
	Unsubscribed EventKind = "unsubscribe"
	ActionDenied EventKind = "denied"
	LimitReached EventKind = "limit"
	Sent         EventKind = "send"
	Acknowledged EventKind = "ack"
	Refused      EventKind = "nack"
	Committed    EventKind = "commit"
	Administered EventKind = "admin"
)

// Event is something that somebody did. It never holds a body, a passcode or a token.
type Event struct {
	Kind      EventKind
	Principal Principal
	// Claimed is the login of somebody who was refused: nothing is known of it.
	Claimed string
	// Session names the session on its node; empty before there is one.
	Session string
	// ClientID, Protocol, Listener, Remote and Library are those of the Login.
	ClientID, Protocol, Listener, Remote, Library string
	// Destination is the one concerned, if there is one.
	Destination Destination
	// Operation of Administered, with its arguments: "drain", "tap /queue/x".
	Operation string
	// Subject is what else was concerned: a subscription's name, a message's id, a limit.
	Subject string
	// Count is how many messages the event is about, if it is about messages.
	Count int
	// Err is why it was refused or how it ended; nil is well.
	Err error
}

// Auditor writes down who did what, one line each. Safe for concurrent use.
type Auditor interface {
	// Record writes an event down. It must return soon and must not call back; e is not kept.
	Record(e *Event)
	// Commands reports whether every single message is to be recorded, too. It may change at any time.
	Commands() bool
}
