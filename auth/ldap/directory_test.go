package ldap_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/auth/ldap"
	"github.com/sluice-mq/sluice/auth/pki/pkitest"
	"github.com/sluice-mq/sluice/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is one that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// searching is a configuration that looks for people on some servers.
func searching(servers ...*server) ldap.Config {
	c := ldap.Config{
		BindDN: "cn=finder,dc=x", BindPassword: "finderpass", UserBase: "ou=people,dc=x", GroupBase: "ou=groups,dc=x", Timeout: 10 * time.Second,
	}
	for _, s := range servers {
		c.URLs = append(c.URLs, "ldap://"+s.address)
	}
	return c
}

func open(t *testing.T, c ldap.Config) *ldap.Directory {
	d, err := ldap.New(c)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

func is(t *testing.T, d *ldap.Directory, login, passcode, name string, groups ...string) {
	t.Helper()
	p, found, err := d.Verify(t.Context(), login, passcode)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, gateway.Principal{Name: name, Groups: groups, Method: "ldap"}, p)
}

func refuses(t *testing.T, d *ldap.Directory, login, passcode string) {
	t.Helper()
	p, found, err := d.Verify(t.Context(), login, passcode)
	require.True(t, found)
	require.Zero(t, p)
	require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err), err)
	require.Equal(t, "User name ["+login+"] or password is invalid.", gateway.TextOf(err))
	require.ErrorIs(t, err, auth.ErrWrongPassword)
	if passcode != "" {
		require.NotContains(t, err.Error(), passcode)
	}
}

func knowsNot(t *testing.T, d *ldap.Directory, login, passcode string) {
	t.Helper()
	p, found, err := d.Verify(t.Context(), login, passcode)
	require.NoError(t, err)
	require.False(t, found)
	require.Zero(t, p)
}

func unavailable(t *testing.T, d *ldap.Directory, login, passcode string) error {
	t.Helper()
	_, found, err := d.Verify(t.Context(), login, passcode)
	require.True(t, found, "nobody else is to be asked instead")
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err), err)
	require.Equal(t, "the directory cannot be asked now", gateway.TextOf(err))
	return err
}

func TestAPasscodeIsProvenByABindAndGroupsAreFound(t *testing.T) {
	s := newServer(t, func(s *server) { s.members = true })
	d := open(t, searching(s))
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	require.Equal(t, []string{
		"bind cn=finder,dc=x", "search ou=people,dc=x (uid=alice) as cn=finder,dc=x", "bind uid=alice,ou=people,dc=x", "bind cn=finder,dc=x",
		"search ou=groups,dc=x (|(member=uid=alice,ou=people,dc=x)(uniqueMember=uid=alice,ou=people,dc=x)(memberUid=alice)) as cn=finder,dc=x",
	}, s.asked())
	is(t, d, "eve", "apple", "eve", "secret")
	refuses(t, d, "alice", "mistake")
	refuses(t, d, "disabled", "anything")
	knowsNot(t, d, "stranger", "secret")
	require.Equal(t, 1, s.connections())
}

func TestAnEmptyPasscodeIsNeverShownToAServer(t *testing.T) {
	s := newServer(t, nil)
	for _, c := range []ldap.Config{searching(s), template(s)} {
		d := open(t, c)
		refuses(t, d, "alice", "")
		is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
		s.asked()
		refuses(t, d, "alice", "")
		require.Empty(t, s.asked())
	}
}

// template is a configuration that knows where people are.
func template(s *server) ldap.Config {
	return ldap.Config{
		URLs: []string{"ldap://" + s.address}, UserDN: "uid=%s,ou=people,dc=x", GroupBase: "ou=groups,dc=x", Timeout: 10 * time.Second,
	}
}

func TestPeopleMayBeWhereATemplateSays(t *testing.T) {
	s := newServer(t, func(s *server) { s.members = true })
	d := open(t, template(s))
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	require.Equal(t, []string{
		"bind uid=alice,ou=people,dc=x", "search uid=alice,ou=people,dc=x (objectClass=*) as uid=alice,ou=people,dc=x",
		"search ou=groups,dc=x (|(member=uid=alice,ou=people,dc=x)(uniqueMember=uid=alice,ou=people,dc=x)(memberUid=alice)) as uid=alice,ou=people,dc=x",
	}, s.asked())
	refuses(t, d, "alice", "mistake")
	refuses(t, d, "stranger", "secret")
	is(t, d, "a,b+c", "secret", "a,b+c")
	refuses(t, d, "alice,ou=elsewhere", "other")
	refuses(t, d, "x,ou=people,dc=x", "secret")
}

