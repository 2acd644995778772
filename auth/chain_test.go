package auth_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/auth/users"
	"github.com/sluice-mq/sluice/gateway"
)

// ldap knows by login; its answer is fixed.
type ldap map[string]error

func (l ldap) Verify(_ context.Context, login, _ string) (gateway.Principal, bool, error) {
	err, found := l[login]
	if !found || err != nil {
		return gateway.Principal{}, found, err
	}
	return gateway.Principal{Name: login, Method: "ldap"}, true, nil
}

func (l ldap) Renew(p gateway.Principal) (gateway.Principal, bool, error) {
	return p, p.Method == "ldap", l[p.Name]
}

// issuer knows one JWT.
type issuer struct{ until time.Time }

const jwt = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"

func (i issuer) VerifyToken(_ context.Context, token string) (gateway.Principal, bool, error) {
	if token != jwt {
		return gateway.Principal{}, true, gateway.WrapError(gateway.Unauthenticated, auth.ErrExpired, "The token of issuer x has expired.")
	}
	return gateway.Principal{Name: "sub", Method: "jwt", Expires: i.until}, true, nil
}

func (issuer) Renew(p gateway.Principal) (gateway.Principal, bool, error) {
	return p, p.Method == "jwt", nil
}

func subject(t *testing.T, names ...string) *x509.Certificate {
	var s pkix.RDNSequence
	for i, oid := range []asn1.ObjectIdentifier{{0, 9, 2342, 19200300, 100, 1, 25}, {2, 5, 4, 11}, {2, 5, 4, 3}} {
		s = append(s, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: names[i]}})
	}
	raw, err := asn1.Marshal(s)
	require.NoError(t, err)
	return &x509.Certificate{RawSubject: raw}
}

var epoch = time.Unix(1_800_000_000, 0)

func chain(t *testing.T, change func(*auth.ChainConfig)) *auth.Chain {
	t.Helper()
	d, err := users.NewDirectory([]users.User{
		{Name: "alice", Password: "geheim", Groups: []string{"ops"}},
		{Name: "robot", Token: "robots-long-opaque-token"},
		{Name: "host1", DNs: []string{"CN=host1,OU=x,DC=org"}},
		{Name: "off", Password: "geheim", Token: "the-token-of-somebody-off", DNs: []string{"CN=off,OU=x,DC=org"}, Disabled: true},
	}, nil)
	require.NoError(t, err)
	u := users.New(users.Config{}, d)
	c := auth.ChainConfig{
		Passwords:    []auth.Passwords{u, ldap{"lena": nil, "lars": errors.New("broken"), "lucy": gateway.Errorf(gateway.Unauthenticated, "wrong, says LDAP"), "leo": gateway.Errorf(gateway.Unavailable, "the directory cannot be asked now")}},
		Tokens:       u,
		JWTs:         issuer{epoch.Add(time.Hour)},
		Certificates: u,
		Now:          func() time.Time { return epoch },
	}
	if change != nil {
		change(&c)
	}
	return auth.NewChain(c)
}

