package nats

import (
	"errors"
	"log/slog"
	"net"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats/leaf"
)

// Config says where the door stands and whom it asks.
type Config struct {
	// The connections, which the door takes over and closes. Three accounts of the
	// server keep the ways apart, so that what the door publishes never comes back to it.
	//
	// Inbound gets what native clients publish to queue.> and topic.>, what they say to JetStream of deliveries from queues and
	// ask of their consumers, the server's notes of connections that ended, and nothing else.
	Inbound *natsgo.Conn
	// Outbound publishes to topic.> what native clients shall hear.
	Outbound *natsgo.Conn
	// Answers is in the native clients' own account: it reaches their inboxes.
	Answers *natsgo.Conn
	// Workers is in the native clients' own account, too: it answers those that consume
	// queues.
	Workers *natsgo.Conn
	// System is in the server's system account: there clients' requests to the JetStream API are heard, and the server
	// answers those about streams of their own.
	System *natsgo.Conn
	// Account is the name of the native clients' account; empty if they have no streams of their own.
	Account string
	// Leaf is where the server takes leaf nodes into the native clients' account: as one
	// of them the door hands out messages.
	Leaf leaf.Login
	// Listen lets native clients connect and returns where. It is called once, when the
	// door can answer them.
	Listen func() (net.Addr, error)
	Broker gateway.Broker
	// Interest reports whether a native client hears what Outbound publishes on a
	// subject. It is asked for every topic message, by its sender's goroutine: it must
	// be quick and must not block.
	Interest func(subject string) bool
	// Listening reports whether a native client hears a subject in its own account, such
	// as its inbox, and Connected whether its connection, by the server's number, is there. Rules as for Interest.
	Listening func(subject string) bool
	Connected func(id uint64) bool
	// Pending returns how many bytes wait in the server for a client's connection; 0 if it is not there. It is
	// asked some times a second at most for each connection that is slow, and must not block.
	Pending func(id uint64) int
	// Queue returns how many messages wait in a queue, and whether anything has used it lately. Rules as for Interest.
	Queue func(name string) (waiting int, known bool)
	// Node is the node's name in its cluster, unlike those of the others, and Prefix begins the subjects on which what this
	// node's clients say is heard by Inbound: queue.> and topic.>, and $JS.> for queues. Both are empty on a single node.
	Node, Prefix string
	// Own begins the subjects on which requests to the API are heard by System (api.>), also those that the server makes in the name of
	// clients' streams.
	Own string
	// User is nil if the clients of all users are served together; then the four accounts are theirs in common.
	User *User
	// Session is the door's; nil has it open one of its own.
	Session gateway.Session
	// MQTT: clients of the account speak MQTT, for which the server keeps streams of its own in it.
	MQTT bool
	// Book is the file that the consumers of native clients are kept in; empty keeps
	// them until the next start.
	Book string
	// Logger gets what goes wrong; nil is silence.
	Logger *slog.Logger
	// Clock is nil for time.Now.
	Clock  func() time.Time
	began  time.Time // what elapsed counts from
	Limits Limits
}

// User sets a door apart that serves the clients of one user: in an account of their own, whose topic messages do not
// leave their node but by the broker.
type User struct {
	// Token stands for the user in subjects and in the names of topics: letters and digits, the same on all nodes.
	Token string
	// Topics begins the subjects in Outbound by which the user's clients on this node are reached, with its last dot.
	Topics string
	// Disconnects is the subject on which Inbound hears of the ends of the user's connections.
	Disconnects string
	// MayHaveStreams says in an Error why the user has no streams; nil is that it may.
	MayHaveStreams func() error
}

// Limits bound what the door holds for all native clients together. Zero is the default.
type Limits struct {
	// OutstandingMessages and OutstandingBytes bound what is with the broker and not
	// answered yet (8,192 and 64 MiB). Above either, messages wait in front of the door.
	OutstandingMessages, OutstandingBytes int
	// PendingMessages and PendingBytes bound what waits in front of the door, for
	// queues and for topics each (262,144 and 128 MiB). What comes above is dropped
	// and counted; a publisher that waits for its PubAck repeats it.
	PendingMessages, PendingBytes int
	// HeaderFields bounds the fields of one message (1,000).
	HeaderFields int
	// MessageIDs bounds the ids by which repeated messages are recognised (524,288, some
	// 60 MB). With more than half of it within two minutes the oldest are forgotten early.
	MessageIDs int
}

func (l *Limits) defaults() {
	for _, d := range []struct {
		value    *int
		fallback int
	}{
		{&l.OutstandingMessages, 8192}, {&l.OutstandingBytes, 64 << 20},
		{&l.PendingMessages, 1 << 18}, {&l.PendingBytes, 128 << 20},
		{&l.HeaderFields, 1000}, {&l.MessageIDs, 1 << 19},
	} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
}

// connections lists the five.
func (c *Config) connections() [5]*natsgo.Conn {
	return [...]*natsgo.Conn{c.Inbound, c.Answers, c.Outbound, c.Workers, c.System}
}

// complete checks a configuration and fills in what was left out.
func (c Config) complete() (Config, error) {
	for _, nc := range c.connections() {
		if nc == nil {
			return c, errors.New("nats: five connections are needed")
		}
	}
	if c.Listen == nil || c.Broker == nil || c.Interest == nil || c.Listening == nil || c.Connected == nil || c.Pending == nil || c.Queue == nil {
		return c, errors.New("nats: Listen, Broker, Interest, Listening, Connected, Pending and Queue are needed")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	c.began = c.Clock()
	c.Limits.defaults()
	return c, nil
}

// elapsed is the time since the door was configured. What a client may take its time for is counted in it, and no
// clock that is set changes that.
func (c *Config) elapsed() time.Duration { return c.Clock().Sub(c.began) }
