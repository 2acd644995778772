package app

import (
	"fmt"
	"strings"
)

// choose returns the word if it is one of the allowed ones.
func choose[T ~string](word []byte, allowed ...T) (T, error) {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		if string(word) == string(a) {
			return a, nil
		}
		names[i] = string(a)
	}
	list := strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
	return "", fmt.Errorf("%q is not %s%s", word, list, didYouMean(string(word), names))
}

// Durability says what a receipt for a persistent message promises.
type Durability string

// The durabilities.
const (
	// Disk: on disk on one node, on the disks of a majority in a cluster.
	Disk Durability = "disk"
	// Quorum: with a majority of the cluster, not yet on disk.
	Quorum Durability = "quorum"
	// Relaxed: with one node, not yet on disk.
	Relaxed Durability = "relaxed"
)

// UnmarshalText reads one of the words.
func (d *Durability) UnmarshalText(text []byte) (err error) {
	*d, err = choose(text, Disk, Quorum, Relaxed)
	return err
}

// Protocol is what a listener speaks.
type Protocol string

// The protocols.
const (
	Stomp Protocol = "stomp"
	// WebSocket is STOMP over WebSocket.
	WebSocket Protocol = "websocket"
	Nats      Protocol = "nats"
	// NatsWebSocket is NATS over WebSocket.
	NatsWebSocket Protocol = "nats-websocket"
	MQTT          Protocol = "mqtt"
	// PubSubProtocol is HTTP Pub/Sub.
	PubSubProtocol Protocol = "pubsub"
	// AuthN is the mapping of certificates to tokens of HTTP Pub/Sub.
	AuthN Protocol = "authn"
	Admin Protocol = "admin"
)

// stomp reports whether clients speak STOMP.
func (p Protocol) stomp() bool { return p == Stomp || p == WebSocket }

// native reports whether the embedded server speaks to the clients.
func (p Protocol) native() bool { return p == Nats || p == NatsWebSocket || p == MQTT }

// UnmarshalText reads one of the words.
func (p *Protocol) UnmarshalText(text []byte) (err error) {
	*p, err = choose(text, Stomp, WebSocket, Nats, NatsWebSocket, MQTT, PubSubProtocol, AuthN, Admin)
	return err
}

// AuthOption is where clients of HTTP Pub/Sub show their tokens.
type AuthOption string

// The places, as the ARGO Messaging Service calls them.
const (
	// InHeader: the header x-api-key alone.
	InHeader AuthOption = "header"
	// InBoth: the header, or else key in the URL.
	InBoth AuthOption = "both"
	// InURL: key in the URL alone.
	InURL AuthOption = "url"
)

// UnmarshalText reads one of the words.
func (a *AuthOption) UnmarshalText(text []byte) (err error) {
	*a, err = choose(text, InHeader, InBoth, InURL)
	return err
}

// Personality is the broker that a STOMP listener behaves like where brokers differ.
type Personality string

// The personalities.
const (
	ActiveMQPersonality Personality = "activemq"
	RabbitMQPersonality Personality = "rabbitmq"
	ArtemisPersonality  Personality = "artemis"
	ApolloPersonality   Personality = "apollo"
	// StrictPersonality: nobody's, but as STOMP has it.
	StrictPersonality Personality = "strict"
)

// UnmarshalText reads one of the words.
func (p *Personality) UnmarshalText(text []byte) (err error) {
	*p, err = choose(text, ActiveMQPersonality, RabbitMQPersonality, ArtemisPersonality, ApolloPersonality, StrictPersonality)
	return err
}

// ErrorStyle says what a STOMP listener does with a client's mistake.
type ErrorStyle string

// The error styles.
const (
	// ActiveMQErrors: an ERROR frame, and the connection goes on where ActiveMQ's does.
	ActiveMQErrors ErrorStyle = "activemq"
	// StrictErrors: an ERROR frame, and the connection ends, as STOMP demands.
	StrictErrors ErrorStyle = "strict"
)

// UnmarshalText reads one of the words.
func (e *ErrorStyle) UnmarshalText(text []byte) (err error) {
	*e, err = choose(text, ActiveMQErrors, StrictErrors)
	return err
}

// SlowConsumer says what happens to a topic subscriber that does not keep up.
type SlowConsumer string

