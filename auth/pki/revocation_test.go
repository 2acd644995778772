package pki_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki"
	"github.com/sluice-mq/sluice/auth/pki/pkitest"
)

const revoked = "the client certificate CN=bob has been revoked"

func TestARevokedCertificateIsRefusedFromTheNextLookOn(t *testing.T) {
	w := newWorld(t, func(w *world) { w.config.CRLs = []string{w.file("ca.crl", w.crl())} })
	bob := w.issue("/CN=bob")
	w.accepts(bob)
	w.file("ca.crl", w.crl(bob))
	w.accepts(bob)
	w.pass(6 * time.Second)
	w.refuses(bob, revoked)
	w.accepts(w.issue("/CN=alice"))
	w.file("ca.crl", w.crl())
	require.NoError(t, w.server.Reload())
	w.accepts(bob)
}

func TestListsOfADirectoryAreHonoured(t *testing.T) {
	w := newWorld(t, inDirectory(""))
	grid, bob := w.config.ClientCADir, w.issue("/CN=bob")
	w.accepts(bob)
	require.NoError(t, w.ca.InstallCRL(grid, pkitest.List{Revoked: []*x509.Certificate{bob.Cert}}))
	w.pass(time.Minute)
	w.refuses(bob, revoked)

	// whoever writes lists anew may take the old one away first
	require.NoError(t, os.Remove(filepath.Join(grid, w.ca.Hash()+".r0")))
	w.pass(time.Minute)
	w.refuses(bob, revoked)
	// but if the operator says so, it is gone
	require.NoError(t, w.server.Reload())
	w.accepts(bob)
}

func TestAnExpiredListRefusesEverybodyOfItsAuthority(t *testing.T) {
	w := newWorld(t, inDirectory(""))
	grid := w.config.ClientCADir
	until := w.time().Add(time.Hour).Truncate(time.Second)
	require.NoError(t, w.ca.InstallCRL(grid, pkitest.List{Until: until}))
	require.NoError(t, w.server.Reload())
	alice := w.issue("/CN=alice")
	w.accepts(alice)
	w.pass(time.Hour)
	w.refuses(alice, "the revocation list of CN=Test CA, DC=example, DC=org has expired at "+until.UTC().Format(time.RFC3339))

	other := w.root("/CN=Other CA")
	require.NoError(t, other.Install(grid, ""))
	require.NoError(t, w.server.Reload())
	w.accepts(issue(t, other, "/CN=of another authority"))
	require.NoError(t, w.ca.InstallCRL(grid, pkitest.List{}))
	w.pass(time.Minute)
	w.accepts(alice)
}

func TestAnExpiredListStillKnowsWhatItRevoked(t *testing.T) {
	w := newWorld(t, nil)
	bob := w.issue("/CN=bob")
	text, err := w.ca.CRL(pkitest.List{Revoked: []*x509.Certificate{bob.Cert}, Until: w.time().Add(time.Minute)})
	require.NoError(t, err)
	w.config.CRLs = []string{w.file("old.crl", text), w.file("new.crl", w.crl())}
	w.server, err = pki.New(w.config)
	require.NoError(t, err)
	w.pass(time.Hour)
	w.refuses(bob, revoked)
	w.accepts(w.issue("/CN=alice"))
}

func TestAListFromTheFutureIsNone(t *testing.T) {
	w := newWorld(t, nil)
	from := w.time().Add(time.Hour).Truncate(time.Second)
	text, err := w.ca.CRL(pkitest.List{From: from})
	require.NoError(t, err)
	w.config.CRLs = []string{w.file("ca.crl", text)}
	w.server, err = pki.New(w.config)
	require.NoError(t, err)
	w.refuses(w.issue("/CN=alice"), "the revocation list of CN=Test CA, DC=example, DC=org is not valid before "+from.UTC().Format(time.RFC3339))
}

func TestAListThatSomebodyElseSignedIsNone(t *testing.T) {
	impostor, err := pkitest.NewRoot(pkitest.Slash("/DC=org/DC=example/CN=Test CA"))
	require.NoError(t, err)
	text, err := impostor.CRL(pkitest.List{})
	require.NoError(t, err)
	w := newWorld(t, func(w *world) { w.config.CRLs = []string{w.file("ca.crl", text)} })
	w.refuses(w.issue("/CN=alice"), "the revocation list of CN=Test CA, DC=example, DC=org is signed by somebody else")
	w.file("ca.crl", append(text, w.crl()...))
	w.pass(time.Minute)
	w.accepts(w.issue("/CN=alice"))
}

func TestAListThatNeverCouldBeReadIsNotAsIfThereWereNone(t *testing.T) {
	w := newWorld(t, func(w *world) {
		inDirectory("")(w)
		require.NoError(w.t, os.WriteFile(filepath.Join(w.config.ClientCADir, w.ca.Hash()+".r0"), []byte("half a li"), 0o600))
	})
	require.Len(t, w.errs, 1)
	alice := w.issue("/CN=alice")
	w.refuses(alice, "the revocation list of CN=Test CA, DC=example, DC=org cannot be read")
	require.NoError(t, w.ca.InstallCRL(w.config.ClientCADir, pkitest.List{}))
	w.pass(time.Minute)
	w.accepts(alice)
}