func TestWhatIsShownFirstDecides(t *testing.T) {
	host1, nobody := subject(t, "org", "x", "host1"), subject(t, "org", "x", "nobody")
	untrusted := errors.New("the client certificate CN=host1 has expired")
	for _, c := range []struct {
		why  string
		show gateway.Credentials
		want gateway.Principal
	}{
		{"password", gateway.Credentials{Login: "alice", Passcode: "geheim"}, gateway.Principal{Name: "alice", Groups: []string{"ops"}, Method: "password"}},
		{"password of LDAP", gateway.Credentials{Login: "lena", Passcode: "x"}, gateway.Principal{Name: "lena", Method: "ldap"}},
		{"opaque bearer", gateway.Credentials{Token: "robots-long-opaque-token"}, gateway.Principal{Name: "robot", Method: "token"}},
		{"opaque passcode, with login", gateway.Credentials{Login: "robot", Passcode: "robots-long-opaque-token"}, gateway.Principal{Name: "robot", Method: "token"}},
		{"opaque passcode, without", gateway.Credentials{Passcode: "robots-long-opaque-token"}, gateway.Principal{Name: "robot", Method: "token"}},
		{"JWT as bearer", gateway.Credentials{Token: jwt}, gateway.Principal{Name: "sub", Method: "jwt", Expires: epoch.Add(time.Hour)}},
		{"JWT as passcode", gateway.Credentials{Login: "oauth2", Passcode: jwt}, gateway.Principal{Name: "sub", Method: "jwt", Expires: epoch.Add(time.Hour)}},
		{"certificate", gateway.Credentials{Certificate: host1}, gateway.Principal{Name: "host1", DN: "CN=host1, OU=x, DC=org", Method: "certificate"}},
		{"certificate beside a bare login", gateway.Credentials{Login: "whoever", Certificate: host1}, gateway.Principal{Name: "host1", DN: "CN=host1, OU=x, DC=org", Method: "certificate"}},
		{"password before certificate", gateway.Credentials{Login: "alice", Passcode: "geheim", Certificate: nobody}, gateway.Principal{Name: "alice", DN: "CN=nobody, OU=x, DC=org", Groups: []string{"ops"}, Method: "password"}},
		{"password before a bad certificate", gateway.Credentials{Login: "alice", Passcode: "geheim", Certificate: host1, CertificateErr: untrusted}, gateway.Principal{Name: "alice", Groups: []string{"ops"}, Method: "password"}},
		{"bearer before password", gateway.Credentials{Token: "robots-long-opaque-token", Login: "alice", Passcode: "wrong"}, gateway.Principal{Name: "robot", Method: "token"}},
	} {
		p, err := chain(t, nil).Authenticate(t.Context(), gateway.Login{Credentials: c.show, Remote: "192.0.2.1:5"})
		require.NoError(t, err, c.why)
		require.Equal(t, c.want, p, c.why)
	}
}

func TestRefusalsInActiveMQsWords(t *testing.T) {
	host1 := subject(t, "org", "x", "host1")
	const wrong = "User name [alice] or password is invalid."
	const null = "User name [null] or password is invalid."
	for _, c := range []struct {
		show gateway.Credentials
		text string
		kind gateway.ErrorKind
	}{
		{gateway.Credentials{Login: "alice", Passcode: "x"}, wrong, gateway.Unauthenticated},
		{gateway.Credentials{Login: "alice"}, wrong, gateway.Unauthenticated},
		{gateway.Credentials{Login: "alice", Passcode: "robots-long-opaque-token"}, wrong, gateway.Unauthenticated},
		{gateway.Credentials{Login: "off", Passcode: "geheim"}, "User name [off] or password is invalid.", gateway.Unauthenticated},
		{gateway.Credentials{Login: "ghost", Passcode: "geheim"}, "User name [ghost] or password is invalid.", gateway.Unauthenticated},
		{gateway.Credentials{Login: "lucy", Passcode: "x"}, "User name [lucy] or password is invalid.", gateway.Unauthenticated},
		{gateway.Credentials{Login: "leo", Passcode: "x"}, "the directory cannot be asked now", gateway.Unavailable},
		{gateway.Credentials{Login: "lars", Passcode: "x"}, "internal error", gateway.Internal},
		{gateway.Credentials{}, null, gateway.Unauthenticated},
		{gateway.Credentials{Passcode: "guess"}, null, gateway.Unauthenticated},
		{gateway.Credentials{Token: "guess"}, null, gateway.Unauthenticated},
		{gateway.Credentials{Token: "the-token-of-somebody-off"}, null, gateway.Unauthenticated},
		{gateway.Credentials{Login: "alice", Token: "guess", Passcode: "geheim", Certificate: host1}, wrong, gateway.Unauthenticated},
		{gateway.Credentials{Token: "eyJhbGciOiJub25lIn0.a.b"}, null + " The token of issuer x has expired.", gateway.Unauthenticated},
		{gateway.Credentials{Login: "alice", Passcode: "eyJhbGciOiJub25lIn0.a.b"}, wrong + " The token of issuer x has expired.", gateway.Unauthenticated},
		{gateway.Credentials{Login: "alice", Passcode: "guessed", Certificate: host1}, wrong, gateway.Unauthenticated},
		{gateway.Credentials{Certificate: subject(t, "org", "Hosts", "nobody")}, null + " No user for client certificate: CN=nobody, OU=Hosts, DC=org", gateway.Unauthenticated},
		{gateway.Credentials{Certificate: subject(t, "org", "x", "off")}, null, gateway.Unauthenticated},
		{gateway.Credentials{Login: "alice", Certificate: host1, CertificateErr: errors.New("the client certificate\nhas expired")}, null + " the client certificate?has expired", gateway.Unauthenticated},
		{gateway.Credentials{Certificate: host1, CertificateErr: gateway.WrapError(gateway.Unauthenticated, errors.New("inner"), "it is revoked")}, null + " it is revoked", gateway.Unauthenticated},
		{gateway.Credentials{Login: "a\r\nb:c", Passcode: "x"}, "User name [a??b:c] or password is invalid.", gateway.Unauthenticated},
		{gateway.Credentials{Login: "a\xff", Passcode: "x"}, "User name [a?] or password is invalid.", gateway.Unauthenticated},
		{gateway.Credentials{Login: strings.Repeat("ü", 200), Passcode: "x"}, "User name [" + strings.Repeat("ü", 128) + "...] or password is invalid.", gateway.Unauthenticated},
	} {
		p, err := chain(t, nil).Authenticate(t.Context(), gateway.Login{Credentials: c.show, Remote: "192.0.2.1:5"})
		require.Zero(t, p)
		require.Equal(t, c.kind, gateway.KindOf(err), "%v", c.show)
		require.Equal(t, c.text, gateway.TextOf(err))
		for _, secret := range []string{c.show.Passcode, c.show.Token} {
			if len(secret) > 1 {
				require.NotContains(t, err.Error(), secret, "a log must not hold it")
			}
		}
	}
}