func TestALoginInAnotherSpellingGetsTheNameOfTheEntry(t *testing.T) {
	s := newServer(t, nil)
	for _, c := range []ldap.Config{searching(s), template(s)} {
		d := open(t, c)
		is(t, d, "ALICE", "secret", "alice", "dev", "developers", "ops")
		is(t, d, "bob", "hunter2", "Bob", "ops")
		is(t, d, "bOb", "hunter2", "Bob", "ops")
	}
	c := searching(s)
	c.UserFilter = "(|(uid=%s)(mail=%s))"
	d := open(t, c)
	is(t, d, "alice@EXAMPLE.org", "secret", "alice", "dev", "developers", "ops")
	err := unavailable(t, d, "nameless", "secret")
	require.ErrorContains(t, err, "says by no usable uid what the user is called")
	c.UserFilter = "(mail=%s)"
	is(t, open(t, c), "NAMELESS", "secret", "nameless")
}

func TestWhatALoginHoldsIsNoFilter(t *testing.T) {
	s := newServer(t, nil)
	d := open(t, searching(s))
	for _, login := range []string{"*", "a*", "alice)(uid=*", "alice)(|(uid=*)", `\61lice`, "(", ")", "\\", "alice\\2a"} {
		knowsNot(t, d, login, "secret")
	}
	is(t, d, "x*)(uid=y", "secret", "x*)(uid=y")
	s.asked()
	for _, login := range []string{"", "a\x00b", "a\nb", "a\xff", strings.Repeat("a", 257)} {
		knowsNot(t, d, login, "secret")
		knowsNot(t, d, login, "")
	}
	knowsNot(t, d, "alice", strings.Repeat("x", 4097))
	require.Empty(t, s.asked(), "no server hears of such")
}

func TestALoginThatMeansTwoIsRefused(t *testing.T) {
	s := newServer(t, nil)
	d := open(t, searching(s))
	refuses(t, d, "twin", "secret")
	s.with(func() { s.limit = 1 })
	refuses(t, d, "twin", "secret")
	for _, q := range s.asked() {
		require.NotContains(t, q, "bind uid=twin")
	}
}

func TestNobodyIsSearchedForWithThePowersOfSomebodyElse(t *testing.T) {
	s := newServer(t, nil)
	c := searching(s)
	c.BindDN, c.BindPassword = "", ""
	d := open(t, c)
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	is(t, d, "bob", "hunter2", "Bob", "ops")
	require.Equal(t, 1, s.connections())
	for _, q := range s.asked() {
		require.False(t, strings.HasPrefix(q, "search ou=people") && !strings.HasSuffix(q, " as "), q)
	}
}

