package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/gateway"
)

// LongestValue is what is written of a value, in bytes; of a longer one the beginning, and how much is missing.
const LongestValue = 1024

// message is the text of each line, for those who read a log that has others as well.
const message = "audit"

// line makes the record of an event. The keys do not change: logs are searched for them. What is empty is left out.
// What may be part of a client's frame is copied, so that no frame waits with the line. It is made on the stacks of
// connections, which stay as large as they had to be once: what is large here is not there. l is for its use alone meanwhile.
func line(l *fields, now time.Time, e *gateway.Event) *slog.Record {
	level := slog.LevelInfo
	switch e.Kind {
	case gateway.LoginRefused, gateway.ActionDenied, gateway.LimitReached:
		level = slog.LevelWarn
	}
	l.text("event", string(e.Kind))
	l.text("user", user(e))
	l.text("claimed", strings.Clone(e.Claimed))
	l.groups(e.Principal.Groups)
	l.text("dn", e.Principal.DN)
	l.text("method", e.Principal.Method)
	l.text("remote", e.Remote)
	l.text("listener", e.Listener)
	l.text("client_id", e.ClientID)
	l.text("protocol", e.Protocol)
	l.text("library", e.Library)
	l.text("session", e.Session)
	if e.Destination != (gateway.Destination{}) {
		l.text("destination", e.Destination.String())
	}
	l.text("operation", e.Operation)
	l.text("subject", strings.Clone(e.Subject))
	l.count(e.Count)
	l.text("error", reason(e.Err))
	r := new(slog.Record)
	*r = slog.NewRecord(now, level, message, 0)
	r.AddAttrs(l.all...)
	clear(l.all)
	l.all = l.all[:0]
	return r
}

// fields are what a line says, while it is made.
type fields struct{ all []slog.Attr }

func (l *fields) add(a slog.Attr) { l.all = append(l.all, a) }

//go:noinline
func (l *fields) text(key, value string) {
	if value != "" {
		l.add(slog.String(key, clip(value)))
	}
}

func (l *fields) groups(names []string) {
	if kept := clipAll(names); len(kept) > 0 {
		l.add(slog.Any("groups", kept))
	}
}

func (l *fields) count(n int) {
	if n != 0 {
		l.add(slog.Int("count", n))
	}
}

// user names who it was; nobody for a login that was refused, since nothing is known then.
func user(e *gateway.Event) string {
	if e.Principal.Name == "" && e.Kind != gateway.LoginRefused {
		return "anonymous"
	}
	return e.Principal.Name
}

// reason is what the client may know of an error, and no cause: causes are quoted from elsewhere, and who knows what is in them.
func reason(err error) string {
	if err == nil {
		return ""
	}
	var known *gateway.Error
	if errors.As(err, &known) {
		return known.Text
	}
	return err.Error()
}

// clip returns at most LongestValue bytes of a value, and a word on the rest. A short value is kept as it is; of a long one nothing is kept in memory.
func clip(value string) string {
	if len(value) <= LongestValue {
		return value
	}
	room := LongestValue - 40
	for room > 0 && !utf8.RuneStart(value[room]) {
		room--
	}
	return strings.Clone(value[:room]) + fmt.Sprintf("...(%d bytes more)", len(value)-room)
}

// clipAll bounds a list as a whole.
func clipAll(values []string) []string {
	kept := make([]string, 0, min(len(values), 32))
	size := 0
	for i, value := range values {
		if size += len(value); size > LongestValue || len(kept) == 32 {
			return append(kept, fmt.Sprintf("...(%d more)", len(values)-i))
		}
		kept = append(kept, value)
	}
	return kept
}

// weight is what a record takes in memory, about.
func weight(r *slog.Record) (n int) {
	n = 256
	r.Attrs(func(a slog.Attr) bool {
		n += 64 + len(a.Key)
		switch a.Value.Kind() {
		case slog.KindString:
			n += len(a.Value.String())
		case slog.KindAny:
			n += LongestValue
		}
		return true
	})
	return n
}
