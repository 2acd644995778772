package acl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func queue(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindQueue, Name: name}
}
func topic(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindTopic, Name: name}
}

func proven(name string, groups ...string) gateway.Principal {
	return gateway.Principal{Name: name, Groups: groups, Method: "password"}
}

func load(t *testing.T, mode Mode, rules ...Rule) *Authorizer {
	t.Helper()
	z, err := New(Config{Mode: mode, Rules: rules})
	require.NoError(t, err)
	return z
}

func TestWithoutRulesNobodyMayDoAnything(t *testing.T) {
	z := load(t, FirstMatch)
	for _, p := range []gateway.Principal{{}, proven("alice", "ops")} {
		r := z.Rights(p)
		for a := gateway.Read; a <= gateway.Manage; a++ {
			require.Error(t, r.May(a, queue("a")))
			require.Error(t, r.May(a, topic(">")))
			require.False(t, r.All(a, topic(">")))
		}
		require.Error(t, r.Operate("status"))
	}
}

func TestRefusalsAreActiveMQsWords(t *testing.T) {
	z := load(t, FirstMatch)
	r := z.Rights(proven("alice"))
	nobody := z.Rights(gateway.Principal{})
	for text, err := range map[string]error{
		"User alice is not authorized to read from: queue://a.b":     r.May(gateway.Read, queue("a.b")),
		"User alice is not authorized to write to: topic://a":        r.May(gateway.Write, topic("a")),
		"User alice is not authorized to create: queue://x":          r.May(gateway.Create, queue("x")),
		"User alice is not authorized to manage: queue://x":          r.May(gateway.Manage, queue("x")),
		"User alice is not authorized to manage: /admin/drain":       r.Operate("drain"),
		"User anonymous is not authorized to read from: topic://a.>": nobody.May(gateway.Read, topic("a.>")),
	} {
		require.Equal(t, gateway.Denied, gateway.KindOf(err))
		require.Equal(t, text, gateway.TextOf(err))
	}
}

func TestFirstRuleThatFitsDecides(t *testing.T) {
	z := load(t, FirstMatch,
		Rule{Users: []string{"bob"}, Deny: []string{"write"}, On: []string{"/queue/orders.secret"}},
		Rule{Groups: []string{"ops"}, Allow: []string{"all"}, On: []string{"/queue/orders.>", "/admin/drain"}},
		Rule{Users: []string{"*"}, Deny: []string{"all"}, On: []string{"/queue/orders.>"}},
		Rule{Groups: []string{"*"}, Allow: []string{"read"}, On: []string{"/queue/>", "/topic/news.*"}},
		Rule{Groups: []string{"anonymous"}, Allow: []string{"write"}, On: []string{"/queue/box"}},
		Rule{Users: []string{"bob"}, Allow: []string{"write"}, On: []string{"/queue/orders.secret"}},
	)
	for _, c := range []struct {
		who  gateway.Principal
		a    gateway.Action
		d    gateway.Destination
		want bool
	}{
		{proven("bob", "ops"), gateway.Write, queue("orders.secret"), false}, // the last rule comes too late
		{proven("bob", "ops"), gateway.Read, queue("orders.secret"), true},   // the first one is not about it
		{proven("bob", "ops"), gateway.Write, queue("orders.other"), true},
		{proven("bob", "ops"), gateway.Write, queue("orders"), true}, // the stem
		{proven("eve"), gateway.Read, queue("orders.a.b.c"), false},
		{proven("eve"), gateway.Read, queue("ordersx"), true},
		{proven("eve"), gateway.Write, queue("ordersx"), false},
		{gateway.Principal{}, gateway.Read, queue("orders.a"), true}, // rule 3 is for those who have proven something
		{gateway.Principal{}, gateway.Write, queue("box"), true},
		{proven("eve"), gateway.Write, queue("box"), false},
		{gateway.Principal{Name: "bob", Groups: []string{"anonymous"}, Method: "password"}, gateway.Write, queue("box"), false},
		{proven("eve"), gateway.Read, topic("news.a"), true},
		{proven("eve"), gateway.Read, topic("news.a.b"), false},
		{proven("eve"), gateway.Read, topic("news"), false},
		{proven("eve"), gateway.Read, topic("orders"), false}, // queues and topics are apart
	} {
		err := z.Rights(c.who).May(c.a, c.d)
		require.Equal(t, c.want, err == nil, "%v %s %s: %v", c.who, c.a, c.d, err)
		require.Equal(t, c.want, z.Rights(c.who).All(c.a, c.d), "a name is all that it stands for")
	}
	require.NoError(t, z.Rights(proven("carol", "ops")).Operate("drain"))
	require.Error(t, z.Rights(proven("carol", "ops")).Operate("status"))
	require.Error(t, z.Rights(proven("eve")).Operate("drain"))
}