func TestEntriesAndGroupsAreRememberedButThePasscodeIsProvenEachTime(t *testing.T) {
	s := newServer(t, nil)
	k := &clock{now: time.Now()}
	c := searching(s)
	c.Now = k.time
	d := open(t, c)
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	s.asked()
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	require.Equal(t, []string{"bind uid=alice,ou=people,dc=x"}, s.asked())
	refuses(t, d, "alice", "mistake")
	require.Equal(t, 1, count(s.asked(), "bind uid=alice,ou=people,dc=x"), "servers count wrong passcodes, so one stays one")

	s.with(func() { s.entries["cn=ops,ou=groups,dc=x"]["member"] = nil })
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	k.pass(time.Minute)
	is(t, d, "alice", "secret", "alice", "dev", "developers")

	// the entry moves
	s.with(func() {
		s.entries["uid=alice,ou=new,ou=people,dc=x"] = s.entries["uid=alice,ou=people,dc=x"]
		delete(s.entries, "uid=alice,ou=people,dc=x")
	})
	is(t, d, "alice", "secret", "alice", "dev", "developers")
	s.with(func() { delete(s.entries, "uid=alice,ou=new,ou=people,dc=x") })
	knowsNot(t, d, "alice", "secret")
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

func TestRenewTellsWhatWasFoundLast(t *testing.T) {
	s := newServer(t, nil)
	c := searching(s)
	c.Remember = -1
	d := open(t, c)
	is(t, d, "ALICE", "secret", "alice", "dev", "developers", "ops")
	old := gateway.Principal{Name: "alice", Groups: []string{"dev", "developers", "ops"}, Method: "ldap"}
	s.with(func() { s.entries["cn=ops,ou=groups,dc=x"]["member"] = nil })
	is(t, d, "alice", "secret", "alice", "dev", "developers")
	s.asked()
	now, found, err := d.Renew(old)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, gateway.Principal{Name: "alice", Groups: []string{"dev", "developers"}, Method: "ldap"}, now)

	_, found, err = d.Renew(gateway.Principal{Name: "alice", Method: "password"})
	require.NoError(t, err)
	require.False(t, found)
	stranger := gateway.Principal{Name: "of another node", Groups: []string{"g"}, Method: "ldap"}
	now, found, err = d.Renew(stranger)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, stranger, now)
	require.Empty(t, s.asked())

	s.with(func() { delete(s.entries, "uid=alice,ou=people,dc=x") })
	knowsNot(t, d, "ALICE", "secret") // another spelling proves nothing about alice
	_, _, err = d.Renew(old)
	require.NoError(t, err)
	knowsNot(t, d, "alice", "secret")
	_, found, err = d.Renew(old)
	require.True(t, found)
	require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
}

func TestTheNextServerIsAskedIfOneDoesNotAnswer(t *testing.T) {
	a, b := newServer(t, nil), newServer(t, nil)
	var log bytes.Buffer
	c := searching(a, b)
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	c.Remember = -1
	d := open(t, c)
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	require.Empty(t, b.asked())
	a.close()
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	require.NotEmpty(t, b.asked())
	require.Contains(t, log.String(), "a directory server does not answer")
	require.Contains(t, log.String(), a.address)
	log.Reset()
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	refuses(t, d, "alice", "mistake")
	require.Empty(t, log.String(), "who answers is asked first from now on")
	b.close()
	err := unavailable(t, d, "alice", "secret")
	require.NotContains(t, err.Error(), "secret")
	require.NotContains(t, log.String(), "finderpass")
}

func TestAServerThatIsBusyIsOneThatDoesNotAnswer(t *testing.T) {
	a, b := newServer(t, nil), newServer(t, nil)
	d := open(t, searching(a, b))
	for _, code := range []uint16{goldap.LDAPResultBusy, goldap.LDAPResultUnavailable} {
		a.with(func() { a.answer = func(string) (uint16, bool) { return code, true } })
		is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	}
	one := open(t, searching(a))
	unavailable(t, one, "alice", "secret")
}

func TestWhatIsNobodysPasscodeIsNotBlamedOnIt(t *testing.T) {
	s := newServer(t, nil)
	c := searching(s)
	c.BindPassword = "not the right one"
	err := unavailable(t, open(t, c), "alice", "secret")
	require.ErrorContains(t, err, "bind as cn=finder,dc=x")
	require.NotContains(t, err.Error(), "not the right one")
	for _, code := range []uint16{goldap.LDAPResultStrongAuthRequired, goldap.LDAPResultConfidentialityRequired, goldap.LDAPResultOperationsError, goldap.LDAPResultReferral} {
		d := open(t, searching(s))
		s.with(func() {
			s.answer = func(what string) (uint16, bool) { return code, what == "bind uid=alice,ou=people,dc=x" }
		})
		unavailable(t, d, "alice", "secret")
	}
	for _, code := range []uint16{goldap.LDAPResultUnwillingToPerform, goldap.LDAPResultConstraintViolation} { // locked, expired
		d := open(t, searching(s))
		s.with(func() {
			s.answer = func(what string) (uint16, bool) { return code, what == "bind uid=alice,ou=people,dc=x" }
		})
		refuses(t, d, "alice", "secret")
	}
}

