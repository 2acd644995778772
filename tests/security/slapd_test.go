package security

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/ldap"
	"github.com/sluice-mq/sluice/tests/node"
	"github.com/sluice-mq/sluice/tests/ports"
)

const (
	slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/slapd.pid
disallow bind_anon
database mdb
suffix "dc=example,dc=org"
directory %[1]s
maxsize 10485760
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to * by dn.base="cn=sluice,dc=example,dc=org" read by self read by * none
`
	// The password of clara is clara-right; to compare it takes some ten milliseconds, so that it can be seen.
	slapdPeople = `dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=sluice,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: sluice
userPassword: service-right

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: uid=clara,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
cn: Clara
sn: C
uid: clara
userPassword: {CRYPT}$6$rounds=50000$slapdtestsalt$%s

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: cn=team,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: team
member: uid=clara,ou=people,dc=example,dc=org
`
	claraHash = "t6dlszSso4uh0WO/RX/SKJJlfG5C/PyyEuT.Bsj/OJ3NOXRZ.GtODVzCIdVSHrt747WhISyY9n0dn/gudeo4B/"
)

// startSlapd runs OpenLDAP's server and returns its URL.
func startSlapd(t testing.TB) string {
	t.Helper()
	const slapd, slapadd = "/usr/sbin/slapd", "/usr/sbin/slapadd"
	node.Needs(t, "slapd", slapd, "-VV")
	dir := t.TempDir()
	conf, people := filepath.Join(dir, "slapd.conf"), filepath.Join(dir, "people.ldif")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, slapdConf, dir), 0o600))
	require.NoError(t, os.WriteFile(people, fmt.Appendf(nil, slapdPeople, claraHash), 0o600))
	out, err := exec.Command(slapadd, "-f", conf, "-l", people).CombinedOutput()
	require.NoError(t, err, "%s", out)
	at := ports.Of(t, 1).Addresses()[0] // it has no way to say which port it took
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, slapd, "-d", "0", "-h", "ldap://"+at+"/", "-f", conf)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	eventually(t, func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, "slapd listens")
	return "ldap://" + at
}

// Sluice and the directory that most sites have understand each other.
func TestPeopleOfSlapd(t *testing.T) {
	url := startSlapd(t)
	p := newPlace(t)
	p.run(t, listeners+lines("auth:")+
		lines("  ldap: {urls: [%q], bind_dn: \"cn=sluice,dc=example,dc=org\", bind_password: service-right, user_base: %q, group_base: %q, insecure: true}", url, peopleBase, groupsBase)+
		lines(`  acl: [{groups: [team], allow: [all], on: ["/queue/team.>"]}]`))
	d := doors()[0]
	v, told := d.enter(t, p, d, shown{login: "clara", passcode: "clara-right"})
	require.Empty(t, told)
	v.use(t, "/queue/team.x")
	read, write := v.trespass(t, "/queue/other")
	requireWords(t, "User clara is not authorized to read from: queue://other", read)
	requireWords(t, "User clara is not authorized to write to: queue://other", write)
	for _, s := range []shown{
		{login: "clara", passcode: "clara-wrong"}, {login: "nobody", passcode: "clara-right"}, {login: "*", passcode: "clara-right"}, {login: "clara)(uid=*", passcode: "clara-right"},
	} {
		_, told := d.enter(t, p, d, s)
		require.Equal(t, refusal(s.login), told)
	}
}

// Nobody can find out by a clock whom the directory knows.
func TestAStrangerTakesAsLongAsSomebodyOfSlapd(t *testing.T) {
	for name, change := range map[string]func(*ldap.Config){
		"looked for": func(c *ldap.Config) {
			c.BindDN, c.BindPassword, c.UserBase = "cn=sluice,dc=example,dc=org", "service-right", peopleBase
		},
		"by name": func(c *ldap.Config) { c.UserDN = "uid=%s," + peopleBase },
	} {
		t.Run(name, func(t *testing.T) {
			c := ldap.Config{URLs: []string{startSlapd(t)}, Remember: -1, Timeout: soon}
			change(&c)
			d, err := ldap.New(c)
			require.NoError(t, err)
			defer d.Close()
			// The machine has other work: the shortest of several is compared.
			shortest := func(login, passcode string, found bool) time.Duration {
				least := soon
				for range 5 {
					begun := time.Now()
					p, _, err := d.Verify(t.Context(), login, passcode)
					least = min(least, time.Since(begun))
					require.Equal(t, found, p.Name != "", "%v", err)
				}
				return least
			}
			right := shortest("clara", "clara-right", true)
			wrong, stranger := shortest("clara", "clara-wrong", false), shortest("nobody", "clara-right", false)
			t.Logf("FIGURE a password that is right takes %v, a wrong one %v, and that of a stranger %v", right, wrong, stranger)
			require.Greater(t, right, 10*time.Millisecond, "it takes a time that can be measured")
			require.Greater(t, wrong, right/2)
			require.Greater(t, stranger, right/2)
		})
	}
}
