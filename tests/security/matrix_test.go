package security

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki/pkitest"
	"github.com/sluice-mq/sluice/auth/users"
)

// proof is one way to prove who somebody is.
type proof struct {
	name string
	// user and method are who that is, as the audit has it.
	user, method string
	right        shown
	// wrong is nearly right, and told is what it is told: the whole text, or its beginning if it ends with "...".
	wrong shown
	told  string
	// plain: it goes through a door without TLS as well.
	plain bool
}

// goes reports whether a door has a place for what is shown: certificates want TLS, and MQTT knows no bearers.
func (s proof) goes(d door) bool {
	return (s.plain || d.secure) && (s.right.bearer == "" || d.name != "mqtt")
}

// native doors are the embedded server's, which tells nobody why he is refused.
func (d door) native() bool {
	return strings.HasPrefix(d.name, "nats") || strings.HasPrefix(d.name, "mqtt")
}

// refusal is ActiveMQ's text, which clients look for.
func refusal(login string) string { return "User name [" + login + "] or password is invalid." }

// society is everybody in the matrix, and the configuration that knows them.
type society struct {
	*place
	proofs     []proof
	issuer     *issuer
	users      string
	issuers    string
	ldap       string
	everything string // the rules under which everybody may do what the matrix does
}

// newSociety makes people, each known in another way, all of whom are in the group team.
func newSociety(t testing.TB) *society {
	p := newPlace(t)
	s := &society{place: p, issuer: newIssuer(t)}
	forger := newIssuer(t)
	s.issuer.publish(t, p.Home(), "jwks.json")
	d := startDirectory(t, map[string]string{"ldapper": "ldap-right"}, map[string][]string{"team": {"ldapper"}})
	token, kept := users.NewToken()
	otherToken, _ := users.NewToken()
	later := time.Now().Add(time.Hour)
	jwt, forged := s.issuer.token(t, "jotter", later, "team"), forger.token(t, "jotter", later, "team")
	s.proofs = []proof{
		{
			name: "argon2id", user: "argon", method: "password", plain: true,
			right: shown{login: "argon", passcode: "argon-right"}, wrong: shown{login: "argon", passcode: "argon-wrong"}, told: refusal("argon"),
		}, {
			name: "bcrypt", user: "bea", method: "password", plain: true,
			right: shown{login: "bea", passcode: "bea-right"}, wrong: shown{login: "bea", passcode: "bea-wrong"}, told: refusal("bea"),
		}, {
			name: "plain", user: "paul", method: "password", plain: true,
			right: shown{login: "paul", passcode: "paul-right"}, wrong: shown{login: "nobody", passcode: "paul-right"}, told: refusal("nobody"),
		}, {
			name: "dn", user: "host1", method: "certificate",
			right: shown{certificate: p.client(t, "/DC=org/DC=example/OU=Hosts/CN=host1.example.org")},
			wrong: shown{certificate: p.client(t, "/DC=org/DC=example/OU=Hosts/CN=host9.example.org")},
			told:  refusal("null") + " No user for client certificate: CN=host9.example.org, OU=Hosts, DC=example, DC=org",
		}, {
			name: "san", user: "host2", method: "certificate",
			right: shown{certificate: p.client(t, "/DC=org/CN=whatever", pkitest.DNSNames("host2.example.org"))},
			wrong: shown{certificate: p.client(t, "/DC=org/CN=whatever", pkitest.DNSNames("host2.example.org.evil"))},
			told:  refusal("null") + " No user for client certificate: CN=whatever, DC=org",
		}, {
			name: "token", user: "robot", method: "token", plain: true,
			right: shown{bearer: token}, wrong: shown{bearer: otherToken}, told: refusal("null") + "...",
		}, {
			name: "token as passcode", user: "robot", method: "token", plain: true,
			right: shown{login: "robot", passcode: token}, wrong: shown{login: "argon", passcode: token}, told: refusal("argon"),
		}, {
			name: "jwt", user: "jotter", method: "jwt", plain: true,
			right: shown{bearer: jwt}, wrong: shown{bearer: forged}, told: refusal("null") + " ...",
		}, {
			name: "jwt as passcode", user: "jotter", method: "jwt", plain: true,
			right: shown{login: "x", passcode: jwt}, wrong: shown{login: "x", passcode: forged}, told: refusal("x") + " ...",
		}, {
			name: "ldap", user: "ldapper", method: "ldap", plain: true,
			right: shown{login: "ldapper", passcode: "ldap-right"}, wrong: shown{login: "ldapper", passcode: "ldap-wrong"}, told: refusal("ldapper"),
		}, {
			name: "anonymous", user: "anonymous", plain: true,
			wrong: shown{login: "anonymous"}, told: refusal("anonymous"), // a login without a passcode is not nothing
		},
	}
	s.users = lines("  users:") +
		lines("  - {name: argon, password: %q, groups: [team]}", argon(t, "argon-right")) +
		lines("  - {name: bea, password: %q, groups: [team]}", bcrypted(t, "bea-right")) +
		lines("  - {name: paul, password: paul-right, groups: [team]}") +
		lines("  - {name: host1, dn: /DC=org/DC=example/OU=Hosts/CN=host1.example.org, groups: [team]}") +
		lines(`  - {name: host2, sans: ["dns:host2.example.org"], groups: [team]}`) +
		lines("  - {name: robot, token: %q, groups: [team]}", kept)
	s.issuers = lines("  issuers: [{issuer: %q, audiences: [sluice], keys: jwks.json}]", issuerName)
	s.ldap = lines("  ldap: {urls: [%q], user_base: %q, group_base: %q, insecure: true}", d.url(), peopleBase, groupsBase)
	s.everything = `
  - {users: ["*"], allow: [read, write, create], on: ["/queue/own.{user}.>"]}
  - {groups: [team, anonymous], allow: [read, write, create], on: ["/queue/team.>"]}
  - {groups: [anonymous], allow: [read, write, create], on: ["/queue/own.anonymous.>"]}
  - {groups: [team, anonymous], allow: [manage], on: ["/admin/status"]}
`
	return s
}

