package pkitest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"
	"time"
)

// Name is a distinguished name in the order of the certificate, one "TYPE=value" each: {"DC=org", "O=Grid", "CN=a/b"}.
// The types are C, CN, DC, L, O, OU, ST, UID and emailAddress.
type Name []string

// Slash makes a Name of its slash form, whose values hold no slash: "/DC=org/CN=Test CA".
func Slash(s string) Name { return strings.Split(strings.TrimPrefix(s, "/"), "/") }

// DER returns the name as certificates hold it; the values are UTF8String, or IA5String where the type wants it. It
// panics if a type is unknown.
func (n Name) DER() []byte {
	types := map[string]asn1.ObjectIdentifier{
		"C": {2, 5, 4, 6}, "CN": {2, 5, 4, 3}, "L": {2, 5, 4, 7}, "ST": {2, 5, 4, 8}, "O": {2, 5, 4, 10}, "OU": {2, 5, 4, 11},
		"DC": {0, 9, 2342, 19200300, 100, 1, 25}, "UID": {0, 9, 2342, 19200300, 100, 1, 1},
		"emailAddress": {1, 2, 840, 113549, 1, 9, 1},
	}
	var sequence pkix.RDNSequence
	for _, part := range n {
		word, value, _ := strings.Cut(part, "=")
		oid, ok := types[word]
		if !ok {
			panic("pkitest: unknown attribute type in " + part)
		}
		tag := asn1.TagUTF8String
		if word == "DC" || word == "emailAddress" {
			tag = asn1.TagIA5String
		}
		sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}})
	}
	der, err := asn1.Marshal(sequence)
	if err != nil {
		panic(err)
	}
	return der
}

// Pair is a certificate with its key and the certificates above it. It must not be changed.
type Pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	// Chain is what is shown after Cert: the intermediates and proxies' users, without the root.
	Chain []*x509.Certificate
}

// TLS returns the pair as a client or server shows it, with its chain.
func (p *Pair) TLS() tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{p.Cert.Raw}, PrivateKey: p.Key}
	for _, above := range p.Chain {
		c.Certificate = append(c.Certificate, above.Raw)
	}
	return c
}

// CA is a certificate authority, a root or an intermediate one. Safe for concurrent use.
type CA struct {
	Pair
	serials atomic.Int64
}

// Option changes a certificate before it is signed.
type Option func(*x509.Certificate)

// Valid makes it valid between two times; without it, from an hour ago for a day.
func Valid(from, to time.Time) Option {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to }
}

// DNSNames adds names of hosts.
func DNSNames(names ...string) Option {
	return func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, names...) }
}

// Usages are the extended key usages instead of client and server; none leaves the extension out.
func Usages(u ...x509.ExtKeyUsage) Option { return func(c *x509.Certificate) { c.ExtKeyUsage = u } }

// AskAt names the address of an OCSP responder in the certificate.
func AskAt(url string) Option { return func(c *x509.Certificate) { c.OCSPServer = []string{url} } }

// SignedWith has it signed with an algorithm that fits the key of the authority, such as x509.ECDSAWithSHA1.
func SignedWith(a x509.SignatureAlgorithm) Option {
	return func(c *x509.Certificate) { c.SignatureAlgorithm = a }
}

// NewKey returns a fresh ECDSA key on P-256.
func NewKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// NewRoot makes an authority that has signed itself.
func NewRoot(n Name, options ...Option) (*CA, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	return NewRootWithKey(n, key, options...)
}

// NewRootWithKey makes an authority of a key, so that it can be renewed or made with another kind of key.
func NewRootWithKey(n Name, key crypto.Signer, options ...Option) (*CA, error) {
	cert, err := sign(authority(n, options), nil, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &CA{Pair: Pair{Cert: cert, Key: key}}, nil
}

// NewIntermediate makes an authority below this one. Its pairs show its certificate, too.
func (ca *CA) NewIntermediate(n Name, options ...Option) (*CA, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	t := authority(n, options)
	t.SerialNumber = ca.serial()
	cert, err := sign(t, ca.Cert, key.Public(), ca.Key)
	if err != nil {
		return nil, err
	}
	return &CA{Pair: Pair{Cert: cert, Key: key, Chain: ca.above()}}, nil
}

// Issue makes a certificate for a host or a person with a fresh key.
func (ca *CA) Issue(n Name, options ...Option) (*Pair, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	return ca.IssueFor(n, key, options...)
}

// IssueFor makes a certificate for a key.
func (ca *CA) IssueFor(n Name, key crypto.Signer, options ...Option) (*Pair, error) {
	t := template(n)
	t.SerialNumber = ca.serial()
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, o := range options {
		o(t)
	}
	cert, err := sign(t, ca.Cert, key.Public(), ca.Key)
	if err != nil {
		return nil, err
	}
	return &Pair{Cert: cert, Key: key, Chain: ca.above()}, nil
}

// above is what those below an authority show after their own certificates.
func (ca *CA) above() []*x509.Certificate {
	if string(ca.Cert.RawIssuer) == string(ca.Cert.RawSubject) {
		return nil
	}
	return append([]*x509.Certificate{ca.Cert}, ca.Chain...)
}

func (ca *CA) serial() *big.Int { return big.NewInt(1000 + ca.serials.Add(1)) }

func template(n Name) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		RawSubject: n.DER(), SerialNumber: big.NewInt(1), BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
}

func authority(n Name, options []Option) *x509.Certificate {
	t := template(n)
	t.IsCA = true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	for _, o := range options {
		o(t)
	}
	return t
}

func sign(t, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) (*x509.Certificate, error) {
	if parent == nil {
		parent = t
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key, by)
	if err != nil {
		return nil, fmt.Errorf("pkitest: sign a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
