package nats

import (
	"errors"
	"log/slog"
	"net"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// Config says where the door stands and whom it asks.
type Config struct {
	// The connections, which the door takes over and closes. Three accounts of the
	// server keep the ways apart, so that what the door publishes never comes back to it.
	//
	// Inbound gets what native clients publish to queue.> and topic.>, and nothing else.
	Inbound *natsgo.Conn
	// Outbound publishes to topic.> what native clients shall hear.
	Outbound *natsgo.Conn
	// Answers is in the native clients' own account: it reaches their inboxes.
	Answers *natsgo.Conn
	// Addr is where native clients connect.
	Addr   net.Addr
	Broker gateway.Broker
	// Interest reports whether a native client hears what Outbound publishes on a
	// subject. It is asked for every topic message, by its sender's goroutine: it must
	// be quick and must not block.
	Interest func(subject string) bool
	// Logger gets what goes wrong; nil is silence.
	Logger *slog.Logger
	// Clock is nil for time.Now.
	Clock  func() time.Time
	Limits Limits
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
}

func (l *Limits) defaults() {
	for _, d := range []struct {
		value    *int
		fallback int
	}{
		{&l.OutstandingMessages, 8192}, {&l.OutstandingBytes, 64 << 20},
		{&l.PendingMessages, 1 << 18}, {&l.PendingBytes, 128 << 20},
		{&l.HeaderFields, 1000},
	} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
}

// connections lists the three.
func (c *Config) connections() [3]*natsgo.Conn {
	return [...]*natsgo.Conn{c.Inbound, c.Answers, c.Outbound}
}

// complete checks a configuration and fills in what was left out.
func (c Config) complete() (Config, error) {
	if c.Inbound == nil || c.Outbound == nil || c.Answers == nil || c.Addr == nil || c.Broker == nil || c.Interest == nil {
		return c, errors.New("nats: three connections, Addr, Broker and Interest are needed")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	c.Limits.defaults()
	return c, nil
}
