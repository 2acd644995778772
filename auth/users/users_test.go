package users_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/auth/users"
	"github.com/sluice-mq/sluice/gateway"
)

// quick is argon2id of "geheim" with parameters that cost nothing.
const quick = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$"

func directory(t testing.TB, all ...users.User) *users.Directory {
	t.Helper()
	d, err := users.NewDirectory(all, nil)
	require.NoError(t, err)
	return d
}

func TestEveryFormOfAPassword(t *testing.T) {
	ours, err := users.Hash("geheim")
	require.NoError(t, err)
	for form, stored := range map[string]string{
		"plain":       "geheim",
		"ours":        ours,
		"argon2id":    quickly(t, "geheim"),
		"bcrypt 2b":   bcrypted(t, "geheim"),
		"bcrypt 2a":   strings.Replace(bcrypted(t, "geheim"), "$2b$", "$2a$", 1),
		"bcrypt 2y":   strings.Replace(bcrypted(t, "geheim"), "$2b$", "$2y$", 1),
		"SHA-256":     "$5$abcdefgh$" + shaCrypt256,
		"SHA-512":     "$6$abcdefgh$" + shaCrypt512,
		"SHA, rounds": "$6$rounds=1000$abcdefgh$" + shaCryptRounds,
	} {
		u := users.New(users.Config{}, directory(t, users.User{Name: "alice", Password: stored, Groups: []string{"ops"}}))
		p, found, err := u.Verify(t.Context(), "alice", "geheim")
		require.NoError(t, err, form)
		require.True(t, found)
		require.Equal(t, gateway.Principal{Name: "alice", Groups: []string{"ops"}, Method: "password", Proof: p.Proof}, p)
		for _, wrong := range []string{"Geheim", "geheim ", "geheim\x00", "", stored, strings.Repeat("x", users.MaxPasscode+1)} {
			if wrong == "geheim" || form == "ours" && wrong != "Geheim" {
				continue // not wrong; too dear
			}
			p, found, err = u.Verify(t.Context(), "alice", wrong)
			require.ErrorIs(t, err, auth.ErrWrongPassword, "%s, %q", form, wrong)
			require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
			require.True(t, found)
			require.Zero(t, p)
		}
	}
}

func TestHashRefusesWhatNobodyCouldType(t *testing.T) {
	for _, p := range []string{"", strings.Repeat("a", users.MaxPasscode+1)} {
		_, err := users.Hash(p)
		require.ErrorContains(t, err, "1 to 1024 are possible")
	}
	a, _ := users.Hash("x")
	b, _ := users.Hash("x")
	require.NotEqual(t, a, b)
}

func TestWhoCannotLogInWithAPassword(t *testing.T) {
	u := users.New(users.Config{}, directory(t,
		users.User{Name: "off", Password: "geheim", Disabled: true},
		users.User{Name: "host1", DNs: []string{"CN=host1"}},
	))
	_, found, err := u.Verify(t.Context(), "off", "geheim")
	require.True(t, found)
	require.ErrorIs(t, err, auth.ErrDisabled)

	_, found, err = u.Verify(t.Context(), "host1", "geheim")
	require.True(t, found, "nobody else may answer for a name that is taken")
	require.ErrorIs(t, err, auth.ErrWrongPassword)

	_, found, err = u.Verify(t.Context(), "stranger", "geheim")
	require.False(t, found)
	require.NoError(t, err)
}

func TestTokens(t *testing.T) {
	token, stored := users.NewToken()
	u := users.New(users.Config{}, directory(t,
		users.User{Name: "robot", Token: stored},
		users.User{Name: "clear", Token: "a-token-in-clear-that-is-long"},
		users.User{Name: "off", Token: "another-token-that-is-long", Disabled: true},
	))
	p, found, err := u.VerifyToken(t.Context(), token)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, gateway.Principal{Name: "robot", Method: "token", Proof: p.Proof}, p)
	p, _, err = u.VerifyToken(t.Context(), "a-token-in-clear-that-is-long")
	require.NoError(t, err)
	require.Equal(t, "clear", p.Name)
	_, found, err = u.VerifyToken(t.Context(), "another-token-that-is-long")
	require.True(t, found)
	require.ErrorIs(t, err, auth.ErrDisabled)
	for _, wrong := range []string{"", stored, strings.TrimPrefix(stored, "sha256:"), token + "x", strings.Repeat("x", 5000)} {
		_, found, err = u.VerifyToken(t.Context(), wrong)
		require.False(t, found)
		require.NoError(t, err)
	}
}

func certificate(t testing.TB, subject pkix.RDNSequence, c x509.Certificate) *x509.Certificate {
	t.Helper()
	raw, err := asn1.Marshal(subject)
	require.NoError(t, err)
	c.RawSubject = raw
	return &c
}

func cn(name string) pkix.RDNSequence {
	return pkix.RDNSequence{
		{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, Value: "org"}},
		{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: name}},
	}
}

