package security

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/users"
	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// Who is not there costs the gateway the same as who is, so that the time tells nobody which names exist.
func TestUnknownUsersCostWhatKnownOnesDo(t *testing.T) {
	p := newPlace(t)
	p.run(t, listeners+"auth:\n  users:\n  - {name: alice, password: \""+argon(t, "alice-secret")+"\"}\n")
	times := map[string][]time.Duration{}
	for i := range 7 { // fewer than what the brake allows
		for _, name := range []string{"alice", "mallory"} {
			nc := p.open(t, 0, false, "127.0.3."+string(rune('1'+i)), shown{})
			began := time.Now()
			_, told := login(t, nc, shown{login: name, passcode: "wrong"}, false)
			times[name] = append(times[name], time.Since(began))
			require.Equal(t, refusal(name), told)
			_ = nc.Close()
		}
	}
	for _, all := range times {
		slices.Sort(all)
	}
	known, unknown := times["alice"][3], times["mallory"][3]
	t.Logf("FIGURE median of a refusal: known user %v, unknown user %v", known, unknown)
	require.Greater(t, unknown, known/4)
	require.Less(t, unknown, known*4)
}

// A password and a token is nowhere but where it was given: not in a log, an answer, a metric, an audit or a list.
func TestSecretsAreNowhere(t *testing.T) {
	p := newPlace(t)
	token, kept := users.NewToken()
	canaries := []string{"canary-plain", "canary-file", "canary-env", "canary-wrong", "canary-ldap", "canary-bearer-0123456789", "canary-unknown", token, strings.TrimPrefix(kept, "sha256:")}
	for _, c := range canaries {
		canaries = append(canaries, base64.StdEncoding.EncodeToString([]byte(c)))
	}
	p.write(t, "bob.secret", "canary-file\n")
	p.run(t, listeners+`audit: commands
log: {level: debug}
auth:
  users:
  - {name: alice, password: canary-plain}
  - {name: bob, password_file: bob.secret}
  - {name: robot, token: "`+kept+`"}
  ldap: {urls: ["ldap://127.0.0.1:1"], user_base: "dc=x", bind_dn: "cn=finder,dc=x", bind_password: canary-ldap}
  acl: [{users: ["*"], allow: [all], on: ["/queue/>", "/admin/>"]}]
`)
	var said strings.Builder
	for _, web := range []bool{false, true} {
		for _, s := range []shown{
			{login: "alice", passcode: "canary-wrong"}, {login: "canary-unknown", passcode: "canary-plain"}, {bearer: "canary-bearer-0123456789"}, {login: "robot", passcode: "canary-bearer-0123456789"},
			{login: "alice", passcode: "canary-plain"}, {login: "bob", passcode: "canary-file"}, {bearer: token}, {login: "robot", passcode: token},
		} {
			nc := p.open(t, 0, web, "", s)
			v := &stomper{raw.Over(t, nc)}
			lines := []string{"accept-version:1.2", "host:/"}
			if s.login != "" {
				lines = append(lines, "login:"+s.login, "passcode:"+s.passcode)
			} else if !web {
				lines = append(lines, "Authorization:Bearer "+s.bearer)
			}
			v.c.Send("CONNECT", "", lines...)
			f := v.next(t)
			said.WriteString(strings.ReplaceAll(f.String(), "canary-unknown", "") + "\n") // who is refused hears the login
			if f.Command == "CONNECTED" {
				v.use(t, "/queue/a")
				v.c.Send("CONNECT", "", lines...)
				said.WriteString(v.next(t).String() + "\n")
			}
			_ = nc.Close()
		}
	}
	alice := p.operator(t, "alice")
	alice.shown.passcode = "canary-plain"
	for _, operation := range []string{"status", "connections", "no-such-operation", "disconnect?session=canary"} {
		_, text := alice.ask(t, operation)
		said.WriteString(text)
	}
	alice.shown.passcode = "canary-wrong"
	_, text := alice.ask(t, "status")
	said.WriteString(text)
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/cmdline", "/debug/vars"} {
		_, text := p.get(t, path, "")
		said.WriteString(text)
	}
	show := p.Command("config", "show", "--config", "sluice.yaml")
	shownText, err := show.CombinedOutput()
	require.NoError(t, err, "%s", shownText)
	said.Write(shownText)
	p.Configure(p.read(t, "sluice.yaml") + "auth:\n  users: [{name: alice, password: canary-plain, pasword: canary-wrong}]\n")
	said.WriteString(p.refuses(t, "check-config", "sluice.yaml"))
	p.Stop()
	arguments, _ := filepath.Glob(filepath.Join(p.Dir(), "*"))
	for _, file := range arguments { // what the node itself keeps
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			said.Write(text)
		}
	}
	for where, text := range map[string]string{
		"an answer": said.String(), "the log": strings.ReplaceAll(p.Log(), "canary-unknown", ""), "the audit": strings.ReplaceAll(p.read(t, "audit.log"), "canary-unknown", ""),
	} {
		for _, c := range canaries {
			require.NotContains(t, text, c, where)
		}
	}
	require.Contains(t, said.String(), "********", "config show masks")
	require.Contains(t, p.Log(), "canary-unknown", "and the log was looked at")
}
