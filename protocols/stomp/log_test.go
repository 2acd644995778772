package stomp

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Nobody who is not logged in yet may write kilobytes into the log, or lines of its own.
func TestStrangersWriteLittleIntoTheLog(t *testing.T) {
	b, log := newFakeBroker(), &lines{}
	s := start(t, b, func(cfg *Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c := dial(t, s)
	c.send("CONNECT\nclient-id:taken\nlogin:" + strings.Repeat("x", 9000) + "\naccept-version:1.2\n\n^")
	c.expect("ERROR")
	eventually(t, "the refusal is logged", func() bool { return strings.Contains(log.String(), "login refused") })
	require.Less(t, len(log.String()), 1000)
}

// When the store fails, every frame does: the log says so once a second, not each time.
func TestOurFaultsDoNotFloodTheLog(t *testing.T) {
	b, log := newFakeBroker(), &lines{}
	s := start(t, b, func(cfg *Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
		cfg.Clock = func() time.Time { return time.Unix(1, 0) }
	})
	c := login(t, s, "1.2")
	b.mu.Lock()
	b.fail = errors.New("the disk burns")
	b.mu.Unlock()
	for range 50 {
		c.send("SEND\ndestination:/queue/a\n\nx^")
		c.expectError("internal error")
	}
	require.Equal(t, 1, strings.Count(log.String(), "the disk burns"))
}
