package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// list is a revocation list. Safe for concurrent use.
type list struct {
	issuer []byte // the name, as DER
	// verify returns an error if an authority has not signed the list.
	verify      func(ca *x509.Certificate) error
	from, until time.Time // until is zero if the list does not say
	revoked     map[string]struct{}

	mu sync.Mutex
	// verdicts say by public key whether that key has signed the list.
	verdicts map[string]bool
}

// maxLists bounds the revocation lists in one file.
const maxLists = 1000

// parseLists reads revocation lists, PEM or DER.
func parseLists(text []byte) ([]*list, error) {
	var lists []*list
	armoured := bytes.Contains(text, []byte("-----BEGIN "))
	for armoured {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "X509 CRL" {
			continue
		}
		l, err := parseList(block.Bytes)
		if err != nil {
			return nil, err
		}
		if lists = append(lists, l); len(lists) > maxLists {
			return nil, fmt.Errorf("more than %d revocation lists in one file", maxLists)
		}
	}
	switch {
	case len(lists) > 0:
		return lists, nil
	case armoured:
		return nil, errors.New("there is no revocation list in it")
	}
	l, err := parseList(text)
	if err != nil {
		return nil, err
	}
	return []*list{l}, nil
}

func parseList(der []byte) (*list, error) {
	signed, err := x509.ParseRevocationList(der)
	if err != nil {
		if l := parseListV1(der); l != nil {
			return l, nil
		}
		return nil, fmt.Errorf("this is no revocation list: %w", err)
	}
	for _, e := range signed.Extensions {
		if err := understood(e); err != nil {
			return nil, fmt.Errorf("revocation list of %s: %w", words(signed.RawIssuer), err)
		}
	}
	l := &list{
		issuer: signed.RawIssuer, verify: signed.CheckSignatureFrom, from: signed.ThisUpdate, until: signed.NextUpdate,
		revoked: make(map[string]struct{}, len(signed.RevokedCertificateEntries)), verdicts: map[string]bool{},
	}
	for _, e := range signed.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical && !x.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 21}) {
				return nil, fmt.Errorf("revocation list of %s: an entry has the critical extension %s, which is not supported", words(signed.RawIssuer), x.Id)
			}
		}
		l.revoked[serial(e.SerialNumber)] = struct{}{}
	}
	signed.RevokedCertificateEntries, signed.RevokedCertificates = nil, nil //nolint:staticcheck // the old field holds a copy of all entries
	return l, nil
}

// parseListV1 reads a list of version 1, which has no extensions: what openssl ca -gencrl makes unless it is told otherwise. It returns nil if
// it is none.
func parseListV1(der []byte) *list {
	old, err := x509.ParseDERCRL(der) //nolint:staticcheck // nothing newer reads this version
	if err != nil || old.TBSCertList.Version != 0 || len(old.TBSCertList.Extensions) > 0 {
		return nil
	}
	var name struct {
		Algorithm pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
		From      time.Time
		Until     time.Time                 `asn1:"optional"`
		Revoked   []pkix.RevokedCertificate `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(old.TBSCertList.Raw, &name); err != nil || len(rest) > 0 {
		return nil
	}
	l := &list{issuer: name.Issuer.FullBytes, from: name.From, until: name.Until, revoked: make(map[string]struct{}, len(name.Revoked)), verdicts: map[string]bool{}}
	for _, e := range name.Revoked {
		if len(e.Extensions) > 0 {
			return nil
		}
		l.revoked[serial(e.SerialNumber)] = struct{}{}
	}
	old.TBSCertList.RevokedCertificates = nil
	l.verify = func(ca *x509.Certificate) error {
		if ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCRLSign == 0 || ca.BasicConstraintsValid && !ca.IsCA || ca.Version == 3 && !ca.BasicConstraintsValid {
			return errors.New("it may not sign revocation lists")
		}
		return ca.CheckCRLSignature(old) //nolint:staticcheck // nothing newer reads this version
	}
	return l
}

// understood returns an error for an extension that makes the list say something else than which certificates its issuer has revoked.
func understood(e pkix.Extension) error {
	switch id := e.Id.String(); {
	case id == "2.5.29.27":
		return errors.New("it holds changes to another list only (a delta CRL), which is not supported")
	case id == "2.5.29.28":
		// IssuingDistributionPoint: a place is well, but not a choice of certificates, reasons or other issuers
		var fields []asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &fields); err != nil {
			return fmt.Errorf("its issuing distribution point cannot be read: %w", err)
		}
		for _, f := range fields {
			const place, onlyUsers = 0, 1
			if f.Tag != place && f.Tag != onlyUsers {
				return errors.New("it holds a part of the revoked certificates only, or those of others, which is not supported")
			}
		}
	case e.Critical:
		return fmt.Errorf("the critical extension %s is not supported", id)
	}
	return nil
}

func serial(n *big.Int) string {
	if n == nil {
		return ""
	}
	return n.Text(62)
}

// signedBy reports whether an authority has signed the list.
func (l *list) signedBy(ca *x509.Certificate) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := string(ca.RawSubjectPublicKeyInfo)
	verdict, known := l.verdicts[key]
	if !known {
		verdict = l.verify(ca) == nil
		if len(l.verdicts) < 64 {
			l.verdicts[key] = verdict
		}
	}
	return verdict
}

// checkLists returns an error if a certificate is revoked by its issuer, or if nobody can tell.
func (t *trust) checkLists(who string, c, issuer *x509.Certificate, now time.Time, required bool) error {
	var newest *list
	current, name := false, subject(issuer)
	lists := t.lists[authorityName(issuer.RawSubject)]
	for _, l := range lists {
		if !l.signedBy(issuer) {
			continue
		}
		if _, is := l.revoked[serial(c.SerialNumber)]; is {
			return gateway.WrapError(gateway.Unauthenticated, ErrRevoked, who+" has been revoked")
		}
		if !now.Before(l.from.Add(-clockSkew)) && (l.until.IsZero() || now.Before(l.until)) {
			current = true
		}
		if newest == nil || l.until.After(newest.until) {
			newest = l
		}
	}
	switch file, unreadable := t.unreadable[authorityName(issuer.RawSubject)]; {
	case current:
		return nil
	case newest != nil && now.Before(newest.from.Add(-clockSkew)):
		return gateway.Errorf(gateway.Unauthenticated, "the revocation list of %s is not valid before %s", name, stamp(newest.from))
	case newest != nil:
		return gateway.Errorf(gateway.Unauthenticated, "the revocation list of %s has expired at %s", name, stamp(newest.until))
	case unreadable:
		return gateway.WrapError(gateway.Unauthenticated, errors.New(file), "the revocation list of "+name+" cannot be read")
	case len(lists) > 0:
		return gateway.Errorf(gateway.Unauthenticated, "the revocation list of %s is signed by somebody else", name)
	case required:
		return gateway.Errorf(gateway.Unauthenticated, "there is no revocation list of %s", name)
	}
	return nil
}

// clockSkew is how far in the future something may begin to be valid: clocks differ.
const clockSkew = 5 * time.Minute