func TestGroupsThatCannotAllBeSeenAreNoGroups(t *testing.T) {
	s := newServer(t, func(s *server) {
		for i := range 600 {
			s.entries[fmt.Sprintf("cn=g%d,ou=groups,dc=x", i)] = entry{"cn": {fmt.Sprintf("g%d", i)}, "memberuid": {"alice"}}
		}
	})
	err := unavailable(t, open(t, searching(s)), "alice", "secret")
	require.ErrorContains(t, err, "look for groups")
}

func TestAServerThatHangsCostsNoMoreThanTheTimeout(t *testing.T) {
	a, b := newServer(t, func(s *server) { s.hang = make(chan struct{}) }), newServer(t, nil)
	c := searching(a, b)
	c.Timeout = 200 * time.Millisecond
	start := time.Now()
	d := open(t, c)
	p, found, err := d.Verify(t.Context(), "alice", "secret")
	if gateway.KindOf(err) != gateway.Unavailable { // b may be slow where the tests run
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, "alice", p.Name)
	}
	require.Less(t, time.Since(start), 20*time.Second)

	c = searching(a)
	c.PoolSize = 1
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, found, err = open(t, c).Verify(ctx, "alice", "secret")
	require.True(t, found)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
	require.Less(t, time.Since(start), 30*time.Second)
}

func TestAServerThatNeverStopsTalkingIsCut(t *testing.T) {
	s := newServer(t, func(s *server) {
		s.babble = true
		s.entries["uid=alice,ou=people,dc=x"]["uid"] = []string{"alice", strings.Repeat("x", 100_000)}
	})
	c := searching(s)
	c.Timeout = time.Minute
	err := unavailable(t, open(t, c), "alice", "secret")
	require.ErrorContains(t, err, "says more than 2097152 bytes")
}

func TestConnectionsThatTheServerCutAreReplaced(t *testing.T) {
	s := newServer(t, nil)
	k := &clock{now: time.Now()}
	c := searching(s)
	c.Now = k.time
	d := open(t, c)
	for range 3 {
		is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
		s.cut()
	}
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	require.Equal(t, 1, s.connections())
	k.pass(time.Hour)
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	require.Equal(t, 2, s.connections(), "what was not used for long is not trusted")
	d.Close()
	unavailable(t, d, "alice", "secret")
}

func TestManyAtOnceShareThePool(t *testing.T) {
	s := newServer(t, nil)
	c := searching(s)
	c.PoolSize = 3
	d := open(t, c)
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			p, found, err := d.Verify(t.Context(), []string{"alice", "bob"}[i%2], []string{"secret", "hunter2"}[i%2])
			if err != nil || !found || p.Name != []string{"alice", "Bob"}[i%2] {
				t.Error(i, p, found, err)
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, s.connections(), 3)
}

func TestTLSFromTheStartAndLater(t *testing.T) {
	ca, err := pkitest.NewRoot(pkitest.Slash("/CN=Directory CA"))
	require.NoError(t, err)
	pair, err := ca.Issue(pkitest.Slash("/CN=localhost"), pkitest.DNSNames("localhost"))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, ca.CertificatePEM(), 0o600))
	secure := &tls.Config{Certificates: []tls.Certificate{pair.TLS()}}
	for _, ldaps := range []bool{true, false} {
		s := newServer(t, func(s *server) { s.secure, s.ldaps = secure, ldaps })
		port := s.address[strings.LastIndex(s.address, ":"):]
		c := searching(s)
		c.StartTLS, c.CA = !ldaps, file
		c.URLs = []string{map[bool]string{true: "ldaps", false: "ldap"}[ldaps] + "://localhost" + port}
		is(t, open(t, c), "alice", "secret", "alice", "dev", "developers", "ops")
		require.Equal(t, !ldaps, s.asked()[0] == "starttls")

		c.CA = "" // nobody the system trusts
		unavailable(t, open(t, c), "alice", "secret")
		c.CA, c.URLs[0] = file, strings.Replace(c.URLs[0], "localhost", "127.0.0.1", 1) // not the name in the certificate
		unavailable(t, open(t, c), "alice", "secret")
	}
	s := newServer(t, func(s *server) {
		s.answer = func(what string) (uint16, bool) { return goldap.LDAPResultProtocolError, what == "starttls" }
	})
	c := searching(s)
	c.StartTLS, c.CA = true, file
	unavailable(t, open(t, c), "alice", "secret")
	require.Equal(t, []string{"starttls"}, s.asked(), "no passcode goes to who refuses TLS")
}