func TestCertificates(t *testing.T) {
	u := users.New(users.Config{}, directory(t,
		users.User{Name: "host1", DNs: []string{"/DC=org/CN=host1", "CN=old,DC=org"}, Groups: []string{"hosts"}},
		users.User{Name: "byname", SANs: []string{"dns:Web.Example.org", "email:me@Example.org"}},
		users.User{Name: "service", SANs: []string{"uri:spiffe://example.org/service"}},
		users.User{Name: "off", DNs: []string{"CN=off,DC=org"}, Disabled: true},
	))
	spiffe, err := url.Parse("spiffe://example.org/service")
	require.NoError(t, err)
	for _, c := range []struct {
		c    *x509.Certificate
		name string
	}{
		{certificate(t, cn("host1"), x509.Certificate{}), "host1"},
		{certificate(t, cn("old"), x509.Certificate{}), "host1"},
		{certificate(t, cn("host1"), x509.Certificate{DNSNames: []string{"web.example.org"}}), "host1"},
		{certificate(t, cn("x"), x509.Certificate{DNSNames: []string{"other", "WEB.example.org"}}), "byname"},
		{certificate(t, cn("x"), x509.Certificate{EmailAddresses: []string{"me@example.ORG"}}), "byname"},
		{certificate(t, nil, x509.Certificate{URIs: []*url.URL{spiffe}}), "service"},
	} {
		p, found, err := u.Identify(c.c)
		require.NoError(t, err)
		require.True(t, found, c.name)
		require.Equal(t, c.name, p.Name)
		require.Equal(t, "certificate", p.Method)
		again, found, err := u.Renew(p)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, p, again)
	}
	p, _, err := u.Identify(certificate(t, cn("host1"), x509.Certificate{}))
	require.NoError(t, err)
	require.Equal(t, gateway.Principal{Name: "host1", Groups: []string{"hosts"}, DN: "CN=host1, DC=org", Method: "certificate"}, p)

	for _, c := range []*x509.Certificate{
		certificate(t, cn("HOST1"), x509.Certificate{}),
		certificate(t, nil, x509.Certificate{}),
		certificate(t, cn("x"), x509.Certificate{EmailAddresses: []string{"ME@example.org"}}),
		certificate(t, cn("x"), x509.Certificate{DNSNames: []string{"*.example.org"}}),
	} {
		_, found, err := u.Identify(c)
		require.False(t, found)
		require.NoError(t, err)
	}
	_, _, err = u.Identify(certificate(t, cn("off"), x509.Certificate{}))
	require.ErrorIs(t, err, auth.ErrDisabled)
	_, _, err = u.Identify(certificate(t, cn("x"), x509.Certificate{DNSNames: []string{"web.example.org"}, URIs: []*url.URL{spiffe}}))
	require.Equal(t, "The client certificate has names of several users.", gateway.TextOf(err))
	_, _, err = u.Identify(&x509.Certificate{RawSubject: []byte{1, 2, 3}})
	require.Equal(t, "The subject of the client certificate cannot be read.", gateway.TextOf(err))
}

func TestRenewSaysWhoSomebodyIsNow(t *testing.T) {
	before := users.User{Name: "a", Password: "geheim", Token: "t", DNs: []string{"CN=a"}, Groups: []string{"old"}}
	u := users.New(users.Config{}, directory(t, before))
	expires := time.Unix(9, 0)
	as := func(method string) gateway.Principal {
		return gateway.Principal{Name: "a", Groups: []string{"old"}, Method: method, DN: "CN=a", Expires: expires}
	}
	after := before
	after.Groups = []string{"new"}
	u.Replace(directory(t, after))
	for _, method := range []string{"password", "token", "certificate"} {
		p, found, err := u.Renew(as(method))
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, gateway.Principal{Name: "a", Groups: []string{"new"}, Method: method, DN: "CN=a", Expires: expires}, p)
	}
	for _, foreign := range []string{"", "jwt", "ldap"} {
		_, found, err := u.Renew(as(foreign))
		require.False(t, found)
		require.NoError(t, err)
	}
	shown := map[string]gateway.Principal{}
	shown["password"], _, _ = u.Verify(t.Context(), "a", "geheim")
	shown["token"], _, _ = u.VerifyToken(t.Context(), "t")
	changed := after
	changed.Password, changed.Token = "other", "u"
	for _, same := range []users.User{after, before} {
		u.Replace(directory(t, same))
		for method, p := range shown {
			require.NotEmpty(t, p.Proof)
			require.NotContains(t, p.Proof, "geheim")
			again, _, err := u.Renew(p)
			require.NoError(t, err, method)
			require.Equal(t, p.Proof, again.Proof)
		}
	}
	u.Replace(directory(t, changed))
	for method, p := range shown {
		_, found, err := u.Renew(p)
		require.True(t, found)
		require.ErrorIs(t, err, auth.ErrChanged, method)
	}
	without := func(change func(*users.User), methods ...string) {
		t.Helper()
		now := before
		change(&now)
		u.Replace(directory(t, now, users.User{Name: "b", DNs: []string{"CN=b"}}))
		for _, method := range methods {
			_, found, err := u.Renew(as(method))
			require.True(t, found)
			require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err), method)
		}
	}
	without(func(u *users.User) { u.Disabled = true }, "password", "token", "certificate")
	without(func(u *users.User) { u.Name = "c" }, "password", "token", "certificate")
	without(func(u *users.User) { u.Password = "" }, "password")
	without(func(u *users.User) { u.Token = "" }, "token")
	without(func(u *users.User) { u.DNs = nil }, "certificate")
}