// configure writes the file: who is known, and by which rules.
func (s *society) configure(anonymous bool, people, rules string) {
	s.Configure(listeners + nativeListeners + lines("auth:") + lines("  anonymous: %v", anonymous) + people + lines("  acl:%s", rules))
}

// guest is somebody in a cell of the matrix who is inside.
type guest struct {
	visitor
	door  door
	proof proof
}

func (g guest) String() string { return g.proof.name + " by " + g.door.name }

// Every way to prove who one is, through every door: right, wrong, without the right, with a right that goes, and as somebody who is
// nobody any more.
func TestMatrix(t *testing.T) {
	s := newSociety(t)
	s.configure(true, s.users+s.issuers+s.ldap, s.everything)
	s.Launch()
	s.AwaitReady()
	var inside []guest
	for _, d := range doors() {
		for _, how := range s.proofs {
			if !how.goes(d) {
				continue
			}
			g := guest{door: d, proof: how}
			var told string
			g.visitor, told = d.enter(t, s.place, d, how.right)
			require.Empty(t, told, "%v is let in", g)
			inside = append(inside, g)
		}
	}
	require.GreaterOrEqual(t, len(inside), 78)
	cell := func(name string, test func(t *testing.T, g guest)) {
		for _, g := range inside {
			t.Run(name+"/"+g.door.name+"/"+g.proof.name, func(t *testing.T) { test(t, g) })
		}
	}
	// What only this user may use proves the name, and what only the group may use proves the groups.
	cell("allowed", func(t *testing.T, g guest) {
		place := strings.NewReplacer(" ", "-", "+", "-").Replace(g.door.name + "-" + g.proof.name)
		g.use(t, "/queue/own."+g.proof.user+"."+place)
		g.use(t, "/queue/team."+place)
	})
	cell("wrong", func(t *testing.T, g guest) {
		in, told := g.door.enter(t, s.place, g.door, g.proof.wrong)
		require.Nil(t, in, "somebody is let in with what is wrong")
		if g.door.native() {
			require.Equal(t, violation, told)
			return
		}
		requireWords(t, g.proof.told, told)
	})
	cell("no right", func(t *testing.T, g guest) {
		read, write := g.trespass(t, "/queue/own.somebody.else")
		if g.door.admin {
			require.Equal(t, "User "+g.proof.user+" is not authorized to manage: /admin/connections", read)
			return
		}
		if g.door.name != "mqtt" {
			requireWords(t, "User "+g.proof.user+" is not authorized to read from: queue://own.somebody.else", read)
			requireWords(t, "User "+g.proof.user+" is not authorized to write to: queue://own.somebody.else", write)
		}
		g.use(t, "/queue/own."+g.proof.user+".after") // and nobody is sent away for having tried
	})
	for _, g := range inside {
		g.listen(t, "/queue/team.listen")
	}
	s.configure(true, s.users+s.issuers+s.ldap, strings.ReplaceAll(s.everything, "[team,", "[others,"))
	s.sluice(t, "reload", "--config", "sluice.yaml")
	cell("right taken while connected", func(t *testing.T, g guest) {
		if g.proof.name == "anonymous" {
			if !g.door.admin {
				g.use(t, "/queue/own.anonymous.still")
			}
			return // it keeps its rights: they are not the group's
		}
		if g.door.admin {
			require.Equal(t, "User "+g.proof.user+" is not authorized to manage: /admin/status", g.warned(t))
			return
		}
		if told := g.warned(t); g.door.name != "mqtt" {
			requireWords(t, "User "+g.proof.user+" is not authorized to read from: queue://team.listen", told)
		}
		g.use(t, "/queue/own."+g.proof.user+".still")
	})
	s.configure(false, "", s.everything)
	s.Signal(syscall.SIGHUP)
	s.AwaitLog("identities, rules, quotas, policies, certificates and the terms of HTTP Pub/Sub are those of the files now")
	cell("revoked while connected", func(t *testing.T, g guest) {
		login := g.proof.user
		if login == "anonymous" {
			login = "null"
		}
		told := ""
		if g.door.native() {
			g.dismissed(t)
			_, told := g.door.enter(t, s.place, g.door, g.proof.right)
			require.Equal(t, violation, told)
			return
		}
		if g.door.admin {
			eventually(t, func() bool { _, told = g.door.enter(t, s.place, g.door, g.proof.right); return told != "" }, "nobody is let in any more")
			require.NotEmpty(t, g.dismissed(t))
		} else {
			require.Equal(t, refusal(login), g.dismissed(t))
			_, told = g.door.enter(t, s.place, g.door, g.proof.right)
		}
		require.True(t, strings.HasPrefix(told, "User name ["), "%q is not let in again", told)
	})
	s.Stop()
	s.audited(t, inside)
}