// TestNobodyGetsAUsersRightsByCallingHimselfSo: names count only with a proof, and neither does a name that looks like a wildcard.
func TestNobodyGetsAUsersRightsByCallingHimselfSo(t *testing.T) {
	z := load(t, FirstMatch,
		Rule{Users: []string{"alice"}, Allow: []string{"read"}, On: []string{"/queue/a"}},
		Rule{Groups: []string{"*"}, Allow: []string{"read"}, On: []string{"/queue/home.{user}.>"}},
		Rule{Users: []string{"*"}, Allow: []string{"read"}, On: []string{"/queue/proven"}})
	claims := z.Rights(gateway.Principal{Name: "alice"})
	require.Error(t, claims.May(gateway.Read, queue("a")))
	require.Error(t, claims.May(gateway.Read, queue("home.alice.x")))
	require.Error(t, claims.May(gateway.Read, queue("proven")))
	require.Error(t, z.Rights(gateway.Principal{Name: "*"}).May(gateway.Read, queue("proven")))
	alice := z.Rights(proven("alice"))
	require.NoError(t, alice.May(gateway.Read, queue("a")))
	require.NoError(t, alice.May(gateway.Read, queue("home.alice.x")))
	require.NoError(t, alice.May(gateway.Read, queue("home.alice")))
	require.Error(t, alice.May(gateway.Read, queue("home.bob.x")))
	for _, name := range []string{"*", ">", "a.b", "a*", "", "alice.>"} {
		r := z.Rights(proven(name))
		for _, d := range []string{"home.alice.x", "home.*", "home.>", "home.a.b", "home." + name + ".x"} {
			require.Error(t, r.May(gateway.Read, queue(d)), "%q reads %s", name, d)
		}
	}
}

func TestLoadErrorsNameRuleAndFault(t *testing.T) {
	_, err := New(Config{Rules: []Rule{
		{Users: []string{"a"}, Allow: []string{"read"}, On: []string{"/queue/a"}},
		{Allow: []string{"write"}, On: []string{"/queue/a"}, Position: "sluice.yaml:9"},
		{Users: []string{"a"}, Allow: []string{"reed"}, On: []string{"queue/a", "/queue/", "/queue/a.>.b", "/queue/a*", "/queue/{path}", "/queue/a\n", "/queue/\xff", "/queue/" + strings.Repeat("a", 1025)}},
		{Users: []string{"a"}, On: []string{"/topic/a"}},
		{Users: []string{""}, Allow: []string{"all"}, Deny: []string{"read"}},
		{Users: []string{"a"}, Allow: []string{"read"}, On: []string{"/admin/drain"}},
	}})
	require.EqualError(t, err, strings.Join([]string{
		`rule 2 (sluice.yaml:9): it is for nobody; want users or groups`,
		`rule 3: unknown action "reed"; want read, write, create, manage or all`,
		`rule 3: pattern "queue/a"; want /queue/, /topic/, /temp-queue/, /temp-topic/, /subscription/ or /admin/ and a name`,
		`rule 3: pattern "/queue/" has no name; want /queue/> for everything`,
		`rule 3: pattern "/queue/a.>.b": ">" stands for the rest, so it must be the last token`,
		`rule 3: pattern "/queue/a*": token "a*"; "*" and ">" stand for whole tokens`,
		`rule 3: pattern "/queue/{path}": token "{path}"; the only placeholder is {user}`,
		`rule 3: pattern "/queue/a\n" holds a control character`,
		`rule 3: pattern "/queue/\xff" is not valid UTF-8`,
		`rule 3: pattern "/queue/aaaaaaaaaaaaaaaaaaaaaaaaa"... is 1025 bytes long, the limit is 1024`,
		`rule 4: it says nothing; want allow or deny`,
		`rule 5: an empty name among its users or groups`,
		`rule 5: it allows and denies read; want one of the two`,
		`rule 5: it is about nothing; want patterns under "on"`,
		`rule 6: pattern "/admin/drain": manage is the only action with operations`,
	}, "\n"))
	_, err = New(Config{Mode: Union, Rules: []Rule{{Users: []string{"a"}, Deny: []string{"read"}, On: []string{"/queue/a"}}}})
	require.EqualError(t, err, "rule 1: deny with acl_mode union, where all rules that fit count; want acl_mode first-match, or no deny")
}

func TestModesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]Mode{"": FirstMatch, "first-match": FirstMatch, "union": Union} {
		m, err := ParseMode(text)
		require.NoError(t, err)
		require.Equal(t, want, m)
		again, err := ParseMode(m.String())
		require.NoError(t, err)
		require.Equal(t, want, again)
	}
	_, err := ParseMode("unoin")
	require.EqualError(t, err, `unknown acl_mode "unoin"; want first-match or union`)
}

// TestPatternsOfSubscribers: what a client may do with a pattern. The model test has the whole truth.
func TestPatternsOfSubscribers(t *testing.T) {
	z := load(t, FirstMatch,
		Rule{Users: []string{"a"}, Deny: []string{"read"}, On: []string{"/topic/site.secret.>"}},
		Rule{Users: []string{"a"}, Allow: []string{"read"}, On: []string{"/topic/site.>"}},
		Rule{Users: []string{"a"}, Deny: []string{"read"}, On: []string{"/topic/other.>"}},
		Rule{Users: []string{"a"}, Deny: []string{"read"}, On: []string{"/topic/deep.b.>"}},
		Rule{Users: []string{"a"}, Allow: []string{"read"}, On: []string{"/topic/*.b.>"}},
	)
	r := z.Rights(proven("a"))
	for _, c := range []struct {
		name     string
		may, all bool
	}{
		{"site.>", true, false},
		{"site.*", true, false}, // site.secret is among them
		{"site.*.x", true, false},
		{"site.open.>", true, true},
		{"site.secret.>", false, false},
		{"site.secret.*", false, false},
		{">", true, false},
		{"*", true, false},
		{"*.*", true, false},
		{"other.>", false, false},
		{"other.*", false, false},
		{"site.open.>.x", true, true}, // what follows ">" is ignored
		{"nothing.x.*", false, false},
		{"deep.*.c", false, false}, // all it has in common with what is allowed is denied
		{"else.*.c", true, false},
	} {
		require.Equal(t, c.may, r.May(gateway.Read, topic(c.name)) == nil, "May %s", c.name)
		require.Equal(t, c.all, r.All(gateway.Read, topic(c.name)), "All %s", c.name)
	}
}

// TestUnionIsActiveMQs: the rules of ActiveMQ's own example and of what was tried with it, and what it allowed.
func TestUnionIsActiveMQs(t *testing.T) {
	z := load(t, Union,
		Rule{Groups: []string{"admins"}, Allow: []string{"all"}, On: []string{"/queue/>", "/topic/>"}},
		Rule{Groups: []string{"users"}, Allow: []string{"all"}, On: []string{"/queue/USERS.>", "/topic/USERS.>"}},
		Rule{Groups: []string{"guests"}, Allow: []string{"read"}, On: []string{"/queue/GUEST.>", "/topic/GUEST.>"}},
		Rule{Groups: []string{"guests", "users"}, Allow: []string{"write", "create"}, On: []string{"/queue/GUEST.>", "/topic/GUEST.>"}},
		Rule{Groups: []string{"guests", "users", "admins"}, Allow: []string{"all"}, On: []string{"/topic/ActiveMQ.Advisory.>"}},
	)
	admin, user, guest := proven("system", "users", "admins"), proven("user", "users"), proven("guest", "guests")
	for _, c := range []struct {
		who    gateway.Principal
		d      gateway.Destination
		rights string
	}{
		{admin, queue("any.thing"), "rwc"}, {admin, topic("GUEST"), "rwc"},
		{user, queue("any.thing"), ""}, {user, queue("USERS"), "rwc"}, {user, queue("USERS.a.b"), "rwc"}, {user, topic("USERSX"), ""},
		{user, queue("GUEST.a"), "wc"}, {user, topic("ActiveMQ.Advisory.Connection"), "rwc"},
		{guest, queue("USERS.a"), ""}, {guest, queue("GUEST.a"), "rwc"}, {guest, topic("GUEST"), "rwc"},
		{guest, topic("ActiveMQ.Advisory.TempQueue"), "rwc"}, {guest, queue("ActiveMQ.Advisory.TempQueue"), ""},
		{gateway.Principal{}, queue("GUEST.a"), ""},
	} {
		got := ""
		for i, letter := range "rwc" {
			if z.Rights(c.who).May(gateway.Read+gateway.Action(i), c.d) == nil {
				got += string(letter)
			}
		}
		require.Equal(t, c.rights, got, "%v %s", c.who, c.d)
	}
}

