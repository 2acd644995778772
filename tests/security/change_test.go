package security

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/users"
)

// Who came by a password, a token or an issuer that is another one or none now is sent away, in words; the others stay, whatever else has changed.
func TestAChangedProofEndsItsSessions(t *testing.T) {
	p, issuer := newPlace(t), newIssuer(t)
	issuer.publish(t, p.Home(), "jwks.json")
	token, kept := users.NewToken()
	_, other := users.NewToken()
	jwt := issuer.token(t, "jotter", time.Now().Add(time.Hour), "team")
	configure := func(alice, robot, trusted, groups string) {
		p.Configure(listeners + nativeListeners + lines("auth:\n  users:") +
			lines("  - {name: alice, password: %q, groups: [team]}", alice) +
			lines("  - {name: robot, token: %q, groups: [team]}", robot) +
			lines("  - {name: bea, password: bea-right, groups: [%s]}", groups) +
			lines("  issuers:\n  - {issuer: %q, audiences: [sluice], keys: jwks.json}", trusted) +
			lines(`  acl: [{groups: [team], allow: [all], on: ["/queue/>"]}]`))
	}
	configure("alice-right", kept, issuerName, "team")
	p.Launch()
	p.AwaitReady()
	changed := "The password or token is another one now."
	var leaving, staying []guest
	var words []string
	for _, d := range doors() {
		if d.admin || d.name == "mqtt" && !d.native() {
			continue // each request logs in
		}
		for _, how := range []struct {
			proof
			words string
		}{
			{proof{name: "password", user: "alice", right: shown{login: "alice", passcode: "alice-right"}}, refusal("alice") + " " + changed},
			{proof{name: "token", user: "robot", right: shown{login: "robot", passcode: token}}, refusal("robot") + " " + changed},
			{proof{name: "jwt", user: "jotter", right: shown{login: "x", passcode: jwt}}, refusal("jotter") + " the token is of issuer " + issuerName + ", which is not trusted here"},
			{proof{name: "other", user: "bea", right: shown{login: "bea", passcode: "bea-right"}}, ""},
		} {
			g := guest{door: d, proof: how.proof}
			var told string
			g.visitor, told = d.enter(t, p, d, how.right)
			require.Empty(t, told, "%v is let in", g)
			if how.words == "" {
				staying = append(staying, g)
				continue
			}
			leaving, words = append(leaving, g), append(words, how.words)
		}
	}
	require.GreaterOrEqual(t, len(leaving), 21)
	p.sluice(t, "reload", "--config", "sluice.yaml")
	for i, g := range leaving {
		g.use(t, fmt.Sprint("/queue/leaving-", i))
	}
	configure("alice-new", other, "https://other.example.org", "team, more")
	p.sluice(t, "reload", "--config", "sluice.yaml")
	for i, g := range leaving {
		if told := g.dismissed(t); !g.door.native() {
			require.Equal(t, words[i], told, "%v", g)
		}
		_, told := g.door.enter(t, p, g.door, g.proof.right)
		require.NotEmpty(t, told, "%v is not let in again", g)
	}
	for i, g := range staying {
		g.use(t, fmt.Sprint("/queue/staying-", i))
	}
}