// requireWords compares a text that ends with "..." by its beginning.
func requireWords(t testing.TB, want, got string) {
	t.Helper()
	if begin, ok := strings.CutSuffix(want, "..."); ok {
		require.True(t, strings.HasPrefix(got, begin), "%q does not begin with %q", got, begin)
		return
	}
	require.Equal(t, want, got)
}

// auditLine is a line of the audit.
type auditLine struct {
	Event, User, Claimed, Method, Protocol, Remote, DN, Destination, Operation, Subject, Error string
	Groups                                                                                     []string
	Library                                                                                    string
	ClientID                                                                                   string `json:"client_id"`
	Session                                                                                    string
	Count                                                                                      int
}

// audit is what is in the audit's file so far.
func (p *place) audit(t testing.TB) (all []auditLine) {
	t.Helper()
	for text := range strings.Lines(p.read(t, "audit.log")) {
		var l auditLine
		require.NoError(t, json.Unmarshal([]byte(text), &l), text)
		all = append(all, l)
	}
	return all
}

// audited looks whether each cell is in the audit: who came in by what, who was refused, and what.
func (s *society) audited(t *testing.T, inside []guest) {
	seen := map[string]int{}
	refusals, expected, kinds, natively := 0, 0, map[string]int{}, map[string]int{}
	for _, l := range s.audit(t) {
		if l.Event == "login_refused" {
			refusals += max(1, l.Count) // a storm of them is not written down one by one
			kinds[l.Protocol+" "+l.Claimed] += max(1, l.Count)
			require.True(t, strings.HasPrefix(l.Remote, "127.0."), "from where: %+v", l)
		}
		host, _, _ := strings.Cut(l.Remote, ":")
		seen[fmt.Sprint(l.Event, " ", l.User, " ", l.Method, " ", host)]++
		seen[fmt.Sprint(l.Event, " ", l.User, " by ", l.Protocol)]++
		if l.Event == "denied" && l.Protocol == "nats/door" {
			for from := range strings.SplitSeq(l.Remote, ", ") {
				host, _, _ := strings.Cut(from, ":")
				natively[l.User+" from "+host]++
			}
		}
	}
	for _, g := range inside {
		came := fmt.Sprintf("connect %s %s %s", g.proof.user, g.proof.method, g.door.from)
		refused := fmt.Sprintf("denied %s %s %s", g.proof.user, g.proof.method, g.door.from)
		if g.door.native() {
			refused = "denied " + g.proof.user + " by nats/door" // all that a user has natively is one, from wherever it is there
			require.Positive(t, natively[g.proof.user+" from "+g.door.from], "%v was refused something: %v", g, natively)
		}
		if g.door.admin {
			came = fmt.Sprintf("admin %s %s %s", g.proof.user, g.proof.method, g.door.from)
		} else {
			require.Positive(t, seen[fmt.Sprintf("disconnect %s %s %s", g.proof.user, g.proof.method, g.door.from)], "%v left: %v", g, slices.Sorted(maps.Keys(seen)))
		}
		require.Positive(t, seen[came], "%v came: %v", g, slices.Sorted(maps.Keys(seen)))
		require.Positive(t, seen[refused], "%v was refused something: %v", g, slices.Sorted(maps.Keys(seen)))
		expected += 2
	}
	require.NotContains(t, s.Log(), "authentication error", "the audit tells of it, and nobody else does")
	require.NotContains(t, s.Log(), "DO NOT USE")
	require.GreaterOrEqual(t, refusals, expected, "who was refused, or how many: %v", kinds)
}
