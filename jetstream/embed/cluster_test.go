package embed_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/tests/ports"
)

func join(t *testing.T, name, address string, routes []string, trust *tls.Config) *embed.Server {
	t.Helper()
	s, err := embed.Start(context.Background(), embed.Config{
		Name: name, Dir: t.TempDir(), MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler),
		Cluster: &embed.Cluster{Name: "c", Address: address, Routes: routes, TLS: trust},
	})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

// known are the configurations that were made from secrets, which takes a good part of a second each.
var known sync.Map

func trust(t *testing.T, secret string) *tls.Config {
	t.Helper()
	make, _ := known.LoadOrStore(secret, sync.OnceValues(func() (*tls.Config, error) { return embed.Trust(secret) }))
	c, err := make.(func() (*tls.Config, error))()
	require.NoError(t, err)
	return c
}

// Who knows the secret is in; who has none or another one is not.
func TestRoutesAreForThoseWhoKnowTheSecret(t *testing.T) {
	t.Parallel()
	at := ports.Of(t, 4).Addresses()
	first := join(t, "n1", at[0], at, trust(t, "the secret of the cluster"))
	join(t, "n2", at[1], at, trust(t, "the secret of the cluster"))
	require.Eventually(t, func() bool { return first.Peers() == 2 }, 10*time.Second, 10*time.Millisecond)
	other := join(t, "n3", at[2], at, trust(t, "the secret of another"))
	open := join(t, "n4", at[3], at, nil)
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		require.Equal(t, 2, first.Peers())
		require.Equal(t, 1, other.Peers())
		require.Equal(t, 1, open.Peers())
	}
}

func TestShortSecretsAreRefused(t *testing.T) {
	_, err := embed.Trust("short")
	require.ErrorContains(t, err, "at least 16 characters")
}

// Plain text, TLS without a certificate and TLS with a stranger's are all turned away by the port.
func TestTheRoutePortTalksToNobodyElse(t *testing.T) {
	at := ports.Of(t, 2).Addresses()
	s := join(t, "n1", at[0], at, trust(t, "the secret of the cluster"))
	stranger := trust(t, "the secret of another")
	for name, c := range map[string]*tls.Config{
		"no certificate": {InsecureSkipVerify: true, MinVersion: tls.VersionTLS13},
		"a stranger's":   {InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, Certificates: stranger.Certificates},
	} {
		conn, err := tls.Dial("tcp", s.ClusterAddr().String(), c)
		if err == nil { // in TLS 1.3 the refusal comes with the first read
			require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
			buf := make([]byte, 1)
			_, err = conn.Read(buf)
			_ = conn.Close()
		}
		require.ErrorContains(t, err, "tls", name)
	}
}
