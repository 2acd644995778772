package pki_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki"
	"github.com/sluice-mq/sluice/auth/pki/pkitest"
	"github.com/sluice-mq/sluice/gateway"
)

func TestACertificateIsAcceptedIfItsAuthorityIsTrusted(t *testing.T) {
	w := newWorld(t, nil)
	w.accepts(w.issue("/DC=org/DC=example/OU=People/CN=alice"))
	w.accepts(w.issue("/CN=no usages", pkitest.Usages()))
	w.accepts(w.issue("/CN=any usage", pkitest.Usages(x509.ExtKeyUsageAny)))
	below, err := w.ca.NewIntermediate(pkitest.Slash("/DC=org/CN=Issuing CA"))
	require.NoError(t, err)
	w.accepts(issue(t, below, "/CN=below"))
}

func TestCertificatesAreRefusedInWords(t *testing.T) {
	w := newWorld(t, nil)
	now := w.time().Truncate(time.Second)
	w.refuses(w.issue("/CN=late", pkitest.Valid(now.Add(-time.Hour), now.Add(-time.Minute))),
		"the client certificate CN=late has expired at "+now.Add(-time.Minute).UTC().Format(time.RFC3339))
	w.refuses(w.issue("/CN=early", pkitest.Valid(now.Add(time.Hour), now.Add(2*time.Hour))),
		"the client certificate CN=early is not valid before "+now.Add(time.Hour).UTC().Format(time.RFC3339))
	w.refuses(w.issue("/CN=server", pkitest.Usages(x509.ExtKeyUsageServerAuth)),
		"the client certificate CN=server is not for clients: its extended key usage, or that of an authority above it, lacks clientAuth")
	w.refuses(w.issue("/CN=weak", pkitest.SignedWith(x509.ECDSAWithSHA1)), "the certificate CN=weak is signed with ECDSA-SHA1, which is too weak")
	w.refuses(issue(t, w.root("/DC=com/CN=Other CA"), "/DC=com/CN=mallory"),
		"the client certificate CN=mallory, DC=com is signed by nobody this server trusts (issuer CN=Other CA, DC=com)")
	w.refuses(issue(t, w.root("/DC=org/DC=example/CN=Test CA"), "/CN=impostor"),
		"the client certificate CN=impostor is signed by nobody this server trusts (issuer CN=Test CA, DC=example, DC=org)")
	self, err := pkitest.NewRoot(pkitest.Slash("/CN=me myself"))
	require.NoError(t, err)
	w.refuses(&self.Pair, "the client certificate CN=me myself is signed by nobody this server trusts (issuer CN=me myself)")
	w.refuses(w.issue("/CN=odd", critical), "the client certificate CN=odd has a critical extension that is not supported")

	old, err := w.ca.NewIntermediate(pkitest.Slash("/CN=Old CA"), pkitest.Valid(now.Add(-2*time.Hour), now.Add(-time.Hour)))
	require.NoError(t, err)
	w.refuses(issue(t, old, "/CN=bob"), "the certificate CN=Old CA above the client certificate CN=bob has expired at "+now.Add(-time.Hour).UTC().Format(time.RFC3339))
}

func critical(c *x509.Certificate) {
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
}

func TestAClientCannotSignForOthers(t *testing.T) {
	w := newWorld(t, nil)
	user := w.issue("/CN=user")
	key, err := pkitest.NewKey()
	require.NoError(t, err)
	impostor := &pkitest.CA{Pair: *user}
	forged, err := impostor.IssueFor(pkitest.Slash("/CN=admin"), key)
	require.NoError(t, err)
	forged.Chain = []*x509.Certificate{user.Cert}
	w.refuses(forged, "the client certificate CN=admin is signed by nobody this server trusts (issuer CN=user)")
}

func TestShortAndHugeRSAKeysAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p, err := w.ca.IssueFor(pkitest.Slash("/CN=short"), short)
	require.NoError(t, err)
	w.refuses(p, "the RSA key of the client certificate CN=short has 1024 bits, at least 2048 are needed")
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p, err = w.ca.IssueFor(pkitest.Slash("/CN=good"), good)
	require.NoError(t, err)
	w.accepts(p)

	huge := &rsa.PublicKey{N: new(big.Int).Lsh(good.N, 9000), E: good.E}
	huge.N.SetBit(huge.N, 0, 1)
	p, err = w.ca.IssueFor(pkitest.Slash("/CN=huge"), publicOnly{huge})
	require.NoError(t, err)
	alice := w.issue("/CN=alice")
	alice.Chain = []*x509.Certificate{p.Cert}
	require.ErrorContains(t, w.dial(alice, nil).handshake, "larger than 8192 bits", "the handshake ends before anybody computes")
	_, err = w.server.Judge(tls.ConnectionState{PeerCertificates: []*x509.Certificate{alice.Cert, p.Cert}})
	require.EqualError(t, err, "the RSA key of the certificate CN=huge has 11048 bits, the limit is 8192")
}