func TestTheLogReadsWhy(t *testing.T) {
	for login, text := range map[string]string{
		"alice": "User name [alice] or password is invalid.: the password is wrong",
		"ghost": "User name [ghost] or password is invalid.: there is no such user",
		"lucy":  "User name [lucy] or password is invalid.: wrong, says LDAP",
	} {
		_, err := chain(t, nil).Authenticate(t.Context(), gateway.Login{Credentials: gateway.Credentials{Login: login, Passcode: "guess"}})
		require.EqualError(t, err, text)
	}
}

func TestAnonymousClientsMustHaveShownNothing(t *testing.T) {
	a := chain(t, func(c *auth.ChainConfig) { c.Anonymous = true })
	p, err := a.Authenticate(t.Context(), gateway.Login{})
	require.NoError(t, err)
	require.Equal(t, gateway.Principal{}, p)
	for _, c := range []gateway.Credentials{
		{Login: "guest"}, {Passcode: "x"}, {Token: "x"}, {Login: "alice", Passcode: "x"}, {Certificate: subject(t, "org", "x", "nobody")},
		{Certificate: subject(t, "org", "x", "host1"), CertificateErr: errors.New("revoked")},
	} {
		_, err := a.Authenticate(t.Context(), gateway.Login{Credentials: c})
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
	}
}

func TestNobodyIsAskedMeansNobodyGetsIn(t *testing.T) {
	a := auth.NewChain(auth.ChainConfig{})
	for _, c := range []gateway.Credentials{
		{}, {Login: "alice", Passcode: "geheim"}, {Token: "x"}, {Token: jwt}, {Passcode: jwt}, {Certificate: subject(t, "org", "x", "host1")},
	} {
		_, err := a.Authenticate(t.Context(), gateway.Login{Credentials: c})
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
		_, err = a.Renew(gateway.Principal{Name: "alice", Method: "password"})
		require.Equal(t, "User name [alice] or password is invalid.", gateway.TextOf(err))
	}
}

