package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki"
	"github.com/sluice-mq/sluice/auth/pki/pkitest"
)

// BenchmarkGrid is a directory of 150 authorities, each with a list of 2,000 revoked certificates and a policy.
func BenchmarkGrid(b *testing.B) {
	dir := b.TempDir()
	grid := filepath.Join(dir, "grid")
	require.NoError(b, os.Mkdir(grid, 0o755))
	var ca *pkitest.CA
	for i := range 150 {
		var err error
		ca, err = pkitest.NewRoot(pkitest.Slash(fmt.Sprintf("/DC=org/CN=CA %d", i)))
		require.NoError(b, err)
		require.NoError(b, ca.Install(grid, fmt.Sprintf("access_id_CA X509 '/DC=org/CN=CA %d'\npos_rights globus CA:sign\ncond_subjects globus '\"/DC=org/*\"'\n", i)))
		one, err := ca.Issue(pkitest.Slash("/DC=org/CN=revoked"))
		require.NoError(b, err)
		many := make([]*x509.Certificate, 2000)
		for j := range many {
			many[j] = one.Cert
		}
		require.NoError(b, ca.InstallCRL(grid, pkitest.List{Revoked: many}))
	}
	alice, err := ca.Issue(pkitest.Slash("/DC=org/CN=alice"))
	require.NoError(b, err)
	certificate, key, err := alice.Write(dir, "host")
	require.NoError(b, err)
	now := time.Now()
	start := time.Now()
	s, err := pki.New(pki.Config{Certificate: certificate, Key: key, ClientCADir: grid, Now: func() time.Time { return now }})
	require.NoError(b, err)
	b.Logf("read at first in %v", time.Since(start))
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{alice.Cert}}
	b.Run("judge", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Judge(state); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("look", func(b *testing.B) {
		for b.Loop() {
			now = now.Add(5 * time.Second)
			s.Status()
		}
	})
	b.Run("reload", func(b *testing.B) {
		for b.Loop() {
			if err := s.Reload(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