// publicOnly is a key that nobody can sign with.
type publicOnly struct{ key crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.key }
func (publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, fmt.Errorf("only the public half is here")
}

func TestWhatAClientShowsIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.issue("/CN=alice")
	for range 10 {
		alice.Chain = append(alice.Chain, w.ca.Cert)
	}
	w.refuses(alice, "the client shows 11 certificates, the limit is 10")
	alice.Chain = alice.Chain[:9]
	w.accepts(alice)
	fat := w.issue("/CN=fat", pkitest.DNSNames(manyNames(3000)...))
	fat.Chain = []*x509.Certificate{fat.Cert}
	v := w.dial(fat, nil)
	require.Contains(t, gateway.TextOf(v.err), "the certificates of the client are ")
	require.Contains(t, gateway.TextOf(v.err), " bytes long, the limit is 65536")
}

func manyNames(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("host%05d.example.org", i))
	}
	return names
}

func TestNamesInRefusalsAreBoundedAndOneLine(t *testing.T) {
	w := newWorld(t, nil)
	other := w.root("/CN=Other CA")
	for _, cn := range []string{strings.Repeat("é", 2000), "a\nERROR\x00message:x", "a\u0085b\u2028c"} {
		p, err := other.Issue(pkitest.Name{"CN=" + cn})
		require.NoError(t, err)
		v := w.dial(p, nil)
		require.Error(t, v.err)
		text := gateway.TextOf(v.err)
		require.Less(t, len(text), 1200)
		require.Equal(t, strings.ToValidUTF8(text, "?"), text)
		for _, r := range text {
			require.False(t, r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028, "%q", text)
		}
	}
}

func TestProxyCertificatesAreRefusedInWords(t *testing.T) {
	for _, change := range []func(*world){nil, inDirectory("")} {
		w := newWorld(t, change)
		user := w.issue("/DC=org/CN=alice")
		const words = "proxy certificates are not accepted: use the certificate of CN=alice, DC=org itself"
		for _, kind := range []pkitest.ProxyKind{pkitest.RFC3820, pkitest.Draft, pkitest.Legacy, pkitest.Limited} {
			proxy, err := pkitest.NewProxy(user, kind)
			require.NoError(t, err)
			w.refuses(proxy, words)
			again, err := pkitest.NewProxy(proxy, kind)
			require.NoError(t, err)
			w.refuses(again, words)

			// a certificate that is none, with a proxy's behind it
			hidden := w.issue("/CN=bob")
			hidden.Chain = append([]*x509.Certificate{w.ca.Cert}, proxy.Cert)
			w.refuses(hidden, words)
			alone := *proxy
			alone.Chain = nil
			w.refuses(&alone, words)
		}
		w.accepts(user)
		// a name alone does not make a proxy
		w.accepts(w.issue("/DC=org/CN=proxy"))
	}
}

func TestAnIntermediateAuthorityIsTrustedByItselfUntilTheOneAboveIsThere(t *testing.T) {
	w := newWorld(t, nil)
	root := w.root("/CN=Root")
	below, err := root.NewIntermediate(pkitest.Slash("/CN=Issuing"))
	require.NoError(t, err)
	alice := issue(t, below, "/CN=alice")
	alice.Chain = nil // she shows nothing but her own
	w.file("ca.pem", pem(below.Cert))
	require.NoError(t, w.server.Reload())
	w.accepts(alice)
	w.file("ca.pem", pem(below.Cert, root.Cert))
	require.NoError(t, w.server.Reload())
	w.accepts(alice)

	// now the root can take it back
	text, err := root.CRL(pkitest.List{Revoked: []*x509.Certificate{below.Cert}})
	require.NoError(t, err)
	w.config.CRLs = []string{w.file("root.crl", text)}
	w.server, err = pki.New(w.config)
	require.NoError(t, err)
	w.refuses(alice, "the certificate CN=Issuing above the client certificate CN=alice has been revoked")
}

func pem(certs ...*x509.Certificate) []byte {
	p := pkitest.Pair{Cert: certs[0], Chain: certs[1:]}
	return p.CertificatePEM()
}

func TestASigningPolicySaysWhichNamesAnAuthorityMaySign(t *testing.T) {
	const policy = `# of the test
 access_id_CA   X509    '/DC=org/DC=example/CN=Test CA'
 pos_rights     globus  CA:sign
 cond_subjects  globus  '"/DC=org/DC=example/*" "/DC=org/DC=exa?ple2/CN=*"'
`
	w := newWorld(t, inDirectory(policy))
	w.accepts(w.issue("/DC=org/DC=example/OU=People/CN=alice"))
	w.accepts(w.issue("/DC=org/DC=example2/CN=alice"))
	w.refuses(w.issue("/DC=com/DC=example/CN=alice"),
		"the client certificate CN=alice, DC=example, DC=com has a name that CN=Test CA, DC=example, DC=org may not sign by its signing policy")
	w.refuses(w.issue("/DC=com/O=x/DC=org/DC=example/CN=alice"),
		"the client certificate CN=alice, DC=example, DC=org, O=x, DC=com has a name that CN=Test CA, DC=example, DC=org may not sign by its signing policy")

	grid := w.config.ClientCADir
	alice := w.issue("/DC=org/DC=example/CN=alice")
	name := filepath.Join(grid, w.ca.Hash()+".signing_policy")
	require.NoError(t, pkitest.Replace(name, []byte("access_id_CA X509 '/CN=Somebody else'\npos_rights globus CA:sign\ncond_subjects globus '\"*\"'\n")))
	require.NoError(t, w.server.Reload())
	w.refuses(alice, "the client certificate CN=alice, DC=example, DC=org has a name that CN=Test CA, DC=example, DC=org may not sign by its signing policy")

	require.NoError(t, pkitest.Replace(name, []byte("access_id_CA X509 'unfinished")))
	require.ErrorContains(t, w.server.Reload(), "signing_policy: a quotation is not closed")
	w.refuses(alice, "the client certificate CN=alice, DC=example, DC=org has a name that CN=Test CA, DC=example, DC=org may not sign by its signing policy")

	var err error
	w.server, err = pki.New(w.config) // which never saw it whole
	require.NoError(t, err)
	w.refuses(alice, "the signing policy of CN=Test CA, DC=example, DC=org cannot be read")

	require.NoError(t, os.Remove(name))
	require.NoError(t, w.server.Reload())
	w.accepts(w.issue("/DC=com/CN=anybody"))
}

func TestADirectoryOfAuthoritiesFollowsItsFiles(t *testing.T) {
	w := newWorld(t, inDirectory(""))
	grid := w.config.ClientCADir
	other := w.root("/CN=Other CA")
	bob := issue(t, other, "/CN=bob")
	const stranger = "the client certificate CN=bob is signed by nobody this server trusts (issuer CN=Other CA)"
	w.refuses(bob, stranger)
	require.NoError(t, other.Install(grid, ""))
	w.pass(time.Minute)
	w.accepts(bob)
	require.NoError(t, os.WriteFile(filepath.Join(grid, "readme.crt"), []byte("no certificate"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(grid, "ca.info"), []byte("something else"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(grid, "old.pem"), 0o700))
	require.NoError(t, os.Remove(filepath.Join(grid, other.Hash()+".0")))
	w.pass(time.Minute)
	w.refuses(bob, stranger)
	w.accepts(w.issue("/CN=alice"))
	require.Len(t, w.errs, 1)
	require.ErrorContains(t, w.errs[0], "readme.crt: ")

	require.NoError(t, os.Rename(grid, grid+".away"))
	w.pass(time.Minute)
	w.accepts(w.issue("/CN=alice"))
	require.Len(t, w.errs, 2)
	w.pass(time.Minute)
	w.accepts(w.issue("/CN=alice"))
	require.Len(t, w.errs, 2, "the same is said once")
	require.Len(t, w.server.Status().Broken, 2)
}

func TestAResumedSessionIsJudgedAgain(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		w := newWorld(t, func(w *world) { w.config.CRLs = []string{w.file("ca.crl", w.crl())} })
		below, err := w.ca.NewIntermediate(pkitest.Slash("/CN=Issuing CA"))
		require.NoError(t, err)
		alice := issue(t, below, "/CN=alice")
		config, cache := w.server.TLS(), tls.NewLRUClientSessionCache(4)
		connect := func() verdict {
			return handshake(t, w.server, config, w.clientConfig(alice, func(c *tls.Config) {
				c.MinVersion, c.MaxVersion, c.ClientSessionCache = version, version, cache
			}), false)
		}
		require.NoError(t, connect().err)
		again := connect()
		require.NoError(t, again.err)
		require.True(t, again.state.DidResume, "else this test shows nothing")
		require.Equal(t, alice.Cert.Raw, again.leaf.Raw)

		w.file("ca.crl", w.crl(&below.Pair))
		w.pass(time.Minute)
		after := connect()
		require.NoError(t, after.client)
		require.True(t, after.state.DidResume, "else this test shows nothing")
		require.Equal(t, "the certificate CN=Issuing CA above the client certificate CN=alice has been revoked", gateway.TextOf(after.err))

		w.pass(25 * time.Hour)
		require.Error(t, connect().client, "and nobody trusts us either after a day")
	}
}
