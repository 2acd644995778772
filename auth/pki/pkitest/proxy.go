package pkitest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// ProxyKind is one of the forms in which grid users delegate themselves.
type ProxyKind int

// The kinds of proxy certificates.
const (
	// RFC3820 has the extension proxyCertInfo, critical.
	RFC3820 ProxyKind = iota
	// Draft is Globus Toolkit 3's: the same extension with an OID of its own.
	Draft
	// Legacy is Globus Toolkit 2's: the user's name with CN=proxy added.
	Legacy
	// Limited is Globus Toolkit 2's with CN=limited proxy.
	Limited
)

// NewProxy lets a user sign a proxy certificate, valid for 12 hours. The user may be a proxy again.
func NewProxy(user *Pair, kind ProxyKind) (*Pair, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	var subject []asn1.RawValue // the user's part stays as it is, byte for byte
	if _, err := asn1.Unmarshal(user.Cert.RawSubject, &subject); err != nil {
		return nil, fmt.Errorf("pkitest: name of the user: %w", err)
	}
	cn := map[ProxyKind]string{RFC3820: "1234567890", Draft: "987654321", Legacy: "proxy", Limited: "limited proxy"}[kind]
	var added []asn1.RawValue
	if _, err := asn1.Unmarshal(Name{"CN=" + cn}.DER(), &added); err != nil {
		return nil, err
	}
	raw, err := asn1.Marshal(append(subject, added...))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		RawSubject: raw, SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-5 * time.Minute), NotAfter: now.Add(12 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	// ProxyCertInfo ::= SEQUENCE { ProxyPolicy ::= SEQUENCE { id-ppl-inheritAll } }
	info := []byte{0x30, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x15, 0x01}
	switch kind {
	case RFC3820:
		t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 14}, Critical: true, Value: info}}
	case Draft:
		t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3536, 1, 222}, Critical: true, Value: info}}
	}
	cert, err := sign(t, user.Cert, key.Public(), user.Key)
	if err != nil {
		return nil, err
	}
	return &Pair{Cert: cert, Key: key, Chain: append([]*x509.Certificate{user.Cert}, user.Chain...)}, nil
}
