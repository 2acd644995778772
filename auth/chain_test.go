package auth_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"sync"
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
		Passwords:    []auth.Passwords{u, ldap{"lena": nil, "lars": errors.New("broken"), "lucy": gateway.WrapError(gateway.Unauthenticated, errors.New("wrong, says LDAP"), "User name [lucy] or password is invalid."), "leo": gateway.Errorf(gateway.Unavailable, "the directory cannot be asked now")}},
		Tokens:       []auth.Tokens{u},
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
		c.want.Proof = p.Proof
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
		{gateway.Credentials{CertificateErr: errors.New("it cannot be read")}, null + " it cannot be read", gateway.Unauthenticated},
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
		{Certificate: subject(t, "org", "x", "host1"), CertificateErr: errors.New("revoked")}, {CertificateErr: errors.New("unreadable")},
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
		{Name: "alice", Method: "ldap"}, // the file has that name
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

// Who does not exist costs what a wrong password costs: one computation, not seen by the client either.
func TestAStrangerCostsWhatAWrongPasswordCosts(t *testing.T) {
	stored, err := users.Hash("geheim")
	require.NoError(t, err)
	d, err := users.NewDirectory([]users.User{{Name: "alice", Password: stored}, {Name: "host1", DNs: []string{"CN=host1"}}}, nil)
	require.NoError(t, err)
	u := users.New(users.Config{}, d)
	a := auth.NewChain(auth.ChainConfig{Passwords: []auth.Passwords{u, ldap{}}, Tokens: []auth.Tokens{u}, Certificates: u})
	for i, login := range []string{"alice", "stranger", "host1"} {
		_, err := a.Authenticate(t.Context(), gateway.Login{Credentials: gateway.Credentials{Login: login, Passcode: "guess"}, Remote: "192.0.2.1:5"})
		require.Equal(t, "User name ["+login+"] or password is invalid.", gateway.TextOf(err))
		require.EqualValues(t, i+1, u.Stats().Computed)
	}
}

// A farm that comes back after a restart: many clients of few users, on few hosts.
func TestAStormAfterARestart(t *testing.T) {
	stored, err := users.Hash("geheim")
	require.NoError(t, err)
	d, err := users.NewDirectory([]users.User{{Name: "alice", Password: stored}, {Name: "bob", Password: stored}}, nil)
	require.NoError(t, err)
	u := users.New(users.Config{}, d)
	a := auth.NewChain(auth.ChainConfig{Passwords: []auth.Passwords{u}})
	var all sync.WaitGroup
	for i := range 2000 {
		all.Go(func() {
			p, err := a.Authenticate(context.Background(), gateway.Login{
				Credentials: gateway.Credentials{Login: []string{"alice", "bob"}[i%2], Passcode: "geheim"},
				Remote:      fmt.Sprintf("192.0.2.%d:%d", i%5, 1000+i),
			})
			require.NoError(t, err)
			require.Equal(t, "password", p.Method)
		})
	}
	all.Wait()
	require.EqualValues(t, 2, u.Stats().Computed)
	require.Equal(t, auth.Stats{Counts: map[auth.Count]uint64{{Shown: "password", Outcome: "accepted"}: 2000}}, a.Stats())
}

func TestWhoIsAskedCanChange(t *testing.T) {
	a := chain(t, func(c *auth.ChainConfig) { c.Brake = auth.BrakeConfig{PerLogin: 1} })
	bad := gateway.Login{Credentials: gateway.Credentials{Login: "alice", Passcode: "x"}, Remote: "192.0.2.1:5"}
	_, err := a.Authenticate(t.Context(), bad)
	require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))

	a.Replace(auth.ChainConfig{Anonymous: true, Passwords: []auth.Passwords{ldap{"alice": nil}}})
	_, err = a.Authenticate(t.Context(), gateway.Login{})
	require.NoError(t, err)
	_, err = a.Renew(gateway.Principal{Name: "robot", Method: "token"})
	require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.Authenticate(gone, bad)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err), "the brake has not forgotten")
	bad.Remote = "192.0.2.2:5"
	p, err := a.Authenticate(gone, bad)
	require.NoError(t, err)
	require.Equal(t, "ldap", p.Method)
}

// changing replaces whom the chain asks while it asks.
type changing struct {
	ldap
	change func()
}

