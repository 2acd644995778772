package embed

import (
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// MinSecret is the length of the shortest secret. Who can connect to a route port can try
	// secrets at leisure, so it should come from a generator of random numbers.
	MinSecret = 16
	// stretch makes every try take a good part of a second.
	stretch = 600_000
	// salt names what the key is for, and the version of how it is made.
	salt = "sluice routes 1"
)

// Trust makes the TLS configuration of routes between nodes that know one secret. The secret is stretched to the
// key of a certificate authority, the same on all nodes; each node signs itself a certificate with
// it and takes no other's. So a secret alone gives what mutual TLS gives, and there is nothing to renew.
func Trust(secret string) (*tls.Config, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("a secret has at least %d characters", MinSecret)
	}
	seed, err := pbkdf2.Key(sha256.New, secret, []byte(salt), stretch, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("stretching the secret: %w", err)
	}
	authority := ed25519.NewKeyFromSeed(seed)
	root, err := sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Sluice cluster"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, authority.Public().(ed25519.PublicKey), authority)
	if err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the node's key: %w", err)
	}
	leaf, err := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Sluice node"}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, root, public, authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: private, Leaf: leaf}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: roots, RootCAs: roots,
		// Nodes have no names that certificates could vouch for: what counts is who signed. The standard check,
		// which is off, would want a name; this one is done by both sides.
		InsecureSkipVerify: true,
		VerifyConnection:   func(c tls.ConnectionState) error { return verify(c, roots) },
	}, nil
}

// sign makes a certificate; it is its own authority without a parent. Validity has no part in trust here, so
// clocks may be wrong.
func sign(template, parent *x509.Certificate, key ed25519.PublicKey, authority ed25519.PrivateKey) (*x509.Certificate, error) {
	template.NotBefore, template.NotAfter = time.Unix(0, 0).UTC(), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, authority)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func verify(c tls.ConnectionState, roots *x509.CertPool) error {
	if len(c.PeerCertificates) == 0 {
		return errors.New("the other node shows no certificate")
	}
	_, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}