func TestListsMayBeRequired(t *testing.T) {
	w := newWorld(t, func(w *world) { inDirectory("")(w); w.config.RequireCRL = true })
	below, err := w.ca.NewIntermediate(pkitest.Slash("/CN=Issuing CA"))
	require.NoError(t, err)
	w.refuses(w.issue("/CN=alice"), "there is no revocation list of CN=Test CA, DC=example, DC=org")
	require.NoError(t, w.ca.InstallCRL(w.config.ClientCADir, pkitest.List{}))
	w.pass(time.Minute)
	w.accepts(w.issue("/CN=alice"))
	bob := issue(t, below, "/CN=bob")
	w.refuses(bob, "there is no revocation list of CN=Issuing CA")
	require.NoError(t, below.InstallCRL(w.config.ClientCADir, pkitest.List{Revoked: []*x509.Certificate{bob.Cert}}))
	w.pass(time.Minute)
	w.refuses(bob, revoked)
}

func TestListsThatHoldOnlyAPartAreNotBelieved(t *testing.T) {
	w := newWorld(t, nil)
	point := func(der ...byte) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: append([]byte{0x30, byte(len(der))}, der...)}
	}
	for text, e := range map[string]pkix.Extension{
		"changes to another list only":                    {Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}},
		"a part of the revoked certificates only":         point(0x82, 1, 0xff),
		"or those of others":                              point(0x84, 1, 0xff),
		"the critical extension 1.2.3.4 is not supported": {Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}},
		"": point(0xa0, 2, 0x81, 0),
	} {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: w.time().Add(-time.Hour), NextUpdate: w.time().Add(time.Hour), ExtraExtensions: []pkix.Extension{e},
		}, w.ca.Cert, w.ca.Key)
		require.NoError(t, err)
		c := w.config
		c.CRLs = []string{w.file("part.crl", der)}
		w.server, err = pki.New(c)
		if text == "" {
			require.NoError(t, err)
			w.accepts(w.issue("/CN=alice"))
			continue
		}
		require.ErrorContains(t, err, text)
	}
}

func TestARenewedAuthorityAndItsOldSelfHaveListsOfTheirOwn(t *testing.T) {
	w := newWorld(t, nil)
	fresh := w.root("/DC=org/DC=example/CN=Test CA")
	w.file("ca.pem", pem(w.ca.Cert, fresh.Cert))
	bob := w.issue("/CN=bob")
	carol, err := pkitest.NewKey()
	require.NoError(t, err)
	other, err := fresh.IssueFor(pkitest.Slash("/CN=carol"), carol)
	require.NoError(t, err)
	text, err := fresh.CRL(pkitest.List{Revoked: []*x509.Certificate{other.Cert, bob.Cert}})
	require.NoError(t, err)
	w.config.CRLs = []string{w.file("both.crl", append(text, w.crl()...))}
	w.server, err = pki.New(w.config)
	require.NoError(t, err)
	w.accepts(bob) // a number means something with its own authority alone
	w.refuses(other, "the client certificate CN=carol has been revoked")
}

func TestListsOfVersion1AreRead(t *testing.T) {
	w := newWorld(t, nil)
	bob := w.issue("/CN=bob")
	text, err := w.ca.CRL(pkitest.List{Version1: true, Revoked: []*x509.Certificate{bob.Cert}, Until: w.time().Add(time.Hour)})
	require.NoError(t, err)
	w.config.CRLs = []string{w.file("ca.crl", text)}
	w.server, err = pki.New(w.config)
	require.NoError(t, err)
	w.refuses(bob, revoked)
	w.accepts(w.issue("/CN=alice"))
	w.pass(time.Hour)
	v := w.dial(w.issue("/CN=alice"), nil)
	require.ErrorContains(t, v.err, "the revocation list of CN=Test CA, DC=example, DC=org has expired at")

	impostor := w.root("/DC=org/DC=example/CN=Test CA")
	text, err = impostor.CRL(pkitest.List{Version1: true})
	require.NoError(t, err)
	w.file("ca.crl", text)
	require.NoError(t, w.server.Reload())
	w.refuses(w.issue("/CN=alice"), "the revocation list of CN=Test CA, DC=example, DC=org is signed by somebody else")
}

func TestAListIsItsAuthoritysHoweverTheNameIsEncoded(t *testing.T) {
	w := newWorld(t, nil)
	bob := w.issue("/CN=bob")
	same := *w.ca.Cert
	name, err := asn1.Marshal(pkix.RDNSequence{ // with PrintableString for UTF8String
		{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, Value: "org"}},
		{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, Value: "example"}},
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "Test CA"}},
	})
	require.NoError(t, err)
	require.NotEqual(t, name, same.RawSubject)
	same.RawSubject = name
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: w.time().Add(-time.Hour), NextUpdate: w.time().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: bob.Cert.SerialNumber, RevocationTime: w.time()}},
	}, &same, w.ca.Key)
	require.NoError(t, err)
	w.config.CRLs = []string{w.file("ca.crl", der)}
	w.server, err = pki.New(w.config)
	require.NoError(t, err)
	w.refuses(bob, revoked)
}
