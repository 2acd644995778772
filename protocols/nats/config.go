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
	// Conn is a connection to the account of native clients, made with NoEcho: what
	// the door publishes must not come back to it. The door takes it over and closes it.
	Conn *natsgo.Conn
	// Addr is where native clients connect.
	Addr   net.Addr
	Broker gateway.Broker
	// Interest returns how many subscriptions in the account match a subject, the
	// door's own included. It is asked for every topic message, by its sender's
	// goroutine: it must be quick and must not block.
	Interest func(subject string) int
	// Logger gets what goes wrong; nil is silence.
	Logger *slog.Logger
	// Clock is nil for time.Now. It is asked once.
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

// complete checks a configuration and fills in what was left out.
func (c Config) complete() (Config, error) {
	switch {
	case c.Conn == nil || c.Addr == nil || c.Broker == nil || c.Interest == nil:
		return c, errors.New("nats: Conn, Addr, Broker and Interest are needed")
	case !c.Conn.Opts.NoEcho:
		return c, errors.New("nats: the connection echoes; it must be made with NoEcho")
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
