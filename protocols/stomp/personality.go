package stomp

import "strings"

// Personality is the broker that a listener behaves like where brokers differ. What one of them has and the others leave
// alone works in each.
type Personality uint8

const (
	// ActiveMQ Classic 5.18.
	ActiveMQ Personality = iota
	// RabbitMQ with its STOMP plugin.
	RabbitMQ
	// Artemis is ActiveMQ Artemis.
	Artemis
	// Apollo is ActiveMQ Apollo.
	Apollo
	// Strict is nobody: every ERROR ends the connection, as the specification has it.
	Strict
)

// Errors says what an ERROR frame does to a connection that is logged in. Before the login every ERROR ends the
// connection, and so do violations of the framing and unknown commands at any time.
type Errors uint8

const (
	// UsualErrors are those of the personality.
	UsualErrors Errors = iota
	// LenientErrors leave the connection: the client may go on with its next frame.
	LenientErrors
	// FatalErrors end it; subscribing to an id twice and header lines that the specification forbids are among them.
	FatalErrors
)

// sameID says what a second SUBSCRIBE with the id of a living subscription does.
type sameID uint8

const (
	anotherConsumer sameID = iota
	sameIDRefused
	sameIDCloses
)

// grammar says how destinations are written.
type grammar uint8

const (
	activeMQGrammar grammar = iota
	rabbitGrammar
	artemisGrammar
	apolloGrammar
)

// wording is an ERROR's message and text. In text, %s stands for what the client said.
type wording struct{ message, text string }

// dialect is what the personalities differ in. It does not change.
type dialect struct {
	// server is the server header, in which {version} stands for ours. Clients choose their dialect by its beginning.
	server string
	// session is what a session's name begins with for the client; empty: it looks like ActiveMQ's.
	session string
	// fatal: every ERROR ends the connection. pedantic: so do header lines without a colon and undefined escapes.
	fatal, pedantic bool
	sameID          sameID
	grammar         grammar
	// versions answers a client that speaks none of ours, login one that is not who it says; empty is ActiveMQ's and the broker's.
	versions, login wording
	// requeue: what a NACK refuses comes back, unless it says otherwise. nackAll: in client mode it covers what came before.
	requeue, nackAll bool
	// ttl is the header with the milliseconds that a message is worth something; empty is none.
	ttl string
	// delays is where a message says when it is to be delivered: after some milliseconds, or at some.
	delayAfter string
	delaysAt   []string
	// ownIDs: a SEND must not say its message-id.
	ownIDs bool
	// sharedNames: durable subscriptions belong to all and may have several consumers; client-ids are only parts of their names.
	sharedNames bool
	// durableFlags are headers of SUBSCRIBE that, when true, make a durable subscription that is called by its id.
	durableFlags []string
	// forgetEnds: UNSUBSCRIBE of a durable subscription ends its consumer, too.
	forgetEnds bool
	// replySubscribes: a reply-to is how a temporary queue is subscribed to, not SUBSCRIBE.
	replySubscribes bool
	// emptySelector is refused.
	emptySelector bool
	// idless: a subscription needs no id in any version; it is known by its destination then, as in STOMP 1.0.
	idless bool
	// asWritten: deliveries show the destination as SUBSCRIBE wrote it.
	asWritten bool
}

// dialects is the table of the personalities.
var dialects = [...]dialect{
	ActiveMQ: {server: "ActiveMQ/5.18.0 Sluice/{version}"},
	RabbitMQ: {
		server: "RabbitMQ/3.13.7 Sluice/{version}", session: "session-",
		sameID: sameIDCloses, grammar: rabbitGrammar, ownIDs: true,
		versions: wording{"Version mismatch", "Supported versions are " + supportedVersions + "\n"},
		login:    wording{"Bad CONNECT", "Access refused for user '%s'\n"},
		requeue:  true, nackAll: true, ttl: "expiration", delayAfter: "x-delay",
		sharedNames: true, durableFlags: []string{"durable", "persistent"}, forgetEnds: true, replySubscribes: true, idless: true,
	},
	Artemis: {
		server: "ActiveMQ-Artemis/2.33.0 Sluice/{version}", sameID: sameIDRefused, grammar: artemisGrammar,
		ttl: "ttl", delaysAt: []string{"_AMQ_SCHED_DELIVERY", "AMQ_SCHEDULED_TIME"},
		sharedNames: true, forgetEnds: true, emptySelector: true, asWritten: true,
	},
	Apollo: {
		server: "apache-apollo/1.7.1 Sluice/{version}", fatal: true, sameID: sameIDRefused, grammar: apolloGrammar,
		versions: wording{"version not supported", "version not supported"},
		ttl:      "ttl", sharedNames: true, durableFlags: []string{"persistent"}, forgetEnds: true,
	},
	Strict: {server: "Sluice/{version}", fatal: true, pedantic: true, sameID: sameIDRefused},
}

// ServerHeader is what CONNECTED says by default in its server header; version is ours.
func (p Personality) ServerHeader(version string) string {
	return strings.ReplaceAll(dialects[p].server, "{version}", version)
}

// FatalErrors reports whether every ERROR ends the connection, unless Errors says otherwise.
func (p Personality) FatalErrors() bool { return dialects[p].fatal }

// dialect is that of a configuration.
func (cfg *Config) dialect() *dialect {
	d := dialects[cfg.Personality]
	switch cfg.Errors {
	case UsualErrors:
	case LenientErrors:
		d.fatal, d.pedantic = false, false
	case FatalErrors:
		d.fatal, d.pedantic, d.sameID = true, true, max(d.sameID, sameIDRefused)
	}
	return &d
}
