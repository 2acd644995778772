package embed

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TrustFiles makes the TLS configuration of routes between nodes that one authority has signed. The files are PEM.
// The certificate and its key are read again for each handshake, so that a new pair counts from the next
// route on; the authority is read once. Both sides must show a certificate, which names one of the nodes: an authority may have signed
// others, such as users. A node is a host name or an IP address.
func TrustFiles(certificate, key, authority string, nodes []string) (*tls.Config, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, fmt.Errorf("the cluster's authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the cluster's authority: %s holds no certificate", authority)
	}
	pair := func() (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("the node's certificate: %w", err)
		}
		return &c, nil
	}
	if _, err := pair(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		ClientAuth:           tls.RequireAndVerifyClientCert,
		ClientCAs:            roots,
		RootCAs:              roots,
		VerifyConnection:     func(c tls.ConnectionState) error { return isNode(c, nodes) },
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair() },
	}, nil
}

// isNode looks whether the other side's certificate, which the authority has signed, names a node.
func isNode(c tls.ConnectionState, nodes []string) error {
	if len(c.PeerCertificates) == 0 {
		return errors.New("the other side shows no certificate")
	}
	leaf := c.PeerCertificates[0]
	for _, n := range nodes {
		if leaf.VerifyHostname(n) == nil {
			return nil
		}
	}
	return fmt.Errorf("the certificate of %q names no node of the cluster", leaf.Subject)
}
