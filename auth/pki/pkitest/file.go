package pkitest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// CertificatePEM returns the pair's certificate and its chain.
func (p *Pair) CertificatePEM() []byte {
	var b bytes.Buffer
	for _, c := range append([]*x509.Certificate{p.Cert}, p.Chain...) {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

// KeyPEM returns the pair's key, not encrypted.
func (p *Pair) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return nil, fmt.Errorf("pkitest: write a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Write puts the certificate with its chain into dir/name.crt and the key into dir/name.key. Each file is replaced at once.
func (p *Pair) Write(dir, name string) (certificate, key string, err error) {
	text, err := p.KeyPEM()
	if err != nil {
		return "", "", err
	}
	certificate, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	if err := Replace(certificate, p.CertificatePEM()); err != nil {
		return "", "", err
	}
	return certificate, key, Replace(key, text)
}

// Hash returns 8 digits that name the authority's files in a directory. They are not those of OpenSSL.
func (ca *CA) Hash() string { return fmt.Sprintf("%x", sha1.Sum(ca.Cert.RawSubject))[:8] }

// Install puts the authority into a directory of the IGTF's layout: HASH.0. If policy is not empty, it becomes HASH.signing_policy.
func (ca *CA) Install(dir, policy string) error {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw})
	if err := Replace(filepath.Join(dir, ca.Hash()+".0"), text); err != nil || policy == "" {
		return err
	}
	return Replace(filepath.Join(dir, ca.Hash()+".signing_policy"), []byte(policy))
}

// List is what a revocation list says.
type List struct {
	Revoked []*x509.Certificate
	// From and Until are its validity; zero: from an hour ago, for a day.
	From, Until time.Time
	// Version1 writes the old form without extensions, which openssl makes unless it is told otherwise. The authority's key has to be of NewKey.
	Version1 bool
}

// CRL returns a revocation list signed by the authority, in PEM.
func (ca *CA) CRL(l List) ([]byte, error) {
	if l.From.IsZero() {
		l.From = time.Now().Add(-time.Hour)
	}
	if l.Until.IsZero() {
		l.Until = time.Now().Add(24 * time.Hour)
	}
	if l.Version1 {
		return ca.oldCRL(l)
	}
	t := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: l.From, NextUpdate: l.Until}
	for _, c := range l.Revoked {
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: l.From})
	}
	der, err := x509.CreateRevocationList(rand.Reader, t, ca.Cert, ca.Key)
	if err != nil {
		return nil, fmt.Errorf("pkitest: sign a revocation list: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), nil
}

func (ca *CA) oldCRL(l List) ([]byte, error) {
	type signed struct {
		Algorithm   pkix.AlgorithmIdentifier
		Issuer      asn1.RawValue
		From, Until time.Time
		Revoked     []pkix.RevokedCertificate `asn1:"omitempty,optional"`
	}
	ecdsaWithSHA256 := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
	body := signed{Algorithm: ecdsaWithSHA256, Issuer: asn1.RawValue{FullBytes: ca.Cert.RawSubject}, From: l.From.UTC(), Until: l.Until.UTC()}
	for _, c := range l.Revoked {
		body.Revoked = append(body.Revoked, pkix.RevokedCertificate{SerialNumber: c.SerialNumber, RevocationTime: l.From.UTC()})
	}
	tbs, err := asn1.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("pkitest: write a revocation list: %w", err)
	}
	digest := sha256.Sum256(tbs)
	signature, err := ca.Key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("pkitest: sign a revocation list: %w", err)
	}
	der, err := asn1.Marshal(struct {
		Body      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, ecdsaWithSHA256, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		return nil, fmt.Errorf("pkitest: write a revocation list: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), nil
}

// InstallCRL puts a revocation list into a directory of the IGTF's layout: HASH.r0.
func (ca *CA) InstallCRL(dir string, l List) error {
	text, err := ca.CRL(l)
	if err != nil {
		return err
	}
	return Replace(filepath.Join(dir, ca.Hash()+".r0"), text)
}

// Replace writes a file that only its owner may read, at once: a reader sees the old one or the new one.
func Replace(file string, text []byte) error {
	draft := file + ".new"
	if err := os.WriteFile(draft, text, 0o600); err != nil {
		return fmt.Errorf("pkitest: %w", err)
	}
	if err := os.Rename(draft, file); err != nil {
		return fmt.Errorf("pkitest: %w", err)
	}
	return nil
}
