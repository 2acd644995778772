package embed_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
)

// certify writes an authority and a node's certificate, and returns the files' names.
func certify(t *testing.T) (certificate, key, authority string) {
	t.Helper()
	dir := t.TempDir()
	made := func(serial int64, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: parent == nil, BasicConstraintsValid: true,
		}
		if parent == nil {
			parent, signer = c, k
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, k.Public(), signer)
		require.NoError(t, err)
		c, err = x509.ParseCertificate(der)
		require.NoError(t, err)
		return c, k
	}
	save := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	ca, caKey := made(1, nil, nil)
	leaf, leafKey := made(2, ca, caKey)
	private, err := x509.MarshalECPrivateKey(leafKey)
	require.NoError(t, err)
	return save("node.pem", "CERTIFICATE", leaf.Raw), save("node.key", "EC PRIVATE KEY", private), save("ca.pem", "CERTIFICATE", ca.Raw)
}

func trustFiles(t *testing.T, certificate, key, authority string) *tls.Config {
	t.Helper()
	c, err := embed.TrustFiles(certificate, key, authority)
	require.NoError(t, err)
	return c
}

func TestRoutesAreForThoseWhomTheAuthoritySigned(t *testing.T) {
	at := reserved(t, 3)
	certificate, key, authority := certify(t)
	first := join(t, "n1", at[0], at, trustFiles(t, certificate, key, authority))
	join(t, "n2", at[1], at, trustFiles(t, certificate, key, authority))
	require.Eventually(t, func() bool { return first.Peers() == 2 }, 10*time.Second, 10*time.Millisecond)

	otherCertificate, otherKey, otherAuthority := certify(t)
	_, err := tls.Dial("tcp", at[0], trustFiles(t, otherCertificate, otherKey, otherAuthority))
	require.ErrorContains(t, err, "unknown authority")
	conn, err := tls.Dial("tcp", at[0], trustFiles(t, otherCertificate, otherKey, authority))
	if err == nil { // in TLS 1.3 the refusal comes with the first read
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = conn.Read(make([]byte, 1))
	}
	require.ErrorContains(t, err, "tls")
}

func TestFilesThatGiveNoTrustAreNamed(t *testing.T) {
	certificate, key, authority := certify(t)
	_, err := embed.TrustFiles(certificate, key, "none.pem")
	require.ErrorContains(t, err, "the cluster's authority: open none.pem")
	_, err = embed.TrustFiles(certificate, key, key)
	require.ErrorContains(t, err, "holds no certificate")
	_, err = embed.TrustFiles(certificate, authority, authority)
	require.ErrorContains(t, err, "the node's certificate: ")
}
