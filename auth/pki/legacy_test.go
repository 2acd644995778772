package pki_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-mq/sluice/auth/pki/pkitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestClientsWithoutEllipticCurvesAreServedOnceOldVersionsAreOn is about what speaks TLS 1.0 and nothing newer: such clients often know RSA's key
// exchange alone, which Go leaves out.
func TestClientsWithoutEllipticCurvesAreServedOnceOldVersionsAreOn(t *testing.T) {
	old := func(c *tls.Config) {
		c.MinVersion, c.MaxVersion, c.CipherSuites = tls.VersionTLS10, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	}
	with := func(version string) verdict {
		w := newWorld(t, func(w *world) {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			require.NoError(t, err)
			host, err := w.ca.IssueFor(pkitest.Slash("/CN=localhost"), key, pkitest.DNSNames("localhost"))
			require.NoError(t, err)
			w.config.Certificate, w.config.Key, err = host.Write(w.dir, "rsa")
			require.NoError(t, err)
			w.config.MinVersion = version
		})
		return w.dial(w.issue("/CN=alice"), old)
	}
	v := with("1.0")
	require.NoError(t, v.client)
	require.NoError(t, v.err)
	require.Error(t, with("1.2").handshake)
}
