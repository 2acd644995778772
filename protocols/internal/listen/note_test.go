package listen

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// When descriptors run out and come back by turns, each accept that fails would be a line.
func TestFailuresToAcceptDoNotFillTheLog(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	l := &Listener{cfg: Config{Logger: slog.New(slog.NewTextHandler(&out, nil)), Clock: func() time.Time { return now }}}
	for range 1000 {
		l.sparingly(noteAccept, slog.LevelWarn, "cannot accept a connection for now", "error", "none left")
	}
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), "level=WARN")
	now = now.Add(notesEvery)
	l.sparingly(noteAccept, slog.LevelWarn, "cannot accept a connection for now", "error", "none left")
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), "not_logged_before=999")
}
