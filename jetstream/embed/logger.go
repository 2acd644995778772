package embed

import (
	"fmt"
	"log/slog"
	"strings"
)

// natsLogger brings the server's lines into our log: notices are debugging
// for us, warnings and errors keep their rank.
type natsLogger struct{ *slog.Logger }

func (l natsLogger) Noticef(format string, v ...any) { l.Debug(line(format, v), "component", "nats") }
func (l natsLogger) Debugf(format string, v ...any)  { l.Debug(line(format, v), "component", "nats") }
func (l natsLogger) Tracef(format string, v ...any)  { l.Debug(line(format, v), "component", "nats") }
func (l natsLogger) Warnf(format string, v ...any)   { l.Warn(line(format, v), "component", "nats") }
func (l natsLogger) Errorf(format string, v ...any)  { l.Error(line(format, v), "component", "nats") }

// Fatalf logs only: the server then stops, and whoever started it ends in order.
func (l natsLogger) Fatalf(format string, v ...any) { l.Error(line(format, v), "component", "nats") }

func line(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }
