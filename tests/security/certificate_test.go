package security

import (
	"crypto/x509"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki/pkitest"
)

const gridUser = "/DC=org/DC=example/CN=Jane Doe"

const gridRules = `auth:
  users:
  - {name: jane, dn: "/DC=org/DC=example/CN=Jane Doe"}
  acl: [{users: [jane], allow: [read, write, create], on: ["/queue/>"]}]
`

// Certificates that are not to be trusted are refused in words, by each door that takes certificates, and nobody comes in as somebody lesser.
func TestCertificatesThatAreRefused(t *testing.T) {
	p := newPlace(t)
	revoked := p.client(t, gridUser)
	crl, err := p.ca.CRL(pkitest.List{Revoked: []*x509.Certificate{revoked.Cert}})
	require.NoError(t, err)
	p.write(t, "ca.r0", string(crl))
	p.run(t, strings.ReplaceAll(listeners, "client_ca: [ca.crt]", "client_ca: [ca.crt], crl: [ca.r0]")+strings.Replace(gridRules, "auth:\n", "auth:\n  anonymous: true\n", 1))
	jane := p.client(t, gridUser)
	otherCA, err := pkitest.NewRoot(pkitest.Slash("/DC=org/DC=example/CN=Test CA")) // the same name, and another key
	require.NoError(t, err)
	forged, err := otherCA.Issue(pkitest.Slash(gridUser))
	require.NoError(t, err)
	shownAs := map[string]*pkitest.Pair{
		"revoked": revoked, "forged": forged,
		"expired":      p.client(t, gridUser, pkitest.Valid(time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))),
		"not yet":      p.client(t, gridUser, pkitest.Valid(time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour))),
		"servers only": p.client(t, gridUser, pkitest.Usages(x509.ExtKeyUsageServerAuth)),
	}
	for name, kind := range map[string]pkitest.ProxyKind{"RFC 3820 proxy": pkitest.RFC3820, "draft proxy": pkitest.Draft, "legacy proxy": pkitest.Legacy, "limited proxy": pkitest.Limited} {
		shownAs[name], err = pkitest.NewProxy(jane, kind)
		require.NoError(t, err)
	}
	words := map[string]string{
		"revoked": "revoked", "forged": "signed by nobody this server trusts", "expired": "has expired", "not yet": "is not valid before", "servers only": "is not for clients",
		"RFC 3820 proxy": "proxy", "draft proxy": "proxy", "legacy proxy": "proxy", "limited proxy": "proxy",
	}
	for _, d := range doors() {
		if !d.secure || d.native() {
			continue
		}
		if !d.admin {
			v, told := d.enter(t, p, d, shown{certificate: jane})
			require.Empty(t, told)
			v.use(t, "/queue/a")
		}
		for name, pair := range shownAs {
			v, told := d.enter(t, p, d, shown{certificate: pair})
			require.Nil(t, v, "%s by %s", name, d.name)
			require.True(t, strings.HasPrefix(told, refusal("null")+" "), told)
			require.Contains(t, told, words[name], "%s by %s", name, d.name)
		}
	}
}

// When a certificate is revoked its owner does not come in again; an expired revocation list refuses all of its authority.
func TestRevocationListsThatChange(t *testing.T) {
	p := newPlace(t)
	jane, joe := p.client(t, gridUser), p.client(t, gridUser)
	replace := func(l pkitest.List) {
		crl, err := p.ca.CRL(l)
		require.NoError(t, err)
		require.NoError(t, pkitest.Replace(filepath.Join(p.Home(), "ca.r0"), crl))
	}
	replace(pkitest.List{})
	p.run(t, strings.ReplaceAll(listeners, "client_ca: [ca.crt]", "client_ca: [ca.crt], crl: [ca.r0]")+gridRules)
	enter := func(pair *pkitest.Pair) (told string) {
		nc := p.open(t, 1, false, "", shown{certificate: pair})
		defer nc.Close()
		_, told = login(t, nc, shown{}, false)
		return told
	}
	require.Empty(t, enter(jane))
	replace(pkitest.List{Revoked: []*x509.Certificate{jane.Cert}})
	p.sluice(t, "reload", "--config", "sluice.yaml")
	require.Contains(t, enter(jane), "revoked")
	require.Empty(t, enter(joe))
	replace(pkitest.List{From: time.Now().Add(-48 * time.Hour), Until: time.Now().Add(-time.Hour)})
	p.sluice(t, "reload", "--config", "sluice.yaml")
	require.Contains(t, enter(joe), "revocation list")
}

// A listener that requires certificates has no conversation with who shows none.
func TestACertificateThatIsRequired(t *testing.T) {
	p := newPlace(t)
	p.run(t, strings.ReplaceAll(listeners, "client_ca: [ca.crt]", "client_ca: [ca.crt], client_auth: required")+gridRules)
	nc := p.open(t, 1, false, "", shown{})
	defer nc.Close()
	require.NoError(t, nc.SetDeadline(time.Now().Add(soon)))
	_, _ = nc.Write([]byte("CONNECT\naccept-version:1.2\nhost:/\n\n\x00"))
	_, err := nc.Read(make([]byte, 1))
	require.ErrorContains(t, err, "certificate required")
}
