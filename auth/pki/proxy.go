package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"github.com/sluice-mq/sluice/auth/dn"
	"github.com/sluice-mq/sluice/gateway"
)

// proxyMarks are the extensions that make a certificate a proxy's: RFC 3820's and that of the draft before it.
func proxyMarks() []asn1.ObjectIdentifier {
	return []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 1, 14}, {1, 3, 6, 1, 4, 1, 3536, 1, 222}}
}

// isProxy reports whether a certificate was made by a user for a delegate.
func isProxy(c *x509.Certificate) bool {
	for _, mark := range proxyMarks() {
		if slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(mark) }) {
			return true
		}
	}
	return isLegacyProxy(c)
}

// isLegacyProxy knows the proxies of Globus Toolkit 2 by their name: the issuer's with CN=proxy or CN=limited proxy added.
func isLegacyProxy(c *x509.Certificate) bool {
	own, err := dn.FromDER(c.RawSubject)
	if err != nil {
		return false
	}
	above, err := dn.FromDER(c.RawIssuer)
	if err != nil {
		return false
	}
	name := own.String()
	return name == "CN=proxy, "+above.String() || name == "CN=limited proxy, "+above.String()
}

// refuseProxies returns an error if a proxy's certificate is among those shown, wherever.
func refuseProxies(shown []*x509.Certificate) error {
	for i, c := range shown {
		if !isProxy(c) {
			continue
		}
		// whose it is says the first certificate above that is none; else the name that signed the last one
		user := c.RawIssuer
		for _, above := range shown[i+1:] {
			if bytes.Equal(above.RawSubject, user) && isProxy(above) {
				user = above.RawIssuer
			}
		}
		return gateway.Errorf(gateway.Unauthenticated, "proxy certificates are not accepted: use the certificate of %s itself", words(user))
	}
	return nil
}