// TestUnionAnswersAsActiveMQDid holds the union against what a real one answered to entries and names drawn at random.
func TestUnionAnswersAsActiveMQDid(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "activemq.tsv"))
	require.NoError(t, err)
	var z *Authorizer
	asked := 0
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch columns[0] {
		case "R":
			var rules []Rule
			for _, entry := range columns[1:] {
				on, group, _ := strings.Cut(entry, " ")
				rules = append(rules, Rule{Groups: []string{group}, Allow: []string{"read"}, On: []string{on}})
			}
			z = load(t, Union, rules...)
		case "Q":
			var may []string
			for _, group := range []string{"g0", "g1", "g2"} {
				if z.Rights(proven("user", group)).May(gateway.Read, queue(columns[1])) == nil {
					may = append(may, group)
				}
			}
			require.Equal(t, columns[2], strings.Join(may, ","), line)
			asked++
		}
	}
	require.Equal(t, 1200, asked)
}

// TestWhatLooksRestrictiveInUnionIsNamed: with ">" for users and "forbidden.>" for admins, ActiveMQ lets users read forbidden.a.
func TestWhatLooksRestrictiveInUnionIsNamed(t *testing.T) {
	z := load(t, Union,
		Rule{Groups: []string{"users"}, Allow: []string{"read", "write"}, On: []string{"/queue/>"}, Position: "sluice.yaml:7"},
		Rule{Groups: []string{"admins"}, Allow: []string{"all"}, On: []string{"/queue/forbidden.>", "/topic/forbidden.>"}, Position: "sluice.yaml:8"},
		Rule{Groups: []string{"users", "guests"}, Allow: []string{"read"}, On: []string{"/queue/open.>"}},
	)
	guest := proven("guest", "users")
	require.NoError(t, z.Rights(guest).May(gateway.Read, queue("forbidden.a")))
	require.Equal(t, []string{"rule 1 (sluice.yaml:7) counts wherever it fits (allow read, write on /queue/> for groups users), so these do not keep its people out: " +
		"rule 2 (sluice.yaml:8) on /queue/forbidden.> for groups admins"}, z.Warnings())
	e, err := z.Explain(proven("root", "admins", "users"), gateway.Read, "/queue/forbidden.a")
	require.NoError(t, err)
	require.Equal(t, `allowed
by rule 1 (sluice.yaml:7): allow read, write on /queue/> for groups users
allowed as well by: rule 2 (sluice.yaml:8): allow all on /queue/forbidden.>, /topic/forbidden.> for groups admins
note: rule 2 (sluice.yaml:8) does not keep others out of /queue/forbidden.>: all rules count, and rule 1 (sluice.yaml:7) is: allow read, write on /queue/> for groups users`, e.String())
}

func TestManyWarningsAreCutShort(t *testing.T) {
	rules := []Rule{{Groups: []string{"users"}, Allow: []string{"read"}, On: []string{"/queue/>"}}}
	for i := range 15 {
		rules = append(rules, Rule{Groups: []string{"admins"}, Allow: []string{"read"}, On: []string{fmt.Sprintf("/queue/q%d", i)}})
	}
	warnings := load(t, Union, rules...).Warnings()
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "rule 11 on /queue/q9 for groups admins; and 5 more")
	require.NotContains(t, warnings[0], "rule 12")
}

