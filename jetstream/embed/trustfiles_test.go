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
	"github.com/sluice-mq/sluice/tests/ports"
)

// certify writes an authority and a node's certificate, and returns the files' names.
func certify(t *testing.T) (certificate, key, authority, stranger, strangerKey string) {
	t.Helper()
	dir := t.TempDir()
	made := func(serial int64, ip net.IP, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{ip},
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
	pair := func(name string, c *x509.Certificate, k *ecdsa.PrivateKey) (string, string) {
		private, err := x509.MarshalECPrivateKey(k)
		require.NoError(t, err)
		return save(name+".pem", "CERTIFICATE", c.Raw), save(name+".key", "EC PRIVATE KEY", private)
	}
	ca, caKey := made(1, net.IPv4(192, 0, 2, 2), nil, nil)
	leaf, leafKey := made(2, net.IPv4(127, 0, 0, 1), ca, caKey)
	other, otherKey := made(3, net.IPv4(192, 0, 2, 1), ca, caKey)
	certificate, key = pair("node", leaf, leafKey)
	stranger, strangerKey = pair("stranger", other, otherKey)
	return certificate, key, save("ca.pem", "CERTIFICATE", ca.Raw), stranger, strangerKey
}

func trustFiles(t *testing.T, certificate, key, authority string) *tls.Config {
	t.Helper()
	c, err := embed.TrustFiles(certificate, key, authority, []string{"127.0.0.1", "other.example"})
	require.NoError(t, err)
	return c
}

func TestRoutesAreForThoseWhomTheAuthoritySigned(t *testing.T) {
	at := ports.Of(t, 3).Addresses()
	certificate, key, authority, stranger, strangerKey := certify(t)
	first := join(t, "n1", at[0], at, trustFiles(t, certificate, key, authority))
	join(t, "n2", at[1], at, trustFiles(t, certificate, key, authority))
	require.Eventually(t, func() bool { return first.Peers() == 2 }, 10*time.Second, 10*time.Millisecond)

	otherCertificate, otherKey, otherAuthority, _, _ := certify(t)
	_, err := tls.Dial("tcp", at[0], trustFiles(t, otherCertificate, otherKey, otherAuthority))
	require.ErrorContains(t, err, "unknown authority")
	for what, c := range map[string]*tls.Config{
		"another authority's": trustFiles(t, otherCertificate, otherKey, authority), "one that names no node": trustFiles(t, stranger, strangerKey, authority),
	} {
		conn, err := tls.Dial("tcp", at[0], c)
		if err == nil { // in TLS 1.3 the refusal comes with the first read
			require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
			_, err = conn.Read(make([]byte, 1))
		}
		require.ErrorContains(t, err, "tls", what)
	}
}

func TestFilesThatGiveNoTrustAreNamed(t *testing.T) {
	certificate, key, authority, _, _ := certify(t)
	_, err := embed.TrustFiles(certificate, key, "none.pem", nil)
	require.ErrorContains(t, err, "the cluster's authority: open none.pem")
	_, err = embed.TrustFiles(certificate, key, key, nil)
	require.ErrorContains(t, err, "holds no certificate")
	_, err = embed.TrustFiles(certificate, authority, authority, nil)
	require.ErrorContains(t, err, "the node's certificate: ")
}
