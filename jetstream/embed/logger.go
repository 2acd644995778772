package embed

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsLogger brings the server's lines into our log: notices are debugging
// for us, warnings and errors keep their rank.
type natsLogger struct {
	*slog.Logger
	// fatal is the last line that the server meant to be its own.
	fatal  *atomic.Pointer[string]
	faults *faults // of clients
	routes *faults // of other nodes, and of who poses as one
	broken *broken
}

// broken are the streams of the Store account that this server has not begun because what it knows of their replicas is damaged, and why: by
// name. It says so in a line of its log alone.
type broken struct {
	mu  sync.Mutex
	why map[string]string
}

var notBegun = regexp.MustCompile(`^Stream create failed for '` + string(Store) + ` > ([^']+)': (.*\bcorrupt\b.*)$`)

// hear takes note of a line, if it is one of those.
func (b *broken) hear(text string) {
	if m := notBegun.FindStringSubmatch(text); m != nil {
		b.mu.Lock()
		if b.why == nil {
			b.why = map[string]string{}
		}
		b.why[m[1]] = m[2]
		b.mu.Unlock()
	}
}

// Broken says why this server has no replica of a stream of the Store account, if what is on its disk is damaged, and "" otherwise.
func (s *Server) Broken(stream string) string {
	s.broken.mu.Lock()
	defer s.broken.mu.Unlock()
	return s.broken.why[stream]
}

// faultsASecond is how many lines of what clients do wrong are written in a second, and faultsAtATime how many of what goes wrong between
// nodes in ten seconds: they try again and again.
const (
	faultsASecond = 10
	faultsAtATime = 10
	atATime       = 10
)

// faults counts those of a second, or of another while.
type faults struct {
	mu    sync.Mutex
	while int64
	n     int
}

// spare reports whether one more may be written, of most in the same while.
func (f *faults) spare(while int64, most int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if while != f.while {
		f.while, f.n = while, 0
	}
	f.n++
	return f.n <= most
}

func (l natsLogger) Noticef(format string, v ...any) { l.Debug(line(format, v), "component", "nats") }
func (l natsLogger) Debugf(format string, v ...any)  { l.Debug(line(format, v), "component", "nats") }
func (l natsLogger) Tracef(format string, v ...any)  { l.Debug(line(format, v), "component", "nats") }

// ofClient finds lines about a client's connection: of NATS, WebSocket or MQTT, or of a stranger at the listener for WebSocket that says it is a leaf node.
var ofClient = regexp.MustCompile(`^\S+ - (?:[cwm]id\w*|lid_ws):\d+ - `)

// ofRoute finds lines about a connection between nodes.
var ofRoute = regexp.MustCompile(`^\S+ - rid:\d+ - `)

// acceptError finds lines about a listener that cannot accept.
var acceptError = regexp.MustCompile(`(?i)\baccept error\b`)

// Errorf keeps its rank, but for nodes of the cluster that are not there: that they are missed is said elsewhere; for users whom
// this node does not know yet (register.go); and for clients that are not let in: the judge has told of them.
func (l natsLogger) Errorf(format string, v ...any) {
	text, level, now := line(format, v), slog.LevelError, time.Now().Unix()
	switch client := ofClient.FindString(text); {
	case strings.HasPrefix(text, "Error trying to connect to route"), strings.HasPrefix(text, `Unknown account "`+spacePrefix):
		level = slog.LevelDebug
	case acceptError.MatchString(text): // one for each listener and moment, while there are no descriptors
		if !l.faults.spare(now, faultsASecond) {
			level = slog.LevelDebug
		}
	case ofRoute.MatchString(text):
		if !l.routes.spare(now/atATime, faultsAtATime) {
			level = slog.LevelDebug
		}
	case client == "":
	case strings.Contains(text[len(client):], server.ErrAuthentication.Error()):
		level = slog.LevelDebug
	default: // what clients do wrong is no fault of ours, and strangers can do much of it
		if level = slog.LevelWarn; !l.faults.spare(now, faultsASecond) {
			level = slog.LevelDebug
		}
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
// routes have a check of their own in place of the standard one, and a majority is waited for at each start. That a listener
// has no TLS may be right, and where it matters the configuration's own warning says what is meant.
var harmless = [...]string{
	"Plaintext passwords detected", "Maximum payloads over", "TLS certificate chain and hostname of solicited routes",
	"Metalayer blocking snapshot", "Waiting for routing to be established", "JetStream has not established contact with a meta leader",
	"Websocket not configured with TLS",
}

// Warnf keeps its rank, but for what we chose.
func (l natsLogger) Warnf(format string, v ...any) {
	text, level := line(format, v), slog.LevelWarn
	l.broken.hear(text)
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
