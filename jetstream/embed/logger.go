package embed

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// natsLogger brings the server's lines into our log: notices are debugging
// for us, warnings and errors keep their rank.
type natsLogger struct {
	*slog.Logger
	// fatal is the last line that the server meant to be its own.
	fatal *atomic.Pointer[string]
}

func (l natsLogger) Noticef(format string, v ...any) { l.Debug(line(format, v), "component", "nats") }
func (l natsLogger) Debugf(format string, v ...any)  { l.Debug(line(format, v), "component", "nats") }
func (l natsLogger) Tracef(format string, v ...any)  { l.Debug(line(format, v), "component", "nats") }

// Errorf keeps its rank, but for nodes of the cluster that are not there: that they are missed is said elsewhere; and for users whom
// this node does not know yet (register.go).
func (l natsLogger) Errorf(format string, v ...any) {
	text, level := line(format, v), slog.LevelError
	if strings.HasPrefix(text, "Error trying to connect to route") || strings.HasPrefix(text, `Unknown account "`+spacePrefix) {
		level = slog.LevelDebug
	}
	l.Log(context.Background(), level, text, "component", "nats")
}

// Fatalf logs only: the server then stops, and whoever started it ends in order.
func (l natsLogger) Fatalf(format string, v ...any) {
	text := line(format, v)
	l.fatal.Store(&text)
	l.Error(text, "component", "nats")
}

func line(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }

// harmless are warnings about choices that are ours: the passwords are made at
// start and never leave the process, the payload limit is that of the store's records,
// routes have a check of their own in place of the standard one, and a majority is waited for at each start.
var harmless = [...]string{
	"Plaintext passwords detected", "Maximum payloads over", "TLS certificate chain and hostname of solicited routes",
	"Metalayer blocking snapshot", "Waiting for routing to be established", "JetStream has not established contact with a meta leader",
}

// Warnf keeps its rank, but for what we chose.
func (l natsLogger) Warnf(format string, v ...any) {
	text, level := line(format, v), slog.LevelWarn
	if strings.HasPrefix(text, "Missing stream metafile") && strings.Contains(text, "/"+placeholder+"/") {
		level = slog.LevelDebug
	}
	for _, h := range harmless {
		if strings.HasPrefix(text, h) {
			level = slog.LevelDebug
		}
	}
	l.Log(context.Background(), level, text, "component", "nats")
}