func (c changing) Verify(ctx context.Context, login, passcode string) (gateway.Principal, bool, error) {
	c.change()
	return c.ldap.Verify(ctx, login, passcode)
}

func TestWhoIsAskedChangesDuringALogin(t *testing.T) {
	var a *auth.Chain
	a = auth.NewChain(auth.ChainConfig{Passwords: []auth.Passwords{changing{ldap{"lena": nil}, func() { a.Replace(auth.ChainConfig{}) }}}})
	_, err := a.Authenticate(t.Context(), gateway.Login{Credentials: gateway.Credentials{Login: "lena", Passcode: "x"}})
	require.ErrorIs(t, err, auth.ErrUnknownUser)
}

// Passwords that have the form of a JWT are guesses of one login like others, where nobody accepts JWTs.
func TestGuessesInTheFormOfJWTsAreCounted(t *testing.T) {
	a := chain(t, func(c *auth.ChainConfig) { c.JWTs, c.Brake = nil, auth.BrakeConfig{PerLogin: 2} })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i, kind := range []gateway.ErrorKind{gateway.Unauthenticated, gateway.Unauthenticated, gateway.Unavailable} {
		_, err := a.Authenticate(gone, gateway.Login{Credentials: gateway.Credentials{Login: "alice", Passcode: fmt.Sprint(jwt, i)}, Remote: "192.0.2.1:5"})
		require.Equal(t, kind, gateway.KindOf(err))
	}
}

// FuzzAuthenticate: whatever is shown, a refusal is one line that begins as ActiveMQ's and repeats no secret.
func FuzzAuthenticate(f *testing.F) {
	f.Add("alice", "x", "")
	f.Add("a\nb", "eyJhbGciOiJub25lIn0.a.b", "x")
	f.Fuzz(func(t *testing.T, login, passcode, token string) {
		a := auth.NewChain(auth.ChainConfig{JWTs: issuer{}, Passwords: []auth.Passwords{ldap{}}})
		_, err := a.Authenticate(t.Context(), gateway.Login{Credentials: gateway.Credentials{Login: login, Passcode: passcode, Token: token}})
		require.Error(t, err)
		text := gateway.TextOf(err)
		require.True(t, strings.HasPrefix(text, "User name ["), text)
		require.Contains(t, text, "] or password is invalid.")
		require.False(t, strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }), text)
		for _, secret := range []string{passcode, token} {
			if len(secret) > 60 && !strings.Contains(login, secret) {
				require.NotContains(t, err.Error(), secret)
			}
		}
	})
}

// folding is a directory that takes logins in any case, and has one name for each.
type folding struct{ ldap }

func (f folding) Verify(ctx context.Context, login, passcode string) (gateway.Principal, bool, error) {
	return f.ldap.Verify(ctx, strings.ToLower(login), passcode)
}

func TestAnotherSpellingIsNoWayPastTheFile(t *testing.T) {
	both := folding{ldap{"off": nil, "lena": nil}}
	a := chain(t, func(c *auth.ChainConfig) { c.Passwords[1] = both })
	for login, name := range map[string]string{"lena": "lena", "LENA": "lena", "off": "", "OFF": ""} {
		p, err := a.Authenticate(t.Context(), gateway.Login{Credentials: gateway.Credentials{Login: login, Passcode: "x"}})
		require.Equal(t, name, p.Name)
		require.Equal(t, name == "", err != nil)
		if err != nil {
			require.Equal(t, "User name ["+login+"] or password is invalid.", gateway.TextOf(err))
		}
	}
}

func TestGuessesInManySpellingsAreGuessesOfOneLogin(t *testing.T) {
	a := chain(t, func(c *auth.ChainConfig) { c.Brake = auth.BrakeConfig{PerLogin: 2} })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for login, kind := range map[string]gateway.ErrorKind{"lucy": gateway.Unauthenticated, "Lucy": gateway.Unauthenticated} {
		_, err := a.Authenticate(gone, gateway.Login{Credentials: gateway.Credentials{Login: login, Passcode: "x"}, Remote: "192.0.2.1:5"})
		require.Equal(t, kind, gateway.KindOf(err))
	}
	_, err := a.Authenticate(gone, gateway.Login{Credentials: gateway.Credentials{Login: "LUCY", Passcode: "x"}, Remote: "192.0.2.1:5"})
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
}