func TestRulesThatNeverDecideAreNamed(t *testing.T) {
	z := load(t, FirstMatch,
		Rule{Users: []string{"*"}, Deny: []string{"write"}, On: []string{"/queue/a.>"}},
		Rule{Users: []string{"bob"}, Allow: []string{"write"}, On: []string{"/queue/a.b", "/queue/a.*.c"}},
		Rule{Users: []string{"bob"}, Allow: []string{"write"}, On: []string{"/queue/a.b", "/queue/b"}},
		Rule{Users: []string{"bob"}, Allow: []string{"write", "read"}, On: []string{"/queue/a.b"}},
		Rule{Groups: []string{"ops"}, Allow: []string{"write"}, On: []string{"/queue/a.b"}},
	)
	require.Equal(t, []string{"rule 2 never decides anything: rule 1 comes first and fits whenever it would"}, z.Warnings())
}

func TestExplainNamesTheRulesThatCameTooLate(t *testing.T) {
	z := load(t, FirstMatch,
		Rule{Groups: []string{"*"}, Allow: []string{"read"}, On: []string{"/queue/home.{user}.>"}, Position: "sluice.yaml:3"},
		Rule{Users: []string{"h.example.org"}, Deny: []string{"read"}, On: []string{"/queue/home.h", "/queue/home.*"}},
		Rule{Users: []string{"*"}, Allow: []string{"all"}, On: []string{"/queue/>", "/admin/>"}},
		Rule{Users: []string{"other"}, Allow: []string{"all"}, On: []string{"/queue/>"}},
	)
	e, err := z.Explain(proven("h.example.org"), gateway.Read, "/queue/home.h")
	require.NoError(t, err)
	require.Equal(t, `denied
by rule 2: deny read on /queue/home.h, /queue/home.* for users h.example.org
too late: rule 3: allow all on /queue/>, /admin/> for users *
note: rule 1 (sluice.yaml:3) does not apply on /queue/home.{user}.>: {user} does not stand for the name "h.example.org", which holds a dot or a wildcard`, e.String())
	require.False(t, e.Allowed)
	require.Equal(t, 2, e.Rule.Number)
	require.Equal(t, []Cited{{Number: 3, Text: "allow all on /queue/>, /admin/> for users *"}}, e.Also)

	e, err = z.Explain(proven("h.example.org"), gateway.Read, "/queue/home.>")
	require.NoError(t, err)
	require.True(t, e.Allowed && e.Pattern && !e.All)
	require.Equal(t, 3, e.Rule.Number)
	e, err = z.Explain(proven("x"), gateway.Manage, "/admin/drain")
	require.NoError(t, err)
	require.True(t, e.Allowed)
	e, err = z.Explain(gateway.Principal{Name: "x"}, gateway.Write, "/topic/a")
	require.NoError(t, err)
	require.Equal(t, "denied\nno rule fits, and what no rule allows is denied", e.String())
	e, err = z.Explain(proven("x"), gateway.Write, "/topic/>")
	require.NoError(t, err)
	require.Equal(t, "denied: nothing that the pattern matches is allowed\nno rule fits, and what no rule allows is denied", e.String())

	_, err = z.Explain(proven("x"), gateway.Write, "a")
	require.ErrorContains(t, err, `destination: pattern "a"; want /queue/`)
	_, err = z.Explain(proven("x"), gateway.Write, "/queue/{user}")
	require.ErrorContains(t, err, "in rules only")
}

func TestRightsAreSharedByPrincipalsWhoAreTheSame(t *testing.T) {
	z := load(t, FirstMatch, Rule{Groups: []string{"ops"}, Allow: []string{"read"}, On: []string{"/queue/a"}})
	require.Same(t, z.Rights(proven("a", "x", "ops")), z.Rights(proven("a", "ops", "x", "x")))
	require.NotSame(t, z.Rights(proven("a", "ops")), z.Rights(gateway.Principal{Name: "a", Groups: []string{"ops"}}))
	require.NotSame(t, z.Rights(proven("a", "b", "c")), z.Rights(proven("a", "b\x00c")))
	require.NotSame(t, z.Rights(proven("a\x00b")), z.Rights(proven("a", "b")))
	require.NotSame(t, z.Rights(proven("a\x01\x03b")), z.Rights(proven("a\x00b")))
	for i := range 3 * principalsRemembered {
		z.Rights(proven(fmt.Sprint(i)))
	}
	require.LessOrEqual(t, len(z.compiled), principalsRemembered)
}
