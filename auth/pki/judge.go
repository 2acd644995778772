package pki

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// ErrRevoked is in the errors of Judge for a certificate that its authority has revoked, or one above it.
var ErrRevoked = errors.New("revoked")

const (
	// maxShown is how many certificates a client may show, and maxShownBytes how long they may be together.
	maxShown      = 10
	maxShownBytes = 64 << 10
	// minRSA and maxRSA bound RSA keys, in bits.
	minRSA, maxRSA = 2048, 8192
	// maxWays is how many ways from a certificate to an authority are looked at.
	maxWays = 8
)

// Judge looks at the certificate that a client has shown in a handshake. It returns nil, nil if there was none. An error says in words for the
// certificate's owner why it is not trusted; it is a gateway.Error of kind Unauthenticated, or Unavailable if an OCSP responder has to be asked that does
// not answer. The certificate is returned with the error as well. With OCSP it may take as long as OCSPTimeout.
func (s *Server) Judge(state tls.ConnectionState) (*x509.Certificate, error) {
	shown := state.PeerCertificates
	if len(shown) == 0 {
		return nil, nil
	}
	leaf := shown[0]
	if err := bounded(shown); err != nil {
		return leaf, err
	}
	if err := refuseProxies(shown); err != nil {
		return leaf, err
	}
	h, now := s.current(), s.Now()
	ways, err := h.trust.ways(shown, now)
	if err != nil {
		return leaf, err
	}
	var first error
	for _, way := range ways[:min(len(ways), maxWays)] {
		err := s.judgeWay(h.trust, way, now)
		if err == nil {
			return leaf, nil
		}
		if first == nil {
			first = err
		}
	}
	return leaf, first
}

// bounded refuses what would cost much to look at.
func bounded(shown []*x509.Certificate) error {
	size := 0
	for _, c := range shown {
		size += len(c.Raw)
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSA {
			return gateway.Errorf(gateway.Unauthenticated, "the RSA key of the certificate %s has %d bits, the limit is %d", subject(c), key.N.BitLen(), maxRSA)
		}
	}
	switch {
	case len(shown) > maxShown:
		return gateway.Errorf(gateway.Unauthenticated, "the client shows %d certificates, the limit is %d", len(shown), maxShown)
	case size > maxShownBytes:
		return gateway.Errorf(gateway.Unauthenticated, "the certificates of the client are %d bytes long, the limit is %d", size, maxShownBytes)
	}
	return nil
}

// ways returns the ways from a client's certificate to an authority.
func (t *trust) ways(shown []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	leaf := shown[0]
	who := "the client certificate " + subject(leaf)
	between := t.intermediates
	if len(shown) > 1 {
		between = between.Clone()
		for _, c := range shown[1:] {
			between.AddCert(c)
		}
	}
	ways, err := leaf.Verify(x509.VerifyOptions{
		Roots: t.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil {
		return ways, nil
	}
	var invalid x509.CertificateInvalidError
	var critical x509.UnhandledCriticalExtension
	switch {
	case errors.As(err, &invalid):
		return nil, invalidWords(who, leaf, invalid, now)
	case errors.As(err, &critical):
		return nil, gateway.Errorf(gateway.Unauthenticated, "%s has a critical extension that is not supported", who)
	}
	if weak := weaklySigned(shown); weak != nil {
		return nil, gateway.Errorf(gateway.Unauthenticated, "the certificate %s is signed with %s, which is too weak", subject(weak), weak.SignatureAlgorithm)
	}
	return nil, gateway.WrapError(gateway.Unauthenticated, err, who+" is signed by nobody this server trusts (issuer "+words(leaf.RawIssuer)+")")
}

// invalidWords says what is wrong with a certificate on the way.
func invalidWords(who string, leaf *x509.Certificate, invalid x509.CertificateInvalidError, now time.Time) error {
	c := invalid.Cert
	if c == nil {
		c = leaf
	}
	if !c.Equal(leaf) {
		who = "the certificate " + subject(c) + " above " + who
	}
	refuse := func(text string) error { return gateway.WrapError(gateway.Unauthenticated, invalid, who+text) }
	switch invalid.Reason {
	case x509.Expired:
		if now.Before(c.NotBefore) {
			return refuse(" is not valid before " + stamp(c.NotBefore))
		}
		return refuse(" has expired at " + stamp(c.NotAfter))
	case x509.NotAuthorizedToSign:
		return refuse(" may not sign certificates")
	case x509.IncompatibleUsage:
		return refuse(" is not for clients: its extended key usage, or that of an authority above it, lacks clientAuth")
	case x509.TooManyIntermediates:
		return refuse(" has more certificates below it than it allows")
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName, x509.TooManyConstraints, x509.CANotAuthorizedForExtKeyUsage:
		return refuse(" is not one that its authority may sign: its constraints forbid it")
	}
	return refuse(" is not valid")
}

// weaklySigned returns a certificate among those shown whose signature is not believed. How a root has signed itself does not matter.
func weaklySigned(shown []*x509.Certificate) *x509.Certificate {
	for i, c := range shown {
		if i > 0 && bytes.Equal(c.RawSubject, c.RawIssuer) {
			continue
		}
		switch c.SignatureAlgorithm {
		case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
			return c
		}
	}
	return nil
}

// judgeWay looks at one way from the client's certificate to an authority: keys, who may sign whom, and what was revoked.
func (s *Server) judgeWay(t *trust, way []*x509.Certificate, now time.Time) error {
	client := "the client certificate " + subject(way[0])
	name := func(i int) string {
		if i == 0 {
			return client
		}
		return "the certificate " + subject(way[i]) + " above " + client
	}
	for i, c := range way {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < minRSA {
			return gateway.Errorf(gateway.Unauthenticated, "the RSA key of %s has %d bits, at least %d are needed", name(i), key.N.BitLen(), minRSA)
		}
	}
	for i, c := range way[:len(way)-1] {
		if err := t.mayName(name(i), c, way[i+1]); err != nil {
			return err
		}
		if err := t.checkLists(name(i), c, way[i+1], now, s.RequireCRL); err != nil {
			return err
		}
	}
	if s.OCSP == OCSPOff {
		return nil
	}
	for i, c := range way[:len(way)-1] {
		if i > 0 && len(c.OCSPServer) == 0 {
			continue // only the client's own must have somebody to ask
		}
		if err := s.ocsp.check(name(i), c, way[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// mayName returns an error if the signing policy of an authority does not let it sign a name.
func (t *trust) mayName(who string, c, issuer *x509.Certificate) error {
	authority := authorityName(issuer.RawSubject)
	if t.unclear[authority] {
		return gateway.Errorf(gateway.Unauthenticated, "the signing policy of %s cannot be read", subject(issuer))
	}
	if !t.governed[authority] {
		return nil
	}
	name, err := plain(c.RawSubject)
	if err != nil || !allows(t.patterns[authority], name) {
		return gateway.Errorf(gateway.Unauthenticated, "%s has a name that %s may not sign by its signing policy", who, subject(issuer))
	}
	return nil
}