// The policies.
const (
	DropOldest SlowConsumer = "drop_oldest"
	Disconnect SlowConsumer = "disconnect"
)

// UnmarshalText reads one of the words.
func (s *SlowConsumer) UnmarshalText(text []byte) (err error) {
	*s, err = choose(text, DropOldest, Disconnect)
	return err
}

// TopicDelivery says who hears on a node of a cluster what was sent to a topic on another one.
type TopicDelivery string

// The deliveries.
const (
	// OncePerClient: everybody, but a client that subscribes on several nodes on one of them only.
	OncePerClient TopicDelivery = "once-per-client"
	// ClusterWide: every subscription.
	ClusterWide TopicDelivery = "cluster"
	// LocalDelivery: nobody.
	LocalDelivery TopicDelivery = "local"
)

// UnmarshalText reads one of the words.
func (d *TopicDelivery) UnmarshalText(text []byte) (err error) {
	*d, err = choose(text, OncePerClient, ClusterWide, LocalDelivery)
	return err
}

// LogLevel is the least important kind of line that is written.
type LogLevel string

// The levels.
const (
	Debug LogLevel = "debug"
	Info  LogLevel = "info"
	Warn  LogLevel = "warn"
	Error LogLevel = "error"
)

// UnmarshalText reads one of the words.
func (l *LogLevel) UnmarshalText(text []byte) (err error) {
	*l, err = choose(text, Debug, Info, Warn, Error)
	return err
}

// LogFormat is how log lines look.
type LogFormat string

// The formats.
const (
	// AutoFormat: text on a terminal, else JSON.
	AutoFormat LogFormat = "auto"
	TextFormat LogFormat = "text"
	JSONFormat LogFormat = "json"
)

// UnmarshalText reads one of the words.
func (f *LogFormat) UnmarshalText(text []byte) (err error) {
	*f, err = choose(text, AutoFormat, TextFormat, JSONFormat)
	return err
}

// ACLMode says how rules decide.
type ACLMode string

// The modes.
const (
	// FirstMatch: the first rule that fits decides; none is a no.
	FirstMatch ACLMode = "first-match"
	// Union: whatever any rule allows is allowed, as in ActiveMQ.
	Union ACLMode = "union"
)

// UnmarshalText reads one of the words.
func (m *ACLMode) UnmarshalText(text []byte) (err error) {
	*m, err = choose(text, FirstMatch, Union)
	return err
}

// ClientAuth says whether a listener wants certificates of its clients.
type ClientAuth string

// The answers.
const (
	NoClientAuth       ClientAuth = "none"
	OptionalClientAuth ClientAuth = "optional"
	RequiredClientAuth ClientAuth = "required"
)

// UnmarshalText reads one of the words.
func (c *ClientAuth) UnmarshalText(text []byte) (err error) {
	*c, err = choose(text, NoClientAuth, OptionalClientAuth, RequiredClientAuth)
	return err
}

// OCSP says whether issuers are asked about certificates.
type OCSP string

// The answers.
const (
	OCSPOff      OCSP = "off"
	OCSPOptional OCSP = "optional"
	OCSPRequired OCSP = "required"
)

// UnmarshalText reads one of the words.
func (o *OCSP) UnmarshalText(text []byte) (err error) {
	*o, err = choose(text, OCSPOff, OCSPOptional, OCSPRequired)
	return err
}

// TLSVersion is the oldest version that a listener speaks.
type TLSVersion string

// UnmarshalText reads one of the versions.
func (t *TLSVersion) UnmarshalText(text []byte) (err error) {
	*t, err = choose[TLSVersion](text, "1.0", "1.1", "1.2", "1.3")
	return err
}

// AuditLevel is how much is written down of what clients do.
type AuditLevel string

// The levels.
const (
	AuditOff AuditLevel = "off"
	// AuditOn: who came and went, and what was refused.
	AuditOn AuditLevel = "on"
	// AuditCommands: every message and acknowledgement, too.
	AuditCommands AuditLevel = "commands"
)

// UnmarshalText reads one of the words.
func (a *AuditLevel) UnmarshalText(text []byte) (err error) {
	*a, err = choose(text, AuditOff, AuditOn, AuditCommands)
	return err
}