func TestConfigurationsThatMakeNoSenseAreRefusedInWords(t *testing.T) {
	good := ldap.Config{URLs: []string{"ldaps://ldap.example.org"}, UserBase: "ou=people,dc=x"}
	open(t, good)
	for text, change := range map[string]func(*ldap.Config){
		"an address is needed":                     func(c *ldap.Config) { c.URLs = nil },
		"either user_dn or user_base":              func(c *ldap.Config) { c.UserBase = "" },
		"ldap: either user_dn or user_base":        func(c *ldap.Config) { c.UserDN = "uid=%s" },
		"user_dn needs %s once":                    func(c *ldap.Config) { c.UserBase, c.UserDN = "", "uid=%s,cn=%s" },
		"user_filter needs %s":                     func(c *ldap.Config) { c.UserFilter = "(uid=alice)" },
		"user_filter (uid=%s:":                     func(c *ldap.Config) { c.UserFilter = "(uid=%s" },
		"group_filter member=%s":                   func(c *ldap.Config) { c.GroupFilter = "member=%s" },
		"bind_dn and bind_password":                func(c *ldap.Config) { c.BindDN = "cn=x" },
		`the name "people"`:                        func(c *ldap.Config) { c.UserBase = "people" },
		"begins with ldap:// or ldaps://":          func(c *ldap.Config) { c.URLs = []string{"http://ldap.example.org"} },
		"has to look like":                         func(c *ldap.Config) { c.URLs = []string{"ldaps://ldap.example.org/ou=x"} },
		"passcodes would go over the network":      func(c *ldap.Config) { c.URLs = []string{"ldap://ldap.example.org"} },
		"ldap: ldap://10.1.2.3: passcodes would":   func(c *ldap.Config) { c.URLs = []string{"ldaps://a", "ldap://10.1.2.3"} },
		"ldap: ca: open /nowhere: no such file":    func(c *ldap.Config) { c.CA = "/nowhere" },
		"there is no certificate in /etc/hostname": func(c *ldap.Config) { c.CA = "/etc/hostname" },
	} {
		c := good
		change(&c)
		_, err := ldap.New(c)
		require.ErrorContains(t, err, text)
	}
	_, err := ldap.New(ldap.Config{URLs: []string{"ldap://user:topsecret@h"}, UserBase: "dc=x"})
	require.ErrorContains(t, err, "without a password")
	require.NotContains(t, err.Error(), "topsecret")
	for _, url := range []string{"ldap://127.0.0.1", "ldap://[::1]:1389", "ldap://localhost/"} {
		good.URLs = []string{url}
		open(t, good)
	}
	good.URLs, good.Insecure = []string{"ldap://ldap.example.org"}, true
	open(t, good)
	good.Insecure, good.StartTLS = false, true
	open(t, good)
}

// Who is nobody there is refused after the time that somebody's passcode takes, and a passcode of theirs is shown to no entry.
func TestAStrangerTakesAsLongAsSomebody(t *testing.T) {
	const takes = 60 * time.Millisecond
	s := newServer(t, func(s *server) {
		s.answer = func(what string) (uint16, bool) {
			if strings.HasPrefix(what, "bind uid=alice,") {
				time.Sleep(takes) // what a server does with the passcode of an entry
			}
			return 0, false
		}
	})
	c := searching(s)
	c.Remember = -1
	d := open(t, c)
	is(t, d, "alice", "secret", "alice", "dev", "developers", "ops")
	for _, login := range []string{"nobody", "alice"} {
		begun := time.Now()
		_, _, err := d.Verify(t.Context(), login, "wrong")
		require.GreaterOrEqual(t, time.Since(begun), takes, login)
		require.Equal(t, login == "alice", err != nil)
	}
	decoys := 0
	for _, asked := range s.asked() {
		if strings.HasPrefix(asked, "bind cn=") && strings.HasSuffix(asked, ",ou=people,dc=x") {
			decoys++
		}
	}
	require.Equal(t, 1, decoys)
}
