package embed

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// What clients do wrong is no ERROR of ours, and does not flood the log; what is wrong with the node stays one.
func TestClientsCannotFillTheLogWithErrors(t *testing.T) {
	var out bytes.Buffer
	l := natsLogger{slog.New(slog.NewTextHandler(&out, nil)), &atomic.Pointer[string]{}, &faults{}, &faults{}, &broken{}}
	for _, id := range []string{"cid", "wid", "mid", "mid_ws", "lid_ws"} {
		for range 1000 {
			l.Errorf("127.0.0.1:4711 - " + id + `:12 - authentication error - User "eve"`)
			l.Errorf("127.0.0.1:4711 - " + id + `:12 - "device" - authentication error`)
			l.Errorf("127.0.0.1:4711 - " + id + `:12 - read error: authentication error`)
		}
	}
	l.Warnf("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!")
	require.Empty(t, out.String(), "the audit tells of refused logins, and the configuration of TLS")
	for range 1000 {
		l.Errorf("[::1]:4711 - cid:13 - TLS handshake error: %v", "EOF")
	}
	n := strings.Count(out.String(), "\n")
	require.True(t, n >= faultsASecond && n <= 5*faultsASecond, "%d lines", n)
	require.NotContains(t, out.String(), "level=ERROR")
	out.Reset()
	for range 1000 {
		l.Errorf("websocket: Accept error: %v; retrying in %v", "accept4: too many open files", "5ms")
		l.Errorf("Temporary MQTT Accept Error(%v), sleeping %dms", "accept4: too many open files", 5)
	}
	require.LessOrEqual(t, strings.Count(out.String(), "\n"), 5*faultsASecond)
	out.Reset()
	l.Errorf("127.0.0.1:6222 - rid:7 - authentication error")
	l.Errorf("127.0.0.1:6222 - lid:7 - authentication error")
	l.Errorf("Filestore [x] is broken")
	require.Equal(t, 3, strings.Count(out.String(), "level=ERROR"))
}

// Nodes that cannot agree, and strangers who pose as one, do not flood the log either.
func TestRoutesCannotFillTheLogWithErrors(t *testing.T) {
	var out bytes.Buffer
	l := natsLogger{slog.New(slog.NewTextHandler(&out, nil)), &atomic.Pointer[string]{}, &faults{}, &faults{}, &broken{}}
	for range 1000 {
		l.Errorf("127.0.0.1:6222 - rid:7 - TLS route handshake error: %v", "the certificate has expired")
	}
	n := strings.Count(out.String(), "level=ERROR")
	require.True(t, n >= faultsAtATime && n <= 3*faultsAtATime, "%d lines", n)
	l.Errorf("Filestore [x] is broken")
	require.Equal(t, n+1, strings.Count(out.String(), "level=ERROR"))
}
