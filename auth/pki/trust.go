package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// trust is whom a server trusts to sign clients, at one moment. It does not change any more, but for the lists' memory.
type trust struct {
	// roots need nobody above them; intermediates have one among the others.
	roots, intermediates *x509.CertPool
	authorities          []*x509.Certificate
	known                map[string]bool // by certificate
	// lists are revocation lists by the authorityName of their issuer; unreadable names by it the file of a list that never could be read.
	lists      map[string][]*list
	unreadable map[string]string
	// patterns are what an authority may sign, by its plain name; governed are those that may sign nothing else, unclear those whose
	// policy cannot be read.
	patterns          policy
	governed, unclear map[string]bool
}

func newTrust() *trust {
	return &trust{
		roots: x509.NewCertPool(), intermediates: x509.NewCertPool(),
		known: map[string]bool{}, lists: map[string][]*list{}, unreadable: map[string]string{},
		patterns: policy{}, governed: map[string]bool{}, unclear: map[string]bool{},
	}
}

// parseCertificates reads certificates, PEM or DER. There is at least one.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	if !bytes.Contains(text, []byte("-----BEGIN ")) {
		certs, err := x509.ParseCertificates(text)
		if err == nil && len(certs) == 0 {
			err = errors.New("the file is empty")
		}
		return certs, err
	}
	var certs []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return certs, nil
}

// add takes authorities in, each once.
func (t *trust) add(certs []*x509.Certificate) {
	for _, c := range certs {
		if !t.known[string(c.Raw)] {
			t.known[string(c.Raw)] = true
			t.authorities = append(t.authorities, c)
		}
	}
}

// addLists takes revocation lists in.
func (t *trust) addLists(lists []*list) {
	for _, l := range lists {
		name := authorityName(l.issuer) // it may be encoded in another way than in the authority's certificate
		t.lists[name] = append(t.lists[name], l)
	}
}

// settle sorts the authorities after all were added: one with another above it is no root, so that the upper can revoke it.
func (t *trust) settle() {
	byName := map[string][]*x509.Certificate{}
	for _, c := range t.authorities {
		byName[string(c.RawSubject)] = append(byName[string(c.RawSubject)], c)
	}
	for _, c := range t.authorities {
		below := false
		for _, above := range byName[string(c.RawIssuer)] {
			if !bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(above) == nil {
				below = true
			}
		}
		if below {
			t.intermediates.AddCert(c)
		} else {
			t.roots.AddCert(c)
		}
	}
}