// An issuer whose token is over when it comes, or that names nobody, lets nobody in.
func TestAProofThatIsWorthNothing(t *testing.T) {
	late := chain(t, func(c *auth.ChainConfig) { c.JWTs = issuer{epoch} })
	_, err := late.Authenticate(t.Context(), gateway.Login{Credentials: gateway.Credentials{Token: jwt}})
	require.ErrorIs(t, err, auth.ErrExpired)

	nameless := chain(t, func(c *auth.ChainConfig) { c.Passwords = []auth.Passwords{ldapOfNobody{}} })
	_, err = nameless.Authenticate(t.Context(), gateway.Login{Credentials: gateway.Credentials{Login: "x", Passcode: "x"}})
	require.Equal(t, gateway.Internal, gateway.KindOf(err))
}

type ldapOfNobody struct{}

func (ldapOfNobody) Verify(context.Context, string, string) (gateway.Principal, bool, error) {
	return gateway.Principal{}, true, nil
}

func TestGuessingThroughTheChain(t *testing.T) {
	a := chain(t, func(c *auth.ChainConfig) { c.Brake = auth.BrakeConfig{PerLogin: 2} })
	try := func(remote string, c gateway.Credentials) error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // so whoever is delayed gives up at once; nobody else waits here
		_, err := a.Authenticate(ctx, gateway.Login{Credentials: c, Remote: remote})
		return err
	}
	good, bad := gateway.Credentials{Login: "alice", Passcode: "geheim"}, gateway.Credentials{Login: "alice", Passcode: "x"}
	require.Equal(t, gateway.Unauthenticated, gateway.KindOf(try("192.0.2.1:1", bad)))
	require.NoError(t, try("192.0.2.1:2", good), "forgives")
	for range 2 {
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(try("192.0.2.1:3", bad)))
	}
	require.Equal(t, gateway.Unavailable, gateway.KindOf(try("192.0.2.1:4", good)), "it is delayed")
	require.NoError(t, try("192.0.2.2:1", good), "elsewhere")
	require.NoError(t, try("192.0.2.1:5", gateway.Credentials{Certificate: subject(t, "org", "x", "host1")}), "nobody can guess a certificate")
	require.NoError(t, try("192.0.2.1:6", gateway.Credentials{Token: "robots-long-opaque-token"}))
	for range 5 {
		require.Equal(t, gateway.Unavailable, gateway.KindOf(try("192.0.2.3:1", gateway.Credentials{Login: "leo", Passcode: "x"})))
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(try("192.0.2.3:1", gateway.Credentials{Login: "leo"})))
	}
	require.Equal(t, auth.Stats{Braked: 2, Counts: map[auth.Count]uint64{
		{Shown: "password", Outcome: "accepted"}:       2,
		{Shown: "password", Outcome: "wrong password"}: 3,
		{Shown: "password", Outcome: "unavailable"}:    6,
		{Shown: "password", Outcome: "other"}:          5,
		{Shown: "certificate", Outcome: "accepted"}:    1,
		{Shown: "token", Outcome: "accepted"}:          1,
	}}, a.Stats())
}

func TestRenewAsksWhoKnows(t *testing.T) {
	a := chain(t, nil)
	for _, p := range []gateway.Principal{
		{Name: "alice", Groups: []string{"ops"}, Method: "password"},
		{Name: "robot", Method: "token"},
		{Name: "host1", Method: "certificate", DN: "CN=host1, OU=x, DC=org"},
		{Name: "lena", Method: "ldap"},
		{Name: "sub", Method: "jwt", Expires: epoch.Add(time.Second)},
	} {
		again, err := a.Renew(p)
		require.NoError(t, err)
		require.Equal(t, p, again)
	}
	for _, p := range []gateway.Principal{
		{}, {Name: "off", Method: "password"}, {Name: "ghost", Method: "password"}, {Name: "lucy", Method: "ldap"},
		{Name: "sub", Method: "jwt", Expires: epoch}, {Name: "alice", Method: ""}, {Name: "alice", Method: "magic"},
	} {
		again, err := a.Renew(p)
		require.Zero(t, again)
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err), "%v", p)
	}
	open := chain(t, func(c *auth.ChainConfig) { c.Anonymous = true })
	p, err := open.Renew(gateway.Principal{})
	require.NoError(t, err)
	require.Zero(t, p)
}
